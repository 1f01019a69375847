/*
 * malloc, and what it has beyond C's: for programs linked with libwasm_mempool_malloc.a, or with
 * libwasm_mempool_malloc_shared.a if they have threads, and for hosts of malloc.wasm and malloc.shared.wasm. C99 and C++.
 *
 *   cc --target=wasm32-wasi -O2 program.c -L.../wasm-mempool/build -lwasm_mempool_malloc
 *
 * Other toolchains: docs/guests.md; zig cc has to link the archive whole. The archive defines malloc, free, calloc, realloc,
 * reallocarray, aligned_alloc, memalign, posix_memalign and malloc_usable_size, so the C library's allocator is not linked;
 * and all of wasm_mempool.h, over the same heap. The linker drops what the program does not call.
 *
 * BLOCKS. Up to 8,192 bytes a block is an element of a size class, at most a quarter longer than what was asked for, without
 * a header; above that it is whole pages of 4 KiB. Every block of 16 bytes or more is aligned to 16. A size of 0 counts as 1, also in
 * realloc. The largest block is what memory allows. A call that gets no memory returns 0 and does not set errno.
 *
 * COST. malloc and free of a class take some 60 instructions; a longer block costs a search of the bits of free pages, and
 * a store for each page of 4 KiB. realloc of such a block stays in place while the pages behind it are free.
 *
 * BAD FREES. free, realloc and malloc_usable_size of an address at which no block begins (freed before, inside a block, of a
 * pool, of nothing) call wasm_mempool_bad_free, and have changed nothing by then. A program may define that function; otherwise
 * it traps. malloc.wasm and malloc.shared.wasm trap. Of two frees of one block at the same instant on two threads, one is
 * caught for a block of whole pages, perhaps none for a smaller one; a second free of whole pages is MEMPOOL_INVALID_ADDRESS.
 *
 * MEMORY. The heap begins at __heap_base and takes all memory from there on, which it grows. The first block, pool (mempool_create),
 * arena (arena_create), reserve or malloc_heap makes it. malloc.wasm and malloc.shared.wasm begin
 * behind the memory that is there at the first call.
 *
 * THREADS, with the shared archive. Every thread allocates and frees any block. The first call of a thread makes it one of
 * the heap's threads, at most 63 at once; it needs a page of 4 KiB. While it cannot join, it allocates nothing, and what it
 * frees stays allocated. So a program that must not meet that calls malloc_heap once before it starts threads, and at the
 * beginning of each thread.
 *
 * A thread that ends calls malloc_thread_exit last: its number and what it has cached are then for others. After a thread
 * ended without it (a worker that was terminated), another reaps it by heap_find_thread and heap_reap of wasm_mempool.h, which
 * malloc.shared.wasm has, too; the label is the one that the thread gave by heap_label or malloc_attach. Blocks are no
 * thread's: they stay until they are freed. A block that the dead thread was reallocating or freeing is nobody's to free.
 */
#ifndef WASM_MEMPOOL_MALLOC_H
#define WASM_MEMPOOL_MALLOC_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sets `count` blocks of `bytes` (at most 2^24) aside, for malloc of as many bytes, or of fewer that take the same class or as many
 * pages: they are given when all other memory is gone, and frees of such blocks set new ones aside first. 1: done. 0: memory
 * is short, and later frees fill the reserve. MEMPOOL_NO_MEMORY, MEMPOOL_BAD_ARGUMENT: nothing has changed. A count of 0 gives the blocks
 * back. Up to 30 sizes above 8,192 bytes. The blocks are for every thread that has joined the heap. MEMPOOL_BUSY: another thread
 * is in the way, and nothing has changed.
 */
int32_t malloc_reserve(size_t bytes, uint32_t count);

/* The heap's address, for heap_attach of another instance and for inspect.*.wasm; makes or joins the heap. 0: no memory. */
uintptr_t malloc_heap(void);

/* For a host of malloc.shared.wasm: has this instance serve the heap that another made; `label` as for heap_attach. */
int32_t malloc_attach(uintptr_t heap, uint32_t label);

/* The calling thread leaves the heap: see THREADS. Its next call joins again. Without threads it does nothing. */
void malloc_thread_exit(void);

/*
 * Called for a bad free. `code` is what mempool_free returns: MEMPOOL_DOUBLE_FREE, MEMPOOL_INTERIOR_FREE, MEMPOOL_MISALIGNED_FREE,
 * MEMPOOL_INVALID_ADDRESS, or MEMPOOL_FOREIGN_FREE for an element of a pool. If it returns, so does the call, with 0.
 */
void wasm_mempool_bad_free(void *address, int32_t code);

/*
 * Called after the memory has grown. Does nothing, unless a program defines it: emscripten's JavaScript must be told, or what
 * the program prints from new memory is lost (docs/guests.md).
 */
void wasm_mempool_grown(void);

/*
 * The canonical ABI's realloc: a block of `bytes` at a multiple of `align` with what the old one held. With 0 bytes it frees
 * the old one and returns `align`. 0: memory is gone, which the caller may be told.
 */
void *cabi_realloc(void *block, size_t old_bytes, size_t align, size_t bytes);

/* C's. A program includes <stdlib.h> for these; a host, or a program without C's headers, defines WASM_MEMPOOL_NO_STDLIB. */
#ifdef WASM_MEMPOOL_NO_STDLIB
void *malloc(size_t bytes);
void free(void *block);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void *reallocarray(void *block, size_t count, size_t bytes);
void *aligned_alloc(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes);
int posix_memalign(void **block, size_t align, size_t bytes);
size_t malloc_usable_size(void *block);
#endif

#ifdef __cplusplus
}
#endif
#endif
