/* Threads without a library: each is an instance in the same memory. What they exchange is in static memory. */
#define WASM_MEMPOOL_NO_STDLIB
#include "wasm_mempool.h"
#include "wasm_mempool_malloc.h"

enum { TURNS = 2000, SLOTS = 32, STACK = 16384 };

static uint32_t *slots[SLOTS];
static unsigned char stacks[8][STACK] __attribute__((aligned(16)));

void *stackTop(int thread) { return stacks[thread + 1]; }

static int empty(uint32_t *block) {
  uint32_t words = block[0];
  if (block[words - 1] != words) return 0;
  block[words - 1] = 0;
  free(block);
  return 1;
}

/* How many blocks of others it freed; -1: it got no memory; -2: one was damaged. */
int work(int thread, int round) {
  uint32_t state = round * 8 + thread + 1;
  int exchanged = 0;
  for (int turn = 0; turn < TURNS; turn++) {
    state = state * 1664525 + 1013904223;
    uint32_t words = 2 + (state >> 8) % (turn % 100 ? 200 : 20000);
    uint32_t *block = malloc(4 * words);
    if (!block) return -1;
    block[0] = block[words - 1] = words;
    uint32_t *other = __atomic_exchange_n(&slots[(state >> 4) % SLOTS], block, __ATOMIC_SEQ_CST);
    if (!other) continue;
    if (!empty(other)) return -2;
    exchanged++;
  }
#ifndef STAYS
  malloc_thread_exit();
#endif
  return exchanged;
}

int finish(void) {
  int left = 0;
  for (int i = 0; i < SLOTS; i++)
    if (slots[i]) left += empty(slots[i]);
  return left;
}

static mempool_t pool;
/* Makes a pool; how other threads know it, 0 if there is none. */
uint32_t poolFirst(void) {
  pool = mempool_create(64, 8, 4, UINT32_MAX, MEMPOOL_SLAB);
  return mempool_share(pool);
}
uint32_t attachFirst(uint32_t shared) { return mempool_alloc(mempool_attach(shared, 0)); }
uint32_t arenaFirst(void) { return arena_alloc(arena_create(0), 100, 8); }

/* Sets 4 long blocks aside. */
int set(void) { return malloc_reserve(50000, 4); }

/* Takes all other memory. */
void drain(void) {
  static const uint32_t sizes[] = {40000, 5000, 700, 100, 8};
  for (int i = 0; i < 5; i++)
    while (malloc(sizes[i])) continue;
}

/* How many long blocks there are. */
int take(void) {
  int count = 0;
  while (malloc(50000)) count++;
  return count;
}
