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
import { atomicLoad, atomicStore, atomicXor, CHECKED, DEBUG, THREADS } from "../base/atomics";
import { CLOSED, fail } from "../base/error";
import { heap, selfNumber } from "../base/instance";
import { countMarks } from "../base/intent";
import { Magazine, MAX_THREADS, PAGE_SHIFT, ROUND, Slab, STATE_LIVE, STATE_MARK } from "../base/layout";
import { userLoad, userStore } from "../base/user";
import { asks } from "../debug/trace";
import { firstElement, slabIn, stateIn, stateOf } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { allocSlow, refuseAlloc } from "./alloc";
import { ASKS, checkFree, DOUBLE_FREE, FREED, FREED_LAST, NOT_STORED, refusal } from "./element";
import { asksFor, freeSlow } from "./free";
import { flushAndServe } from "./handoff";
import { cachedBy, flush } from "./magazine";
import { current, isClosed, isWaiting, magazineAt, poolOf, roundsIn, tableLength } from "./pool";
import { untilSample } from "./sample";

/** The bits that tell LIVE with a mark. */
const MARKED: u32 = STATE_LIVE | STATE_MARK;

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
        if (freeSlow(m, userLoad((at -= 4))) == FREED_LAST && THREADS) return <bool>fail(CLOSED);
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
  let n = min<u32>((<u32>(end - at)) >>> 2, <u32>(top - limit) / ROUND);
  if (DEBUG) n = min(n, untilSample(m));
  const stop = at + (n << 2);
  const live = THREADS ? m.liveState : STATE_LIVE;
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
    at = changeMarked(m, at, end, mark ? STATE_LIVE : MARKED, 0);
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
 * Makes elements that this thread has allocated CACHED, from `at` on to before `end`, and writes their rounds from `round`
 * on. Returns the first word that is any other address, or one of another epoch; or `end`.
 */
function cacheOwn(m: Magazine, at: usize, end: usize, round: usize): usize {
  return changeStates(m, at, end, 0xff, THREADS ? m.liveState : STATE_LIVE, round);
}

/** The same for the elements of any thread that have a mark; with `round` 0 it takes off the marks, or sets them. */
function changeMarked(m: Magazine, at: usize, end: usize, expected: u32, round: usize): usize {
  return changeStates(m, at, end, MARKED, expected, round);
}

/**
 * The page map is read once for a run of elements of one slab: an index below the slab's `count` says that the address is
 * its element's. While one of them is this thread's to free, the slab stays. The inner loop calls nothing: so engines keep
 * all that it needs in registers.
 */
@inline
function changeStates(m: Magazine, at: usize, end: usize, mask: u32, expected: u32, round: usize): usize {
  const cached = cachedBy(m);
  const inverse = m.inverse;
  const shift = m.shift;
  let from: usize;
  do {
    from = at;
    const entry = at < end ? entryAt(userLoad(at)) : 0;
    if (!entry || load<u32>(entry) != <u32>m.epoch) break;
    const slab = slabIn(entry);
    const count = slab.count;
    while (at < end) {
      const element = userLoad(at);
      const index = rotr<u32>(<u32>(element - firstElement(slab)) * inverse, shift);
      if (index >= count) break;
      const state = stateOf(slab, index);
      const byte: u32 = load<u8>(state);
      if ((byte & mask) != expected) return at;
      if (mask == 0xff || round) {
        store<u8>(state, cached);
        store<u64>(round, (<u64>element) | ((<u64>state) << 32));
        round += ROUND;
      } else changeMark(m, state, byte);
      at += 4;
    }
  } while (at != from);
  return at;
}

/** Where the magazine is full; 0 while its gate is shut to frees. The checked build has no hit path. */
@inline
function freeLimitOf(m: Magazine): usize {
  return CHECKED ? 0 : <usize>atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("freeLimit"));
}

/**
 * Frees the elements in an array of `count` words, all or none: FREED, FREED_LAST, or why the first is refused that may not
 * be freed or is named twice.
 *
 * The elements that this thread has allocated, and for which the magazine has room, become CACHED at the first look, so one
 * that is named again is found; they become rounds once all others are marked.
 *
 * The array may be the last words of the magazine itself, if twice as many are free: a round is written only over words that
 * have been read. NOT_STORED then says that not all are such elements, and nothing has changed: the slow path may move the
 * magazine.
 */
export function freeAll(m: Magazine, array: usize, count: u32): i32 {
  const end = array + (count << 2);
  const top = m.top;
  const live = THREADS ? m.liveState : STATE_LIVE;
  const stop = cacheOwn(m, array, roomIn(m, array, end), top);
  const round = top + ((stop - array) << 1);
  if (stop == end) {
    m.top = round;
    return FREED;
  }
  const rest = (<u32>(end - stop)) >>> 2;
  const isWithin = array - m.first < m.capacity * ROUND;
  const isAsked = DEBUG && asksForAny(m, stop, end);
  const good = isWithin || isAsked ? 0 : markBulk(m, stop, rest, true);
  if (good == rest) {
    m.top = round;
    return freeBulk(m, stop, rest);
  }
  for (let at = top; at < round; at += ROUND) store<u8>(load<u32>(at, 4), live);
  if (isAsked) return ASKS;
  return isWithin ? NOT_STORED : checkFree(m, userLoad(stop + (good << 2))) || DOUBLE_FREE;
}

/** Whether one of the elements in an array is guarded, and the host wants to hear of its free first. */
function asksForAny(m: Magazine, at: usize, end: usize): bool {
  if (!asks()) return false;
  while (at < end && !asksFor(m, userLoad(at))) at += 4;
  return at < end;
}

/** Frees the elements in an array of `count` words, which markBulk has marked. FREED, or FREED_LAST. */
export function freeBulk(m: Magazine, array: usize, count: u32): i32 {
  let result = FREED;
  for (const end = array + (count << 2); array < end && result != FREED_LAST;) {
    const top = m.top;
    const stop = changeMarked(m, array, roomIn(m, array, end), MARKED, top);
    m.top = top + ((stop - array) << 1);
    array = stop;
    if (array == end || hasMadeRoom(m, (<u32>(end - array)) >>> 2)) continue;
    result = freeSlow(m, userLoad(array));
    array += 4;
  }
  countMarks(-count);
  return i32(result == FREED_LAST);
}

/** The end of the part of an array, up to `end`, for which the magazine has room. */
@inline
function roomIn(m: Magazine, array: usize, end: usize): usize {
  const limit = freeLimitOf(m);
  return m.top < limit ? min(end, array + ((limit - m.top) >>> 1)) : array;
}

/**
 * Makes room for up to `n` rounds in a magazine that is full. False: it is not, or its gate is shut. A thread may have begun
 * to wait after the gate was read: as it searches after that, either it finds what returned to the slabs, or this thread
 * sees it.
 */
function hasMadeRoom(m: Magazine, n: u32): bool {
  if (m.top != freeLimitOf(m)) return false;
  const rounds = min(roundsIn(m), n);
  flush(m, rounds);
  if (THREADS && isWaiting(poolOf(m))) flushAndServe(m);
  return rounds != 0;
}

/** Sets or clears the mark of an outstanding element. False: it is not outstanding, or the mark is as it shall be. */
function setMark(m: Magazine, element: usize, mark: bool): bool {
  const entry = entryAt(element);
  if (refusal(m, entry, element)) return false;
  const state = stateIn(entry, element);
  const byte: u32 = load<u8>(state);
  if (((byte & STATE_MARK) != 0) == mark) return false;
  changeMark(m, state, byte);
  return true;
}

/** Sets or clears a mark. A thread that joins may change the owner of another's element meanwhile (disownPredecessors). */
@inline
function changeMark(m: Magazine, state: usize, byte: u32): void {
  if (!THREADS || (byte | STATE_MARK) == (m.liveState | STATE_MARK)) store<u8>(state, byte ^ STATE_MARK);
  else atomicXor<u8>(state, <u8>STATE_MARK);
}
