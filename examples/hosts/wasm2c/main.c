/* The core as C, by wasm2c. What it is given and what it prints: see hosts.mjs. */
#include <stdio.h>
#include <string.h>
#include "core.h"
#include "wasm-rt-impl.h"

typedef Z_core_instance_t core_t;
#ifdef IMPORTED /* The module imports a memory: it asks its "env" for it. */
struct Z_env_instance_t { wasm_rt_memory_t memory; } env;
wasm_rt_memory_t *Z_envZ_memory(struct Z_env_instance_t *from) { return &from->memory; }
#define INSTANTIATE(core) Z_core_instantiate(core, &env)
#else
#define INSTANTIATE(core) Z_core_instantiate(core)
#endif

#include "table.h"

static void call(core_t *core, const char *name, const u32 *a) {
  u8 *bytes = Z_coreZ_memory(core)->data;
  if (!strcmp(name, "memory.load")) printf("%d\n", *(s32 *)(bytes + a[0]));
  else if (!strcmp(name, "memory.store")) *(u32 *)(bytes + a[0]) = a[1], puts("none");
  else if (wasm_rt_impl_try()) puts("trap");
  else {
    size_t i = 0;
    while (strcmp(name, table[i].name)) i++;
    void (*f)(void) = table[i].function;
    switch (table[i].count) {
    case 0: printf("%d\n", ((u32 (*)(core_t *))f)(core)); break;
    case 1: printf("%d\n", ((u32 (*)(core_t *, u32))f)(core, a[0])); break;
    case 2: printf("%d\n", ((u32 (*)(core_t *, u32, u32))f)(core, a[0], a[1])); break;
    case 3: printf("%d\n", ((u32 (*)(core_t *, u32, u32, u32))f)(core, a[0], a[1], a[2])); break;
    case 4: printf("%d\n", ((u32 (*)(core_t *, u32, u32, u32, u32))f)(core, a[0], a[1], a[2], a[3])); break;
    case 5: printf("%d\n", ((u32 (*)(core_t *, u32, u32, u32, u32, u32))f)(core, a[0], a[1], a[2], a[3], a[4])); break;
    case VOID: ((void (*)(core_t *, u32))f)(core, a[0]), puts("none"); break;
    }
  }
}

int main(int count, char **arguments) {
  static core_t cores[26]; /* by their names, "a" and so on */
  static char made[26], line[256], name[64];
  wasm_rt_init();
  Z_core_init_module();
#ifdef IMPORTED
  wasm_rt_allocate_memory(&env.memory, atoi(arguments[2]), atoi(arguments[3]));
#endif
  for (u32 a[5]; fgets(line, sizeof line, stdin); fflush(stdout)) {
    int at = line[0] - 'a';
    if (!made[at]) INSTANTIATE(&cores[at]);
    made[at] = 1;
    sscanf(line, "%*s %63s %u %u %u %u %u", name, &a[0], &a[1], &a[2], &a[3], &a[4]);
    printf("%.*s = ", (int)strcspn(line, "\n"), line);
    call(&cores[at], name, a);
  }
}
