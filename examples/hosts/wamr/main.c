/* The core in WAMR, from C. What it is given and what it prints: see hosts.mjs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wasm_export.h"

typedef struct { wasm_module_inst_t instance; wasm_exec_env_t env; } core_t;

static char error[256];

static void *must(void *made) {
  if (made) return made;
  fprintf(stderr, "%s\n", error);
  exit(1);
}

/* The last argument of instantiate is the size of a heap that WAMR would put into the core's memory: it must be 0. */
static core_t instantiate(wasm_module_t module) {
  core_t core;
  core.instance = must(wasm_runtime_instantiate(module, 65536, 0, error, sizeof error));
  core.env = must(wasm_runtime_create_exec_env(core.instance, 65536));
  return core;
}

static void call(core_t *core, const char *name, uint32_t count, uint32_t *a) {
  if (!strncmp(name, "memory.", 7)) {
    /* After memory has grown, older pointers are of no use. */
    strcpy(error, "no such address");
    uint32_t *word = must(wasm_runtime_addr_app_to_native(core->instance, a[0]));
    if (!strcmp(name, "memory.load")) printf("%d\n", (int32_t)*word);
    else *word = a[1], puts("none");
  } else if (!wasm_runtime_call_wasm(core->env, must(wasm_runtime_lookup_function(core->instance, name, NULL)), count, a)) {
    wasm_runtime_clear_exception(core->instance);
    puts("trap");
  } else if (!strcmp(name, "arena_exit") || !strcmp(name, "free")) puts("none");
  else printf("%d\n", (int32_t)a[0]);
}

int main(int count, char **arguments) {
  static char bytes[1 << 20], line[256], name[64], made[26];
  static core_t cores[26]; /* by their names, "a" and so on */
  FILE *file = must(fopen(arguments[4], "rb"));
  size_t size = fread(bytes, 1, sizeof bytes, file);
  wasm_runtime_init();
  wasm_module_t module = must(wasm_runtime_load((uint8_t *)bytes, size, error, sizeof error));
  while (fgets(line, sizeof line, stdin)) {
    uint32_t a[5];
    int at = line[0] - 'a';
    if (!made[at]) cores[at] = instantiate(module);
    made[at] = 1;
    int given = sscanf(line, "%*s %63s %u %u %u %u %u", name, &a[0], &a[1], &a[2], &a[3], &a[4]);
    printf("%.*s = ", (int)strcspn(line, "\n"), line);
    call(&cores[at], name, given - 1, a);
    fflush(stdout);
  }
  return count < 0;
}
