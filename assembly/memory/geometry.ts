/**
 * The geometry of a slab: where elements and state bytes lie, and which index an address has. Pure arithmetic over the
 * numbers that cacheInit computes. Calls the page map only. Never waits.
 *
 * Names: cacheIn, slabIn and stateIn take a page map entry, cacheAt and stateAt an element's address, stateOf a slab
 * and an index.
 *
 * Invariants: the numbers of a cache follow from each other (layoutIsSound in inspect/check.ts), and a slab's header
 * fits its run (checkSlab).
 */
import { atomicStore } from "../base/atomics";
import { heapBase, selfNumber } from "../base/instance";
import { alignUp, Cache, GROUPS, HEAP_RECORDS, PAGE_SHIFT, Slab, SLAB_HEADER, STATE_CACHED } from "../base/layout";
import { entryAt } from "./map";

/** Bytes of a cache line. The first element is aligned so that elements of whole lines do not straddle lines. */
export const LINE: u32 = 64;

/** The longest slab of small elements. Once a cache has four times as many pages, its further slabs are about this long. */
export const LARGE_PAGES: u32 = 16;

/** A slab of more pages may waste an eighth of them; one of up to so many, a 64th. */
export const THRIFTY_PAGES: u32 = 4;

/**
 * State bytes of a slab, padded with NEVER. An address in the unused end of the run, at a multiple of the stride, has
 * an index from `count` to count + 8 at most, since one more element would move the first one by less than a stride, or
 * by at most 8 bytes. The state bytes of all these indices can be read, and say NEVER.
 */
@inline
export function stateBytes(count: u32): u32 {
  return alignUp(count + 9, 8);
}

/** Bytes from a run's start to the first element, in a slab of `count` elements. */
export function firstOffset(cache: Cache, count: u32): u32 {
  const lines = min<u32>(LINE, cache.stride & -cache.stride);
  return alignUp(stateBytes(count) + SLAB_HEADER, max<u32>(max<u32>(cache.align, lines), 8));
}

/** How many elements a slab of `pages` holds. */
export function countIn(cache: Cache, pages: u32): u32 {
  const bytes = pages << PAGE_SHIFT;
  // Each element costs its stride and a state byte. Padding may cost more elements.
  let count = (bytes - SLAB_HEADER) / (cache.stride + 1);
  while (count && firstOffset(cache, count) + count * cache.stride > bytes) count--;
  return count;
}

/** Bytes of a slab of `pages` that are neither elements nor their state bytes. */
function wasteIn(cache: Cache, pages: u32): u32 {
  return (pages << PAGE_SHIFT) - countIn(cache, pages) * (cache.stride + 1);
}

/**
 * Lays out a cache for elements of `size` bytes: the stride is `size` rounded up to `align`.
 *
 * The first slabs are the shortest that waste little: a 64th of a slab up to four pages, an eighth of a longer one. Later
 * slabs have more, up to 16 pages, where that wastes no more. Slabs of records always have one page.
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
  atomicStore<u32>(changetype<usize>(cache) + offsetof<Cache>("inverse"), inverse);
  cache.shift = shift;
  cache.stride = stride;
  cache.align = align;
  cache.maxNr = -1;
  let pages: u32 = 1;
  const own = cache == records();
  while (!own && wasteIn(cache, pages) > (pages << PAGE_SHIFT) >>> (pages <= THRIFTY_PAGES ? 6 : 3)) pages++;
  cache.smallPages = pages;
  if (!own && pages < LARGE_PAGES && wasteIn(cache, LARGE_PAGES) <= wasteIn(cache, pages) * (LARGE_PAGES / pages)) {
    pages = LARGE_PAGES;
  }
  cache.largePages = pages;
  cache.indexEnd = countIn(cache, pages);
}

/** The slab that an entry of the page map names. */
@inline
export function slabIn(entry: usize): Slab {
  return changetype<Slab>(load<u32>(entry, 4));
}

/** The cache that an entry of the page map names. */
@inline
export function cacheIn(entry: usize): Cache {
  return changetype<Cache>(<usize>load<u32>(entry));
}

/** The address of an element's state byte, by the page map's entry of its page. */
export function stateIn(entry: usize, element: usize): usize {
  const slab = slabIn(entry);
  return stateOf(slab, indexOf(cacheIn(entry), slab, element));
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

/** The cache of an element. */
@inline
export function cacheAt(element: usize): Cache {
  return cacheIn(entryAt(element));
}

/** The address of an element's state byte. */
export function stateAt(element: usize): usize {
  return stateIn(entryAt(element), element);
}


@inline
export function stateOf(slab: Slab, index: u32): usize {
  return changetype<usize>(slab) - 1 - index;
}


@inline
export function slabPages(slab: Slab): u32 {
  return slab.pages >>> 16;
}

/** The first page of a slab's run. */
@inline
export function slabPage(slab: Slab): u32 {
  return (changetype<u32>(slab) - (slab.pages & 0xffff)) >>> PAGE_SHIFT;
}

/** log2 of the state bytes in a group: the fewest with which GROUPS groups cover `count` elements. */
@inline
export function groupShift(count: u32): u32 {
  return 35 - clz<u32>((count - 1) / (GROUPS << 3));
}


@inline
export function summaryAt(slab: usize): usize {
  return slab + offsetof<Slab>("summary");
}

/** The cache of the allocator's own records. */
@inline
export function records(): Cache {
  return changetype<Cache>(heapBase() + HEAP_RECORDS);
}

/** CACHED by this thread. */
@inline
export function stateCached(): u32 {
  return STATE_CACHED | selfNumber();
}
