/**
 * Resize (another minNr) and reshape (another element size). One thread at a time does either to a pool, as its
 * `resizer`; another that tries meanwhile is refused with BUSY. Other threads allocate and free all the while.
 *
 * A resize that grows sets minNr, then `short`, then fills the reserve; if memory is gone, `unfilled` suspends the
 * guarantee and later frees fill it. A reshape fills the reserve of a new epoch before it stores the pool's `epoch`, so
 * the guarantee holds throughout. Then the recall makes every thread flush its magazine and adopt the new epoch. An
 * alloc that began before may still return the old size.
 *
 * Costs the elements by which the reserve changes, and memory for them; a resize that shrinks, a look at its slots.
 * Waits for no thread: reclaim only tries the lock.
 */
import { atomicStore, compareExchange, THREADS } from "../base/atomics";
import { BAD_ARGUMENT, BUSY, CLOSED, NO_MEMORY } from "../base/error";
import { heap, selfNumber } from "../base/instance";
import { BACKEND_EXTERNAL, Epoch, Magazine, MAX_ALIGN, MAX_SIZE, PAGE_SHIFT, Pool } from "../base/layout";
import { endEpoch, makeEpoch, makeSampled, sampledOf } from "./epoch";
import { clearShort, markShort, recallCached, syncGate } from "./gate";
import { serveOrFinish } from "./handoff";
import { current, isClosed, poolOf, wordOf } from "./pool";
import { reclaimFor } from "./reclaim";
import { makeSlots, minNr, missing, reserveFill, reserveTrim, setMinNr } from "./reserve";

/** The reserve's slots must not outgrow an i32 of bytes. */
const MAX_MIN_NR: u32 = 1 << 28;

/** The code that refuses these numbers, or 0. A reserve beyond the heap's maximum is refused before it grows. */
export function errorOf(size: u32, align: u32, minNr: u32): i32 {
  if (size - 1 >= MAX_SIZE || align - 1 >= MAX_ALIGN || align & (align - 1) || minNr > MAX_MIN_NR) return BAD_ARGUMENT;
  return <u64>minNr * size <= (<u64>heap().maxPages) << PAGE_SHIFT ? 0 : NO_MEMORY;
}

/** Fills a reserve from the backend; an external backend's is marked short, for its host to fill. False: too few. */
@inline
export function fillIn(pool: Pool, epoch: Epoch): bool {
  if (epoch.backend != BACKEND_EXTERNAL) return reserveFill(epoch);
  markShort(pool);
  return true;
}

/** Makes this thread the pool's resizer. False: another thread is. */
function tryBeginResize(pool: Pool): bool {
  return compareExchange<u32>(wordOf(pool, offsetof<Pool>("resizer")), 0, selfNumber() + 1);
}


@inline
function endResize(pool: Pool): void {
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("resizer")), 0);
}

/** Makes the epoch of the elements that a debug heap samples in a pool, unless another thread resizes the pool. */
export function beginSampling(m: Magazine): void {
  const pool = poolOf(m);
  if (!tryBeginResize(pool)) return;
  const epoch = current(pool);
  if (changetype<usize>(epoch) == m.epoch && !changetype<usize>(sampledOf(m.epoch))) makeSampled(pool, epoch);
  endResize(pool);
}

/**
 * Sets minNr, returns surplus elements to the slabs or takes missing ones from them, and serves waiters. 1; or 0:
 * memory is short, and later frees will fill the reserve; or an error code, and nothing has changed.
 */
export function resizePool(m: Magazine, minNr: u32): i32 {
  const pool = poolOf(m);
  if (!tryBeginResize(pool)) return BUSY;
  const epoch = current(pool);
  const error = minNr > epoch.maxNr ? BAD_ARGUMENT : errorOf(epoch.size, epoch.align, minNr);
  let result: i32 = 1;
  if (isClosed(pool)) result = CLOSED;
  else if (error) result = error;
  else if (!makeSlots(epoch, minNr) && !(reclaimFor(m) && makeSlots(epoch, minNr))) result = NO_MEMORY;
  else {
    // Until the reserve has been full once (clearShort).
    atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("unfilled"), 1);
    setMinNr(epoch, minNr);
    if (missing(epoch) > 0) markShort(pool);
    reserveTrim(epoch);
    if (!fillIn(pool, epoch) && !(reclaimFor(m) && reserveFill(epoch))) result = 0;
    clearShort(m);
  }
  endResize(pool);
  if (THREADS) serveOrFinish(m);
  return result;
}

/**
 * Gives the pool a new epoch: elements of another size, with a reserve that is filled first. Outstanding elements of
 * the old size stay valid, are freed as before, and return to their own slabs. 1; or an error code, and nothing has
 * changed.
 */
export function reshapePool(m: Magazine, size: u32, align: u32): i32 {
  const pool = poolOf(m);
  if (!tryBeginResize(pool)) return BUSY;
  const old = current(pool);
  // All boxes of an external backend have one size.
  const error = old.backend == BACKEND_EXTERNAL ? BAD_ARGUMENT : errorOf(size, align, minNr(old));
  let result: i32 = 1;
  if (isClosed(pool)) result = CLOSED;
  else if (error) result = error;
  else {
    let epoch = makeEpoch(pool, size, align, minNr(old), old.maxNr, old.backend);
    if (!changetype<usize>(epoch) && reclaimFor(m))
      epoch = makeEpoch(pool, size, align, minNr(old), old.maxNr, old.backend);
    if (!changetype<usize>(epoch)) result = isClosed(pool) ? CLOSED : NO_MEMORY;
    else if (!reserveFill(epoch) && !(reclaimFor(m) && reserveFill(epoch))) {
      endEpoch(epoch);
      result = NO_MEMORY;
    } else {
      atomicStore<u32>(wordOf(pool, offsetof<Pool>("epoch")), changetype<u32>(epoch));
      // Ordering: a thread in clearShort may have seen the old reserve full. The new number in `short`, stored after
      // the epoch, makes its compare-exchange fail, or comes after it.
      markShort(pool);
      clearShort(m);
      endEpoch(old);
      if (THREADS) recallCached(pool);
    }
  }
  endResize(pool);
  syncGate(m);
  if (THREADS) serveOrFinish(m);
  return result;
}
