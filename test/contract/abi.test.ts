/** The module as another host sees it: include/wasm_mempool.h, without the bindings. */
import { describe, expect, test } from "vitest";
import type { Core } from "../../src/core/abi.ts";
import { instantiate } from "../instantiate.ts";

const PAGE = 4096;

const instance = (file: string, memory?: WebAssembly.Memory): Core & { readonly memory: WebAssembly.Memory } =>
  instantiate(file.slice(0, -".wasm".length), memory);

describe("the ABI", () => {
  test("core.wasm makes a heap of the memory that it starts with", () => {
    const core = instance("core.wasm");
    expect(core.abi_version()).toBe(4);
    expect(core.memory.buffer.byteLength).toBe(65536);
    expect(core.heap_create(0, 65536, 1 << 20, 1)).not.toBe(0);
    const pool = core.mempool_create(100, 4, 3, -1);
    const elements = new Set<number>();
    for (let i = 0; i < 5000; i++) elements.add(core.mempool_alloc(pool));
    expect(elements.size).toBe(5000);
    expect(elements.has(0)).toBe(false);
    expect(core.memory.buffer.byteLength).toBeGreaterThan(500_000);
    for (const element of elements) expect(core.mempool_free(pool, element)).toBe(0);
    expect(core.mempool_exit(pool)).toBe(0);
  });

  test("a heap in missing or too small memory is refused", () => {
    const core = instance("core.wasm");
    for (const [base, bytes] of [
      [0, 65537 * 2],
      [65536, 65536],
      [0, 6 * PAGE],
      [65536 - PAGE, PAGE],
      [0, 0],
      [1, 2 ** 32 - 1],
    ] as const) {
      expect([base, bytes, core.heap_create(base, bytes, 1 << 20, 1)]).toEqual([base, bytes, 0]);
    }
  });

  test.each([
    ["core.imported.wasm", new WebAssembly.Memory({ initial: 8, maximum: 8 })],
    ["core.shared.wasm", new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true })],
  ])("%s: a second instance joins the heap of the first", (file, memory) => {
    const one = instance(file, memory);
    const two = instance(file, memory);
    const heap = one.heap_create(65536, 4 * 65536, 0, 0) >>> 0;
    expect(heap).toBe(65536);
    expect([0, 4, 65536 - PAGE, 8 * 65536, -4].map((address) => two.heap_attach(address, 0))).toEqual([0, 0, 0, 0, 0]);
    expect(two.heap_attach(heap, 0)).toBe(1);
    const pool = one.mempool_create(64, 8, 2, -1);
    const element = two.mempool_alloc(pool);
    expect(element).not.toBe(0);
    expect(two.mempool_alloc(pool)).not.toBe(element);
    expect(one.mempool_free(pool, element)).toBe(0);
    expect(two.mempool_free(pool, element)).toBe(-2);
  });

  test("arguments out of range create nothing", () => {
    const core = instance("core.wasm");
    core.heap_create(0, 65536, 1 << 20, 1);
    const bad: [number, number, number, number][] = [
      [0, 8, 1, -1],
      [2 ** 24 + 1, 8, 1, -1],
      [64, 0, 1, -1],
      [64, 3, 1, -1],
      [64, 8192, 1, -1],
      [64, 8, 2, 1],
      [64, 8, 2 ** 28 + 1, -1],
    ];
    for (const args of bad) expect([args, core.mempool_create(...args)]).toEqual([args, 0]);
    expect(core.arena_create(-1)).toBe(0);
    const arena = core.arena_create(PAGE);
    expect(core.arena_alloc(arena, -1, 8)).toBe(0);
    expect(core.arena_reset(arena, 4)).toBe(0);
    const pool = core.mempool_create(64, 8, 0, -1);
    expect(core.mempool_alloc_bulk(pool, core.heap_scratch(), -1)).toBe(0);
    expect(core.memory.buffer.byteLength).toBe(65536);
  });
});
