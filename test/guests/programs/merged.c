/* A program whose malloc is another module's, with a memory and static data of its own. */
#define WASM_MEMPOOL_NO_STDLIB
#include "wasm_mempool_malloc.h"

static unsigned char before[100000];
static unsigned char after[100000];

/* 0, or the number of the first check that fails. */
int work(void) {
  for (int i = 0; i < 100000; i++) before[i] = after[i] = (unsigned char)(i * 7);
  enum { BLOCKS = 300 };
  static unsigned char *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    if (!(blocks[i] = calloc(1 + i * 97, 1))) return 1;
    blocks[i][0] = blocks[i][i * 97] = (unsigned char)i;
  }
  for (int i = 0; i < BLOCKS; i++) {
    if (!(blocks[i] = realloc(blocks[i], 2 + i * 197))) return 2;
    if (blocks[i][0] != (unsigned char)i || blocks[i][i * 97] != (unsigned char)i) return 3;
    free(blocks[i]);
  }
  for (int i = 0; i < 100000; i++)
    if (before[i] != (unsigned char)(i * 7) || after[i] != before[i]) return 4;
  return 0;
}

void twice(void) {
  void *block = malloc(10);
  free(block);
  free(block);
}
