/** Edge cases that failed once. */
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { create, createArena, createHeap, createSharedHeap, f32, MempoolError, struct } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { contextOf } from "./helpers.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function codeOf(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    expect(error).toBeInstanceOf(MempoolError);
    return (error as MempoolError).code;
  }
}

describe.each(builds)("edges: $name", (build) => {
  test("freeBulk of an array that lies in the heap frees all of it", () => {
    const heap = build.heap({ initial: 4 * 65536, maximum: 64 * MIB });
    const holder = create({ heap, size: 8192, minNr: 1 });
    const pool = create({ heap, size: 64, minNr: 0 });
    const out = new Uint32Array(2000);
    expect(pool.allocBulk(out)).toBe(true);
    const inside = new Uint32Array(heap.memory.buffer, holder.alloc(), 2000);
    inside.set(out);
    pool.freeBulk(inside);
    expect(pool.outstanding).toBe(0);
    expect(heap.check()).toEqual([]);
  });

  test("free never grows the memory", () => {
    const heap = build.heap({ initial: MIB, maximum: 64 * MIB });
    const pool = create({ heap, size: 64, minNr: 0 });
    const live: number[] = [];
    for (let i = 0; i < 20_000; i++) live.push(pool.alloc());
    const { grows } = heap.stats();
    for (const address of live) pool.free(address);
    expect(heap.stats().grows).toBe(grows);
  });

  test("only a live element can be marked", () => {
    const heap = build.heap({ initial: MIB, maximum: MIB });
    const pool = create({ heap, size: 64, minNr: 2 });
    const live = [...Array(200)].map(() => pool.alloc());
    for (const address of live.slice(100)) pool.free(address);
    heap.trim();
    const { core } = heap;
    const at = core.heap_scratch() >>> 0;
    // The ABI as a host may misuse it: elements that are free, addresses that are none.
    [live[150]!, live[150]! + 8, 0x80000000, 0, 4096, 2 ** 32 - 1].forEach((address, i) => {
      heap.u32[at / 4 + i] = address;
    });
    expect(core.mempool_mark(contextOf(pool).handle, at, 6, 0)).toBe(6);
    expect(core.mempool_mark(contextOf(pool).handle, at, 6, 1)).toBe(0);
    expect(pool.outstanding).toBe(100);
    expect(heap.check()).toEqual([]);
  });

  test("create and createArena take the spare memory of arenas", () => {
    const heap = build.heap({ initial: MIB, maximum: MIB });
    const arena = createArena({ heap, bytes: 4096 });
    while (arena.alloc(1000) !== 0);
    arena.reset();
    createArena({ heap, bytes: 65536 });
    create({ heap, size: 8, minNr: 10_000 });
    expect(heap.check()).toEqual([]);
  });

  test("a request that no heap can hold does not grow the memory", () => {
    const heap = build.heap({ initial: MIB, maximum: 64 * MIB });
    const { bytes } = heap.stats();
    expect(codeOf(() => create({ heap, size: 64, minNr: 2 ** 28 }))).toBe("ERR_NO_MEMORY");
    const pool = create({ heap, size: 1000, minNr: 0 });
    expect(pool.allocBulk(new Uint32Array(100_000))).toBe(false);
    expect(heap.stats().bytes).toBe(bytes);
  });
});

// Only heaps that grow show this.
describe.each(builds.filter(({ name }) => name !== "region"))("growth: $name", (build) => {
  test("a growth serves the request that caused it", () => {
    for (const initial of [8 * MIB, 32 * MIB, 64 * MIB]) {
      const heap = build.heap({ initial, maximum: 256 * MIB });
      const filler = create({ heap, size: 60_000, minNr: 0 });
      while (heap.stats().grows === 0) filler.alloc();
      const pool = create({ heap, size: 8 * MIB, minNr: 1 });
      for (let i = 0; i < 5; i++) expect(pool.alloc()).not.toBe(0);
      expect(pool.stats().reserveHits).toBe(0);
    }
  });
});

test("an arena uses memory up to the end of 4 GiB", () => {
  const memory = new WebAssembly.Memory({ initial: 65536 });
  const heap = createHeap({ memory, region: { base: 4 * GIB - MIB, bytes: MIB } });
  // The arena's own record takes a page.
  const largestFree = heap.stats().largestFree - 4096;
  const arena = createArena({ heap, bytes: largestFree });
  expect(arena.alloc(64)).not.toBe(0);
  expect(arena.alloc(largestFree - 4096)).not.toBe(0);
  expect(heap.check()).toEqual([]);
});

test("a heap may have 4 GiB from the start", () => {
  const heap = createHeap({ initial: 4 * GIB });
  expect(heap.stats().bytes).toBeGreaterThan(4 * GIB - 65536);
  const pool = create({ heap, size: 100, minNr: 1 });
  expect(pool.alloc()).not.toBe(0);
});

test("the heap finds the one run that is long enough", () => {
  const heap = createHeap({ initial: 8 * MIB, maximum: 8 * MIB });
  // Holes of 16 pages, kept apart by arenas of one, with one of 17 pages at the back of their bin.
  const holes = [17, ...Array.from({ length: 80 }, () => 16)].map((pages) => {
    const hole = createArena({ heap, bytes: pages * 4096 });
    createArena({ heap, bytes: 4096 });
    return hole;
  });
  const rest: number[] = [];
  const filler = create({ heap, size: 4000, minNr: 0 });
  for (let address; (address = filler.alloc()) !== 0;) rest.push(address);
  for (const hole of holes) hole.exit();
  expect(heap.stats().largestFree).toBe(17 * 4096);
  createArena({ heap, bytes: 17 * 4096 });
  expect(heap.check()).toEqual([]);
});

test("createHeap refuses a module that does not go with the memory", () => {
  const module = new WebAssembly.Module(readFileSync(new URL("../../build/core.imported.wasm", import.meta.url)));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 100, shared: true });
  expect(codeOf(() => createHeap({ memory, grows: true, module }))).toBe("ERR_INVALID_ARGUMENT");
  expect(memory.buffer.byteLength).toBe(65536);
});

test.each([false, true])("a heap may live in memory that has no page yet (shared: %s)", (shared) => {
  const memory = new WebAssembly.Memory({ initial: 0, maximum: 64, shared });
  const heap = (shared ? createSharedHeap : createHeap)({ memory, grows: true });
  const pool = create({ heap, size: 64, minNr: 2 });
  expect(pool.alloc()).not.toBe(0);
  expect(heap.check()).toEqual([]);
});

test("heap.create refuses another heap", () => {
  const heap = createHeap();
  const other = createHeap();
  expect(codeOf(() => heap.create({ heap: other, size: 8, minNr: 1 } as never))).toBe("ERR_INVALID_ARGUMENT");
});

test("the console shows figures and fields, but no memory", () => {
  const heap = createHeap();
  const point = struct({ x: f32, y: f32 });
  const pool = heap.create({ size: point, minNr: 1 });
  const cursor = point.at(heap, pool.ptr(pool.alloc()));
  cursor.x = 2;
  cursor.y = 3;
  expect(inspect(cursor)).toBe("{ x: 2, y: 3 }");
  for (const object of [heap, pool, createArena({ heap: heap })]) expect(inspect(object).length).toBeLessThan(600);
});
