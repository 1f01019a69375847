/** The memory that elements cost; unused memory serves every pool. */
import { describe, expect, test } from "vitest";
import { create, createArena, createHeap, type Heap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  KIB,
  MIB,
  PAGE,
  random,
  shuffle,
  take,
  usedAfterTrim,
} from "./helpers.ts";

/** Takes `count` elements in bulk: a million take milliseconds. */
function takeMany(pool: Pool, count: number): Uint32Array {
  const all = new Uint32Array(count);
  for (let done = 0; done < count;) {
    const part = Math.min(50_000, count - done);
    if (!pool.allocBulk(all.subarray(done, done + part))) throw new Error(`no memory after ${done} of ${count}`);
    done += part;
  }
  return all;
}

describe("cost", () => {
  test.each(builds)("a million elements of 64 bytes: at most 3 % on top ($name)", (build) => {
    const heap = build.heap({ initial: MIB, maximum: 72 * MIB });
    const pool = create({ heap, size: 64, minNr: 0 });
    const all = takeMany(pool, 1_000_000);
    expect(heap.stats().used / 64e6).toBeLessThanOrEqual(1.03);
    expectElements(heap, Array.from(all), 64, 16);
    expect(pool.stats().slabBytes).toBeGreaterThanOrEqual(64e6);
    pool.freeBulk(all);
    expect(pool.outstanding).toBe(0);
    expect(usedAfterTrim(heap)).toBeLessThan(MIB);
  });

  const next = random(2024);
  const sizes = Array.from({ length: 40 }, () => Math.floor(16 * 4096 ** next()));
  // where a division of a page or of a slab leaves the most over
  for (const divisor of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 31]) {
    for (const slab of [4 * KIB, PAGE]) {
      const size = Math.floor(slab / divisor);
      sizes.push(size, size + 1, size - 64);
    }
  }
  const inRange = [...new Set(sizes)].filter((size) => size >= 16 && size <= 64 * KIB).toSorted((a, b) => a - b);

  test("any size from 16 bytes to 64 KiB at full load: at most 15 % on top", () => {
    const tooMuch: string[] = [];
    for (const size of inRange) {
      const count = Math.max(64, Math.ceil((12 * MIB) / size));
      const heap = createHeap({ initial: MIB, maximum: 18 * MIB });
      const pool = create({ heap, size, minNr: 0 });
      takeMany(pool, count);
      const ratio = heap.stats().used / (size * count);
      if (ratio > 1.15) tooMuch.push(`${size}: ${ratio.toFixed(3)}`);
      expect(ratio).toBeGreaterThanOrEqual(1);
    }
    expect(tooMuch).toEqual([]);
  });

  test.each(builds)("a pool of a few small elements costs no page ($name)", (build) => {
    const heap = fixedHeap(build, 4 * MIB);
    const before = heap.stats().used;
    const pools = Array.from({ length: 32 }, () => create({ heap, size: 32, minNr: 4 }));
    const live = pools.map((pool) => take(pool, 4));
    expect((heap.stats().used - before) / 32).toBeLessThan(16 * KIB);
    expectElements(heap, live.flat(), 32, 16);
    const then = heap.stats().used;
    take(create({ heap, size: 32, minNr: 0 }), 4);
    expect(heap.stats().used - then).toBeLessThan(16 * KIB);
  });
});

/** How many elements of a size a heap has room for. */
function capacity(heap: Heap, size: number): number {
  const pool = create({ heap, size, minNr: 0 });
  const addresses = drain(pool);
  freeAll(pool, addresses);
  pool.exit();
  return addresses.length;
}

describe.each(builds)("memory: $name", (build) => {
  const PAIRS = [
    [8, 1000],
    [1000, 8],
    [64, 40_000],
    [40_000, 64],
    [300_000, 48],
    [48, 300_000],
    [3000, 700_000],
    [24, 24],
  ] as const;

  test.each(PAIRS)("slabs that %i byte elements left empty serve elements of %i bytes", (first, second) => {
    const fresh = capacity(fixedHeap(build, 4 * MIB), second);
    expect(fresh * second).toBeGreaterThan(0.8 * 4 * MIB);
    const heap = fixedHeap(build, 4 * MIB);
    // both pools stay: only the need of one makes the other's memory available
    const [one, two] = [create({ heap, size: first, minNr: 0 }), create({ heap, size: second, minNr: 0 })];
    for (let round = 0; round < 2; round++) {
      const a = drain(one);
      // the first pool leaves less than two slabs unused
      const early = drain(two);
      expect(early.length).toBeLessThanOrEqual((first + 2 * PAGE) / second);
      freeAll(one, shuffle(a, random(round)));
      const b = early.concat(drain(two));
      // elements in a magazine may have kept one slab from being freed when the first of these was placed
      expect(b.length).toBeGreaterThanOrEqual(Math.min(0.95 * fresh, fresh - 1));
      expectElements(heap, b, second, two.align);
      freeAll(two, shuffle(b, random(10 + round)));
    }
    expectSound(heap);
  });

  test("freed slabs of several pools join into one run", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pools = [16, 200, 3000].map((size) => create({ heap, size, minNr: 0 }));
    const live = pools.map((pool) => drain(pool, Math.floor((1.2 * MIB) / pool.elementSize)));
    // the first half of each pool, in the order of allocation, is whole slabs but for the ends
    pools.forEach((pool, i) => freeAll(pool, live[i]!.splice(0, Math.floor(live[i]!.length / 2))));
    const other = create({ heap, size: 1100, minNr: 0 });
    expect(drain(other).length * 1100).toBeGreaterThan(1.4 * MIB);
    expectSound(heap);
  });

  test("a heap has room for 10,000 pools", () => {
    const heap = build.heap({ initial: MIB, maximum: 192 * MIB });
    create({ heap, size: 8, minNr: 1 }).exit();
    const idle = usedAfterTrim(heap);
    const pools: Pool[] = [];
    for (let i = 0; i < 10_000; i++) pools.push(create({ heap, size: 8 + (i % 200), minNr: 1 + (i % 3) }));
    expect(heap.stats().pools).toBe(10_000);
    expect((heap.stats().used - idle) / 10_000).toBeLessThan(16 * KIB);
    const live = pools.map((pool) => [pool.alloc(), pool.alloc(), pool.allocPreallocated()]);
    expect(new Set(live.flat()).size).toBe(30_000);
    for (let i = 0; i < 10_000; i += 97) {
      const other = pools[(i * 7 + 5000) % 10_000]!;
      if (other !== pools[i]) expect(codeOf(() => other.free(live[i]![0]!))).toBe("ERR_FOREIGN_FREE");
    }
    expectSound(heap);
    pools.forEach((pool, i) => {
      if (i % 2 === 0) freeAll(pool, live[i]!);
      pool.exit();
      if (i % 2 === 1) freeAll(pool, live[i]!);
    });
    expect(heap.stats().pools).toBe(0);
    // tables for so many pools may stay, but nothing of the pools themselves
    expect(usedAfterTrim(heap) - idle).toBeLessThan(MIB);
    expectSound(heap);
  });

  test("pools that end leave nothing behind", () => {
    const heap = fixedHeap(build, MIB);
    const next = random(31);
    const cycle = (): void => {
      const size = 1 + Math.floor(next() ** 4 * 60_000);
      const pool = create({ heap, size, minNr: Math.floor(next() * 4), zero: next() < 0.2 });
      const live = take(pool, 5);
      if (next() < 0.5) pool.exit();
      freeAll(pool, live);
      pool.exit();
    };
    for (let i = 0; i < 10; i++) cycle();
    const idle = usedAfterTrim(heap);
    for (let i = 0; i < 2000; i++) cycle();
    expect(usedAfterTrim(heap)).toBe(idle);
    expect(heap.stats()).toMatchObject({ pools: 0 });
    expectSound(heap);
  });

  test("refused calls leave nothing behind", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 500, minNr: 3 });
    const arena = createArena({ heap });
    const step = (): void => {
      expect(codeOf(() => create({ heap, size: 3000, minNr: 1000 }))).toBe("ERR_NO_MEMORY");
      expect(codeOf(() => create({ heap, size: 3_000_000, minNr: 1 }))).toBe("ERR_NO_MEMORY");
      expect(codeOf(() => createArena({ heap, bytes: 3_000_000 }))).toBe("ERR_NO_MEMORY");
      expect(arena.alloc(3_000_000)).toBe(0);
      expect(pool.allocBulk(new Uint32Array(4000))).toBe(false);
    };
    step();
    const idle = usedAfterTrim(heap);
    for (let i = 0; i < 100; i++) step();
    expect(usedAfterTrim(heap)).toBe(idle);
    expect(heap.stats()).toMatchObject({ pools: 1, arenas: 1 });
    expectSound(heap);
  });

  test("stats report the free memory", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const { used, free, largestFree, bytes } = heap.stats();
    expect(used + free).toBeLessThanOrEqual(bytes);
    expect(largestFree).toBeLessThanOrEqual(free);
    expect(largestFree).toBeGreaterThan(3 * MIB);
    // an element nearly as large as the largest free run can be allocated
    const big = create({ heap, size: Math.floor(largestFree * 0.95), minNr: 0 });
    const address = big.alloc();
    expect(address).not.toBe(0);
    expect(heap.stats().used - used).toBeGreaterThanOrEqual(largestFree * 0.95);
    expect(heap.stats().free).toBeLessThanOrEqual(free - largestFree * 0.95);
    big.free(address);
    big.exit();
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(used + PAGE);
  });

  test("a repeated load needs hardly more memory", () => {
    const heap = build.heap({ initial: MIB, maximum: 32 * MIB });
    const next = random(41);
    const pools = [24, 400, 6000, 90_000].map((size) => create({ heap, size, minNr: 2 }));
    let bytes = 0;
    for (let round = 0; round < 30; round++) {
      const live = pools.map((pool) => take(pool, Math.floor((2 * MIB) / pool.elementSize)));
      pools.forEach((pool, i) => freeAll(pool, shuffle(live[i]!, next)));
      if (round === 4) ({ bytes } = heap.stats());
    }
    // the places of the reserves' elements may cost a little, but that must not add up
    expect(heap.stats().bytes).toBeLessThanOrEqual(1.25 * bytes);
    expectSound(heap);
  });
});
