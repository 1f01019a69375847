/* Prints from a block beyond the first memory. emscripten's JavaScript must hear of growth: with -DTELLS it does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wasm_mempool_malloc.h"

#ifdef TELLS
void emscripten_notify_memory_growth(size_t memory);
void wasm_mempool_grown(void) { emscripten_notify_memory_growth(0); }
#endif

int main(void) {
  puts("begin");
  char *block = malloc(60 << 20);
  if (!block) return 1;
  strcpy(block + (50 << 20), "in new memory");
  puts(block + (50 << 20));
  puts("end");
  free(block);
  return 0;
}
