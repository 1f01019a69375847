/* A reserve under a memory that others have used up. */
#include <stdio.h>
#include <stdlib.h>
#include "wasm_mempool.h"
#include "wasm_mempool_malloc.h"

/* The optimiser takes it that a malloc whose block is not used succeeds. */
static void *(*volatile get)(size_t) = malloc;

struct block {
  struct block *next;
};
static struct block *blocks;

static int drain(size_t bytes) {
  int count = 0;
  for (struct block *one; (one = get(bytes)); count++) {
    one->next = blocks;
    blocks = one;
  }
  return count;
}

/* How many blocks there are, at most `most`; they stay allocated. */
static int take(size_t bytes, int most, void **into) {
  int count = 0;
  while (count < most && (into[count] = get(bytes))) count++;
  return count;
}

int main(void) {
  static void *small[100], *large[100];
  int small_set = malloc_reserve(3000, 8), large_set = malloc_reserve(100000, 4);
  printf("reserved: %d %d\n", (int)small_set, (int)large_set);
  /* Of other classes than the reserves, down to the smallest. */
  int greedy = drain(70000) > 2;
  drain(5000);
  drain(1000);
  drain(100);
  drain(8);
  printf("drained: %d\n", greedy && !get(8) && !get(1000));
  /* A slab may have more of the shorter ones. */
  printf("of the reserve: %d %d\n", take(3000, 100, small) >= 8, take(100000, 100, large));
  for (int round = 0; round < 1000; round++) {
    int i = round % 8, j = round % 4;
    free(small[i]);
    free(large[j]);
    /* What is freed goes to the reserve, not to others. */
    if (get(5000) || get(70000)) return 1;
    if (!(small[i] = get(3000)) || !(large[j] = get(100000))) return 2;
  }
  puts("kept for 1000 rounds");
  while (blocks) {
    struct block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
  printf("given back: %d\n", get(1000000) != 0);
  return 0;
}
