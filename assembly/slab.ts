/**
 * Slabs: elements of one size, with no header on any of them.
 *
 * Owns the Cache and the Slab, and the state bytes NEVER and FREE. Calls pages (runs) and bump (the unused end of a
 * fresh slab). What it hands out it marks CACHED: the caller says LIVE or RESERVED. Never waits: a slab is taken from by
 * one thread at a time, which has popped it off the cache's stack; others take from other slabs, or make one. Elements
 * are returned by anybody, any time, by a byte and a change of the slab's summary.
 *
 * Invariants (check.ts walks them, when no thread is in the middle of something), for each slab:
 * - `out` is the number of state bytes that are neither FREE nor NEVER;
 * - the group of each FREE state byte has its bit set;
 * - the bytes from `carved` on are NEVER;
 * - it is kept, in one of its cache's two stacks, if and only if it has something to give: a FREE byte or carved < end.
 *
 * A slab that becomes empty goes back to pages when the search for such comes by: it takes a few steps each time one
 * becomes empty, and looks at all of them when memory is short, in heap_trim, and when the pool has closed.
 */
import { atomicAdd, atomicAnd, atomicLoad, atomicOr, atomicStore, atomicSwap, guess, THREADS } from "./atomics";
import { carve } from "./bump";
import { isRefused } from "./faults";
import {
  alignUp,
  BACKEND_BUMP,
  BACKEND_PAGES,
  Cache,
  ENDED,
  Faults,
  GROUPS,
  heapBase,
  HEAP_RECORDS,
  PAGE,
  PAGE_SHIFT,
  Pool,
  RECORD,
  self,
  selfNumber,
  Slab,
  SLAB_GROUPS,
  SLAB_HEADER,
  SLAB_KEPT,
  SLAB_OUT,
  SLAB_RETIRED,
  STATE_CACHED,
  STATE_FREE,
  STATE_LIVE,
  STATES_FREE,
  Thread,
} from "./layout";
import {
  entryAt,
  entryWrite,
  isRaw,
  rawAlloc,
  rawFree,
  runAlloc,
  runClaim,
  runFree,
  runSettled,
  runSoon,
} from "./pages";

/** Elements of whole cache lines do not straddle them. */
const LINE: u32 = 64;
/** No slab of small elements is longer than this; and once a cache has as much, its slabs are about this long. */
const LARGE_PAGES: u32 = 16;
/** A refill looks at no more slabs than this, once it has got something. */
const REFILL_SLABS: u32 = 4;
/** When a slab becomes empty, the search for such goes so many slabs further. */
const SWEEP_SLABS: u32 = 4;

/**
 * State bytes of a slab, with the padding of NEVER: an address in what is left over at the end of the run, at a multiple
 * of the stride, has an index of count, and by the argument that a slab's first element moves by less than a stride or
 * 8 bytes when one more is added, of count + 8 at most. All these indices can be read, and say NEVER.
 */
@inline
export function stateBytes(count: u32): u32 {
  return alignUp(count + 9, 8);
}

/** The offset of the first element in a slab of `count` elements. */
function firstOffset(cache: Cache, count: u32): u32 {
  const lines = min<u32>(LINE, cache.stride & -cache.stride);
  return alignUp(stateBytes(count) + SLAB_HEADER, max<u32>(max<u32>(cache.align, lines), 8));
}

/** How many elements a slab of `pages` holds. */
export function countIn(cache: Cache, pages: u32): u32 {
  const bytes = pages << PAGE_SHIFT;
  // Each element costs its stride and a state byte. Padding may take away one more.
  let count = (bytes - SLAB_HEADER) / (cache.stride + 1);
  while (count && firstOffset(cache, count) + count * cache.stride > bytes) count--;
  return count;
}

/** What a slab of `pages` wastes, in bytes: all but its elements and their state bytes. */
function wasteIn(cache: Cache, pages: u32): u32 {
  return (pages << PAGE_SHIFT) - countIn(cache, pages) * (cache.stride + 1);
}

/**
 * Lays out a cache for elements of `size` bytes, a multiple of `align` when rounded up to it.
 *
 * Its first slabs are the shortest that waste little: a 64th of a slab up to four pages, an eighth of a longer one.
 * Later ones are of 16 pages, where that wastes no more. The allocator's own records stay with single pages.
 */
export function cacheInit(cache: Cache, size: u32, align: u32): void {
  const stride = alignUp(size, align);
  const shift = ctz<u32>(stride);
  const odd = stride >>> shift;
  // Newton's iteration doubles the correct low bits: 5, 10, 20, 40.
  let inverse = (odd * 3) ^ 2;
  inverse *= 2 - odd * inverse;
  inverse *= 2 - odd * inverse;
  inverse *= 2 - odd * inverse;
  cache.inverse = inverse;
  cache.shift = shift;
  cache.stride = stride;
  cache.align = align;
  cache.maxNr = -1;
  let pages: u32 = 1;
  const own = cache == records();
  while (!own && wasteIn(cache, pages) > (pages << PAGE_SHIFT) >>> (pages <= 4 ? 6 : 3)) pages++;
  cache.smallPages = pages;
  if (!own && pages < LARGE_PAGES && wasteIn(cache, LARGE_PAGES) <= wasteIn(cache, pages) * (LARGE_PAGES / pages)) {
    pages = LARGE_PAGES;
  }
  cache.largePages = pages;
  cache.indexEnd = countIn(cache, pages);
}


@inline
export function slabOf(entry: usize): Slab {
  return changetype<Slab>(load<u32>(entry, 4));
}


@inline
export function firstElement(slab: Slab): usize {
  return changetype<usize>(slab) + SLAB_HEADER;
}

/** The index of the element that begins at `address`; at or above cache.indexEnd if none does. */
@inline
export function indexOf(cache: Cache, slab: Slab, address: usize): u32 {
  return rotr<u32>(<u32>(address - firstElement(slab)) * cache.inverse, cache.shift);
}

/** The cache of an element that is known to be one. */
@inline
export function cacheOf(element: usize): Cache {
  return changetype<Cache>(<usize>load<u32>(entryAt(element)));
}

/** The state byte of an element that is known to be one. */
export function stateAt(element: usize): usize {
  const slab = slabOf(entryAt(element));
  return stateOf(slab, indexOf(cacheOf(element), slab, element));
}


@inline
export function stateOf(slab: Slab, index: u32): usize {
  return changetype<usize>(slab) - 1 - index;
}


@inline
export function slabPages(slab: Slab): u32 {
  return slab.pages >>> 16;
}

/** The first page of its run. */
@inline
export function slabPage(slab: Slab): u32 {
  return (changetype<u32>(slab) - (slab.pages & 0xffff)) >>> PAGE_SHIFT;
}

/** Whether the next slab of a cache is a large one. */
@inline
export function wantsLarge(cache: Cache): bool {
  return atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages")) >= LARGE_PAGES;
}


@inline
export function summaryAt(slab: usize): usize {
  return slab + offsetof<Slab>("summary");
}

/** log2 of the state bytes in a group: the fewest with which all of `count` have a group. */
@inline
export function groupShift(count: u32): u32 {
  return 35 - clz<u32>((count - 1) / (GROUPS << 3));
}

/** A thread says which slab it is about to take from or return to, so that another can put it right: see reap.ts. */
@inline
function announce(slab: usize): void {
  if (THREADS) atomicStore<u32>(changetype<usize>(self()) + offsetof<Thread>("slab"), slab);
}

/** Puts a slab, kept but by nobody else, on a stack. */
export function slabPush(stack: usize, slab: usize): void {
  let head: u64;
  do {
    head = atomicLoad<u64>(stack);
    atomicStore<u32>(slab + offsetof<Slab>("next"), <u32>head);
    // The number says that the stack is not what it was, also where its head is the same slab again.
  } while (!atomicSwap<u64>(stack, head, (((head >> 32) + 1) << 32) | (<u64>slab)));
}

/** Takes the first slab off a stack, for this thread alone to take from; 0 if there is none. */
function slabPop(stack: usize): usize {
  while (true) {
    const head = atomicLoad<u64>(stack);
    const slab = <u32>head;
    if (!slab) return 0;
    announce(slab);
    // If the slab is gone by now, this is any word; but then the swap fails.
    const next = guess<u32>(slab + offsetof<Slab>("next"));
    if (atomicSwap<u64>(stack, head, (((head >> 32) + 1) << 32) | (<u64>next))) return slab;
  }
}


@inline
function partialOf(cache: Cache): usize {
  return changetype<usize>(cache) + offsetof<Cache>("partial");
}


@inline
function sweptOf(cache: Cache): usize {
  return changetype<usize>(cache) + offsetof<Cache>("swept");
}


@inline
function addTo(cache: Cache, field: usize, by: u32): void {
  atomicAdd<u32>(changetype<usize>(cache) + field, by);
}

/** A new slab, in this thread's hands; 0 if there is no run for it, or the cache has all elements it may have. */
function slabCreate(cache: Cache): usize {
  let pages = wantsLarge(cache) ? cache.largePages : cache.smallPages;
  let page: u32 = 0;
  let end: u32;
  runSoon();
  while (true) {
    const room = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("room"));
    end = room == ENDED ? 0 : min(countIn(cache, pages), cache.maxNr - room);
    if (!end) break;
    if (!atomicSwap<u32>(changetype<usize>(cache) + offsetof<Cache>("room"), room, room + end)) continue;
    page = runAlloc(pages);
    if (page) break;
    addTo(cache, offsetof<Cache>("room"), -end);
    if (pages == cache.smallPages) break;
    pages = cache.smallPages;
  }
  if (!page) {
    runSettled();
    return 0;
  }
  const room = countIn(cache, pages);
  const head = firstOffset(cache, room) - SLAB_HEADER;
  const address = (page << PAGE_SHIFT) + head;
  memory.fill(address - stateBytes(room), 0, stateBytes(room));
  const slab = changetype<Slab>(address);
  slab.carver = selfNumber();
  atomicStore<u64>(summaryAt(address), SLAB_KEPT);
  slab.count = room;
  slab.end = end;
  slab.carved = 0;
  slab.pages = (pages << 16) | head;
  for (let i: u32 = 0; i < pages; i++) entryWrite(page + i, (<u64>changetype<u32>(cache)) | ((<u64>address) << 32));
  addTo(cache, offsetof<Cache>("slabs"), 1);
  addTo(cache, offsetof<Cache>("slabPages"), pages);
  announce(address);
  runSettled();
  return address;
}

/** Gives an empty slab, in this thread's hands, back to pages. */
function slabRetire(cache: Cache, slab: Slab): void {
  const pages = slabPages(slab);
  const end = slab.end;
  const page = slabPage(slab);
  runClaim(page, pages);
  // Before the pages can be another's: a slab at the same place is not this one.
  announce(0);
  addTo(cache, offsetof<Cache>("slabs"), -1);
  addTo(cache, offsetof<Cache>("slabPages"), -pages);
  runFree(page, pages);
  // Last: who sees no room left in a closed pool ends it.
  addTo(cache, offsetof<Cache>("room"), -end);
  runSettled();
}

/**
 * Moves up to `most` slabs from one of a cache's stacks to the other, and gives those that are empty back to pages
 * instead. Never has more than one in hand, so that all others stay to be had.
 */
function sweep(cache: Cache, from: usize, to: usize, most: u32): void {
  for (; most; most--) {
    const slab = slabPop(from);
    if (!slab) break;
    const summary = atomicLoad<u64>(summaryAt(slab));
    // All its elements are home, and nobody else has it: but one who reaps may be looking at it.
    if (summary < SLAB_OUT && atomicSwap<u64>(summaryAt(slab), summary, SLAB_RETIRED)) {
      slabRetire(cache, changetype<Slab>(slab));
    } else slabPush(to, slab);
  }
  announce(0);
}

/** Gives all empty slabs back to pages. True if one went. */
export function slabSweepAll(cache: Cache): bool {
  const before = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages"));
  const emptiedAt = changetype<usize>(cache) + offsetof<Cache>("emptied");
  let emptied: u32;
  do {
    // One that becomes empty while it is in hand is found by nobody else: then all are looked at once more.
    emptied = atomicLoad<u32>(emptiedAt);
    sweep(cache, partialOf(cache), sweptOf(cache), -1);
    sweep(cache, sweptOf(cache), partialOf(cache), -1);
  } while (THREADS && atomicLoad<u32>(emptiedAt) != emptied);
  return atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages")) < before;
}

/**
 * Writes up to `want` rounds, of elements now CACHED, to `rounds`; returns how many. Asks pages for at most one slab, and
 * for none if the slabs at hand give anything. A pool's call of its backend.
 */
export function slabRefill(cache: Cache, rounds: usize, want: u32): u32 {
  let got: u32 = 0;
  if (cache.pool && isRefused(changetype<Faults>(cache.pool + offsetof<Pool>("faults")))) return 0;
  for (let looks: u32 = 0; got < want && (!got || looks < REFILL_SLABS); looks++) {
    let slab = slabPop(partialOf(cache));
    if (!slab) slab = slabPop(sweptOf(cache));
    if (!slab) {
      if (got) break;
      slab = slabCreate(cache);
      if (!slab) break;
    }
    got += slabTake(cache, changetype<Slab>(slab), rounds + (got << 3), want - got);
  }
  announce(0);
  return got;
}

/** Takes up to `want` elements of a slab in this thread's hands, and lets go of it. */
function slabTake(cache: Cache, slab: Slab, rounds: usize, want: u32): u32 {
  const summary = summaryAt(changetype<usize>(slab));
  // What is returned from here on sets its bit anew.
  let groups = atomicAnd<u64>(summary, ~SLAB_GROUPS);
  groups &= SLAB_GROUPS;
  const shift = groupShift(slab.count);
  let got: u32 = 0;
  while (groups) {
    const group = <u32>ctz<u64>(groups);
    got += takeFree(cache, slab, group << (shift - 3), 1 << (shift - 3), rounds + (got << 3), want - got);
    if (got == want) break;
    groups &= groups - 1;
  }
  if (got < want) got += carve(cache, slab, rounds + (got << 3), want - got);
  let old: u64;
  let now: u64;
  do {
    old = atomicLoad<u64>(summary);
    now = (old | groups) + <u64>got * SLAB_OUT;
    if (!(now & SLAB_GROUPS) && slab.carved == slab.end) now &= ~SLAB_KEPT;
  } while (!atomicSwap<u64>(summary, old, now));
  if (now & SLAB_KEPT) slabPush(partialOf(cache), changetype<usize>(slab));
  return got;
}

/** Takes up to `want` returned elements of `slab` in some words of eight state bytes, lowest first. */
function takeFree(cache: Cache, slab: Slab, word: u32, words: u32, rounds: usize, want: u32): u32 {
  const stride = cache.stride;
  const first = firstElement(slab);
  let got: u32 = 0;
  // Index 0 is the highest byte of a word: states run downwards. What is beyond the last is NEVER, or of no slab.
  for (const end = min(word + words, (slab.count + 7) >>> 3); word < end; word++) {
    const states = statesOf(slab, word);
    // Bit 5 alone says FREE; in CACHED and LIVE it is part of a thread's number.
    let found = states & STATES_FREE & ~((states >> 1) | (states >> 2));
    while (found) {
      if (got == want) return got;
      const lead = <u32>clz<u64>(found);
      const index = (word << 3) + (lead >>> 3);
      found ^= 0x8000000000000000 >> lead;
      const state = stateOf(slab, index);
      // Once more, as it was stored: what was written to the element before is seen by who sees this byte.
      if (THREADS) atomicLoad<u8>(state);
      store<u8>(state, stateCached());
      store<u64>(rounds, (<u64>(first + index * stride)) | ((<u64>state) << 32));
      rounds += 8;
      got++;
    }
  }
  return got;
}

/** Eight state bytes. */
@inline
function statesOf(slab: Slab, word: u32): u64 {
  return atomicLoad<u64>(changetype<usize>(slab) - 8 - (word << 3));
}

/** CACHED, in this thread's hands. */
@inline
export function stateCached(): u32 {
  return STATE_CACHED | selfNumber();
}

/**
 * Takes back `rounds` elements, from the newest round down to `rounds`, all CACHED by this thread. Adjacent ones of one
 * slab are told to it together.
 *
 * Ordering: the store of FREE publishes what was written to the element before: who scans the group for another's sake
 * may take it from then on. The swap of the summary comes after it, so that of a thread that clears the group's bit and
 * then looks, and this one, one sees the other.
 */
export function slabReturn(cache: Cache, rounds: usize, top: usize): void {
  while (top > rounds) {
    const slab = slabOf(entryAt(load<u32>(top - 8)));
    const at = changetype<usize>(slab);
    const shift = groupShift(slab.count);
    announce(at);
    let groups: u64 = 0;
    let n: u32 = 0;
    do {
      const state = load<u32>(top - 4);
      // Its state bytes lie below the slab, none further than there are elements.
      if (at - 1 - state >= slab.count) break;
      atomicStore<u8>(state, <u8>STATE_FREE);
      groups |= (<u64>1) << ((at - 1 - state) >>> shift);
      n++;
      top -= 8;
    } while (top > rounds);
    slabGive(cache, at, groups, n);
  }
}

/** Makes elements from `from` to before `to`, never carved, FREE. The slab is in this thread's hands. */
export function slabSkip(slab: Slab, from: u32, to: u32): void {
  const shift = groupShift(slab.count);
  let groups: u64 = 0;
  for (; from < to; from++) {
    atomicStore<u8>(stateOf(slab, from), <u8>STATE_FREE);
    groups |= (<u64>1) << (from >>> shift);
  }
  atomicOr<u64>(summaryAt(changetype<usize>(slab)), groups);
}

/** Says that `n` elements of a slab are FREE, in these groups. From here on the slab may be gone. */
export function slabGive(cache: Cache, slab: usize, groups: u64, n: u32): void {
  let old: u64;
  let now: u64;
  do {
    old = atomicLoad<u64>(summaryAt(slab));
    now = (old | groups | SLAB_KEPT) - <u64>n * SLAB_OUT;
  } while (!atomicSwap<u64>(summaryAt(slab), old, now));
  // It had nothing to give, so nobody kept it: now it is in our hands.
  if (!(old & SLAB_KEPT)) slabPush(partialOf(cache), slab);
  announce(0);
  if (now < SLAB_OUT) {
    addTo(cache, offsetof<Cache>("emptied"), 1);
    if (cache.backend == BACKEND_PAGES) sweepSoon(cache);
    else if (cache.backend != BACKEND_BUMP) sweep(cache, partialOf(cache), sweptOf(cache), SWEEP_SLABS);
  }
}

/** Looks at all slabs once an eighth of them have become empty: that many wait at most, and none at the end. */
function sweepSoon(cache: Cache): void {
  const emptied = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("emptied"));
  const sweptAt = changetype<usize>(cache) + offsetof<Cache>("sweptAt");
  const slabs = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabs"));
  if (emptied - atomicLoad<u32>(sweptAt) <= slabs >>> 3) return;
  atomicStore<u32>(sweptAt, emptied);
  slabSweepAll(cache);
}

/**
 * For a cache that nobody takes from any more: when all its slabs have been looked at, or are few, they are once more. So
 * each empty one goes soon, and the last at once.
 */
export function slabSweepOld(cache: Cache): void {
  if (
    <u32>atomicLoad<u64>(partialOf(cache)) == 0 ||
    atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabs")) <= SWEEP_SLABS
  )
    slabSweepAll(cache);
}

/** The cache of the allocator's own objects. */
@inline
export function records(): Cache {
  return changetype<Cache>(heapBase() + HEAP_RECORDS);
}

/** A zeroed record; 0 if there is no memory. */
export function recordAlloc(): usize {
  const record = elementTake(records());
  if (!record) return 0;
  store<u8>(stateAt(record), STATE_LIVE);
  memory.fill(record, 0, RECORD);
  return record;
}

export function recordFree(record: usize): void {
  elementReturn(record, stateAt(record));
}

/** Takes back one element, in this thread's hands. */
export function elementReturn(element: usize, state: usize): void {
  const round = changetype<usize>(self()) + offsetof<Thread>("round");
  store<u32>(round, <u32>element);
  store<u32>(round, <u32>state, 4);
  slabReturn(cacheOf(element), round, round + 8);
}

/** An element of this cache, in this thread's hands, past magazine and reserve; 0 if there is none. */
export function elementTake(cache: Cache): usize {
  const round = changetype<usize>(self()) + offsetof<Thread>("round");
  return slabRefill(cache, round, 1) ? load<u32>(round) : 0;
}

/** Memory for the allocator itself, not zeroed if longer than a record; 0 if there is none. */
export function ownAlloc(bytes: u32): usize {
  return bytes > RECORD ? rawAlloc((bytes + PAGE - 1) >>> PAGE_SHIFT) : recordAlloc();
}

export function ownFree(address: usize): void {
  if (isRaw(address)) rawFree(address);
  else recordFree(address);
}
