/* Workloads of core.wasm, translated to C by wasm2c. valgrind counts the instructions between START and STOP. */
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>
#include "core.h"

static Z_core_instance_t core;

#define ALLOC(pool) Z_coreZ_mempool_alloc(&core, pool)
#define FREE(pool, element) Z_coreZ_mempool_free(&core, pool, element)
#define START CALLGRIND_TOGGLE_COLLECT
#define STOP CALLGRIND_TOGGLE_COLLECT
/* A dump has the counts since the last one. */
#define DUMP(name) CALLGRIND_DUMP_STATS_AT(name)

enum { COUNT = 1000 };

static u32 elements[COUNT];

static u32 pool_of(void) {
  u32 pool = Z_coreZ_mempool_create(&core, 64, 16, 4, 0xffffffff, 0);
  if (!pool) exit(1);
  for (int i = 0; i < 12; i++) elements[i] = ALLOC(pool);
  for (int i = 0; i < 12; i++) FREE(pool, elements[i]);
  return pool;
}

int main(void) {
  wasm_rt_init();
  Z_core_init_module();
  Z_core_instantiate(&core);
  if (!Z_coreZ_heap_create(&core, 0, 65536, 1 << 20, 1)) return 1;

  /* The cost of counting. */
  for (int i = 0; i < COUNT; i++) {
    START;
    STOP;
  }
  DUMP("nothing");

  u32 pool = pool_of();
  for (int i = 0; i < COUNT; i++) {
    START;
    u32 element = ALLOC(pool);
    STOP;
    FREE(pool, element);
  }
  DUMP("alloc, from the magazine");

  for (int i = 0; i < COUNT; i++) {
    u32 element = ALLOC(pool);
    START;
    FREE(pool, element);
    STOP;
  }
  DUMP("free, into the magazine");

  for (int i = 0; i < COUNT; i++) {
    START;
    int code = FREE(pool, elements[0]);
    STOP;
    if (code != -2) return 1;
  }
  DUMP("free, double");

  for (int turn = 0; turn < 10; turn++) {
    if (turn == 9) START;
    for (int i = 0; i < COUNT; i++) elements[i] = ALLOC(pool);
    for (int i = 0; i < COUNT; i++) FREE(pool, elements[i]);
  }
  STOP;
  DUMP("wave of 1,000, the tenth");

  u32 arena = Z_coreZ_arena_create(&core, 65536);
  START;
  for (int i = 0; i < COUNT; i++) Z_coreZ_arena_alloc(&core, arena, 16, 16);
  STOP;
  DUMP("arena_alloc of 16");
  return 0;
}
