/**
 * The checker: walks everything in memory and reports what is inconsistent. It trusts the state bytes, and that the
 * page map tiles memory with runs, and holds every list, count and magazine against them. Each function below checks
 * invariants that stand at the heads of other files:
 * - heap_check, lookAtEpochs: the lists of pools, epochs and arenas (base/list.ts), and the numbers of a cache
 *   (geometry.ts);
 * - checkMap, checkTables: pages, free bits and tables (memory/map.ts, runs.ts, growth.ts);
 * - checkSlab, checkCache, checkStack: slabs, their elements, and the counts of a cache (memory/slab.ts, elements.ts);
 * - checkPool: minNr, waiters, and the counts over all threads (pool);
 * - checkReserve, checkMagazine: slots, rounds and the gate (pool/reserve.ts, magazine.ts, gate.ts);
 * - checkArena: chunks (memory/arena.ts).
 *
 * It is a module of its own, over the memory of the heap it checks, so that the core stays small. Nothing may run
 * meanwhile. Costs O(memory). Changes nothing but the `seen` fields, and state bytes, which it restores.
 */
import { DEBUG } from "../base/atomics";
import { beginVisit, endVisit, heap, heapBase } from "../base/instance";
import {
  alignUp,
  Arena,
  ArenaChunk,
  BACKEND_EXTERNAL,
  BITS_ROOT_ENTRIES,
  Cache,
  ENDED,
  ENTRY_INSIDE,
  Epoch,
  HEAP_BITS_ROOT,
  HEAP_ROOT,
  LEAF_ENTRIES,
  LEAF_PAGES,
  Magazine,
  NOBODY,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  Pool,
  ROOT_ENTRIES,
  SCRATCH_WORDS,
  Slab,
  SLAB_GROUPS,
  SLAB_KEPT,
  SLAB_OUT_SHIFT,
  STATE_CACHED,
  STATE_FREE,
  STATE_LIVE,
  STATE_NEVER,
  STATE_QUARANTINED,
  STATE_RESERVED,
  TAG_RAW,
  Waiter,
  WAITERS,
  WAITING,
  WOKEN_CLOSED,
} from "../base/layout";
import { countIn, groupShift, indexOf, records, slabIn, slabPage, slabPages, stateOf } from "../memory/geometry";
import { entryAt, entryOfPage, entryPages, entryTag } from "../memory/map";
import { isPageFree } from "../memory/runs";
import { magazineEnd } from "../pool/magazine";
import { magazineAt, roundsIn, tableLength, takenOfClass } from "../pool/pool";
import { slotAt, slotCount } from "../pool/reserve";
import { isHeap } from "../threads/life";

/* A problem is four words: its code, and up to three values, named here. The bindings word problems in this order. */
const BAD_ENTRY: u32 = 0; //        page, entry
const BAD_BIT: u32 = 1; //          page, bit, entry
const BAD_PAGES: u32 = 2; //        pages said, pages found
const BAD_SLAB: u32 = 3; //         slab, cache
const BAD_STATE: u32 = 4; //        slab, index, state
const BAD_OUT: u32 = 5; //          slab, out said, out found
const BAD_GROUP: u32 = 6; //        slab, index
const BAD_LISTING: u32 = 7; //      slab
const BAD_SLABS: u32 = 8; //        cache, slabs said, slabs found
const BAD_PARTIAL: u32 = 9; //      cache, slabs listed, slabs with something to give
const BAD_TAKEN: u32 = 10; //       pool, taken said, taken found
const BAD_ROUND: u32 = 11; //       magazine, round, element
const BAD_CACHED: u32 = 12; //      pool, rounds, CACHED elements
const BAD_SLOT: u32 = 13; //        epoch, slot, element
const BAD_RESERVED: u32 = 14; //    epoch, currNr, RESERVED elements
const BROKEN_PROMISE: u32 = 15; //  pool, currNr + outstanding, minNr
const BAD_GATE: u32 = 16; //        magazine, allocLimit, freeLimit
const OVER_MAX: u32 = 17; //        cache, capacity, maxNr
const BAD_POOLS: u32 = 18; //       pools said, pools found
const BAD_ARENA: u32 = 19; //       arena, position, end
const BAD_CAPACITY: u32 = 20; //    cache, capacity said, capacity found
const BAD_LAYOUT: u32 = 21; //      cache, stride
const BAD_LISTS: u32 = 22; //       pool, epoch or arena
const BAD_QUEUE: u32 = 23; //       pool, currNr
const BAD_MIN_NR: u32 = 24; //      epoch or pool, currNr, minNr

/** Where problems are written. */
let report: usize = 0;
let problems: u32 = 0;

function problem(code: u32, a: u32 = 0, b: u32 = 0, c: u32 = 0): void {
  if (problems == SCRATCH_WORDS / 4) return;
  const at = report + (problems++ << 4);
  store<u32>(at, code);
  store<u32>(at, a, 4);
  store<u32>(at, b, 8);
  store<u32>(at, c, 12);
}

/**
 * Checks the heap at `address`. Writes at most 64 problems to the SCRATCH_WORDS words at `words`; returns how many. -1:
 * no heap is at `address`.
 */
export function heap_check(address: usize, words: usize): u32 {
  if (!isHeap(address)) return -1;
  report = words;
  problems = 0;
  beginVisit(address);
  checkAll();
  endVisit();
  return problems;
}

function checkAll(): void {
  const pools = heap().poolCount;
  let found: u32 = 0;
  if (records().stride && !layoutIsSound(records())) problem(BAD_LAYOUT, changetype<u32>(records()), records().stride);
  else clearSeen(records());
  for (let at = heap().pools; at && found <= pools && !problems; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    if (!isRecord(at)) problem(BAD_LISTS, <u32>at);
    else lookAtEpochs(pool);
    found++;
  }
  if (found != pools && !problems) problem(BAD_POOLS, pools, found);
  // The functions below walk these lists, and compute addresses by these numbers.
  if (problems) return;
  checkMap();
  checkCache(records());
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) checkPool(changetype<Pool>(at));
  found = 0;
  for (let at = heap().arenas; at && found <= heap().arenaCount; at = changetype<Arena>(at).next) {
    if (!isRecord(at)) {
      problem(BAD_LISTS, <u32>at);
      break;
    }
    if (changetype<Arena>(at).thread != NOBODY) checkArena(changetype<Arena>(at));
    found++;
  }
  if (found != heap().arenaCount) problem(BAD_LISTS, <u32>heap().arenas);
}

/** A pool's epochs: whether the list can be walked, and their numbers used. */
function lookAtEpochs(pool: Pool): void {
  let isCurrent = false;
  let n: u32 = 0;
  for (let at = pool.epochs; at && !problems; at = changetype<Epoch>(at).next) {
    const epoch = changetype<Epoch>(at);
    if (!isRecord(at) || epoch.pool != changetype<usize>(pool) || ++n > PAGE_NUMBERS) problem(BAD_LISTS, <u32>at);
    // A reshape that failed may have left the record of an ended epoch half reused.
    else if (epoch.capacity != ENDED && (!layoutIsSound(epoch) || epoch.stride != alignUp(bytesOf(epoch), epoch.align)))
      problem(BAD_LAYOUT, <u32>at, epoch.stride);
    else clearSeen(epoch);
    if (at == pool.epoch) isCurrent = true;
  }
  if (!isCurrent && !problems) problem(BAD_LISTS, changetype<u32>(pool));
}

/** Bytes from the beginning of an element to the end of what belongs to it. */
@inline
function bytesOf(epoch: Epoch): u32 {
  return DEBUG ? epoch.size + epoch.guard : epoch.size;
}

function clearSeen(cache: Cache): void {
  cache.seenSlabs = 0;
  cache.seenCapacity = 0;
  cache.seenPartial = 0;
  cache.seenCached = 0;
  cache.seenReserved = 0;
  cache.seenLive = 0;
}

/** Whether the tables of a root, of `size` pages each, lie in raw runs. */
function checkTables(root: usize, count: u32, size: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const table = load<u32>(heapBase() + root + (i << 2)) >>> PAGE_SHIFT;
    const entry = table ? load<u64>(entryOfPage(table)) : 0;
    // A thread may have died before it marked the table that it made.
    const marked = entryTag(entry) == TAG_RAW && entryPages(entry) >= size;
    if (table && !marked && (entry || !heap().reaped)) problem(BAD_ENTRY, table, <u32>entry);
  }
}

/** Every page that has an entry in the page map, run by run. */
function checkMap(): void {
  checkTables(HEAP_BITS_ROOT, BITS_ROOT_ENTRIES, 1);
  checkTables(HEAP_ROOT, ROOT_ENTRIES, LEAF_PAGES);
  let pages: u32 = 0;
  let page: u32 = 0;
  while (page < PAGE_NUMBERS) {
    const at = entryOfPage(page);
    if (!at) {
      page = (page | (LEAF_ENTRIES - 1)) + 1;
      continue;
    }
    const entry = load<u64>(at);
    const tag = entryTag(entry);
    const bit = u32(isPageFree(page));
    let run: u32 = 1;
    if (tag == TAG_RAW) {
      const isBlock = entry >> 32 != 0;
      const looked = isBlock ? entryPages(entry) : min<u32>(entryPages(entry), 2);
      for (let i: u32 = 1; i < looked; i++) {
        const next = load<u64>(entryOfPage(page + i));
        if (next != (isBlock ? ENTRY_INSIDE : entry - 16)) problem(BAD_ENTRY, page + i, <u32>next);
      }
    } else if (tag || (<u32>entry == 0) != (entry == 0)) {
      problem(BAD_ENTRY, page, <u32>entry);
    } else if (entry) {
      run = checkSlab(changetype<Cache>(<u32>entry), slabIn(at), page);
    }
    if (!run) return;
    if (bit && entry) problem(BAD_BIT, page, bit, <u32>entry);
    if (bit || entry) pages += run;
    page += run;
  }
  if (pages != heap().pages) problem(BAD_PAGES, heap().pages, pages);
}

/** One slab, whose run begins at `page`; returns its pages, or 0 if its header is damaged. */
function checkSlab(cache: Cache, slab: Slab, page: u32): u32 {
  const at = changetype<u32>(slab);
  const pages = slabPages(slab);
  if (slabPage(slab) != page || !pages || slab.count != countIn(cache, pages) || slab.end > slab.count) {
    problem(BAD_SLAB, at, changetype<u32>(cache));
    return 0;
  }
  const entry = load<u64>(entryOfPage(page));
  for (let i: u32 = 1; i < pages; i++) {
    if (load<u64>(entryOfPage(page + i)) != entry) problem(BAD_ENTRY, page + i, <u32>load<u64>(entryOfPage(page + i)));
  }
  const summary = slab.summary;
  const shift = groupShift(slab.count);
  let out: u32 = 0;
  let free: u32 = 0;
  for (let i: u32 = 0; i < slab.count; i++) {
    const state = load<u8>(stateOf(slab, i));
    if (i >= slab.carved ? state != STATE_NEVER : state == STATE_NEVER) problem(BAD_STATE, at, i, state);
    else if (state == STATE_FREE) {
      free++;
      if (!(summary & ((<u64>1) << (i >>> shift)))) problem(BAD_GROUP, at, i);
    } else if (state != STATE_NEVER) {
      out++;
      if (state == STATE_RESERVED) cache.seenReserved++;
      else if (state & STATE_LIVE) cache.seenLive++;
      else if (state & STATE_CACHED) cache.seenCached++;
      else if (!DEBUG || state != STATE_QUARANTINED) problem(BAD_STATE, at, i, state);
    }
  }
  if (out != <u32>(summary >> SLAB_OUT_SHIFT)) problem(BAD_OUT, at, <u32>(summary >> SLAB_OUT_SHIFT), out);
  if ((free || slab.carved < slab.end) && !(summary & SLAB_KEPT)) problem(BAD_LISTING, at);
  if (summary & SLAB_KEPT) cache.seenPartial++;
  else if (summary & SLAB_GROUPS) problem(BAD_LISTING, at);
  cache.seenSlabs++;
  cache.seenCapacity += slab.end;
  return pages;
}

/** Whether a cache's numbers, from which addresses are computed, follow from each other. */
function layoutIsSound(cache: Cache): bool {
  const stride = cache.stride;
  const align = cache.align;
  if (!stride || !align || align & (align - 1) || stride & (align - 1) || cache.shift != ctz<u32>(stride)) return false;
  if ((stride >>> cache.shift) * cache.inverse != 1) return false;
  return cache.smallPages != 0 && cache.indexEnd == countIn(cache, cache.largePages);
}

/** Whether a record in use is at `address`. */
function isRecord(address: usize): bool {
  const entry = entryAt(address);
  if (!entry || load<u32>(entry) != changetype<u32>(records())) return false;
  const slab = slabIn(entry);
  const index = indexOf(records(), slab, address);
  return index < slab.count && load<u8>(stateOf(slab, index)) >= <u8>STATE_LIVE;
}

function checkCache(cache: Cache): void {
  const at = changetype<u32>(cache);
  if (cache.slabs != cache.seenSlabs) problem(BAD_SLABS, at, cache.slabs, cache.seenSlabs);
  const listed = checkStack(cache, <usize>(<u32>cache.partial)) + checkStack(cache, <usize>(<u32>cache.swept));
  if (listed != cache.seenPartial) problem(BAD_PARTIAL, at, listed, cache.seenPartial);
  const capacity: u32 = cache.capacity == ENDED ? 0 : cache.capacity;
  if (capacity != cache.seenCapacity) problem(BAD_CAPACITY, at, capacity, cache.seenCapacity);
  if (capacity > cache.maxNr) problem(OVER_MAX, at, capacity, cache.maxNr);
}

/** One stack of a cache; returns its slabs. */
function checkStack(cache: Cache, slab: usize): u32 {
  let listed: u32 = 0;
  for (; slab && listed <= cache.seenPartial; slab = changetype<Slab>(slab).next) {
    const entry = entryAt(slab);
    if (!entry || changetype<usize>(slabIn(entry)) != slab || load<u32>(entry) != changetype<u32>(cache)) {
      problem(BAD_LISTING, <u32>slab);
      break;
    }
    listed++;
  }
  return listed;
}

/** The address of an element's state byte; 0 if the cache has no element there. */
function ownState(cache: Cache, element: usize): usize {
  const entry = entryAt(element);
  if (!entry || load<u32>(entry) != changetype<u32>(cache)) return 0;
  const index = indexOf(cache, slabIn(entry), element);
  return index < slabIn(entry).count ? stateOf(slabIn(entry), index) : 0;
}

function checkPool(pool: Pool): void {
  const at = changetype<u32>(pool);
  let cached: u32 = 0;
  let live: u32 = 0;
  for (let e = pool.epochs; e; e = changetype<Epoch>(e).next) {
    const epoch = changetype<Epoch>(e);
    checkCache(epoch);
    checkReserve(epoch);
    if (e != pool.epoch && epoch.minNr) problem(BAD_MIN_NR, <u32>e, epoch.currNr, epoch.minNr);
    cached += epoch.seenCached;
    live += epoch.seenLive;
  }
  let rounds: u32 = 0;
  let handedOver: u32 = 0;
  let waiting = false;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = changetype<Magazine>(magazineAt(pool, thread));
    if (!changetype<usize>(m)) continue;
    rounds += checkMagazine(pool, m, thread);
    if (!m.waiters) continue;
    const end = load<u32>(m.waiters, offsetof<Waiter>("end"));
    for (let i: u32 = 0; i < WAITERS; i++) {
      const waiter = m.waiters + i * offsetof<Waiter>();
      const value = load<u32>(waiter);
      if (value && waiter >= end) problem(BAD_QUEUE, at, changetype<Epoch>(pool.epoch).currNr);
      if (value == WAITING) waiting = true;
      else if (value > WOKEN_CLOSED) handedOver++;
    }
  }
  // An element handed over to a waiter stays CACHED, by the thread that handed it over, until the waiter fetches it.
  if (rounds + handedOver != cached) problem(BAD_CACHED, at, rounds + handedOver, cached);
  if (takenOfClass(pool) != cached + live) problem(BAD_TAKEN, at, takenOfClass(pool), cached + live);
  const epoch = changetype<Epoch>(pool.epoch);
  const currNr = epoch.currNr;
  if (pool.closed || !pool.initialised) return;
  if (currNr + epoch.seenLive + handedOver < epoch.minNr && !epoch.unfilled && epoch.backend != BACKEND_EXTERNAL) {
    problem(BROKEN_PROMISE, at, currNr + epoch.seenLive + handedOver, epoch.minNr);
  }
  if (waiting && currNr) problem(BAD_QUEUE, at, currNr);
  if (currNr < epoch.minNr && !pool.short) problem(BAD_MIN_NR, at, currNr, epoch.minNr);
}

function checkReserve(epoch: Epoch): void {
  const at = changetype<u32>(epoch);
  const slots = slotCount(epoch);
  let currNr: u32 = 0;
  for (let i: u32 = 0; i < slots; i++) {
    const element = load<u32>(slotAt(epoch, i));
    if (!element) continue;
    currNr++;
    const state = ownState(epoch, element);
    if (!state || load<u8>(state) != STATE_RESERVED) problem(BAD_SLOT, at, i, element);
    else store<u8>(state, STATE_NEVER);
  }
  for (let i: u32 = 0; i < slots; i++) restore(epoch, load<u32>(slotAt(epoch, i)), STATE_RESERVED);
  if (currNr != epoch.seenReserved || currNr != epoch.currNr) problem(BAD_RESERVED, at, currNr, epoch.seenReserved);
  if (currNr > epoch.minNr && epoch.backend != BACKEND_EXTERNAL) problem(BAD_MIN_NR, at, currNr, epoch.minNr);
}

/** One thread's magazine; returns the number of its rounds. */
function checkMagazine(pool: Pool, m: Magazine, thread: u32): u32 {
  const at = changetype<u32>(m);
  const cached = STATE_CACHED | thread;
  const rounds = roundsIn(m);
  const epoch = changetype<Epoch>(m.epoch);
  for (let i: u32 = 0; i < rounds; i++) {
    const round = load<u64>(m.first + (i << 3));
    const state = ownState(epoch, <usize>(<u32>round));
    if (!state || state != <usize>(round >> 32) || load<u8>(state) != cached) problem(BAD_ROUND, at, i, <u32>round);
    else store<u8>(state, STATE_NEVER);
  }
  for (let i: u32 = 0; i < rounds; i++) restore(epoch, <usize>load<u32>(m.first + (i << 3)), cached);
  // A shut gate is never wrong: its thread opens it at its next call. An open one must be right.
  const open = m.allocLimit != -1;
  const acceptsFrees = !pool.closed && !pool.short;
  if (
    rounds > max<u32>(1, m.capacity) ||
    (open &&
      (m.allocLimit != m.first ||
        pool.closed ||
        m.epoch != pool.epoch ||
        (m.freeLimit && (!acceptsFrees || m.freeLimit != magazineEnd(m)))))
  ) {
    problem(BAD_GATE, at, <u32>m.allocLimit, <u32>m.freeLimit);
  }
  return rounds;
}

/** While a list is walked, its elements are NEVER, so that one listed twice is found. This restores their state. */
function restore(cache: Cache, element: usize, state: u32): void {
  const at = ownState(cache, element);
  if (at && load<u8>(at) == STATE_NEVER) store<u8>(at, state);
}

function checkArena(arena: Arena): void {
  let chunks: u32 = 0;
  let current = false;
  for (let at = arena.first; at && chunks <= arena.chunks; at = changetype<ArenaChunk>(at).next) {
    const entry = load<u64>(entryAt(at));
    if (entryTag(entry) != TAG_RAW || entryPages(entry) != changetype<ArenaChunk>(at).pages) chunks = arena.chunks;
    if (at == arena.current) {
      current = arena.position <= arena.end && arena.end == at + (changetype<ArenaChunk>(at).pages << PAGE_SHIFT);
    }
    chunks++;
  }
  if (chunks != arena.chunks || !current) {
    problem(BAD_ARENA, changetype<u32>(arena), <u32>arena.position, <u32>arena.end);
  }
}
