/** Malloc as programs link it: pools over the same heap, threads that come and go, and memory that is gone. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { builds, type Malloc } from "./builds.ts";

const [NO_MEMORY, DOUBLE_FREE, INVALID_ADDRESS] = [-8, -2, -5] as const;
/** Where the program's own data end, and the word by which its threads find the heap. */
const BASE = 2000;
const WORD = 16;

type Core = Malloc & Readonly<Record<string, (...args: number[]) => number>>;

const modules = new Map<string, WebAssembly.Module>();
function moduleOf(name: string): WebAssembly.Module {
  if (!modules.has(name)) {
    const bytes = readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url));
    modules.set(name, new WebAssembly.Module(bytes));
  }
  return modules.get(name)!;
}

/** A program in `initial` to `maximum` Wasm pages, whose bad frees are told to `told`. `onBase`: when it is asked for its end. */
function program(isShared: boolean, initial = 1, maximum = 16, onBase = (): void => {}) {
  const memory = new WebAssembly.Memory({ initial, maximum, shared: isShared });
  const told: [address: number, code: number][] = [];
  let grows = 0;
  const env = {
    memory,
    wasm_mempool_heap_base: () => (onBase(), BASE),
    wasm_mempool_heap_word: () => WORD,
    wasm_mempool_bad_free: (address: number, code: number) => void told.push([address >>> 0, code]),
    wasm_mempool_grown: () => void grows++,
  };
  const thread = (): Core =>
    new WebAssembly.Instance(moduleOf(isShared ? "linked.shared" : "linked"), { env }).exports as unknown as Core;
  return { memory, told, thread, grows: () => grows };
}

/** Blocks until there is no memory. */
function drain(core: Core, ...sizes: number[]): number[] {
  const blocks: number[] = [];
  for (const bytes of sizes) for (let block = 0; (block = core.malloc(bytes) >>> 0);) blocks.push(block);
  return blocks;
}

describe.each([
  ["one thread", false],
  ["threads", true],
])("linked, %s", (_name, isShared) => {
  test("after heap_exit malloc begins anew", () => {
    const { told, thread } = program(isShared);
    const core = thread();
    core.malloc(100);
    expect(core["heap_exit"]!()).toBe(1);
    const block = core.malloc(100);
    expect(block).not.toBe(0);
    core.free(block);
    core.free(block);
    expect(told).toEqual([[block, DOUBLE_FREE]]);
  });

  test("a memory of 4 GiB from the start has a heap", () => {
    const { thread, told } = program(isShared, 65_536, 65_536);
    const core = thread();
    const block = core.malloc(3 * 2 ** 30) >>> 0;
    expect(block).toBeGreaterThan(BASE - 1);
    core.free(block);
    expect(told).toEqual([]);
  });

  test("many blocks above 64 KiB cost few growths", () => {
    const { thread, grows } = program(isShared, 1, 8192);
    const core = thread();
    for (let i = 0; i < 2000; i++) expect(core.malloc(66_000)).not.toBe(0);
    expect(grows()).toBeLessThan(150);
  });

  test("a refused malloc_reserve uses up no size", () => {
    const { thread } = program(isShared);
    const core = thread();
    core.malloc(1);
    for (let i = 0; i < 40; i++) expect(core.malloc_reserve(10_000 + 4096 * i, 2 ** 20)).toBe(NO_MEMORY);
    expect(core.malloc_reserve(200_000, 1)).toBe(1);
  });
});

describe("linked, threads", () => {
  test("a thread makes the heap if the one that had begun has died", () => {
    const { memory, thread, told } = program(true);
    new Uint32Array(memory.buffer)[WORD / 4] = 1;
    const [a, b] = [thread(), thread()];
    const blocks = [a.malloc(100), b.malloc(100)];
    expect(blocks).not.toContain(0);
    expect(a.malloc_heap()).toBe(b.malloc_heap());
    for (const block of blocks) b.free(block);
    expect(told).toEqual([]);
  });

  test("if the one that had begun had only stopped, it joins the heap that another has made", () => {
    let meanwhile: (() => void) | undefined;
    const { memory, thread, told } = program(true, 1, 16, () => meanwhile?.());
    const [a, b] = [thread(), thread()];
    let first = 0;
    // A has begun, and is about to ask where the heap may begin.
    meanwhile = () => {
      meanwhile = undefined;
      first = b.malloc(100);
    };
    const second = a.malloc(100);
    expect(first).not.toBe(0);
    expect(second).not.toBe(0);
    expect(second).not.toBe(first);
    expect(a.malloc_heap()).toBe(b.malloc_heap());
    expect(new Uint32Array(memory.buffer)[WORD / 4]).toBe(a.malloc_heap());
    a.free(first);
    b.free(second);
    expect(told).toEqual([]);
  });

  test("a thread that leaves by heap_detach and joins again has handles of its own", () => {
    const { thread, told } = program(true);
    const [a, b] = [thread(), thread()];
    const first = [a.malloc(100), b.malloc(100)];
    a["heap_detach"]!();
    // Another thread gets its number.
    const c = thread();
    const seen = new Set([...first, c.malloc(100), a.malloc(100)]);
    for (let i = 0; i < 200; i++) for (const core of [a, b, c]) seen.add(core.malloc(100));
    expect(seen.size).toBe(604);
    expect(told).toEqual([]);
  });

  test("a reserve serves threads without a handle of its class", () => {
    const { thread } = program(true);
    const a = thread();
    const others = Array.from({ length: 5 }, thread);
    for (const core of others) core.malloc(1);
    expect(a.malloc_reserve(100, 20)).toBe(1);
    expect(a.malloc_reserve(50_000, 5)).toBe(1);
    drain(a, 100_000, 8000, 1000, 200, 16);
    for (const bytes of [100, 50_000]) {
      const blocks = others.map((core) => core.malloc(bytes));
      expect(blocks.every((block) => block !== 0)).toBe(true);
      expect(new Set(blocks).size).toBe(5);
      for (const block of blocks) others[0]!.free(block);
    }
    expect(a["heap_idle"]!()).toBe(1);
  });

  test("a free by a thread that cannot join is no bad free", () => {
    const { thread, told } = program(true);
    const a = thread();
    const [small, large] = [a.malloc(100), a.malloc(20_000)];
    drain(a, 100_000, 8000, 4096, 1000, 16);
    const b = thread();
    b.free(small);
    expect(b.realloc(large, 10)).toBe(0);
    expect(told).toEqual([]);
    // The thread that has joined frees them, whether or not the other could.
    a.free(large);
    expect(told).toEqual([]);
  });

  test("a double free of whole pages is told", () => {
    const { thread, told } = program(true);
    const a = thread();
    const block = a.malloc(20_000);
    a.free(block);
    a.free(block);
    expect(told).toEqual([[block, INVALID_ADDRESS]]);
  });
});

test("two instances of malloc.wasm on one heap are one", () => {
  const g = builds.find(({ name }) => name === "plain")!.guest(1, 64);
  const first = g.core.malloc(100);
  const other = g.another();
  expect(other.malloc_attach(g.core.malloc_heap(), 0)).toBe(1);
  const second = other.malloc(100);
  expect(g.core.malloc(100)).not.toBe(second);
  g.core.free(second);
  other.free(first);
  expect(g.check()).toBe(0);
});

test("after malloc_thread_exit a thread of malloc.shared.wasm joins the same heap again", () => {
  const g = builds.find(({ name }) => name === "shared")!.guest(1, 64);
  const other = g.another();
  expect(other.malloc_attach(g.core.malloc_heap(), 1)).toBe(1);
  const block = other.malloc(100);
  other.malloc_thread_exit();
  other.free(block);
  expect(other.malloc_heap()).toBe(g.core.malloc_heap());
  expect(g.check()).toBe(0);
});
