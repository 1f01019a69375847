/**
 * Slabs: elements of one size, with no header on any of them.
 *
 * Owns the Cache and the Slab, and the state bytes NEVER and FREE. Calls pages (runs) and bump (the unused end of a
 * fresh slab). What it hands out it marks CACHED: the caller says LIVE or RESERVED.
 *
 * Invariants (check.ts walks them), for each slab:
 * - `free` is the number of FREE state bytes, all at or above index `hint` and below `carved`;
 * - the bytes from `carved` on are NEVER;
 * - it is in its cache's list if and only if it has something to give: free > 0 or carved < count;
 * - not all its elements are home: a slab that becomes empty goes back to pages at once. (One made ahead of need, by
 *   mempool_prefill, may be unused so far.)
 */
import { carve } from "./bump";
import {
  alignUp,
  Cache,
  heapBase,
  Heap,
  HEAP_RECORDS,
  PAGE,
  PAGE_SHIFT,
  RECORD,
  Slab,
  SLAB_HEADER,
  STATE_CACHED,
  STATE_FREE,
  STATE_LIVE,
  STATES_FREE,
} from "./layout";
import { listPush, listRemove } from "./list";
import { entryAt, entryWrite, isRaw, rawAlloc, rawFree, runAlloc, runFree } from "./pages";

/** Elements of whole cache lines do not straddle them. */
const LINE: u32 = 64;
/** No slab of small elements is longer than this; and once a cache has as much, its slabs are about this long. */
const LARGE_PAGES: u32 = 16;
/** A refill looks at no more slabs than this, once it has got something. */
const REFILL_SLABS: u32 = 4;

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

/** The state byte of an element that is known to be one. */
export function stateAt(cache: Cache, element: usize): usize {
  const slab = slabOf(entryAt(element));
  return stateOf(slab, indexOf(cache, slab, element));
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

/** The list of a cache's slabs with something to give. */
@inline
function partialOf(cache: Cache): usize {
  return changetype<usize>(cache) + offsetof<Cache>("partial");
}

/** Whether the next slab of a cache is a large one. */
@inline
export function wantsLarge(cache: Cache): bool {
  return cache.slabPages >= LARGE_PAGES;
}

/** A new slab, in the cache's list; null if there is no run for it. */
export function slabCreate(cache: Cache, large: bool): Slab {
  let pages = large ? cache.largePages : cache.smallPages;
  let page = runAlloc(pages);
  if (!page && pages > cache.smallPages) page = runAlloc((pages = cache.smallPages));
  if (!page) return changetype<Slab>(0);
  const count = countIn(cache, pages);
  const head = firstOffset(cache, count) - SLAB_HEADER;
  const address = (page << PAGE_SHIFT) + head;
  memory.fill(address - stateBytes(count), 0, stateBytes(count));
  const slab = changetype<Slab>(address);
  slab.cache = changetype<usize>(cache);
  slab.count = count;
  slab.carved = 0;
  slab.free = 0;
  slab.hint = count;
  slab.pages = (pages << 16) | head;
  for (let i: u32 = 0; i < pages; i++) entryWrite(page + i, (<u64>changetype<u32>(cache)) | ((<u64>address) << 32));
  cache.slabs++;
  cache.slabPages += pages;
  cache.room += count;
  listPush(partialOf(cache), slab);
  return slab;
}

/** Gives an empty slab, which is in the list, back to pages. */
function slabRetire(cache: Cache, slab: Slab): void {
  listRemove(partialOf(cache), slab);
  const pages = slabPages(slab);
  cache.slabs--;
  cache.slabPages -= pages;
  cache.room -= slab.count;
  runFree(slabPage(slab), pages);
}

/** Gives back slabs made last and not yet used. */
export function slabRetireUnused(cache: Cache): void {
  for (let at = cache.partial; at && !changetype<Slab>(at).carved; at = cache.partial) {
    slabRetire(cache, changetype<Slab>(at));
  }
}

/** Gives all empty slabs back, also those made ahead of need. O(slabs in the list). */
export function slabRetireAll(cache: Cache): void {
  for (let at = cache.partial; at;) {
    const slab = changetype<Slab>(at);
    at = slab.next;
    if (slab.free == slab.carved) slabRetire(cache, slab);
  }
}

/**
 * Writes up to `want` rounds, of elements now CACHED, to `rounds`; returns how many. Asks pages for at most one slab, and
 * for none if the slabs at hand give anything.
 */
export function slabRefill(cache: Cache, rounds: usize, want: u32): u32 {
  let got: u32 = 0;
  for (let looks: u32 = 0; got < want && (!got || looks < REFILL_SLABS); looks++) {
    let slab = changetype<Slab>(cache.partial);
    if (!changetype<usize>(slab)) {
      if (got) break;
      slab = slabCreate(cache, wantsLarge(cache));
      if (!changetype<usize>(slab)) break;
    }
    got += slab.free
      ? takeFree(cache, slab, rounds + (got << 3), want - got)
      : carve(cache, slab, rounds + (got << 3), want - got);
    if (!slab.free && slab.carved == slab.count) listRemove(partialOf(cache), slab);
  }
  cache.taken += got;
  return got;
}

/** Takes up to `want` returned elements of `slab`, lowest first, eight state bytes at a look. */
function takeFree(cache: Cache, slab: Slab, rounds: usize, want: u32): u32 {
  const stride = cache.stride;
  const first = firstElement(slab);
  let left = min(want, slab.free);
  const got = left;
  slab.free -= got;
  let group = slab.hint >>> 3;
  while (true) {
    assert(group << 3 < slab.count);
    // Index group * 8 is the highest byte of the word: states run downwards.
    const at = changetype<usize>(slab) - 8 - (group << 3);
    const word = load<u64>(at);
    // Bit 5 alone says FREE; in CACHED and LIVE it is part of a thread's number.
    let found = word & STATES_FREE & ~((word >> 1) | (word >> 2));
    while (found) {
      const lead = <u32>clz<u64>(found);
      const bit: u64 = 0x8000000000000000 >> lead;
      const index = (group << 3) + (lead >>> 3);
      found ^= bit;
      const state = changetype<usize>(slab) - 1 - index;
      store<u8>(state, STATE_CACHED);
      store<u64>(rounds, (<u64>(first + index * stride)) | ((<u64>state) << 32));
      rounds += 8;
      if (--left == 0) {
        slab.hint = index + 1;
        return got;
      }
    }
    group++;
  }
}

/** Takes back one element, given its state byte. Its slab goes back to pages if it was the last one out. */
export function slabReturn(cache: Cache, element: usize, state: usize): void {
  const slab = slabOf(entryAt(element));
  store<u8>(state, STATE_FREE);
  const index = <u32>(changetype<usize>(slab) - 1 - state);
  if (index < slab.hint) slab.hint = index;
  if (!slab.free && slab.carved == slab.count) listPush(partialOf(cache), slab);
  cache.taken--;
  if (++slab.free == slab.carved) slabRetire(cache, slab);
}

/** The cache of the allocator's own objects. */
@inline
export function records(): Cache {
  return changetype<Cache>(heapBase() + HEAP_RECORDS);
}

/** A zeroed record; 0 if there is no memory. */
export function recordAlloc(): usize {
  const cache = records();
  if (!cache.stride) cacheInit(cache, RECORD, 16);
  const round = heapBase() + offsetof<Heap>("round");
  if (!slabRefill(cache, round, 1)) return 0;
  store<u8>(load<u32>(round, 4), STATE_LIVE);
  const record = load<u32>(round);
  memory.fill(record, 0, RECORD);
  return record;
}

export function recordFree(record: usize): void {
  slabReturn(records(), record, stateAt(records(), record));
}

/** Memory for the allocator itself, not zeroed if longer than a record; 0 if there is none. */
export function ownAlloc(bytes: u32): usize {
  return bytes > RECORD ? rawAlloc((bytes + PAGE - 1) >>> PAGE_SHIFT) : recordAlloc();
}

export function ownFree(address: usize): void {
  if (isRaw(address)) rawFree(address);
  else recordFree(address);
}
