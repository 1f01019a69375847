/**
 * Blocks: runs of pages that malloc hands out whole, for what is too large for its size classes.
 *
 * The entry of a block's first page has its pages and its state; those of its other pages are ENTRY_INSIDE. So one store of
 * the first entry makes a block, makes it longer or shorter, or ends it. Calls growth and runs, waits for no thread. A
 * call costs a search of the free bits, and a store for each page that comes or goes.
 *
 * A block has no owner: if the thread that allocated it dies, other threads use and free it. Of two frees at the same
 * instant one is refused, since the state changes by a compare-exchange; it names the thread that frees, so a reaper ends
 * what a dead thread has begun (reapBlocks).
 *
 * While a block changes, the pages that come or go are announced as the thread's own, and the first entry says whether
 * they are the block's: by that a reaper decides (blockOfPage). Alignments above a page cost pages that a thread may leak if
 * it dies.
 */
import { atomicLoad, compareExchange } from "../base/atomics";
import { selfNumber } from "../base/instance";
import { announceRunDone, runClaim } from "../base/intent";
import {
  ENTRY_BLOCK,
  ENTRY_FREEING_SHIFT,
  ENTRY_INSIDE,
  LEAF_ENTRIES,
  PAGE,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  TAG_RAW,
} from "../base/layout";
import { userSize } from "../base/user";
import { runAlloc } from "./growth";
import { entryAt, entryOfPage, entryPages, entryTag, entryWrite } from "./map";
import { areFree, freeBefore, markRaw, runFree, runTake } from "./runs";

/** The first entry of an allocated block. */
@inline
function entryOf(pages: u32): u64 {
  return ENTRY_BLOCK | (<u64>TAG_RAW) | ((<u64>pages) << 4);
}

function markInside(page: u32, end: u32): void {
  for (; page < end; page++) entryWrite(page, ENTRY_INSIDE);
}

/** A block of `pages` pages at a multiple of `align`, a power of two; 0 if there is no run of free pages for it. */
export function blockAlloc(pages: u32, align: u32): usize {
  const more = align > PAGE ? (align >>> PAGE_SHIFT) - 1 : 0;
  const first = pages + more < pages ? 0 : runAlloc(pages + more);
  const page = (first + more) & ~more;
  if (first) {
    const end = first + pages + more;
    const before = page - first;
    const behind = more - before;
    if (before) markRaw(first, before);
    if (behind) markRaw(end - behind, behind);
    markInside(page + 1, page + pages);
    entryWrite(page, entryOf(pages));
    announceRunDone();
    if (before) runFree(first, before);
    if (behind) runFree(end - behind, behind);
    return page << PAGE_SHIFT;
  }
  announceRunDone();
  return 0;
}

/** The entry of the allocated block that begins at an address; 0 if none does. */
export function blockEntry(address: usize): u64 {
  const at = entryAt(address);
  const entry = at ? atomicLoad<u64>(at) : 0;
  return entryTag(entry) == TAG_RAW && entry & ENTRY_BLOCK && !(address & (PAGE - 1)) ? entry : 0;
}

/** Frees a block. False: none begins there. */
export function blockFree(address: usize): bool {
  const entry = blockEntry(address);
  const freeing = (<u64>(<u32>entry)) | ((<u64>(selfNumber() + 1)) << ENTRY_FREEING_SHIFT);
  if (!entry || !compareExchange<u64>(entryAt(address), entry, freeing)) return false;
  runFree(address >>> PAGE_SHIFT, entryPages(entry));
  return true;
}

/**
 * Gives the block of an entry another number of pages where it is. False, and nothing has changed, if the pages behind it are
 * in use, or another thread has freed it meanwhile.
 */
export function blockResize(address: usize, entry: u64, pages: u32): bool {
  const page = address >>> PAGE_SHIFT;
  const has = entryPages(entry);
  if (pages == has) return true;
  if (pages > has) {
    if (!takeBehind(page + has, pages - has)) return false;
    markInside(page + has, page + pages);
  } else runClaim(page + pages, has - pages);
  // Ordering: while the pages that come or go are announced, and have their entries.
  const isOurs = compareExchange<u64>(entryAt(address), entry, entryOf(pages));
  if (pages > has && !isOurs) runFree(page + has, pages - has);
  else if (pages < has && isOurs) runFree(page + pages, has - pages);
  else announceRunDone();
  return isOurs;
}

/** Takes the run of free pages that begins at `page`. The memory grows if all from there to its end is free, or nothing. */
function takeBehind(page: u32, pages: u32): bool {
  if (areFree(page, pages) && runTake(page, pages)) return true;
  const end = userSize() * PAGES_PER_WASM_PAGE;
  if (freeBefore(end) != end - page) return false;
  const run = runAlloc(pages);
  if (run == page) return true;
  if (run) runFree(run, pages);
  else announceRunDone();
  return false;
}

/** The first page of the allocated block that a page is in; 0 if it is in none. Costs a look at the pages before it. */
export function blockOfPage(page: u32): u32 {
  let first = page;
  let entry = atomicLoad<u64>(entryOfPage(first));
  while (entry == ENTRY_INSIDE && first) {
    const at = entryOfPage(--first);
    entry = at ? atomicLoad<u64>(at) : 0;
  }
  return entryTag(entry) == TAG_RAW && entry & ENTRY_BLOCK && page - first < entryPages(entry) ? first : 0;
}

/** Frees the blocks that a dead thread had begun to free. The pages that it had announced are free by now. */
export function reapBlocks(number: u32): void {
  const freeing = (<u64>(number + 1)) << ENTRY_FREEING_SHIFT;
  for (let page: u32 = 0, end = userSize() * PAGES_PER_WASM_PAGE; page < end; page++) {
    const at = entryOfPage(page);
    if (!at) page |= LEAF_ENTRIES - 1;
    else {
      const entry = atomicLoad<u64>(at);
      if (entryTag(entry) == TAG_RAW && entry >> 32 == freeing >> 32) runFree(page, entryPages(entry));
    }
  }
}
