/**
 * Every structure the allocator keeps in linear memory, drawn, with the constants derived from the drawings.
 *
 * The heap manages pages of 4 KiB, sixteen to the 64 KiB Wasm page. A run is a number of adjacent pages. All numbers
 * are little endian; an address is a u32, and 0 is no address. A field of type usize is an address.
 *
 * The state byte is the truth about an element. Every list, count and magazine is derived from the state bytes, so it
 * can be checked against them (inspect/check.ts) or rebuilt from them (threads/recover.ts).
 */
import { DEBUG, THREADS } from "./atomics";

export const PAGE_SHIFT: u32 = 12;
export const PAGE: u32 = 1 << PAGE_SHIFT;
export const WASM_PAGE_SHIFT: u32 = 16;
export const PAGES_PER_WASM_PAGE: u32 = 1 << (WASM_PAGE_SHIFT - PAGE_SHIFT);

/** Pages in 4 GiB: a page number has 20 bits. */
export const PAGE_NUMBERS: u32 = 1 << 20;

/* ------------------------------------------------------------------------------------------------------------------ *
 * The page map: what each page of the address space is to this heap. It has two levels, so that it costs nothing for
 * memory the heap does not own and never moves. The root is part of the Heap; a leaf is a run of two pages.
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
 *   slab     | cache       | slab        |   every page of a slab; cache is a multiple of 16, so it has no tag
 *            +-------------+-------------+
 *   bit       0..3   4..23       24..63
 *            +------+-----------+----------+
 *   raw      | 3    | pages     | 0        |   every page of a run that is no slab: pages to the run's end
 *            +------+-----------+----------+
 *   block    | 3    | pages     | state    |   the first page of a block of malloc's: BLOCK, or the thread that frees it
 *            +------+-----------+----------+
 *   inside   | 3    | 1         | 0        |   every other page of a block
 *            +------+-----------+----------+
 *   nothing  | 0                           |   a free page, or a page of no part of this heap
 *            +-----------------------------+
 * ------------------------------------------------------------------------------------------------------------------ */
export const LEAF_SHIFT: u32 = 22;
export const LEAF_ENTRIES: u32 = 1 << (LEAF_SHIFT - PAGE_SHIFT);
export const LEAF_PAGES: u32 = (LEAF_ENTRIES * 8) >> PAGE_SHIFT;
export const ROOT_ENTRIES: u32 = 1 << (32 - LEAF_SHIFT);

export const TAG_MASK: u32 = 15;
export const TAG_RAW: u32 = 3;

/** The state of a block that is allocated. */
export const ENTRY_BLOCK: u64 = (<u64>1) << 32;

/** The state of a block that a thread frees is the thread's number, plus one, above this. */
export const ENTRY_FREEING_SHIFT: u64 = 33;

/** The entry of a page inside a block: it does not tell where the block begins, so blocks grow and shrink by one store. */
export const ENTRY_INSIDE: u64 = (<u64>TAG_RAW) | (1 << 4);

/* ------------------------------------------------------------------------------------------------------------------ *
 * The free bits: one for each page, 1 if the page is free, in words of 64. A page of such words covers 128 MiB, and the
 * Heap has a root of 32.
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
 * The links of a list (list.ts). Structs that are in a list, pools and arenas, begin with them.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Link {
  next: usize;
  prev: usize; // 0: this one is the first
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A slab: one run of pages holding `count` elements of one cache.
 *
 *   run                                        slab          first element
 *   |  unused | state n-1 | ... | state 1 | state 0 | Slab header | element 0 | element 1 | ... | unused |
 *                                                   32 bytes
 *
 * An element has no header. State bytes run downwards from the slab's header, so that one address, `slab`, gives both:
 * state i is at slab - 1 - i, element i at slab + 32 + i * stride. NEVER bytes pad them (see stateBytes).
 *
 * A state byte, with t the number of a thread:
 *   NEVER     0000 0000   never carved, so never allocated
 *   RESERVED  0001 0000   in its epoch's reserve
 *   FREE      0010 0000   returned to the slab
 *   QUARANTINED 0000 1000 freed, and held back (debug heaps; guarded.ts)
 *   CACHED    01tt tttt   taken by thread t: a round of its magazine, in transit, or handed over to a waiter
 *   LIVE      1mtt tttt   outstanding, allocated to thread t; a bulk free marks the elements of its array by m
 *
 * The summary is one word, so that one change tells everything that the users of a slab must agree on:
 *
 *   bit       0..45        46          47..63
 *            +------------+-----------+------------+
 *            | groups     | kept      | out        |
 *            +------------+-----------+------------+
 *   groups: bit g is set if a state byte of group g may be FREE. A group has 8, 16, 32, ... state bytes.
 *   kept:   the slab is on a stack of its cache, or held by the thread whose `slab` names it.
 *   out:    elements that are neither FREE nor NEVER, except those that a thread is just taking or returning.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Slab {
  next: usize; // the next slab on the stack
  carver: u32; // number of the thread that carved from this slab last
  summary: u64;
  count: u32; // elements the run has room for
  end: u32; // elements that may be carved: fewer than `count` where the pool has a limit
  carved: u32; // elements carved so far
  pages: u32; // pages of the run << 16 | bytes from the run's start to this header
}

/** Bytes of a red zone of a debug heap. The first element of a slab has one between it and the slab's header. */
export const ZONE: u32 = 64;

export const SLAB_HEADER: u32 = DEBUG ? 32 + ZONE : 32;

export const GROUPS: u32 = 46;
export const SLAB_GROUPS: u64 = ((<u64>1) << GROUPS) - 1;
export const SLAB_KEPT: u64 = (<u64>1) << GROUPS;
export const SLAB_OUT_SHIFT: u32 = GROUPS + 1;
export const SLAB_OUT: u64 = (<u64>1) << SLAB_OUT_SHIFT;

/** The summary of a slab on its way back to pages. */
export const SLAB_RETIRED: u64 = -1;

export const STATE_NEVER: u32 = 0x00;
export const STATE_RESERVED: u32 = 0x10;
export const STATE_FREE: u32 = 0x20;
export const STATE_QUARANTINED: u32 = 0x08;
export const STATE_CACHED: u32 = 0x40;
export const STATE_LIVE: u32 = 0x80;

/** The m of LIVE. */
export const STATE_MARK: u32 = 0x40;

/** STATE_FREE in each of eight state bytes. */
export const STATES_FREE: u64 = 0x2020202020202020;

/** The largest size and alignment of an element, in bytes. */
export const MAX_SIZE: u32 = 1 << 24;
export const MAX_ALIGN: u32 = PAGE;

/* ------------------------------------------------------------------------------------------------------------------ *
 * A cache (the kernel's kmem_cache): elements of one size, the slabs they are in, and how to find an element's index.
 * It is no thread's: what threads cache, elements in the state CACHED, is in their magazines.
 *
 * stride = odd << shift. For an offset o into a slab's elements, index = rotr(o * inverse, shift), with inverse the
 * inverse of odd modulo 2^32, is o / stride if that is a whole number, and at least 2^32 / stride if not: one
 * multiplication divides and tells interior pointers apart (Granlund and Montgomery 1994, section 9).
 *
 * The first slabs of a cache have `smallPages` pages, so that a few elements cost little; later slabs have more, as the
 * cache grows, up to `largePages`.
 *
 * A slab with something to give is on one of two stacks: `partial`, which allocs take from first, or `swept`, to which
 * a search for empty slabs moves the others. A stack is the address of its first slab | a number that changes with
 * every change << 32.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Cache {
  partial: u64;
  swept: u64;
  inverse: u32;
  shift: u32;
  indexEnd: u32; // every element of this cache has an index below this, which is far below 2^32 / stride
  sizeClass: u32; // malloc's size class of which these are the blocks, plus one; 0: none
  handle: usize; // without threads, malloc's handle of that class; 0: none
  stride: u32; // bytes
  smallPages: u32;
  largePages: u32;
  align: u32; // bytes, a power of two
  slabs: u32;
  slabPages: u32; // pages of all slabs
  capacity: u32; // elements that the slabs may carve, at most maxNr; or ENDED
  emptied: u32; // counts slabs that became empty
  sweptAt: u32; // `emptied` when a search for empty slabs was last due
  maxNr: u32; // elements
  pool: usize; // 0: the cache of the allocator's own records
  backend: u32; // BACKEND_*
  // Findings of inspect/check.ts; nothing else uses these.
  seenSlabs: u32;
  seenPartial: u32; // slabs with SLAB_KEPT
  seenCached: u32; // elements in that state
  seenReserved: u32;
  seenLive: u32;
  seenCapacity: u32;
  spare: u32;
}

/**
 * The capacity of an epoch that has no slab and never gets one again: it is over, or its pool is closed, and its last
 * element was returned.
 */
export const ENDED: u32 = -1;

/*
 * Backends. A new one is known to createPool in pool/lifecycle.ts (range), adoptEpoch in pool/magazine.ts (what a
 * thread caches), slabTake and slabGive in memory/elements.ts (which element is next; when a slab returns), reclaimAll
 * in pool/reclaim.ts (whether empty slabs return), include/wasm_mempool.h, src/core/abi.ts, src/pool/options.ts, and to the lists
 * of backends in test/contract. Other tests of `backend` concern BACKEND_EXTERNAL alone.
 */
/** Elements are in slabs, and threads cache them. */
export const BACKEND_SLAB: u32 = 0;
/** As BACKEND_SLAB, but no thread caches any: for elements of whole pages, which the host asks for by size and align. */
export const BACKEND_PAGES: u32 = 1;
/** As BACKEND_SLAB, but no slab goes back to pages before the pool ends. */
export const BACKEND_BUMP: u32 = 2;
/** Elements are boxes, of 4 bytes, each for an element of the host's backend. */
export const BACKEND_EXTERNAL: u32 = 3;

/* ------------------------------------------------------------------------------------------------------------------ *
 * An epoch of a pool: an era in which the pool's elements have one size. It is a cache, and the reserve of elements of
 * that size. (It has nothing to do with epoch-based reclamation.) The page map names the epoch of each slab, so that a
 * free returns an element to the right one, however often the pool was reshaped since.
 *
 * The reserve is a set of slots, in chunks that never move: a resize adds one.
 *
 *   reserve -> | next | base | end | 0 | slot base | ... | slot end-1 |    next -> | 0 | 0 | end | 0 | slot 0 | ... |
 *
 * A slot, 4 bytes: an element, or 0.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Epoch extends Cache {
  /** One word of 8 bytes with minNr, so that no element comes in beyond minNr. */
  currNr: u32; // elements in the reserve
  minNr: u32; // elements there shall be; 0 in an epoch that is over
  next: usize; // the next in the list of the pool's epochs, which only grows: the record of an ended epoch is reused
  size: u32; // bytes of an element as asked for; the stride may be longer
  reserve: usize; // the newest chunk of slots
  lowestCurrNr: u32; // the lowest currNr ever
  lowWatermark: u32; // the lowest currNr since takeLowWatermark last read this
  unfilled: u32; // 1: a resize could not fill the reserve, which has not been full since
  puts: u32; // counts elements that a thread is about to place in a slot
  guard: u32; // bytes behind each element, of a debug heap: see guarded.ts; 0: the elements are not guarded
  sampled: usize; // where a debug heap guards one element in n: the epoch of those; 0: none
}

/** A chunk: this header, then the slots from `base` to before `end`. */
@unmanaged
export class Slots {
  next: usize; // the next older chunk
  base: u32; // number of the first slot
  end: u32; // number after the last slot
  spare: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * Faults to order: whether a request is refused although it could be served (faults.ts). Each pool has these words for
 * its calls of the backend, the heap for requests for pages. A host writes them.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Faults {
  on: u32; // 0: none, and requests are not counted
  calls: u32; // requests so far
  nth: u32; // the number of the request to refuse; 0: none
  rate: u32; // of 2^32 requests, how many are refused, chosen by `seed`; 2^32 - 1: all
  seed: u32;
  pages: u32; // in the heap: the most pages it may grow to; 0: maxPages
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A pool: its epochs, and what its threads have to know of each other. It never moves.
 *
 * `short`, `waiting` and `closed` send its threads the slow way. The first two are set to a number never used before
 * and cleared by a compare-exchange, so that a thread clears only what it has looked at.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Pool extends Link {
  epoch: usize; // the current one, which allocs take from
  epochs: usize; // the list of all
  short: u32; // not 0: the reserve is not full
  waiting: u32; // not 0: the wait queue is not empty
  closed: u32; // 1: the pool allocates nothing more
  ended: u32; // 1: the pool is closed, and its last element was returned
  recallGeneration: u32; // changes when a thread starves: each thread that sees this gives back what it has cached
  sequence: u32; // the last number that nextSequence gave, for a waiter or a value of `short` or `waiting`
  resizer: u32; // number of the thread that is creating, resizing or reshaping the pool, plus one; 0: none
  initialised: u32; // 1: the pool has been created
  magazines: usize; // the magazine; with threads, a table of magazines by thread number
  tableLength: u32; // of that table: one more than the highest number of a thread that has had a magazine
  peak: u32; // the most outstanding elements, sampled when a thread needs more than its magazine has
  // Faults, in the same order.
  faults: u32;
  faultCalls: u32;
  faultNth: u32;
  faultRate: u32;
  faultSeed: u32;
  faultPages: u32;
  serial: u32; // no other pool of this heap has or had this number
  isShared: u32; // 1: the host has asked for the pool's address, so other threads may attach
  handedOver: u32; // the reaper's: 1: Waiters have elements that were not fetched
  quarantine: usize; // a debug heap's: see Quarantine; 0: none
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A magazine (Bonwick and Adams 2001): elements of one epoch that one thread can allocate without asking any other. Its
 * address is that thread's handle of the pool. The rounds are a stack; the first few are in the same record.
 *
 *   | Magazine | round 0 | round 1 | ... | round n-1 |         a round, 8 bytes:   | element | state byte's address |
 *              ^ first             ^ top             ^ end
 *
 * Only its thread touches it, except that every thread may shut the gate and read the counts.
 *
 * `taken` counts elements that the thread took from slabs and reserve, less those it gave back there, modulo 2^30, with
 * two flags. TAKEN_IN_TRANSIT: the count leaves out elements in transit, that is, CACHED by the thread and no rounds.
 * TAKEN_UNCOUNTED: the thread is dead, and the count leaves out all that it had cached.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Magazine {
  /** One word of 8 bytes with `taken`, where a move between magazine and slabs changes both. */
  top: usize; // the end of the last round
  taken: u32;
  liveState: u32; // STATE_LIVE | the thread's number; 0: the thread has no handle of the pool
  epoch: usize; // the epoch that the rounds are of; 0: none
  /** The gate, one word of 8 bytes with freeLimit. */
  allocLimit: usize; // an alloc with `top` at or below this goes the slow way
  freeLimit: usize; // a free with `top` at or above this goes the slow way
  inverse: u32; // copies of the epoch's
  shift: u32;
  indexEnd: u32;
  pool: usize;
  allocs: u64; // allocations that neither `reserveHits` nor `preallocated` counts
  first: usize; // round 0
  capacity: u32; // rounds it may hold; 0: the thread caches nothing
  fullCapacity: u32; // rounds it may hold once it has grown
  recallGeneration: u32; // the pool's, as the thread last answered it
  waiters: usize; // a record of WAITERS Waiters; 0 without threads
  bulks: u32; // odd while the thread is in a bulk allocation; changes when one begins or ends
  reserveHits: u64; // allocations that the reserve served when the backend could not
  preallocated: u64; // allocations that asked for the reserve
  failures: u64; // allocations that got nothing
  reclaims: u32; // allocations that called reclaim
  inTaken: u32; // the reaper's: elements in `taken` that the dead thread held, but no rounds
}

export const TAKEN_IN_TRANSIT: u32 = 1 << 31;
export const TAKEN_UNCOUNTED: u32 = 1 << 30;
export const TAKEN: u32 = TAKEN_UNCOUNTED - 1;

/** The gate with both ends shut: allocLimit 2^32 - 1, freeLimit 0. */
export const GATE_SHUT: u64 = 0x00000000ffffffff;

/** Bytes of a round. */
export const ROUND: u32 = 8;

export const MAX_ROUNDS: u32 = 1024;

/** A magazine and the slabs exchange at most this many rounds at once. */
export const BATCH: u32 = 32;

/** A magazine holds about this many bytes of elements at most, but always one element. */
export const MAGAZINE_BYTES: u32 = 1 << 16;

/** A pool's magazines get a record of rounds once its slabs have the first number of pages, and a page for each of the second. */
export const RECORD_ROUNDS_AT: u32 = 2;
export const PAGE_ROUNDS_AT: u32 = 8;

/** A magazine does not grow beyond a 64th of maxPages. */
export const MAGAZINE_SHARE_SHIFT: u32 = 6;

/** With threads, one thread caches at most a 16th of maxNr: a pool with a small maxNr caches nothing. */
export const MAX_NR_SHARE_SHIFT: u32 = 4;

/** Bytes of a record: pools, arenas, magazines and small reserves. Larger objects take whole pages. */
export const RECORD: u32 = 256;

/** Where the rounds in a magazine's own record begin: in a debug heap, behind SAMPLE_AT. */
export const MAGAZINE_HEADER: u32 = offsetof<Magazine>() + (DEBUG ? 8 : 0);

/** A debug heap's word of 8 bytes in a Magazine: `allocs` at which the next sample is due; all ones: never. */
export const SAMPLE_AT: u32 = offsetof<Magazine>();

export const SMALL_ROUNDS: u32 = (RECORD - MAGAZINE_HEADER) / ROUND;

export const RECORD_ROUNDS: u32 = RECORD / ROUND;

/* ------------------------------------------------------------------------------------------------------------------ *
 * A Waiter: where a thread waits for an element. Value and sequence are one word of 8 bytes: a thread hands an element
 * over by one compare-exchange of both, so only the waiter with that sequence can get it. The wait queue is the Waiters
 * of all threads with value WAITING; the lowest sequence is first. No Waiter at `end` or above is in use.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Waiter {
  value: u32; // 0: unused; WAITING; WOKEN_CLOSED; else the element handed over
  sequence: u32; // from Pool.sequence, which wraps
  end: usize; // of a thread's first Waiter alone: the end of those that a search looks at; 0: it looks at none
  spare: u32;
}

export const WAITERS: u32 = RECORD / offsetof<Waiter>();

export const WAITING: u32 = 1;
/** The pool was closed. */
export const WOKEN_CLOSED: u32 = 2;

/* ------------------------------------------------------------------------------------------------------------------ *
 * An arena: memory allocated by adding, and freed all at once. A list of chunks, each a raw run:
 *
 *   | ArenaChunk | allocated ... | free ... |
 *                                ^ position ^ end
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Arena extends Link {
  position: usize; // where the next allocation begins, before alignment
  end: usize; // the end of the current chunk
  current: usize; // the chunk that allocations come from
  first: usize; // the list of chunks
  chunkPages: u32; // pages of a new chunk, unless an allocation needs more
  pages: u32; // pages of all chunks
  chunks: u32;
  thread: u32; // number of the only thread that may touch the arena; NOBODY: it has ended, and is still in the list
}


@unmanaged
export class ArenaChunk {
  next: usize;
  pages: u32; // pages of this chunk
  left: usize; // the arena's position when it went on to the next chunk
  spare: u32;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * A thread: one instance at work on the heap. Before it takes something apart, it announces that in these words
 * (base/intent.ts), so that another thread can finish it: see reap.ts. The Threads lie in the Heap, by number.
 *
 * A count above an address or run changes with every store of the word, also where the address is the same again.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Thread {
  number: u32;
  nudge: u32; // changes when the thread shall look around: a thread starves, or has left
  /** One word, so that a thread and its label come and go together. */
  life: u64; // LIFE_* | threads that had this number before << LIFE_SHIFT | the host's label << 32
  run: u64; // the run it takes or frees: page | pages << 20 | RUN_OURS | RUN_GROWS | count << RUN_SHIFT
  round: u64; // the round that elementTake gets
  slab: u64; // the slab it takes from or returns to | count << 32
  hand: u64; // the element it puts into a reserve or takes out | count << 32
  scratch: usize; // SCRATCH_WORDS words by which a host passes arrays: in the Heap for thread 0, else in a page
  transit: u32; // IN_TRANSIT or 0 | elements that it has marked for a bulk free << 1
  counting: u32; // the cache whose slabs it counts up or down
  counts: u32; // changes with every store of `counting`
}

export const THREAD_SHIFT: u32 = 6;

export const MAX_THREADS: u32 = 64;

/** The number of no thread. */
export const NOBODY: u32 = -1;

/** Stands for threads that have left, in the state bytes of elements allocated to them. No thread has this number. */
export const LEFT_NUMBER: u32 = MAX_THREADS - 1;

/** The thread is at work. 0: no thread has the number. */
export const LIFE_ALIVE: u32 = 1;
/** The thread is dead, and not yet reaped. */
export const LIFE_DEAD: u32 = 2;
/** The thread has left, and another thread is to return what it had. */
export const LIFE_LEFT: u32 = 3;
export const LIFE_MASK: u32 = 3;

/** Elements allocated to an earlier thread of this number may still bear it. */
export const LIFE_JOINING: u32 = 4;

export const LIFE_SHIFT: u32 = 3;

/** Flag of `transit`: no magazine's `taken` has the elements that the thread has in transit. */
export const IN_TRANSIT: u32 = 1;

/** All pages of the run are this thread's. Without it, the thread is still clearing or setting their free bits. */
export const RUN_OURS: u64 = (<u64>1) << 40;

/** Memory grows: the heap's count of pages may be wrong. */
export const RUN_GROWS: u64 = (<u64>1) << 41;

export const RUN_SHIFT: u32 = 42;

export const SCRATCH_WORDS: u32 = 256;

/** The size classes that malloc may have (malloc/classes.ts): a thread's handles of them are behind its scratch words. */
export const SIZE_CLASSES: u32 = 64;

/** Bytes up to which a thread finds malloc's handle by the size, in steps of 8: those words follow the handles by class. */
export const STEPS_BYTES: u32 = 1024;
export const STEP_SHIFT: u32 = 3;

/** Words with a thread's handles: by class, then by size, where there is a step for 0 bytes, too. */
export const HANDLE_WORDS: u32 = SIZE_CLASSES + (STEPS_BYTES >> STEP_SHIFT) + 1;

/**
 * Then for each class what Magazine.taken is, of elements that the thread takes and gives back while it has no handle. They
 * stay when it leaves, for the next bearer of its number.
 */
export const SCRATCH_TAKEN: u32 = 4 * (SCRATCH_WORDS + HANDLE_WORDS);
export const SCRATCH_BYTES: u32 = SCRATCH_TAKEN + 4 * (SIZE_CLASSES + 1);

/* ------------------------------------------------------------------------------------------------------------------ *
 * The heap: the first pages of the memory it manages (from 1 KiB on, where it owns the memory from address 0).
 *
 *   | Heap | records | scratch | size classes | their pools | root of the free bits | root of the page map | threads |
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Heap {
  magic: u32; // HEAP_MAGIC, unless the heap has ended
  pages: u32; // pages under this heap
  maxPages: u32; // the most it may have
  grows: u32; // 1: it takes more by memory.grow
  growCount: u32; // successful calls of memory.grow
  pools: usize; // the list of pools
  poolCount: u32;
  arenas: usize; // the list of arenas
  arenaCount: u32;
  refusedSize: u32; // Wasm pages: the size of the memory that the host refused last; 0: none
  hint: u32; // a word of free bits: as far as is known, none before it has a bit set
  threads: u32; // every number a thread ever had is below this
  reaped: u32; // counts reaped threads: from the first on, a table may lack its entry in the page map
  lock: u32; // number of the thread that has the lock of the lists (list.ts), plus one; 0: none
  freed: u32; // counts runs that became free
  walker: u32; // number of the thread that walks all slabs, plus one; unless 0, no slab goes back to pages
  notFound: u64; // pages of a run that was searched for in vain | `freed` before the search << 32. See runAlloc
  serials: u32; // pools ever created
  leavers: u32; // 1: a thread has left without the lock, or was about to
  // Faults, in the same order.
  faults: u32;
  faultCalls: u32;
  faultNth: u32;
  faultRate: u32;
  faultSeed: u32;
  faultPages: u32;
}

/** A debug heap has another, so that no release core attaches to it. */
export const HEAP_MAGIC: u32 = DEBUG ? 0x64656270 : 0x6c6f6f70;

/** The heap's address if it owns the memory from address 0: writes through a null pointer miss it. */
export const HEAP_AT_ZERO: u32 = 1024;

/** Pages that the heap's own structures take, besides tables. */
export const HEAP_PAGES: u32 = THREADS ? 3 : 2;

/** A debug heap's Debug, in the word behind the Heap. */
export const HEAP_DEBUG: u32 = offsetof<Heap>();

/** The cache of records, at a multiple of 16; and what follows it, as drawn above. Bytes from the heap's address. */
export const HEAP_RECORDS: u32 = 112;
export const HEAP_SCRATCH: u32 = HEAP_RECORDS + 112;
export const HEAP_CLASS_POOLS: u32 = HEAP_SCRATCH + SCRATCH_BYTES;
export const HEAP_BITS_ROOT: u32 = HEAP_CLASS_POOLS + 4 * SIZE_CLASSES;
export const HEAP_ROOT: u32 = HEAP_BITS_ROOT + 4 * BITS_ROOT_ENTRIES;
export const HEAP_THREADS: u32 = HEAP_ROOT + 4 * ROOT_ENTRIES;
export const HEAP_BYTES: u32 = HEAP_THREADS + ((THREADS ? MAX_THREADS : 1) << THREAD_SHIFT);

/** Traps if a struct differs from its drawing. Costs nothing: every condition is a constant. */
export function checkLayout(): void {
  assert(offsetof<Slab>() == (DEBUG ? SLAB_HEADER - ZONE : SLAB_HEADER));
  assert(
    (DEBUG ? offsetof<Heap>() + 4 : offsetof<Heap>()) <= HEAP_RECORDS &&
      offsetof<Cache>() <= HEAP_SCRATCH - HEAP_RECORDS,
  );
  // A cache's address must not look like a tag in the page map.
  assert(!(HEAP_RECORDS & TAG_MASK) && !(HEAP_AT_ZERO & TAG_MASK));
  // A word of 8 bytes that is changed at once lies at a multiple of 8.
  assert(!((HEAP_RECORDS + offsetof<Cache>("partial")) & 7) && !(HEAP_THREADS & 7) && !(HEAP_SCRATCH & 7));
  assert(!(offsetof<Heap>("notFound") & 7));
  assert(!(offsetof<Epoch>("currNr") & 7) && offsetof<Epoch>("minNr") == offsetof<Epoch>("currNr") + 4);
  assert(offsetof<Faults>() == offsetof<Pool>("serial") - offsetof<Pool>("faults"));
  assert(offsetof<Faults>() == offsetof<Heap>() - offsetof<Heap>("faults"));
  assert(
    !(offsetof<Magazine>("allocLimit") & 7) && offsetof<Magazine>("freeLimit") == offsetof<Magazine>("allocLimit") + 4,
  );
  assert(offsetof<Magazine>("top") == 0 && offsetof<Magazine>("taken") == 4);
  // src/pool/bulk.ts reads top and freeLimit, and the hit path inverse and shift as one.
  assert(offsetof<Magazine>("freeLimit") == 20 && offsetof<Magazine>("inverse") == 24);
  assert(!(offsetof<Thread>("life") & 7) && offsetof<Thread>() == 1 << THREAD_SHIFT);
  assert(
    offsetof<Pool>() <= RECORD &&
      offsetof<Epoch>() <= RECORD &&
      offsetof<Arena>() <= RECORD &&
      MAX_THREADS << 2 <= RECORD,
  );
  assert(HEAP_AT_ZERO + HEAP_BYTES <= HEAP_PAGES << PAGE_SHIFT);
}


@inline
export function alignUp(n: u32, align: u32): u32 {
  return (n + align - 1) & ~(align - 1);
}
