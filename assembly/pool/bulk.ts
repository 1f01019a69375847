/**
 * Several elements at once, all or none.
 *
 * A bulk alloc takes one element after the other and returns all if one is missing. Two threads could fail for each
 * other, each with a part of what the other needs. So `bulks` of each magazine says whether its thread is in a bulk
 * alloc, and a thread that has failed beside another tries again: at once if its number is the lowest of those, else
 * after those with lower numbers are done. Both are bounded (BULK_TRIES, BULK_LOOKS): a stopped thread delays another
 * by some 65,000 looks at most.
 *
 * A bulk free first marks its elements (markBulk), which finds an element that is named twice, then frees them.
 * `transit` of the Thread counts the marks, so that they are taken back if the thread dies (reapCached).
 */
import { atomicLoad, atomicStore, CHECKED, THREADS } from "../base/atomics";
import { CLOSED, fail } from "../base/error";
import { heap, selfNumber } from "../base/instance";
import { countMarks } from "../base/intent";
import { Magazine, MAX_THREADS, PAGE_SHIFT, ROUND, STATE_LIVE, STATE_MARK } from "../base/layout";
import { userLoad, userStore } from "../base/user";
import { firstElement, slabIn, stateIn, stateOf } from "../memory/geometry";
import { entryAt, entryIn, leafAt } from "../memory/map";
import { allocSlow, refuseAlloc } from "./alloc";
import { checkFree, DOUBLE_FREE, FREED, FREED_LAST, refusal } from "./element";
import { freeSlow } from "./free";
import { flushAndServe } from "./handoff";
import { batch, cachedBy, flush } from "./magazine";
import { current, isClosed, isWaiting, magazineAt, poolOf, roundsIn, tableLength } from "./pool";

/** How often a bulk alloc tries beside others, and how often it looks whether those have ended. */
const BULK_TRIES: u32 = isDefined(SIM) ? 8 : 16;

const BULK_LOOKS: u32 = isDefined(SIM) ? 16 : 1 << 12;

/** Fills an array of `count` words with elements. False: fewer are to be had, and none is taken. */
export function allocBulk(m: Magazine, array: usize, count: u32): bool {
  const epoch = current(poolOf(m));
  if (count > epoch.maxNr || <u64>count * epoch.stride > (<u64>heap().maxPages) << PAGE_SHIFT) return refuseAlloc(m);
  if (!THREADS) return tryBulk(m, array, count);
  const bulksAt = changetype<usize>(m) + offsetof<Magazine>("bulks");
  const failures = m.failures;
  let done: bool;
  for (let tries = BULK_TRIES; ; tries--) {
    const seen = otherBulks(m);
    atomicStore<u32>(bulksAt, m.bulks + 1);
    done = tryBulk(m, array, count);
    const isContended =
      !done && tries && !isClosed(poolOf(m)) && (otherBulks(m) != seen || hasBulkBelow(m, MAX_THREADS));
    for (let looks = BULK_LOOKS; isContended && looks && hasBulkBelow(m, selfNumber()); looks--) {}
    atomicStore<u32>(bulksAt, m.bulks + 1);
    if (isContended) continue;
    m.failures = failures + u64(!done);
    return done;
  }
}

/** A number that changes when another thread's bulk alloc begins or ends. */
function otherBulks(m: Magazine): u32 {
  const pool = poolOf(m);
  let sum: u32 = 0;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const other = magazineAt(pool, thread);
    if (other && other != changetype<usize>(m)) sum += atomicLoad<u32>(other + offsetof<Magazine>("bulks"));
  }
  return sum;
}

/** Whether another thread with a number below `end` is in a bulk alloc. */
function hasBulkBelow(m: Magazine, end: u32): bool {
  const pool = poolOf(m);
  for (let thread: u32 = 0; thread < min(end, tableLength(pool)); thread++) {
    const other = magazineAt(pool, thread);
    if (!other || other == changetype<usize>(m)) continue;
    if (atomicLoad<u32>(other + offsetof<Magazine>("bulks")) & 1) return true;
  }
  return false;
}

function tryBulk(m: Magazine, array: usize, count: u32): bool {
  const pool = poolOf(m);
  const epoch = current(pool);
  const allocs = m.allocs;
  const reserveHits = m.reserveHits;
  const lowest = epoch.lowestCurrNr;
  const peak = pool.peak;
  const end = array + (count << 2);
  for (let at = array; at < end; at += 4) {
    at = popRounds(m, at, end);
    if (at == end) break;
    const element = allocSlow(m, (<u32>(end - at)) >>> 2);
    if (!element) {
      while (at > array) {
        // Another thread has closed the pool, and this element was its last: magazine and pool are gone.
        if (freeSlow(m, userLoad((at -= 4))) == FREED_LAST) return <bool>fail(CLOSED);
      }
      // A failed bulk alloc leaves the statistics as they were.
      m.allocs = allocs;
      m.reserveHits = reserveHits;
      epoch.lowestCurrNr = lowest;
      pool.peak = peak;
      return false;
    }
    userStore(at, element);
  }
  return true;
}

/**
 * The hit path of alloc for as many of the words from `at` to `end` as there are rounds, with one look at the gate. Returns
 * the first word that is left. A thread that dies leaves elements CACHED that are no rounds, as popRound does.
 */
function popRounds(m: Magazine, at: usize, end: usize): usize {
  let top = m.top;
  const limit = atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("allocLimit"));
  if (top <= limit) return at;
  const n = min<u32>((<u32>(end - at)) >>> 2, <u32>(top - limit) / ROUND);
  const stop = at + (n << 2);
  const live = m.liveState;
  m.top = top - n * ROUND;
  m.allocs += n;
  for (; at < stop; at += 4) {
    top -= ROUND;
    store<u8>(load<u32>(top, 4), live);
    userStore(at, load<u32>(top));
  }
  return at;
}

/**
 * Marks the elements in an array of `count` words. Returns `count`; or the index of the first that is named twice or
 * may not be freed, and then none is marked. With `mark` false, takes the marks back. Words that are 0 are skipped.
 */
export function markBulk(m: Magazine, array: usize, count: u32, mark: bool): u32 {
  countMarks(mark ? count : -count);
  const end = array + (count << 2);
  for (let at = array; at < end; at += 4) {
    at = changeMarks(m, at, end, mark, 0, 0);
    if (at == end) break;
    const element = userLoad(at);
    if (!element || setMark(m, element, mark) || !mark) continue;
    const marked = (<u32>(at - array)) >>> 2;
    countMarks(marked - count);
    markBulk(m, array, marked, false);
    return marked;
  }
  return count;
}

/**
 * Sets or clears marks from `at` on to before `end`, of elements of the magazine's epoch, with every check of freeInEntry.
 * Returns the first word that is another address, or whose mark is not to be changed; or `end`. Writes their rounds from
 * `round` on to before `limit`.
 */
function changeMarks(m: Magazine, at: usize, end: usize, mark: bool, round: usize, limit: usize): usize {
  const epoch = <u32>m.epoch;
  const inverse = m.inverse;
  const shift = m.shift;
  const indexEnd = m.indexEnd;
  const expected: u32 = mark ? STATE_LIVE : STATE_LIVE | STATE_MARK;
  for (; at < end; at += 4) {
    const element = userLoad(at);
    const leaf = leafAt(element);
    if (!leaf) break;
    const entry = entryIn(leaf, element);
    if (load<u32>(entry) != epoch) break;
    const slab = slabIn(entry);
    const index = rotr<u32>(<u32>(element - firstElement(slab)) * inverse, shift);
    if (index >= indexEnd) break;
    const state = stateOf(slab, index);
    const byte: u32 = load<u8>(state);
    if ((byte & (STATE_LIVE | STATE_MARK)) != expected) break;
    store<u8>(state, byte ^ STATE_MARK);
    if (round < limit) store<u64>(round, (<u64>element) | ((<u64>state) << 32));
    round += ROUND;
  }
  return at;
}

/** Where the magazine is full; 0 while its gate is shut to frees. The checked build has no hit path. */
@inline
function freeLimitOf(m: Magazine): usize {
  return CHECKED ? 0 : <usize>atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("freeLimit"));
}

/**
 * Frees the elements in an array of `count` words, all or none: FREED, FREED_LAST, or why the first is refused that may not
 * be freed or is named twice. Where all fit the magazine, one look at each element marks it and writes its round.
 */
export function freeAll(m: Magazine, array: usize, count: u32): i32 {
  const top = m.top;
  const limit = freeLimitOf(m);
  const end = array + (count << 2);
  countMarks(count);
  const stop = changeMarks(m, array, end, true, top, limit);
  const marked = (<u32>(stop - array)) >>> 2;
  if (stop == end && top + count * ROUND <= limit) {
    pushRounds(m, top, count);
    countMarks(-count);
    return FREED;
  }
  countMarks(marked - count);
  const rest = count - marked;
  const good = markBulk(m, stop, rest, true);
  if (good == rest) return freeBulk(m, array, count);
  markBulk(m, array, marked, false);
  return checkFree(m, userLoad(stop + (good << 2))) || DOUBLE_FREE;
}

/** Frees the elements in an array of `count` words, which markBulk has marked. FREED, or FREED_LAST. */
export function freeBulk(m: Magazine, array: usize, count: u32): i32 {
  let result = FREED;
  for (const end = array + (count << 2); array < end && result != FREED_LAST;) {
    const top = m.top;
    const limit = freeLimitOf(m);
    const room = top < limit ? (<u32>(limit - top)) >>> 1 : 0;
    const stop = changeMarks(m, array, min<usize>(end, array + room), false, top, limit);
    pushRounds(m, top, (<u32>(stop - array)) >>> 2);
    array = stop;
    if (array == end || hasMadeRoom(m, (<u32>(end - array)) >>> 2)) continue;
    result = freeSlow(m, userLoad(array));
    array += 4;
  }
  countMarks(-count);
  return result == FREED_LAST ? result : FREED;
}

/** Frees the `n` elements whose rounds stand from `top`, the magazine's, on. A thread that dies leaves some CACHED, no rounds. */
function pushRounds(m: Magazine, top: usize, n: u32): void {
  const cached = cachedBy(m);
  const end = top + n * ROUND;
  for (let round = top; round < end; round += ROUND) store<u8>(load<u32>(round, 4), cached);
  m.top = end;
}

/**
 * Makes room for up to `n` rounds in a magazine that is full. False: it is not, or its gate is shut. A thread may have begun
 * to wait after the gate was read: as it searches after that, either it finds what returned to the slabs, or this thread
 * sees it.
 */
function hasMadeRoom(m: Magazine, n: u32): bool {
  const rounds = roundsIn(m);
  if (!rounds || m.top != freeLimitOf(m)) return false;
  flush(m, min(rounds, max(n, batch(m))));
  if (THREADS && isWaiting(poolOf(m))) flushAndServe(m);
  return true;
}

/** Sets or clears the mark of an outstanding element. False: it is not outstanding, or the mark is as it shall be. */
function setMark(m: Magazine, element: usize, mark: bool): bool {
  const entry = entryAt(element);
  if (refusal(m, entry, element)) return false;
  const state = stateIn(entry, element);
  const byte: u32 = load<u8>(state);
  if (((byte & STATE_MARK) != 0) == mark) return false;
  store<u8>(state, byte ^ STATE_MARK);
  return true;
}
