/**
 * The gate: one word of 8 bytes in each magazine that other threads may change. It bounds the hit path: an alloc needs
 * `top` above allocLimit, a free needs `top` below freeLimit. Any other call takes the slow path, where syncGate comes
 * first.
 *
 * A thread that wants the attention of all others stores the condition in the Pool (`short`, `waiting`, `closed`,
 * `epoch`, `recallGeneration`, `faults`), then shuts the gate of every magazine. `short` concerns frees alone: while no
 * other condition holds, syncGate opens the gate to allocs.
 *
 * Ordering: syncGate stores the gate, then reads the conditions again, until both agree; the other thread stores its
 * condition, then shuts the gate. So syncGate sees the condition, or the gate is shut after it was opened, and stays
 * shut.
 *
 * Invariant (checkMagazine of inspect/check.ts): an open gate is right: the pool is not closed, the magazine is of the
 * current epoch, allocLimit is `first`, and freeLimit is 0 or, while `short` is not set, the magazine's end. A shut
 * gate may stay shut until its thread's next call in the pool.
 *
 * Costs a store for each magazine to shut the gates. Waits for no thread.
 */
import { atomicAdd, atomicLoad, atomicNotify, atomicStore, compareExchange, THREADS } from "../base/atomics";
import { threadAt } from "../base/instance";
import { Epoch, GATE_SHUT, Magazine, Pool, Thread } from "../base/layout";
import { adoptEpoch, emptyMagazine, magazineEnd } from "./magazine";
import {
  current,
  isClosed,
  isShort,
  isStale,
  isWaiting,
  magazineAt,
  nextSequence,
  poolOf,
  roundsIn,
  tableLength,
  wordOf,
} from "./pool";
import { missing } from "./reserve";

/**
 * Says that the reserve is not full: until it is, every free takes the slow path and fills it.
 *
 * Ordering: a thread that takes an element counts it off the reserve, then calls this, and only then hands the element
 * out. So the free of that element sees `short`, or a reserve that is full again.
 */
export function markShort(pool: Pool): void {
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("short")), nextSequence(pool));
  if (!THREADS) return shutGates(pool);
  // A gate that is shut to frees stays as it is: a store would take its line from its thread, and send an alloc the slow
  // way. Ordering: `short`, then the gate is read; syncGate stores the gate, then reads `short`.
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m && atomicLoad<u32>(m + offsetof<Magazine>("freeLimit")))
      atomicStore<u64>(m + offsetof<Magazine>("allocLimit"), GATE_SHUT);
  }
}

/** Makes the next call of every thread in this pool take the slow path. The caller has stored the reason. */
export function shutGates(pool: Pool): void {
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) atomicStore<u64>(m + offsetof<Magazine>("allocLimit"), GATE_SHUT);
  }
}

/** Whether the gate lets allocs through: then the magazine's being empty is all that can keep one from the hit path. */
@inline
export function isOpenToAllocs(m: Magazine): bool {
  return atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("allocLimit")) == <u32>m.first;
}

/** The gate that the pool's conditions allow a magazine. */
function gateOf(pool: Pool, m: Magazine): u64 {
  if (isClosed(pool) || isWaiting(pool) || isStale(m) || pool.faults) return GATE_SHUT;
  if (THREADS && atomicLoad<u32>(wordOf(pool, offsetof<Pool>("recallGeneration"))) != m.recallGeneration)
    return GATE_SHUT;
  const limit: u64 = isShort(pool) ? 0 : magazineEnd(m);
  return (limit << 32) | (<u64>m.first);
}

/**
 * Sets this thread's gate. Before that, empties the magazine if its elements are recalled, of an old epoch or of a
 * closed pool, or while faults are ordered.
 */
export function syncGate(m: Magazine): void {
  const pool = poolOf(m);
  const generation = atomicLoad<u32>(wordOf(pool, offsetof<Pool>("recallGeneration")));
  const stale = isStale(m);
  if (generation != m.recallGeneration || stale || isClosed(pool) || pool.faults) {
    m.recallGeneration = generation;
    emptyMagazine(m);
    if (stale) adoptEpoch(m, pool);
  }
  const gate = changetype<usize>(m) + offsetof<Magazine>("allocLimit");
  let now: u64;
  do {
    now = gateOf(pool, m);
    atomicStore<u64>(gate, now);
  } while (THREADS && now != GATE_SHUT && gateOf(pool, m) != now);
}

/**
 * Clears `short` if the reserve is full, so that frees may take the hit path again.
 *
 * Ordering: reads `short`, then the count, then clears `short` by a compare-exchange. A thread that takes an element
 * after the count was read stores a new number in `short` later: the compare-exchange fails, or comes before that
 * store.
 */
export function clearShort(m: Magazine): void {
  const pool = poolOf(m);
  const short = wordOf(pool, offsetof<Pool>("short"));
  const seen = atomicLoad<u32>(short);
  const epoch = current(pool);
  if (missing(epoch) > 0) return;
  atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("unfilled"), 0);
  compareExchange<u32>(short, seen, 0);
  syncGate(m);
}

/** Asks the other threads to flush their magazines of this pool: at their next call, or in settleThread when idle. */
export function recallCached(pool: Pool): void {
  atomicAdd<u32>(wordOf(pool, offsetof<Pool>("recallGeneration")), 1);
  shutGates(pool);
  nudgeCachers(pool);
}

/** Nudges the threads that have elements of a pool cached. */
export function nudgeCachers(pool: Pool): void {
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    // A thread that fills its empty magazine just now is missed: a waiter recalls again before long.
    if (!m || !changetype<Magazine>(m).liveState || !roundsIn(changetype<Magazine>(m))) continue;
    nudge(thread);
  }
}

/** Makes a thread call settleThread as soon as it is idle, if its host waits for `nudge`. */
export function nudge(thread: u32): void {
  const word = threadAt(thread) + offsetof<Thread>("nudge");
  atomicAdd<u32>(word, 1);
  atomicNotify(word);
}
