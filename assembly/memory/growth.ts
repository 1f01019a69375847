/**
 * Growth: memory.grow, and the tables that new memory needs: pages of free bits, and leaves of the page map.
 *
 * Owns both roots and the counts of the heap's pages. runAlloc is the one place where the heap's runs come from: it
 * calls runs, and grows when they have none. Never waits; the engine may serialise memory.grow. A refusal by the host
 * changes nothing but the notes of it, `refusedSize` and `notFound`.
 *
 * Invariants (inspect/check.ts): `pages` of the heap counts its pages (checkMap), and each table lies in a raw run
 * (checkTables). Tables take less than 1 % of the heap: see extend.
 */
import { atomicAdd, atomicLoad, atomicStore, compareExchange, THREADS, WITH_MALLOC } from "../base/atomics";
import { isRefused } from "../base/faults";
import { heap, heapBase, self, serveHeap } from "../base/instance";
import { announceRunDone, beginGrowth, endGrowth } from "../base/intent";
import {
  checkLayout,
  Faults,
  Heap,
  HEAP_AT_ZERO,
  HEAP_BITS_ROOT,
  HEAP_PAGES,
  HEAP_ROOT,
  HEAP_SCRATCH,
  HEAP_THREADS,
  LEAF_ENTRIES,
  LEAF_PAGES,
  LIFE_ALIVE,
  PAGE,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  WORD_SHIFT,
  WORDS_PER_PAGE,
} from "../base/layout";
import { coverUser, userGrow, userSize } from "../base/user";
import { bitsSet, freeBefore, markRaw, runAllocHere, runFree, runFreed } from "./runs";

/**
 * For a run below 256 KiB the heap grows by an eighth of its size, but by 256 KiB to 16 MiB, so that n pages cost few
 * grows. For a longer run it grows by what the run lacks. A guest's malloc grows by a sixteenth for every run, since it has
 * runs of any length, and by 64 KiB at first, since small programs are many. GROW_LEAST and GROW_MOST are in Wasm pages.
 */
const GROW_DIVISOR_SHIFT: u32 = WITH_MALLOC ? 4 : 3;
const GROW_LEAST: u32 = WITH_MALLOC ? 1 : 4;
const GROW_MOST: u32 = 256;

/** The fewest free pages of a new heap: one for records and two for elements make a small pool. */
const LEAST_PAGES: u32 = 3;

/** Pages that one page of free bits covers. */
const BITS_SPAN: u32 = WORDS_PER_PAGE << WORD_SHIFT;

/** The most pages the heap may have. */
function mostPages(): u32 {
  const h = heap();
  return h.faults && h.faultPages ? h.faultPages : h.maxPages;
}

/**
 * Takes a run of `pages` pages; returns its first page, or 0 if there is none and the memory cannot grow. The run is
 * announced, and its entries are 0: the caller writes them, then calls announceRunDone.
 */
export function runAlloc(pages: u32): u32 {
  if (isRefused(changetype<Faults>(heapBase() + offsetof<Heap>("faults")))) return 0;
  const h = heap();
  const freedAt = heapBase() + offsetof<Heap>("freed");
  const noneAt = heapBase() + offsetof<Heap>("notFound");
  let freed: u32;
  do {
    // A search costs a look at all memory's bits, so none is repeated in vain while no run becomes free.
    freed = atomicLoad<u32>(freedAt);
    const none = atomicLoad<u64>(noneAt);
    if (<u32>(none >> 32) == freed && pages >= <u32>none && none) return 0;
    const page = runAllocHere(pages);
    if (page) return page;
  } while (growMemory(pages));
  // Remembered only if the memory cannot grow for good: a fault or a refusal by the host may pass.
  if (h.faults) return 0;
  const has = atomicLoad<u32>(heapBase() + offsetof<Heap>("pages"));
  if (!h.grows || !roomFor(has, userSize() * PAGES_PER_WASM_PAGE)) {
    atomicStore<u64>(noneAt, ((<u64>freed) << 32) | (<u64>pages));
  }
  return 0;
}

/** Takes a run for the allocator itself; returns its address, or 0. Not zeroed. */
export function rawAlloc(pages: u32): usize {
  const page = runAlloc(pages);
  if (page) markRaw(page, pages);
  announceRunDone();
  return page << PAGE_SHIFT;
}

/** Grows the memory so that there is a run of `pages`. False if the host refuses: then nothing has changed. */
function growMemory(pages: u32): bool {
  if (!heap().grows) return false;
  beginGrowth();
  // Near a limit there may be enough for the run alone.
  const has = extend(pages, true) || extend(pages, false);
  endGrowth();
  return has;
}

/**
 * Wasm pages by which a heap of `has` pages may grow, where the memory ends at the page `end`. The last page of 4 GiB
 * is never used, so that no exclusive end wraps to 0.
 */
function roomFor(has: u32, end: u32): u32 {
  const most = mostPages();
  return has > most ? 0 : min<u32>(most - has, PAGE_NUMBERS - 1 - end) / PAGES_PER_WASM_PAGE;
}

/**
 * Grows the memory by what the run lacks, as the free pages at the memory's end are its beginning, and by tables. With
 * `ahead` it grows by a part of the heap if the run is short, and makes more tables, in one block, for up to four times what the
 * heap has: so few tables ever lie between free pages. Tables come from old memory if that has room in one piece, else
 * they are the beginning of the new memory.
 *
 * Runs that this takes and announces on the way leave RUN_GROWS set: the growth ends in growMemory.
 */
function extend(pages: u32, ahead: bool): bool {
  const pagesAt = heapBase() + offsetof<Heap>("pages");
  const size = userSize();
  const end = size * PAGES_PER_WASM_PAGE;
  let tail = freeBefore(end);
  // Another thread has grown the memory, or freed pages.
  if (tail >= pages) return true;
  let has = atomicLoad<u32>(pagesAt);
  const room = roomFor(has, end);
  let more = (pages - tail + PAGES_PER_WASM_PAGE - 1) / PAGES_PER_WASM_PAGE;
  if (more > room) return false;
  if (ahead && (WITH_MALLOC || pages < GROW_LEAST * PAGES_PER_WASM_PAGE)) {
    const part = min<u32>((has / PAGES_PER_WASM_PAGE) >>> GROW_DIVISOR_SHIFT, GROW_MOST);
    more = min<u32>(room, max<u32>(more, max<u32>(GROW_LEAST, part)));
  }
  // The page up to which tables are needed: for the new pages, the tables themselves, and what rounding adds.
  let reach = end + min<u32>(room, more + (more >>> 7) + 1) * PAGES_PER_WASM_PAGE;
  let tables = makeTables(0, 0, end, reach);
  let block: u32 = 0;
  if (tables) {
    if (ahead) {
      let share = mostPages();
      while (share >>> 2 >= has + more * PAGES_PER_WASM_PAGE) share >>>= 2;
      reach = max<u32>(reach, min<u32>(end + share - has, PAGE_NUMBERS));
      tables = makeTables(0, 0, end, reach);
    }
    block = runAllocHere(tables);
    if (!block || block >= end - tail) pages += tables;
    if (!block) tail = 0;
    more = max<u32>(more, (pages - tail + PAGES_PER_WASM_PAGE - 1) / PAGES_PER_WASM_PAGE);
  }
  let at = -1;
  // The pages are counted before the memory grows, so that threads together never exceed what the heap may have.
  while (more <= roomFor(has, end)) {
    if (compareExchange<u32>(pagesAt, has, has + more * PAGES_PER_WASM_PAGE)) {
      at = userGrow(more);
      if (at < 0) {
        atomicAdd<u32>(pagesAt, -more * PAGES_PER_WASM_PAGE);
        atomicStore<u32>(heapBase() + offsetof<Heap>("refusedSize"), size + more);
        // A thread that saw them counted may have noted that the memory cannot grow.
        runFreed();
      }
      break;
    }
    has = atomicLoad<u32>(pagesAt);
  }
  if (at < 0) {
    if (block) runFree(block, tables);
    return false;
  }
  atomicAdd<u32>(heapBase() + offsetof<Heap>("growCount"), 1);
  if (block) {
    markRaw(block, tables);
    announceRunDone();
    memory.fill(block << PAGE_SHIFT, 0, tables << PAGE_SHIFT);
    const used = makeTables(block, block + tables, end, reach) - block;
    if (THREADS) {
      // Another thread may have made some of the tables meanwhile: the rest of the block is free.
      runFree(block + used, tables - used);
      markRaw(block, used);
    }
    reach = 0;
  }
  const first = <u32>at * PAGES_PER_WASM_PAGE;
  addPages(first, first, first + more * PAGES_PER_WASM_PAGE, reach);
  return true;
}

/**
 * Makes the missing tables for the pages from `page` to before `reach`, out of the zeroed pages from `from` to before
 * `end`; returns the first page not used. With `end` 0 it makes none, and counts the pages needed.
 */
function makeTables(from: u32, end: u32, page: u32, reach: u32): u32 {
  reach--;
  from = fillRoot(HEAP_BITS_ROOT, page / BITS_SPAN, reach / BITS_SPAN, 1, from, end);
  return fillRoot(HEAP_ROOT, page / LEAF_ENTRIES, reach / LEAF_ENTRIES, LEAF_PAGES, from, end);
}

/** As makeTables, for the entries `first` to `last` of one root, whose tables have `pages` pages each. */
function fillRoot(root: usize, first: u32, last: u32, pages: u32, from: u32, end: u32): u32 {
  for (; first <= last; first++) {
    const at = heapBase() + root + (first << 2);
    if (atomicLoad<u32>(at)) continue;
    if (!end || (from + pages <= end && compareExchange<u32>(at, 0, from << PAGE_SHIFT))) from += pages;
  }
  return from;
}

/**
 * Puts new memory under the heap, the pages from `page` to before `end`. Those before `from` are in use; then come the
 * missing tables for all pages up to `reach`; the rest becomes free.
 */
function addPages(page: u32, from: u32, end: u32, reach: u32): void {
  from = makeTables(from, end, page, max(end, reach));
  markRaw(page, from - page);
  bitsSet(from, end);
}

/**
 * Makes a heap in the memory from `base` on, `bytes` long: its header, tables and free pages. Has this instance serve
 * it, as thread 0. Returns its address, or 0 if there is no such memory or it is too short.
 */
export function pagesInit(base: u32, bytes: u32, maxPages: u32, grows: bool): usize {
  checkLayout();
  if (!coverUser(0)) return 0;
  const first = (base >>> PAGE_SHIFT) + <u32>((base & (PAGE - 1)) != 0);
  // The end is exclusive; that of all 4 GiB would wrap to 0.
  const last = base + bytes - 1;
  let end = (last >>> PAGE_SHIFT) + <u32>((last & (PAGE - 1)) == PAGE - 1);
  if (last < base || end < first || end > userSize() * PAGES_PER_WASM_PAGE) return 0;
  if (end == PAGE_NUMBERS) end--;
  if (maxPages && maxPages < end - first) end = first + maxPages;
  const pages = end - first;
  const tables =
    (end - 1) / BITS_SPAN - first / BITS_SPAN + 1 + LEAF_PAGES * ((end - 1) / LEAF_ENTRIES - first / LEAF_ENTRIES + 1);
  if (<i32>pages < <i32>(HEAP_PAGES + tables + LEAST_PAGES)) return 0;
  const address = base ? first << PAGE_SHIFT : HEAP_AT_ZERO;
  memory.fill(address, 0, (HEAP_PAGES + tables) << PAGE_SHIFT);
  serveHeap(address, address + HEAP_THREADS);
  const h = heap();
  h.pages = pages;
  h.maxPages = maxPages ? min(maxPages, PAGE_NUMBERS) : pages;
  h.grows = grows;
  h.threads = 1;
  self().life = LIFE_ALIVE;
  self().scratch = address + HEAP_SCRATCH;
  addPages(first, first + HEAP_PAGES, end, 0);
  announceRunDone();
  return address;
}

/** Pages by which the heap may still grow, as far as is known. */
export function pagesToCome(): u32 {
  const h = heap();
  const end = userSize() * PAGES_PER_WASM_PAGE;
  let more = roomFor(h.pages, end);
  if (h.refusedSize > userSize()) more = min<u32>(more, h.refusedSize - 1 - userSize());
  return h.grows ? more * PAGES_PER_WASM_PAGE : 0;
}

/** The address of the heap's Faults, where a host writes which requests for pages are to be refused. */
export function heapFaults(): usize {
  // A search noted as vain under the old faults may succeed under the new ones.
  atomicStore<u64>(heapBase() + offsetof<Heap>("notFound"), 0);
  return heapBase() + offsetof<Heap>("faults");
}
