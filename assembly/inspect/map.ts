/**
 * The map of a heap, for pictures of it: which runs of pages there are, and what each is. Reads only, one run a call.
 *
 * Other threads may be at work, and the memory may be a damaged heap's. So each address and length is checked before it is
 * used, and each loop is bounded by the pages of the memory. What a call describes was so at some instant, or is a run that
 * changes just then, of which the page after is looked at next.
 */
import { atomicLoad, memorySize, THREADS } from "../base/atomics";
import { beginVisit, endVisit, heapBase } from "../base/instance";
import {
  Arena,
  ArenaChunk,
  Cache,
  ENTRY_INSIDE,
  Epoch,
  Heap,
  HEAP_BYTES,
  LEAF_ENTRIES,
  Magazine,
  PAGE_NUMBERS,
  PAGE_SHIFT,
  PAGES_PER_WASM_PAGE,
  Pool,
  RECORD,
  SCRATCH_WORDS,
  Slab,
  SLAB_KEPT,
  SLAB_OUT_SHIFT,
  SLAB_RETIRED,
  TAG_RAW,
  Waiter,
  WAITERS,
  WAITING,
} from "../base/layout";
import { firstElement, records, slabPage, slabPages, stateOf, summaryAt } from "../memory/geometry";
import { entryIn, entryPages, entryTag, leafAt } from "../memory/map";
import { bitsAt } from "../memory/runs";
import { tableLength } from "../pool/pool";
import { isHeap } from "../threads/life";
import { fits, isRecordIn } from "./within";

/* What a run is; include/wasm_mempool.h describes the words of each. */
const FREE: u32 = 1;
const OWN: u32 = 2;
const SLAB: u32 = 3;
const RECORDS: u32 = 4;
const BLOCK: u32 = 5;
const ARENA: u32 = 6;

/* Flags of a slab. */
const CURRENT: u32 = 1;
const KEPT: u32 = 2;
const CLOSED: u32 = 4;

/** No page: a run may begin at page 0. */
const NONE: u32 = -1;

/** Words that describe a run. */
const WORDS: u32 = 12;

/** The most arenas that are looked through for one run. */
const ARENAS: u32 = 1 << 16;

/** The entry of a page; 0 if it has none. */
function entryOf(page: u32): u64 {
  const leaf = leafAt(page << PAGE_SHIFT);
  return leaf && !(leaf & 7) && fits(leaf, LEAF_ENTRIES << 3) ? atomicLoad<u64>(entryIn(leaf, page << PAGE_SHIFT)) : 0;
}

/** The first run at or after a page of the heap at `address`, as words at `at`; returns its first page, NONE: there is none. */
export function heap_next_run(address: usize, page: u32, at: usize): u32 {
  if (!isHeap(address) || !fits(address, HEAP_BYTES)) return NONE;
  beginVisit(address);
  const found = nextRun(page, at);
  endVisit();
  return found;
}

function nextRun(page: u32, at: usize): u32 {
  const end = min<u32>(memorySize() * PAGES_PER_WASM_PAGE, PAGE_NUMBERS);
  memory.fill(at, 0, WORDS << 2);
  for (; page < end; page++) {
    const leaf = leafAt(page << PAGE_SHIFT);
    if (!leaf) {
      page |= LEAF_ENTRIES - 1;
      continue;
    }
    const entry = entryOf(page);
    if (!entry) {
      const free = freeFrom(page, end);
      if (!free) continue;
      store<u32>(at, FREE);
      store<u32>(at, free, 4);
      return page;
    }
    if (entryTag(entry) == TAG_RAW) return describeRaw(page, entry, end, at);
    return describeSlab(page, entry, end, at);
  }
  return NONE;
}

/** The number of free pages from a page on. */
function freeFrom(page: u32, end: u32): u32 {
  const from = page;
  while (page < end) {
    const words = bitsAt(page >>> 6);
    if (!words || words & 7 || !fits(words, 8)) break;
    const ones = <u32>ctz<u64>(~(atomicLoad<u64>(words) >> (page & 63)));
    // The shift has brought in zeros from the top.
    page += ones;
    if (!ones || page & 63) break;
  }
  return min(page, end) - from;
}

function describeRaw(page: u32, entry: u64, end: u32, at: usize): u32 {
  let first = page;
  // A page inside a block looks like a raw run of one page. A walk by runs meets only the latter, and looks back one page.
  if (entry == ENTRY_INSIDE) {
    let before = entry;
    while (first && before == ENTRY_INSIDE) before = entryOf(--first);
    if (isBlock(before) && page - first < entryPages(before)) entry = before;
    else first = page;
  }
  const pages = max<u32>(1, min(entryPages(entry), end - first));
  const arena = isBlock(entry) ? 0 : arenaOf(first << PAGE_SHIFT, pages);
  store<u32>(at, isBlock(entry) ? BLOCK : arena ? ARENA : OWN);
  store<u32>(at, pages, 4);
  store<u32>(at, <u32>arena, 12);
  return first;
}

/** Whether an entry is that of a block's first page, also of one that is just freed. */
@inline
function isBlock(entry: u64): bool {
  return entryTag(entry) == TAG_RAW && entry >> 32 != 0;
}

/** The arena with a chunk at an address; 0 if it is none's. O(chunks) if a chunk may be there. */
function arenaOf(chunk: usize, pages: u32): usize {
  if (!fits(chunk, pages << PAGE_SHIFT) || changetype<ArenaChunk>(chunk).pages != pages) return 0;
  let arena = changetype<Heap>(heapBase()).arenas;
  for (let arenas: u32 = 0; arenas < ARENAS && isRecordIn(arena); arenas++) {
    let at = changetype<Arena>(arena).first;
    for (let n = min(changetype<Arena>(arena).chunks, PAGE_NUMBERS); n && fits(at, sizeof<u64>()); n--) {
      if (at == chunk) return arena;
      at = changetype<ArenaChunk>(at).next;
    }
    arena = changetype<Arena>(arena).next;
  }
  return 0;
}

function describeSlab(page: u32, entry: u64, end: u32, at: usize): u32 {
  const cache = changetype<Cache>(<usize>(<u32>entry));
  const slab = changetype<Slab>(<usize>(entry >> 32));
  store<u32>(at, OWN);
  store<u32>(at, 1, 4);
  const isWhole = changetype<usize>(cache) == changetype<usize>(records());
  if (!isWhole && !isRecordIn(changetype<usize>(cache))) return page;
  if (changetype<usize>(slab) & 7 || !fits(changetype<usize>(slab), offsetof<Slab>())) return page;
  const first = slabPage(slab);
  const pages = slabPages(slab);
  const summary = atomicLoad<u64>(summaryAt(changetype<usize>(slab)));
  const count = slab.count;
  const stride = cache.stride;
  const element = firstElement(slab);
  // The run has the page, the elements are in the run, and the state bytes before them.
  if (first > page || page - first >= pages || pages > end - first || !stride) return page;
  if (<u64>element + <u64>count * <u64>stride > (<u64>(first + pages)) << PAGE_SHIFT) return page;
  if (changetype<usize>(slab) - (first << PAGE_SHIFT) < count) return page;
  let flags: u32 = summary & SLAB_KEPT && summary != SLAB_RETIRED ? KEPT : 0;
  const pool = changetype<Pool>(cache.pool);
  if (changetype<usize>(pool)) {
    if (!isRecordIn(changetype<usize>(pool))) return page;
    if (pool.epoch == changetype<usize>(cache)) flags |= CURRENT;
    if (pool.closed) flags |= CLOSED;
  }
  const serial = changetype<usize>(pool) ? pool.serial : 0;
  const size = changetype<usize>(pool) ? changetype<Epoch>(cache).size : stride;
  const carved = min(slab.carved, count);
  // The words of another slab, or of an element: this run changes just now.
  if (entryOf(first) != entry || entryOf(page) != entry) return page;
  store<u32>(at, changetype<usize>(pool) ? SLAB : RECORDS);
  store<u32>(at, pages, 4);
  store<u32>(at, serial, 8);
  store<u32>(at, changetype<u32>(pool), 12);
  store<u32>(at, <u32>element, 16);
  store<u32>(at, stride, 20);
  store<u32>(at, size, 24);
  store<u32>(at, count, 28);
  store<u32>(at, <u32>stateOf(slab, 0), 32);
  store<u32>(at, flags, 36);
  store<u32>(at, summary == SLAB_RETIRED ? 0 : <u32>(summary >> SLAB_OUT_SHIFT), 40);
  store<u32>(at, carved, 44);
  return first;
}

/** The waiters of a pool, by thread, each two words at `at`: the thread, and the sequence number. Returns how many wait. */
export function mempool_waiters(address: usize, pool: Pool, at: usize): u32 {
  if (!THREADS || !isHeap(address) || !isRecordIn(changetype<usize>(pool))) return 0;
  let found: u32 = 0;
  const magazines = pool.magazines;
  const length = min<u32>(tableLength(pool), RECORD >> 2);
  if (!fits(magazines, length << 2)) return 0;
  for (let thread: u32 = 0; thread < length; thread++) {
    const m = changetype<Magazine>(<usize>atomicLoad<u32>(magazines + (thread << 2)));
    if (!isRecordIn(changetype<usize>(m)) || !isRecordIn(m.waiters)) continue;
    for (let i: u32 = 0; i < WAITERS; i++) {
      const waiter = atomicLoad<u64>(m.waiters + i * offsetof<Waiter>());
      if (<u32>waiter != WAITING) continue;
      if (found < SCRATCH_WORDS / 2) {
        store<u32>(at + (found << 3), thread);
        store<u32>(at + (found << 3), <u32>(waiter >> 32), 4);
      }
      found++;
    }
  }
  return found;
}
