/**
 * Recovery of the structures that threads share, where a dead thread left them half-done. It named them in its Thread:
 * - `run`: pages it was taking or giving back. If all were its own (RUN_OURS), they are free now; else those whose bit
 *   is clear, that no entry names, and that no other thread's run has (reapRun). If memory was growing, the heap's
 *   pages are counted anew (recountPages);
 * - `counting`: a cache whose slabs it was counting up or down: they are counted anew (recountSlabs);
 * - `slab`: a slab it was taking from or returning to: its `out` and its groups are found anew from the state bytes,
 *   and it goes back on the stack if it is on none (reapSlab);
 * - `hand`: an element on its way into a reserve or out: if it is RESERVED and in no slot, the reaper takes it; the
 *   reserve is counted anew (reapHand).
 *
 * Other threads work on the same structures meanwhile. A look at one is good if no living thread worked on it from
 * before the look until after it: none names it before or after, and the numbers that threads raise whenever they name
 * something add up to the same (workOn, workOnRuns). The reaper then corrects the difference that the dead thread left.
 * No other thread's work changes that difference, so work that begins after the look does no harm. A disturbed look is
 * repeated; after TRIES of them the step gives up for now (false). Each word is cleared last, so that the step can be
 * done again if the reaper dies.
 *
 * The caller has the lock. Costs a look at the structure; recountPages and recountSlabs, at the page map.
 */
import { atomicAdd, atomicLoad, atomicStore, compareExchange, guess, WITH_MALLOC } from "../base/atomics";
import { heapBase, numbersGiven, selfNumber, threadAt } from "../base/instance";
import {
  Cache,
  ENDED,
  Epoch,
  Heap,
  LEAF_ENTRIES,
  LIFE_ALIVE,
  LIFE_MASK,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  Pool,
  RUN_GROWS,
  RUN_OURS,
  RUN_SHIFT,
  Slab,
  SLAB_GROUPS,
  SLAB_KEPT,
  SLAB_OUT_SHIFT,
  STATE_FREE,
  STATE_NEVER,
  STATE_RESERVED,
  TAG_MASK,
  Thread,
} from "../base/layout";
import { userSize } from "../base/user";
import { blockOfPage } from "../memory/blocks";
import { indexOf, records, slabPage, slabPages, stateCached, stateOf, summaryAt } from "../memory/geometry";
import { entryAt, entryOfPage, entryTag, entryWrite, nextSlab } from "../memory/map";
import { bitsSet, isPageFree, runFreed } from "../memory/runs";
import { partialOf, slabPush, sweptOf } from "../memory/slab";
import { storeUnowned } from "../pool/handoff";
import { currNr, slotAt, slotCount } from "../pool/reserve";
import { lifeAt } from "./life";

/** How often a look is repeated where another thread is at work. */
const TRIES: u32 = 1 << 12;

/** The Thread with this number, if it is alive as far as is known, and not this thread's own; else 0. */
function living(number: u32): usize {
  const life = (<u32>atomicLoad<u64>(lifeAt(number))) & LIFE_MASK;
  return number != selfNumber() && life == LIFE_ALIVE ? threadAt(number) : 0;
}

/* The words in which a thread names its work, for workOn. */
const WORD_SLAB: u32 = 0;

const WORD_HAND: u32 = 1;

const WORD_COUNTING: u32 = 2;

/**
 * -1 while another living thread works on `address`: a slab, an epoch's reserve, or a cache's slabs. Else a number that
 * changes when one has worked on it.
 */
function workOn(word: u32, address: usize): i64 {
  let sum: u64 = 0;
  for (let number: u32 = 0; number < numbersGiven(); number++) {
    const thread = living(number);
    if (!thread) continue;
    let named: u32;
    if (word == WORD_COUNTING) {
      // Ordering: announceCounting stores the name, then the number; so the number is read first.
      sum += atomicLoad<u32>(thread + offsetof<Thread>("counts"));
      named = atomicLoad<u32>(thread + offsetof<Thread>("counting"));
    } else {
      const intent = atomicLoad<u64>(
        thread + (word == WORD_SLAB ? offsetof<Thread>("slab") : offsetof<Thread>("hand")),
      );
      sum += intent >> 32;
      named = <u32>intent;
      if (named && word == WORD_HAND) named = ownerOf(named);
    }
    if (named && named == <u32>address) return -1;
  }
  return <i64>sum;
}

/** The cache of an address in a slab: the low half of its page map entry. */
function ownerOf(address: usize): u32 {
  const entry = entryAt(address);
  return entry ? <u32>atomicLoad<u64>(entry) : 0;
}

/**
 * -1 while another living thread takes or gives back a run that has `page` (0: any run). Else a number that changes
 * when one has done so.
 */
function workOnRuns(page: u32): i64 {
  let sum: u64 = 0;
  for (let number: u32 = 0; number < numbersGiven(); number++) {
    const thread = living(number);
    if (!thread) continue;
    const run = atomicLoad<u64>(thread + offsetof<Thread>("run"));
    sum += run >> RUN_SHIFT;
    const first = (<u32>run) & (PAGE_NUMBERS - 1);
    const pages = (<u32>(run >> 20)) & (PAGE_NUMBERS - 1);
    if (page ? page - first < pages : pages || run & RUN_GROWS) return -1;
  }
  return <i64>sum;
}

export function reapRun(dead: Thread): bool {
  const run = dead.run;
  const runAt = changetype<usize>(dead) + offsetof<Thread>("run");
  const first = (<u32>run) & (PAGE_NUMBERS - 1);
  const pages = (<u32>(run >> 20)) & (PAGE_NUMBERS - 1);
  if (run & RUN_OURS) {
    // A block that the pages belong to was growing or shrinking: its first entry says that it has them.
    if (WITH_MALLOC && blockOfPage(first)) {
      atomicStore<u64>(runAt, run & RUN_GROWS);
      return true;
    }
    // A slab that it was making may be complete, but no thread has taken from it.
    for (let page = first; page < first + pages; page++) entryWrite(page, 0);
    // Before the bits: once a bit is set, another thread may take the page.
    atomicStore<u64>(runAt, run & ~RUN_OURS);
    bitsSet(first, first + pages);
    atomicStore<u64>(runAt, run & RUN_GROWS);
    return true;
  }
  for (let page = first; page < first + pages; page++) {
    let tries = TRIES;
    while (isUnclaimed(page)) {
      if (!--tries) return false;
      const before = workOnRuns(page);
      // No run came or went during the look, so the page is the dead thread's.
      if (before == -1 || !isUnclaimed(page) || workOnRuns(page) != before) continue;
      bitsSet(page, page + 1);
      break;
    }
  }
  atomicStore<u64>(runAt, run & RUN_GROWS);
  return true;
}

/** Whether a page is neither free nor named by an entry. */
function isUnclaimed(page: u32): bool {
  return !isPageFree(page) && !atomicLoad<u64>(entryOfPage(page));
}

export function recountPages(dead: Thread): bool {
  if (!(dead.run & RUN_GROWS)) return true;
  const pagesAt = heapBase() + offsetof<Heap>("pages");
  for (let tries = TRIES; tries; tries--) {
    const before = workOnRuns(0);
    if (before == -1) continue;
    const counted = atomicLoad<u32>(pagesAt);
    let pages: u32 = 0;
    for (let page: u32 = 0, end = userSize() * PAGES_PER_WASM_PAGE; page < end; page++) {
      const at = entryOfPage(page);
      if (!at) {
        page |= LEAF_ENTRIES - 1;
        continue;
      }
      if (atomicLoad<u64>(at) || isPageFree(page)) pages++;
    }
    if (workOnRuns(0) != before) continue;
    atomicAdd<u32>(pagesAt, pages - counted);
    runFreed();
    dead.run = 0;
    return true;
  }
  return false;
}

export function recountSlabs(dead: Thread): bool {
  const cache = <usize>dead.counting;
  if (!cache) return true;
  const slabsAt = cache + offsetof<Cache>("slabs");
  const pagesAt = cache + offsetof<Cache>("slabPages");
  const capacityAt = cache + offsetof<Cache>("capacity");
  for (let tries = TRIES; tries; tries--) {
    const before = workOn(WORD_COUNTING, cache);
    if (before == -1) continue;
    let slabs: u32 = -atomicLoad<u32>(slabsAt);
    let pages: u32 = -atomicLoad<u32>(pagesAt);
    const counted = atomicLoad<u32>(capacityAt);
    let capacity: u32 = -counted;
    for (let page = nextSlab(0); page; page = nextSlab(page + 1)) {
      const entry = atomicLoad<u64>(entryOfPage(page));
      if (<u32>entry != <u32>cache) continue;
      const slab = changetype<Slab>(<usize>(entry >> 32));
      if (slabPage(slab) != page) continue;
      slabs++;
      pages += slabPages(slab);
      capacity += slab.end;
      page += slabPages(slab) - 1;
    }
    if (workOn(WORD_COUNTING, cache) != before) continue;
    atomicAdd<u32>(slabsAt, slabs);
    atomicAdd<u32>(pagesAt, pages);
    if (counted != ENDED) atomicAdd<u32>(capacityAt, capacity);
    atomicStore<u32>(changetype<usize>(dead) + offsetof<Thread>("counting"), 0);
    return true;
  }
  return false;
}

export function reapSlab(dead: Thread): bool {
  const address = <usize>(<u32>dead.slab);
  if (!address) return true;
  const slab = changetype<Slab>(address);
  const summary = summaryAt(address);
  const page = address >>> PAGE_SHIFT;
  for (let tries = TRIES; tries; tries--) {
    const at = entryOfPage(page);
    const entry = at ? atomicLoad<u64>(at) : 0;
    if (!entry || entryTag(entry) || <usize>(entry >> 32) != address) {
      // The slab is gone.
      atomicStore<u64>(changetype<usize>(dead) + offsetof<Thread>("slab"), 0);
      return true;
    }
    const cache = changetype<Cache>(<usize>(<u32>entry));
    const before = workOn(WORD_SLAB, address);
    if (before == -1 || workOnRuns(page) == -1) continue;
    const old = atomicLoad<u64>(summary);
    const isStacked = isOnStack(cache, address);
    const end = min(slab.end, cache.indexEnd);
    let carved = min(slab.carved, end);
    // A thread that retires the slab names it, or has its pages in a run; or the slab is gone. If the slab is on no
    // stack either, no thread but this one can take from it from now on, though others may return to it.
    if (workOn(WORD_SLAB, address) != before || workOnRuns(page) == -1 || atomicLoad<u64>(at) != entry) continue;
    // The thread may have died while it carved: the state bytes are the truth.
    if (!isStacked) {
      for (let i: u32 = 0; i < end; i++) {
        const state = stateOf(slab, i);
        if (i < carved) compareExchange<u8>(state, <u8>STATE_NEVER, <u8>STATE_FREE);
        else if (atomicLoad<u8>(state) != STATE_NEVER) carved = i + 1;
      }
    }
    let out: u64 = 0;
    for (let i: u32 = 0; i < carved; i++) {
      if (atomicLoad<u8>(stateOf(slab, i)) != STATE_FREE) out++;
    }
    if (workOn(WORD_SLAB, address) != before || workOnRuns(page) == -1 || atomicLoad<u64>(at) != entry) continue;
    // No other thread's work changes by how much the dead thread left `out` wrong: so a summary that has changed since
    // it was read, and changed back, is as good.
    if (!compareExchange<u64>(summary, old, SLAB_GROUPS | SLAB_KEPT | (out << SLAB_OUT_SHIFT))) continue;
    if (!isStacked) {
      // Still on no stack: the summary says SLAB_KEPT, so no other thread pushes it.
      slab.carved = carved;
      slabPush(partialOf(cache), address);
    }
    atomicStore<u64>(changetype<usize>(dead) + offsetof<Thread>("slab"), 0);
    return true;
  }
  return false;
}

function isOnStack(cache: Cache, slab: usize): bool {
  let found: bool;
  let one: u64;
  let two: u64;
  do {
    one = atomicLoad<u64>(partialOf(cache));
    two = atomicLoad<u64>(sweptOf(cache));
    found = isInStack(<usize>(<u32>one), slab) || isInStack(<usize>(<u32>two), slab);
  } while (atomicLoad<u64>(partialOf(cache)) != one || atomicLoad<u64>(sweptOf(cache)) != two);
  return found;
}

function isInStack(at: usize, slab: usize): bool {
  for (let steps: u32 = PAGE_NUMBERS; at && steps; steps--) {
    if (at == slab) return true;
    const entry = entryAt(at);
    // The stack has changed, and `at` is no slab any more.
    if (!entry || <usize>guess<u32>(entry + 4) != at) break;
    at = guess<u32>(at + offsetof<Slab>("next"));
  }
  return false;
}

export function reapHand(dead: Thread): bool {
  const element = <usize>(<u32>dead.hand);
  if (!element) return true;
  const entry = entryAt(element);
  const word = atomicLoad<u64>(entry);
  const owner = <u32>word;
  const epoch = changetype<Epoch>(<usize>owner);
  const slab = changetype<Slab>(<usize>(word >> 32));
  const isGone = !owner || (owner & TAG_MASK) != 0 || owner == changetype<u32>(records());
  const index: u32 = isGone ? 0 : indexOf(epoch, slab, element);
  if (isGone || index >= epoch.indexEnd) {
    // Its slab is gone, so the element had got where it went: an element on its way keeps its slab.
    atomicStore<u64>(changetype<usize>(dead) + offsetof<Thread>("hand"), 0);
    return true;
  }
  const state = stateOf(slab, index);
  for (let tries = TRIES; tries; tries--) {
    const before = workOn(WORD_HAND, owner);
    if (before == -1) continue;
    const counted = currNr(epoch);
    let filled: u32 = 0;
    let isInSlot = false;
    for (let i: u32 = 0; i < slotCount(epoch); i++) {
      const slot = atomicLoad<u32>(slotAt(epoch, i));
      if (slot) filled++;
      if (slot == <u32>element) isInSlot = true;
    }
    // RESERVED, in no slot and in no other hand: its slab cannot go. The slab of any other element may be gone by now.
    const isLost = !isInSlot && atomicLoad<u8>(state) == STATE_RESERVED && atomicLoad<u64>(entry) == word;
    if (workOn(WORD_HAND, owner) != before) continue;
    if (!compareExchange<u32>(changetype<usize>(epoch) + offsetof<Epoch>("currNr"), counted, filled)) continue;
    const isMine = isLost && compareExchange<u8>(state, <u8>STATE_RESERVED, <u8>stateCached());
    atomicStore<u64>(changetype<usize>(dead) + offsetof<Thread>("hand"), 0);
    if (isMine) storeUnowned(changetype<Pool>(epoch.pool), element);
    return true;
  }
  return false;
}
