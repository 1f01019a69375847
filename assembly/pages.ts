/**
 * Pages: who has which page of the address space, and which are free.
 *
 * Owns the page map, the bits of the free pages and memory.grow. Calls nothing above it. Never waits: a run of pages is
 * taken by clearing its bits, word by word, and who cleared a bit has the page.
 *
 * Assumes: memory this heap was given or grew is written by nobody else but through elements handed out. Other code may
 * call memory.grow too, so two of our grows need not be adjacent; where they are, free runs join by themselves.
 *
 * Invariants (check.ts walks them, when no thread is in the middle of something):
 * - a page of this heap is either free, with its bit set and entry 0, or in a slab or raw run, as its entry says;
 * - the bits of pages that are not this heap's are 0;
 * - pages whose bit is clear and whose entry is 0 are in a run that a thread names in its `run`.
 *
 * runAlloc looks for the first run that is long enough, from the first word with a free page on: at most twice through the
 * bits of all memory the heap has, 128 KiB for 4 GiB. It writes an entry for each page of the run.
 */
import { atomicAdd, atomicLoad, atomicOr, atomicStore, atomicSwap, memoryGrow, THREADS } from "./atomics";
import { isRefused } from "./faults";
import {
  alignUp,
  checkLayout,
  Faults,
  heap,
  Heap,
  heapBase,
  HEAP_AT_ZERO,
  HEAP_BITS_ROOT,
  HEAP_BYTES,
  HEAP_PAGES,
  HEAP_ROOT,
  HEAP_THREADS,
  LEAF_ENTRIES,
  LEAF_PAGES,
  LEAF_SHIFT,
  PAGE,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  ROOT_ENTRIES,
  RUN_OURS,
  RUN_SHIFT,
  RUN_SOON,
  self,
  serveHeap,
  TAG_MASK,
  TAG_RAW,
  Thread,
  WORDS,
  WORDS_PER_PAGE,
  WORDS_SHIFT,
  WORD_SHIFT,
  HEAP_SCRATCH,
} from "./layout";

/** The heap grows by an eighth of what it has, so that n pages cost O(log n) grows: but from 256 KiB to 16 MiB. */
const GROW_DIVISOR_SHIFT: u32 = 3;
const GROW_LEAST: u32 = 4;
const GROW_MOST: u32 = 256;
/** Of new memory, no more than a 16th becomes leaves ahead of need: a leaf is two pages. */
const LEAF_SHARE_SHIFT: u32 = 5;
/** Pages that one page of free bits is for. */
const BITS_SPAN: u32 = WORDS_PER_PAGE << WORD_SHIFT;

/** The leaf of the map for `address`; 0 if this heap has nothing near it. Once there, it stays. */
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


@inline
export function entryOf(page: u32): usize {
  return entryAt(page << PAGE_SHIFT);
}


@inline
export function entryWrite(page: u32, entry: u64): void {
  atomicStore<u64>(entryOf(page), entry);
}


@inline
export function entryTag(entry: u64): u32 {
  return (<u32>entry) & TAG_MASK;
}


@inline
export function entryPages(entry: u64): u32 {
  return (<u32>entry) >>> 4;
}

/** The address of a word of free bits; 0 if the heap has no page near. */
@inline
export function bitsAt(word: u32): usize {
  const words = load<u32>(heapBase() + HEAP_BITS_ROOT + ((word >>> WORDS_SHIFT) << 2));
  return words ? words + ((word & (WORDS_PER_PAGE - 1)) << 3) : 0;
}

/** The first of a run of `pages` free pages, in the words from `word` on; 0 if there is none. Others may take it first. */
export function runFind(pages: u32, word: u32): u32 {
  let start: u32 = 0;
  let run: u32 = 0;
  for (; word < WORDS; word++) {
    const at = bitsAt(word);
    if (!at) {
      run = 0;
      word |= WORDS_PER_PAGE - 1;
      continue;
    }
    const bits = atomicLoad<u64>(at);
    let bit: u32 = 0;
    do {
      const rest = bits >> bit;
      if (rest & 1) {
        if (!run) start = (word << WORD_SHIFT) + bit;
        const ones = <u32>ctz<u64>(~rest);
        bit += ones;
        run += ones;
        if (run >= pages) return start;
      } else {
        run = 0;
        bit += <u32>ctz<u64>(rest);
      }
    } while (bit < 64);
  }
  return 0;
}

/** The bits of pages from `page` on that are in its word, at most `pages` of them. */
@inline
function maskOf(page: u32, count: u32): u64 {
  return ((<u64>-1) >> (64 - count)) << (page & 63);
}


@inline
function countInWord(page: u32, end: u32): u32 {
  return min<u32>(64 - (page & 63), end - page);
}

/** Takes a run of free pages: all of it, or nothing and false. */
function runTake(page: u32, pages: u32): bool {
  const run = (<u64>page) | ((<u64>pages) << 20);
  announce(run);
  const end = page + pages;
  for (let at = page; at < end;) {
    const count = countInWord(at, end);
    const mask = maskOf(at, count);
    const word = bitsAt(at >>> WORD_SHIFT);
    while (true) {
      const bits = atomicLoad<u64>(word);
      if ((bits & mask) != mask) {
        bitsSet(page, at);
        runSoon();
        return false;
      }
      if (atomicSwap<u64>(word, bits, bits & ~mask)) break;
    }
    at += count;
  }
  announce(run | RUN_OURS);
  return true;
}


@inline
function hintAt(): usize {
  return heapBase() + offsetof<Heap>("hint");
}

/** Makes the pages from `page` to before `end` free. */
export function bitsSet(page: u32, end: u32): void {
  while (page < end) {
    const count = countInWord(page, end);
    const word = page >>> WORD_SHIFT;
    atomicOr<u64>(bitsAt(word), maskOf(page, count));
    if (word < atomicLoad<u32>(hintAt())) atomicStore<u32>(hintAt(), word);
    page += count;
  }
  // Last: who counted before, and looked in vain, knows that it did.
  runFreed();
}

/** There are, or may be, pages that were not to be had before. */
export function runFreed(): void {
  atomicAdd<u32>(heapBase() + offsetof<Heap>("freed"), 1);
}

/** The run that runAlloc gave has its entries, and is counted: it is found by them now. */
@inline
export function runSettled(): void {
  announce(0);
}

/** Runs come or go. */
@inline
export function runSoon(): void {
  announce(RUN_SOON);
}


@inline
function announce(run: u64): void {
  if (!THREADS) return;
  const changes = ++self().runs;
  atomicStore<u64>(changetype<usize>(self()) + offsetof<Thread>("run"), run | ((<u64>changes) << RUN_SHIFT));
}

/**
 * A run of `pages` pages, as a page number; 0 if there is none and memory does not grow. Its entries are 0: the caller
 * says what it is. Also if there is none, it calls runSettled when what it counts is right again.
 */
export function runAlloc(pages: u32): u32 {
  if (isRefused(changetype<Faults>(heapBase() + offsetof<Heap>("faults")))) return 0;
  const h = heap();
  const freedAt = heapBase() + offsetof<Heap>("freed");
  const noneAt = heapBase() + offsetof<Heap>("none");
  let freed: u32;
  do {
    // Not once more what was looked for in vain, and nothing has become free since: it is a look at all memory.
    freed = atomicLoad<u32>(freedAt);
    const none = atomicLoad<u64>(noneAt);
    if (<u32>(none >> 32) == freed && pages >= <u32>none && none) return 0;
    const page = runAllocHere(pages);
    if (page) return page;
  } while (grow(pages));
  // Unless the host may yet give some.
  if (h.faults) return 0;
  if (!h.grows || atomicLoad<u32>(heapBase() + offsetof<Heap>("pages")) + PAGES_PER_WASM_PAGE > mostPages()) {
    atomicStore<u64>(noneAt, ((<u64>freed) << 32) | (<u64>pages));
  }
  return 0;
}

/** The most pages the heap may have. */
@inline
function mostPages(): u32 {
  const h = heap();
  return h.faults && h.faultPages ? h.faultPages : h.maxPages;
}

/** The same, of the memory the heap has. */
function runAllocHere(pages: u32): u32 {
  const from = atomicLoad<u32>(hintAt());
  let word = from;
  let at: usize;
  while (word < WORDS - 1 && (at = bitsAt(word)) && !atomicLoad<u64>(at)) word++;
  if (word != from) atomicSwap<u32>(hintAt(), from, word);
  let page = runFind(pages, word);
  // Another thread may have freed pages before the word while this one went past it.
  if (!page && word) page = runFind(pages, 0);
  while (page && !runTake(page, pages)) page = runFind(pages, 0);
  return page;
}

/** From here on a run that was in use is this thread's to give back. */
@inline
export function runClaim(page: u32, pages: u32): void {
  announce((<u64>page) | ((<u64>pages) << 20) | RUN_OURS);
}

/** Gives back a run of any kind; the caller calls runSettled. Nothing of its past may stay in the map: a stale entry would make a bad free look good. */
export function runFree(page: u32, pages: u32): void {
  runClaim(page, pages);
  for (let i: u32 = 0; i < pages; i++) entryWrite(page + i, 0);
  // From the first bit on, others may take what is no longer only ours.
  announce((<u64>page) | ((<u64>pages) << 20));
  bitsSet(page, page + pages);
  runSoon();
}

function markRaw(page: u32, pages: u32): void {
  for (; pages; pages--) entryWrite(page++, (<u64>TAG_RAW) | ((<u64>pages) << 4));
}

/** A run the allocator itself uses, as an address; 0 if there is none. */
export function rawAlloc(pages: u32): usize {
  const page = runAlloc(pages);
  if (page) markRaw(page, pages);
  runSettled();
  return page << PAGE_SHIFT;
}

export function rawFree(address: usize): void {
  runFree(address >>> PAGE_SHIFT, entryPages(load<u64>(entryAt(address))));
  runSettled();
}

/** Whether `address` is that of a run the allocator itself uses. */
@inline
export function isRaw(address: usize): bool {
  return entryTag(load<u64>(entryAt(address))) == TAG_RAW;
}

/**
 * Gets memory from the host for a run of `pages`, and more if it may. False if it gives none. Whoever asks for the run has
 * more to do: what it has counted is not settled by this.
 */
function grow(pages: u32): bool {
  const h = heap();
  if (!h.grows) return false;
  // The new pages may need leaves of the map and a page of bits, which are taken from them.
  const bare = (pages + PAGES_PER_WASM_PAGE - 1) / PAGES_PER_WASM_PAGE;
  const least = (pages + 1 + LEAF_PAGES * (pages / LEAF_ENTRIES + 2) + PAGES_PER_WASM_PAGE - 1) / PAGES_PER_WASM_PAGE;
  let wasmPages: u32;
  runSoon();
  while (true) {
    const has = atomicLoad<u32>(heapBase() + offsetof<Heap>("pages"));
    const eighth = max(GROW_LEAST, min<u32>((has / PAGES_PER_WASM_PAGE) >>> GROW_DIVISOR_SHIFT, GROW_MOST));
    const most = mostPages();
    wasmPages = has > most ? 0 : min<u32>(max<u32>(least, eighth), (most - has) / PAGES_PER_WASM_PAGE);
    if (wasmPages < bare) break;
    // So that two threads together do not grow beyond what the heap may have.
    if (atomicSwap<u32>(heapBase() + offsetof<Heap>("pages"), has, has + wasmPages * PAGES_PER_WASM_PAGE)) break;
  }
  if (wasmPages < bare) {
    runSoon();
    return false;
  }
  const claimed = wasmPages;
  let at = memoryGrow(wasmPages);
  if (at < 0 && wasmPages > least) at = memoryGrow((wasmPages = least));
  // Near the host's own limit the run may fit after all, if it needs no new leaf.
  if (at < 0 && wasmPages > bare) at = memoryGrow((wasmPages = bare));
  if (at < 0) wasmPages = 0;
  if (wasmPages < claimed) {
    atomicAdd<u32>(heapBase() + offsetof<Heap>("pages"), (wasmPages - claimed) * PAGES_PER_WASM_PAGE);
    // Who saw them claimed may have thought that this is all.
    runFreed();
  }
  if (!wasmPages) {
    runSoon();
    return false;
  }
  atomicAdd<u32>(heapBase() + offsetof<Heap>("growCount"), 1);
  adopt(<u32>at * PAGES_PER_WASM_PAGE, wasmPages * PAGES_PER_WASM_PAGE, 0, pages);
  return true;
}

/**
 * Puts new memory under the heap: `used` pages that are in use already, then tables if it needs more for these pages,
 * and the rest free, with a run of `need` pages if it can be. The last page of 4 GiB is left alone, so that no end of
 * anything wraps to 0.
 *
 * Leaves are made as many at a time as there are already, for addresses to come, and in old memory if that has room. So
 * they lie in few places, and do not cut the memory of a heap that grows little by little into pieces of 4 MiB.
 */
function adopt(page: u32, pages: u32, used: u32, need: u32): void {
  const h = heap();
  if (page + pages == PAGE_NUMBERS) {
    pages--;
    atomicAdd<u32>(heapBase() + offsetof<Heap>("pages"), -1);
  }
  const end = page + pages;
  let from = page + used;
  for (let i = page / BITS_SPAN; i <= (end - 1) / BITS_SPAN; i++) {
    const at = heapBase() + HEAP_BITS_ROOT + (i << 2);
    if (atomicLoad<u32>(at)) continue;
    memory.fill(from << PAGE_SHIFT, 0, PAGE);
    if (atomicSwap<u32>(at, 0, from << PAGE_SHIFT)) from++;
  }
  for (let leaf = page / LEAF_ENTRIES; leaf <= (end - 1) / LEAF_ENTRIES; leaf++) {
    let at = heapBase() + HEAP_ROOT + (leaf << 2);
    if (atomicLoad<u32>(at)) continue;
    const ahead = max<i32>(0, <i32>(pages - used - need)) / LEAF_PAGES;
    const most = min<u32>(min<u32>(h.leaves, ROOT_ENTRIES - leaf), pages >>> LEAF_SHARE_SHIFT);
    let count = max<u32>(1, min<u32>(most, ahead));
    const run = count * LEAF_PAGES;
    let first = runAllocHere(run);
    if (first) {
      markRaw(first, run);
      runSoon();
    } else {
      first = from;
      from += run;
    }
    memory.fill(first << PAGE_SHIFT, 0, run << PAGE_SHIFT);
    atomicAdd<u32>(heapBase() + offsetof<Heap>("leaves"), count);
    // Where another thread was quicker, two pages are wasted.
    for (; count; count--) {
      if (!atomicLoad<u32>(at)) atomicSwap<u32>(at, 0, first << PAGE_SHIFT);
      at += 4;
      first += LEAF_PAGES;
    }
  }
  markRaw(page, from - page);
  bitsSet(from, end);
  runSoon();
}

/** heap_create's part here: the tables, and the pages. */
export function pagesInit(base: u32, bytes: u32, maxPages: u32, grows: bool): usize {
  checkLayout();
  const first = alignUp(base, PAGE) >>> PAGE_SHIFT;
  // The end is exclusive, and of all 4 GiB wraps to 0.
  const end = base + bytes;
  const endPage: u32 = end ? end >>> PAGE_SHIFT : PAGE_NUMBERS;
  if (endPage > <u32>memory.size() * PAGES_PER_WASM_PAGE) return 0;
  // At a border of two leaves, or of two pages of bits, it takes two of each.
  if (<i32>(endPage - first) < <i32>(HEAP_PAGES + 2 * LEAF_PAGES + 2)) return 0;
  const address = base ? first << PAGE_SHIFT : HEAP_AT_ZERO;
  memory.fill(address, 0, HEAP_BYTES);
  serveHeap(address, address + HEAP_THREADS);
  const h = heap();
  const pages = endPage - first;
  h.pages = pages;
  h.maxPages = max(maxPages, pages);
  h.grows = grows;
  h.threads = 1;
  self().alive = 1;
  self().scratch = address + HEAP_SCRATCH;
  adopt(first, pages, HEAP_PAGES, 0);
  runSettled();
  return address;
}

/** Pages that are free. O(memory). */
export function freePages(): u32 {
  let free: u32 = 0;
  for (let word: u32 = 0; word < WORDS; word++) {
    const at = bitsAt(word);
    if (at) free += <u32>popcnt<u64>(atomicLoad<u64>(at));
    else word |= WORDS_PER_PAGE - 1;
  }
  return free;
}
