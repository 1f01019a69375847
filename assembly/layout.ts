/**
 * Every structure the allocator keeps in linear memory, drawn, with the constants derived from the drawings.
 *
 * Memory is handed around in pages of 4 KiB, sixteen to the 64 KiB Wasm page. A run is a number of adjacent pages.
 * All numbers are little endian; an address is a u32, and 0 is no address.
 *
 * The truth about an element is its state byte. Every list, count and magazine is derived from the state bytes and can
 * be checked against them (check.ts) or rebuilt from them.
 */

import { THREADS } from "./atomics";

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
 *   bit       0..3   4..23       24..63
 *            +------+-----------+----------+
 *   raw      | 3    | pages     | 0        |   every page of a run the allocator itself uses: pages from here to its end
 *            +------+-----------+----------+
 *   nothing  | 0                           |   a free page, or not this heap's
 *            +-----------------------------+
 * ------------------------------------------------------------------------------------------------------------------ */
export const LEAF_SHIFT: u32 = 22;
export const LEAF_ENTRIES: u32 = 1 << (LEAF_SHIFT - PAGE_SHIFT);
export const LEAF_PAGES: u32 = (LEAF_ENTRIES * 8) >> PAGE_SHIFT;
export const ROOT_ENTRIES: u32 = 1 << (32 - LEAF_SHIFT);

export const TAG_MASK: u32 = 15;
export const TAG_RAW: u32 = 3;

/* ------------------------------------------------------------------------------------------------------------------ *
 * The free pages: one bit each, in words of 64. A page of such words covers 128 MiB, and the Heap has a root of 32.
 *
 *   page number  19        15 14         6 5          0
 *               +------------+------------+------------+
 *               | root index | word       | bit        |
 *               +------------+------------+------------+
 * ------------------------------------------------------------------------------------------------------------------ */
export const WORD_SHIFT: u32 = 6;
export const WORDS_PER_PAGE: u32 = PAGE / 8;
export const WORDS_SHIFT: u32 = 9;
export const WORDS: u32 = PAGE_NUMBERS >> WORD_SHIFT;
export const BITS_ROOT_ENTRIES: u32 = WORDS / WORDS_PER_PAGE;

/* ------------------------------------------------------------------------------------------------------------------ *
 * What is in a list (list.ts) begins with its links: pools and arenas in the heap's.
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
 *   CACHED    01tt tttt   in that thread's magazine, or passing through its hands
 *   LIVE      1mtt tttt   handed out to that thread; m marks it while a bulk free looks its array over
 *
 * The summary is one word, so that one change tells everything that a slab's users must agree on:
 *
 *   bit       0..45        46          47..63
 *            +------------+-----------+------------+
 *            | groups     | kept      | out        |
 *            +------------+-----------+------------+
 *   groups: bit g is set if a state byte of group g may be FREE. Groups are of 8, 16, 32, ... state bytes.
 *   kept:   it is in its cache's stack, or in the hands of the thread whose `slab` names it.
 *   out:    elements that are neither FREE nor NEVER, not counting what is being taken or returned just now.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Slab {
  /** The next in the stack. */
  next: usize;
  /** The thread that carved from it last. */
  carver: u32;
  summary: u64;
  /** Elements it has room for; those it may carve, fewer where the pool has a limit; those carved so far. */
  count: u32;
  end: u32;
  carved: u32;
  /** Pages of its run, and the offset of the slab header in it: pages << 16 | offset of the first page's start. */
  pages: u32;
}

export const SLAB_HEADER: u32 = 32;

export const GROUPS: u32 = 46;
export const SLAB_GROUPS: u64 = ((<u64>1) << GROUPS) - 1;
export const SLAB_KEPT: u64 = (<u64>1) << GROUPS;
export const SLAB_OUT_SHIFT: u32 = GROUPS + 1;
export const SLAB_OUT: u64 = (<u64>1) << SLAB_OUT_SHIFT;
/** The summary of a slab that goes back to pages. */
export const SLAB_RETIRED: u64 = -1;

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
export class Cache {
  /**
   * The stack of its slabs with something to give, a slab and a number that changes with every change; and a second
   * one, to which a search for empty slabs moves those that are not.
   */
  partial: u64;
  swept: u64;
  inverse: u32;
  shift: u32;
  /** No slab of this cache has an element of this index or a higher one; far below 2^32 / stride. */
  indexEnd: u32;
  stride: u32;
  smallPages: u32;
  largePages: u32;
  align: u32;
  /** Slabs, their pages, and the elements they have room for: at most maxNr, or ENDED. */
  slabs: u32;
  slabPages: u32;
  room: u32;
  /** Changes when a slab becomes empty; and what it was when all slabs were last looked at. */
  emptied: u32;
  sweptAt: u32;
  spare: u32;
  maxNr: u32;
  /** The pool it is an epoch of; 0: the allocator's own. What kind of backend it is: BACKEND_*. */
  pool: usize;
  backend: u32;
  /** Written and read by check.ts and reap.ts only. */
  seenSlabs: u32;
  seenPartial: u32;
  seenCached: u32;
  seenReserved: u32;
  seenLive: u32;
  seenRoom: u32;
}

/** The room of an epoch that is over, or whose pool is closed, when its last element is home. */
export const ENDED: u32 = -1;

/** Slabs as they are; whole pages, and no thread caches any; all memory stays until the pool ends; cells for a host. */
export const BACKEND_SLAB: u32 = 0;
export const BACKEND_PAGES: u32 = 1;
export const BACKEND_BUMP: u32 = 2;
export const BACKEND_HOST: u32 = 3;

/* ------------------------------------------------------------------------------------------------------------------ *
 * An epoch of a pool: the time in which its elements have one size. A cache, and the reserve of elements of that size.
 * The page map names the epoch for each of its slabs, so that an element finds its way home whatever came since.
 *
 * The reserve is a set of slots, in chunks that never move: a resize adds one.
 *
 *   reserve -> | next | base | end | 0 | slot base | ... | slot end-1 |    next -> | 0 | 0 | end | 0 | slot 0 | ... |
 *
 * A slot, 4 bytes: an element, or 0.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Epoch extends Cache {
  /**
   * Elements in the reserve, and how many there shall be: one word of 8 bytes, so that none comes in beyond that. An epoch
   * that is over has minNr 0.
   */
  currNr: u32;
  minNr: u32;
  /** The pool's epochs. A record that nobody needs any more serves a later epoch. */
  next: usize;
  /** An element's size as asked for; the stride may be longer. */
  size: u32;
  reserve: usize;
  /** The fewest in the reserve ever, and since somebody looked. */
  lowestCurrNr: u32;
  dip: u32;
  /** 1: it was to grow and could not be filled, and has not been full since. */
  unfilled: u32;
}


@unmanaged
export class Slots {
  next: usize;
  base: u32;
  end: u32;
  spare: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * Faults to order: whether a request is refused although it could be served (faults.ts). Part of a pool, for its calls of
 * the backend, and of the heap, for requests for pages. A host writes these words.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Faults {
  /** 0: none. Requests are counted while it is not. */
  on: u32;
  calls: u32;
  /** This one is refused; 0: none for its number. */
  nth: u32;
  /** Of 2^32 requests so many are, chosen by the seed; 2^32 - 1: all. */
  rate: u32;
  seed: u32;
  /** Of the heap: the most pages it may grow to; 0: as without. */
  pages: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A pool: its epochs, and what its threads have to know of each other. It never moves.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Pool extends Link {
  /** The one that elements are handed out of, and the list of all. */
  epoch: usize;
  epochs: usize;
  /**
   * What sends its threads the slow way: not every slot is full; somebody waits; nothing is handed out any more. The
   * first two are set to a number never used before, and cleared by a swap: so that only what was looked at is cleared.
   */
  short: u32;
  waiting: u32;
  closed: u32;
  /** Set once: the last element of a closed pool has come home. */
  ended: u32;
  /** Changes when somebody starves: who sees it gives back what it has cached. */
  call: u32;
  /** Counts those who get in line, and gives such numbers. */
  ticket: u32;
  /** The thread that is just making, resizing or reshaping it, plus one; and whether it has been made. */
  maker: u32;
  made: u32;
  /** Its magazine; with threads, the address of a table of them, by thread number, and how far that is filled. */
  magazines: usize;
  places: u32;
  /** The most elements handed out, as seen whenever a magazine was filled. */
  peak: u32;
  /** Faults. */
  faults: u32;
  faultCalls: u32;
  faultNth: u32;
  faultRate: u32;
  faultSeed: u32;
  faultPages: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A magazine (Bonwick and Adams 2001): the elements of one epoch that one thread can hand out without asking anybody. Its
 * address is that thread's handle of the pool. The rounds are a stack; the first few are in the same record.
 *
 *   | Magazine | round 0 | round 1 | ... | round n-1 |         a round, 8 bytes:   | element | state byte's address |
 *              ^ first             ^ top             ^ end
 *
 * Nobody but its thread touches it, with two exceptions: anybody may shut the gate, and read the counts.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Magazine {
  /** The end of the last round. */
  top: usize;
  /** The state byte of what this thread hands out. */
  live: u32;
  /** The gate, one word of 8 bytes. An alloc with `top` at floor or below, a free with it at limit or above, goes the slow way. */
  floor: usize;
  limit: usize;
  /** The epoch its rounds are of, and of that, what a free needs. */
  epoch: usize;
  inverse: u32;
  shift: u32;
  indexEnd: u32;
  pool: usize;
  /** Elements the magazine ever handed out. */
  allocs: u64;
  first: usize;
  /** Rounds it holds at most, and will when it has grown. 0: it caches nothing. */
  capacity: u32;
  fullCapacity: u32;
  /** The pool's call that it has heard. */
  call: u32;
  /** Elements this thread took from slabs and reserve, less those it gave back there. */
  taken: u32;
  /** Its places in line, a record; 0 without threads. */
  waiters: usize;
  /** Allocations that only the reserve saved, those that asked for the reserve, and those that got nothing. */
  reserveHits: u64;
  preallocated: u64;
  failures: u64;
  /** Allocations that looked for memory nobody was using. */
  reclaims: u32;
}

/** Both ends of the gate shut. */
export const GATE_SHUT: u64 = 0x00000000ffffffff;

export const ROUND: u32 = 8;
export const MAX_ROUNDS: u32 = 1024;
/** At most so many rounds go between a magazine and the slabs at once. */
export const BATCH: u32 = 32;
/** A magazine holds at most about this many bytes of elements, but always one. */
export const MAGAZINE_BYTES: u32 = 1 << 16;
/** The pages of slabs at which a pool's magazine grows to its full size. */
export const MAGAZINE_GROWS_AT: u32 = 16;
/** And no magazine takes more than a 64th of what its heap may have. */
export const MAGAZINE_SHARE_SHIFT: u32 = 6;
/** With threads, no more than a 16th of maxNr is cached by one: a pool with a small maxNr caches nothing. */
export const MAX_NR_SHARE_SHIFT: u32 = 4;

/** The objects the allocator itself needs, pools, arenas, magazines and small reserves, are of this size or whole pages. */
export const RECORD: u32 = 256;
export const SMALL_ROUNDS: u32 = (RECORD - offsetof<Magazine>()) / ROUND;

/* ------------------------------------------------------------------------------------------------------------------ *
 * A place in line. Value and ticket are one word of 8 bytes: an element is handed over only to who still waits with that
 * ticket.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Waiter {
  /** 0: not in use; WAITING; WOKEN_CLOSED; else the element handed over. */
  value: u32;
  ticket: u32;
  spare: u64;
}
export const WAITERS: u32 = RECORD / offsetof<Waiter>();
export const WAITING: u32 = 1;
export const WOKEN_CLOSED: u32 = 2;

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
  /** The only thread that may touch it. */
  thread: u32;
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
 * A thread: one instance at work on the heap. What it is in the middle of stands here before it begins, so that another
 * can finish it: see reap.ts. They lie in the Heap, by number.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Thread {
  number: u32;
  /** 0: nobody's. ALIVE, or DEAD while it is being reaped. */
  alive: u32;
  /** What the host knows it by. */
  label: u32;
  /** Changes when somebody starves. */
  nudge: u32;
  /** A run of pages: page | pages << 20 | what about it | a number that changes with every change << RUN_SHIFT. */
  run: u64;
  /** Where a record being allocated passes through. */
  round: u64;
  /** The slab it takes from or returns to. */
  slab: usize;
  /** The element it puts into a reserve or takes out. */
  hand: usize;
  /** Words through which a host passes arrays. Thread 0's are in the Heap, the others' a page of their own. */
  scratch: usize;
  runs: u32;
  spare0: u64;
  spare1: u64;
}
export const THREAD_SHIFT: u32 = 6;
export const MAX_THREADS: u32 = 64;
/** The number of no thread. */
export const NOBODY: u32 = -1;
export const ALIVE: u32 = 1;
export const DEAD: u32 = 2;
/** All of the run is this thread's. */
export const RUN_OURS: u64 = (<u64>1) << 40;
/** Runs come or go: what is counted by slab and page may not be up to date. */
export const RUN_SOON: u64 = (<u64>1) << 41;
export const RUN_SHIFT: u32 = 42;
export const SCRATCH_WORDS: u32 = 256;

/* ------------------------------------------------------------------------------------------------------------------ *
 * The heap: the first pages of what it manages (from 1 KiB on where it owns the memory from address 0).
 *
 *   | Heap | records | scratch | root of the free bits | root of the page map | threads |
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Heap {
  magic: u32;
  /** Pages under this heap, and the most it may have. */
  pages: u32;
  maxPages: u32;
  /** 1: takes more by memory.grow. */
  grows: u32;
  growCount: u32;
  pools: usize;
  poolCount: u32;
  arenas: usize;
  arenaCount: u32;
  /** Leaves of the page map that there are. */
  leaves: u32;
  /** No word of free bits before this one has a bit set, as far as is known. */
  hint: u32;
  /** Numbers of threads there ever were. */
  threads: u32;
  /** Threads that died here: from the first on, counts for statistics may be off. */
  reaped: u32;
  /** Who changes the lists of pools and arenas, and the threads: its number plus one. */
  lock: u32;
  /** Counts runs that became free; and what was looked for in vain: pages | that count then << 32. See runAlloc. */
  freed: u32;
  spare: u32;
  none: u64;
  /** Faults. */
  faults: u32;
  faultCalls: u32;
  faultNth: u32;
  faultRate: u32;
  faultSeed: u32;
  faultPages: u32;
}

export const HEAP_MAGIC: u32 = 0x6c6f6f70;
/** Where the heap lies if it owns the memory from address 0: writes through a null pointer miss it. */
export const HEAP_AT_ZERO: u32 = 1024;
export const HEAP_PAGES: u32 = THREADS ? 3 : 2;

/** The cache of records, at a multiple of 16. */
export const HEAP_RECORDS: u32 = 96;
export const HEAP_SCRATCH: u32 = HEAP_RECORDS + 112;
export const HEAP_BITS_ROOT: u32 = HEAP_SCRATCH + 4 * SCRATCH_WORDS;
export const HEAP_ROOT: u32 = HEAP_BITS_ROOT + 4 * BITS_ROOT_ENTRIES;
export const HEAP_THREADS: u32 = HEAP_ROOT + 4 * ROOT_ENTRIES;
export const HEAP_BYTES: u32 = HEAP_THREADS + ((THREADS ? MAX_THREADS : 1) << THREAD_SHIFT);

/** Halts if a drawing above and its struct have come apart. Costs nothing: every condition is a constant. */
export function checkLayout(): void {
  assert(offsetof<Slab>() == SLAB_HEADER);
  assert(offsetof<Heap>() <= HEAP_RECORDS && offsetof<Cache>() <= HEAP_SCRATCH - HEAP_RECORDS);
  // A cache's address must not look like a tag in the page map.
  assert(!(HEAP_RECORDS & TAG_MASK) && !(HEAP_AT_ZERO & TAG_MASK));
  // What is changed in one word of 8 bytes lies at a multiple of 8.
  assert(!((HEAP_RECORDS + offsetof<Cache>("partial")) & 7) && !(HEAP_THREADS & 7) && !(HEAP_SCRATCH & 7));
  assert(!(offsetof<Heap>("none") & 7));
  assert(!(offsetof<Epoch>("currNr") & 7) && offsetof<Epoch>("minNr") == offsetof<Epoch>("currNr") + 4);
  assert(offsetof<Faults>() == offsetof<Pool>() - offsetof<Pool>("faults"));
  assert(offsetof<Faults>() == offsetof<Heap>() - offsetof<Heap>("faults"));
  assert(!(offsetof<Magazine>("floor") & 7) && offsetof<Magazine>("limit") == offsetof<Magazine>("floor") + 4);
  assert(!(offsetof<Thread>("run") & 7) && offsetof<Thread>() == 1 << THREAD_SHIFT);
  assert(
    offsetof<Pool>() <= RECORD &&
      offsetof<Epoch>() <= RECORD &&
      offsetof<Arena>() <= RECORD &&
      MAX_THREADS << 2 <= RECORD,
  );
  assert(HEAP_AT_ZERO + HEAP_BYTES <= HEAP_PAGES << PAGE_SHIFT);
}

// The heap this instance serves, and its thread. Set once when the instance creates or joins it; all else is in memory.
let heapAddress: usize = 0;
let threadAddress: usize = 0;


@inline
export function heap(): Heap {
  return changetype<Heap>(heapAddress);
}


@inline
export function heapBase(): usize {
  return heapAddress;
}

/** The Thread of a number, also one that never was. */
@inline
export function threadAt(number: u32): usize {
  return heapAddress + HEAP_THREADS + (number << THREAD_SHIFT);
}

/** This thread. Without threads there is one. */
@inline
export function self(): Thread {
  return changetype<Thread>(THREADS ? threadAddress : heapAddress + HEAP_THREADS);
}


@inline
export function selfNumber(): u32 {
  return THREADS ? self().number : 0;
}

/** Words through which a host passes arrays to this thread's calls, and gets numbers back. */
@inline
export function scratch(): usize {
  return self().scratch;
}

export function serveHeap(address: usize, thread: usize): void {
  heapAddress = address;
  threadAddress = thread;
}


@inline
export function alignUp(n: u32, align: u32): u32 {
  return (n + align - 1) & ~(align - 1);
}
