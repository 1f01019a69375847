/** Addresses and amounts that are negative as signed integers, up to the last byte of 4 GiB. */
import { describe, expect, test } from "vitest";
import { create, createArena, createHeap, type Heap } from "../../src/index.ts";
import {
  drain,
  expectCanary,
  expectDisjoint,
  expectElements,
  expectSound,
  expectZero,
  freeAll,
  freeCode,
  MAX_SIZE,
  MIB,
  PAGE,
  random,
  shuffle,
  take,
  usedAfterTrim,
  writeCanary,
} from "./helpers.ts";

const GIB = 2 ** 30;

/** A heap in [base, base + bytes) of a memory of 4 GiB, of which only what is written to takes any room. */
function heapAt(base: number, bytes: number): Heap {
  return createHeap({ memory: new WebAssembly.Memory({ initial: PAGE, maximum: PAGE }), region: { base, bytes } });
}

describe.each([
  ["across 2 GiB", 2 * GIB - 2 * MIB, 4 * MIB],
  ["above 2 GiB", 2 * GIB, 4 * MIB],
  ["at the very end of 4 GiB", 4 * GIB - 4 * MIB, 4 * MIB],
])("a heap %s", (_name, base, bytes) => {
  test("works like any other", () => {
    const heap = heapAt(base, bytes);
    expect(heap.stats().bytes).toBeLessThanOrEqual(bytes);
    const idle = usedAfterTrim(heap);
    const pools = [3, 64, 1000, 20_000].map((size) => create({ heap, size, minNr: 3, zero: true }));
    const arena = createArena({ heap });
    const blocks = [1, 2, 3].map(() => arena.alloc(50_000, 64));
    expect(blocks).not.toContain(0);
    const live = pools.map((pool) => take(pool, 40));
    const bulk = new Uint32Array(30);
    expect(pools[1]!.allocBulk(bulk)).toBe(true);
    live[1]!.push(...bulk);
    const reserved = pools[2]!.allocPreallocated();
    live[2]!.push(reserved);

    const intervals: [number, number][] = blocks.map((block) => [block, 50_000]);
    pools.forEach((pool, i) => {
      for (const address of live[i]!) {
        expect(address).toBeGreaterThanOrEqual(base);
        expect(address + pool.elementSize).toBeLessThanOrEqual(base + bytes);
        expectZero(heap.memory, address, pool.elementSize);
        writeCanary(heap.memory, address, pool.elementSize, address % 1000);
        intervals.push([address, pool.elementSize]);
      }
      expectElements(heap, live[i]!, pool.elementSize, pool.align);
    });
    expectDisjoint(intervals);
    expectSound(heap);

    pools.forEach((pool, i) => {
      const address = live[i]!.at(-1)!;
      const other = live[(i + 1) % pools.length]![0]!;
      expect(freeCode(pool, other)).toBe("ERR_FOREIGN_FREE");
      expect(freeCode(pool, address - 2 ** 32)).toBe("ERR_INVALID_ADDRESS");
      expect(freeCode(pool, address + 2 ** 32)).toBe("ERR_INVALID_ADDRESS");
      expect(freeCode(pool, address - 2 ** 31)).toBe("ERR_INVALID_ADDRESS");
      if (pool.align > 1) expect(freeCode(pool, address + 1)).toBe("ERR_MISALIGNED_FREE");
      if (pool.elementSize > pool.align) expect(freeCode(pool, address + pool.align)).toBe("ERR_INTERIOR_FREE");
      expect(freeCode(pool, blocks[1])).toBe("ERR_INVALID_ADDRESS");
      for (const bad of [1, 64, PAGE, base - 1, base - 64, 2 ** 32 - 1, 2 ** 32 - 64]) {
        if (bad < base || bad >= base + bytes) expect(freeCode(pool, bad)).toBe("ERR_INVALID_ADDRESS");
        else expect(freeCode(pool, bad)).not.toBe("none");
      }
    });
    pools.forEach((pool, i) => {
      for (const address of live[i]!) expectCanary(heap.memory, address, pool.elementSize, address % 1000);
      const doubled = live[i]![0]!;
      freeAll(pool, shuffle(live[i]!, random(i)));
      expect(["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, doubled));
      pool.exit();
    });
    arena.exit();
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(idle + PAGE);
    expectSound(heap);
  });

  test("can be filled to its end", () => {
    const heap = heapAt(base, bytes);
    const arena = createArena({ heap });
    const pool = create({ heap, size: 4000, minNr: 2, align: 16 });
    const all = drain(pool);
    expect(all.length * 4000).toBeGreaterThan(0.9 * bytes);
    expectElements(heap, all, 4000, 16);
    for (const address of all) {
      if (address < base || address + 4000 > base + bytes) throw new Error(`${address} is outside of the region`);
    }
    expect(pool.alloc()).toBe(0);
    for (const size of [2 ** 32 - 1, 2 ** 31, 2 ** 32 - PAGE, bytes]) expect(arena.alloc(size)).toBe(0);
    freeAll(pool, all);
    expect(drain(pool).length).toBeGreaterThanOrEqual(0.95 * all.length);
    expectSound(heap);
  });
});

test("a heap of 3 GiB counts beyond 2 GiB", () => {
  const heap = heapAt(GIB, 3 * GIB);
  const pool = create({ heap, size: MAX_SIZE, minNr: 1 });
  const all = drain(pool);
  expect(all.length).toBeGreaterThan(170);
  expectElements(heap, all, MAX_SIZE, 16);
  const { used, bytes, free, largestFree, maximum } = heap.stats();
  expect(used).toBeGreaterThanOrEqual(all.length * MAX_SIZE);
  expect(bytes).toBeGreaterThan(2.9 * GIB);
  expect(maximum).toBe(3 * GIB);
  expect(free).toBeGreaterThanOrEqual(0);
  expect(largestFree).toBeLessThan(MAX_SIZE + PAGE);
  expect(pool.stats().slabBytes).toBeGreaterThanOrEqual(all.length * MAX_SIZE);
  expectSound(heap);
  freeAll(pool, shuffle(all, random(1)));
  heap.trim();
  expect(heap.stats().free).toBeGreaterThan(2.9 * GIB);
  expect(heap.stats().used).toBeLessThan(0.1 * GIB);
  expectSound(heap);
});

test("a heap may have a maximum of 4 GiB", () => {
  const heap = createHeap({ initial: PAGE, maximum: 4 * GIB });
  expect(heap.stats().maximum).toBe(4 * GIB);
  const pool = create({ heap, size: MIB, minNr: 1 });
  expectElements(heap, take(pool, 50), MIB, 16);
  expectSound(heap);
});
