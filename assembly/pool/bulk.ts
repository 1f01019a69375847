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
import { atomicLoad, atomicStore, THREADS } from "../base/atomics";
import { CLOSED, fail } from "../base/error";
import { heap, selfNumber } from "../base/instance";
import { countMarks } from "../base/intent";
import { Magazine, MAX_THREADS, PAGE_SHIFT, STATE_LIVE, STATE_MARK } from "../base/layout";
import { userLoad, userStore } from "../base/user";
import { firstElement, slabIn, stateIn, stateOf } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { allocInline, refuseAlloc } from "./alloc";
import { FREED, FREED_LAST, refusal } from "./element";
import { freeInline, freeSlow } from "./free";
import { current, isClosed, magazineAt, poolOf, tableLength } from "./pool";

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
    const element = allocInline(m);
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
 * Marks the elements in an array of `count` words. Returns `count`; or the index of the first that is named twice or
 * may not be freed, and then none is marked. With `mark` false, takes the marks back. Words that are 0 are skipped.
 */
export function markBulk(m: Magazine, array: usize, count: u32, mark: bool): u32 {
  countMarks(mark ? count : -count);
  for (let i: u32 = 0; i < count; i++) {
    const element = userLoad(array + (i << 2));
    if (!element || setMark(m, element, mark) || !mark) continue;
    countMarks(i - count);
    markBulk(m, array, i, false);
    return i;
  }
  return count;
}

/** Frees the elements in an array of `count` words, which markBulk has marked. FREED, or FREED_LAST. */
export function freeBulk(m: Magazine, array: usize, count: u32): i32 {
  let result = FREED;
  for (const end = array + (count << 2); array < end && result != FREED_LAST; array += 4) {
    result = freeInline(m, userLoad(array));
  }
  countMarks(-count);
  return result == FREED_LAST ? result : FREED;
}

/** Sets or clears the mark of an outstanding element. False: it is not outstanding, or the mark is as it shall be. */
function setMark(m: Magazine, element: usize, mark: bool): bool {
  const entry = entryAt(element);
  if (!entry) return false;
  let state: usize = 0;
  // The same short checks as freeInline.
  if (load<u32>(entry) == <u32>m.epoch) {
    const slab = slabIn(entry);
    const index = rotr<u32>(<u32>(element - firstElement(slab)) * m.inverse, m.shift);
    if (index < m.indexEnd) state = stateOf(slab, index);
  } else if (!refusal(m, entry, element)) state = stateIn(entry, element);
  if (!state) return false;
  const byte: u32 = load<u8>(state);
  if (!(byte & STATE_LIVE)) return false;
  if (((byte & STATE_MARK) != 0) == mark) return false;
  store<u8>(state, byte ^ STATE_MARK);
  return true;
}
