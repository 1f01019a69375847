/** Every size with every alignment, and tiny heaps. */
import { describe, expect, test } from "vitest";
import { create, createArena } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
  expectCanary,
  expectDisjoint,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  MAX_ALIGN,
  MAX_SIZE,
  MIB,
  PAGE,
  random,
  shuffle,
  take,
  writeCanary,
} from "./helpers.ts";

const ALIGNMENTS = Array.from({ length: 13 }, (_, i) => 2 ** i);

describe.each(builds)("sizes: $name", (build) => {
  test.each(ALIGNMENTS)("elements have alignment %i, whatever their size", (align) => {
    const heap = fixedHeap(build, 8 * MIB);
    const everything: [number, number][] = [];
    for (const size of [1, 3, align - 1, align, align + 1, 100, 2 * align + 3, 5000, 70_000]) {
      if (size < 1) continue;
      const pool = create({ heap, size, minNr: 2, align });
      expect([pool.align, pool.elementSize]).toEqual([align, size]);
      const live = take(pool, 30);
      for (let i = 0; i < 2; i++) live.push(pool.allocPreallocated());
      expectElements(heap, live, size, align);
      live.forEach((address, i) => writeCanary(heap.memory, address, size, i));
      live.forEach((address, i) => expectCanary(heap.memory, address, size, i));
      for (const address of live) everything.push([address, size]);
    }
    expectDisjoint(everything);
    expectSound(heap);
  });

  test("elements may have any size from 1 byte to 16 MiB", () => {
    const heap = build.heap({ initial: MIB, maximum: 72 * MIB });
    const sizes: number[] = [];
    for (let power = 0; power <= 24; power++) {
      for (const size of [2 ** power - 1, 2 ** power, 2 ** power + 1, Math.floor(2 ** power * 1.37)]) {
        if (size >= 1 && size <= MAX_SIZE) sizes.push(size);
      }
    }
    for (const size of sizes) {
      const pool = create({ heap, size, minNr: 1 });
      const live = take(pool, size > MIB ? 2 : 5);
      expectElements(heap, live, size, pool.align);
      // an overlap with a neighbour would change the ends
      const edge = Math.min(size, 300);
      live.forEach((address, i) => {
        writeCanary(heap.memory, address, edge, i);
        writeCanary(heap.memory, address + size - edge, edge, i + (size === edge ? 0 : 50));
      });
      live.forEach((address, i) => {
        if (size >= 2 * edge) expectCanary(heap.memory, address, edge, i);
        expectCanary(heap.memory, address + size - edge, edge, i + (size === edge ? 0 : 50));
      });
      freeAll(pool, shuffle(live, random(size)));
      pool.exit();
    }
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("an element of 16 MiB may have the largest alignment", () => {
    const heap = build.heap({ initial: MIB, maximum: 56 * MIB });
    const pool = create({ heap, size: MAX_SIZE, minNr: 1, align: MAX_ALIGN, zero: true });
    const address = pool.alloc();
    expectElements(heap, [address], MAX_SIZE, MAX_ALIGN);
    heap.u8.fill(0xff, address, address + MAX_SIZE);
    expectSound(heap);
    const second = pool.alloc();
    expectElements(heap, [address, second], MAX_SIZE, MAX_ALIGN);
    expect(heap.u8[second]).toBe(0);
    expect(heap.u8[second + MAX_SIZE - 1]).toBe(0);
    pool.free(address);
    pool.free(second);
    expectSound(heap);
  });

  test("pools of different sizes share a heap without overlap", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const next = random(21);
    const pools = Array.from({ length: 120 }, (_, i) =>
      create({ heap, size: 1 + Math.floor(next() ** 3 * 9000), minNr: i % 3, align: 2 ** Math.floor(next() * 8) }),
    );
    const live: [number, number][] = [];
    for (let i = 0; i < 6000; i++) {
      const pool = pools[Math.floor(next() * pools.length)]!;
      const address = pool.alloc();
      if (address === 0) break;
      expect(address % pool.align).toBe(0);
      live.push([address, pool.elementSize]);
    }
    expect(live.length).toBeGreaterThan(2000);
    expectDisjoint(live);
    expectSound(heap);
  });
});

describe.each(builds)("tiny heaps: $name", (build) => {
  test.each([1, 2, 3])("a heap of %i pages has room for elements", (pages) => {
    const heap = fixedHeap(build, pages * PAGE);
    const bytes = heap.stats().maximum;
    expect(bytes).toBe(pages * PAGE);
    const pool = create({ heap, size: 32, minNr: 4 });
    const live = drain(pool);
    expectElements(heap, live, 32, 16);
    // even of a single page, half is for elements; with threads, half of the page without their table
    const table = build.isShared ? 4096 : 0;
    expect(live.length * 32).toBeGreaterThan((bytes - table) / 2);
    live.forEach((address, i) => writeCanary(heap.memory, address, 32, i));
    expectSound(heap);
    live.forEach((address, i) => expectCanary(heap.memory, address, 32, i));
    expect(freeCode(pool, live[0]! + 16)).toBe("ERR_INTERIOR_FREE");
    freeAll(pool, live);
    const again = drain(pool);
    // The slabs may have other lengths now, and so other padding.
    expect(again.length).toBeGreaterThan(live.length - 4);
    pool.exit();
    freeAll(pool, again);
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("two pages have room for several small pools and an arena", () => {
    const heap = fixedHeap(build, 2 * PAGE);
    const pools = [16, 100, 700].map((size) => create({ heap, size, minNr: 3 }));
    const arena = createArena({ heap });
    const blocks = [1, 2, 3].map(() => arena.alloc(1000));
    expect(blocks).not.toContain(0);
    const live: [number, number][] = blocks.map((block) => [block, 1000]);
    for (const pool of pools) for (const address of take(pool, 5)) live.push([address, pool.elementSize]);
    expectDisjoint(live);
    expectSound(heap);
  });

  test("a refused create leaves the rest usable", () => {
    const heap = fixedHeap(build, PAGE);
    const pool = create({ heap, size: 32, minNr: 4 });
    for (const [size, minNr] of [
      [PAGE, 1],
      [MAX_SIZE, 1],
      [1024, 65],
      [1, 2 * PAGE],
    ] as const) {
      expect(codeOf(() => create({ heap, size, minNr }))).toBe("ERR_NO_MEMORY");
    }
    const held = take(pool, 20);
    expectElements(heap, held, 32, 16);
    expectSound(heap);
  });
});
