/**
 * Every structure the allocator keeps in linear memory, drawn, with the constants derived from the drawings.
 *
 * Memory is handed around in pages of 4 KiB, sixteen to the 64 KiB Wasm page. A run is a number of adjacent pages.
 * All numbers are little endian; an address is a u32, and 0 is no address.
 *
 * The truth about an element is its state byte. Every list, count and magazine is derived from the state bytes and can
 * be checked against them (check.ts) or rebuilt from them.
 */

export const PAGE_SHIFT: u32 = 12;
export const PAGE: u32 = 1 << PAGE_SHIFT;
export const WASM_PAGE_SHIFT: u32 = 16;
export const PAGES_PER_WASM_PAGE: u32 = 1 << (WASM_PAGE_SHIFT - PAGE_SHIFT);
/** Pages in 4 GiB. A page number fits 20 bits. */
export const PAGE_NUMBERS: u32 = 1 << 20;

/* ------------------------------------------------------------------------------------------------------------------ *
 * The page map: what each page of the address space is to this heap. Two levels, so that it costs nothing for memory
 * the heap does not own and never moves. The root is part of the Heap; a leaf is a run of two pages.
 *
 *   address   31          22 21          12 11           0
 *            +--------------+--------------+--------------+
 *            |  root index  |  leaf index  |              |
 *            +--------------+--------------+--------------+
 *
 * A leaf entry is 8 bytes, one of:
 *
 *   byte      0             4             8
 *            +-------------+-------------+
 *   slab     | cache       | slab        |   every page of a slab; cache is a multiple of 16
 *            +-------------+-------------+
 *   bit       0..3   4..23       24..43     44..63
 *            +------+-----------+----------+----------+
 *   free     | 1    | pages     | next     | previous |   first page of a free run; links are page numbers, 0 is none
 *            +------+-----------+----------+----------+
 *   free end | 2    | pages     | 0                   |   last page of a free run of two pages or more
 *            +------+-----------+---------------------+
 *   raw      | 3    | pages     | 0                   |   first page of a run the allocator itself uses
 *            +------+-----------+---------------------+
 *   nothing  | 0                                      |   not this heap's, or inside a free or raw run
 *            +----------------------------------------+
 * ------------------------------------------------------------------------------------------------------------------ */
export const LEAF_SHIFT: u32 = 22;
export const LEAF_ENTRIES: u32 = 1 << (LEAF_SHIFT - PAGE_SHIFT);
export const LEAF_PAGES: u32 = (LEAF_ENTRIES * 8) >> PAGE_SHIFT;
export const ROOT_ENTRIES: u32 = 1 << (32 - LEAF_SHIFT);

export const TAG_MASK: u32 = 15;
export const TAG_FREE: u32 = 1;
export const TAG_FREE_END: u32 = 2;
export const TAG_RAW: u32 = 3;

/* ------------------------------------------------------------------------------------------------------------------ *
 * Bins of free runs, by length: two levels, as in TLSF (Masmano et al. 2004). Runs of 1..7 pages have a bin each; from
 * 8 pages on there are 8 bins to each power of two.
 * ------------------------------------------------------------------------------------------------------------------ */
export const BIN_ROW_SHIFT: u32 = 3;
export const BINS_PER_ROW: u32 = 1 << BIN_ROW_SHIFT;
/** Row 0 holds 1..7 pages; the last row that of 2^19 pages and more. */
export const BIN_ROWS: u32 = 20 - BIN_ROW_SHIFT + 1;

/* ------------------------------------------------------------------------------------------------------------------ *
 * What is in a list (list.ts) begins with its links: slabs in their cache's, pools and arenas in the heap's.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Link {
  next: usize;
  prev: usize;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A slab: one run of pages holding `count` elements of one cache.
 *
 *   run                                        slab          first element
 *   |  unused | state n-1 | ... | state 1 | state 0 | Slab header | element 0 | element 1 | ... | unused |
 *                                                   32 bytes
 *
 * There is no header on an element. State bytes run downwards from the header, so that one address, `slab`, gives both:
 * state i is at slab - 1 - i, element i at slab + 32 + i * stride. They are padded with NEVER (see stateBytes).
 *
 * A state byte, with t the number of a thread:
 *   NEVER     0000 0000   never carved, so never handed out
 *   RESERVED  0001 0000   in its pool's reserve
 *   FREE      0010 0000   returned to the slab
 *   CACHED    01tt tttt   in that thread's magazine
 *   LIVE      1mtt tttt   handed out to that thread; m marks it while a bulk free looks its array over
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Slab extends Link {
  /** The cache it belongs to: what the page map says too. */
  cache: usize;
  /** Elements it has room for. */
  count: u32;
  /** Elements carved so far; those from here on were never handed out. */
  carved: u32;
  /** State bytes that are FREE. */
  free: u32;
  /** No state byte below this index is FREE. */
  hint: u32;
  /** Pages of its run, and the offset of the slab header in it: pages << 16 | offset of the first page's start. */
  pages: u32;
}

export const SLAB_HEADER: u32 = 32;

export const STATE_NEVER: u32 = 0x00;
export const STATE_RESERVED: u32 = 0x10;
export const STATE_FREE: u32 = 0x20;
export const STATE_CACHED: u32 = 0x40;
export const STATE_LIVE: u32 = 0x80;
export const STATE_MARK: u32 = 0x40;
/** STATE_FREE in each of eight state bytes. */
export const STATES_FREE: u64 = 0x2020202020202020;

/** Sizes and alignments an element may have, in bytes. */
export const MAX_SIZE: u32 = 1 << 24;
export const MAX_ALIGN: u32 = PAGE;

/* ------------------------------------------------------------------------------------------------------------------ *
 * A cache (the kernel's kmem_cache): elements of one size, the slabs they are in, and how to find an element's index.
 *
 * stride = odd << shift. For an offset o into a slab's elements, index = rotr(o * inverse, shift), with inverse the
 * inverse of odd modulo 2^32, is o / stride if that is a whole number, and at least 2^32 / stride if not: one
 * multiplication divides and tells interior pointers apart (Granlund and Montgomery 1994, section 9).
 *
 * A cache begins with slabs of `small` pages, so that a few elements cost little, and goes on with slabs of `large`.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Cache extends Link {
  inverse: u32;
  shift: u32;
  /** No slab of this cache has an element of this index or a higher one; far below 2^32 / stride. */
  indexEnd: u32;
  stride: u32;
  smallPages: u32;
  largePages: u32;
  align: u32;
  /** The list of its slabs with something to give: free > 0 or carved < count. */
  partial: usize;
  /** Slabs, their pages, and the elements that are not in them: cached, reserved or live. */
  slabs: u32;
  slabPages: u32;
  taken: u32;
  /** Elements its slabs have room for. */
  room: u32;
  /** Written and read by check.ts only. */
  seenSlabs: u32;
  seenPartial: u32;
  seenCached: u32;
  seenReserved: u32;
  seenLive: u32;
  seenRoom: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A magazine (Bonwick and Adams 2001): a stack of rounds, the elements a thread can hand out without asking a slab.
 *
 *   | round 0 | round 1 | ... | round n-1 | unused |           a round, 8 bytes:   | element | state byte's address |
 *   ^ magazine                            ^ top
 * ------------------------------------------------------------------------------------------------------------------ */
export const ROUND: u32 = 8;
export const MAX_ROUNDS: u32 = 1024;
export const SMALL_ROUNDS: u32 = 32;
/** At most so many rounds go between a magazine and the slabs at once. */
export const BATCH: u32 = 32;
/** A magazine holds at most about this many bytes of elements, but always one. */
export const MAGAZINE_BYTES: u32 = 1 << 16;
/** The pages of slabs at which a pool's magazine grows to its full size. */
export const MAGAZINE_GROWS_AT: u32 = 16;
/** And no magazine takes more than a 64th of what its heap may have. */
export const MAGAZINE_SHARE_SHIFT: u32 = 6;

/* ------------------------------------------------------------------------------------------------------------------ *
 * A pool: a cache, a magazine, and the reserve. It never moves. Its address is its handle, and the owner the page map
 * names for its slabs.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Pool extends Cache {
  /** Elements the magazine ever handed out. */
  allocs: u64;
  /** The end of the magazine's last round, and the first one. */
  top: usize;
  magazine: usize;
  /** A free with `top` here or above takes the slow way. 0 while the reserve is short or the pool closed. */
  limit: usize;
  /** Rounds the magazine has room for, and will have when it has grown. */
  capacity: u32;
  fullCapacity: u32;
  /** An element's size as asked for; the stride may be longer. */
  size: u32;
  /** The reserve: a stack of elements, `currNr` of `minNr`. */
  reserve: usize;
  minNr: u32;
  currNr: u32;
  /** At most this many elements cached, reserved and live together. */
  maxNr: u32;
  closed: u32;
  lowestCurrNr: u32;
  /** Allocations that only the reserve saved, those that asked for the reserve, and those that got nothing. */
  reserveHits: u64;
  preallocated: u64;
  failures: u64;
}

/** The objects the allocator itself needs, pools, arenas, small magazines and reserves, are of this size or whole pages. */
export const RECORD: u32 = 256;

/* ------------------------------------------------------------------------------------------------------------------ *
 * An arena: memory handed out by adding, given back all at once. A list of chunks, each a raw run:
 *
 *   | ArenaChunk | handed out ... | free ... |
 *                                 ^ position   ^ end
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Arena extends Link {
  position: usize;
  end: usize;
  current: usize;
  first: usize;
  chunkPages: u32;
  pages: u32;
  chunks: u32;
}


@unmanaged
export class ArenaChunk {
  next: usize;
  pages: u32;
  /** Where the arena's position was when it went on to the next chunk. */
  left: usize;
  spare: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * The heap: the first two pages of what it manages (from 1 KiB on where it owns the memory from address 0).
 *
 *   | Heap | bins | scratch | root of the page map |
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Heap {
  magic: u32;
  /** Pages under this heap, those of them in free runs, and the most it may have. */
  pages: u32;
  freePages: u32;
  maxPages: u32;
  /** 1: takes more by memory.grow. */
  grows: u32;
  growCount: u32;
  pools: usize;
  poolCount: u32;
  arenas: usize;
  arenaCount: u32;
  /** Counts down at each request for pages; the one that brings it to 0 is refused. 0: none is. */
  failCountdown: u32;
  /** Bit r: row r of the bins has a run. */
  rows: u32;
  /** Where a record being allocated passes through. */
  round: u64;
  /** Leaves of the page map that there are; those of them not yet in use, and where the next of them is. */
  leaves: u32;
  spareLeaves: u32;
  spareLeaf: usize;
  /** Nothing: the cache of records, which follows, must lie at a multiple of 16. */
  spare0: u32;
  spare1: u64;
}

export const HEAP_MAGIC: u32 = 0x6c6f6f70;
/** Where the heap lies if it owns the memory from address 0: writes through a null pointer miss it. */
export const HEAP_AT_ZERO: u32 = 1024;
export const HEAP_PAGES: u32 = 2;

/** The cache of records, at a multiple of 16. */
export const HEAP_RECORDS: u32 = 80;
/** One byte a row: its bins with a run. */
export const HEAP_ROW_BINS: u32 = HEAP_RECORDS + 80;
/** One u32 a bin: its first run, a page number. */
export const HEAP_BINS: u32 = HEAP_ROW_BINS + 32;
/** Words through which a host passes arrays: bulk operations, reports of check.ts. */
export const HEAP_SCRATCH: u32 = HEAP_BINS + 4 * BIN_ROWS * BINS_PER_ROW;
export const SCRATCH_WORDS: u32 = 256;
export const HEAP_ROOT: u32 = HEAP_SCRATCH + 4 * SCRATCH_WORDS;
export const HEAP_BYTES: u32 = HEAP_ROOT + 4 * ROOT_ENTRIES;

/** Halts if a drawing above and its struct have come apart. Costs nothing: every condition is a constant. */
export function checkLayout(): void {
  assert(offsetof<Slab>() == SLAB_HEADER);
  assert(offsetof<Cache>() == HEAP_ROW_BINS - HEAP_RECORDS);
  assert(offsetof<Heap>() == HEAP_RECORDS);
  // A cache's address must not look like a tag in the page map.
  assert(!(HEAP_RECORDS & TAG_MASK) && !(HEAP_AT_ZERO & TAG_MASK));
  assert(offsetof<Pool>() <= RECORD && offsetof<Arena>() <= RECORD);
  assert(BIN_ROWS <= 32 && BINS_PER_ROW == 8);
  assert(HEAP_AT_ZERO + HEAP_BYTES <= HEAP_PAGES << PAGE_SHIFT);
  assert(SMALL_ROUNDS * ROUND == RECORD);
}

// The heap this instance serves. Set once when the instance creates or joins it; the heap itself is all in memory.
let heapAddress: usize = 0;


@inline
export function heap(): Heap {
  return changetype<Heap>(heapAddress);
}


@inline
export function heapBase(): usize {
  return heapAddress;
}

export function serveHeap(address: usize): void {
  heapAddress = address;
}


@inline
export function alignUp(n: u32, align: u32): u32 {
  return (n + align - 1) & ~(align - 1);
}
