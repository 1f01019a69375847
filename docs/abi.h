/*
 * The ABI of core.wasm, core.imported.wasm and core.shared.wasm, for hosts in any language.
 *
 * Every parameter and result is an i32, read as unsigned, or where it says double an f64; an address is a byte offset in the module's memory, and 0 is
 * none. Nothing is imported but, by the latter two, the memory ("env" "memory"). Handles of pools and arenas, and the
 * addresses of arrays, are not checked: a wrong one may trap or do damage. Element addresses are checked, all of them, by
 * every free. Besides that only a fault of ours, or damage to the allocator's own structures, traps.
 *
 * One instance serves one heap, and in core.shared.wasm is one of its threads: at most 64. core.checked.wasm is the
 * same, slower, and catches two frees of one element at the same instant. Instances, and handles of pools,
 * are not shared: each thread has its own. mempool_alloc and mempool_free, and what is made of them, never wait for another
 * thread. Those that may, for some tens of milliseconds, while another has the lock of the heap's lists, say so. Only
 * mempool_alloc_wait sleeps. The version is 3; a change that breaks a caller raises it.
 */
#ifndef WASM_MEMPOOL_ABI_H
#define WASM_MEMPOOL_ABI_H
#include <stdint.h>

typedef uint32_t address; /* 0: none */
typedef uint32_t pool;    /* a thread's handle, and an address the caller must leave alone */
typedef uint32_t arena;

uint32_t abi_version(void);

/* ---- heap ---- */

/*
 * Makes a heap of `bytes` bytes at `base` and has this instance serve it. With base 0 the heap owns the memory from
 * address 0. It may have at most `max_pages` pages of 4 KiB. grows: 1, it calls memory.grow when it needs more; 0, never.
 * Returns the heap's address; 0 if there is no such memory or `bytes` (28 KiB at least) are too few. core.wasm starts with 64 KiB, so
 * heap_create(0, 65536, 1 << 20, 1) makes a heap that may have 4 GiB.
 */
address heap_create(uint32_t base, uint32_t bytes, uint32_t max_pages, uint32_t grows);

/*
 * Has this instance serve a heap that another instance made in the same memory; in core.shared.wasm as a thread of its own,
 * which the host may find again by `label`, any number. 0 if there is no heap at `heap`, or 64 threads already, or no memory.
 */
uint32_t heap_attach(address heap, uint32_t label);

/* 256 words of this thread's a host may use to pass arrays. */
address heap_scratch(void);

/*
 * Gives cached elements, empty slabs and this thread's spare arena chunks back to the page layer; returns the bytes it got.
 * Does nothing while another thread has the lock. O(pools, slabs).
 */
uint32_t heap_trim(void);

/* Requests to be refused although they could be served, for tests: see assembly/faults.ts. */
struct mempool_faults {
  uint32_t on;    /* 0: none is refused, and none counted */
  uint32_t calls; /* requests since */
  uint32_t nth;   /* this one is refused; 0: none for its number */
  uint32_t rate;  /* of 2^32 so many are, chosen by the seed; 0xffffffff: all */
  uint32_t seed;
  uint32_t pages; /* of a heap: the most pages it grows to; 0: as without */
};

/* Where the host writes a struct mempool_faults for requests for pages. */
address heap_faults(void);

/* ---- mempool ---- */

/* What mempool_free and mempool_free_check return, as int32_t. */
enum {
  MEMPOOL_FREED = 0,
  MEMPOOL_FREED_LAST = 1,       /* the last element of a pool after mempool_exit: its handle is gone */
  MEMPOOL_FOREIGN_FREE = -1,    /* in another pool's memory */
  MEMPOOL_DOUBLE_FREE = -2,     /* free already */
  MEMPOOL_INTERIOR_FREE = -3,   /* inside an element */
  MEMPOOL_MISALIGNED_FREE = -4, /* no multiple of the pool's alignment */
  MEMPOOL_INVALID_ADDRESS = -5, /* never handed out by a pool */
  MEMPOOL_CLOSED = -6,          /* after mempool_exit: anything but an element still out */
  MEMPOOL_NOT_NOW = -7,         /* resize, reshape: another thread is just doing that */
  MEMPOOL_NO_MEMORY = -8,       /* resize, reshape */
  MEMPOOL_UNWANTED = 2          /* free of a cell: its element is the host's again, and then mempool_uncell */
};

/* Where a pool's elements come from. */
enum {
  MEMPOOL_SLAB = 0,  /* slabs; empty ones go back to the heap */
  MEMPOOL_PAGES = 1, /* the same, but no thread caches any: for elements of whole pages */
  MEMPOOL_BUMP = 2,  /* one after the other; all memory goes back at once when the pool has ended */
  MEMPOOL_HOST = 3   /* the host: see mempool_cell */
};

/*
 * A pool with `min_nr` elements in reserve; 0 if an argument is out of range or memory is gone, and nothing has changed.
 * size: 1 to 2^24 bytes. align: a power of two to 4096. min_nr: to 2^28, not above max_nr. max_nr: the most elements
 * cached, in reserve and handed out together; 0xffffffff: no cap. O(min_nr). May wait for the lock.
 */
pool mempool_create(uint32_t size, uint32_t align, uint32_t min_nr, uint32_t max_nr, uint32_t backend);

/*
 * Sets min_nr: what is above it goes back to the slabs, what is missing is taken from them, and who waits is served. 1; or 0
 * if memory is short: later frees fill it; or MEMPOOL_CLOSED, _NO_MEMORY or _NOT_NOW, and nothing has changed. O(change).
 */
int32_t mempool_resize(pool p, uint32_t min_nr);

/*
 * From here on elements have this size, with a reserve of them, filled first. Those of the old size stay valid until they
 * are freed, as ever. 1; or MEMPOOL_CLOSED, _NO_MEMORY or _NOT_NOW, and nothing has changed. O(min_nr).
 */
int32_t mempool_reshape(pool p, uint32_t size, uint32_t align);

/* The size of an element that is out; of 0, that of elements handed out from now on. */
uint32_t mempool_size(pool p, address element);

/* Where the host writes a struct mempool_faults for calls of the backend, and then calls mempool_stir. */
address mempool_faults(pool p);

/* Has all threads look at the pool again before they hand out or take back anything. */
void mempool_stir(pool p);

/* An element: from the cache, slabs, growth, then the reserve, then after reclaim; else 0. O(1), but for reclaim. */
address mempool_alloc(pool p);

/* The same, zeroed. */
address mempool_zalloc(pool p);

/* An element of the reserve only; else 0. */
address mempool_alloc_preallocated(pool p);

/* Zeroes an element just allocated, and returns it; 0 stays 0. */
address mempool_zero(pool p, address element);

/* Fills an array of `count` words with elements: 1; or 0, and those it could have are back. */
uint32_t mempool_alloc_bulk(pool p, address array, uint32_t count);

/* Takes an element back. MEMPOOL_FREED, also for 0; MEMPOOL_FREED_LAST; or an error, and nothing has changed. O(1). */
int32_t mempool_free(pool p, address element);

/* What mempool_free would return, without freeing: MEMPOOL_FREED if it may be freed. 0 is MEMPOOL_INVALID_ADDRESS. */
int32_t mempool_free_check(pool p, address element);

/*
 * For a bulk free that is all or none. Marks `count` elements and returns count; or marks none and returns the index of the
 * first that may not be freed or is there twice. With mark 0: takes marks back. 0 is skipped. Marked elements may be freed.
 */
uint32_t mempool_mark(pool p, address array, uint32_t count, uint32_t mark);

/* Frees `count` elements; what mempool_free returned of the last. Of those that may not be freed, nothing is told. */
int32_t mempool_free_bulk(pool p, address array, uint32_t count);

/*
 * Closes the pool: nothing more is handed out, who waits is woken, and elements still out stay valid. Returns how many there
 * are, counting those other threads have cached; with 0, or when mempool_free returns MEMPOOL_FREED_LAST, the handle is gone.
 * May be called again.
 */
uint32_t mempool_exit(pool p);

/*
 * Of a pool with MEMPOOL_HOST, made with size 4: each element is a cell, whose word is an element of the host's. To
 * allocate: mempool_cell; if there is one, and its word is 0, the host allocates and writes the word; if it cannot, it gives
 * the cell back by mempool_uncell and tries mempool_alloc, which takes of the reserve alone. To free: mempool_free; if that
 * returns MEMPOOL_UNWANTED, the host takes its element back, writes 0, and calls mempool_uncell. The reserve is filled by
 * allocating and freeing, and emptied, after mempool_exit and when a resize made it smaller, by mempool_drain.
 */

/* A cell, handed out, counted as an allocation or not; 0 if there is none. */
address mempool_cell(pool p, uint32_t counts);

/* Takes a cell back whose word is 0; `counted`: as if it had never been had. Returns what mempool_free does. */
int32_t mempool_uncell(pool p, address cell, uint32_t counted);

/* A cell, handed out, of a closed pool's reserve, or of what is above min_nr; 0 if there is none. */
address mempool_drain(pool p);

/* ---- arena: its thread's alone ---- */

/* An arena that asks for at least `chunk_bytes` at a time, the first time now; 0 if memory is gone. */
arena arena_create(uint32_t chunk_bytes);

/* `bytes` at a multiple of `align`, a power of two to 4096; 0 if memory is gone. O(1). */
address arena_alloc(arena a, uint32_t bytes, uint32_t align);

/* Where the arena stands; arena_reset goes back there. */
address arena_mark(arena a);

/* Takes back what was handed out since `mark`; with 0, everything. 0 if it is no place in what is handed out now. */
uint32_t arena_reset(arena a, address mark);

/* Ends the arena; its memory goes back to the heap. May wait for the lock. */
void arena_exit(arena a);

/* ---- threads: core.shared.wasm alone ---- */

/* This thread's number, 0 to 63. Whoever made the heap is 0. */
uint32_t heap_thread(void);

/* Leaves the heap: what this thread has cached goes back, and its handles are gone: 1. Or 0: the lock is not to be had now. */
uint32_t heap_detach(void);

/* The number of a thread with this label that has not left, else -1. */
int32_t heap_find_thread(uint32_t label);

/*
 * Takes back all that a dead thread held, but for what it was handed out: list that first, by mempool_next_live. 1; or 0 if
 * it is this thread or none; or -1 if another that has stopped or died is in the way: reap that one, or call again later. The
 * caller must know that the thread is dead. May wait.
 */
int32_t heap_reap(uint32_t thread);

/*
 * For a thread that has nothing to do: gives what it has cached to pools where somebody starves, and serves who waits: 1.
 * Or 0 while another thread has the lock: then again soon.
 */
uint32_t heap_settle(void);

/* An i32 of this thread's that changes, and is notified, when somebody starves for what it may have cached. */
address heap_nudge(void);

/* Sleeps while the i32 at `at` is `expected`, up to so many milliseconds (infinity: for ever). 2: the time is over. */
uint32_t heap_sleep(address at, uint32_t expected, double milliseconds);

/* What a handle is a handle of: the same in all threads. */
address mempool_pool(pool p);

/* This thread's handle of a pool; 0 if that is closed or gone, or memory is. May wait for the lock. */
pool mempool_attach(address the_pool);

/* Gives the handle back, with what is cached: 1. Or 0: the lock is not to be had now. */
uint32_t mempool_detach(pool p);

/* 1 if the last element of a closed pool has come home. */
uint32_t mempool_ended(pool p);

/* The first element above `after` that was handed out to `thread` (-1: to any) and not freed since; 0 if there is none. */
address mempool_next_live(pool p, address after, uint32_t thread);

/*
 * Gets in line for an element: a place; 0 if this thread has 16 of this pool. With ticket 0 at the end; else with the ticket
 * of an earlier place, where that was. A place has an i32, its value, and at 4 its ticket. The value is 1 as long as one
 * waits, 2 when the pool has closed, else an element handed over; it is notified when it changes. First come, first served.
 */
address mempool_wait_begin(pool p, uint32_t ticket);

/* Gives the place back: the element if one was handed over, else 0. */
address mempool_wait_end(pool p, address place);

/* An element, waiting up to `timeout` milliseconds (infinity: for ever); 0 if the time is over or the pool closed. Sleeps. */
address mempool_alloc_wait(pool p, double timeout);

/* ---- inspect.imported.wasm and inspect.shared.wasm, instantiated over the same memory ---- */

/*
 * Checks the heap at `heap`, when no thread is in the middle of a call; returns how many problems it found, at most 64, and
 * writes them to `at`, 256 words. Each is four words: a code, and three values. The codes are in assembly/check.ts.
 */
uint32_t heap_check(address heap, address at);

/* Bytes that are free, or still to be had. */
double heap_left(address heap);

/* Seven doubles: pages of 4 KiB; the most it may have; free pages; pages in the longest free run; grows; pools; arenas. */
void heap_stats(address heap, address at);

/*
 * Sixteen doubles: elements in reserve; handed out; in caches; the fewest there ever were in reserve; allocations served by
 * cache and slabs, by the reserve in need, by the reserve on request; refused; slabs; bytes of slabs; min_nr; an element's
 * size; sizes of which there are slabs; the most elements handed out; reclaims; bytes from one element to the next.
 */
void mempool_stats(pool p, address at);

/* The fewest elements in the reserve since the last call. */
uint32_t mempool_dip(pool p);

/* Three doubles: bytes handed out; bytes held; chunks. */
void arena_stats(arena a, address at);

#endif
