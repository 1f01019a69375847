/* What a C library allocates for its callers, and the whole family, on sizes from 1 byte to 40 MiB. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(that) \
  do { \
    if (!(that)) { \
      printf("line %d: %s\n", __LINE__, #that); \
      return 1; \
    } \
  } while (0)

static uint32_t state = 1;
static uint32_t next(void) { return state = state * 1664525 + 1013904223; }

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static int strings(void) {
  char *copies[500];
  for (int i = 0; i < 500; i++) {
    char text[64];
    snprintf(text, sizeof text, "string %d of %d", i, 500);
    CHECK(copies[i] = strdup(text));
  }
  int length = 0;
  for (int i = 0; i < 500; i++) {
    int number;
    CHECK(sscanf(copies[i], "string %d", &number) == 1 && number == i);
    length += strlen(copies[i]);
    free(copies[i]);
  }
  printf("strings: %d bytes\n", length);
  return 0;
}

static int streams(void) {
  char *text = 0;
  size_t bytes = 0;
  FILE *stream = open_memstream(&text, &bytes);
  CHECK(stream);
  for (int i = 0; i < 20000; i++) fprintf(stream, "%d,", i);
  CHECK(!fclose(stream));
  CHECK(bytes == strlen(text));
  printf("stream: %zu bytes\n", bytes);
  free(text);
  return 0;
}

static int sorting(void) {
  enum { COUNT = 100000 };
  uint32_t *numbers = malloc(COUNT * sizeof *numbers);
  CHECK(numbers);
  for (int i = 0; i < COUNT; i++) numbers[i] = next();
  qsort(numbers, COUNT, sizeof *numbers, compare);
  for (int i = 1; i < COUNT; i++) CHECK(numbers[i - 1] <= numbers[i]);
  printf("sorted: %u to %u\n", numbers[0], numbers[COUNT - 1]);
  free(numbers);
  return 0;
}

/* Grows by small steps and by large ones, past other blocks. */
static int growth(void) {
  size_t bytes = 1;
  unsigned char *block = malloc(bytes);
  CHECK(block);
  *block = 0;
  void *others[64] = {0};
  for (int i = 0; bytes < 40u << 20; i++) {
    size_t more = bytes + bytes / 2 + 1;
    CHECK(block = realloc(block, more));
    for (size_t at = bytes; at < more; at++) block[at] = (unsigned char)(at * 31);
    bytes = more;
    free(others[i % 64]);
    CHECK(others[i % 64] = malloc(1 + next() % 20000));
  }
  for (size_t at = 0; at < bytes; at++) CHECK(block[at] == (unsigned char)(at * 31));
  CHECK(block = realloc(block, 100));
  for (int at = 0; at < 100; at++) CHECK(block[at] == (unsigned char)(at * 31));
  printf("grown: to %zu bytes\n", bytes);
  free(block);
  for (int i = 0; i < 64; i++) free(others[i]);
  return 0;
}

static int alignment(void) {
  for (size_t align = 4; align <= 65536; align *= 2) {
    for (size_t bytes = align; bytes <= 4 * align; bytes += align) {
      void *block;
      unsigned char *other = aligned_alloc(align, bytes);
      CHECK(other && (uintptr_t)other % align == 0);
      CHECK(!posix_memalign(&block, align, bytes) && (uintptr_t)block % align == 0);
      memset(other, 1, bytes);
      memset(block, 2, bytes);
      CHECK(other[bytes - 1] == 1);
      free(block);
      free(other);
    }
  }
  puts("aligned");
  return 0;
}

/* Random sizes, each block full of its number. */
static int churn(void) {
  enum { BLOCKS = 1000 };
  static unsigned char *blocks[BLOCKS];
  static size_t sizes[BLOCKS];
  for (int turn = 0; turn < 200000; turn++) {
    int i = next() >> 8 & 1023;
    if (i >= BLOCKS) continue;
    if (blocks[i]) {
      CHECK(blocks[i][0] == i % 251 && blocks[i][sizes[i] - 1] == i % 251);
      free(blocks[i]);
      blocks[i] = 0;
      continue;
    }
    sizes[i] = 1 + (next() >> 8) % (turn % 50 ? 600 : 60000);
    CHECK(blocks[i] = turn % 3 ? malloc(sizes[i]) : calloc(1, sizes[i]));
    if (turn % 3 == 0) CHECK(!blocks[i][0] && !blocks[i][sizes[i] / 2] && !blocks[i][sizes[i] - 1]);
    memset(blocks[i], i % 251, sizes[i]);
  }
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
  puts("churned");
  return 0;
}

int main(void) { return strings() || streams() || sorting() || growth() || alignment() || churn(); }
