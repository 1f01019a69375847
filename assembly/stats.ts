/**
 * Numbers for people: a look at a heap, a pool, an arena. Part of the module that check.ts is in: the core does not need
 * them. Each writes f64 to `at`, and may be off by what other threads are doing just now.
 */
import { arenaUsed } from "./bump";
import { roundsIn } from "./cache";
import { Arena, Epoch, Heap, heap, Magazine, PAGE, PAGE_NUMBERS, PAGE_SHIFT, serveHeap } from "./layout";
import { magazineAt, places, poolOf, taken } from "./mempool";
import { freePages, runFind } from "./pages";

/** Pages in the longest free run. O(memory). */
function largestRun(): u32 {
  let largest: u32 = 0;
  for (let bit: u32 = PAGE_NUMBERS >>> 1; bit; bit >>>= 1) {
    if (runFind(largest | bit, 0)) largest |= bit;
  }
  return largest;
}

/** Bytes that are free, or still to be had. A look at the bits of free pages. */
export function heap_left(address: usize): f64 {
  serveHeap(address, 0);
  return <f64>(freePages() + heap().maxPages - heap().pages) * PAGE;
}

/** Writes seven f64; docs/abi.h names them. O(memory). */
export function heap_stats(address: usize, at: usize): void {
  serveHeap(address, 0);
  const h = changetype<Heap>(address);
  store<f64>(at, <f64>h.pages, 0);
  store<f64>(at, <f64>h.maxPages, 8);
  store<f64>(at, <f64>freePages(), 16);
  store<f64>(at, <f64>largestRun(), 24);
  store<f64>(at, <f64>h.growCount, 32);
  store<f64>(at, <f64>h.poolCount, 40);
  store<f64>(at, <f64>h.arenaCount, 48);
}

/** Writes sixteen f64; docs/abi.h names them. */
export function mempool_stats(m: Magazine, at: usize): void {
  const pool = poolOf(m);
  const epoch = changetype<Epoch>(pool.epoch);
  let cached: u32 = 0;
  let allocs: u64 = 0;
  let reserveHits: u64 = 0;
  let preallocated: u64 = 0;
  let failures: u64 = 0;
  let reclaims: u32 = 0;
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const each = changetype<Magazine>(magazineAt(pool, thread));
    if (!changetype<usize>(each)) continue;
    cached += roundsIn(each);
    allocs += each.allocs;
    reserveHits += each.reserveHits;
    preallocated += each.preallocated;
    failures += each.failures;
    reclaims += each.reclaims;
  }
  // Those that have a slab; the current one has by right.
  let epochs: u32 = 0;
  let slabs: u32 = 0;
  let pages: u32 = 0;
  for (let e = pool.epochs; e; e = changetype<Epoch>(e).next) {
    const each = changetype<Epoch>(e);
    if (each == epoch || each.slabs) epochs++;
    slabs += each.slabs;
    pages += each.slabPages;
  }
  const out = taken(pool) - cached;
  store<f64>(at, <f64>epoch.currNr, 0);
  store<f64>(at, <f64>out, 8);
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
  store<f64>(at, <f64>max<u32>(out, pool.peak), 104);
  store<f64>(at, <f64>reclaims, 112);
  store<f64>(at, <f64>epoch.stride, 120);
}

/** The fewest elements in the reserve since the last such look. */
export function mempool_dip(m: Magazine): u32 {
  const epoch = changetype<Epoch>(poolOf(m).epoch);
  const dip = epoch.dip;
  epoch.dip = epoch.currNr;
  return dip;
}

/** Writes three f64; docs/abi.h names them. */
export function arena_stats(arena: Arena, at: usize): void {
  store<f64>(at, <f64>arenaUsed(arena), 0);
  store<f64>(at, <f64>(arena.pages << PAGE_SHIFT), 8);
  store<f64>(at, <f64>arena.chunks, 16);
}
