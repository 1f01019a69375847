/**
 * Elements: taking them from slabs, carving new ones, and returning them.
 *
 * Owns the state bytes NEVER and FREE. An element taken is CACHED by the thread; the caller makes it LIVE or RESERVED.
 * Calls slab to pop, push and create slabs. Never waits: a thread takes only from a slab it holds, and returns to any
 * slab by storing a byte and changing the summary.
 *
 * Invariants (checkSlab in inspect/check.ts, when no thread is in the middle of something), for each slab:
 * - `out` is the number of state bytes that are neither FREE nor NEVER;
 * - the group of each FREE state byte has its bit set;
 * - the state bytes from `carved` on are NEVER, those before it are not.
 */
import { atomicAnd, atomicLoad, atomicOr, atomicStore, compareExchange, THREADS } from "../base/atomics";
import { isRefused } from "../base/faults";
import { numbersGiven, self, selfNumber, threadAt } from "../base/instance";
import { announceSlab } from "../base/intent";
import {
  alignUp,
  BACKEND_BUMP,
  BACKEND_PAGES,
  Cache,
  Faults,
  Pool,
  ROUND,
  Slab,
  SLAB_GROUPS,
  SLAB_HEADER,
  SLAB_KEPT,
  SLAB_OUT,
  STATE_CACHED,
  STATE_FREE,
  STATES_FREE,
  Thread,
} from "../base/layout";
import { cacheIn, firstElement, groupShift, LINE, slabIn, stateCached, stateOf, summaryAt } from "./geometry";
import { entryAt } from "./map";
import {
  addTo,
  isLastSlab,
  partialOf,
  slabCreate,
  slabPop,
  slabPush,
  sweep,
  SWEEP_SLABS,
  sweepSoon,
  sweptOf,
} from "./slab";

/** A refill that has got an element looks at no more slabs than this. */
const REFILL_SLABS: u32 = 4;

/**
 * How often a refill looks again while other threads hold the slabs that have something to give. These are some
 * microseconds: long for a thread that holds a slab, short for a thread that waits for one that has stopped.
 */
const PATIENCE: u32 = isDefined(SIM) ? 2 : 200;

/**
 * Takes up to `want` elements, as rounds written to `rounds`; returns how many. Creates at most one slab, and none if
 * the slabs there are give anything. For a pool this is a call of its backend, which faults may refuse.
 */
export function slabRefill(cache: Cache, rounds: usize, want: u32): u32 {
  let got: u32 = 0;
  if (cache.pool && isRefused(changetype<Faults>(cache.pool + offsetof<Pool>("faults")))) return 0;
  let patience = THREADS ? PATIENCE : 0;
  for (let looks: u32 = 0; got < want && (!got || looks < REFILL_SLABS); looks++) {
    let slab = slabPop(partialOf(cache));
    if (!slab) slab = slabPop(sweptOf(cache));
    if (!slab) {
      if (got) break;
      slab = slabCreate(cache);
      if (!slab) {
        if (!patience || !isHeldByOther(cache)) break;
        patience--;
        continue;
      }
    }
    got += slabTake(cache, changetype<Slab>(slab), rounds + (got << 3), want - got);
  }
  announceSlab(0);
  return got;
}

/** Whether another thread holds a slab of this cache, or is creating or retiring one. */
function isHeldByOther(cache: Cache): bool {
  const threads = numbersGiven();
  for (let number: u32 = 0; number < threads; number++) {
    const thread = threadAt(number);
    if (thread == changetype<usize>(self())) continue;
    if (atomicLoad<u32>(thread + offsetof<Thread>("counting")) == changetype<u32>(cache)) return true;
    const slab = <usize>(<u32>atomicLoad<u64>(thread + offsetof<Thread>("slab")));
    const entry = slab ? entryAt(slab) : 0;
    if (entry && <u32>atomicLoad<u64>(entry) == changetype<u32>(cache)) return true;
  }
  return false;
}

/** Takes up to `want` elements of a slab that this thread holds, and lets go of the slab. */
function slabTake(cache: Cache, slab: Slab, rounds: usize, want: u32): u32 {
  const summary = summaryAt(changetype<usize>(slab));
  // Ordering: the bits are cleared before the bytes are read; a free stores its byte, then sets the bit (slabReturn).
  let groups = atomicAnd<u64>(summary, ~SLAB_GROUPS);
  groups &= SLAB_GROUPS;
  const shift = groupShift(slab.count);
  const stride = cache.stride;
  const cached = stateCached();
  // State bytes run downwards, and elements upwards: this less a state byte's address times the stride is its element.
  const base = firstElement(slab) + stateOf(slab, 0) * stride;
  // Bytes beyond the last element say NEVER.
  const end = changetype<usize>(slab) - alignUp(slab.count, 8);
  const full = rounds + (want << 3);
  let round = rounds;
  for (; groups; groups &= groups - 1) {
    let at = changetype<usize>(slab) - ((<usize>ctz<u64>(groups)) << shift);
    const last = max(at - (1 << shift), end);
    while (at > last && round < full) {
      at -= 8;
      const states = atomicLoad<u64>(at);
      // FREE is bit 5 without bits 6 and 7: in CACHED and LIVE, bit 5 is part of a thread's number.
      let found = states & STATES_FREE & ~((states >> 1) | (states >> 2));
      if (found == STATES_FREE && full - round >= 8 * ROUND) {
        round = takeWord(at, (<u64>(<u32>(base - at * stride))) | ((<u64>at) << 32), ((<u64>1) << 32) - stride, round);
        continue;
      }
      for (; found && round < full; round += 8) {
        const state = at + ((<usize>ctz<u64>(found)) >>> 3);
        found &= found - 1;
        // Loaded again by itself: an atomic load of eight bytes does not synchronise with a store of one byte.
        if (THREADS) atomicLoad<u8>(state);
        store<u8>(state, cached);
        store<u64>(round, (<u64>(<u32>(base - state * stride))) | ((<u64>state) << 32));
      }
    }
    if (round == full) break;
  }
  let got = (<u32>(round - rounds)) >>> 3;
  if (got < want) got += carve(cache, slab, round, want - got);
  let old: u64;
  let now: u64;
  do {
    old = atomicLoad<u64>(summary);
    now = (old | groups) + <u64>got * SLAB_OUT;
    if (!(now & SLAB_GROUPS) && slab.carved == slab.end) now &= ~SLAB_KEPT;
  } while (!compareExchange<u64>(summary, old, now));
  if (now & SLAB_KEPT) slabPush(partialOf(cache), changetype<usize>(slab));
  return got;
}

/**
 * Takes the eight elements of a word of FREE state bytes. `first` is the round of the one with the lowest state byte, `step` the
 * difference of two rounds. Returns the end of the rounds.
 */
@inline
function takeWord(state: usize, first: u64, step: u64, round: usize): usize {
  if (!THREADS) store<u64>(state, STATE_CACHED * 0x0101010101010101);
  for (const end = round + 8 * ROUND; round < end; round += ROUND) {
    if (THREADS) {
      atomicLoad<u8>(state);
      store<u8>(state++, stateCached());
    }
    store<u64>(round, first);
    first += step;
  }
  return round;
}

/**
 * Returns elements, CACHED by this thread, to their slabs: those of the rounds from `rounds` to before `top`, newest
 * first. Adjacent rounds of one slab take one change of its summary.
 *
 * Ordering: the store of FREE publishes what the thread wrote to the element before, as a thread that scans the group
 * because of another element may take this one at once. The summary's change comes after it. A taking thread clears the
 * group's bit, then reads the bytes: so it sees this FREE, or this thread sets the bit again.
 */
export function slabReturn(cache: Cache, rounds: usize, top: usize): void {
  while (top > rounds) {
    const slab = slabIn(entryAt(load<u32>(top - 8)));
    const at = changetype<usize>(slab);
    const count = slab.count;
    const shift = groupShift(count);
    announceSlab(at);
    let groups: u64 = 0;
    const start = top;
    do {
      const state = load<u32>(top - 4);
      const index = <u32>(at - 1 - state);
      // The state bytes of the slab lie below it, within `count` bytes. Else the round is of another slab.
      if (index >= count) break;
      atomicStore<u8>(state, <u8>STATE_FREE);
      groups |= (<u64>1) << (index >>> shift);
      top -= 8;
    } while (top > rounds);
    slabGive(cache, at, groups, (<u32>(start - top)) >>> 3);
  }
}

/** Makes elements from `from` to before `to`, never carved, FREE, in a slab that this thread holds. */
function slabSkip(slab: Slab, from: u32, to: u32): void {
  const shift = groupShift(slab.count);
  let groups: u64 = 0;
  for (; from < to; from++) {
    atomicStore<u8>(stateOf(slab, from), <u8>STATE_FREE);
    groups |= (<u64>1) << (from >>> shift);
  }
  atomicOr<u64>(summaryAt(changetype<usize>(slab)), groups);
}

/** Counts `n` elements, now FREE, as returned to a slab, and marks their groups. The slab may be gone afterwards. */
function slabGive(cache: Cache, slab: usize, groups: u64, n: u32): void {
  let old: u64;
  let now: u64;
  do {
    old = atomicLoad<u64>(summaryAt(slab));
    now = (old | groups | SLAB_KEPT) - <u64>n * SLAB_OUT;
  } while (!compareExchange<u64>(summaryAt(slab), old, now));
  // It had nothing to give, so it was on no stack, and no thread held it: this thread, which set the bit, holds it now.
  if (!(old & SLAB_KEPT)) slabPush(partialOf(cache), slab);
  announceSlab(0);
  if (now < SLAB_OUT) {
    addTo(cache, offsetof<Cache>("emptied"), 1);
    if (cache.backend == BACKEND_PAGES) sweepSoon(cache);
    else if (cache.backend != BACKEND_BUMP && !isLastSlab(cache))
      sweep(cache, partialOf(cache), sweptOf(cache), SWEEP_SLABS);
  }
}

/** Returns one element, CACHED by this thread, whose page has this `entry`. Ordering: as in slabReturn. */
export function elementReturn(entry: usize, state: usize): void {
  const slab = slabIn(entry);
  const at = changetype<usize>(slab);
  announceSlab(at);
  atomicStore<u8>(state, <u8>STATE_FREE);
  slabGive(cacheIn(entry), at, (<u64>1) << ((at - 1 - state) >>> groupShift(slab.count)), 1);
}

/** Takes one element of a cache, past magazine and reserve; 0 if there is none. */
export function elementTake(cache: Cache): usize {
  const round = changetype<usize>(self()) + offsetof<Thread>("round");
  return slabRefill(cache, round, 1) ? load<u32>(round) : 0;
}

/** Takes up to `want` elements that were never allocated, as slabRefill does; returns how many. */
function carve(cache: Cache, slab: Slab, rounds: usize, want: u32): u32 {
  let carved = slab.carved;
  if (THREADS) carved = ownLine(slab, carved);
  const got = min(want, slab.end - carved);
  slab.carved = carved + got;
  let state = changetype<usize>(slab) - 1 - carved;
  let element = changetype<usize>(slab) + SLAB_HEADER + carved * cache.stride;
  const cached = stateCached();
  // A magazine allocates its last round first: so addresses ascend.
  for (let round = rounds + (got << 3); round > rounds;) {
    round -= 8;
    store<u8>(state, cached);
    store<u64>(round, (<u64>element) | ((<u64>state) << 32));
    state--;
    element += cache.stride;
  }
  return got;
}

/**
 * Where a thread begins to carve. Two threads whose elements have their state bytes in one cache line slow each other
 * down at every alloc and free. So a thread that did not carve last begins a new line of state bytes, if there is one;
 * the elements of the rest of the old line become FREE.
 */
function ownLine(slab: Slab, carved: u32): u32 {
  if (slab.carver == selfNumber()) return carved;
  slab.carver = selfNumber();
  const next = carved + ((changetype<u32>(slab) - carved) & (LINE - 1));
  if (next + LINE > slab.end) return carved;
  slabSkip(slab, carved, next);
  return next;
}
