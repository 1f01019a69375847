/*
 * A debug heap: link libwasm_mempool_debug.a, or load debug.imported.wasm or debug.shared.wasm, in place of the core, and compile
 * with MEMPOOL_DEBUG, by which wasm_mempool.h includes this file. Nothing else in a program changes.
 *
 * Each element has red zones of 64 bytes on both sides. One that is not outstanding holds 0xDD; one that is just allocated holds
 * 0xA5. A freed element stays in quarantine for a while. Zones and freed elements are checked at each alloc and free of the
 * element, when it leaves the quarantine, and by debug_check. What is found is a report.
 */
#ifndef WASM_MEMPOOL_DEBUG_H
#define WASM_MEMPOOL_DEBUG_H

#include "wasm_mempool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The site with a text of so many bytes at `text`: its address; 0 if there is no memory for it. Each text is kept once. */
mempool_address_t debug_site(mempool_address_t text, uint32_t bytes);

/* Has this thread allocate and free at a site from now on; 0: at no known one. */
void debug_use(mempool_address_t site);

/*
 * Tells the time of all threads' allocs from now on, until another call: milliseconds since a fixed moment, the same for all
 * threads, from 1 to 2^48. Until the first call no time is known. With MEMPOOL_CLOCK defined as an expression of that type, each
 * alloc and free of the program tells it: -DMEMPOOL_CLOCK='emscripten_date_now()'.
 */
void debug_clock(double milliseconds);

/*
 * Who allocated and who freed the element that has an address, or in whose zones it is: twelve words at `array`. The element; its
 * bytes; its state byte (0x80 and above: outstanding); the site of the alloc; of the free; the thread that allocated | the thread
 * that freed << 8 (0xff: not known); how often it was allocated; the step of the alloc; of the free (0: none); the pool as
 * debug_pool names it; and in the last two words, as a double, what debug_clock had told at the alloc (0: nothing). The text of a
 * site is at its address + 12, and has the bytes that the word at + 8 says. Returns 1; 0: it is no such address.
 */
uint32_t debug_trace(mempool_address_t address, mempool_address_t array);

/*
 * Has pools made from now on guard one element in n, at random: for use in production. The others are as in a heap that is no
 * debug heap, and an alloc costs 7 instructions more. Of pools with a max_nr, of the reserve, and of what a waiter gets, none is
 * guarded. 0: no change. Returns the n of the heap; 0: all elements are guarded. For a new heap, before its first pool.
 *
 * To say where only the guarded elements are allocated and freed, call debug_use(1). Then mempool_alloc returns 0 where such an
 * element is due, and mempool_free and mempool_free_all return 3 for one: call debug_use with the site, make the call again, and
 * then debug_use(1).
 */
uint32_t debug_sample(uint32_t n);

/* Whether a guarded element is due within this thread's next `count` allocs: 1 or 0. Where mempool_alloc_bulk is to know its site. */
uint32_t debug_due(mempool_t p, uint32_t count);

/* Checks all elements, reports what is damaged, and mends it. Returns how many are damaged. */
uint32_t debug_check(void);

/*
 * Takes the oldest report out: 18 words at `array`. 2; the kind: 1 written before the element, 2 behind it, 3 to it while it was
 * not outstanding, 4 what the heap remembers of it is overwritten; the pool; the element; its bytes; where the damage begins,
 * from the element's beginning; the bytes damaged; the thread that found it; the first 16 bytes written (four words); the sites,
 * threads, generation and steps as of debug_trace (six words). Returns 1; 0: there is none.
 */
uint32_t debug_report(mempool_address_t array);

/* The address by which reports name a pool. */
mempool_address_t debug_pool(mempool_t p);

#ifdef __cplusplus
}
#endif

/* Where the program allocates and frees: these take the place of the functions of the same names. */
#define MEMPOOL_TEXT_(line) #line
#define MEMPOOL_TEXT(line) MEMPOOL_TEXT_(line)
#define MEMPOOL_HERE __FILE__ ":" MEMPOOL_TEXT(__LINE__)
#ifdef MEMPOOL_CLOCK
#define MEMPOOL_TICK_ debug_clock(MEMPOOL_CLOCK)
#else
#define MEMPOOL_TICK_ ((void)0)
#endif
#define MEMPOOL_AT (MEMPOOL_TICK_, debug_use(debug_site((mempool_address_t)(uintptr_t)MEMPOOL_HERE, sizeof(MEMPOOL_HERE) - 1)))

#define mempool_alloc(p) (MEMPOOL_AT, mempool_alloc(p))
#define mempool_zalloc(p) (MEMPOOL_AT, mempool_zalloc(p))
#define mempool_alloc_preallocated(p) (MEMPOOL_AT, mempool_alloc_preallocated(p))
#define mempool_alloc_bulk(p, array, count) (MEMPOOL_AT, mempool_alloc_bulk(p, array, count))
#define mempool_alloc_wait(p, timeout) (MEMPOOL_AT, mempool_alloc_wait(p, timeout))
#define mempool_free(p, element) (MEMPOOL_AT, mempool_free(p, element))
#define mempool_free_bulk(p, array, count) (MEMPOOL_AT, mempool_free_bulk(p, array, count))

#endif
