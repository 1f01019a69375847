/**
 * Malloc: memory of any size, without a pool. Small blocks are elements of a size class's pool (classes.ts), larger ones
 * runs of pages (memory/blocks.ts).
 *
 *   malloc   class: magazine -> slabs, pages, growth -> the class's reserve -> reclaim, then slabs again -> 0
 *            larger: pages, growth -> reclaim, then pages again -> a reserve of blocks as long -> 0
 *   free     by the page map: the entry names the class, or says that a block begins there; else a bad free
 *
 * All but posix_memalign behaves as C says, with two choices: a size of 0 is 1, also in realloc, and errno is not set. Every
 * alignment up to 16 is met by any block of at least as many bytes. A bad free changes nothing and is told to badFree.
 *
 * The first call of a thread makes or joins the heap; the first of a class makes its pool: both may wait for the lock of
 * the heap's lists, for a bounded time. Other calls wait for no thread, and cost some 60 instructions, or a search of the
 * free bits for a larger block.
 */
import { atomicLoad, CHECKED } from "../base/atomics";
import { BAD_ARGUMENT, NO_MEMORY } from "../base/error";
import { Cache, Magazine, MAX_SIZE, PAGE, PAGE_SHIFT, Pool, STEPS_BYTES, TAG_MASK } from "../base/layout";
import { lock, unlock } from "../base/list";
import { userCopy, userFill } from "../base/user";
import { blockAlloc, blockEntry, blockFree, blockResize } from "../memory/blocks";
import { cacheIn, indexOf, slabIn, stateOf } from "../memory/geometry";
import { entryAt, entryIn, entryPages, leafAt } from "../memory/map";
import { allocInline, allocPreallocated } from "../pool/alloc";
import { FREED, INVALID_ADDRESS, refusalIn } from "../pool/element";
import { freeInEntry } from "../pool/free";
import { giveWithoutHandle, takeWithoutHandle } from "../pool/handoff";
import { pushRound } from "../pool/magazine";
import { ownMagazine } from "../pool/pool";
import { reclaim } from "../pool/reclaim";
import { errorOf, resizePool } from "../pool/resize";
import {
  classBytes,
  classOf,
  classPool,
  ensureHandle,
  handleFor,
  handleIn,
  hasClasses,
  MAX_CLASS_ALIGN,
  reserveClass,
  reserveHandle,
  SMALL,
} from "./classes";
import { badFree } from "./host";
import { startHeap } from "./start";

/** Bytes to which every block of as many is aligned. */
const DEFAULT_ALIGN: u32 = 16;

/** Whole pages never add up to 2^32 bytes. */
const LARGEST: u32 = 0xffff0000;

/** A block of at least `bytes`; 0 if there is no memory. */
export function allocate(bytes: u32): usize {
  if (bytes <= STEPS_BYTES && hasClasses()) {
    const m = handleFor(bytes);
    if (changetype<usize>(m)) return allocInline(m);
  }
  return allocateSlow(bytes);
}

/** The same for larger blocks, and where something is missing. */
function allocateSlow(bytes: u32): usize {
  if (!startHeap()) return 0;
  bytes = max<u32>(1, bytes);
  if (bytes > SMALL) return allocatePages(bytes, PAGE);
  const sizeClass = classOf(bytes);
  const m = ensureHandle(sizeClass);
  return changetype<usize>(m) ? allocInline(m) : fromReserve(sizeClass, 0);
}

/**
 * A block of a class's reserve, or with class 0 of the reserve of blocks of `bytes`; 0 if it has none, or another thread has
 * the lock for long. Under the lock, since a pool of a class ends if its maker died at once.
 */
function fromReserve(sizeClass: u32, bytes: u32): usize {
  if (!lock()) return 0;
  const pool = classPool(sizeClass || reserveClass(bytes));
  let block: usize = 0;
  if (changetype<usize>(pool)) {
    const m = ownMagazine(pool);
    block = changetype<usize>(m) ? allocPreallocated(m) : takeWithoutHandle(pool);
  }
  unlock();
  return block;
}

/** A block of whole pages. */
function allocatePages(bytes: u32, align: u32): usize {
  if (bytes > LARGEST) return 0;
  const pages = (bytes + PAGE - 1) >>> PAGE_SHIFT;
  const block = blockAlloc(pages, align) || (reclaim() ? blockAlloc(pages, align) : 0);
  // Not of a reserve of longer blocks: those are for others.
  return block || (align == PAGE ? fromReserve(0, pages << PAGE_SHIFT) : 0);
}

/**
 * Frees a block; 0 is none. The hit path is freeInline's, by the division of the cache, since that is known before the magazine,
 * and without an answer to pass on.
 */
export function release(address: usize): void {
  if (!CHECKED && hasClasses()) {
    const leaf = leafAt(address);
    if (leaf) {
      const entry = entryIn(leaf, address);
      const owner = load<u32>(entry);
      // One comparison: a multiple of 16 above 0 is a cache.
      if (rotr<u32>(owner - 16, 4) < 0x0fffffff) {
        const cache = changetype<Cache>(<usize>owner);
        const m = handleIn(cache);
        if (changetype<usize>(m)) {
          const slab = slabIn(entry);
          const index = indexOf(cache, slab, address);
          if (index < cache.indexEnd) {
            const state = stateOf(slab, index);
            if (load<i8>(state) < 0) {
              const top = m.top;
              if (top < atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("freeLimit"))) {
                return pushRound(m, top, address, state);
              }
            }
          }
          return releaseIn(m, entry, address);
        }
      }
    }
  }
  releaseSlow(address);
}

/** The same of a class that this thread has a handle of. */
function releaseIn(m: Magazine, entry: usize, address: usize): void {
  const error = freeInEntry(m, entry, address);
  if (error) badFree(address, error);
}

function releaseSlow(address: usize): void {
  if (!address) return;
  // A thread whose first call is a free joins first. If it cannot, the block stays allocated.
  if (!startHeap()) return;
  const error = releaseChecked(address);
  if (error) badFree(address, error);
}

/** FREED; or an error code, and nothing has changed. */
function releaseChecked(address: usize): i32 {
  const entry = entryAt(address);
  const pool = poolIn(entry);
  if (!changetype<usize>(pool) && blockFree(address)) return FREED;
  const error = refusalIn(pool, entry, address);
  if (error) return error;
  const m = ensureHandle(cacheIn(entry).sizeClass);
  if (changetype<usize>(m)) return freeInEntry(m, entry, address);
  // Memory for a handle is gone.
  giveWithoutHandle(pool, entry, address);
  return FREED;
}

/** The pool of the class that an entry of the page map names; null if it names none. Entry 0: the map has none. */
function poolIn(entry: usize): Pool {
  const owner = entry ? load<u32>(entry) : 0;
  const isClass = owner && !(owner & TAG_MASK) && changetype<Cache>(<usize>owner).sizeClass;
  return changetype<Pool>(isClass ? changetype<Cache>(<usize>owner).pool : 0);
}

/** Bytes of the block that begins at an address; 0, and a bad free is told, if none does; 0 if this thread cannot join. */
function bytesOf(address: usize): u32 {
  if (!startHeap()) return 0;
  const block = blockEntry(address);
  if (block) return entryPages(block) << PAGE_SHIFT;
  const entry = entryAt(address);
  const error = refusalIn(poolIn(entry), entry, address);
  if (!error) return cacheIn(entry).stride;
  badFree(address, error);
  return 0;
}

/** Bytes that may be used of a block; 0 for no block. */
export function usableBytes(address: usize): u32 {
  return address ? bytesOf(address) : 0;
}

/** A block at a multiple of `align`, a power of two; 0 also for any other number. */
export function allocateAligned(align: u32, bytes: u32): usize {
  if (!align || align & (align - 1)) return 0;
  bytes = max<u32>(1, bytes);
  if (align <= MAX_CLASS_ALIGN && bytes <= SMALL) {
    // Every doubling has a class of the power of two.
    let sizeClass = classOf(max(bytes, align));
    while (classBytes(sizeClass) & (align - 1)) sizeClass++;
    return allocate(classBytes(sizeClass));
  }
  return startHeap() ? allocatePages(bytes, max(align, PAGE)) : 0;
}

/** A block of `count` elements of `bytes`, filled with 0; 0 also if the product is too large. */
export function allocateZeroed(count: u32, bytes: u32): usize {
  const all = <u64>count * bytes;
  const block = all > LARGEST ? 0 : allocate(<u32>all);
  if (block) userFill(block, 0, <u32>all);
  return block;
}

/**
 * A block of at least `bytes` with what the old one held, as far as it goes, at a multiple of `align`; 0: the old one is
 * as it was. In place if its class stays, or the pages behind it are free. A block that lost half and more moves.
 */
export function reallocate(address: usize, align: u32, bytes: u32): usize {
  // A shorter block would have a smaller alignment.
  bytes = max<u32>(bytes, max<u32>(1, min(align, DEFAULT_ALIGN)));
  if (!address) return align > DEFAULT_ALIGN ? allocateAligned(align, bytes) : allocate(bytes);
  const has = bytesOf(address);
  if (!has || bytes > LARGEST) return 0;
  const entry = bytes > SMALL ? blockEntry(address) : 0;
  const isInPlace =
    !(address & (align - 1)) &&
    (entry ? blockResize(address, entry, (bytes + PAGE - 1) >>> PAGE_SHIFT) : bytes <= has && bytes > has >>> 1);
  if (isInPlace) return address;
  const block = align > DEFAULT_ALIGN ? allocateAligned(align, bytes) : allocate(bytes);
  if (block) {
    userCopy(block, address, min(has, bytes));
    release(address);
  } else if (bytes <= has && !(address & (align - 1))) return address;
  return block;
}

/**
 * Sets `count` blocks aside that malloc of `bytes`, or of a little less, gets when memory is gone; 0 gives them back. 1; 0:
 * memory is short, and frees of such blocks will fill the reserve; or an error code. Costs the blocks.
 */
export function reserve(bytes: u32, count: u32): i32 {
  if (!bytes || bytes > MAX_SIZE) return BAD_ARGUMENT;
  if (!startHeap()) return NO_MEMORY;
  const error = errorOf(bytes, 1, count);
  if (error) return error;
  const m = bytes <= SMALL ? ensureHandle(classOf(bytes)) : reserveHandle((bytes + PAGE - 1) & ~(PAGE - 1));
  return changetype<usize>(m) ? resizePool(m, count) : NO_MEMORY;
}
