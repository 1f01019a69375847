/*
 * Writes past an element, writes after a free, frees twice, and leaks. Linked with the archive of debug heaps and compiled with
 * MEMPOOL_DEBUG, it hears of each, with file and line; without, the same source links the other archive, and hears of the
 * second free alone. With MEMPOOL_CLOCK defined as tick(), it also hears for how long what is leaked has been held.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "wasm_mempool.h"

#define ADDRESS(pointer) ((mempool_address_t)(uintptr_t)(pointer))
#define POINTER(address) ((volatile unsigned char *)(uintptr_t)(address))

/* Milliseconds, by a clock that the program sets. */
static double now = 1e12;

#ifdef MEMPOOL_CLOCK
static double tick(void) { return now; }
#endif

#ifdef MEMPOOL_DEBUG
static void print_site(const char *what, mempool_address_t site) {
  if (site) printf("  %s at %.*s\n", what, (int)*(uint32_t *)POINTER(site + 8), (const char *)POINTER(site + 12));
}

static void print_reports(void) {
  static const char *const kinds[] = {"", "underrun", "overrun", "write after free", "trace"};
  uint32_t words[18];
  while (debug_report(ADDRESS(words))) {
    printf("%s: %u bytes at %d of %u, byte %02x\n", kinds[words[1]], (unsigned)words[6], (int)words[5],
           (unsigned)words[4], (unsigned)(words[8] & 0xff));
    print_site("allocated", words[12]);
    print_site("freed", words[13]);
  }
}

static void print_leaks(mempool_address_t heap, mempool_t pool) {
  uint32_t words[12];
  double time;
  for (mempool_address_t at = 0; (at = heap_next_live(heap, pool, at, (uint32_t)-1));) {
    if (!debug_trace(at, ADDRESS(words))) continue;
    memcpy(&time, words + 10, sizeof time);
    printf("leak: %u bytes", (unsigned)words[1]);
    if (time > 0) printf(", held for %.0f ms", now - time);
    printf("\n");
    print_site("allocated", words[3]);
  }
}
#else
static void print_reports(void) {}
static void print_leaks(mempool_address_t heap, mempool_t pool) { (void)heap, (void)pool; }
#endif

int main(void) {
  static unsigned char block[1 << 17];
  mempool_address_t heap = heap_create((uint32_t)(uintptr_t)block, sizeof block, 0, 0);
  if (!heap) return 1;
  mempool_t pool = mempool_create(24, 8, 2, 0xffffffff, MEMPOOL_SLAB);
  if (!pool) return 2;

  mempool_address_t one = mempool_alloc(pool); /* overrun: allocated */
  for (int i = 24; i < 28; i++) POINTER(one)[i] = 7;
  printf("free: %d\n", (int)mempool_free(pool, one)); /* overrun: freed */
  print_reports();

  mempool_address_t two = mempool_zalloc(pool); /* written: allocated */
  mempool_free(pool, two); /* written: freed */
  POINTER(two)[3] = 9;
#ifdef MEMPOOL_DEBUG
  debug_check();
#endif
  print_reports();

  mempool_address_t three = mempool_alloc(pool);
  mempool_free(pool, three);
  printf("second free: %d\n", (int)mempool_free(pool, three));

  mempool_address_t kept[2];
  if (!mempool_alloc_bulk(pool, ADDRESS(kept), 2)) return 3; /* leaked: allocated */
  now += 3200;
  print_leaks(heap, pool);
  return 0;
}
