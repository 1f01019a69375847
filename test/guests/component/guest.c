/*
 * A component in C without generated bindings. The host places arguments by cabi_realloc, and after each call asks the guest
 * by cabi_post_* to free what it returned.
 *
 * Plain: cabi_realloc is the archive's, and each block is freed. With ARENA, cabi_realloc is the guest's own, over an arena that
 * is reset after each call: an allocation adds to a pointer, and nothing is freed one by one.
 */
#include <stdint.h>
#include <string.h>
#define WASM_MEMPOOL_NO_STDLIB
#include "wasm_mempool.h"
#include "wasm_mempool_malloc.h"

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct {
  void *at;
  uint32_t count;
} slice;

/* The canonical ABI returns more than one word in memory. */
static slice result;

#ifdef ARENA
static mempool_arena_t arena;

void *cabi_realloc(void *old, size_t old_bytes, size_t align, size_t bytes) {
  if (!arena) arena = arena_create(4096);
  void *block = (void *)(uintptr_t)arena_alloc(arena, bytes ? bytes : 1, align);
  if (block && old) memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
  return block;
}
static void give_back(void *block) { (void)block; }
static void after_call(void) { arena_reset(arena, 0); }
#else
static void give_back(void *block) { free(block); }
static void after_call(void) {}
#endif

static void *take(size_t bytes) {
  void *block = cabi_realloc(NULL, 0, 4, bytes);
  if (!block) __builtin_trap();
  return block;
}

EXPORT("upper") slice *upper(char *text, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++)
    if (text[i] >= 'a' && text[i] <= 'z') text[i] -= 32;
  result = (slice){text, bytes};
  return &result;
}

EXPORT("cabi_post_upper") void post_upper(slice *text) {
  if (text->count) give_back(text->at);
  after_call();
}

EXPORT("words") slice *words(char *text, uint32_t bytes) {
  slice *list = take((bytes / 2 + 1) * sizeof(slice));
  uint32_t count = 0;
  for (uint32_t i = 0; i < bytes;) {
    uint32_t end = i;
    while (end < bytes && text[end] != ' ') end++;
    if (end > i) {
      list[count] = (slice){take(end - i), end - i};
      memcpy(list[count++].at, text + i, end - i);
    }
    i = end + 1;
  }
  if (bytes) give_back(text);
  result = (slice){list, count};
  return &result;
}

EXPORT("cabi_post_words") void post_words(slice *list) {
  slice *each = list->at;
  for (uint32_t i = 0; i < list->count; i++) give_back(each[i].at);
  give_back(list->at);
  after_call();
}

EXPORT("sum") uint64_t sum(uint32_t *numbers, uint32_t count) {
  uint64_t all = 0;
  for (uint32_t i = 0; i < count; i++) all += numbers[i];
  if (count) give_back(numbers);
  after_call();
  return all;
}

EXPORT("used") uint32_t used(void) { return (heap_max_pages() - heap_left()) * 4096; }
