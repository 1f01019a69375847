/**
 * The per-thread cache: a magazine of elements a thread hands out and takes back without asking anybody. popRound and
 * pushRound are what the hit path (allocInline and freeInline in mempool.ts) does when it hits.
 *
 * Owns the magazine, and the change between CACHED and LIVE. Calls slab to fill the magazine and to empty it. It never
 * waits.
 *
 * Invariant (check.ts walks it): the rounds of a thread's magazine are exactly the pool's elements CACHED by that
 * thread, each once, when it is not in the middle of something.
 */
import {
  BACKEND_HOST,
  BACKEND_PAGES,
  BATCH,
  Epoch,
  GATE_SHUT,
  heap,
  Magazine,
  MAGAZINE_BYTES,
  MAGAZINE_GROWS_AT,
  MAGAZINE_SHARE_SHIFT,
  MAX_NR_SHARE_SHIFT,
  MAX_ROUNDS,
  PAGE_SHIFT,
  Pool,
  ROUND,
  SMALL_ROUNDS,
  STATE_CACHED,
  STATE_LIVE,
} from "./layout";
import { atomicLoad, atomicStore, THREADS } from "./atomics";
import { ownAlloc, ownFree, slabRefill, slabReturn } from "./slab";


@inline
export function roundsIn(m: Magazine): u32 {
  return <u32>(m.top - m.first) / ROUND;
}

/** Lays out the magazine of a pool. Its gate was shut before others could see it, and still is. */
export function magazineInit(m: Magazine, pool: Pool, live: u32): void {
  m.live = live;
  m.pool = changetype<usize>(pool);
  magazineOf(m, pool);
}

/**
 * From here on the magazine, which is empty, is of the pool's current epoch; its rounds in the same record.
 *
 * Ordering: the epoch is stored, then looked at again: so who reshapes, and looks whether anybody has an old epoch before
 * using its record anew, sees it, or is seen.
 */
export function magazineOf(m: Magazine, pool: Pool): void {
  const current = changetype<usize>(pool) + offsetof<Pool>("epoch");
  let at: u32;
  do {
    at = atomicLoad<u32>(current);
    atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"), at);
  } while (THREADS && atomicLoad<u32>(current) != at);
  const epoch = changetype<Epoch>(<usize>at);
  m.inverse = epoch.inverse;
  m.shift = epoch.shift;
  m.indexEnd = epoch.indexEnd;
  let full = max<u32>(1, min<u32>(MAX_ROUNDS, MAGAZINE_BYTES / epoch.stride));
  // Where elements are few, what one thread caches the others would miss.
  if (THREADS) full = min<u32>(full, epoch.maxNr >>> MAX_NR_SHARE_SHIFT);
  if (epoch.backend == BACKEND_PAGES || epoch.backend == BACKEND_HOST) full = 0;
  m.fullCapacity = full;
  magazineShrink(m);
}

/** Where the magazine ends: what `limit` is while nothing else asks for the slow way. */
@inline
export function magazineEnd(m: Magazine): usize {
  return m.first + m.capacity * ROUND;
}

/** Hands out the last round of a magazine that has one. `top` is m.top. */
@inline
export function popRound(m: Magazine, top: usize): usize {
  const round = top - ROUND;
  m.top = round;
  m.allocs++;
  // Two loads, not one of 8 bytes: the element must not wait for the state byte's address to be computed.
  store<u8>(load<u32>(round, 4), THREADS ? m.live : STATE_LIVE);
  return load<u32>(round);
}

/** Puts an element into a magazine that has room. `top` is m.top. */
@inline
export function pushRound(m: Magazine, top: usize, element: usize, state: usize): void {
  store<u8>(state, cachedBy(m));
  store<u32>(top, <u32>element);
  store<u32>(top, <u32>state, 4);
  m.top = top + ROUND;
}

/** CACHED, in the hands of a magazine's thread. */
@inline
export function cachedBy(m: Magazine): u32 {
  return THREADS ? m.live ^ (STATE_LIVE | STATE_CACHED) : STATE_CACHED;
}

/**
 * How many rounds go between magazine and slabs at once: few, so that a load that just fits the magazine settles to
 * moving almost none, but enough to share the cost.
 */
@inline
function batch(m: Magazine): u32 {
  return min<u32>(BATCH, (m.capacity + 1) >>> 1);
}

/** A batch from the slabs into an empty magazine, but no more than `most` elements. False if there is none. */
export function refill(m: Magazine, most: u32): bool {
  const epoch = changetype<Epoch>(m.epoch);
  // A host's cells are worth nothing by themselves.
  if (epoch.backend == BACKEND_HOST) return false;
  grow(m);
  const got = slabRefill(epoch, m.top, max<u32>(1, min(batch(m), most)));
  m.top += got * ROUND;
  m.taken += got;
  return got != 0;
}

/** If the magazine is full, a batch of it goes back to the slabs. Asks nobody for memory: a free must not. */
export function makeRoom(m: Magazine): void {
  if (roundsIn(m) == m.capacity) flush(m, batch(m));
}

/** Gives the `count` newest rounds back to the slabs: the slabs they are in are those just looked at. */
export function flush(m: Magazine, count: u32): void {
  const top = m.top;
  const rounds = top - count * ROUND;
  slabReturn(changetype<Epoch>(m.epoch), rounds, top);
  m.top = rounds;
  m.taken -= count;
}

/** A pool with much memory of its own gets a magazine to match. Without memory for it, the small one will do. */
function grow(m: Magazine): void {
  if (m.capacity == m.fullCapacity) return;
  if (atomicLoad<u32>(m.epoch + offsetof<Epoch>("slabPages")) < MAGAZINE_GROWS_AT) return;
  if (m.fullCapacity * ROUND > heap().maxPages << (PAGE_SHIFT - MAGAZINE_SHARE_SHIFT)) return;
  const first = ownAlloc(m.fullCapacity * ROUND);
  if (!first) return;
  // It is empty. The gate is about the old place, so it is shut until settle sets it anew.
  atomicStore<u64>(changetype<usize>(m) + offsetof<Magazine>("floor"), GATE_SHUT);
  m.first = first;
  m.top = first;
  m.capacity = m.fullCapacity;
}

/** Gives back what the magazine grew by. It must be empty. */
export function magazineShrink(m: Magazine): void {
  const own = changetype<usize>(m) + offsetof<Magazine>();
  const grown = m.first;
  m.first = own;
  m.top = own;
  m.capacity = min<u32>(SMALL_ROUNDS, m.fullCapacity);
  // Forgotten first: who dies in between leaks it, and frees nothing twice.
  if (grown && grown != own) ownFree(grown);
}
