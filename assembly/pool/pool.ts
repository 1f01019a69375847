/**
 * A pool as its threads see it: accessors of the Pool, and its counts. A pool sets minNr elements aside in advance.
 *
 *   alloc:  magazine -> slabs, pages, growth -> reserve -> reclaim, then slabs again -> 0     alloc.ts
 *   free:   first waiter -> reserve, while it is short -> magazine -> slab                    free.ts, handoff.ts
 *
 * Invariants, while no thread is inside a call (checkPool and checkCache of inspect/check.ts):
 * - currNr + outstanding >= minNr, of the current epoch, from create to exit. An element leaves the reserve only to be
 *   handed out, or because minNr fell. A freed element goes to a waiter, which changes neither number, else to the
 *   reserve while that is short. Exempt are a reserve that a resize could not fill (Epoch.unfilled) and one that the
 *   host fills;
 * - `taken`, summed over the magazines, = rounds + outstanding; a handed-over element is outstanding. One magazine's
 *   own number wraps below 0 if its thread frees other threads' elements;
 * - cached + reserved + outstanding <= capacity <= maxNr, for each epoch;
 * - no waiter waits while the reserve has an element.
 *
 * Waits for no thread. A count costs a load or two for each magazine.
 */
import { atomicAdd, atomicLoad, atomicStore, MALLOC_ALONE, THREADS, WAITS } from "../base/atomics";
import { CLOSED, fail, isNone, NO_MEMORY } from "../base/error";
import { numbersGiven, selfNumber, threadAt } from "../base/instance";
import { Epoch, Magazine, Pool, ROUND, SCRATCH_TAKEN, TAKEN, Thread } from "../base/layout";
import { cacheAt } from "../memory/geometry";


@inline
export function poolOf(m: Magazine): Pool {
  return changetype<Pool>(m.pool);
}


@inline
export function wordOf(pool: Pool, field: usize): usize {
  return changetype<usize>(pool) + field;
}


@inline
export function isClosed(pool: Pool): bool {
  return !MALLOC_ALONE && atomicLoad<u32>(wordOf(pool, offsetof<Pool>("closed"))) != 0;
}


@inline
export function isShort(pool: Pool): bool {
  return atomicLoad<u32>(wordOf(pool, offsetof<Pool>("short"))) != 0;
}

/** The length of the table of magazines: no thread with this number or a higher one has had a magazine of the pool. */
@inline
export function tableLength(pool: Pool): u32 {
  return THREADS ? atomicLoad<u32>(wordOf(pool, offsetof<Pool>("tableLength"))) : 1;
}

/** The magazine of a thread in a pool, also of one that has left; 0 if the thread never had one. */
@inline
export function magazineAt(pool: Pool, thread: u32): usize {
  return THREADS ? atomicLoad<u32>(pool.magazines + (thread << 2)) : pool.magazines;
}

/** This thread's magazine of a pool; null if it has no handle of the pool. */
export function ownMagazine(pool: Pool): Magazine {
  const m = pool.magazines ? magazineAt(pool, selfNumber()) : 0;
  return changetype<Magazine>(m && (!THREADS || changetype<Magazine>(m).liveState) ? m : 0);
}

/** The epoch from which the pool allocates. */
@inline
export function current(pool: Pool): Epoch {
  return changetype<Epoch>(<usize>atomicLoad<u32>(wordOf(pool, offsetof<Pool>("epoch"))));
}

/** Whether a magazine is of an epoch that is over. */
@inline
export function isStale(m: Magazine): bool {
  return !MALLOC_ALONE && changetype<usize>(current(poolOf(m))) != m.epoch;
}


@inline
export function firstEpoch(pool: Pool): usize {
  return <usize>atomicLoad<u32>(wordOf(pool, offsetof<Pool>("epochs")));
}

/** A number that `short`, `waiting` and Waiters never had (modulo 2^32), not 0: a compare-exchange sees each change. */
export function nextSequence(pool: Pool): u32 {
  return THREADS ? atomicAdd<u32>(wordOf(pool, offsetof<Pool>("sequence")), 1) + 1 || 1 : 1;
}

/** Elements handed out and not freed. While other threads are inside a call, an estimate. */
export function outstanding(pool: Pool): u32 {
  let out = taken(pool);
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) out -= roundsIn(changetype<Magazine>(m));
  }
  return out;
}

/** Elements cached or outstanding. While other threads are inside a call, an estimate. */
export function taken(pool: Pool): u32 {
  let sum: u32 = 0;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) sum += changetype<Magazine>(m).taken;
  }
  return sum & TAKEN;
}

/** The same of a class of malloc's, with what threads without a handle took, less what they freed. */
export function takenOfClass(pool: Pool): u32 {
  let sum = taken(pool);
  const sizeClass = THREADS ? current(pool).sizeClass : 0;
  for (let thread: u32 = 0; sizeClass && thread < numbersGiven(); thread++) {
    const at = takenAt(thread, sizeClass);
    if (at) sum += load<u32>(at);
  }
  return sum & TAKEN;
}

/** The address of a thread's count of what it takes of a class without a handle; 0 if it has none. */
export function takenAt(thread: u32, sizeClass: u32): usize {
  const at = atomicLoad<u32>(threadAt(thread) + offsetof<Thread>("scratch"));
  return at ? at + SCRATCH_TAKEN + (sizeClass << 2) : 0;
}

/** Raises `peak` to the number of outstanding elements. */
export function notePeak(pool: Pool): void {
  const out = outstanding(pool);
  if (<i32>(out - pool.peak) > 0) pool.peak = out;
}

/** Whether the last element of a closed pool has been returned. */
@inline
export function hasEnded(pool: Pool): bool {
  return atomicLoad<u32>(wordOf(pool, offsetof<Pool>("ended"))) != 0;
}


@inline
export function isWaiting(pool: Pool): bool {
  return WAITS && atomicLoad<u32>(wordOf(pool, offsetof<Pool>("waiting"))) != 0;
}

/** The size that was asked for `element`; with element 0, the size of elements allocated from now on. */
export function elementSize(m: Magazine, element: usize): u32 {
  return (element ? changetype<Epoch>(cacheAt(element)) : current(poolOf(m))).size;
}


@inline
export function roundsIn(m: Magazine): u32 {
  return <u32>(m.top - m.first) / ROUND;
}

/** Sets the reason why an alloc fails; returns 0. */
export function failAlloc(pool: Pool): u32 {
  return fail(isClosed(pool) ? CLOSED : NO_MEMORY);
}

/** The address of the Faults in which a host orders refusals of the backend; after that the host calls refreshPool. */
export function faultsOf(pool: Pool): usize {
  return wordOf(pool, offsetof<Pool>("faults"));
}

/** The address by which another thread attaches to this pool; the pool counts as shared from now on. */
export function shareOf(m: Magazine): usize {
  const pool = poolOf(m);
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("isShared")), 1);
  return changetype<usize>(pool);
}

/** Whether a handle that a host passed is null, or this instance serves no heap. */
@inline
export function isNull(m: Magazine): bool {
  return isNone(changetype<usize>(m));
}
