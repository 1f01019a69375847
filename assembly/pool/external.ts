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
import { BAD_ARGUMENT, fail } from "../base/error";
import { Magazine, RECORD, ROUND } from "../base/layout";
import { userLoad, userStore } from "../base/user";
import { elementTake, slabRefill, slabReturn } from "../memory/elements";
import { stateAt, stateIn } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { FREED, refusal } from "./element";
import { finishFree } from "./free";
import { clearShort, syncGate } from "./gate";
import { giveToSlab, serveOrFinish } from "./handoff";
import { beginTransit, cachedBy, endTransit, handOut, isExternal } from "./magazine";
import { current, failAlloc, isClosed, isWaiting, notePeak, poolOf, roundsIn } from "./pool";
import { missing, reservePut, reserveTake } from "./reserve";

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
 * How many boxes move at once: their rounds have room in the magazine's own record, of which a magazine without a capacity
 * uses at most a few (surplus).
 */
@inline
function roomFor(m: Magazine, count: u32): u32 {
  return min<u32>(count, <u32>(changetype<usize>(m) + RECORD - m.top) / ROUND);
}

/**
 * Puts elements of the host's, an array of `count` words, into the reserve while that is short, and writes each one's box over
 * it. Returns how many, from the first on: the others stay the host's, as the reserve is full, the pool is closed, or there is
 * no box.
 *
 * A box that is full already, as a dead thread left it, goes into the reserve as it is. If this thread dies, each box that it
 * holds is CACHED, and so the reaper's to put into the reserve, if it is full, or into its slab.
 */
export function fillBoxes(m: Magazine, array: usize, count: u32): u32 {
  if (!isExternal(m)) return fail(BAD_ARGUMENT);
  const pool = poolOf(m);
  const end = array + (count << 2);
  let at = array;
  syncGate(m);
  notePeak(pool);
  while (at < end && !isClosed(pool)) {
    const epoch = current(pool);
    const rounds = m.top;
    beginTransit(m, 0);
    const want = <i32>min<u32>((<u32>(end - at)) >>> 2, max<i32>(0, missing(epoch)));
    const top = rounds + (want ? slabRefill(epoch, rounds, roomFor(m, want)) << 3 : 0);
    let round = rounds;
    for (; round < top; round += ROUND) {
      const box = load<u32>(round);
      const isEmpty = !userLoad(box);
      if (isEmpty) userStore(box, userLoad(at));
      if (!reservePut(epoch, box, load<u32>(round, 4))) {
        if (isEmpty) userStore(box, 0);
        break;
      }
      if (!isEmpty) continue;
      userStore(at, box);
      at += 4;
    }
    slabReturn(epoch, round, top);
    endTransit(m, 0);
    if (top == rounds || round < top) break;
  }
  clearShort(m);
  if (THREADS) serveOrFinish(m);
  return (<u32>(at - array)) >>> 2;
}

/**
 * Takes elements of the host's out of boxes that are surplus, up to `count`, into an array: of this thread's magazine, and of
 * the reserve if the pool is closed or has more than minNr. The boxes return to their slabs. Returns how many; or -1 less that,
 * if the pool has ended by that, and the handle is gone.
 */
export function drainBoxes(m: Magazine, array: usize, count: u32): i32 {
  if (!isExternal(m)) return fail(BAD_ARGUMENT);
  const pool = poolOf(m);
  const epoch = current(pool);
  const end = array + (count << 2);
  let at = array;
  let got: u32;
  syncGate(m);
  for (; THREADS && at < end && roundsIn(m); at += 4) {
    const top = m.top - ROUND;
    m.top = top;
    const box = load<u32>(top);
    userStore(at, userLoad(box));
    userStore(box, 0);
    giveToSlab(m, entryAt(box), load<u32>(top, 4));
  }
  do {
    const rounds = m.top;
    const most = roomFor(m, (<u32>(end - at)) >>> 2);
    beginTransit(m, 0);
    for (got = 0; got < most; got++) {
      const box = reserveTake(epoch, !isClosed(pool));
      if (!box) break;
      userStore(at, userLoad(box));
      userStore(box, 0);
      store<u64>(rounds + got * ROUND, (<u64>box) | ((<u64>stateAt(box)) << 32));
      at += 4;
    }
    slabReturn(epoch, rounds, rounds + got * ROUND);
    endTransit(m, 0);
  } while (got && at < end);
  const n = <i32>((<u32>(at - array)) >>> 2);
  return finishFree(m) == FREED ? n : ~n;
}
