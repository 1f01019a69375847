/* A program that knows what it calls has no table: it calls Z_coreZ_mempool_alloc(&core, pool). */
#define F(count, name) {#name, count, (void (*)(void))Z_coreZ_##name},
#define VOID 9
static const struct { const char *name; int count; void (*function)(void); } table[] = {
#ifdef MALLOC
  F(1, malloc) F(2, calloc) F(2, realloc) F(2, aligned_alloc) F(1, malloc_usable_size) F(2, malloc_reserve) F(VOID, free)
#else
  F(0, abi_version) F(0, heap_error) F(0, heap_exit) F(0, heap_left) F(0, heap_max_pages) F(0, heap_scratch) F(0, heap_trim)
  F(2, heap_attach) F(4, heap_create) F(5, mempool_create) F(1, mempool_exit) F(1, mempool_alloc) F(1, mempool_zalloc)
  F(1, mempool_alloc_preallocated) F(2, mempool_zero) F(2, mempool_free) F(2, mempool_free_check) F(3, mempool_alloc_bulk)
  F(4, mempool_mark) F(3, mempool_free_all) F(3, mempool_free_bulk) F(2, mempool_resize) F(3, mempool_reshape) F(2, mempool_size)
  F(1, mempool_curr_nr) F(1, mempool_min_nr) F(1, mempool_outstanding) F(1, mempool_take_low_watermark) F(1, arena_create)
  F(3, arena_alloc) F(1, arena_mark) F(2, arena_reset) F(VOID, arena_exit)
#endif
};
