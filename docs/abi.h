/*
 * The ABI of core.wasm, core.imported.wasm and core.shared.wasm, for hosts in any language.
 *
 * Every parameter and result is an i32, read as unsigned; an address is a byte offset in the module's memory, and 0 is
 * none. Nothing is imported but, by the latter two, the memory ("env" "memory"). Handles of pools and arenas, and the
 * addresses of arrays, are not checked: a wrong one may trap or do damage. Element addresses are checked, all of them, by
 * every free. Besides that only a fault of ours, or damage to the allocator's own structures, traps.
 *
 * One instance serves one heap. Nothing here waits. The version is 1; a change that breaks a caller raises it.
 */
#ifndef WASM_MEMPOOL_ABI_H
#define WASM_MEMPOOL_ABI_H
#include <stdint.h>

typedef uint32_t address; /* 0: none */
typedef uint32_t pool;    /* a handle, and an address the caller must leave alone */
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

/* Has this instance serve a heap that another instance made in the same memory. 0 if there is none at `heap`. */
uint32_t heap_attach(address heap);

/*
 * Seven doubles: pages of 4 KiB; the most it may have; free pages; pages in the longest free run; grows; pools; arenas.
 * Returns their address, in the scratch area.
 */
address heap_stats(void);

/* 256 words a host may use to pass arrays. Statistics and the checker write there too. */
address heap_scratch(void);

/* Gives cached elements and spare arena chunks back to the page layer; returns the bytes it got. O(pools). */
uint32_t heap_trim(void);

/*
 * Fault injection: the nth request for pages from now on is refused, once. 0 takes that back. Returns how many requests
 * were still to come before the last call's would have been refused.
 */
uint32_t heap_fail_nth(uint32_t n);

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
  MEMPOOL_CLOSED = -6           /* after mempool_exit: anything but an element still out */
};

/*
 * A pool with `min_nr` elements in reserve; 0 if an argument is out of range or memory is gone, and nothing has changed.
 * size: 1 to 2^24 bytes. align: a power of two to 4096. min_nr: to 2^28, not above max_nr. max_nr: the most elements
 * cached, in reserve and handed out together; 0xffffffff: no cap. O(min_nr).
 */
pool mempool_create(uint32_t size, uint32_t align, uint32_t min_nr, uint32_t max_nr);

/* An element: from the cache, slabs, growth, then the reserve, then after reclaim; else 0. O(1), but for reclaim. */
address mempool_alloc(pool p);

/* The same, zeroed. */
address mempool_zalloc(pool p);

/* An element of the reserve only; else 0. */
address mempool_alloc_preallocated(pool p);

/* Zeroes an element just allocated, and returns it; 0 stays 0. */
address mempool_zero(pool p, address element);

/*
 * Makes slabs until the next `count` allocations cannot fail, the reserve counted in, as long as nobody else takes memory
 * in between: 1; or 0, and nothing has changed.
 */
uint32_t mempool_prefill(pool p, uint32_t count);

/* Fills an array of `count` words with elements: 1; or none and 0, and nothing has changed. */
uint32_t mempool_alloc_bulk(pool p, address array, uint32_t count);

/* Takes an element back. MEMPOOL_FREED, also for 0; MEMPOOL_FREED_LAST; or an error, and nothing has changed. O(1). */
int32_t mempool_free(pool p, address element);

/* What mempool_free would return, without freeing: MEMPOOL_FREED if it may be freed. 0 is MEMPOOL_INVALID_ADDRESS. */
int32_t mempool_free_check(pool p, address element);

/*
 * A bulk free in two steps, so that it is all or none. mempool_mark marks `count` elements and returns count; or marks
 * none and returns the index of the first that may not be freed or is there twice. mempool_free_marked frees marked
 * elements and returns MEMPOOL_FREED or MEMPOOL_FREED_LAST. mempool_unmark takes marks back. 0 is skipped by all three.
 */
uint32_t mempool_mark(pool p, address array, uint32_t count);
int32_t mempool_free_marked(pool p, address array, uint32_t count);
void mempool_unmark(pool p, address array, uint32_t count);

/*
 * Closes the pool: nothing more is handed out, and elements still out stay valid. Returns how many there are; with 0,
 * or when mempool_free returns MEMPOOL_FREED_LAST, the handle is gone.
 */
uint32_t mempool_exit(pool p);

/*
 * Ten doubles: elements in reserve; handed out; in the cache; the fewest there ever were in reserve; allocations served
 * by cache and slabs, by the reserve in need, by the reserve on request; refused; slabs; bytes of slabs. Returns their
 * address, in the scratch area.
 */
address mempool_stats(pool p);

/* ---- arena ---- */

/* An arena that asks for at least `chunk_bytes` at a time, the first time now; 0 if memory is gone. */
arena arena_create(uint32_t chunk_bytes);

/* `bytes` at a multiple of `align`, a power of two to 4096; 0 if memory is gone. O(1). */
address arena_alloc(arena a, uint32_t bytes, uint32_t align);

/* Where the arena stands; arena_reset goes back there. */
address arena_mark(arena a);

/* Takes back what was handed out since `mark`; with 0, everything. 0 if it is no place in what is handed out now. */
uint32_t arena_reset(arena a, address mark);

/* Ends the arena; its memory goes back to the heap. */
void arena_exit(arena a);

/* Three doubles: bytes handed out; bytes held; chunks. Returns their address, in the scratch area. */
address arena_stats(arena a);

/* ---- check.imported.wasm and check.shared.wasm, instantiated over the same memory ---- */

/*
 * Checks the heap at `heap`; returns how many problems it found, at most 64. Each is four words in the scratch area: a
 * code, and three values. The codes are in assembly/check.ts.
 */
uint32_t heap_check(address heap);

#endif
