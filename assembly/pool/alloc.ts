/**
 * Alloc: magazine -> slabs, pages, growth -> reserve -> reclaim, then slabs again -> 0.
 *
 * The reserve comes after the backend, as in Linux. No alloc overtakes a waiter: the slow path serves the wait queue
 * first, and refuses if a waiter is left. Otherwise 0 means that the reserve was empty at some instant of the call
 * (reserveTake).
 *
 * The slow path costs a batch from the slabs, or a new slab; reclaim, which a pool with maxNr elements does without, a
 * look at each pool and arena. Waits for no
 * thread: reclaim only tries the lock, and a refill that finds all slabs in other threads' hands looks again for some
 * microseconds, then goes on.
 */
import { atomicLoad, DEBUG, MALLOC_ALONE, THREADS } from "../base/atomics";
import { CLOSED, fail } from "../base/error";
import { Epoch, Magazine, ROUND } from "../base/layout";
import { userClear, userFill } from "../base/user";
import { asks, dress } from "../debug/trace";
import { sampledOf } from "./epoch";
import { isOpenToAllocs, recallCached, syncGate } from "./gate";
import { flushAndServe, serve, serveOrFinish, takeReserved, takeSampled } from "./handoff";
import { handOut, popRound, refill } from "./magazine";
import { elementSize, failAlloc, isClosed, isWaiting, notePeak, poolOf, roundsIn } from "./pool";
import { drain } from "./quarantine";
import { reclaimFor } from "./reclaim";
import { beginSampling } from "./resize";
import { isDue, planSample } from "./sample";

/** An element, not zeroed; 0 if backend and reserve are empty. The hit path, also for guests compiled with the core. */
@inline
export function allocInline(m: Magazine): usize {
  const top = m.top;
  if (top > atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("allocLimit")) && !isDue(m)) {
    return popRound(m, top);
  }
  return DEBUG && isDue(m) && asks() ? 0 : allocSlow(m, 1);
}

/** An element of the magazine, zeroed; 0 off the hit path. The element is of the magazine's epoch, and of its size. */
@inline
export function zallocHit(m: Magazine): usize {
  const top = m.top;
  if (top <= atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("allocLimit")) || isDue(m)) return 0;
  const element = popRound(m, top);
  userClear(element, changetype<Epoch>(m.epoch).size);
  return element;
}

/** A guarded element, in place of one of the pool's own, and the next sample planned; 0: see takeSampled. */
function allocSample(m: Magazine): usize {
  if (!changetype<usize>(sampledOf(m.epoch))) beginSampling(m);
  const element = allocSampled(m);
  planSample(m);
  return element;
}

function allocSampled(m: Magazine): usize {
  const element = takeSampled(m);
  if (!element) return 0;
  dress(element);
  m.allocs++;
  return handOut(m, element);
}

/** `want`: how many elements the caller is going to take, this one included. */
export function allocSlow(m: Magazine, want: u32): usize {
  // While the gate is open nothing but the empty magazine asks for the slow path.
  if (!isOpenToAllocs(m)) {
    const pool = poolOf(m);
    syncGate(m);
    if (isClosed(pool)) {
      if (THREADS) serveOrFinish(m);
      return fail(CLOSED);
    }
    if (THREADS && isWaiting(pool)) {
      serve(m);
      if (isWaiting(pool)) return <usize>refuseAlloc(m);
      syncGate(m);
    }
  }
  let element: usize = DEBUG && isDue(m) ? allocSample(m) : 0;
  if (!element) element = fromMagazine(m, want);
  if (element) return element;
  element = takeReserved(m);
  if (element) {
    m.reserveHits++;
    if (DEBUG) dress(element);
    return handOut(m, element);
  }
  if (mayHaveMore(m) && reclaimFor(m)) element = fromMagazine(m, want);
  return element || <usize>refuseAlloc(m);
}

/**
 * Whether memory that others return can help: not a pool that has maxNr elements. So what its allocs cost does not
 * depend on the other pools.
 */
function mayHaveMore(m: Magazine): bool {
  const epoch = changetype<Epoch>(m.epoch);
  return MALLOC_ALONE || atomicLoad<u32>(m.epoch + offsetof<Epoch>("capacity")) != epoch.maxNr;
}

/** An element of the magazine, which is refilled if it is empty; 0 if the backend has none. */
function fromMagazine(m: Magazine, want: u32): usize {
  if (!roundsIn(m)) {
    notePeak(poolOf(m));
    if (!refill(m, want, poolOf(m).faults ? 1 : -1) && !(DEBUG && drain(poolOf(m)) && refill(m, 1, 1))) {
      return DEBUG ? allocSampled(m) : 0;
    }
  }
  if (DEBUG) dress(load<u32>(m.top - ROUND));
  const element = popRound(m, m.top);
  if (THREADS) serveOrFinish(m);
  return element;
}

/** An element of the reserve, never of the backend; 0 if the reserve is empty, or a waiter comes first. */
export function allocPreallocated(m: Magazine): usize {
  const pool = poolOf(m);
  if (THREADS && isWaiting(pool)) {
    syncGate(m);
    flushAndServe(m);
  }
  const element = isClosed(pool) || (THREADS && isWaiting(pool)) ? 0 : takeReserved(m);
  if (!element) return <usize>refuseAlloc(m);
  m.preallocated++;
  if (DEBUG) dress(element);
  return handOut(m, element);
}

export function zero(m: Magazine, element: usize): usize {
  if (element) userFill(element, 0, elementSize(m, element));
  return element;
}

/** Counts a failed allocation, and asks the other threads to flush their magazines. Returns 0. */
export function refuseAlloc(m: Magazine): bool {
  m.failures++;
  if (THREADS) recallCached(poolOf(m));
  return <bool>failAlloc(poolOf(m));
}
