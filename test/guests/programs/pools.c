/* Pools alone, on a heap that the program makes: of one call of the library, or of all of them. */
#include "wasm_mempool.h"

extern unsigned char __heap_base;

mempool_t start(void) {
  mempool_address_t base = (mempool_address_t)(unsigned long)&__heap_base;
  if (!heap_create(base, (__builtin_wasm_memory_size(0) << 16) - base, 1 << 20, 1)) return 0;
  return mempool_create(64, 8, 4, 0xffffffff, MEMPOOL_SLAB);
}

mempool_address_t take(mempool_t pool) { return mempool_alloc(pool); }
#ifdef MORE
int32_t give(mempool_t pool, mempool_address_t element) { return mempool_free(pool, element); }
uint32_t stop(mempool_t pool) { return mempool_exit(pool) + heap_exit(); }
#endif
