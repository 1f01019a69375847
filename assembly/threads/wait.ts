/**
 * Waiting asleep, for guests that may block: the only functions that sleep. A host that may not block uses beginWait
 * and endWait. A waiter is woken by handOver and wakeAll (pool/handoff.ts), each with a notification, or looks around by
 * itself (LOOK_AROUND).
 */
import { atomicLoad, atomicWait } from "../base/atomics";
import { CLOSED, fail, isNone, none } from "../base/error";
import { Magazine, WAITING } from "../base/layout";
import { allocInline } from "../pool/alloc";
import { recallCached } from "../pool/gate";
import { serve } from "../pool/handoff";
import { isClosed, poolOf } from "../pool/pool";
import { settleThread } from "./handles";
import { beginWait, endWait } from "./queue";

/** A sleeper searches itself this often, in ms: memory that comes free outside the pool wakes nobody. */
const LOOK_AROUND: f64 = 1000;

/**
 * Sleeps while the word at `address` is `expected`, up to so many milliseconds. 2: the time is over. Exported, so that
 * it is not inlined: in V8's baseline compiler of 2023, a local that is live across the wait comes back as 0.
 */
export function heap_sleep(address: usize, expected: u32, milliseconds: f64): u32 {
  return isNone(address) ? none() + 1 : atomicWait(address, expected, milliseconds);
}

/** An element, for which this thread sleeps up to `timeout` milliseconds; 0 if the time is over or the pool closed. */
export function allocWait(m: Magazine, timeout: f64): usize {
  let element = allocInline(m);
  if (element) return element;
  const waiter = beginWait(m, 0);
  if (!waiter) return 0;
  // Other threads may need what this one has cached in other pools.
  settleThread();
  while (atomicLoad<u32>(waiter) == WAITING) {
    const slice = min<f64>(timeout, LOOK_AROUND);
    if (heap_sleep(waiter, WAITING, slice) == 2) {
      timeout -= slice;
      if (timeout <= 0) break;
      recallCached(poolOf(m));
    }
    // After a wake-up without an element (wakeAll) there may be one that no other thread serves.
    serve(m);
  }
  element = endWait(m, waiter);
  // The first try was no failure.
  if (element) m.failures--;
  else if (isClosed(poolOf(m))) fail(CLOSED);
  return element;
}
