/*
 * The workloads of the allocators suite on malloc and free. ../assembly/allocators.ts and ../rust/src/loops.rs do the same,
 * step by step, from the same random numbers: after as many steps all three return the same sum.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef MIMALLOC
/* From the header of mimalloc. */
void *mi_malloc(size_t bytes);
void mi_free(void *block);
#define malloc mi_malloc
#define free mi_free
#endif

#ifdef ZIG
/* ../zig/allocator.zig: its free is told the size again. */
void *zig_malloc(size_t bytes);
void zig_free(void *block, size_t bytes);
#define malloc zig_malloc
#define release_sized zig_free
#else
#define release_sized(block, bytes) free(block)
#endif

#define EXPORT(name) __attribute__((export_name(name)))

#define SLOTS 16384

extern uint8_t __heap_base;

#ifdef BUMP
/* A bump allocator that reuses nothing: the floor, in bytes of code. */
static uint32_t top;
static uint32_t end;

void *malloc(size_t bytes) {
  uint32_t at = top ? top : ((uint32_t)&__heap_base + 15) & ~15u;
  if (!end) end = (uint32_t)__builtin_wasm_memory_size(0) << 16;
  uint32_t next = at + ((uint32_t)(bytes + 15) & ~15u);
  if (next > end) {
    if (__builtin_wasm_memory_grow(0, (next - end + 65535) >> 16) == (size_t)-1) return NULL;
    end = (uint32_t)__builtin_wasm_memory_size(0) << 16;
  }
  top = next;
  return (void *)at;
}

void free(void *block) { (void)block; }
#endif

#ifdef LISTS
/*
 * The floor in time: a list of free blocks for each class of sizes (each 16 bytes up to 128, then four to a power of two), and a
 * word before each block that names its list. Checks nothing, gives no block another size, returns nothing.
 */
struct block {
  uint32_t list;
  uint32_t pad[3];
  struct block *next;
};

static struct block *lists[128];
static uint8_t *top;
static uint8_t *end;

static __attribute__((noinline)) struct block *fresh(uint32_t list, uint32_t bytes) {
  if (!top) {
    top = (uint8_t *)(((uint32_t)&__heap_base + 15) & ~15u);
    end = (uint8_t *)(__builtin_wasm_memory_size(0) << 16);
  }
  struct block *block = (struct block *)top;
  uint32_t whole = 16 + bytes;
  if (whole > (uint32_t)(end - top)) {
    if (__builtin_wasm_memory_grow(0, (whole - (uint32_t)(end - top) + 65535) >> 16) == (size_t)-1) return NULL;
    end = (uint8_t *)(__builtin_wasm_memory_size(0) << 16);
  }
  top += whole;
  block->list = list;
  return block;
}

void *malloc(size_t bytes) {
  uint32_t list, all;
  if (bytes <= 128) {
    list = (uint32_t)(bytes + 15) >> 4;
    all = list << 4;
  } else {
    uint32_t log = 31 - (uint32_t)__builtin_clz(bytes - 1), step = log - 2;
    list = (log << 2 | (((uint32_t)bytes - 1) >> step & 3)) - 18;
    all = (((uint32_t)bytes - 1) >> step) + 1 << step;
  }
  struct block *block = lists[list];
  if (block) lists[list] = block->next;
  else if (!(block = fresh(list, all))) return NULL;
  return &block->next;
}

void free(void *at) {
  struct block *block = (struct block *)((uint8_t *)at - 16);
  block->next = lists[block->list];
  lists[block->list] = block;
}
#endif

EXPORT("allocate") void *allocate(uint32_t size) { return malloc(size); }
EXPORT("release") void release(void *block, uint32_t size) {
  (void)size;
  release_sized(block, size);
}

/* BARE: the allocator alone, to weigh it. */
#ifndef BARE

static uint32_t address[SLOTS];
static uint32_t size_of[SLOTS];
static uint32_t seed = 1;
static uint32_t sum;
static uint32_t cursor;

/* xorshift */
static inline uint32_t next(void) {
  uint32_t x = seed;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return seed = x;
}

/* A random number below `limit`. */
static inline uint32_t below(uint32_t limit) { return (uint32_t)(((uint64_t)next() * limit) >> 32); }

/* Mostly small: 16 bytes, and up to `span << 6` more, each power of two half as likely as the one before. */
static inline uint32_t skewed(uint32_t span) {
  uint32_t shift = (uint32_t)__builtin_ctz(next() | 64);
  return 16 + below(span << shift);
}

/* Allocates a block into a slot, and writes its first and last word. */
static inline void put(uint32_t slot, uint32_t size) {
  uint32_t *block = malloc(size);
  if (!block) __builtin_trap();
  block[0] = size + slot;
  block[(size >> 2) - 1] = size ^ slot;
  address[slot] = (uint32_t)block;
  size_of[slot] = size;
}

/* Reads the block's first and last word, and frees it. */
static inline void drop(uint32_t slot) {
  uint32_t *block = (uint32_t *)address[slot];
  sum += block[0] ^ block[(size_of[slot] >> 2) - 1];
  release_sized(block, size_of[slot]);
}

static inline void swap(uint32_t a, uint32_t b) {
  uint32_t at = address[a], size = size_of[a];
  address[a] = address[b];
  size_of[a] = size_of[b];
  address[b] = at;
  size_of[b] = size;
}

EXPORT("setup") void setup(uint32_t first_seed) { seed = first_seed; }

/* Where the allocator's memory begins. */
EXPORT("base") uint32_t base(void) { return (uint32_t)&__heap_base; }

EXPORT("pair") uint32_t pair(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t *block = malloc(64);
    if (!block) __builtin_trap();
    block[0] = i;
    block[15] = ~seed;
    sum += block[0] ^ block[15];
    release_sized(block, 64);
  }
  return sum;
}

EXPORT("wave") uint32_t wave(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t slot = 0; slot < 1000; slot++) put(slot, 64);
    for (uint32_t slot = 0; slot < 1000; slot++) drop(slot);
  }
  return sum;
}

EXPORT("fill") void fill(uint32_t first, uint32_t count, uint32_t low, uint32_t span) {
  for (uint32_t slot = first; slot < first + count; slot++) put(slot, low + below(span));
}

/* Fragments the heap: puts blocks, mostly small, into `count` slots, and frees three of four. */
EXPORT("fragment") void fragment(uint32_t first, uint32_t count) {
  for (uint32_t slot = first; slot < first + count; slot++) put(slot, skewed(32));
  for (uint32_t slot = first; slot < first + count; slot++) {
    if (!(slot & 3)) continue;
    drop(slot);
    size_of[slot] = 0;
  }
}

EXPORT("churn") uint32_t churn(uint32_t n, uint32_t count, uint32_t low, uint32_t span) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t slot = below(count);
    drop(slot);
    put(slot, low + below(span));
  }
  return sum;
}

EXPORT("larson") uint32_t larson(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t first = cursor * 1000;
    cursor = cursor == 4 ? 0 : cursor + 1;
    for (uint32_t j = 0; j < 1000; j++) {
      uint32_t slot = first + below(1000);
      drop(slot);
      put(slot, 16 + below(496));
    }
  }
  return sum;
}

EXPORT("xmalloc") uint32_t xmalloc(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t first = cursor * 120;
    cursor = (cursor + 1) & 63;
    for (uint32_t slot = first; slot < first + 120; slot++) drop(slot);
    for (uint32_t slot = first; slot < first + 120; slot++) put(slot, 16 + below(512));
  }
  return sum;
}

EXPORT("sh6") uint32_t sh6(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t batch = 0; batch < 40; batch++) {
      uint32_t size = skewed(16);
      for (uint32_t slot = batch * 50; slot < batch * 50 + 50; slot++) put(slot, size);
    }
    for (uint32_t slot = 0; slot < 1000; slot++) drop(slot);
    for (uint32_t slot = 2000; slot > 1000; slot--) drop(slot - 1);
  }
  return sum;
}

EXPORT("sh8") uint32_t sh8(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t first = below(2000 - 32);
    if (first & 1) {
      for (uint32_t slot = first; slot < first + 32; slot++) drop(slot);
    } else {
      for (uint32_t slot = first + 32; slot > first; slot--) drop(slot - 1);
    }
    for (uint32_t slot = first; slot < first + 32; slot++) put(slot, skewed(16));
  }
  return sum;
}

EXPORT("mstress") uint32_t mstress(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t slot = 0; slot < 100; slot++) {
      put(slot, skewed(32));
      uint32_t dice = next();
      if (!(dice & 3)) swap(slot, 100 + below(4000));
      else if (!(dice & 12)) swap(slot, 4100 + below(1000));
    }
    for (uint32_t slot = 0; slot < 100; slot++) drop(slot);
  }
  return sum;
}

EXPORT("scratch") uint32_t scratch(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t slot = i & 7;
    drop(slot);
    put(slot, 16);
    volatile uint32_t *block = (volatile uint32_t *)address[slot];
    for (uint32_t j = 0; j < 50; j++) block[1] = block[1] + j;
  }
  return sum;
}

EXPORT("toggle") uint32_t toggle(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t slot = below(below(4096) + 1);
    if (size_of[slot]) {
      drop(slot);
      size_of[slot] = 0;
    } else put(slot, skewed(32));
  }
  return sum;
}

/* Bytes of the blocks in `count` slots from `first`, and where the lowest begins and the highest ends. */
static uint32_t lowest, highest;

EXPORT("payload") uint32_t payload(uint32_t first, uint32_t count) {
  uint32_t bytes = 0;
  lowest = ~0u;
  highest = 0;
  for (uint32_t slot = first; slot < first + count; slot++) {
    if (!size_of[slot]) continue;
    bytes += size_of[slot];
    if (address[slot] < lowest) lowest = address[slot];
    if (address[slot] + size_of[slot] > highest) highest = address[slot] + size_of[slot];
  }
  return bytes;
}
EXPORT("lowest") uint32_t lowest_(void) { return lowest; }
EXPORT("highest") uint32_t highest_(void) { return highest; }

#endif
