/** The debug heap's module has the inspector, too: a program that looks at heaps goes on as the thread that it was. */
import { describe, expect, test } from "vitest";
import type { Core, Inspector } from "../../src/core/abi.ts";
import { instantiate } from "../instantiate.ts";

type Module = Core & Inspector;

const PAGE = 65536;

describe.each([
  ["debug.shared", true],
  ["debug.imported", false],
] as const)("%s", (name, shared) => {
  /** Two heaps in one memory; in a module with threads, the program is the first heap's second thread. */
  function start() {
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared });
    const [first, second] = [1, 2].map(() => instantiate<Module>(name, memory)) as [Module, Module];
    const own = first.heap_create(0, 4 * PAGE, 0, 0) >>> 0;
    const other = second.heap_create(4 * PAGE, 4 * PAGE, 0, 0) >>> 0;
    expect([own, other]).not.toContain(0);
    second.mempool_create(64, 8, 0, 100, 0);
    if (!shared) return { memory, program: first, own, other, thread: 0 };
    const program = instantiate<Module>(name, memory);
    expect(program.heap_attach(own, 2)).toBeTruthy();
    return { memory, program, own, other, thread: 1 };
  }

  const calls: [string, (program: Module, heap: number, at: number) => unknown][] = [
    ["heap_check", (program, heap, at) => expect(program.heap_check(heap, at)).toBe(0)],
    ["heap_stats", (program, heap, at) => program.heap_stats(heap, at)],
    ["heap_next_live", (program, heap) => program.heap_next_live(heap, 0, 0, 0)],
    ["heap_next_pool", (program, heap, at) => program.heap_next_pool(heap, 0, at)],
    ["heap_next_run", (program, heap, at) => program.heap_next_run(heap, 0, at)],
    ["mempool_owner", (program, heap, at) => program.mempool_owner(heap, heap, at)],
  ];

  test.each(calls)("%s of its own heap and of another", (_, look) => {
    const { memory, program, own, other, thread } = start();
    const pool = program.mempool_create(40, 8, 2, 100, 0);
    const at = program.heap_scratch() >>> 0;
    for (const heap of [own, other]) {
      look(program, heap, at);
      expect(program.heap_scratch() >>> 0).toBe(at);
      if (shared) expect(program.heap_thread()).toBe(thread);
      const element = program.mempool_alloc(pool) >>> 0;
      expect(element).toBeGreaterThan(0);
      expect(program.mempool_owner(own, element, at)).toBe(1);
      expect(new Uint32Array(memory.buffer)[(at >>> 2) + 3]).toBe(thread);
      expect(program.mempool_free(pool, element)).toBe(0);
    }
  });
});
