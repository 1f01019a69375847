/**
 * Reaping: taking back what a dead thread held.
 *
 * A thread that dies may have been in the middle of anything. What it had in its hands is found by what it said before
 * it began, in its Thread, and by the state bytes, which name it:
 * - `run`: pages it was taking or giving back. If they were all its own, they are free now. If it was still clearing or
 *   setting bits, those pages are free that no entry names, whose bit is clear, and that no other thread names. What is
 *   counted by slab and page is counted anew;
 * - `slab`: the slab it was taking from or returning to: its `out` and its groups are found anew, and it goes back on the
 *   stack if it is on none;
 * - `hand`: an element on its way into a reserve or out. If it is RESERVED and in no slot, it is taken; the reserve is
 *   counted anew;
 * - its places in line, and what was handed over to them;
 * - CACHED by it: in a magazine or passing through its hands: returned, but for one that was handed over to who waits;
 * - its arenas, and pools it was just making: they end;
 * - LIVE in its hands: listed by mempool_next_live, for the caller to decide. They may be in use by others by now. They
 *   must be listed before another thread gets the number.
 * Then everybody is told to look for himself.
 *
 * All of it under the lock, and all of it can be done again: who dies in reap is reaped. Counts for statistics may be off
 * by what was in its hands. Where another thread is just at work on the same slab, element or pages, reap looks again;
 * after a while it gives up for now. It is the one operation that looks at what others are doing.
 */
import { atomicLoad, atomicStore, atomicSwap, guess } from "./atomics";
import { arenaForget, freeChunks } from "./bump";
import { magazineShrink, roundsIn } from "./cache";
import {
  ALIVE,
  Arena,
  Cache,
  DEAD,
  Epoch,
  Heap,
  heap,
  heapBase,
  LEAF_ENTRIES,
  Magazine,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  Pool,
  RUN_OURS,
  RUN_SHIFT,
  RUN_SOON,
  selfNumber,
  Slab,
  SLAB_GROUPS,
  SLAB_KEPT,
  SLAB_OUT_SHIFT,
  STATE_CACHED,
  STATE_FREE,
  STATE_LIVE,
  STATE_MARK,
  STATE_NEVER,
  STATE_RESERVED,
  TAG_MASK,
  Thread,
  threadAt,
  Waiter,
  WAITERS,
  WORD_SHIFT,
} from "./layout";
import { lockAt, relink, tryLock, unlock } from "./list";
import { clearedRest, endEpoch, firstEpoch, magazineAt, places, reclaim, summon } from "./mempool";
import { bitsAt, bitsSet, entryAt, entryOf, entryTag, entryWrite, runFree, runFreed, runSettled } from "./pages";
import { currNr, reserveTrim, slotAt, slotCount } from "./reserve";
import {
  cacheOf,
  elementReturn,
  firstElement,
  indexOf,
  recordFree,
  records,
  slabOf,
  slabPage,
  slabPages,
  slabPush,
  stateCached,
  stateOf,
  summaryAt,
} from "./slab";
import { settleAll } from "./threads";
import { giveBack, leaveLine, stirLine } from "./wait";

/** How often it looks again where another thread is at work, before it gives up for now. */
const TRIES: u32 = 1 << 12;

/**
 * Takes back what a dead thread held: 1. Or 0: it is this thread, or there is no such thread. Or -1: one that has stopped
 * or died is in the way; then again later, or when that has been reaped.
 */
export function heap_reap(number: u32): i32 {
  if (number >= heap().threads || number == selfNumber()) return 0;
  const thread = threadAt(number);
  const aliveAt = thread + offsetof<Thread>("alive");
  if (!atomicLoad<u32>(aliveAt)) return 0;
  // From here on nobody waits for it, also who reaps another.
  atomicStore<u32>(aliveAt, DEAD);
  // It may have died with the lock in its hands.
  let tries = TRIES << 8;
  while (!tryLock()) {
    if (!--tries) return -1;
    if (atomicLoad<u32>(lockAt()) != number + 1) continue;
    if (!atomicSwap<u32>(lockAt(), number + 1, selfNumber() + 1)) continue;
    heap().poolCount = relink(heapBase() + offsetof<Heap>("pools"));
    heap().arenaCount = relink(heapBase() + offsetof<Heap>("arenas"));
    break;
  }
  heap().reaped++;
  const dead = changetype<Thread>(thread);
  const done = reapRun(dead) && reapSlab(dead) && reapHand(dead) && recount(dead);
  if (done) {
    reapHandles(number);
    reapCached(number);
    reapArenas(number);
    atomicStore<u32>(aliveAt, 0);
    settleAll();
  }
  unlock();
  if (!done) return -1;
  reclaim();
  return 1;
}

/** The Thread of that number, if it is alive as far as is known and not this one's; else 0. */
function living(number: u32): usize {
  const thread = threadAt(number);
  return number != selfNumber() && atomicLoad<u32>(thread + offsetof<Thread>("alive")) == ALIVE ? thread : 0;
}

/** Whether another living thread names this slab. */
function slabNamed(slab: usize): bool {
  for (let number: u32 = 0; number < heap().threads; number++) {
    const thread = living(number);
    if (thread && <usize>atomicLoad<u32>(thread + offsetof<Thread>("slab")) == slab) return true;
  }
  return false;
}

/**
 * If no other living thread is making or giving back a run that `page` is in (0: any run), a number that changes when one
 * does; else -1.
 */
function quiet(page: u32): i64 {
  let sum: u64 = 0;
  for (let number: u32 = 0; number < heap().threads; number++) {
    const thread = living(number);
    if (!thread) continue;
    const run = atomicLoad<u64>(thread + offsetof<Thread>("run"));
    sum += run >> RUN_SHIFT;
    const first = (<u32>run) & (PAGE_NUMBERS - 1);
    const pages = (<u32>(run >> 20)) & (PAGE_NUMBERS - 1);
    if (page ? page - first < pages : pages || run & RUN_SOON) return -1;
  }
  return <i64>sum;
}

function reapRun(dead: Thread): bool {
  const run = dead.run;
  const first = (<u32>run) & (PAGE_NUMBERS - 1);
  const pages = (<u32>(run >> 20)) & (PAGE_NUMBERS - 1);
  if (run & RUN_OURS) {
    // A slab being made may be complete, but nobody has taken from it: it is given up.
    for (let page = first; page < first + pages; page++) entryWrite(page, 0);
    atomicStore<u64>(changetype<usize>(dead) + offsetof<Thread>("run"), RUN_SOON);
    runFree(first, pages);
    runSettled();
    return true;
  }
  for (let page = first; page < first + pages; page++) {
    let tries = TRIES;
    while (isNobodys(page)) {
      if (!--tries) return false;
      const before = quiet(page);
      // No run came or went while the page was looked at, so it is the dead one's.
      if (before == -1 || !isNobodys(page) || quiet(page) != before) continue;
      bitsSet(page, page + 1);
      break;
    }
  }
  if (run << (64 - RUN_SHIFT)) atomicStore<u64>(changetype<usize>(dead) + offsetof<Thread>("run"), RUN_SOON);
  return true;
}

/** Whether a page is neither free nor, as far as its entry says, in use. */
function isNobodys(page: u32): bool {
  const bits = atomicLoad<u64>(bitsAt(page >>> WORD_SHIFT));
  return !((bits >> (page & 63)) & 1) && !atomicLoad<u64>(entryOf(page));
}

/** Counts the pages of the heap, and the slabs of all caches, anew. */
function recount(dead: Thread): bool {
  if (!(dead.run & RUN_SOON)) return true;
  const pagesAt = heapBase() + offsetof<Heap>("pages");
  for (let tries = TRIES; tries; tries--) {
    const before = quiet(0);
    if (before == -1) continue;
    const counted = atomicLoad<u32>(pagesAt);
    clearSeen(records());
    for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
      for (let e = firstEpoch(changetype<Pool>(at)); e; e = changetype<Epoch>(e).next) clearSeen(changetype<Epoch>(e));
    }
    let pages: u32 = 0;
    for (let page: u32 = 0; page < PAGE_NUMBERS; page++) {
      const at = entryOf(page);
      if (!at) {
        page |= LEAF_ENTRIES - 1;
        continue;
      }
      const entry = atomicLoad<u64>(at);
      if (entry) {
        pages++;
        if (entryTag(entry)) continue;
        const slab = changetype<Slab>(<usize>(entry >> 32));
        if (slabPage(slab) != page) continue;
        const cache = changetype<Cache>(<usize>(<u32>entry));
        cache.seenSlabs++;
        cache.seenRoom += slab.end;
        cache.seenPartial += slabPages(slab);
      } else {
        const bits = bitsAt(page >>> WORD_SHIFT);
        if (bits) pages += <u32>((atomicLoad<u64>(bits) >> (page & 63)) & 1);
      }
    }
    if (quiet(0) != before || !atomicSwap<u32>(pagesAt, counted, pages)) continue;
    runFreed();
    recountOf(records());
    for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
      for (let e = firstEpoch(changetype<Pool>(at)); e; e = changetype<Epoch>(e).next) recountOf(changetype<Epoch>(e));
    }
    dead.run = 0;
    return true;
  }
  return false;
}

function clearSeen(cache: Cache): void {
  cache.seenSlabs = 0;
  cache.seenRoom = 0;
  cache.seenPartial = 0;
  cache.seenLive = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("room"));
}

/** If another thread has made or retired a slab since, what it counted stays. */
function recountOf(cache: Cache): void {
  if (cache.seenLive == -1) return;
  if (!atomicSwap<u32>(changetype<usize>(cache) + offsetof<Cache>("room"), cache.seenLive, cache.seenRoom)) return;
  atomicStore<u32>(changetype<usize>(cache) + offsetof<Cache>("slabs"), cache.seenSlabs);
  atomicStore<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages"), cache.seenPartial);
}

/** Finds out what a slab has, and puts it on the stack if it is on none. */
function reapSlab(dead: Thread): bool {
  const address = dead.slab;
  if (!address) return true;
  const slab = changetype<Slab>(address);
  const summary = summaryAt(address);
  for (let tries = TRIES; tries; tries--) {
    const entry = entryOf(address >>> PAGE_SHIFT);
    if (!entry || !load<u32>(entry) || load<u32>(entry) & TAG_MASK || <usize>load<u32>(entry, 4) != address) {
      // It is gone.
      dead.slab = 0;
      return true;
    }
    const cache = changetype<Cache>(<usize>load<u32>(entry));
    const old = atomicLoad<u64>(summary);
    if (slabNamed(address)) continue;
    const on = listed(cache, address);
    let out: u64 = 0;
    const end = min(slab.end, cache.indexEnd);
    let carved = min(slab.carved, end);
    // If another were retiring it, it would be named, or its pages in a run; or else it is gone. If it is on no stack
    // either, nobody but this thread can take from it.
    if (slabNamed(address) || quiet(address >>> PAGE_SHIFT) == -1) continue;
    if (<usize>atomicLoad<u64>(entry) != changetype<usize>(cache)) continue;
    // What it was just carving: the bytes are the truth.
    if (!on) {
      for (let i: u32 = 0; i < end; i++) {
        const state = stateOf(slab, i);
        if (i < carved && atomicLoad<u8>(state) == STATE_NEVER) atomicStore<u8>(state, <u8>STATE_FREE);
        if (i >= carved && atomicLoad<u8>(state) != STATE_NEVER) carved = i + 1;
      }
    }
    for (let i: u32 = 0; i < carved; i++) {
      if (atomicLoad<u8>(stateOf(slab, i)) != STATE_FREE) out++;
    }
    if (slabNamed(address) || quiet(address >>> PAGE_SHIFT) == -1) continue;
    if (<usize>atomicLoad<u64>(entry) != changetype<usize>(cache)) continue;
    if (!on) slab.carved = carved;
    if (!atomicSwap<u64>(summary, old, SLAB_GROUPS | SLAB_KEPT | (out << SLAB_OUT_SHIFT))) continue;
    if (!on) slabPush(changetype<usize>(cache) + offsetof<Cache>("partial"), address);
    dead.slab = 0;
    return true;
  }
  return false;
}

/** Whether a slab is on one of its cache's stacks. */
function listed(cache: Cache, slab: usize): bool {
  const partial = changetype<usize>(cache) + offsetof<Cache>("partial");
  const swept = changetype<usize>(cache) + offsetof<Cache>("swept");
  let on: bool;
  let one: u64;
  let two: u64;
  do {
    one = atomicLoad<u64>(partial);
    two = atomicLoad<u64>(swept);
    on = onStack(<usize>(<u32>one), slab) || onStack(<usize>(<u32>two), slab);
  } while (atomicLoad<u64>(partial) != one || atomicLoad<u64>(swept) != two);
  return on;
}

function onStack(at: usize, slab: usize): bool {
  for (let steps: u32 = PAGE_NUMBERS; at && steps; steps--) {
    if (at == slab) return true;
    const entry = entryAt(at);
    // The stack has changed, and this is no slab any more.
    if (!entry || <usize>guess<u32>(entry + 4) != at) break;
    at = guess<u32>(at + offsetof<Slab>("next"));
  }
  return false;
}

/** Finds out where an element is that was on its way into a reserve or out, and counts the reserve anew. */
function reapHand(dead: Thread): bool {
  const element = dead.hand;
  if (!element) return true;
  const entry = entryAt(element);
  const owner = <u32>atomicLoad<u64>(entry);
  // An element that is still on its way is in a slab. This one has got where it went, and its slab has gone since.
  if (!owner || owner & TAG_MASK || owner == changetype<u32>(records())) {
    dead.hand = 0;
    return true;
  }
  const epoch = changetype<Epoch>(<usize>owner);
  const slab = slabOf(entry);
  const index = indexOf(epoch, slab, element);
  const state = stateOf(slab, index);
  if (index >= epoch.indexEnd) {
    dead.hand = 0;
    return true;
  }
  for (let tries = TRIES; tries; tries--) {
    const counted = currNr(epoch);
    if (anyHand(epoch)) continue;
    let full: u32 = 0;
    let there = false;
    for (let i: u32 = 0; i < slotCount(epoch); i++) {
      const slot = atomicLoad<u32>(slotAt(epoch, i));
      if (slot) full++;
      if (slot == <u32>element) there = true;
    }
    if (anyHand(epoch) || !atomicSwap<u32>(changetype<usize>(epoch) + offsetof<Epoch>("currNr"), counted, full))
      continue;
    dead.hand = 0;
    // RESERVED in no slot and in nobody's hand: its slab cannot go. Any other may be gone by now.
    if (there || atomicLoad<u8>(state) != STATE_RESERVED || <u32>atomicLoad<u64>(entry) != owner) return true;
    if (atomicSwap<u8>(state, <u8>STATE_RESERVED, <u8>stateCached()))
      giveBack(changetype<Pool>(epoch.pool), element, state);
    return true;
  }
  return false;
}

/** Whether another living thread has an element on its way into this reserve or out. */
function anyHand(epoch: Epoch): bool {
  for (let number: u32 = 0; number < heap().threads; number++) {
    const thread = living(number);
    if (!thread) continue;
    const element = atomicLoad<u32>(thread + offsetof<Thread>("hand"));
    if (element && changetype<usize>(cacheOf(element)) == changetype<usize>(epoch)) return true;
  }
  return false;
}

/** Its handles are nobody's, and the pools it has been in look for themselves. */
function reapHandles(number: u32): void {
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    const m = changetype<Magazine>(pool.magazines ? magazineAt(pool, number) : 0);
    if (changetype<usize>(m) && m.live) {
      leaveLine(m);
      m.taken -= roundsIn(m);
      magazineShrink(m);
      atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"), 0);
      atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("live"), 0);
    }
    if (atomicLoad<u32>(changetype<usize>(pool) + offsetof<Pool>("maker")) == number + 1) {
      // A pool it was just making is nobody's. Of an epoch it was making, or ending, nothing more is handed out.
      if (pool.made) endOthers(pool);
      else {
        pool.closed = 1;
        clearedRest(pool);
      }
      atomicStore<u32>(changetype<usize>(pool) + offsetof<Pool>("maker"), 0);
    }
    // Who has put one in and died would have looked whether that was too many.
    for (let e = firstEpoch(pool); e; e = changetype<Epoch>(e).next) reserveTrim(changetype<Epoch>(e));
    atomicStore<u32>(changetype<usize>(pool) + offsetof<Pool>("short"), -1);
    summon(pool);
    stirLine(pool);
  }
}

/** All epochs but the current one are over. */
function endOthers(pool: Pool): void {
  for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) {
    if (at != pool.epoch) endEpoch(changetype<Epoch>(at));
  }
}

/** Whether an element was handed over to somebody in line who has not fetched it yet. */
function handedOver(pool: Pool, element: usize): bool {
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (!m) continue;
    let place = changetype<Magazine>(m).waiters;
    for (const end = place + WAITERS * offsetof<Waiter>(); place < end; place += offsetof<Waiter>()) {
      if (<usize>atomicLoad<u32>(place) == element) return true;
    }
  }
  return false;
}

/** Every element that is CACHED by a dead thread; and its marks. */
function reapCached(number: u32): void {
  const cached = <u8>(STATE_CACHED | number);
  const marked = <u8>(STATE_LIVE | STATE_MARK | number);
  for (let page = nextSlab(0); page; page = nextSlab(page + 1)) {
    const at = entryOf(page);
    const entry = atomicLoad<u64>(at);
    if (!entry || entryTag(entry)) continue;
    const slab = changetype<Slab>(<usize>(entry >> 32));
    const cache = changetype<Cache>(<usize>(<u32>entry));
    if (<u32>(changetype<usize>(slab) >>> PAGE_SHIFT) != page) continue;
    const count = min(slab.count, cache.indexEnd);
    for (let i: u32 = 0; i < count; i++) {
      const state = stateOf(slab, i);
      const byte = atomicLoad<u8>(state);
      // The slab may be going, and this be anybody's word; but one that has such an element stays.
      if ((byte != cached && byte != marked) || atomicLoad<u64>(at) != entry) continue;
      if (byte == marked) {
        // In the middle of a bulk free.
        atomicSwap<u8>(state, marked, <u8>(marked ^ STATE_MARK));
        continue;
      }
      const element = firstElement(slab) + i * cache.stride;
      const pool = changetype<Pool>(cache.pool);
      const ofPool = changetype<usize>(pool) != 0;
      if (ofPool && handedOver(pool, element)) continue;
      // Who fetched it meanwhile has marked it first.
      if (!atomicSwap<u8>(state, cached, <u8>stateCached())) continue;
      if (ofPool) giveBack(pool, element, state);
      else elementReturn(element, state);
    }
  }
}

/** A dead thread's arenas end. */
function reapArenas(number: u32): void {
  for (let at = heap().arenas; at;) {
    const arena = changetype<Arena>(at);
    at = arena.next;
    if (arena.thread != number) continue;
    const first = arena.first;
    arena.first = 0;
    arena.current = 0;
    arenaForget(arena);
    freeChunks(arena, first);
    recordFree(changetype<usize>(arena));
  }
}

/** The next element above `after` that is LIVE in the hands of `thread`, -1: of any; 0 if there is none. */
export function mempool_next_live(m: Magazine, after: usize, thread: u32): usize {
  for (let page = nextSlab(after >>> PAGE_SHIFT); page; page = nextSlab(page + 1)) {
    const entry = atomicLoad<u64>(entryOf(page));
    if (!entry || entryTag(entry)) continue;
    const epoch = changetype<Epoch>(<usize>(<u32>entry));
    if (epoch.pool != m.pool) continue;
    const slab = changetype<Slab>(<usize>(entry >> 32));
    const first = firstElement(slab);
    const stride = epoch.stride;
    const end = (page + 1) << PAGE_SHIFT;
    // Those that begin in this page.
    let i: u32 = after < first ? 0 : <u32>(after - first) / stride + 1;
    const from = page << PAGE_SHIFT;
    if (first + i * stride < from) i = <u32>(from - first + stride - 1) / stride;
    for (const count = min(slab.count, epoch.indexEnd); i < count && first + i * stride < end; i++) {
      const state = atomicLoad<u8>(stateOf(slab, i));
      if (state & STATE_LIVE && (thread == -1 || (state & 0x3f) == thread)) return first + i * stride;
    }
  }
  return 0;
}

/** The first page from `page` on that is in a slab, as far as its entry says; 0 if there is none. */
function nextSlab(page: u32): u32 {
  for (; page < PAGE_NUMBERS; page++) {
    const at = entryOf(page);
    if (!at) {
      page |= LEAF_ENTRIES - 1;
      continue;
    }
    const entry = atomicLoad<u64>(at);
    if (entry && !entryTag(entry)) return page;
  }
  return 0;
}
