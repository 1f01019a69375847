/* Each bad free of malloc's, as the program itself hears of it; with -DUNHEARD the archive's answer ends it. */
#include <stdio.h>
#include <stdlib.h>
#include "wasm_mempool.h"
#include "wasm_mempool_malloc.h"

#ifndef UNHEARD
static void *last;
static int32_t code;
void wasm_mempool_bad_free(void *address, int32_t why) {
  last = address;
  code = why;
}
#endif

/* The optimiser knows free, and may drop what follows from a second one. */
static void (*volatile release)(void *) = free;

static void bad(const char *what, void *address) {
  release(address);
#ifndef UNHEARD
  printf("%s: %d%s\n", what, (int)code, code && last != address ? ", of another address" : "");
  code = 0;
#endif
}

int main(void) {
  char *small = malloc(100), *large = malloc(100000), *live = malloc(100);
  mempool_t pool = mempool_create(64, 8, 4, 0xffffffff, MEMPOOL_SLAB);
  char *element = (char *)(uintptr_t)mempool_alloc(pool);
  if (!small || !large || !live || !element) return 1;
  release(small);
  release(large);
  puts("freed once");
  fflush(stdout);
  bad("double", small);
  bad("double, of pages", large);
  bad("interior", live + 16);
  bad("misaligned", live + 1);
  bad("a static variable", &pool);
  bad("a pool's element", element);
  bad("good", live);
  if (mempool_free(pool, (mempool_address_t)(uintptr_t)element) != MEMPOOL_FREED) return 2;
  puts("the pool's element is as it was");
  return 0;
}
