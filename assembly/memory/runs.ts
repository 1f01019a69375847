/**
 * Runs of pages: the free bits (layout.ts), and taking and freeing of runs.
 *
 * Calls the page map. Never waits: a thread takes a run by clearing its bits, word by word, and a page belongs to the
 * thread that cleared its bit. The thread announces the run first (base/intent.ts).
 *
 * Assumes that only this heap's users write to memory the heap was given or grew. Other code may call memory.grow too,
 * so two grows of ours need not be adjacent; where they are, free runs join, as neighbours in the bits.
 *
 * Invariants (checkMap in inspect/check.ts, when no thread is in the middle of something):
 * - a page of this heap is free, with its bit set and entry 0, or in the slab or raw run that its entry names, with its
 *   bit clear;
 * - the bits of other pages are 0;
 * - a page of this heap with bit and entry 0 is in a run that a thread has announced.
 *
 * A search finds the first run that is long enough, from the first word with a free page on. It reads the bits of all
 * the heap's memory at most once: 128 KiB for 4 GiB.
 */
import { atomicAdd, atomicLoad, atomicOr, atomicStore, compareExchange } from "../base/atomics";
import { heapBase } from "../base/instance";
import { announceRun, announceRunDone, runClaim } from "../base/intent";
import {
  Heap,
  HEAP_BITS_ROOT,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  RUN_OURS,
  TAG_RAW,
  WORD_SHIFT,
  WORDS,
  WORDS_PER_PAGE,
  WORDS_SHIFT,
} from "../base/layout";
import { userSize } from "../base/user";
import { entryAt, entryPages, entryWrite } from "./map";

/** The address of a word of free bits; 0 if the heap has no page in its 128 MiB. */
export function bitsAt(word: u32): usize {
  const words = load<u32>(heapBase() + HEAP_BITS_ROOT + ((word >>> WORDS_SHIFT) << 2));
  return words ? words + ((word & (WORDS_PER_PAGE - 1)) << 3) : 0;
}

/** Whether a page of the heap's is free, by its bit. */
export function isPageFree(page: u32): bool {
  const at = bitsAt(page >>> WORD_SHIFT);
  return at != 0 && ((atomicLoad<u64>(at) >> (page & 63)) & 1) != 0;
}

/**
 * The first page of a run of `pages` free pages, in the words from `word` to before `last`; 0 if there is none. Other threads may
 * take it first. A word without so many free pages, as most are, costs little.
 */
export function runFind(pages: u32, word: u32, last: u32): u32 {
  let start: u32 = 0;
  let run: u32 = 0;
  let at: usize = 0;
  // A page of bits covers 128 MiB, and most memories are shorter.
  const end = min<u32>(last, ((userSize() * PAGES_PER_WASM_PAGE - 1) >>> WORD_SHIFT) + 1);
  for (; word < end; word++, at += 8) {
    if (!at || !(word & (WORDS_PER_PAGE - 1))) {
      at = bitsAt(word);
      if (!at) {
        run = 0;
        word |= WORDS_PER_PAGE - 1;
        continue;
      }
    }
    let bits = atomicLoad<u64>(at);
    if (!bits) {
      run = 0;
      continue;
    }
    const page = word << WORD_SHIFT;
    if (!run) start = page;
    const tail = ~bits;
    run += <u32>ctz<u64>(tail);
    if (run >= pages) return start;
    if (!tail) continue;
    run = <u32>clz<u64>(tail);
    start = page + 64 - run;
    if (<u32>popcnt<u64>(bits) < pages) continue;
    // Keeps the bits that begin a run of `length` in this word.
    for (let length: u32 = 1; bits && length < pages;) {
      const step = min(length, pages - length);
      bits &= bits >> step;
      length += step;
    }
    if (bits) return page + <u32>ctz<u64>(bits);
  }
  return 0;
}

/** The bits, in its word, of `count` pages from `page` on. */
@inline
function maskOf(page: u32, count: u32): u64 {
  return ((<u64>-1) >> (64 - count)) << (page & 63);
}

/** How many of the pages from `page` to before `end` are in the word of `page`. */
@inline
function countInWord(page: u32, end: u32): u32 {
  return min<u32>(64 - (page & 63), end - page);
}

/**
 * Takes a run of pages that were free at some time. False, and nothing is taken, if another thread has one of them. Pages
 * that were never free must not be announced: a reaper would take them for the dead thread's.
 */
export function runTake(page: u32, pages: u32): bool {
  const run = (<u64>page) | ((<u64>pages) << 20);
  announceRun(run);
  const end = page + pages;
  for (let at = page; at < end;) {
    const count = countInWord(at, end);
    const mask = maskOf(at, count);
    const word = bitsAt(at >>> WORD_SHIFT);
    while (true) {
      const bits = atomicLoad<u64>(word);
      if ((bits & mask) != mask) {
        bitsSet(page, at);
        announceRunDone();
        return false;
      }
      if (compareExchange<u64>(word, bits, bits & ~mask)) break;
    }
    at += count;
  }
  announceRun(run | RUN_OURS);
  return true;
}

/** Whether all pages of a run are free. It may be of any pages, also of none of this heap's. */
export function areFree(page: u32, pages: u32): bool {
  const end = page + pages;
  if (end < page || end > PAGE_NUMBERS) return false;
  while (page < end) {
    const count = countInWord(page, end);
    const mask = maskOf(page, count);
    const word = bitsAt(page >>> WORD_SHIFT);
    if (!word || (atomicLoad<u64>(word) & mask) != mask) return false;
    page += count;
  }
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
  // Ordering: last. A thread that read `freed` before this, and missed these bits, stores an outdated `notFound`.
  runFreed();
}

/** Says that pages are free, or may be had by growth, that were not before: no search is known to be in vain. */
export function runFreed(): void {
  atomicAdd<u32>(heapBase() + offsetof<Heap>("freed"), 1);
}

/** Takes a run out of the memory the heap has; returns its first page, or 0. Its entries are 0: see runAlloc. */
export function runAllocHere(pages: u32): u32 {
  const from = atomicLoad<u32>(hintAt());
  let word = from;
  let at: usize;
  while (word < WORDS - 1 && (at = bitsAt(word)) && !atomicLoad<u64>(at)) word++;
  if (word != from) compareExchange<u32>(hintAt(), from, word);
  let page = runFind(pages, word, WORDS);
  // Another thread may have freed pages in words that were already skipped: the run that they are in begins there.
  if (!page && word) page = runFind(pages, 0, word + (pages >>> WORD_SHIFT) + 1);
  while (page && !runTake(page, pages)) page = runFind(pages, 0, WORDS);
  return page;
}

/** Frees a run of any kind. Its entries are cleared: a stale one would make a bad free look good. */
export function runFree(page: u32, pages: u32): void {
  runClaim(page, pages);
  for (let i: u32 = 0; i < pages; i++) entryWrite(page + i, 0);
  // Ordering: before the first bit is set. From then on other threads may take pages, so the run is no longer all ours.
  announceRun((<u64>page) | ((<u64>pages) << 20));
  bitsSet(page, page + pages);
  announceRunDone();
}

/** Writes the entries of a raw run, from its end on: if the thread dies meanwhile, the marked pages are a run, too. */
export function markRaw(page: u32, pages: u32): void {
  for (let i: u32 = 1; i <= pages; i++) entryWrite(page + pages - i, (<u64>TAG_RAW) | ((<u64>i) << 4));
}

export function rawFree(address: usize): void {
  runFree(address >>> PAGE_SHIFT, entryPages(load<u64>(entryAt(address))));
}

/** The number of free pages right before the page `end`. */
export function freeBefore(end: u32): u32 {
  let page = end;
  let at: usize;
  while (page && (at = bitsAt((page - 1) >>> WORD_SHIFT))) {
    // The bits of earlier pages in this word, moved to the top.
    const ones = <u32>clz<u64>(~(atomicLoad<u64>(at) << (-page & 63)));
    page -= ones;
    if (!ones || page & 63) break;
  }
  return end - page;
}

/** The number of free pages. O(memory). */
export function freePages(): u32 {
  let free: u32 = 0;
  for (let word: u32 = 0; word < WORDS; word++) {
    const at = bitsAt(word);
    if (at) free += <u32>popcnt<u64>(atomicLoad<u64>(at));
    else word |= WORDS_PER_PAGE - 1;
  }
  return free;
}
