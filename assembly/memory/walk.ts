/**
 * The walk over all elements of a heap, by their state bytes. It is for rare work: a thread's death, a thread that
 * joins under a used number, and lists of outstanding elements. Never waits. A whole walk is O(memory).
 */
import { atomicLoad } from "../base/atomics";
import { heapBase } from "../base/instance";
import { Cache, Heap, PAGE_SHIFT, Slab } from "../base/layout";
import { userStore } from "../base/user";
import { firstElement, slabPage, slabPages, stateOf } from "./geometry";
import { entryOfPage, nextSlab } from "./map";

/**
 * The first element above `after` whose state byte has `value` in the bits of `mask`; 0 if there is none. It is of any
 * pool, or if `pool` is not 0, of that pool. With `own` it may also be a record.
 *
 * Other threads may be at work. A slab that goes back to pages meanwhile loses its entry before its bytes are reused,
 * and this reads the entry again after the byte: so the element it returns was one, and in that state.
 */
export function nextElement(after: usize, mask: u32, value: u32, pool: usize, own: bool): usize {
  for (let page = nextSlab(after >>> PAGE_SHIFT); page; page = nextSlab(page + 1)) {
    const at = entryOfPage(page);
    const entry = atomicLoad<u64>(at);
    if (!entry) continue;
    const cache = changetype<Cache>(<usize>(<u32>entry));
    if (pool ? cache.pool != pool : !own && !cache.pool) continue;
    const slab = changetype<Slab>(<usize>(entry >> 32));
    const first = firstElement(slab);
    const stride = cache.stride;
    const last = slabPage(slab) + slabPages(slab) - 1;
    let i: u32 = after < first ? 0 : <u32>(after - first) / stride + 1;
    for (const count = min(slab.count, cache.indexEnd); i < count; i++) {
      // Four state bytes at once, to pass over those that are all something else.
      while (!(i & 3) && i + 4 <= count && !hasByte(atomicLoad<u32>(stateOf(slab, i + 3)), mask, value)) i += 4;
      if (i >= count) break;
      if (((<u32>atomicLoad<u8>(stateOf(slab, i))) & mask) != value) continue;
      if (atomicLoad<u64>(at) != entry) break;
      return first + i * stride;
    }
    // A damaged header may name pages before this one: an inspector must not walk for ever.
    if (<i32>last > <i32>page && atomicLoad<u64>(at) == entry) page = last;
  }
  return 0;
}

/** Whether one of a word's bytes, or a byte above one that is, has `value` in the bits of `mask`. */
@inline
function hasByte(word: u32, mask: u32, value: u32): bool {
  const other = (word & (mask * 0x01010101)) ^ (value * 0x01010101);
  return ((other - 0x01010101) & ~other & 0x80808080) != 0;
}

/**
 * Describes the first slab of a pool with an element at or above `from`, in four words at `array`: its first element,
 * the stride, its elements, and Heap.freed. Returns the address of that counter; 0 if there is no such slab.
 *
 * While the counter stays as it is, no slab goes back to pages: so the description holds, and a state byte tells about
 * its element.
 */
export function describeSlab(pool: usize, from: usize, array: usize): usize {
  const freed = heapBase() + offsetof<Heap>("freed");
  userStore(array + 12, atomicLoad<u32>(freed));
  for (let page = nextSlab(from >>> PAGE_SHIFT); page; page = nextSlab(page + 1)) {
    const at = entryOfPage(page);
    const entry = atomicLoad<u64>(at);
    if (!entry) continue;
    const cache = changetype<Cache>(<usize>(<u32>entry));
    if (cache.pool != pool) continue;
    const slab = changetype<Slab>(<usize>(entry >> 32));
    const first = firstElement(slab);
    const count = min(slab.count, cache.indexEnd);
    userStore(array, <u32>first);
    userStore(array + 4, cache.stride);
    userStore(array + 8, count);
    if (from < first + count * cache.stride && atomicLoad<u64>(at) == entry) return freed;
  }
  return 0;
}
