/**
 * The mempool: minNr elements set aside in advance, and the order in which alloc and free use them.
 *
 * Owns the Pool, the reserve, and the state RESERVED. Calls cache, slab and pages; bump's arenas only to trim them.
 *
 *   alloc:  magazine -> slabs, pages, growth -> reserve -> reclaim, then slabs again -> 0
 *   free:   reserve, while it is short -> magazine -> slabs
 *
 * Invariants (check.ts walks them), for each pool that is not closed:
 * - currNr + outstanding >= minNr, from create to exit: nothing leaves the reserve but by being handed out, and no free
 *   goes anywhere else while the reserve is short;
 * - the reserve's slots are exactly the pool's RESERVED elements, each once;
 * - taken = cached + reserved + live <= maxNr.
 */
import { arenaTrim } from "./bump";
import { flush, magazineEnd, magazineInit, makeRoom, popRound, pushRound, refill, roundsIn } from "./cache";
import {
  Arena,
  heap,
  Heap,
  heapBase,
  HEAP_SCRATCH,
  MAX_ALIGN,
  MAX_SIZE,
  PAGE_SHIFT,
  Pool,
  ROUND,
  STATE_LIVE,
  STATE_MARK,
  STATE_NEVER,
  STATE_RESERVED,
  TAG_MASK,
} from "./layout";
import { listPush, listRemove } from "./list";
import { entryAt, entryIn, leafAt } from "./pages";
import {
  cacheInit,
  firstElement,
  indexOf,
  ownAlloc,
  ownFree,
  recordAlloc,
  recordFree,
  records,
  slabCreate,
  slabOf,
  slabRetireAll,
  slabRetireUnused,
  slabReturn,
  stateAt,
  stateOf,
  wantsLarge,
} from "./slab";

/* What free returns. Error codes are negative and part of the ABI. */
export const FREED: i32 = 0;
/** The last element of a closed pool came home: the pool is gone. */
export const FREED_LAST: i32 = 1;
export const FOREIGN_FREE: i32 = -1;
export const DOUBLE_FREE: i32 = -2;
export const INTERIOR_FREE: i32 = -3;
export const MISALIGNED_FREE: i32 = -4;
export const INVALID_ADDRESS: i32 = -5;
export const CLOSED: i32 = -6;

/** The reserve's array must not outgrow an i32 of bytes. */
const MAX_MIN_NR: u32 = 1 << 28;

/** A pool with its reserve filled, or null: then nothing has changed. May take long: it fills the reserve. */
export function mempool_create(size: u32, align: u32, minNr: u32, maxNr: u32): Pool {
  const none = changetype<Pool>(0);
  if (size - 1 >= MAX_SIZE || align - 1 >= MAX_ALIGN || align & (align - 1)) return none;
  if (minNr > maxNr || minNr > MAX_MIN_NR) return none;
  const pool = tryCreate(size, align, minNr, maxNr);
  return changetype<usize>(pool) || !reclaim() ? pool : tryCreate(size, align, minNr, maxNr);
}

function tryCreate(size: u32, align: u32, minNr: u32, maxNr: u32): Pool {
  const pool = changetype<Pool>(recordAlloc());
  if (!changetype<usize>(pool)) return pool;
  cacheInit(pool, size, align);
  pool.size = size;
  pool.minNr = minNr;
  pool.maxNr = maxNr;
  listPush(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount++;
  const magazine = recordAlloc();
  if (magazine) magazineInit(pool, magazine);
  if (!magazine || !mempool_prefill(pool, minNr) || (minNr && !(pool.reserve = ownAlloc(minNr << 2)))) {
    mempool_exit(pool);
    return changetype<Pool>(0);
  }
  fillReserve(pool);
  pool.lowestCurrNr = minNr;
  pool.limit = magazineEnd(pool);
  return pool;
}

/** Fills the reserve of a new pool from slabs that have enough. */
function fillReserve(pool: Pool): void {
  while (pool.currNr < pool.minNr) {
    if (!roundsIn(pool)) refill(pool, pool.minNr - pool.currNr);
    // Take a round without counting it as an allocation.
    const round = (pool.top -= ROUND);
    pushReserve(pool, load<u32>(round), load<u32>(round, 4));
  }
}

/** Up to `most` elements into the magazine, as maxNr allows. False if there are none. */
@inline
function backend(pool: Pool, most: u32): bool {
  most = min(most, pool.maxNr - pool.taken);
  return most != 0 && refill(pool, most);
}

function pushReserve(pool: Pool, element: usize, state: usize): void {
  const n = pool.currNr;
  store<u8>(state, STATE_RESERVED);
  store<u32>(pool.reserve + (n << 2), element);
  pool.currNr = n + 1;
}

/** The most recently freed element of the reserve, which must have one. */
function popReserve(pool: Pool): usize {
  const n = pool.currNr - 1;
  pool.currNr = n;
  if (n < pool.lowestCurrNr) pool.lowestCurrNr = n;
  // Until the reserve is full again, every free comes the slow way and fills it.
  pool.limit = 0;
  const element = load<u32>(pool.reserve + (n << 2));
  store<u8>(stateAt(pool, element), STATE_LIVE);
  return element;
}

/** An element, or 0 when backend and reserve are both empty. Its contents are what was left there. Never waits. */
export function mempool_alloc(pool: Pool): usize {
  return allocInline(pool);
}

/** mempool_alloc for guests compiled together with the core: the hit path. */
@inline
export function allocInline(pool: Pool): usize {
  const top = pool.top;
  if (top != pool.magazine) return popRound(pool, top);
  return allocSlow(pool);
}

/** mempool_alloc, zeroed. */
export function mempool_zalloc(pool: Pool): usize {
  return mempool_zero(pool, mempool_alloc(pool));
}

function allocSlow(pool: Pool): usize {
  if (pool.closed) return 0;
  if (backend(pool, -1)) return popRound(pool, pool.top);
  if (pool.currNr) {
    pool.reserveHits++;
    return popReserve(pool);
  }
  if (pool.taken < pool.maxNr && reclaim() && backend(pool, -1)) return popRound(pool, pool.top);
  return <usize>refuse(pool);
}

/** An element of the reserve, never of the backend; 0 when there is none. */
export function mempool_alloc_preallocated(pool: Pool): usize {
  if (!pool.currNr) return <usize>refuse(pool);
  pool.preallocated++;
  return popReserve(pool);
}

/** Zeroes an element just allocated, and returns it; 0 stays 0. */
export function mempool_zero(pool: Pool, element: usize): usize {
  if (element) memory.fill(element, 0, pool.size);
  return element;
}

/** Takes an element back: FREED, FREED_LAST, or an error code, and then nothing has changed. Never waits. */
export function mempool_free(pool: Pool, element: usize): i32 {
  return freeInline(pool, element);
}

/**
 * mempool_free for guests compiled together with the core: the hit path, with every check of a release build. Is the page
 * this pool's, does an element begin there, is it live, has the magazine room: any no leads to the slow path, which looks
 * again. Nested, because engines make a value of every early answer and test it again.
 */
@inline
export function freeInline(pool: Pool, element: usize): i32 {
  const leaf = leafAt(element);
  if (leaf) {
    const entry = entryIn(leaf, element);
    if (load<u32>(entry) == changetype<u32>(pool)) {
      const slab = slabOf(entry);
      const index = indexOf(pool, slab, element);
      if (index < pool.indexEnd) {
        const state = stateOf(slab, index);
        if (load<i8>(state) < 0) {
          const top = pool.top;
          if (top < pool.limit) {
            pushRound(pool, top, element, state);
            return FREED;
          }
        }
      }
    }
  }
  return freeSlow(pool, element);
}

function freeSlow(pool: Pool, element: usize): i32 {
  if (!element) return FREED;
  const error = mempool_free_check(pool, element);
  if (error) return error;
  const state = stateAt(pool, element);
  if (pool.closed) {
    slabReturn(pool, element, state);
    if (pool.taken) return FREED;
    destroy(pool);
    return FREED_LAST;
  }
  if (pool.currNr < pool.minNr) {
    pushReserve(pool, element, state);
    if (pool.currNr == pool.minNr) pool.limit = magazineEnd(pool);
  } else {
    makeRoom(pool);
    pushRound(pool, pool.top, element, state);
  }
  return FREED;
}

/** What free would return for this address: FREED if it may be freed, else why not. */
export function mempool_free_check(pool: Pool, element: usize): i32 {
  const error = verdict(pool, element);
  return error && pool.closed ? CLOSED : error;
}

function verdict(pool: Pool, element: usize): i32 {
  const entry = entryAt(element);
  if (!entry) return INVALID_ADDRESS;
  const owner = load<u32>(entry);
  if (!owner || owner & TAG_MASK || owner == changetype<u32>(records())) return INVALID_ADDRESS;
  if (owner != changetype<u32>(pool)) return FOREIGN_FREE;
  const slab = slabOf(entry);
  // The slab's own bytes, before its elements and after them.
  if (element - firstElement(slab) >= slab.count * pool.stride) return INVALID_ADDRESS;
  if (element & (pool.align - 1)) return MISALIGNED_FREE;
  const index = indexOf(pool, slab, element);
  if (index >= pool.indexEnd) return INTERIOR_FREE;
  const state = load<u8>(stateOf(slab, index));
  if (state & STATE_LIVE) return FREED;
  return state == STATE_NEVER ? INVALID_ADDRESS : DOUBLE_FREE;
}

/**
 * Makes slabs until the next `count` allocations cannot fail, the reserve counted in, as long as nobody else takes memory
 * in between; 0, and nothing has changed, if there is no memory for that.
 */
export function mempool_prefill(pool: Pool, count: u32): bool {
  if (pool.closed || count > pool.maxNr - outstanding(pool)) return refuse(pool);
  let missing = missingFor(pool, count);
  // What no heap of this size can hold must not make it grow.
  if (<u64>missing * pool.stride > (<u64>heap().maxPages) << PAGE_SHIFT) return refuse(pool);
  // One size of slab throughout: slabs are used last made first, and so none stays unused.
  const large = wantsLarge(pool) || missing >= pool.indexEnd;
  let reclaimed = false;
  while (missing) {
    if (!changetype<usize>(slabCreate(pool, large))) {
      slabRetireUnused(pool);
      if (reclaimed || !reclaim()) return refuse(pool);
      reclaimed = true;
    }
    missing = missingFor(pool, count);
  }
  return true;
}

/** How many of `count` elements are neither in slabs nor in magazine nor in reserve. */
@inline
function missingFor(pool: Pool, count: u32): u32 {
  const have = pool.room - outstanding(pool);
  return have < count ? count - have : 0;
}

function refuse(pool: Pool): bool {
  pool.failures++;
  return false;
}

/** Fills an array of `count` words with elements; or none and 0, and then nothing has changed. */
export function mempool_alloc_bulk(pool: Pool, array: usize, count: u32): bool {
  if (!mempool_prefill(pool, count)) return false;
  const end = array + (count << 2);
  for (let at = array; at < end; at += 4) {
    const element = mempool_alloc(pool);
    // Prefilled, so this cannot be 0 unless somebody else was quicker.
    if (!element) {
      while (at > array) mempool_free(pool, load<u32>((at -= 4)));
      return false;
    }
    store<u32>(at, element);
  }
  return true;
}

/**
 * Marks the elements in an array of `count` words, so that one named twice is seen. Returns `count`, or the index of the
 * first that may not be freed, and then none is marked. 0 is skipped.
 */
export function mempool_mark(pool: Pool, array: usize, count: u32): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const element = load<u32>(array + (i << 2));
    if (!element || setMark(pool, element, true)) continue;
    mempool_unmark(pool, array, i);
    return i;
  }
  return count;
}

/** Undoes mempool_mark. */
export function mempool_unmark(pool: Pool, array: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) setMark(pool, load<u32>(array + (i << 2)), false);
}

/** Frees elements that mempool_mark has marked: FREED, or FREED_LAST as mempool_free does. Skips all others. */
export function mempool_free_marked(pool: Pool, array: usize, count: u32): i32 {
  let result = FREED;
  for (let i: u32 = 0; i < count; i++) {
    const element = load<u32>(array + (i << 2));
    if (setMark(pool, element, false)) result = mempool_free(pool, element);
  }
  return result;
}

/** Sets or clears the mark on a live element. False if there was nothing to change, or no live element. */
function setMark(pool: Pool, element: usize, mark: bool): bool {
  if (verdict(pool, element)) return false;
  const state = stateAt(pool, element);
  const byte: u32 = load<u8>(state);
  if (((byte & STATE_MARK) != 0) == mark) return false;
  store<u8>(state, byte ^ STATE_MARK);
  return true;
}

/**
 * Closes the pool: nothing more is handed out, and what is in the reserve and the magazine goes back. Returns how many
 * elements are still out; they stay valid, and the last of them to be freed ends the pool. With 0 it has ended.
 */
export function mempool_exit(pool: Pool): u32 {
  if (!pool.closed) {
    pool.closed = 1;
    pool.limit = 0;
    flush(pool, roundsIn(pool));
    while (pool.currNr) {
      const element = load<u32>(pool.reserve + (--pool.currNr << 2));
      slabReturn(pool, element, stateAt(pool, element));
    }
    slabRetireAll(pool);
    if (pool.magazine) ownFree(pool.magazine);
    if (pool.reserve) ownFree(pool.reserve);
  }
  const out = pool.taken;
  if (!out) destroy(pool);
  return out;
}

function destroy(pool: Pool): void {
  listRemove(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount--;
  recordFree(changetype<usize>(pool));
}

/**
 * Makes memory free that nobody is using: every pool's magazine goes back to its slabs, and so empty slabs to pages, and
 * arenas give back the chunks they keep for later. Costs a look at each pool and arena. True if anything moved.
 */
export function reclaim(): bool {
  let moved = false;
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    const n = roundsIn(pool);
    if (!n) continue;
    flush(pool, n);
    moved = true;
  }
  for (let at = heap().arenas; at; at = changetype<Arena>(at).next) {
    if (arenaTrim(changetype<Arena>(at))) moved = true;
  }
  return moved;
}

/** Writes ten f64 to the scratch area and returns its address; docs/abi.h names them. */
export function mempool_stats(pool: Pool): usize {
  const at = heapBase() + HEAP_SCRATCH;
  store<f64>(at, <f64>pool.currNr, 0);
  store<f64>(at, <f64>outstanding(pool), 8);
  store<f64>(at, <f64>roundsIn(pool), 16);
  store<f64>(at, <f64>pool.lowestCurrNr, 24);
  store<f64>(at, <f64>pool.allocs, 32);
  store<f64>(at, <f64>pool.reserveHits, 40);
  store<f64>(at, <f64>pool.preallocated, 48);
  store<f64>(at, <f64>pool.failures, 56);
  store<f64>(at, <f64>pool.slabs, 64);
  store<f64>(at, <f64>(pool.slabPages << PAGE_SHIFT), 72);
  return at;
}

/** Elements handed out and not yet freed. */
@inline
export function outstanding(pool: Pool): u32 {
  return pool.taken - roundsIn(pool) - pool.currNr;
}
