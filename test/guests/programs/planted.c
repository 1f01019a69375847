/*
 * Plants the fault that its arguments name (test/debug/faults.ts has the list), for a compiler's sanitizer. A comment at a
 * line's end names the step, by which the test knows the line again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 48 };
#define MIN(a, b) ((a) < (b) ? (a) : (b))

static volatile char sink;
static volatile char *element;

static int is(const char *one, const char *other) { return !strcmp(one, other); }

static void *allocate(void *unused) {
  (void)unused;
  element = malloc(SIZE); // alloc
  return 0;
}

static void *release(void *unused) {
  (void)unused;
  free((void *)element); // second free
  return 0;
}

static atomic_int ready;

static void *release_together(void *unused) {
  ready++;
  while (ready < 2);
  free((void *)element); // free
  return unused;
}

static void in_thread(void *call(void *)) {
  pthread_t thread;
  pthread_create(&thread, 0, call, 0);
  pthread_join(thread, 0);
}

static void race(void) {
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, release_together, 0);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
}

static void write_bytes(volatile char *from, int count) {
  for (int i = 0; i < count; i++) from[i] = 9; // write
}

int main(int argc, char **argv) {
  const char *fault = argv[1];
  int by = argc > 2 ? atoi(argv[2]) : 0;
  if (is(fault, "thread-leak")) {
    in_thread(allocate);
    element = 0;
    return 0;
  }
  volatile char *before = malloc(SIZE); // other alloc
  allocate(0);
  volatile char *behind = malloc(SIZE); // other alloc
  if (is(fault, "leak")) {
    before = element = behind = 0;
    return 0;
  }
  int is_freed = is(fault, "write") || is(fault, "read") || is(fault, "free") || is(fault, "thread-free");
  if (is_freed) free((void *)element); // free
  if (is(fault, "behind-free")) free((void *)behind); // other free
  if (is(fault, "before-free")) free((void *)before); // other free
  if (is(fault, "behind")) write_bytes(element + SIZE, by);
  else if (is(fault, "before")) write_bytes(element - by, by);
  else if (is(fault, "behind-live") || is(fault, "behind-free")) write_bytes(behind, MIN(by, SIZE));
  else if (is(fault, "before-live") || is(fault, "before-free")) write_bytes(before + SIZE - MIN(by, SIZE), MIN(by, SIZE));
  else if (is(fault, "write")) write_bytes(element + 8, 1);
  else if (is(fault, "read")) sink = element[8]; // read
  else if (is(fault, "free")) release(0);
  else if (is(fault, "thread-free")) in_thread(release);
  else if (is(fault, "thread-race")) race();
  else if (is(fault, "inside")) free((void *)(element + 16)); // free
  else return 2;
  if (!is_freed) free((void *)element);
  if (!is(fault, "before-free")) free((void *)before);
  if (!is(fault, "behind-free")) free((void *)behind);
  return 0;
}
