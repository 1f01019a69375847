/*
 * Rounds of threads that allocate, hand blocks to one another and free each other's. Prints what it counted. With -DOURS each
 * thread leaves the heap at its end: otherwise round 16 has no thread number left.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wasm_mempool.h"
#include "wasm_mempool_malloc.h"

enum { THREADS = 4, ROUNDS = 30, TURNS = 5000, SLOTS = 64 };

static _Atomic(uint32_t *) slots[SLOTS];
static atomic_int damaged, refused, exchanged;

static void empty(uint32_t *block) {
  uint32_t words = block[0];
  if (block[words - 1] != words) damaged++;
  block[words - 1] = 0;
  free(block);
}

static void *work(void *number) {
  uint32_t state = (uint32_t)(uintptr_t)number;
  for (int turn = 0; turn < TURNS; turn++) {
    state = state * 1664525 + 1013904223;
    uint32_t words = 2 + (state >> 8) % (turn % 100 ? 200 : 20000);
    uint32_t *block = malloc(4 * words);
    if (!block) {
      refused++;
      continue;
    }
    block[0] = block[words - 1] = words;
    uint32_t *other = atomic_exchange(&slots[(state >> 4) % SLOTS], block);
    if (other) {
      exchanged++;
      empty(other);
    }
  }
#ifdef LEAVES
  malloc_thread_exit();
#endif
  return 0;
}

int main(void) {
  for (int round = 0; round < ROUNDS; round++) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
      if (pthread_create(&threads[i], 0, work, (void *)(uintptr_t)(round * THREADS + i + 1))) return 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
  }
  int left = 0;
  for (int i = 0; i < SLOTS; i++) {
    if (!slots[i]) continue;
    left++;
    empty(slots[i]);
  }
  printf("%d of %d blocks handed on, %d damaged, refused: %s\n", exchanged + left, THREADS * ROUNDS * TURNS, damaged,
         refused ? "some" : "none");
  printf("threads of the heap: %u\n", heap_thread_count());
  return 0;
}
