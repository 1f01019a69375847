/** Whose is an address? For people, and for hosts that debug a guest. Reads only. */
import { atomicLoad, THREADS } from "../base/atomics";
import { beginVisit, endVisit } from "../base/instance";
import {
  Epoch,
  LEFT_NUMBER,
  LIFE_MASK,
  NOBODY,
  PAGE_SHIFT,
  Pool,
  STATE_LIVE,
  STATE_MARK,
  TAG_RAW,
} from "../base/layout";
import { blockOfPage } from "../memory/blocks";
import { cacheIn, firstElement, slabIn, stateOf } from "../memory/geometry";
import { entryAt, entryOfPage, entryPages, entryTag } from "../memory/map";
import { isHeap, lifeAt } from "../threads/life";

/* What an address is. */
const NOTHING: u32 = 0;
const OUTSTANDING: u32 = 1;
const STORED: u32 = 2;
const BLOCK: u32 = 3;
const OWN: u32 = 4;

/**
 * What lies at `address` in the heap at `heap`: see include/wasm_mempool.h. Writes five words to `at`, if there is a heap. O(1), but O(pages)
 * within a block of malloc's.
 */
export function mempool_owner(heap: usize, address: usize, at: usize): u32 {
  if (!isHeap(heap)) return NOTHING;
  beginVisit(heap);
  const what = ownerOf(address, at);
  endVisit();
  return what;
}

function ownerOf(address: usize, at: usize): u32 {
  for (let i: u32 = 0; i < 5; i++) store<u32>(at + (i << 2), 0);
  store<u32>(at, NOBODY, 12);
  const entry = entryAt(address);
  const word = entry ? load<u64>(entry) : 0;
  if (!word) return NOTHING;
  if (entryTag(word) == TAG_RAW) return ownerOfRun(<u32>(address >>> PAGE_SHIFT), at);
  const epoch = changetype<Epoch>(cacheIn(entry));
  const slab = slabIn(entry);
  const index = <u32>(address - firstElement(slab)) / epoch.stride;
  if (!epoch.pool) return OWN;
  const pool = changetype<Pool>(epoch.pool);
  store<u32>(at, pool.serial);
  store<u32>(at, <u32>epoch.pool, 16);
  // An address below the first element wraps to an index beyond the last.
  if (index >= slab.count) return OWN;
  const state = <u32>load<u8>(stateOf(slab, index));
  store<u32>(at, <u32>firstElement(slab) + index * epoch.stride, 4);
  store<u32>(at, epoch.size, 8);
  if (!(state & STATE_LIVE)) return STORED;
  const thread = state & (STATE_MARK - 1);
  // An element keeps the number of a thread that has left until another thread gets that number.
  const isGone = THREADS && (thread == LEFT_NUMBER || !((<u32>atomicLoad<u64>(lifeAt(thread))) & LIFE_MASK));
  if (!isGone) store<u32>(at, thread, 12);
  return OUTSTANDING;
}

/** The same for a page of a run that is no slab. */
function ownerOfRun(page: u32, at: usize): u32 {
  const first = blockOfPage(page);
  if (!first) return OWN;
  store<u32>(at, first << PAGE_SHIFT, 4);
  store<u32>(at, entryPages(load<u64>(entryOfPage(first))) << PAGE_SHIFT, 8);
  return BLOCK;
}
