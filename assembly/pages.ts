/**
 * Pages: who has which page of the address space, and runs of free ones.
 *
 * Owns the page map, the bins of free runs and memory.grow. Calls nothing above it.
 *
 * Assumes: memory this heap was given or grew is written by nobody else but through elements handed out. Other code may
 * call memory.grow too, so two of our grows need not be adjacent; where they are, the runs join by themselves.
 *
 * Invariants (check.ts walks them):
 * - the managed pages are tiled by slabs, free runs and raw runs, each described by its entries in the page map;
 * - no two free runs are adjacent;
 * - each free run is in exactly the bin of its length, and a bin's bits say whether it is empty;
 * - a page that is not the first or last of a run, and not in a slab, has entry 0.
 *
 * runAlloc and runFree touch a bounded number of bins, whatever is free, but write an entry for each page of the run.
 */
import {
  alignUp,
  BIN_ROW_SHIFT,
  BINS_PER_ROW,
  checkLayout,
  heap,
  Heap,
  heapBase,
  HEAP_AT_ZERO,
  HEAP_BINS,
  HEAP_BYTES,
  HEAP_MAGIC,
  HEAP_PAGES,
  HEAP_ROOT,
  HEAP_ROW_BINS,
  HEAP_SCRATCH,
  LEAF_ENTRIES,
  LEAF_PAGES,
  LEAF_SHIFT,
  PAGE,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  serveHeap,
  TAG_FREE,
  TAG_FREE_END,
  TAG_MASK,
  TAG_RAW,
  WASM_PAGE_SHIFT,
} from "./layout";

/** Before memory grows, no look through one bin takes more steps than this; when it cannot, as many as there are. */
const BIN_LOOKS: u32 = 64;
/** The heap grows by an eighth of what it has, so that n pages cost O(log n) grows: but from 256 KiB to 16 MiB. */
const GROW_DIVISOR_SHIFT: u32 = 3;
const GROW_LEAST: u32 = 4;
const GROW_MOST: u32 = 256;
/** Of new memory, no more than a 16th becomes leaves ahead of need: a leaf is two pages. */
const LEAF_SHARE_SHIFT: u32 = 5;

/** The leaf of the map for `address`; 0 if this heap has nothing near it. */
@inline
export function leafAt(address: usize): usize {
  return load<u32>(heapBase() + ((address >>> LEAF_SHIFT) << 2), HEAP_ROOT);
}

/** The entry, in that leaf, of the page that `address` is in. */
@inline
export function entryIn(leaf: usize, address: usize): usize {
  return leaf + (((address >>> PAGE_SHIFT) & (LEAF_ENTRIES - 1)) << 3);
}

/** The address of the map's entry for the page that `address` is in; 0 if there is none. */
export function entryAt(address: usize): usize {
  const leaf = leafAt(address);
  return leaf ? entryIn(leaf, address) : 0;
}

export function entryOf(page: u32): usize {
  return entryAt(page << PAGE_SHIFT);
}


@inline
export function entryRead(page: u32): u64 {
  return load<u64>(entryOf(page));
}


@inline
export function entryWrite(page: u32, entry: u64): void {
  store<u64>(entryOf(page), entry);
}


@inline
export function entryTag(entry: u64): u32 {
  return (<u32>entry) & TAG_MASK;
}


@inline
export function entryPages(entry: u64): u32 {
  return ((<u32>entry) >>> 4) & 0xfffff;
}


@inline
export function entryNext(entry: u64): u32 {
  return (<u32>(entry >> 24)) & 0xfffff;
}


@inline
export function entryPrev(entry: u64): u32 {
  return <u32>(entry >> 44);
}

/** The bin for runs of `pages`: row * 8 + column. */
export function binOf(pages: u32): u32 {
  if (pages < BINS_PER_ROW) return pages;
  const log: u32 = 31 - clz<u32>(pages);
  return ((log - BIN_ROW_SHIFT + 1) << BIN_ROW_SHIFT) + ((pages >>> (log - BIN_ROW_SHIFT)) & (BINS_PER_ROW - 1));
}


@inline
export function binHead(bin: u32): usize {
  return heapBase() + HEAP_BINS + (bin << 2);
}

/** The bins of a row that have a run, as bits. */
@inline
export function rowBins(row: u32): u32 {
  return load<u8>(heapBase() + HEAP_ROW_BINS + row);
}

/** Says whether a bin has a run, in its row's bits and in the bit of the row. */
function binSet(bin: u32, head: u32): void {
  store<u32>(binHead(bin), head);
  const row = bin >>> BIN_ROW_SHIFT;
  const bit: u32 = 1 << (bin & (BINS_PER_ROW - 1));
  const bins = head ? rowBins(row) | bit : rowBins(row) & ~bit;
  store<u8>(heapBase() + HEAP_ROW_BINS + row, bins);
  const h = heap();
  h.rows = (h.rows & ~(1 << row)) | ((<u32>(bins != 0)) << row);
}

/** Makes a free run the previous one of `page`, if that is one at all. */
function setPrev(page: u32, prev: u32): void {
  if (page) entryWrite(page, (entryRead(page) & 0x00000fffffffffff) | ((<u64>prev) << 44));
}

function binInsert(page: u32, pages: u32): void {
  const bin = binOf(pages);
  const next = load<u32>(binHead(bin));
  entryWrite(page + pages - 1, (<u64>TAG_FREE_END) | ((<u64>pages) << 4));
  entryWrite(page, (<u64>TAG_FREE) | ((<u64>pages) << 4) | ((<u64>next) << 24));
  setPrev(next, page);
  binSet(bin, page);
}

/** Takes the free run at `page` out of its bin and clears its two entries. Returns its pages. */
function binRemove(page: u32): u32 {
  const entry = entryRead(page);
  const pages = entryPages(entry);
  const next = entryNext(entry);
  const prev = entryPrev(entry);
  entryWrite(page, 0);
  entryWrite(page + pages - 1, 0);
  setPrev(next, prev);
  if (prev) entryWrite(prev, (entryRead(prev) & 0xfffff00000ffffff) | ((<u64>next) << 24));
  else binSet(binOf(pages), next);
  return pages;
}

/**
 * A free run of at least `pages`, or 0. Where no bin has runs that are all long enough, at most `looks` of those in the
 * bin of `pages` itself, some of which may be, are looked at.
 */
function binFind(pages: u32, looks: u32): u32 {
  const log: u32 = 31 - clz<u32>(pages);
  const bin = binOf(log < BIN_ROW_SHIFT ? pages : pages + (1 << (log - BIN_ROW_SHIFT)) - 1);
  let row = bin >>> BIN_ROW_SHIFT;
  let bins = rowBins(row) & (0xff << (bin & (BINS_PER_ROW - 1)));
  if (!bins) {
    const rows = heap().rows & ((<u32>-2) << row);
    if (!rows) {
      let page = load<u32>(binHead(binOf(pages)));
      for (; page && looks; looks--) {
        const entry = entryRead(page);
        if (entryPages(entry) >= pages) return page;
        page = entryNext(entry);
      }
      return 0;
    }
    row = ctz<u32>(rows);
    bins = rowBins(row);
  }
  return load<u32>(binHead((row << BIN_ROW_SHIFT) + ctz<u32>(bins)));
}

/** Pages of the longest free run; looks through one bin. */
function binLargest(): u32 {
  const rows = heap().rows;
  if (!rows) return 0;
  const row: u32 = 31 - clz<u32>(rows);
  let largest: u32 = 0;
  for (let page = load<u32>(binHead((row << BIN_ROW_SHIFT) + 31 - clz<u32>(rowBins(row)))); page;) {
    const entry = entryRead(page);
    largest = max(largest, entryPages(entry));
    page = entryNext(entry);
  }
  return largest;
}

/**
 * A run of `pages` pages, as a page number; 0 if there is none and memory does not grow. Its entries are 0: the caller
 * says what it is.
 */
export function runAlloc(pages: u32): u32 {
  const h = heap();
  const countdown = h.failCountdown;
  if (countdown) {
    h.failCountdown = countdown - 1;
    if (countdown == 1) return 0;
  }
  const page = binTake(pages, BIN_LOOKS);
  if (page) return page;
  grow(pages);
  return binTake(pages, -1);
}

/** The same, of the memory the heap has. */
function binTake(pages: u32, looks: u32): u32 {
  const page = binFind(pages, looks);
  if (!page) return 0;
  const found = binRemove(page);
  if (found > pages) binInsert(page + pages, found - pages);
  heap().freePages -= pages;
  return page;
}

/** Gives back a run of any kind, and joins it with free neighbours. */
export function runFree(page: u32, pages: u32): void {
  heap().freePages += pages;
  // Nothing of the run's past may stay in the map: a stale slab entry would make a bad free look good.
  for (let i: u32 = 0; i < pages; i++) entryWrite(page + i, 0);
  const below = entryOf(page - 1);
  if (below) {
    // A slab's entry has tag 0, so a neighbour of any other kind is left alone. A run of one page is its own end.
    const entry = load<u64>(below);
    const tag = entryTag(entry);
    if (tag == TAG_FREE_END || tag == TAG_FREE) {
      page -= entryPages(entry);
      pages += binRemove(page);
    }
  }
  const above = entryOf(page + pages);
  if (above && entryTag(load<u64>(above)) == TAG_FREE) pages += binRemove(page + pages);
  binInsert(page, pages);
}

function markRaw(page: u32, pages: u32): void {
  entryWrite(page, (<u64>TAG_RAW) | ((<u64>pages) << 4));
}

/** A run the allocator itself uses, as an address; 0 if there is none. */
export function rawAlloc(pages: u32): usize {
  const page = runAlloc(pages);
  if (page) markRaw(page, pages);
  return page << PAGE_SHIFT;
}

export function rawFree(address: usize): void {
  const page = address >>> PAGE_SHIFT;
  runFree(page, entryPages(entryRead(page)));
}

/** Whether `address` is that of a run the allocator itself uses. */
@inline
export function isRaw(address: usize): bool {
  return entryTag(load<u64>(entryAt(address))) == TAG_RAW;
}

/** Gets memory from the host for a run of `pages`, and more if it may; or nothing. */
function grow(pages: u32): void {
  const h = heap();
  if (!h.grows) return;
  // The new pages may need leaves of the map, which are taken from them.
  const bare = (pages + PAGES_PER_WASM_PAGE - 1) / PAGES_PER_WASM_PAGE;
  const least = (pages + LEAF_PAGES * (pages / LEAF_ENTRIES + 2) + PAGES_PER_WASM_PAGE - 1) / PAGES_PER_WASM_PAGE;
  const eighth = max(GROW_LEAST, min<u32>((h.pages / PAGES_PER_WASM_PAGE) >>> GROW_DIVISOR_SHIFT, GROW_MOST));
  const room = (h.maxPages - h.pages) / PAGES_PER_WASM_PAGE;
  let wasmPages = min<u32>(max<u32>(least, eighth), room);
  if (wasmPages < bare) return;
  let at = memory.grow(wasmPages);
  if (at < 0 && wasmPages > least) at = memory.grow((wasmPages = least));
  // Near the host's own limit the run may fit after all, if it needs no new leaf.
  if (at < 0 && wasmPages > bare) at = memory.grow((wasmPages = bare));
  if (at < 0) return;
  h.growCount++;
  adopt(<u32>at * PAGES_PER_WASM_PAGE, wasmPages * PAGES_PER_WASM_PAGE, 0, pages);
}

/**
 * Puts new memory under the heap: `used` pages that are in use already, then leaves of the map if it needs more for
 * these pages, and the rest as one free run, of `need` pages if it can be. The last page of 4 GiB is left alone, so that
 * no end of anything wraps to 0.
 *
 * Leaves are made as many at a time as there are already, and in old memory if that has room. So they lie in few places,
 * and do not cut the free memory of a heap that grows little by little into pieces of 4 MiB.
 */
function adopt(page: u32, pages: u32, used: u32, need: u32): void {
  const h = heap();
  if (page + pages == PAGE_NUMBERS) pages--;
  const end = page + pages;
  let from = page + used;
  for (let leaf = page / LEAF_ENTRIES; leaf <= (end - 1) / LEAF_ENTRIES; leaf++) {
    const at = heapBase() + HEAP_ROOT + (leaf << 2);
    if (load<u32>(at)) continue;
    if (!h.spareLeaves) {
      const ahead = max<i32>(0, <i32>(pages - used - need)) / LEAF_PAGES;
      const count = max<u32>(1, min<u32>(min<u32>(h.leaves, pages >>> LEAF_SHARE_SHIFT), ahead));
      const run = count * LEAF_PAGES;
      let first = binTake(run, BIN_LOOKS);
      if (first) {
        markRaw(first, run);
      } else {
        first = from;
        from += run;
      }
      memory.fill(first << PAGE_SHIFT, 0, run << PAGE_SHIFT);
      h.spareLeaf = first << PAGE_SHIFT;
      h.spareLeaves = count;
      h.leaves += count;
    }
    store<u32>(at, h.spareLeaf);
    h.spareLeaf += LEAF_PAGES << PAGE_SHIFT;
    h.spareLeaves--;
  }
  h.pages += pages;
  if (from > page) markRaw(page, from - page);
  if (end > from) runFree(from, end - from);
}

/**
 * Makes a heap of the memory from `base`, `bytes` long (0 with base 0: all 4 GiB), and has this instance serve it. With
 * base 0 the heap owns the whole memory. It may have `maxPages` pages in all; `grows` says whether it takes more by
 * itself. Returns the heap's address; 0 if there is no such memory, or too little for the heap's own structures.
 */
export function heap_create(base: u32, bytes: u32, maxPages: u32, grows: bool): usize {
  checkLayout();
  const first = alignUp(base, PAGE) >>> PAGE_SHIFT;
  // The end is exclusive, and of all 4 GiB wraps to 0.
  const end = base + bytes;
  const endPage: u32 = end ? end >>> PAGE_SHIFT : PAGE_NUMBERS;
  if (endPage > <u32>memory.size() * PAGES_PER_WASM_PAGE) return 0;
  if (<i32>(endPage - first) < <i32>(HEAP_PAGES + 2 * LEAF_PAGES + 1)) return 0;
  const address = base ? first << PAGE_SHIFT : HEAP_AT_ZERO;
  memory.fill(address, 0, HEAP_BYTES);
  serveHeap(address);
  const h = heap();
  h.maxPages = max(maxPages, endPage - first);
  h.grows = grows;
  adopt(first, endPage - first, HEAP_PAGES, 0);
  h.magic = HEAP_MAGIC;
  return address;
}

/** Writes seven f64 to the scratch area and returns its address; docs/abi.h names them. */
export function heap_stats(): usize {
  const h = heap();
  const at = heapBase() + HEAP_SCRATCH;
  store<f64>(at, <f64>h.pages, 0);
  store<f64>(at, <f64>h.maxPages, 8);
  store<f64>(at, <f64>h.freePages, 16);
  store<f64>(at, <f64>binLargest(), 24);
  store<f64>(at, <f64>h.growCount, 32);
  store<f64>(at, <f64>h.poolCount, 40);
  store<f64>(at, <f64>h.arenaCount, 48);
  return at;
}

/** Where a host passes arrays of up to SCRATCH_WORDS words. */
export function heap_scratch(): usize {
  return heapBase() + HEAP_SCRATCH;
}

/** Has the nth request for pages from now on refused, once; 0 takes that back. Returns how many were left of the last. */
export function heap_fail_nth(n: u32): u32 {
  const left = heap().failCountdown;
  heap().failCountdown = n;
  return left;
}

/** Has this instance serve a heap that another made in the same memory. False if there is none at `address`. */
export function heap_attach(address: usize): bool {
  if (address >>> WASM_PAGE_SHIFT >= <usize>memory.size() || changetype<Heap>(address).magic != HEAP_MAGIC)
    return false;
  serveHeap(address);
  return true;
}
