/**
 * The magazine: the elements of one epoch that one thread hands out and takes back without touching a word that another
 * thread changes. popRound and pushRound are the hit path once the gate has let a call through.
 *
 * Owns the rounds, and the change between CACHED and LIVE. An element that a thread holds between magazine, reserve,
 * slabs and waiters is CACHED by it and no round. `taken` counts the elements that the thread took from slabs and
 * reserve, less those it returned there: it changes in one store with `top` (moveTop), or with TAKEN_IN_TRANSIT
 * (beginTransit). So if the thread dies, the reaper knows whether `taken` counts what it held (uncount in
 * threads/reap.ts).
 *
 * Invariant (checkMagazine and checkPool of inspect/check.ts), while no thread is inside a call: the rounds of a
 * thread's magazine, each once, and the elements that it has handed over to waiters are exactly the elements CACHED by
 * it.
 *
 * Calls elements (slabs) to refill and to flush, a batch at a time. Waits for no thread.
 */
import { atomicLoad, atomicStore, DEBUG, MALLOC_ALONE, THREADS } from "../base/atomics";
import { heap } from "../base/instance";
import {
  BACKEND_EXTERNAL,
  BACKEND_PAGES,
  BATCH,
  Epoch,
  GATE_SHUT,
  Magazine,
  MAGAZINE_BYTES,
  MAGAZINE_HEADER,
  MAGAZINE_SHARE_SHIFT,
  MAX_NR_SHARE_SHIFT,
  MAX_ROUNDS,
  PAGE,
  PAGE_ROUNDS_AT,
  PAGE_SHIFT,
  Pool,
  RECORD_ROUNDS,
  RECORD_ROUNDS_AT,
  ROUND,
  SMALL_ROUNDS,
  STATE_CACHED,
  STATE_LIVE,
  TAKEN,
  TAKEN_IN_TRANSIT,
} from "../base/layout";
import { slabRefill, slabReturn } from "../memory/elements";
import { stateAt } from "../memory/geometry";
import { ownAlloc, ownFree } from "../memory/records";
import { roundsIn, wordOf } from "./pool";
import { minNr } from "./reserve";
import { planSample } from "./sample";

/**
 * From here to endTransit the elements that this thread holds are not in `taken`; otherwise they are. `by` corrects
 * `taken` for those that enter transit. Count and flag change in one store.
 */
@inline
export function beginTransit(m: Magazine, by: i32): void {
  if (THREADS) beginTransitAt(changetype<usize>(m) + offsetof<Magazine>("taken"), by);
  else if (by) m.taken += by;
}

/** The same for a count anywhere. */
@inline
export function beginTransitAt(taken: usize, by: i32): void {
  store<u32>(taken, ((load<u32>(taken) + by) & TAKEN) | TAKEN_IN_TRANSIT);
}

/** Ends the transit: `by` elements that are still held, or were stored in the magazine, are in `taken` again. */
@inline
export function endTransit(m: Magazine, by: i32): void {
  if (THREADS) endTransitAt(changetype<usize>(m) + offsetof<Magazine>("taken"), by);
  else m.taken += by;
}


@inline
export function endTransitAt(taken: usize, by: i32): void {
  store<u32>(taken, (load<u32>(taken) + by) & TAKEN);
}

/** Sets `top` after rounds came from the slabs or returned there, and `taken` by the same store; ends a transit. */
@inline
function moveTop(m: Magazine, top: usize, by: i32): void {
  store<u64>(changetype<usize>(m), (<u64>top) | ((<u64>((m.taken + by) & TAKEN)) << 32));
}

/**
 * Makes an empty magazine one of the pool's current epoch, with its rounds in its own record.
 *
 * Ordering: stores the magazine's epoch, then reads the pool's again. A thread that reshapes stores the pool's epoch,
 * and reads all magazines' before it reuses an old record (isReusable). At least one of them sees the other.
 */
export function adoptEpoch(m: Magazine, pool: Pool): void {
  const current = wordOf(pool, offsetof<Pool>("epoch"));
  let at: u32;
  do {
    at = atomicLoad<u32>(current);
    atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"), at);
  } while (THREADS && atomicLoad<u32>(current) != at);
  const epoch = changetype<Epoch>(<usize>at);
  m.inverse = atomicLoad<u32>(changetype<usize>(epoch) + offsetof<Epoch>("inverse"));
  m.shift = epoch.shift;
  m.indexEnd = epoch.indexEnd;
  let full = max<u32>(1, min<u32>(MAX_ROUNDS, MAGAZINE_BYTES / epoch.stride));
  // Where elements are few, other threads would miss those that this one caches.
  if (THREADS) full = min<u32>(full, epoch.maxNr >>> MAX_NR_SHARE_SHIFT);
  if (epoch.backend == BACKEND_PAGES || epoch.backend == BACKEND_EXTERNAL) full = 0;
  // A guarded element is checked as it is allocated and freed, on the slow path.
  if (DEBUG && epoch.guard) full = 0;
  m.fullCapacity = full;
  magazineShrink(m);
  if (DEBUG) planSample(m);
}

/** The end of the rounds at full capacity: freeLimit while the gate is open to frees. */
@inline
export function magazineEnd(m: Magazine): usize {
  return m.first + m.capacity * ROUND;
}

/** Hands out the newest round; the magazine is not empty. `top` is m.top. */
@inline
export function popRound(m: Magazine, top: usize): usize {
  const round = top - ROUND;
  m.top = round;
  m.allocs++;
  // Two loads, not one of 8 bytes: the element must not wait for the state byte's address to be computed.
  store<u8>(load<u32>(round, 4), THREADS ? m.liveState : STATE_LIVE);
  return load<u32>(round);
}

/** Puts an element into a magazine that is not full. `top` is m.top. */
@inline
export function pushRound(m: Magazine, top: usize, element: usize, state: usize): void {
  store<u8>(state, cachedBy(m));
  store<u32>(top, <u32>element);
  store<u32>(top, <u32>state, 4);
  m.top = top + ROUND;
}

/** The state byte CACHED by a magazine's thread. */
@inline
export function cachedBy(m: Magazine): u32 {
  return THREADS ? m.liveState ^ (STATE_LIVE | STATE_CACHED) : STATE_CACHED;
}

/**
 * How many rounds move between magazine and slabs at once: enough to share the cost, but at most half of the magazine,
 * so that a load that just fits it soon moves almost none.
 */
@inline
export function batch(m: Magazine): u32 {
  return min<u32>(BATCH, (m.capacity + 1) >>> 1);
}

/**
 * Moves a batch, or `want` elements if that is more and the magazine has room, but at most `most`, from the slabs into an
 * empty magazine. False: the backend gives none, also where the magazine has returned what it grew into.
 */
export function refill(m: Magazine, want: u32, most: u32): bool {
  const epoch = changetype<Epoch>(m.epoch);
  // Boxes from the slabs are empty: only the host fills them.
  if (epoch.backend == BACKEND_EXTERNAL) return false;
  growMagazine(m, want);
  if (fill(m, want, most)) return true;
  const isLimited = atomicLoad<u32>(m.epoch + offsetof<Epoch>("capacity")) == epoch.maxNr;
  return !isLimited && !changetype<Pool>(m.pool).faults && returnRounds(m) && fill(m, want, most);
}

function fill(m: Magazine, want: u32, most: u32): bool {
  beginTransit(m, 0);
  const count = max<u32>(1, min(max(batch(m), min(want, m.capacity)), most));
  const got = slabRefill(changetype<Epoch>(m.epoch), m.top, count);
  moveTop(m, m.top + got * ROUND, got);
  return got != 0;
}

/** Returns a batch to the slabs if the magazine is full. It does not grow: a free must not allocate memory. */
export function makeRoom(m: Magazine): void {
  if (roundsIn(m) == m.capacity) flush(m, batch(m));
}

/** Returns the `count` newest rounds to the slabs: their slabs are the most recently used. */
export function flush(m: Magazine, count: u32): void {
  const top = m.top;
  const rounds = top - count * ROUND;
  slabReturn(changetype<Epoch>(m.epoch), rounds, top);
  moveTop(m, rounds, -count);
}

/**
 * Gives an empty magazine a record of rounds once its epoch has RECORD_ROUNDS_AT pages of slabs, and then a page of rounds for
 * each PAGE_ROUNDS_AT of them, up to its full capacity, which it has at once if a bulk wants more than it holds. If memory is
 * gone, it stays as it is.
 */
function growMagazine(m: Magazine, want: u32): void {
  if (m.capacity == m.fullCapacity) return;
  const pages = atomicLoad<u32>(m.epoch + offsetof<Epoch>("slabPages"));
  if (pages < RECORD_ROUNDS_AT && want <= m.capacity) return;
  const epoch = changetype<Epoch>(m.epoch);
  // The reserve takes minNr elements back before a magazine gets any: so many are never cached.
  if (epoch.maxNr - minNr(epoch) <= m.capacity) return;
  let capacity = want > m.capacity ? MAX_ROUNDS : max<u32>(RECORD_ROUNDS, (pages / PAGE_ROUNDS_AT) * (PAGE / ROUND));
  capacity = min<u32>(m.fullCapacity, capacity);
  if (capacity * ROUND > heap().maxPages << (PAGE_SHIFT - MAGAZINE_SHARE_SHIFT))
    capacity = min<u32>(capacity, RECORD_ROUNDS);
  if (capacity <= m.capacity) return;
  const first = ownAlloc(capacity * ROUND);
  if (!first) return;
  // The gate bounds the old rounds: shut until syncGate sets it for the new ones.
  atomicStore<u64>(changetype<usize>(m) + offsetof<Magazine>("allocLimit"), GATE_SHUT);
  setRounds(m, first, capacity);
}

/** Returns all rounds to the slabs, and the pages that the magazine has grown into. False: it had neither. */
export function emptyMagazine(m: Magazine): bool {
  const had = roundsIn(m);
  giveCached(m);
  return (!isExternal(m) && returnRounds(m)) || had != 0;
}

/** Moves an empty magazine that has grown into pages back into its own record, and shuts its gate until syncGate. */
function returnRounds(m: Magazine): bool {
  if (m.capacity <= RECORD_ROUNDS) return false;
  atomicStore<u64>(changetype<usize>(m) + offsetof<Magazine>("allocLimit"), GATE_SHUT);
  magazineShrink(m);
  return true;
}

/** Moves an empty magazine back into its own record, and frees the memory it grew into. */
export function magazineShrink(m: Magazine): void {
  setRounds(m, ownRounds(m), min<u32>(SMALL_ROUNDS, m.fullCapacity));
}

/** The rounds in a magazine's own record. */
@inline
function ownRounds(m: Magazine): usize {
  return changetype<usize>(m) + MAGAZINE_HEADER;
}

/**
 * Has an empty magazine keep its rounds in other memory, and frees what it kept them in. While `first` and `top` disagree,
 * `capacity` is 0: a reaper sees by that that there are no rounds (roundsOf in threads/reap.ts).
 */
function setRounds(m: Magazine, first: usize, capacity: u32): void {
  const old = m.first;
  m.capacity = 0;
  m.first = first;
  m.top = first;
  m.capacity = capacity;
  // `first` no longer names it: a thread that dies here leaks the memory, and nobody frees it twice.
  if (old && old != ownRounds(m)) ownFree(old);
}

/** Returns all rounds to the slabs; not an external backend's full boxes, which would count as empty. */
@inline
export function giveCached(m: Magazine): void {
  if (!isExternal(m)) flush(m, roundsIn(m));
}


@inline
export function isExternal(m: Magazine): bool {
  return !MALLOC_ALONE && changetype<Epoch>(m.epoch).backend == BACKEND_EXTERNAL;
}

/** Hands out a held element. */
@inline
export function handOut(m: Magazine, element: usize): usize {
  store<u8>(stateAt(element), m.liveState);
  return element;
}
