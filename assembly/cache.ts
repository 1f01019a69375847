/**
 * The per-thread cache: a magazine of elements a thread hands out and takes back without asking anybody. popRound and
 * pushRound are what the hit path (allocInline and freeInline in mempool.ts) does when it hits.
 *
 * Owns the magazine, and the change between CACHED and LIVE. Calls slab to fill the magazine and to empty it. It never
 * waits.
 *
 * Invariants (check.ts walks them):
 * - the magazine's rounds are exactly the pool's CACHED elements, each once;
 * - limit is 0 while the reserve is short or the pool closed, else the magazine's end: so one comparison on the hit
 *   path decides between magazine, reserve and slab.
 */
import {
  BATCH,
  heap,
  MAGAZINE_BYTES,
  MAGAZINE_GROWS_AT,
  MAGAZINE_SHARE_SHIFT,
  MAX_ROUNDS,
  PAGE_SHIFT,
  Pool,
  ROUND,
  SMALL_ROUNDS,
  STATE_CACHED,
  STATE_LIVE,
} from "./layout";
import { ownAlloc, ownFree, slabRefill, slabReturn } from "./slab";


@inline
export function roundsIn(pool: Pool): u32 {
  return <u32>(pool.top - pool.magazine) / ROUND;
}

/** Lays out the magazine of a new pool, in a record. */
export function magazineInit(pool: Pool, record: usize): void {
  pool.magazine = record;
  pool.top = record;
  pool.fullCapacity = max<u32>(1, min<u32>(MAX_ROUNDS, MAGAZINE_BYTES / pool.stride));
  pool.capacity = min<u32>(SMALL_ROUNDS, pool.fullCapacity);
}

/** Where the magazine ends: what `limit` is while nothing else asks for the slow way. */
@inline
export function magazineEnd(pool: Pool): usize {
  return pool.magazine + pool.capacity * ROUND;
}

/** Hands out the last round of a magazine that has one. `top` is pool.top. */
@inline
export function popRound(pool: Pool, top: usize): usize {
  const round = top - ROUND;
  pool.top = round;
  pool.allocs++;
  // Two loads, not one of 8 bytes: the element must not wait for the state byte's address to be computed.
  store<u8>(load<u32>(round, 4), STATE_LIVE);
  return load<u32>(round);
}

/** Puts an element into a magazine that has room. `top` is pool.top. */
@inline
export function pushRound(pool: Pool, top: usize, element: usize, state: usize): void {
  store<u8>(state, STATE_CACHED);
  store<u32>(top, <u32>element);
  store<u32>(top, <u32>state, 4);
  pool.top = top + ROUND;
}

/**
 * How many rounds go between magazine and slabs at once: few, so that a load that just fits the magazine settles to
 * moving almost none, but enough to share the cost.
 */
@inline
function batch(pool: Pool): u32 {
  return min<u32>(BATCH, (pool.capacity + 1) >>> 1);
}

/** A batch from the slabs, but no more than `most` elements. False if there is none. */
export function refill(pool: Pool, most: u32): bool {
  grow(pool);
  const got = slabRefill(pool, pool.top, min(batch(pool), most));
  pool.top += got * ROUND;
  return got != 0;
}

/** If the magazine is full, a batch of it goes back to the slabs. Asks nobody for memory: a free must not. */
export function makeRoom(pool: Pool): void {
  if (roundsIn(pool) == pool.capacity) flush(pool, batch(pool));
}

/** Gives the `count` newest rounds back to the slabs: the slabs they are in are those just looked at. */
export function flush(pool: Pool, count: u32): void {
  let top = pool.top;
  for (; count; count--) {
    top -= ROUND;
    slabReturn(pool, load<u32>(top), load<u32>(top, 4));
  }
  pool.top = top;
}

/** A pool with much memory of its own gets a magazine to match. Without memory for it, the small one will do. */
function grow(pool: Pool): void {
  if (pool.capacity == pool.fullCapacity || pool.slabPages < MAGAZINE_GROWS_AT) return;
  if (pool.fullCapacity * ROUND > heap().maxPages << (PAGE_SHIFT - MAGAZINE_SHARE_SHIFT)) return;
  const magazine = ownAlloc(pool.fullCapacity * ROUND);
  if (!magazine) return;
  const bytes = pool.top - pool.magazine;
  memory.copy(magazine, pool.magazine, bytes);
  ownFree(pool.magazine);
  pool.magazine = magazine;
  pool.top = magazine + bytes;
  pool.capacity = pool.fullCapacity;
  if (pool.limit) pool.limit = magazineEnd(pool);
}
