/**
 * Statistics of a heap, a pool and an arena, for people. Part of the inspector's module: the core does not need them.
 * The numbers may be off by what other threads are doing.
 */
import { beginVisit, endVisit } from "../base/instance";
import { Arena, Epoch, Heap, Magazine, PAGE, PAGE_NUMBERS, PAGE_SHIFT, STATE_LIVE, WORDS } from "../base/layout";
import { arenaUsed } from "../memory/arena";
import { freePages, runFind } from "../memory/runs";
import { nextElement } from "../memory/walk";
import { magazineAt, poolOf, roundsIn, tableLength, takenOfClass } from "../pool/pool";
import { isHeap } from "../threads/life";
import { nextLive } from "../threads/reap";

/** Pages in the longest free run: 20 searches, each O(memory). */
function largestRun(): u32 {
  let largest: u32 = 0;
  for (let bit: u32 = PAGE_NUMBERS >>> 1; bit; bit >>>= 1) {
    if (runFind(largest | bit, 0, WORDS)) largest |= bit;
  }
  return largest;
}

/** Writes seven f64; include/wasm_mempool.h names them. O(memory). */
export function heap_stats(address: usize, at: usize): void {
  if (!isHeap(address)) return;
  beginVisit(address);
  const h = changetype<Heap>(address);
  store<f64>(at, <f64>h.pages, 0);
  store<f64>(at, <f64>h.maxPages, 8);
  store<f64>(at, <f64>freePages(), 16);
  store<f64>(at, <f64>largestRun(), 24);
  store<f64>(at, <f64>h.growCount, 32);
  store<f64>(at, <f64>h.poolCount, 40);
  store<f64>(at, <f64>h.arenaCount, 48);
  endVisit();
}

/** Writes sixteen f64; include/wasm_mempool.h names them. */
export function mempool_stats(m: Magazine, at: usize): void {
  if (!changetype<usize>(m)) return;
  const pool = poolOf(m);
  const epoch = changetype<Epoch>(pool.epoch);
  let cached: u32 = 0;
  let allocs: u64 = 0;
  let reserveHits: u64 = 0;
  let preallocated: u64 = 0;
  let failures: u64 = 0;
  let reclaims: u32 = 0;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const each = changetype<Magazine>(magazineAt(pool, thread));
    if (!changetype<usize>(each)) continue;
    cached += roundsIn(each);
    allocs += each.allocs;
    reserveHits += each.reserveHits;
    preallocated += each.preallocated;
    failures += each.failures;
    reclaims += each.reclaims;
  }
  // Counts the current epoch, and those that still have a slab.
  let epochs: u32 = 0;
  let slabs: u32 = 0;
  let pages: u32 = 0;
  for (let e = pool.epochs; e; e = changetype<Epoch>(e).next) {
    const each = changetype<Epoch>(e);
    if (each == epoch || each.slabs) epochs++;
    slabs += each.slabs;
    pages += each.slabPages;
  }
  const outstanding = takenOfClass(pool) - cached;
  store<f64>(at, <f64>epoch.currNr, 0);
  store<f64>(at, <f64>outstanding, 8);
  store<f64>(at, <f64>cached, 16);
  store<f64>(at, <f64>epoch.lowestCurrNr, 24);
  store<f64>(at, <f64>allocs, 32);
  store<f64>(at, <f64>reserveHits, 40);
  store<f64>(at, <f64>preallocated, 48);
  store<f64>(at, <f64>failures, 56);
  store<f64>(at, <f64>slabs, 64);
  store<f64>(at, <f64>pages * PAGE, 72);
  store<f64>(at, <f64>epoch.minNr, 80);
  store<f64>(at, <f64>epoch.size, 88);
  store<f64>(at, <f64>epochs, 96);
  store<f64>(at, <f64>max<u32>(outstanding, pool.peak), 104);
  store<f64>(at, <f64>reclaims, 112);
  store<f64>(at, <f64>epoch.stride, 120);
}

/** mempool_next_live, for cores without it, and without a handle. `address` is that of the heap. */
export function heap_next_live(address: usize, m: Magazine, after: usize, thread: u32): usize {
  if (!isHeap(address)) return 0;
  beginVisit(address);
  const next = changetype<usize>(m) ? nextLive(m, after, thread) : nextElement(after, STATE_LIVE, STATE_LIVE, 0, false);
  endVisit();
  return next;
}

/** Writes three f64; include/wasm_mempool.h names them. */
export function arena_stats(arena: Arena, at: usize): void {
  if (!changetype<usize>(arena)) return;
  store<f64>(at, <f64>arenaUsed(arena), 0);
  store<f64>(at, <f64>(arena.pages << PAGE_SHIFT), 8);
  store<f64>(at, <f64>arena.chunks, 16);
}
