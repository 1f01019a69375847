/*
 * The ABI of the wasm modules, for hosts in any language; and the calls of the archives, for programs that link one. C99, C++.
 *
 *   struct request { uint64_t sector; int is_write; };
 *   mempool_t requests = mempool_create(sizeof(struct request), 8, 16, UINT32_MAX, MEMPOOL_SLAB);
 *   struct request *request = (struct request *)mempool_alloc(requests);   (0: memory is gone, and the reserve is empty)
 *   mempool_free(requests, (mempool_address_t)request);
 *   mempool_exit(requests);
 *
 * docs/guests.md has this as a whole program with its command, docs/hosts.md the same for hosts.
 *
 * Every parameter and result is an i32, read as unsigned, or an f64 where this header says double. An address is a byte
 * offset in the module's memory, and 0 is none. Each free checks its element's address. A call with a null handle, and a call
 * while the instance serves no heap, touch no memory: they return 0, or a code where the call returns codes, and heap_error
 * gives the reason. No other handle is checked, nor is the address of an array: a wrong one may trap or do damage. Otherwise
 * the core traps only on a fault of its own, or on damage to its structures. The version is 4; a change that breaks a caller
 * raises it.
 *
 * BUILDS. One instance serves one heap.
 *   core.wasm            has its own memory and no import.
 *   core.imported.wasm   imports a memory ("env" "memory"). Several instances in one thread may serve one heap (heap_create
 *                        in the first, heap_attach in the others); they act as one, and share handles.
 *   core.shared.wasm     imports a shared memory. Each instance is one of the heap's threads, at most 63. A handle of a pool
 *                        belongs to one thread (mempool_attach); threads pass on elements and what mempool_share returns.
 *   control.shared.wasm  the other half of core.shared.wasm: the calls marked [control], which no hot loop needs. It imports
 *                        the same memory and, as module "core", the exports of the thread's instance of core.shared.wasm.
 *                        The two instances are one thread.
 *   core.guarded.wasm    core.imported.wasm and malloc.wasm in one module, with all structures of the allocator in a second memory
 *                        of its own, which it exports as "guarded" (for inspect.imported.wasm) and no other code writes to: a
 *                        stray write of a guest damages elements alone. Needs an engine with multi-memory. It takes as
 *                        much address space again, and pages of memory for the structures alone.
 *   core.checked.wasm    core.shared.wasm and control.shared.wasm in one module; slower, and catches two frees of one element
 *                        at the same instant.
 *
 * The mark [control] tells in which half of core.shared.wasm a call is, and nothing else: every other module and every archive
 * has all calls, at the same price.
 *
 * ARCHIVES. A program is one instance.
 *   libwasm_mempool_malloc.a         pools and malloc (wasm_mempool_malloc.h). The heap lies behind the program's data and grows:
 *                                    the first block, pool or arena makes it, and no program calls heap_create.
 *   libwasm_mempool.a                pools alone, as core.imported.wasm: heap_create comes first. Beside the program's own malloc:
 *                                    BESIDE A GUEST.
 *   ..._malloc_shared.a, ..._shared.a  the same for programs with threads. With malloc, a thread's first block, pool, arena or
 *                                    mempool_attach makes it one of the heap's; without, heap_attach does.
 *   ..._debug.a, ..._debug_shared.a  in place of libwasm_mempool.a and libwasm_mempool_shared.a: wasm_mempool_debug.h.
 *
 * WAITING. mempool_alloc, mempool_free and the calls built on them never wait for another thread. A call that may wait for
 * the lock of the heap's lists says so; it waits some tens of milliseconds at most and then refuses with MEMPOOL_BUSY: the
 * host sleeps and tries again, and reaps the thread that holds the lock if that has ended. Only mempool_alloc_wait and
 * heap_sleep sleep.
 *
 * MEMORY OF ITS OWN: core.wasm starts with 64 KiB: heap_create(0, 65536, 1 << 20, 1) makes a heap of up to 4 GiB.
 *
 * IMPORTED MEMORY, NO GUEST: make a memory, instantiate core.imported.wasm or core.shared.wasm with it as "env" "memory", and
 * call heap_create(0, its bytes, the most pages of 4 KiB it may have, 1).
 *
 * BESIDE A GUEST with an allocator of its own: that allocator gives the heap's memory, at any time, and the heap never grows:
 *   base = the guest's malloc(bytes);  heap_create(base, bytes, 0, 0);
 * heap_exit comes before the guest frees the block. With grows = 1 a heap takes what it grows by memory.grow; so does a
 * heap_create at the end of memory. Beside some guests that is unsafe: the allocators of AssemblyScript (all runtimes),
 * emscripten and wasi-libc before 2023 take memory by its size and write over the heap, whether they start before or after
 * it. It is safe beside allocators that use only what they grew and what the linker gave them: Rust's std, Zig's
 * wasm_allocator, and wasi-libc with a linker that knows __heap_end.
 *
 * THREADS: one instance of core.shared.wasm (and of control.shared.wasm) a thread, all on one shared memory.
 *   the first: heap = heap_create(...); p = mempool_create(...); passes heap and mempool_share(p) on;
 *   another:   heap_attach(heap, label); q = mempool_attach(what mempool_share gave, 0); ... heap_detach();
 * If a thread ends without heap_detach, another reaps it: number = heap_find_thread(its label); mempool_next_live(q, ...)
 * for each pool lists its elements; heap_reap(number, its label).
 *
 * THE END: either mempool_exit each pool, so that its elements may still be freed, or call heap_exit: that ends everything at
 * once, and the memory is the caller's again.
 *
 * INTERRUPTION. A call that fuel, an epoch deadline, a trap or the death of its thread cuts off leaves the heap half-way
 * through something. core.wasm and core.imported.wasm cannot repair that: drop the heap (instantiate anew; beside a guest,
 * free the block). With core.shared.wasm the interrupted instance counts as a dead thread: stop using it, and another
 * instance reaps it (heap_reap); then the heap is sound. A host that may stop a guest at any time gives it core.shared.wasm,
 * even with one thread, and keeps a second instance to reap it.
 */
#ifndef WASM_MEMPOOL_ABI_H
#define WASM_MEMPOOL_ABI_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t mempool_address_t; /* 0: none */
typedef uint32_t mempool_t;         /* a handle of a pool: of the thread that it was given to */
typedef uint32_t mempool_arena_t;   /* a handle of an arena: of the thread that made it */

uint32_t abi_version(void);

/* ---- refusals ---- */

/* The reason of a refusal: some calls return it, heap_error gives that of the others. */
enum {
  MEMPOOL_CLOSED = -6,       /* the pool is closed, or gone */
  MEMPOOL_BUSY = -7,         /* another thread is in the way for now: try again */
  MEMPOOL_NO_MEMORY = -8,    /* memory, or max_nr, is used up */
  MEMPOOL_BAD_ARGUMENT = -9, /* an argument is out of range, or a handle is 0 */
  MEMPOOL_NO_HEAP = -10,     /* this instance serves no heap, or there is none at that address */
  MEMPOOL_NO_THREAD = -11    /* the heap has 63 threads */
};

/*
 * The reason why this instance's last call refused with 0; valid until its next call. For every form of alloc: NO_MEMORY or
 * CLOSED. After a 0 that is no refusal (mempool_exit, mempool_next_live, mempool_wait_end) it says nothing.
 */
int32_t heap_error(void);

/* ---- heap ---- */

/*
 * [control] Makes a heap of `bytes` bytes at `base`; this instance serves it. With base 0 the heap owns the memory from
 * address 0 (bytes 0: all 4 GiB). The bytes are rounded inwards to pages of 4 KiB: at least 8 pages, 9 in core.shared.wasm,
 * and up to 3 more if a multiple of 4 MiB lies inside. These hold a small pool; 52 KiB do wherever they begin. The heap has
 * at most `max_pages` pages, including the first ones; 0: as many as `bytes` has; above 2^20: 2^20. The heap never uses the
 * last page of 4 GiB. grows: 1, the heap calls memory.grow when it needs more; 0, never. Returns the heap's address. Or 0 and
 * heap_error: BAD_ARGUMENT, there is no such memory, or too few pages; BUSY, this instance serves a heap already, and still
 * does.
 */
mempool_address_t heap_create(uint32_t base, uint32_t bytes, uint32_t max_pages, uint32_t grows);

/*
 * [control] Lets this instance serve a heap that another instance made in the same memory; in core.shared.wasm as a thread of
 * its own, which heap_find_thread finds by `label`, any number. 1; or 0 and heap_error: NO_HEAP, there is none at `heap`;
 * NO_THREAD; NO_MEMORY; BUSY, this instance serves a heap already.
 */
uint32_t heap_attach(mempool_address_t heap, uint32_t label);

/*
 * [control] Ends the heap with everything in it: 1. Its memory is the caller's again; all handles and elements are invalid.
 * Or 0: BUSY, another thread is attached; NO_HEAP. Other instances of core.imported.wasm that serve the heap must not be
 * used after that.
 */
uint32_t heap_exit(void);

/* The address of 256 words of this thread's, through which a host may pass arrays. */
mempool_address_t heap_scratch(void);

/*
 * [control] Returns cached elements, empty slabs and this thread's spare arena chunks to the free pages; returns the bytes
 * that became free. Does nothing while another thread holds the lock. O(pools and slabs).
 */
uint32_t heap_trim(void);

/*
 * [control] The most pages of 4 KiB that the heap may have. And: pages that are free or that it may still grow by; O(memory).
 * The memory's own maximum (--max-memory) is not known to the heap: both count pages that memory.grow will refuse, heap_left
 * only until it has refused some.
 */
uint32_t heap_max_pages(void);
uint32_t heap_left(void);

/* Faults for tests: requests that are refused although they could be served. */
struct mempool_faults {
  uint32_t on;    /* 0: no request is refused or counted */
  uint32_t calls; /* requests counted */
  uint32_t nth;   /* the request with this number is refused; 0: none by number */
  uint32_t rate;  /* of 2^32 requests this many are refused, chosen by the seed; 0xffffffff: all */
  uint32_t seed;
  uint32_t pages; /* for a heap: the most pages it may grow to; 0: its own limit */
};

/* [control] The address of a struct mempool_faults for requests for pages; the host writes it. */
mempool_address_t heap_faults(void);

/* ---- mempool ---- */

/* What mempool_free and mempool_free_check return, as int32_t. After mempool_exit they return MEMPOOL_CLOSED for anything but
   an outstanding element. */
enum {
  MEMPOOL_FREED = 0,
  MEMPOOL_FREED_LAST = 1,       /* the last element of a pool after mempool_exit: the handle is gone */
  MEMPOOL_NOT_STORED = 2,       /* free of a box: the host takes its element back and calls mempool_box_free */
  MEMPOOL_FOREIGN_FREE = -1,    /* the address is in another pool's memory */
  MEMPOOL_DOUBLE_FREE = -2,     /* the element is free already */
  MEMPOOL_INTERIOR_FREE = -3,   /* the address is inside an element */
  MEMPOOL_MISALIGNED_FREE = -4, /* the address is no multiple of the pool's alignment */
  MEMPOOL_INVALID_ADDRESS = -5  /* no pool ever allocated this address */
};

/* Where a pool's elements come from. */
enum {
  MEMPOOL_SLAB = 0,    /* slabs; empty slabs return to the heap */
  MEMPOOL_PAGES = 1,   /* slabs of whole pages, which no thread caches */
  MEMPOOL_BUMP = 2,    /* slabs that return to the heap only when the pool has ended */
  MEMPOOL_EXTERNAL = 3 /* the host's own allocator: see mempool_box_alloc */
};

/*
 * [control] A pool with `min_nr` elements in its reserve. Or 0, and nothing has changed: BAD_ARGUMENT; NO_MEMORY; BUSY,
 * another thread holds the lock or is returning memory just now.
 * size: 1 to 2^24 bytes. align: a power of two up to 4096. min_nr: up to 2^28, not above max_nr. max_nr: the most elements
 * cached, reserved and outstanding together; 0xffffffff: no limit. O(min_nr). May wait for the lock.
 */
mempool_t mempool_create(uint32_t size, uint32_t align, uint32_t min_nr, uint32_t max_nr, uint32_t backend);

/*
 * [control] Sets min_nr: a surplus returns to the slabs, missing elements come from them, and waiters are served. 1; or 0:
 * memory is short, and later frees fill the reserve. Or, with nothing changed: MEMPOOL_CLOSED; NO_MEMORY; BAD_ARGUMENT (above
 * max_nr); BUSY, another thread resizes or reshapes the pool. O(change).
 */
int32_t mempool_resize(mempool_t p, uint32_t min_nr);

/*
 * [control] Gives the pool's elements another size from now on, with a reserve of them, which is filled first. Elements of
 * the old size stay valid until they are freed. 1; or, with nothing changed: MEMPOOL_CLOSED, NO_MEMORY, BAD_ARGUMENT or BUSY.
 * O(min_nr).
 */
int32_t mempool_reshape(mempool_t p, uint32_t size, uint32_t align);

/* The size in bytes of an outstanding element; for 0, of elements that are allocated from now on. */
uint32_t mempool_size(mempool_t p, mempool_address_t element);

/* The number of elements in the reserve; the reserve's target; the number outstanding. */
uint32_t mempool_curr_nr(mempool_t p);
uint32_t mempool_min_nr(mempool_t p);
uint32_t mempool_outstanding(mempool_t p);

/* [control] The fewest elements in the reserve since the last such call. */
uint32_t mempool_take_low_watermark(mempool_t p);

/* [control] The address of a struct mempool_faults for the pool's backend; the host writes it and calls mempool_refresh. */
mempool_address_t mempool_faults(mempool_t p);

/* [control] Makes every thread look at the pool again before it allocates or frees. */
void mempool_refresh(mempool_t p);

/* An element: from the thread's magazine, slabs, growth, then the reserve, then after reclaim; else 0. O(1), but for reclaim. */
mempool_address_t mempool_alloc(mempool_t p);

/* The same, zeroed. */
mempool_address_t mempool_zalloc(mempool_t p);

/* An element of the reserve; else 0. */
mempool_address_t mempool_alloc_preallocated(mempool_t p);

/* Zeroes an element that was just allocated, and returns it; 0 stays 0. */
mempool_address_t mempool_zero(mempool_t p, mempool_address_t element);

/* Fills an array of `count` words with elements: 1. Or 0, and the pool has all its elements again. */
uint32_t mempool_alloc_bulk(mempool_t p, mempool_address_t array, uint32_t count);

/* Frees an element. MEMPOOL_FREED, also for 0; MEMPOOL_FREED_LAST; or an error, and nothing has changed. O(1). */
int32_t mempool_free(mempool_t p, mempool_address_t element);

/* What mempool_free would return, without freeing. 0 is MEMPOOL_INVALID_ADDRESS. */
int32_t mempool_free_check(mempool_t p, mempool_address_t element);

/*
 * Frees the `count` elements in an array, all or none: MEMPOOL_FREED; MEMPOOL_FREED_LAST, and then the handle is gone; or the
 * error of the first that cannot be freed or that the array names twice, and nothing has changed. Skips 0. O(count).
 */
int32_t mempool_free_all(mempool_t p, mempool_address_t array, uint32_t count);

/*
 * For a free of all or none whose array comes in parts. Marks `count` elements and returns count; or marks none and returns the index of the first
 * that cannot be freed or that the array names twice. With mark 0 it removes the marks. Skips 0. A marked element may be
 * freed.
 */
uint32_t mempool_mark(mempool_t p, mempool_address_t array, uint32_t count, uint32_t mark);

/*
 * Frees `count` elements that mempool_mark has marked: MEMPOOL_FREED, or MEMPOOL_FREED_LAST, and then the handle is gone. Skips
 * any other number without an error.
 */
int32_t mempool_free_bulk(mempool_t p, mempool_address_t array, uint32_t count);

/*
 * [control] Closes the pool: it allocates nothing more, its waiters wake, and outstanding elements stay valid. Returns how
 * many these are, including those that other threads have cached. The handle is gone when this returns 0 or when
 * mempool_free returns MEMPOOL_FREED_LAST. May be called again.
 */
uint32_t mempool_exit(mempool_t p);

/*
 * A pool with MEMPOOL_EXTERNAL, made with size 4, keeps elements of the host's own allocator in boxes: each element of the
 * pool is a box, whose word is the host's element.
 * To allocate: mempool_box_alloc; if it gives a box whose word is 0, the host allocates and writes the word; if the host
 * cannot, it returns the box with mempool_box_free and calls mempool_alloc, which takes from the reserve.
 * To free: mempool_free; if that returns MEMPOOL_NOT_STORED, the host takes its element back, writes 0 and calls
 * mempool_box_free. The host fills the reserve by mempool_box_fill, after mempool_create and after
 * a resize, and empties it by mempool_box_drain, after mempool_exit and after a resize.
 */

/* A box, allocated, and counted as an allocation or not; 0 if there is none. */
mempool_address_t mempool_box_alloc(mempool_t p, uint32_t counts);

/* Returns a box whose word is 0; with `uncount` its allocation no longer counts. Returns what mempool_free does. */
int32_t mempool_box_free(mempool_t p, mempool_address_t box, uint32_t uncount);

/*
 * [control] Puts `count` elements of the host's into boxes, and those into the reserve, while that is short, and writes each
 * one's box over it. Returns how many, from the first on; the others stay the host's.
 */
uint32_t mempool_box_fill(mempool_t p, mempool_address_t array, uint32_t count);

/*
 * [control] Takes up to `count` elements of the host's out of the reserve of a closed pool, or out of one above min_nr. Returns
 * how many; or, if that was the last of the closed pool and the handle is gone, -1 less that.
 */
int32_t mempool_box_drain(mempool_t p, mempool_address_t array, uint32_t count);

/*
 * For a host that visits the outstanding elements of a pool without a call for each. Describes the pool's first slab with an
 * element at or above `from`, in four words at `array`: the address of element 0, the bytes from one element to the next, the
 * number of elements, and a count. Returns the address of that count; 0 if there is no such slab.
 *
 * Element i is outstanding while bit 7 of the byte at (element 0) - 33 - i is set. The description holds while the count does not
 * change; after a change, and at the slab's end, call again. Other threads may free an element at any time: a host that uses
 * the elements must know that no other thread does.
 */
mempool_address_t mempool_next_slab(mempool_t p, mempool_address_t from, mempool_address_t array);

/*
 * Adds `n` to the calls that got nothing: what mempool_stats calls failures. Negative for a host whose call goes on after
 * mempool_alloc or mempool_alloc_bulk got nothing.
 */
void mempool_add_failures(mempool_t p, int32_t n);

/* ---- arena: for the thread that made it ---- */

/*
 * [control] An arena that takes at least `chunk_bytes` at a time, the first time now. Or 0: NO_MEMORY, BAD_ARGUMENT, or BUSY
 * as in mempool_create. May wait for the lock.
 */
mempool_arena_t arena_create(uint32_t chunk_bytes);

/* `bytes` at a multiple of `align`. Or 0: NO_MEMORY; BAD_ARGUMENT, `align` is no power of two up to 4096. O(1). */
mempool_address_t arena_alloc(mempool_arena_t a, uint32_t bytes, uint32_t align);

/* The arena's position, for arena_reset. */
mempool_address_t arena_mark(mempool_arena_t a);

/* Frees everything allocated since `mark`; with 0, everything. Returns 0 if `mark` is no position in the arena. */
uint32_t arena_reset(mempool_arena_t a, mempool_address_t mark);

/* [control] Ends the arena; its memory returns to the heap. May wait for the lock. */
void arena_exit(mempool_arena_t a);

/* ---- threads: core.shared.wasm and control.shared.wasm alone ---- */

/* [control] This thread's number, 0 to 62; 0 made the heap. 0xffffffff without a heap. */
uint32_t heap_thread(void);

/* [control] The number of threads that have neither left nor been reaped. */
uint32_t heap_thread_count(void);

/* [control] Sets the label by which heap_find_thread finds this thread. */
void heap_label(uint32_t label);

/*
 * [control] This thread leaves the heap: 1. Its cached elements return to their pools, its handles are gone, and its arenas
 * end, as do its pools that no other thread can reach. While another thread holds the lock for long, this thread only says
 * that it has left, and another finishes the rest.
 */
uint32_t heap_detach(void);

/* [control] The number of a thread with this label that has not left; else -1. */
int32_t heap_find_thread(uint32_t label);

/*
 * [control] Takes back everything that a dead thread held but its outstanding elements: list those first by
 * mempool_next_live. 1; or 0: it is the calling thread, or there is none; or -1: another thread that has stopped or died is
 * in the way: reap that one, or call again later. With a label other than 0, only the thread with that number and label. The
 * caller must know that the thread is dead. May wait for the lock.
 */
int32_t heap_reap(uint32_t thread, uint32_t label);

/*
 * [control] For a thread with nothing to do: returns its cached elements to pools where another thread's allocation failed,
 * and serves waiters: 1. Or 0 while another thread holds the lock: call again soon.
 */
uint32_t heap_idle(void);

/* The address of an i32 of this thread's that changes, with a notification, when another thread needs what it has cached. */
mempool_address_t heap_nudge(void);

/* Sleeps while the i32 at `at` is `expected`, up to so many milliseconds (infinity: for ever). 2: the time is over; 1, at
   once: the i32 differs, or there is no heap. */
uint32_t heap_sleep(mempool_address_t at, uint32_t expected, double milliseconds);

/*
 * [control] The pool's address, the same in all threads, for mempool_attach. From now on other threads may attach. A pool for
 * which this was never called ends with the last thread that has a handle of it, even with elements outstanding.
 */
mempool_address_t mempool_share(mempool_t p);

/* [control] A number that no other pool of this heap has or had. */
uint32_t mempool_serial(mempool_t p);

/* [control] Makes an outstanding element this thread's, for mempool_next_live. Returns what mempool_free would. */
int32_t mempool_adopt(mempool_t p, mempool_address_t element);

/*
 * [control] This thread's handle of a pool; with a serial other than 0, only of the pool with that serial. Or 0: CLOSED, the
 * pool is closed or gone; NO_MEMORY; BUSY. May wait for the lock.
 */
mempool_t mempool_attach(mempool_address_t pool, uint32_t serial);

/* [control] Gives the handle up, with what it has cached: 1. Or 0: BUSY. May wait for the lock. */
uint32_t mempool_detach(mempool_t p);

/* [control] 1 if the last element of a closed pool has been freed. */
uint32_t mempool_ended(mempool_t p);

/* [control] The first outstanding element above `after` that `thread` (0xffffffff: any) allocated or adopted; else 0. */
mempool_address_t mempool_next_live(mempool_t p, mempool_address_t after, uint32_t thread);

/*
 * Joins the pool's wait queue; returns a waiter. Or 0 and BUSY: this thread has 16 waiters in this pool. With sequence 0 the
 * waiter is the last; else it stands where an earlier waiter with that sequence number stood. At the waiter's address is an
 * i32, its value, and at 4 its sequence number. The value is 1 while it waits, 2 when the pool has closed, else an element
 * that was handed over; a change comes with a notification. First come, first served.
 */
mempool_address_t mempool_wait_begin(mempool_t p, uint32_t sequence);

/* Leaves the queue: the element if one was handed over, else 0. */
mempool_address_t mempool_wait_end(mempool_t p, mempool_address_t waiter);

/* An element, after up to `timeout` milliseconds (infinity: no limit); 0: the time is over, or the pool closed. Sleeps. */
mempool_address_t mempool_alloc_wait(mempool_t p, double timeout);

/* ---- inspect.imported.wasm and inspect.shared.wasm, instantiated over the same memory; and debug builds ---- */

/* Of the archives, those of debug heaps alone have these calls: another program's memory is looked at from outside. */

/*
 * Checks the heap at `heap` while no thread is inside a call; returns the number of problems, at most 64; 0xffffffff if there
 * is no heap. Writes each problem to `at`, 256 words, as four words: a code (assembly/inspect/check.ts) and three values.
 */
uint32_t heap_check(mempool_address_t heap, mempool_address_t at);

/*
 * As mempool_next_live, for builds without it: in a pool of the heap at `heap`. Without threads the only one is 0. With a null
 * `p`: of any pool and any thread.
 */
mempool_address_t heap_next_live(mempool_address_t heap, mempool_t p, mempool_address_t after, uint32_t thread);

/*
 * What lies at `address`, which may be inside it: 0 nothing of the heap at `heap`, or a free page; 1 an element that is
 * outstanding; 2 one that is not, or none at the end of a slab; 3 a block of malloc's above 8,192 bytes; 4 memory of the
 * allocator's own, or of an arena. Writes five words to `at`: the pool's serial number; where the element or block begins;
 * its bytes; the thread that allocated the element (0xffffffff: none, or one that has left); what mempool_share returns for the
 * pool. With 4, the first and last tell whose slab it is, if it is one's.
 */
uint32_t mempool_owner(mempool_address_t heap, mempool_address_t address, mempool_address_t at);

/*
 * The pool after `after`, a result of this call, or the first after 0; 0: there is none. The result is what mempool_share
 * returns for it. Writes six words to `at`: the pool's serial number; a handle of it, of any thread, for mempool_stats (0: no
 * thread has one); 1 if the pool is closed, plus 2 if a waiter waits; the most elements; the backend; the alignment.
 */
mempool_address_t heap_next_pool(mempool_address_t heap, mempool_address_t after, mempool_address_t at);

/*
 * Describes the run of pages at or after page number `page`; returns its first page, 0xffffffff: there is none. Other threads may
 * be at work, or the heap be damaged: no call traps, and a search by the page after each run comes to an end. Writes twelve words to
 * `at`: what the run is; its pages; and, for a slab, the pool's serial number; what mempool_share returns for the pool; the
 * first element; the bytes from one element to the next; an element's size; elements; where the state byte of the first is, and
 * those of the others below it; flags; elements that are neither free nor never allocated; elements ever allocated.
 *
 * A run is: 1 free; 2 the allocator's own, or one that changes just now; 3 a slab; 4 a slab of the allocator's own records; 5 a
 * block of malloc's; 6 a chunk of the arena in the fourth word. Flags: 1 the pool allocates elements of this size; 2 the slab
 * is on a stack of the pool's, or in a thread's hands; 4 the pool is closed.
 *
 * A state byte is 0 never allocated, 0x10 in the reserve, 0x20 free, 0x40 plus a thread's number cached by it, 0x80 plus the
 * number (63: one that has left) outstanding; 0x40 more if a bulk free has marked it.
 */
uint32_t heap_next_run(mempool_address_t heap, uint32_t page, mempool_address_t at);

/*
 * How many threads' waits are in the queue of the pool that mempool_share returned `pool` for. Writes the first 128 to `at`, two
 * words each: the thread, and a sequence number, by which the lowest is served first. Builds without threads have none.
 */
uint32_t mempool_waiters(mempool_address_t heap, mempool_address_t pool, mempool_address_t at);

/* Seven doubles: pages of 4 KiB; the most there may be; free pages; pages in the longest free run; growths; pools; arenas. */
void heap_stats(mempool_address_t heap, mempool_address_t at);

/*
 * Sixteen doubles: elements in the reserve; outstanding; cached; the fewest ever in the reserve; allocations in all, from the
 * reserve for want of others, from the reserve on request; refused; slabs; bytes of slabs; min_nr; an element's size; element
 * sizes that have slabs; the most elements outstanding; reclaims; bytes from one element to the next.
 */
void mempool_stats(mempool_t p, mempool_address_t at);

/* Three doubles: bytes allocated; bytes held; chunks. */
void arena_stats(mempool_arena_t a, mempool_address_t at);

#ifdef __cplusplus
}
#endif

#ifdef MEMPOOL_DEBUG
#include "wasm_mempool_debug.h"
#endif

#endif
