/**
 * Slabs of a cache: creating them, keeping them on stacks, and giving empty ones back to pages.
 *
 * Owns the stacks and counts of the Cache, and the Slab's header; elements.ts takes from slabs and returns to them.
 * Calls runs and growth. Never waits: the thread that pops a slab off its stack holds it, and alone takes from it;
 * other threads take from other slabs, or create one. Any thread may return elements to any slab at any time.
 *
 * Invariants (when no thread is in the middle of something):
 * - a slab with something to give, a FREE byte or carved < end, is kept, on one of its cache's two stacks; a slab with
 *   no group bit and carved == end may be on none (checkSlab and checkStack in inspect/check.ts);
 * - `slabs` and `capacity` of a cache are the sums over its slabs, and capacity <= maxNr (checkCache).
 *
 * An empty slab goes back to pages when a search for such slabs comes by. The search takes a few steps each time a slab
 * becomes empty, unless it is its cache's last one; it visits all slabs when memory is short, in heap_trim, and when the pool
 * has closed.
 */
import {
  atomicAdd,
  atomicLoad,
  atomicStore,
  compareExchange,
  DEBUG,
  guess,
  MALLOC_ALONE,
  THREADS,
} from "../base/atomics";
import { heapBase, selfNumber } from "../base/instance";
import { announceCounting, announceRunDone, announceSlab, runClaim } from "../base/intent";
import { DEAD } from "../base/guarded";
import {
  BACKEND_EXTERNAL,
  Cache,
  ENDED,
  Epoch,
  Heap,
  PAGE_SHIFT,
  Pool,
  Slab,
  SLAB_HEADER,
  SLAB_KEPT,
  SLAB_OUT,
  SLAB_RETIRED,
  ZONE,
} from "../base/layout";
import { userFill } from "../base/user";
import { countIn, firstOffset, slabPage, slabPages, stateBytes, summaryAt, THRIFTY_PAGES } from "./geometry";
import { runAlloc } from "./growth";
import { entryOfPage, entryWrite, nextSlab } from "./map";
import { runFree } from "./runs";

/** The steps of the search for empty slabs, each time a slab becomes empty. */
export const SWEEP_SLABS: u32 = 4;

/** The rounds of slabSweepAll: other threads may make slabs empty for ever. */
const SWEEPS: u32 = 8;

/** Puts a slab that this thread holds on a stack. */
export function slabPush(stack: usize, slab: usize): void {
  let head: u64;
  do {
    head = atomicLoad<u64>(stack);
    atomicStore<u32>(slab + offsetof<Slab>("next"), <u32>head);
    // The number changes, so that a pop that read the stack before fails, also where its first slab is the same again.
  } while (!compareExchange<u64>(stack, head, (((head >> 32) + 1) << 32) | (<u64>slab)));
}

/** Takes the first slab off a stack: this thread holds it. 0 if there is none. */
export function slabPop(stack: usize): usize {
  while (true) {
    const head = atomicLoad<u64>(stack);
    const slab = <u32>head;
    if (!slab) return 0;
    announceSlab(slab);
    // If the slab is gone by now, this reads some other word; but then the compare-exchange fails.
    const next = guess<u32>(slab + offsetof<Slab>("next"));
    if (compareExchange<u64>(stack, head, (((head >> 32) + 1) << 32) | (<u64>next))) return slab;
  }
}


@inline
export function partialOf(cache: Cache): usize {
  return changetype<usize>(cache) + offsetof<Cache>("partial");
}


@inline
export function sweptOf(cache: Cache): usize {
  return changetype<usize>(cache) + offsetof<Cache>("swept");
}


@inline
export function addTo(cache: Cache, field: usize, by: u32): void {
  atomicAdd<u32>(changetype<usize>(cache) + field, by);
}

/**
 * Pages of the next slab of a cache: as many short slabs as a quarter of its pages have, but at most those of a long one. A cache
 * whose short slabs waste much has a long one as soon as it has as many pages.
 */
function nextPages(cache: Cache): u32 {
  const pages = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages"));
  const share = cache.smallPages > THRIFTY_PAGES ? pages : pages >>> 2;
  return min<u32>(cache.largePages, max<u32>(cache.smallPages, share - (share % cache.smallPages)));
}

/** A new slab, held by this thread; 0 if there is no run for it, or the cache has all elements it may have. */
export function slabCreate(cache: Cache): usize {
  let pages = nextPages(cache);
  let page: u32 = 0;
  let end: u32;
  announceCounting(changetype<usize>(cache));
  // The capacity is claimed before the run is taken, so that threads together never exceed maxNr.
  while (true) {
    const used = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("capacity"));
    end = used == ENDED ? 0 : min(countIn(cache, pages), cache.maxNr - used);
    if (!end) break;
    if (!compareExchange<u32>(changetype<usize>(cache) + offsetof<Cache>("capacity"), used, used + end)) continue;
    page = runAlloc(pages);
    if (page) break;
    addTo(cache, offsetof<Cache>("capacity"), -end);
    if (pages == cache.smallPages) break;
    pages = cache.smallPages;
  }
  if (!page) {
    announceCounting(0);
    return 0;
  }
  const count = countIn(cache, pages);
  const head = firstOffset(cache, count) - SLAB_HEADER;
  const address = (page << PAGE_SHIFT) + head;
  memory.fill(address - stateBytes(count), 0, stateBytes(count));
  // A box that never held an element says so: its word is 0.
  if (cache.backend == BACKEND_EXTERNAL) userFill(address + SLAB_HEADER, 0, count * cache.stride);
  if (DEBUG && cache.pool && changetype<Epoch>(cache).guard) {
    userFill(address + SLAB_HEADER - ZONE, DEAD, ZONE + count * cache.stride);
  }
  const slab = changetype<Slab>(address);
  slab.carver = selfNumber();
  atomicStore<u64>(summaryAt(address), SLAB_KEPT);
  slab.count = count;
  slab.end = end;
  slab.carved = 0;
  slab.pages = (pages << 16) | head;
  for (let i: u32 = 0; i < pages; i++) entryWrite(page + i, (<u64>changetype<u32>(cache)) | ((<u64>address) << 32));
  addTo(cache, offsetof<Cache>("slabs"), 1);
  addTo(cache, offsetof<Cache>("slabPages"), pages);
  // Ordering: before the run is done, so that a reaper finds the slab by one of the two.
  announceSlab(address);
  announceRunDone();
  announceCounting(0);
  return address;
}

/** Gives an empty slab, held by this thread and retired, back to pages. */
function slabRetire(cache: Cache, slab: Slab): void {
  const pages = slabPages(slab);
  const end = slab.end;
  const page = slabPage(slab);
  announceCounting(changetype<usize>(cache));
  runClaim(page, pages);
  // Ordering: before other threads can take the pages, since another slab may come to lie at this address.
  announceSlab(0);
  addTo(cache, offsetof<Cache>("slabs"), -1);
  addTo(cache, offsetof<Cache>("slabPages"), -pages);
  runFree(page, pages);
  // Ordering: last. A thread that reads capacity 0 in a closed pool ends the pool.
  addTo(cache, offsetof<Cache>("capacity"), -end);
  announceCounting(0);
}

/**
 * Gives all slabs of a cache that no thread can reach back to pages, whatever state their elements have. Under the
 * lock. The counts of the cache are wrong afterwards.
 */
export function slabDropAll(cache: Cache): void {
  for (let page = nextSlab(0); page; page = nextSlab(page + 1)) {
    const entry = atomicLoad<u64>(entryOfPage(page));
    if (<u32>entry != changetype<u32>(cache)) continue;
    runFree(page, slabPages(changetype<Slab>(<usize>(entry >> 32))));
  }
}

/**
 * Moves up to `most` slabs from one stack of a cache to the other, but gives empty slabs back to pages. Holds one slab
 * at a time, so that other threads can take from all others.
 */
export function sweep(cache: Cache, from: usize, to: usize, most: u32): void {
  for (; most; most--) {
    const slab = slabPop(from);
    if (!slab) break;
    const summary = atomicLoad<u64>(summaryAt(slab));
    // Empty: its elements are FREE or NEVER, and no other thread holds it. A reaper that looks at it sees the change.
    if (summary < SLAB_OUT && compareExchange<u64>(summaryAt(slab), summary, SLAB_RETIRED)) {
      // Ordering: this thread retires the slab, then reads `walker`; a walker stores `walker`, then reads state bytes.
      // So this thread sees the walker, or the walker sees that no element of the slab is LIVE.
      if (!isWalked()) {
        slabRetire(cache, changetype<Slab>(slab));
        continue;
      }
      atomicStore<u64>(summaryAt(slab), summary);
      slabPush(to, slab);
      // Ordering: pushed, then `walker` is read again; a walker clears it, then searches the slabs. So the walker finds
      // this slab, or it counts as emptied again, and this thread looks again.
      if (!isWalked()) addTo(cache, offsetof<Cache>("emptied"), 1);
      continue;
    }
    slabPush(to, slab);
  }
  announceSlab(0);
}

/** Whether a thread walks all slabs: see Heap.walker. */
@inline
function isWalked(): bool {
  return THREADS && atomicLoad<u32>(heapBase() + offsetof<Heap>("walker")) != 0;
}

/** Gives all empty slabs of a cache back to pages. True if there was one. */
export function slabSweepAll(cache: Cache): bool {
  const before = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages"));
  const emptiedAt = changetype<usize>(cache) + offsetof<Cache>("emptied");
  for (let sweeps = SWEEPS; sweeps; sweeps--) {
    // If a slab becomes empty while this thread holds it, the thread that emptied it cannot find it: then look again.
    const emptied = atomicLoad<u32>(emptiedAt);
    sweep(cache, partialOf(cache), sweptOf(cache), -1);
    sweep(cache, sweptOf(cache), partialOf(cache), -1);
    if (!THREADS || atomicLoad<u32>(emptiedAt) == emptied) break;
  }
  return atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabPages")) < before;
}

/** Searches all slabs once an eighth of them have become empty: at most that many stay, and in the end none. */
export function sweepSoon(cache: Cache): void {
  if (isSweepDue(cache)) slabSweepAll(cache);
}

/** Whether an eighth of a cache's slabs, or one of fewer than eight, has become empty since this last returned true. */
export function isSweepDue(cache: Cache): bool {
  const emptied = slabsEmptied(cache);
  const sweptAt = changetype<usize>(cache) + offsetof<Cache>("sweptAt");
  const slabs = atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabs"));
  if (emptied - atomicLoad<u32>(sweptAt) <= slabs >>> 3) return false;
  atomicStore<u32>(sweptAt, emptied);
  return true;
}

/** Counts slabs that became empty. */
@inline
export function slabsEmptied(cache: Cache): u32 {
  return atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("emptied"));
}

/**
 * Whether an empty slab is the only one of a pool's cache: while that is in use it stays, since the next alloc would make it
 * again. Not of an old epoch, nor while faults are ordered: reclaim would find it, and serve the call that is to be refused.
 *
 * Ordering: the slab is on its stack, then the pool's epoch is read; a reshape stores the epoch, then searches the slabs.
 */
@inline
export function isLastSlab(cache: Cache): bool {
  const pool = cache.pool;
  if (!pool || atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabs")) != 1) return false;
  if (MALLOC_ALONE) return true;
  return atomicLoad<u32>(pool + offsetof<Pool>("epoch")) == changetype<u32>(cache) && !changetype<Pool>(pool).faults;
}

/** Whether a cache has so few slabs that a search may visit all whenever one becomes empty. */
@inline
export function hasFewSlabs(cache: Cache): bool {
  return atomicLoad<u32>(changetype<usize>(cache) + offsetof<Cache>("slabs")) <= SWEEP_SLABS;
}

/**
 * Searches a cache from which no thread takes any more: all slabs, if the last search visited all or if they are few.
 * So each empty slab goes soon, and the last one at once.
 */
export function slabSweepOld(cache: Cache): void {
  if (<u32>atomicLoad<u64>(partialOf(cache)) == 0 || hasFewSlabs(cache)) slabSweepAll(cache);
}
