/**
 * The per-thread cache: a magazine of elements a thread hands out and takes back without asking anybody. The hit path,
 * and the only code that most calls run.
 *
 * Owns the magazine, and the change between CACHED and LIVE. Calls slab to fill the magazine and to empty it. It never
 * waits.
 *
 * Invariants (check.ts walks them):
 * - the magazine's rounds are exactly the pool's CACHED elements, each once;
 * - limit is 0 while the reserve is short or the pool closed, else the magazine's capacity: so one comparison on the hit
 *   path decides between magazine, reserve and slab.
 */
import {
  MAGAZINE_BYTES,
  MAGAZINE_GROWS_AT,
  MAX_ROUNDS,
  Pool,
  ROUND_BITS,
  ROUND_MASK,
  SMALL_ROUNDS,
  STATE_CACHED,
  STATE_LIVE,
} from "./layout";
import { entryAtInline } from "./pages";
import { indexOf, ownAlloc, ownFree, slabOf, slabRefill, slabReturn, stateOf } from "./slab";


@inline
export function roundsIn(pool: Pool): u32 {
  return <u32>(pool.rounds & ROUND_MASK);
}

/** Lays out the magazine of a new pool, in a record. */
export function magazineInit(pool: Pool, record: usize): void {
  pool.magazine = record;
  pool.fullCapacity = max<u32>(1, min<u32>(MAX_ROUNDS, MAGAZINE_BYTES / pool.stride));
  pool.capacity = min<u32>(SMALL_ROUNDS, pool.fullCapacity);
}

/** The hit path of alloc: the top round; 0 if the magazine is empty. */
@inline
export function take(pool: Pool): usize {
  const rounds = pool.rounds;
  const n = <u32>(rounds & ROUND_MASK);
  if (!n) return 0;
  const round = pool.magazine + (n << 3) - 8;
  // One round less, one allocation more.
  pool.rounds = rounds + ((1 << ROUND_BITS) - 1);
  // Two loads, not one of 8 bytes: the element must not wait for the state byte's address to be computed.
  store<u8>(load<u32>(round, 4), STATE_LIVE);
  return load<u32>(round);
}

/**
 * The hit path of free, with every check of a release build: is the page this pool's, does an element begin there, is it
 * live. True if the element is in the magazine now; false says nothing but that the slow path must look.
 */
@inline
export function give(pool: Pool, element: usize): bool {
  const entry = entryAtInline(element);
  if (!entry || load<u32>(entry) != changetype<u32>(pool)) return false;
  const slab = slabOf(entry);
  const index = indexOf(pool, slab, element);
  if (index >= pool.indexEnd) return false;
  const state = stateOf(slab, index);
  if (load<i8>(state) >= 0) return false;
  const rounds = pool.rounds;
  const n = <u32>(rounds & ROUND_MASK);
  if (n >= pool.limit) return false;
  pushRound(pool, rounds, element, state);
  return true;
}

/** Puts an element into a magazine that has room. */
@inline
export function pushRound(pool: Pool, rounds: u64, element: usize, state: usize): void {
  store<u8>(state, STATE_CACHED);
  const round = pool.magazine + ((<usize>(rounds & ROUND_MASK)) << 3);
  store<u32>(round, <u32>element);
  store<u32>(round, <u32>state, 4);
  pool.rounds = rounds + 1;
}

/** Half a magazine from the slabs, but no more than `most` elements. False if there is none. */
export function refill(pool: Pool, most: u32): bool {
  grow(pool);
  const got = slabRefill(pool, pool.magazine, min((pool.capacity + 1) >>> 1, most));
  pool.rounds += got;
  return got != 0;
}

/** The older half of a full magazine goes back to the slabs. Asks nobody for memory: a free must not. */
export function makeRoom(pool: Pool): void {
  const n = roundsIn(pool);
  if (n == pool.capacity) flush(pool, (n + 1) >>> 1);
}

/** Gives the `count` oldest rounds back to the slabs. */
export function flush(pool: Pool, count: u32): void {
  const magazine = pool.magazine;
  const n = roundsIn(pool);
  for (let i: u32 = 0; i < count; i++) {
    const round = load<u64>(magazine + (i << 3));
    slabReturn(pool, <usize>(<u32>round), <usize>(round >> 32));
  }
  memory.copy(magazine, magazine + (count << 3), (n - count) << 3);
  pool.rounds -= count;
}

/** A pool with much memory of its own gets a magazine to match. Without memory for it, the small one will do. */
function grow(pool: Pool): void {
  if (pool.capacity == pool.fullCapacity || pool.slabPages < MAGAZINE_GROWS_AT) return;
  const magazine = ownAlloc(pool.fullCapacity << 3);
  if (!magazine) return;
  memory.copy(magazine, pool.magazine, roundsIn(pool) << 3);
  ownFree(pool.magazine);
  pool.magazine = magazine;
  pool.capacity = pool.fullCapacity;
  if (pool.limit) pool.limit = pool.capacity;
}
