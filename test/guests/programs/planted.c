/* Plants the fault that its arguments name: for a debug mode of the C library's allocator, or for a compiler's sanitizer. */
#include <stdlib.h>
#include <string.h>

static volatile char sink;

int main(int argc, char **argv) {
  const char *fault = argv[1];
  int by = argc > 2 ? atoi(argv[2]) : 0;
  volatile char *before = malloc(48), *element = malloc(48), *behind = malloc(48);
  if (!strcmp(fault, "leak")) {
    before = element = behind = 0;
    return 0;
  }
  int is_freed = !strcmp(fault, "write") || !strcmp(fault, "read") || !strcmp(fault, "double");
  if (is_freed) free((void *)element);
  if (!strcmp(fault, "forwards")) {
    for (int i = 0; i < by; i++) element[48 + i] = 9;
  } else if (!strcmp(fault, "backwards")) {
    for (int i = 1; i <= by; i++) element[-i] = 9;
  } else if (!strcmp(fault, "write")) {
    element[8] = 9;
  } else if (!strcmp(fault, "read")) {
    sink = element[8];
  } else if (!strcmp(fault, "double")) {
    free((void *)element);
  }
  if (!is_freed) free((void *)element);
  free((void *)before);
  free((void *)behind);
  return 0;
}
