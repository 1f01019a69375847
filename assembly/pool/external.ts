/**
 * Pools with an external backend, whose elements are the host's own: any numbers but 0. Each is in a box, an element of
 * this pool of 4 bytes. So limits, reserve, waiters, death and exit are as in any pool; the host fills boxes and
 * empties them.
 *
 * An empty box is in a slab, or with a thread that is just asking its host; a box in the reserve or handed over to a
 * waiter is full. The magazine has no capacity: only a box that serve took for a waiter that left, and that the reserve
 * refuses, is in it, surplus. Costs a box from its slab or back to it. Waits for no thread.
 */
import { THREADS } from "../base/atomics";
import { Magazine } from "../base/layout";
import { elementTake } from "../memory/elements";
import { stateIn } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { refusal } from "./element";
import { finishFree } from "./free";
import { syncGate } from "./gate";
import { giveToSlab } from "./handoff";
import { beginTransit, cachedBy, endTransit, handOut, popRound } from "./magazine";
import { current, failAlloc, isClosed, isWaiting, notePeak, poolOf, roundsIn } from "./pool";
import { reserveTake } from "./reserve";

/**
 * An empty box, handed out; 0 if the pool is closed or maxNr reached. `counts`: it is for an allocation, which is
 * counted and does not overtake a waiter; else for the reserve, from which waiters are served.
 */
export function takeBox(m: Magazine, counts: bool): usize {
  const pool = poolOf(m);
  syncGate(m);
  if (isClosed(pool) || (counts && THREADS && isWaiting(pool))) return failAlloc(pool);
  notePeak(pool);
  beginTransit(m, 0);
  const box = elementTake(current(pool));
  endTransit(m, box ? 1 : 0);
  if (!box) return failAlloc(pool);
  if (counts) m.allocs++;
  return handOut(m, box);
}

/** Takes back an empty box. `counted`: its allocation failed and is uncounted. Returns what free does. */
export function returnBox(m: Magazine, box: usize, counted: bool): i32 {
  const entry = entryAt(box);
  const error = refusal(m, entry, box);
  if (error) return error;
  if (counted) m.allocs--;
  const state = stateIn(entry, box);
  store<u8>(state, cachedBy(m));
  giveToSlab(m, entry, state);
  return finishFree(m);
}

/**
 * A full box that is surplus, handed out for the host to take its element back: of this thread's magazine, or of the
 * reserve if the pool is closed or has more than minNr. 0 if there is none.
 */
export function takeSurplusBox(m: Magazine): usize {
  const pool = poolOf(m);
  syncGate(m);
  if (roundsIn(m)) {
    m.allocs--;
    return popRound(m, m.top);
  }
  beginTransit(m, 0);
  const box = reserveTake(current(pool), !isClosed(pool));
  endTransit(m, box ? 1 : 0);
  return box ? handOut(m, box) : 0;
}
