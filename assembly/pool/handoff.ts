/**
 * Hand-over: a freed element goes to a waiter or is stored, and waiters are served from what is stored.
 *
 * The wait queue is no list, which a dead thread could leave broken: it is the Waiters of all magazines whose value is
 * WAITING, by sequence. handOver changes value and sequence of the first by one compare-exchange, which fails if that
 * waiter was served or cancelled meanwhile. A held element is CACHED by its thread and no round (magazine.ts); a
 * handed-over element stays CACHED by the thread that handed it over until its waiter fetches it (endWait).
 *
 * No wake-up is lost. A waiter stores `end` and WAITING, then sets the pool's `waiting` and recalls what is cached, then searches
 * (beginWait). A freeing thread publishes its element in the reserve or its slab, then reads `waiting`. At least one of
 * them sees the other. An element that goes into a magazine meanwhile returns with the recall: see gate.ts. hasWaiter
 * clears `waiting` only if it has not changed since before the queue was found empty.
 *
 * Invariants (checkPool of inspect/check.ts): rounds + handed-over elements = CACHED elements; no waiter waits while
 * the reserve has an element.
 *
 * A notification is sent by giveWaiter (an element) and wakeAll (the close, a reap) alone. serve runs in a
 * slow alloc or free, and when a thread waits, resizes, reclaims, refreshes, is idle or leaves. The nudge of gate.ts
 * wakes idle threads, so that they serve.
 *
 * Costs a look at each magazine of the pool and its Waiters in use, only while `waiting` is set. Waits for no thread, and never
 * sleeps.
 */
import {
  atomicAdd,
  atomicLoad,
  atomicNotify,
  atomicStore,
  compareExchange,
  DEBUG,
  THREADS,
  WAITS,
} from "../base/atomics";
import { selfNumber } from "../base/instance";
import { beginThreadTransit, endThreadTransit } from "../base/intent";
import { Cache, Epoch, Magazine, Pool, ROUND, STATE_LIVE, Waiter, WAITING, WOKEN_CLOSED } from "../base/layout";
import { elementReturn, elementTake } from "../memory/elements";
import { cacheIn, stateAt, stateCached, stateIn } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { slabSweepOld } from "../memory/slab";
import { isSampledNow, sampledOf, tryEnd } from "./epoch";
import { clearShort, markShort, syncGate } from "./gate";
import {
  beginTransit,
  beginTransitAt,
  endTransit,
  endTransitAt,
  giveCached,
  isExternal,
  makeRoom,
  pushRound,
  refill,
} from "./magazine";
import {
  current,
  isClosed,
  isShort,
  isStale,
  isWaiting,
  magazineAt,
  notePeak,
  poolOf,
  roundsIn,
  tableLength,
  takenAt,
  wordOf,
} from "./pool";
import { drain } from "./quarantine";
import { reservePut, reserveTake } from "./reserve";

/** The half of a waiter's word that has its sequence number. */
const SEQUENCE: u64 = ~(<u64>0xffffffff);

/** The end of the Waiters of a thread that may be in use; the address is that of its first. */
@inline
export function waitersEnd(waiters: usize): usize {
  return atomicLoad<u32>(waiters + offsetof<Waiter>("end"));
}

/**
 * The waiter with the lowest sequence number: its address | its sequence number << 32. 0 if there is none. Costs a look
 * at each thread of the pool, and at the Waiters of those that wait.
 */
function firstWaiter(pool: Pool): u64 {
  let first: u64 = 0;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (!m) continue;
    let waiter = changetype<Magazine>(m).waiters;
    for (const end = waitersEnd(waiter); waiter < end; waiter += offsetof<Waiter>()) {
      const word = atomicLoad<u64>(waiter);
      // Sequence numbers wrap, so their difference decides.
      if (<u32>word != WAITING || (first && <i32>(<u32>(word >> 32) - <u32>(first >> 32)) >= 0)) continue;
      first = (word & SEQUENCE) | (<u64>waiter);
    }
  }
  return first;
}

/** Gives a waiter its value, if it still waits with the sequence number that firstWaiter saw, and wakes it. */
function giveWaiter(first: u64, value: usize): bool {
  const waiter = <usize>(<u32>first);
  const sequence = first & SEQUENCE;
  if (!compareExchange<u64>(waiter, sequence | (<u64>WAITING), sequence | (<u64>value))) return false;
  atomicNotify(waiter);
  return true;
}

/** Takes elements from magazine, slabs and reserve for waiters, as long as there are both. */
export function serve(m: Magazine): void {
  if (!WAITS) return;
  const pool = poolOf(m);
  while (hasWaiter(pool)) {
    if (isClosed(pool)) return wakeAll(pool, WOKEN_CLOSED);
    const element = takeForWaiter(m);
    if (!element) return;
    const entry = entryAt(element);
    if (!handOver(pool, cacheIn(entry), element)) storeFreed(m, entry, element, stateIn(entry, element));
  }
}

/**
 * Whether the queue has a waiter. Clears `waiting` if it has none.
 *
 * Ordering: a waiter stores WAITING, then a new number in `waiting`. If this search missed it, the number comes after
 * the one read here: the compare-exchange fails, or comes before it.
 */
function hasWaiter(pool: Pool): bool {
  const waiting = wordOf(pool, offsetof<Pool>("waiting"));
  while (true) {
    const seen = atomicLoad<u32>(waiting);
    if (!seen) return false;
    if (firstWaiter(pool)) return true;
    compareExchange<u32>(waiting, seen, 0);
  }
}

/**
 * Hands a held element to the first waiter. False, and it is still held: the queue is empty, or the element is of an
 * old epoch.
 *
 * Ordering: the waiter is read, then the pool's epoch. A waiter that began after a reshape stored WAITING after the new
 * epoch was stored, so this thread sees both: no waiter gets an element of a size that was old when it began. (One that
 * begins again under its number, as a bulk request does, counts from its first beginning.)
 */
export function handOver(pool: Pool, epoch: Cache, element: usize): bool {
  for (let first = firstWaiter(pool); first; first = firstWaiter(pool)) {
    if (changetype<Cache>(current(pool)) != epoch && !isSampledNow(pool, epoch)) return false;
    if (giveWaiter(first, element)) return true;
  }
  return false;
}

/** An element for a waiter, held: of the magazine, the slabs, or the reserve; 0 if there is none. */
function takeForWaiter(m: Magazine): usize {
  // Of an old epoch nothing is handed over: it would come back here, without end.
  if (isStale(m)) syncGate(m);
  if (!roundsIn(m) && !refill(m, 1, 1) && !(DEBUG && drain(poolOf(m)) && refill(m, 1, 1))) {
    return (DEBUG ? takeSampled(m) : 0) || takeReserved(m);
  }
  const top = m.top - ROUND;
  m.top = top;
  return load<u32>(top);
}

/** An element that a debug heap samples, held; 0: there is none and no memory for one, or the pool has faults. */
export function takeSampled(m: Magazine): usize {
  // The epoch that this magazine names keeps its record, as does the one that that names (isReusable).
  const epoch = sampledOf(m.epoch);
  if (!changetype<usize>(epoch) || poolOf(m).faults) return 0;
  beginTransit(m, 0);
  const element = elementTake(epoch);
  endTransit(m, element ? 1 : 0);
  return element;
}

/** An element of the reserve, held; 0 if there is none. */
export function takeReserved(m: Magazine): usize {
  const pool = poolOf(m);
  let element: usize;
  do {
    // The epoch that this magazine names keeps its record (isReusable).
    if (isStale(m)) syncGate(m);
    beginTransit(m, 0);
    element = reserveTake(changetype<Epoch>(m.epoch), false);
    endTransit(m, element ? 1 : 0);
  } while (!element && isStale(m));
  if (element) {
    markShort(pool);
    notePeak(pool);
  }
  return element;
}

/** Stores a held element: in the reserve while that is short, else in the magazine, else in its slab. */
export function storeFreed(m: Magazine, entry: usize, element: usize, state: usize): void {
  const pool = poolOf(m);
  const epoch = changetype<Epoch>(cacheIn(entry));
  const closed = isClosed(pool);
  // Without threads takeBack alone calls this, and not for a box.
  const external = THREADS && isExternal(m);
  if (!closed && (isShort(pool) || external)) {
    const reserved = giveToReserve(m, epoch, element, state);
    // This may adopt another epoch.
    clearShort(m);
    if (reserved) return;
  }
  if (external) pushRound(m, m.top, element, state);
  else if (!closed && m.capacity && changetype<usize>(epoch) == m.epoch && !pool.faults && !isWaiting(pool)) {
    makeRoom(m);
    pushRound(m, m.top, element, state);
  } else {
    giveToSlab(m, entry, state);
    if (changetype<usize>(epoch) != m.epoch) slabSweepOld(epoch);
  }
}

/** Puts a held element into its epoch's reserve. False: the reserve is full, and the element still held. */
export function giveToReserve(m: Magazine, epoch: Epoch, element: usize, state: usize): bool {
  beginTransit(m, -1);
  const given = reservePut(epoch, element, state);
  endTransit(m, given ? 0 : 1);
  return given;
}

/** Returns a held element to its slab. */
export function giveToSlab(m: Magazine, entry: usize, state: usize): void {
  beginTransit(m, -1);
  elementReturn(entry, state);
  endTransit(m, 0);
}

/**
 * Waiters, or the check for the pool's end, may have run while this thread held elements: checks again. A pool that
 * ends here is not reported to the caller.
 */
export function serveOrFinish(m: Magazine): void {
  const pool = poolOf(m);
  if (isClosed(pool)) tryEnd(m);
  else if (isWaiting(pool)) flushAndServe(m);
}

/** The same for waiters alone: the end of a pool is reported once, and a free reports it to its caller. */
export function flushAndServe(m: Magazine): void {
  giveCached(m);
  serve(m);
}

/**
 * Wakes all waiters: those of a closed pool by the value WOKEN_CLOSED; with WAITING, to search for themselves. One that
 * was served is notified again: the thread that served it may have died before it notified. One that begins after this
 * has passed it sees for itself that the pool is closed (beginWait).
 */
export function wakeAll(pool: Pool, value: u32): void {
  if (!WAITS) return;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (!m) continue;
    let waiter = changetype<Magazine>(m).waiters;
    for (const end = waitersEnd(waiter); waiter < end; waiter += offsetof<Waiter>()) {
      const word = atomicLoad<u64>(waiter);
      if (<u32>word == WAITING) compareExchange<u64>(waiter, word, (word & SEQUENCE) | (<u64>value));
      atomicNotify(waiter);
    }
  }
}

/**
 * An element of the reserve of a class for a thread that has no handle of the pool, marked as outstanding; 0 if there is none.
 * As takeReserved, with a count of the thread's own.
 */
export function takeWithoutHandle(pool: Pool): usize {
  const taken = takenAt(selfNumber(), current(pool).sizeClass);
  beginTransitAt(taken, 0);
  const element = reserveTake(current(pool), false);
  endTransitAt(taken, element ? 1 : 0);
  if (!element) return 0;
  markShort(pool);
  store<u8>(stateAt(element), <u8>(STATE_LIVE | selfNumber()));
  return element;
}

/** Frees a live element of a class for a thread that has no handle of the pool. As giveToSlab, with a count of its own. */
export function giveWithoutHandle(pool: Pool, entry: usize, element: usize): void {
  const taken = takenAt(selfNumber(), current(pool).sizeClass);
  atomicStore<u8>(stateIn(entry, element), <u8>stateCached());
  beginTransitAt(taken, -1);
  storeUnowned(pool, element);
  endTransitAt(taken, 0);
}

/** Puts a held element that no magazine's `taken` counts into the reserve, else into its slab. */
export function storeUnowned(pool: Pool, element: usize): void {
  const entry = entryAt(element);
  const state = stateIn(entry, element);
  if (isClosed(pool) || !reservePut(changetype<Epoch>(cacheIn(entry)), element, state)) elementReturn(entry, state);
}
