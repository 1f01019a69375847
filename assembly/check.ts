/**
 * The checker: walks everything in memory and says what is inconsistent. It trusts the page map's tiling and the state
 * bytes, and holds every list, count and magazine against them.
 *
 * It is a module of its own, over the memory of the heap it checks, so that the core stays small. A problem is four words
 * in the heap's scratch area: its code, and up to three values for the message, which the host words. Costs time in
 * proportion to the heap's memory. Changes nothing but the `seen` fields, and marks it takes back.
 */
import { magazineEnd, roundsIn } from "./cache";
import {
  alignUp,
  Arena,
  ArenaChunk,
  BIN_ROW_SHIFT,
  BIN_ROWS,
  BINS_PER_ROW,
  Cache,
  heap,
  heapBase,
  HEAP_SCRATCH,
  LEAF_ENTRIES,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  Pool,
  SCRATCH_WORDS,
  serveHeap,
  Slab,
  STATE_CACHED,
  STATE_FREE,
  STATE_LIVE,
  STATE_NEVER,
  STATE_RESERVED,
  TAG_FREE,
  TAG_FREE_END,
  TAG_RAW,
} from "./layout";
import { outstanding } from "./mempool";
import { binHead, binOf, entryAt, entryNext, entryOf, entryPages, entryPrev, entryTag, rowBins } from "./pages";
import { countIn, indexOf, records, slabOf, slabPage, slabPages, stateOf } from "./slab";

/* Problems, and what the three values are. Worded in src/heap.ts, in this order. */
const BAD_ENTRY: u32 = 0; //        page, entry
const BAD_END: u32 = 1; //          page, pages
const NOT_JOINED: u32 = 2; //       page
const BAD_BIN: u32 = 3; //          bin, runs listed, runs found
const BAD_LINK: u32 = 4; //         bin, page
const BAD_PAGES: u32 = 5; //        pages said, pages found
const BAD_FREE_PAGES: u32 = 6; //   pages said, pages found
const BAD_SLAB: u32 = 7; //         slab, owner
const BAD_STATE: u32 = 8; //        slab, index, state
const BAD_FREE: u32 = 9; //         slab, free said, free found
const BAD_HINT: u32 = 10; //        slab, hint, index
const BAD_LISTING: u32 = 11; //     slab
const EMPTY_SLAB: u32 = 12; //      slab
const BAD_SLABS: u32 = 13; //       cache, slabs said, slabs found
const BAD_PARTIAL: u32 = 14; //     cache, slabs listed, slabs with something to give
const BAD_TAKEN: u32 = 15; //       cache, taken said, taken found
const BAD_ROUND: u32 = 16; //       pool, round, element
const BAD_CACHED: u32 = 17; //      pool, rounds, CACHED elements
const BAD_SLOT: u32 = 18; //        pool, slot, element
const BAD_RESERVED: u32 = 19; //    pool, currNr, RESERVED elements
const BROKEN_PROMISE: u32 = 20; //  pool, currNr + outstanding, minNr
const BAD_LIMIT: u32 = 21; //       pool, limit
const OVER_MAX: u32 = 22; //        pool, taken, maxNr
const BAD_POOLS: u32 = 23; //       pools said, pools found
const BAD_ARENA: u32 = 24; //       arena, position, end
const BAD_ROOM: u32 = 25; //        cache, room said, room found
const BAD_LAYOUT: u32 = 26; //      cache, stride
const BAD_LISTS: u32 = 27; //       address in the list of pools or arenas

let problems: u32 = 0;

function problem(code: u32, a: u32 = 0, b: u32 = 0, c: u32 = 0): void {
  if (problems == SCRATCH_WORDS / 4) return;
  const at = heapBase() + HEAP_SCRATCH + (problems++ << 4);
  store<u32>(at, code);
  store<u32>(at, a, 4);
  store<u32>(at, b, 8);
  store<u32>(at, c, 12);
}

/** Checks the heap at `address`; returns how many problems are in its scratch area, at most 64. */
export function heap_check(address: usize): u32 {
  serveHeap(address);
  problems = 0;
  const pools = heap().poolCount;
  let found: u32 = 0;
  if (records().stride && !layoutIsSound(records())) problem(BAD_LAYOUT, changetype<u32>(records()), records().stride);
  else clearSeen(records());
  for (let at = heap().pools; at && found <= pools && !problems; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    if (!isRecord(at)) problem(BAD_LISTS, <u32>at);
    else if (!layoutIsSound(pool) || pool.stride != alignUp(pool.size, pool.align))
      problem(BAD_LAYOUT, <u32>at, pool.stride);
    else clearSeen(pool);
    found++;
  }
  if (found != pools && !problems) problem(BAD_POOLS, pools, found);
  // Nothing below can be walked if these are wrong.
  if (problems) return problems;
  checkMap();
  checkCache(records());
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) checkPool(changetype<Pool>(at));
  found = 0;
  for (let at = heap().arenas; at && found <= heap().arenaCount; at = changetype<Arena>(at).next) {
    if (!isRecord(at)) {
      problem(BAD_LISTS, <u32>at);
      break;
    }
    checkArena(changetype<Arena>(at));
    found++;
  }
  if (found != heap().arenaCount) problem(BAD_LISTS, <u32>heap().arenas);
  return problems;
}

function clearSeen(cache: Cache): void {
  cache.seenSlabs = 0;
  cache.seenRoom = 0;
  cache.seenPartial = 0;
  cache.seenCached = 0;
  cache.seenReserved = 0;
  cache.seenLive = 0;
}

/** Every managed page, run by run. */
function checkMap(): void {
  let pages: u32 = 0;
  let freePages: u32 = 0;
  let freeRuns: u32 = 0;
  let afterFree: u32 = 0;
  let page: u32 = 0;
  while (page < PAGE_NUMBERS) {
    const at = entryOf(page);
    if (!at) {
      page = (page | (LEAF_ENTRIES - 1)) + 1;
      continue;
    }
    const entry = load<u64>(at);
    const tag = entryTag(entry);
    let run: u32 = 1;
    if (tag == TAG_FREE) {
      run = entryPages(entry);
      const end = load<u64>(entryOf(page + run - 1));
      if (run > 1 && (entryTag(end) != TAG_FREE_END || entryPages(end) != run)) problem(BAD_END, page, run);
      if (page && page == afterFree) problem(NOT_JOINED, page);
      afterFree = page + run;
      freePages += run;
      freeRuns++;
    } else if (tag == TAG_RAW) {
      run = entryPages(entry);
    } else if (tag || (<u32>entry == 0) != (entry == 0)) {
      problem(BAD_ENTRY, page, <u32>entry);
    } else if (entry) {
      run = checkSlab(changetype<Cache>(<u32>entry), slabOf(at), page);
    }
    if (!run) return;
    if (entry) pages += run;
    page += run;
  }
  if (pages != heap().pages) problem(BAD_PAGES, heap().pages, pages);
  if (freePages != heap().freePages) problem(BAD_FREE_PAGES, heap().freePages, freePages);
  checkBins(freeRuns);
}

function checkBins(freeRuns: u32): void {
  let listed: u32 = 0;
  for (let bin: u32 = 0; bin < BIN_ROWS * BINS_PER_ROW; bin++) {
    const row = bin >>> BIN_ROW_SHIFT;
    const bins = rowBins(row);
    let page = load<u32>(binHead(bin));
    const said = (bins >>> (bin & (BINS_PER_ROW - 1))) & 1;
    if (said != <u32>(page != 0) || ((heap().rows >>> row) & 1) != <u32>(bins != 0)) problem(BAD_LINK, bin, page);
    let prev: u32 = 0;
    while (page && listed <= freeRuns) {
      const entry = load<u64>(entryOf(page));
      if (entryTag(entry) != TAG_FREE || binOf(entryPages(entry)) != bin || entryPrev(entry) != prev) {
        problem(BAD_LINK, bin, page);
        return;
      }
      listed++;
      prev = page;
      page = entryNext(entry);
    }
  }
  if (listed != freeRuns) problem(BAD_BIN, 0, listed, freeRuns);
}

/** One slab, whose run begins at `page`; returns its pages. */
function checkSlab(cache: Cache, slab: Slab, page: u32): u32 {
  const at = changetype<u32>(slab);
  const pages = slabPages(slab);
  if (
    slab.cache != changetype<usize>(cache) ||
    slabPage(slab) != page ||
    !pages ||
    slab.count != countIn(cache, pages)
  ) {
    problem(BAD_SLAB, at, changetype<u32>(cache));
    return 0;
  }
  const entry = load<u64>(entryOf(page));
  for (let i: u32 = 1; i < pages; i++) {
    if (load<u64>(entryOf(page + i)) != entry) problem(BAD_ENTRY, page + i, <u32>load<u64>(entryOf(page + i)));
  }
  let free: u32 = 0;
  for (let i: u32 = 0; i < slab.count; i++) {
    const state = load<u8>(stateOf(slab, i));
    if (i >= slab.carved ? state != STATE_NEVER : state == STATE_NEVER) problem(BAD_STATE, at, i, state);
    else if (state == STATE_FREE) {
      free++;
      if (i < slab.hint) problem(BAD_HINT, at, slab.hint, i);
    } else if (state == STATE_CACHED) cache.seenCached++;
    else if (state == STATE_RESERVED) cache.seenReserved++;
    else if (state & STATE_LIVE) cache.seenLive++;
    else if (state != STATE_NEVER) problem(BAD_STATE, at, i, state);
  }
  if (free != slab.free) problem(BAD_FREE, at, slab.free, free);
  if (free && free == slab.carved) problem(EMPTY_SLAB, at);
  if (free || slab.carved < slab.count) cache.seenPartial++;
  cache.seenSlabs++;
  cache.seenRoom += slab.count;
  return pages;
}

/** Whether the numbers from which addresses are computed follow from each other. */
function layoutIsSound(cache: Cache): bool {
  const stride = cache.stride;
  const align = cache.align;
  if (!stride || !align || align & (align - 1) || stride & (align - 1) || cache.shift != ctz<u32>(stride)) return false;
  if ((stride >>> cache.shift) * cache.inverse != 1) return false;
  return cache.smallPages != 0 && cache.indexEnd == countIn(cache, cache.largePages);
}

/** Whether `address` is a record, of a pool or an arena, that is in use. */
function isRecord(address: usize): bool {
  const entry = entryAt(address);
  if (!entry || load<u32>(entry) != changetype<u32>(records())) return false;
  const slab = slabOf(entry);
  const index = indexOf(records(), slab, address);
  return index < slab.count && load<u8>(stateOf(slab, index)) >= <u8>STATE_LIVE;
}

function checkCache(cache: Cache): void {
  const at = changetype<u32>(cache);
  if (cache.slabs != cache.seenSlabs) problem(BAD_SLABS, at, cache.slabs, cache.seenSlabs);
  let listed: u32 = 0;
  let prev: usize = 0;
  for (let slab = cache.partial; slab && listed <= cache.seenPartial; slab = changetype<Slab>(slab).next) {
    const s = changetype<Slab>(slab);
    if (s.cache != changetype<usize>(cache) || s.prev != prev || (!s.free && s.carved == s.count)) {
      problem(BAD_LISTING, <u32>slab);
      return;
    }
    prev = slab;
    listed++;
  }
  if (listed != cache.seenPartial) problem(BAD_PARTIAL, at, listed, cache.seenPartial);
  if (cache.room != cache.seenRoom) problem(BAD_ROOM, at, cache.room, cache.seenRoom);
  const taken = cache.seenCached + cache.seenReserved + cache.seenLive;
  if (taken != cache.taken) problem(BAD_TAKEN, at, cache.taken, taken);
}

/** The state byte of a pool's element, or 0 if it is none of the pool's. */
function stateIn(pool: Pool, element: usize): usize {
  const entry = entryAt(element);
  if (!entry || load<u32>(entry) != changetype<u32>(pool)) return 0;
  const index = indexOf(pool, slabOf(entry), element);
  return index < slabOf(entry).count ? stateOf(slabOf(entry), index) : 0;
}

function checkPool(pool: Pool): void {
  const at = changetype<u32>(pool);
  checkCache(pool);
  const rounds = roundsIn(pool);
  if (rounds != pool.seenCached) problem(BAD_CACHED, at, rounds, pool.seenCached);
  for (let i: u32 = 0; i < rounds; i++) {
    const round = load<u64>(pool.magazine + (i << 3));
    const state = stateIn(pool, <usize>(<u32>round));
    if (!state || state != <usize>(round >> 32) || load<u8>(state) != STATE_CACHED)
      problem(BAD_ROUND, at, i, <u32>round);
    else store<u8>(state, STATE_NEVER);
  }
  for (let i: u32 = 0; i < rounds; i++) unsee(pool, <usize>load<u32>(pool.magazine + (i << 3)), STATE_CACHED);
  const currNr = pool.currNr;
  if (currNr != pool.seenReserved) problem(BAD_RESERVED, at, currNr, pool.seenReserved);
  for (let i: u32 = 0; i < currNr; i++) {
    const element = load<u32>(pool.reserve + (i << 2));
    const state = stateIn(pool, element);
    if (!state || load<u8>(state) != STATE_RESERVED) problem(BAD_SLOT, at, i, element);
    else store<u8>(state, STATE_NEVER);
  }
  for (let i: u32 = 0; i < currNr; i++) unsee(pool, load<u32>(pool.reserve + (i << 2)), STATE_RESERVED);
  if (pool.taken > pool.maxNr) problem(OVER_MAX, at, pool.taken, pool.maxNr);
  if (!pool.closed && currNr + outstanding(pool) < pool.minNr) {
    problem(BROKEN_PROMISE, at, currNr + outstanding(pool), pool.minNr);
  }
  const limit = pool.closed || currNr < pool.minNr ? 0 : magazineEnd(pool);
  if (pool.limit != limit || rounds > pool.capacity || currNr > pool.minNr) problem(BAD_LIMIT, at, pool.limit);
}

/** While a list is walked, what it names is NEVER: so an element named twice is seen. This takes that back. */
function unsee(pool: Pool, element: usize, state: u32): void {
  const at = stateIn(pool, element);
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
