/**
 * A thread's own Waiters: how it enters and leaves the wait queue of a pool. Hand-over to them is in pool/handoff.ts.
 *
 * A thread has WAITERS of them in each pool. Only their thread puts one into use and takes it out; any thread may
 * change WAITING to an element, or to WOKEN_CLOSED, by a compare-exchange that fails once the waiter was cancelled.
 * Costs a look at each magazine of the pool and its Waiters in use. Waits for no thread, and never sleeps: wait.ts does.
 */
import { atomicLoad, atomicStore, compareExchange, DEBUG, WAITS } from "../base/atomics";
import { BUSY, fail } from "../base/error";
import { Magazine, Pool, STATE_LIVE, TAKEN_UNCOUNTED, Waiter, WAITERS, WAITING, WOKEN_CLOSED } from "../base/layout";
import { dress, mend } from "../debug/trace";
import { stateAt, stateCached } from "../memory/geometry";
import { recallCached, syncGate } from "../pool/gate";
import { serve, storeUnowned, waitersEnd } from "../pool/handoff";
import { beginTransit, endTransit } from "../pool/magazine";
import { nextSequence, poolOf, wordOf } from "../pool/pool";

/**
 * Enters the wait queue: returns the Waiter; 0, and BUSY, if all of this thread's in this pool are in use. `sequence`
 * 0: at the end of the queue; else where an earlier Waiter with that sequence stood.
 */
export function beginWait(m: Magazine, sequence: u32): usize {
  const pool = poolOf(m);
  let waiter = m.waiters;
  const end = waiter + WAITERS * offsetof<Waiter>();
  while (atomicLoad<u32>(waiter)) {
    waiter += offsetof<Waiter>();
    if (waiter == end) return fail(BUSY);
  }
  if (!sequence) sequence = nextSequence(pool);
  const own = m.waiters + offsetof<Waiter>("end");
  if (load<u32>(own) <= waiter) atomicStore<u32>(own, waiter + offsetof<Waiter>());
  // Ordering: `end` and WAITING, then `waiting`, then the search: see handoff.ts, "No wake-up is lost".
  atomicStore<u64>(waiter, ((<u64>sequence) << 32) | (<u64>WAITING));
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("waiting")), nextSequence(pool));
  recallCached(pool);
  syncGate(m);
  serve(m);
  return waiter;
}

/** Leaves the wait queue. Returns the element that was handed over, else 0. */
export function endWait(m: Magazine, waiter: usize): usize {
  const element = takeFrom(m, waiter);
  let end = waitersEnd(m.waiters);
  while (end > m.waiters && !atomicLoad<u32>(end - offsetof<Waiter>())) end -= offsetof<Waiter>();
  atomicStore<u32>(m.waiters + offsetof<Waiter>("end"), end);
  return element;
}

function takeFrom(m: Magazine, waiter: usize): usize {
  const word = atomicLoad<u64>(waiter);
  let value = <u32>word;
  if (value == WAITING) {
    if (compareExchange<u64>(waiter, word, 0)) return 0;
    value = atomicLoad<u32>(waiter);
  }
  const element: usize = value > WOKEN_CLOSED ? value : 0;
  // Ordering: LIVE before the Waiter is cleared. The reaper of the thread that handed the element over reads the
  // Waiter, then the state byte (reapCached): it finds the element in the Waiter, or no longer CACHED by the dead
  // thread.
  if (element) {
    m.allocs++;
    if (DEBUG) dress(element);
    atomicStore<u8>(stateAt(element), <u8>m.liveState);
  }
  atomicStore<u64>(waiter, 0);
  return element;
}

/** Cancels a Waiter that is WAITING. Returns the element, not fetched, of one that was served; else 0. */
export function cancel(waiter: usize): usize {
  let word = atomicLoad<u64>(waiter);
  while (<u32>word == WAITING && !compareExchange<u64>(waiter, word, 0)) word = atomicLoad<u64>(waiter);
  const element = <usize>(<u32>word);
  // CACHED by the thread that handed it over; LIVE if the waiter died after it had fetched it.
  return element > WOKEN_CLOSED && !(atomicLoad<u8>(stateAt(element)) & STATE_LIVE) ? element : 0;
}

/** Cancels all Waiters of a magazine, also a dead thread's, and returns elements that were not fetched. */
export function leaveQueue(m: Magazine): void {
  if (!WAITS) return;
  const pool = poolOf(m);
  let waiter = m.waiters;
  for (const end = waitersEnd(waiter); waiter < end; waiter += offsetof<Waiter>()) {
    const element = cancel(waiter);
    // Ordering: CACHED by this thread before the Waiter is cleared: a reaper finds the element in one of the two.
    if (element) atomicStore<u8>(stateAt(element), <u8>stateCached());
    atomicStore<u64>(waiter, 0);
    if (!element) continue;
    if (DEBUG) mend(element);
    // The reaper has taken a dead thread's unfetched elements out of `taken` already (uncount).
    const counts = !(m.taken & TAKEN_UNCOUNTED);
    if (counts) beginTransit(m, -1);
    storeUnowned(pool, element);
    if (counts) endTransit(m, 0);
  }
  atomicStore<u32>(m.waiters + offsetof<Waiter>("end"), 0);
}
