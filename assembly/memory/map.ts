/**
 * The page map: whose is an address? Drawn in layout.ts.
 *
 * Any u32 can be looked up, in two loads: entryAt reads the root and gives the address of an entry; cacheIn and slabIn
 * of geometry.ts read the entry. No byte of an element is trusted on the way. A leaf, once there, stays, so readers
 * take no lock. Only the thread that holds a run, or the reaper of that thread, writes its entries, by atomic stores.
 * Calls nothing but base.
 *
 * Invariant (checkMap and checkSlab in inspect/check.ts): the entries of a run agree.
 */
import { atomicLoad, atomicStore } from "../base/atomics";
import { heapBase } from "../base/instance";
import {
  HEAP_ROOT,
  LEAF_ENTRIES,
  LEAF_SHIFT,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  TAG_MASK,
  TAG_RAW,
} from "../base/layout";
import { userSize } from "../base/user";

/** The leaf for `address`; 0 if this heap has no page in its 4 MiB. */
@inline
export function leafAt(address: usize): usize {
  return load<u32>(heapBase() + ((address >>> LEAF_SHIFT) << 2), HEAP_ROOT);
}

/** The address of the entry, in its leaf, of the page that `address` is in. */
@inline
export function entryIn(leaf: usize, address: usize): usize {
  return leaf + ((address >>> (PAGE_SHIFT - 3)) & ((LEAF_ENTRIES - 1) << 3));
}

/** The address of the entry of the page that `address` is in; 0 if it has none. */
export function entryAt(address: usize): usize {
  const leaf = leafAt(address);
  return leaf ? entryIn(leaf, address) : 0;
}

/** The address of the entry of a page, by the page's number; 0 if there is none. */
@inline
export function entryOfPage(page: u32): usize {
  return entryAt(page << PAGE_SHIFT);
}


@inline
export function entryWrite(page: u32, word: u64): void {
  atomicStore<u64>(entryOfPage(page), word);
}

/** TAG_RAW, or 0 for a slab's entry and for none, by the entry's word. */
@inline
export function entryTag(word: u64): u32 {
  return (<u32>word) & TAG_MASK;
}

/** The pages of a raw run, from the entry's page on. */
@inline
export function entryPages(word: u64): u32 {
  return (<u32>word) >>> 4;
}

/** Whether the allocator's own memory at `address` is a raw run, and no record. */
@inline
export function isRaw(address: usize): bool {
  return entryTag(load<u64>(entryAt(address))) == TAG_RAW;
}

/** The first page from `page` on whose entry names a slab; 0 if there is none. */
export function nextSlab(page: u32): u32 {
  for (const end = userSize() * PAGES_PER_WASM_PAGE; page < end; page++) {
    const at = entryOfPage(page);
    if (!at) {
      page |= LEAF_ENTRIES - 1;
      continue;
    }
    const entry = atomicLoad<u64>(at);
    if (entry && !entryTag(entry)) return page;
  }
  return 0;
}
