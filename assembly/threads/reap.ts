/**
 * Reaping: what a dead thread held returns to the heap.
 *
 * A thread may die in the middle of anything. Before it takes something apart it names it in its Thread, and the state
 * bytes name the thread. So the reaper finds:
 * - runs of pages, slabs, a cache's counts, and an element on its way into or out of a reserve, by `run`, `slab`,
 *   `counting` and `hand`: recover.ts;
 * - its Waiters, and elements that were handed over to them: returned (leaveQueue);
 * - elements CACHED by it, in a magazine or held: returned (reapCached), but for those that it handed over to waiters;
 * - how many of those `taken` counts: all but those in transit, as the flags of magazine and Thread say (uncount);
 * - marks of a bulk free: taken off (reapCached);
 * - blocks of malloc's that it was freeing: freed (reapBlocks); one that it was resizing has its old or its new length;
 * - arenas, pools it was making, pools that no other thread can reach: they end. An epoch it was making or ending:
 *   over;
 * - elements that are outstanding and its own: nextLive lists them, and they stay, since other threads may use them by
 *   now. The caller lists them first: after the reap another thread may get the number.
 *
 * Then every pool counts as short, its cached elements are recalled, and in the end its waiters are woken, since the
 * dead thread may have changed a word and not done what comes after it.
 *
 * Other threads allocate and free all the while. The reaper holds the lock of the heap's lists, for which it tries a
 * bounded number of times; it takes the lock over from the dead thread. Each step may be done again, so a reaper that
 * dies is reaped. Nothing else waits. Costs a look at all memory.
 */
import { atomicLoad, atomicStore, compareExchange, DEBUG, guess, THREADS, WAITS, WITH_MALLOC } from "../base/atomics";
import { heap, heapBase, numbersGiven, selfNumber, threadAt } from "../base/instance";
import { beginThreadTransit, endThreadTransit } from "../base/intent";
import {
  BACKEND_EXTERNAL,
  Epoch,
  Heap,
  IN_TRANSIT,
  LIFE_DEAD,
  LIFE_JOINING,
  LIFE_LEFT,
  LIFE_MASK,
  Magazine,
  MAX_THREADS,
  Pool,
  ROUND,
  SIZE_CLASSES,
  STATE_CACHED,
  STATE_LIVE,
  STATE_MARK,
  TAKEN,
  TAKEN_IN_TRANSIT,
  TAKEN_UNCOUNTED,
  Thread,
  Waiter,
  WAITING,
  WOKEN_CLOSED,
} from "../base/layout";
import { lockAt, relink, tryLock, unlock } from "../base/list";
import { mend } from "../debug/trace";
import { reapBlocks } from "../memory/blocks";
import { elementReturn } from "../memory/elements";
import { cacheAt, cacheIn, stateAt, stateCached, stateIn } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { nextElement } from "../memory/walk";
import { endOthers, tryEndShared } from "../pool/epoch";
import { markShort, recallCached } from "../pool/gate";
import { storeUnowned, waitersEnd, wakeAll } from "../pool/handoff";
import { beginTransitAt, endTransitAt, magazineShrink } from "../pool/magazine";
import { firstEpoch, isClosed, magazineAt, roundsIn, tableLength, takenAt, wordOf } from "../pool/pool";
import { reclaimAll } from "../pool/reclaim";
import { reserveTrim } from "../pool/reserve";
import { destroyIfOver } from "../pool/teardown";
import { endArenas, settlePools } from "./handles";
import { endLife, lifeAt, lifeOf } from "./life";
import { cancel, leaveQueue } from "./queue";
import { reapHand, reapRun, reapSlab, recountPages, recountSlabs } from "./recover";

/** How often a reaper tries to take the lock before it gives up for now. */
const LOCK_TRIES: u32 = 1 << 20;

/**
 * Reaps a dead thread. Returns 1; 0 if the number is this thread's, or no thread with this label bears it (a label of 0
 * is any); -1 if another thread that has stopped or died is in the way: the caller tries again later, or reaps that one
 * first. The caller must know that the thread is dead.
 */
export function reapThread(number: u32, label: u32): i32 {
  if (number >= numbersGiven() || number == selfNumber()) return 0;
  const at = lifeAt(number);
  let life = atomicLoad<u64>(at);
  if (!((<u32>life) & LIFE_MASK) || (label && <u32>(life >> 32) != label)) return 0;
  if (((<u32>life) & LIFE_MASK) != LIFE_DEAD) {
    // From now on no thread waits for it, nor does the reaper of another thread.
    const dead = lifeOf(life, LIFE_DEAD, <u32>(life >> 32));
    if (!compareExchange<u64>(at, life, dead)) return 0;
    life = dead;
  }
  // It may have died while it had the lock.
  let tries = LOCK_TRIES;
  while (!tryLock()) {
    if (!--tries) return -1;
    if (atomicLoad<u32>(lockAt()) != number + 1) continue;
    if (!compareExchange<u32>(lockAt(), number + 1, selfNumber() + 1)) continue;
    heap().poolCount = relink(heapBase() + offsetof<Heap>("pools"));
    heap().arenaCount = relink(heapBase() + offsetof<Heap>("arenas"));
    atomicStore<u32>(heapBase() + offsetof<Heap>("walker"), 0);
    break;
  }
  // Another thread may have reaped it meanwhile, and a third may bear its number.
  const done = atomicLoad<u64>(at) == life ? i32(reapLocked(number)) : 0;
  if (done) offerToWaiters();
  unlock();
  return done || atomicLoad<u64>(at) != life ? done : -1;
}

/** The caller has the lock. False: another thread is in the way. */
function reapLocked(number: u32): bool {
  const dead = changetype<Thread>(threadAt(number));
  const at = lifeAt(number);
  const life = atomicLoad<u64>(at);
  const transit = beginThreadTransit();
  heap().reaped++;
  const done = reapRun(dead) && recountPages(dead) && recountSlabs(dead) && reapSlab(dead) && reapHand(dead);
  if (done) {
    if (WITH_MALLOC) reapBlocks(number);
    reapHandles(number);
    endArenas(number);
    endLife(at, life);
  }
  endThreadTransit(transit);
  if (done) settlePools();
  return done;
}

/** Reaps threads that have left without the lock (announceLeft). False: another thread has the lock. */
export function finishLeavers(): bool {
  if (!atomicLoad<u32>(heapBase() + offsetof<Heap>("leavers"))) return true;
  if (!tryLock()) return false;
  let finished = false;
  for (let number: u32 = 0; number < numbersGiven(); number++) {
    const life = atomicLoad<u64>(lifeAt(number));
    const isLeft = ((<u32>life) & LIFE_MASK) == LIFE_LEFT;
    // Another thread began to finish it, and died. A thread without a label that died while it joined looks the same,
    // and has as little.
    const isBegun = ((<u32>life) & (LIFE_MASK | LIFE_JOINING)) == (LIFE_DEAD | LIFE_JOINING) && !(life >> 32);
    if (!isLeft && !isBegun) continue;
    // The compare-exchange fails if a thread that joins has taken the number: that thread finishes it.
    if (isLeft && !compareExchange<u64>(lifeAt(number), life, lifeOf(life, LIFE_DEAD, 0) | LIFE_JOINING)) continue;
    if (reapLocked(number)) finished = true;
    else if (isLeft) atomicStore<u64>(lifeAt(number), life);
  }
  if (finished) offerToWaiters();
  unlock();
  return true;
}

/**
 * Has all waiters search, once the memory that a reaped thread had is free: also for pools of which this thread has no
 * handle. The caller has the lock.
 */
function offerToWaiters(): void {
  reclaimAll();
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) wakeAll(changetype<Pool>(at), WAITING);
}

/** Ends the dead thread's handles. */
function reapHandles(number: u32): void {
  const walker = heapBase() + offsetof<Heap>("walker");
  // Ordering: stored before an element is looked at. Until it is cleared no slab goes back to pages (sweep), so an
  // element that the walk has found stays one.
  atomicStore<u32>(walker, selfNumber() + 1);
  uncount(number);
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const m = magazineIn(changetype<Pool>(at), number);
    if (changetype<usize>(m) && m.liveState) leaveQueue(m);
  }
  reapCached(number);
  atomicStore<u32>(walker, 0);
  for (let sizeClass: u32 = 1; WITH_MALLOC && sizeClass < SIZE_CLASSES; sizeClass++) {
    const taken = takenAt(number, sizeClass);
    if (taken) endTransitAt(taken, 0);
  }
  for (let at = heap().pools; at;) {
    const pool = changetype<Pool>(at);
    at = pool.next;
    const m = magazineIn(pool, number);
    if (changetype<usize>(m)) {
      atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("bulks"), (m.bulks + 1) & ~1);
      magazineShrink(m);
      m.taken &= TAKEN;
      atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"), 0);
      atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("liveState"), 0);
    }
    if (atomicLoad<u32>(wordOf(pool, offsetof<Pool>("resizer"))) == number + 1) {
      // It made or ended an epoch, or made the pool, which then ends.
      if (pool.initialised) endOthers(pool);
      else atomicStore<u32>(wordOf(pool, offsetof<Pool>("closed")), 1);
      atomicStore<u32>(wordOf(pool, offsetof<Pool>("resizer")), 0);
    }
    // It may have put an element into the reserve and died before it trimmed (reservePut).
    for (let e = firstEpoch(pool); e; e = changetype<Epoch>(e).next) reserveTrim(changetype<Epoch>(e));
    if (isClosed(pool)) tryEndShared(pool);
    // It may have died after it took an element of the reserve and before it said so.
    markShort(pool);
    recallCached(pool);
    destroyIfOver(pool);
  }
}

/**
 * Takes the elements that a dead thread has cached, holds, or did not fetch from its Waiters out of `taken`: for each
 * magazine in one store that also empties it and sets TAKEN_UNCOUNTED. So if the reaper dies, they are taken out once.
 * An element that the dead thread handed over stays: it is outstanding, for its waiter. `inTaken` counts them
 * for each magazine; of a pool of which the thread had no handle, it holds one element at most.
 */
function uncount(number: u32): void {
  const isCounted = !(changetype<Thread>(threadAt(number)).transit & IN_TRANSIT);
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    const m = magazineIn(pool, number);
    // Only the dead thread could add to those that it handed over.
    if (WAITS) pool.handedOver = <u32>isInWaiter(pool, 0);
    if (!changetype<usize>(m)) continue;
    m.inTaken = m.liveState ? unfetched(m) : 0;
    // The walk below finds these, too.
    if (isCounted && !(m.taken & TAKEN_IN_TRANSIT)) m.inTaken -= cachedRounds(m, number);
  }
  for (
    let element = isCounted ? nextCached(0, number, false) : 0;
    element;
    element = nextCached(element, number, false)
  ) {
    const epoch = changetype<Epoch>(cacheAt(element));
    const pool = changetype<Pool>(epoch.pool);
    const m = magazineIn(pool, number);
    if (!changetype<usize>(m) || !m.liveState) {
      const taken = WITH_MALLOC && epoch.sizeClass ? takenAt(number, epoch.sizeClass) : 0;
      if (taken && !(load<u32>(taken) & TAKEN_IN_TRANSIT)) beginTransitAt(taken, -1);
      continue;
    }
    if (m.taken & TAKEN_IN_TRANSIT || isHandedOver(pool, element)) continue;
    // A waiter that has fetched it meanwhile has marked it first.
    if (<u32>atomicLoad<u8>(stateAt(element)) == (STATE_CACHED | number)) m.inTaken++;
  }
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const m = magazineIn(changetype<Pool>(at), number);
    if (!changetype<usize>(m) || m.taken & TAKEN_UNCOUNTED) continue;
    const left = (m.taken - roundsOf(m) - m.inTaken) & TAKEN;
    store<u64>(changetype<usize>(m), (<u64>m.first) | ((<u64>(left | TAKEN_IN_TRANSIT | TAKEN_UNCOUNTED)) << 32));
  }
}

/** The first element above `after` that is CACHED by a thread; with `own` also one of the allocator's records. */
function nextCached(after: usize, number: u32, own: bool): usize {
  return nextElement(after, 0xff, STATE_CACHED | number, 0, own);
}

/** Cancels a magazine's Waiters that are WAITING; returns how many others have an element that was not fetched. */
function unfetched(m: Magazine): u32 {
  if (!WAITS) return 0;
  let n: u32 = 0;
  let waiter = m.waiters;
  for (const end = waitersEnd(waiter); waiter < end; waiter += offsetof<Waiter>()) {
    if (cancel(waiter)) n++;
  }
  return n;
}

/** The magazine of a thread; null if it never had one, or the pool was never complete. */
function magazineIn(pool: Pool, number: u32): Magazine {
  return changetype<Magazine>(pool.magazines ? magazineAt(pool, number) : 0);
}

/** Whether an element is in a Waiter: handed over, and not fetched yet. uncount has looked whether any is. */
@inline
function isHandedOver(pool: Pool, element: usize): bool {
  return WAITS && pool.handedOver && isInWaiter(pool, element);
}

/** Whether a Waiter has an element; 0: any. */
function isInWaiter(pool: Pool, element: usize): bool {
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (!m) continue;
    let waiter = changetype<Magazine>(m).waiters;
    for (const end = waitersEnd(waiter); waiter < end; waiter += offsetof<Waiter>()) {
      const value = atomicLoad<u32>(waiter);
      if (element ? <usize>value == element : value > WOKEN_CLOSED) return true;
    }
  }
  return false;
}

/**
 * Returns every element that is CACHED by a dead thread, and takes off the marks of its bulk free, which are on any
 * thread's elements. Marks that another thread has just made may go, too: its bulk free then frees an element once that
 * it names twice.
 */
function reapCached(number: u32): void {
  const cached = <u8>(STATE_CACHED | number);
  for (let element = nextCached(0, number, true); element; element = nextCached(element, number, true)) {
    const entry = entryAt(element);
    const state = stateIn(entry, element);
    const pool = changetype<Pool>(cacheIn(entry).pool);
    // Ordering: a waiter that has fetched it marked it LIVE before it cleared the Waiter (endWait): then the
    // compare-exchange fails.
    if (changetype<usize>(pool) && isHandedOver(pool, element)) continue;
    if (!compareExchange<u8>(state, cached, <u8>stateCached())) continue;
    // It may have died while it filled the element.
    if (DEBUG && changetype<usize>(pool)) mend(element);
    // An empty box is in a slab, never in the reserve.
    const isEmpty = cacheIn(entry).backend == BACKEND_EXTERNAL && !load<u32>(element);
    if (changetype<usize>(pool) && !isEmpty) storeUnowned(pool, element);
    else elementReturn(entry, state);
  }
  const dead = changetype<Thread>(threadAt(number));
  const marked = STATE_LIVE | STATE_MARK;
  let element: usize = 0;
  while (dead.transit >> 1 && (element = nextElement(element, marked, marked, 0, false))) {
    const state = stateAt(element);
    const byte = atomicLoad<u8>(state);
    if ((byte & (<u8>marked)) == <u8>marked) compareExchange<u8>(state, byte, <u8>(byte ^ STATE_MARK));
  }
  dead.transit = 0;
}

/** The rounds of a dead thread's magazine, which has one at most without capacity; 0 if it died as it moved them (setRounds). */
function roundsOf(m: Magazine): u32 {
  const n = roundsIn(m);
  return n > max<u32>(1, m.capacity) ? 0 : n;
}

/** How many rounds are still CACHED: it may have died while it returned them, and their slabs may be gone. */
function cachedRounds(m: Magazine, number: u32): u32 {
  let n: u32 = 0;
  for (let round = m.first, end = round + roundsOf(m) * ROUND; round < end; round += ROUND) {
    const element = load<u32>(round);
    const state = load<u32>(round, 4);
    if (<u32>guess<u8>(state) != (STATE_CACHED | number)) continue;
    // The byte was a state byte if the slab is there after it was read.
    const entry = entryAt(element);
    if (entry && <u32>atomicLoad<u64>(entry) == <u32>m.epoch && stateIn(entry, element) == state) n++;
  }
  return n;
}

/**
 * The first outstanding element above `after` that is a thread's (-1: any thread's); 0 if there is none. Other threads
 * may be at work: then the answer was true at some instant of the call.
 */
export function nextLive(m: Magazine, after: usize, thread: u32): usize {
  // While a thread is joining, elements that bear its number are an earlier bearer's.
  if (THREADS && thread < MAX_THREADS && (<u32>atomicLoad<u64>(lifeAt(thread))) & LIFE_JOINING) return 0;
  if (thread == -1) return nextElement(after, STATE_LIVE, STATE_LIVE, m.pool, false);
  return thread < MAX_THREADS ? nextElement(after, 0xff & ~STATE_MARK, STATE_LIVE | thread, m.pool, false) : 0;
}
