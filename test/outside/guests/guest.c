/* A guest: blocks of its own allocator, in a list through them, each filled with what its number makes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name), used))

struct block {
  struct block *next;
  uint32_t bytes, number;
  uint8_t rest[];
};

static struct block *list;
static uint32_t made;

EXPORT(take) void *take(uint32_t bytes) { return malloc(bytes); }

EXPORT(fill) void fill(uint32_t count, uint32_t bytes) {
  while (count--) {
    struct block *block = malloc(bytes);
    if (!block) __builtin_trap();
    memset(block, (int)made, bytes);
    block->next = list;
    block->bytes = bytes;
    block->number = made++;
    list = block;
  }
}

/* How many blocks are not as they were left. */
EXPORT(check) uint32_t check(void) {
  uint32_t bad = 0, number = made;
  for (struct block *at = list; at; at = at->next) {
    if (at->number != --number) return bad + 1;
    for (uint32_t i = 0; i < at->bytes - sizeof *at; i++) {
      if (at->rest[i] != (uint8_t)number) {
        bad++;
        break;
      }
    }
  }
  return bad + number;
}
