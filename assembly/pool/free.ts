/**
 * Free: first waiter -> reserve, while it is short -> magazine -> slab.
 *
 * The slow path (freeSlow) locates the element once, by its page map entry, and passes on that and the state byte's
 * address. A hand-over to the first waiter is one compare-exchange and changes neither currNr nor outstanding, so the
 * guarantee holds although the reserve may be short. An element that no waiter takes is stored, then `waiting` is read
 * again: see handoff.ts.
 *
 * A refused free changes nothing; `refusal` in element.ts decides, src/pool/errors.ts has the words. Two threads that
 * free one element at the same instant are found in the checked build alone. The hit path costs some 90 Wasm
 * instructions; else a batch returns to slabs, or the wait queue is read. Allocates no memory unless a waiter is
 * queued, waits for no thread.
 */
import { atomicLoad, CHECKED, compareExchange, DEBUG, THREADS } from "../base/atomics";
import { Epoch, Magazine, Pool, Slab, STATE_LIVE } from "../base/layout";
import { asks, strip } from "../debug/trace";
import { cacheIn, firstElement, slabIn, stateAt, stateIn, stateOf } from "../memory/geometry";
import { entryAt, entryIn, leafAt } from "../memory/map";
import { hasFewSlabs, isSweepDue, slabsEmptied } from "../memory/slab";
import { ASKS, checkFree, DOUBLE_FREE, FREED, FREED_LAST, NOT_STORED, refusal } from "./element";
import { tryEnd } from "./epoch";
import { clearShort, syncGate } from "./gate";
import { flushAndServe, giveToReserve, handOver, storeFreed } from "./handoff";
import { cachedBy, handOut, isExternal, makeRoom, pushRound } from "./magazine";
import { isClosed, isShort, isWaiting, poolOf, roundsIn } from "./pool";
import { drain, holdBack } from "./quarantine";
import { closeHandle } from "./teardown";

/**
 * Takes an element back: FREED, FREED_LAST, NOT_STORED, or an error code, and then nothing has changed. The hit path,
 * inlined, with every check of a release build: the page is this pool's, an element begins there and is outstanding,
 * and the gate is open. Any other call takes the slow path, which checks again. Nested, because engines make a value of
 * every early answer and test it again.
 *
 * Ordering: the loads of the page map and of the state byte are plain. For an outstanding one they read words that were
 * written before it was handed out; for any other address they may read anything, and the slow path checks again.
 */
@inline
export function freeInline(m: Magazine, element: usize): i32 {
  // The checked build has no hit path: leaf 0 sends every free to freeSlow.
  const leaf = CHECKED ? 0 : leafAt(element);
  return leaf ? freeInEntry(m, entryIn(leaf, element), element) : freeSlow(m, element);
}

/** Whether an element is guarded, and the host wants to hear of its free first. */
export function asksFor(m: Magazine, element: usize): bool {
  const entry = entryAt(element);
  return asks() && !refusal(m, entry, element) && changetype<Epoch>(cacheIn(entry)).guard != 0;
}

/** The same with the page map's entry of the address. */
@inline
export function freeInEntry(m: Magazine, entry: usize, element: usize): i32 {
  // Epoch and slab, and the magazine's inverse and shift, by one load each: loads are what the hit path waits for.
  const word = load<u64>(entry);
  if (<u32>word != <u32>m.epoch) return freeOther(m, element);
  return freeInSlab(m, changetype<Slab>(<usize>(word >> 32)), element);
}

/** The same with the slab of the address, which is of the magazine's epoch. */
@inline
export function freeInSlab(m: Magazine, slab: Slab, element: usize): i32 {
  const division = load<u64>(changetype<usize>(m) + offsetof<Magazine>("inverse"));
  const index = rotr<u32>(<u32>(element - firstElement(slab)) * <u32>division, <u32>(division >> 32));
  if (index < m.indexEnd) {
    const state = stateOf(slab, index);
    if (load<i8>(state) < 0) {
      const top = m.top;
      const limit = atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("freeLimit"));
      if (top < limit) {
        pushRound(m, top, element, state);
        return FREED;
      }
      if (top == limit && top != m.first) return freeFull(m, element, state);
    }
  }
  return freeOther(m, element);
}

/** The same off the hit path. */
@inline
function freeOther(m: Magazine, element: usize): i32 {
  return DEBUG && asksFor(m, element) ? ASKS : freeSlow(m, element);
}

/**
 * The same where all is well but for a full magazine.
 *
 * Ordering: rounds return to their slabs, then the gate is read again; a thread that waits or closes the pool shuts the gate,
 * then searches the slabs. So that thread finds them, or this one sees the gate shut, and serves.
 */
function freeFull(m: Magazine, element: usize, state: usize): i32 {
  makeRoom(m);
  if (!THREADS || m.top < atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("freeLimit"))) {
    pushRound(m, m.top, element, state);
    return FREED;
  }
  if (isWaiting(poolOf(m))) flushAndServe(m);
  return freeSlow(m, element);
}

export function freeSlow(m: Magazine, element: usize): i32 {
  if (!element) return FREED;
  const entry = entryAt(element);
  const error = refusal(m, entry, element);
  if (error) return error;
  const cached = roundsIn(m);
  syncGate(m);
  const epoch = cacheIn(entry);
  const wasClosed = isClosed(poolOf(m));
  const emptied = slabsEmptied(epoch);
  let state = stateIn(entry, element);
  // refusal has found the usual double free; this finds two frees at the same instant.
  if (CHECKED || DEBUG) {
    if (DEBUG) {
      // Since the first look the other thread may have freed it, and its slab may be gone.
      const gone = refusal(m, entry, element);
      if (gone) return gone;
      state = stateIn(entry, element);
    }
    // Another thread may change the owner meanwhile (disownPredecessors): it is still outstanding.
    let live: u8;
    do {
      live = atomicLoad<u8>(state);
      if (!(live & STATE_LIVE)) return DOUBLE_FREE;
    } while (!compareExchange<u8>(state, live, <u8>cachedBy(m)));
  } else store<u8>(state, cachedBy(m));
  if (DEBUG && changetype<Epoch>(epoch).guard) return freeGuarded(m, entry, element, state, cached != 0);
  if (!takeBack(m, entry, element, state, cached != 0)) {
    store<u8>(state, m.liveState);
    return NOT_STORED;
  }
  // A closed pool ends only when a slab becomes empty; with many slabs, only some frees look at all of them.
  if (wasClosed && (slabsEmptied(epoch) == emptied || !(isSweepDue(epoch) || hasFewSlabs(epoch)))) return FREED;
  return finishFree(m);
}

/**
 * The same for a guarded element, CACHED by this thread: it goes into quarantine, and what leaves that is stored, unless
 * the element is needed.
 *
 * Ordering: the element is QUARANTINED, then the pool's words are read again; a thread that needs elements stores its
 * word, then empties the quarantine. At least one of them sees the other.
 */
function freeGuarded(m: Magazine, entry: usize, element: usize, state: usize, flushed: bool): i32 {
  const pool = poolOf(m);
  strip(element);
  const oldest = isNeeded(pool) ? element : holdBack(m, element, state);
  if (oldest == element) takeBack(m, entry, element, state, flushed);
  else {
    if (oldest) takeBack(m, entryAt(oldest), oldest, stateAt(oldest), flushed);
    if (isNeeded(pool)) drain(pool);
    if (THREADS && isWaiting(pool)) flushAndServe(m);
  }
  return finishFree(m);
}

/** Whether elements of a pool must not stay in quarantine. */
function isNeeded(pool: Pool): bool {
  return isClosed(pool) || isShort(pool) || isWaiting(pool) || pool.faults != 0;
}

/** The result of a free whose element has been returned: FREED, or FREED_LAST if that ended a closed pool. */
export function finishFree(m: Magazine): i32 {
  if (!isClosed(poolOf(m)) || !tryEnd(m)) return FREED;
  closeHandle(m);
  return FREED_LAST;
}

/**
 * Gives a held element to the first waiter, else stores it. False: the element is external and surplus, and still held.
 * `flushed`: syncGate may have returned elements that other waiters need.
 */
function takeBack(m: Magazine, entry: usize, element: usize, state: usize, flushed: bool): bool {
  const pool = poolOf(m);
  const closed = isClosed(pool);
  if (THREADS && !closed && isWaiting(pool) && handOver(pool, cacheIn(entry), element)) {
    if (flushed) flushAndServe(m);
    return true;
  }
  if (!isExternal(m)) storeFreed(m, entry, element, state);
  else if (closed) return false;
  // A waiter may have come since the queue was empty.
  else if (!giveToReserve(m, changetype<Epoch>(m.epoch), element, state))
    return THREADS && isWaiting(pool) && handOver(pool, cacheIn(entry), element);
  else clearShort(m);
  if (THREADS && isWaiting(pool)) flushAndServe(m);
  return true;
}

/** Makes this thread the owner of an outstanding element, for nextLive. Returns what checkFree does. */
export function adoptElement(m: Magazine, element: usize): i32 {
  const error = checkFree(m, element);
  if (!error) handOut(m, element);
  return error;
}
