/** The backends pages and bump. */
import { describe, expect, test } from "vitest";
import { create } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import {
  drain,
  expectCanary,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  MIB,
  random,
  shuffle,
  take,
  usedAfterTrim,
  writeCanary,
} from "./helpers.ts";
import { hasClosed } from "./backend-helpers.ts";

describe.each(builds)("the backend pages: $name", (build) => {
  test.each([1, 100, 4095, 4096, 4097, 10_000, 70_000])("elements of %i bytes are at multiples of 4096", (size) => {
    const heap = fixedHeap(build, 8 * MIB);
    const pool = create({ heap, size, minNr: 3, backend: "pages" });
    expect(pool.align).toBe(4096);
    const all = take(pool, 50);
    expectElements(heap, all, size, 4096);
    const sorted = all.toSorted((a, b) => a - b);
    const least = Math.ceil(size / 4096) * 4096;
    for (let i = 1; i < 50; i++) expect(sorted[i]! - sorted[i - 1]!).toBeGreaterThanOrEqual(least);
    all.forEach((address) => writeCanary(heap.memory, address, size, address));
    all.forEach((address) => expectCanary(heap.memory, address, size, address));
    freeAll(pool, all);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 3]);
    expectSound(heap);
  });

  test("freed pages return to the heap at once", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const pool = create({ heap, size: 4096, minNr: 0, backend: "pages" });
    pool.free(pool.alloc());
    const before = heap.stats().used;
    const all = take(pool, 1000);
    expect(heap.stats().used).toBeGreaterThanOrEqual(before + 1000 * 4096);
    freeAll(pool, shuffle(all, random(2)));
    expect(heap.stats().used).toBe(before);
    expect(pool.stats().cached).toBe(0);
    expect(heap.trim()).toBe(0);
    expectSound(heap);
  });

  test("no thread caches an element", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 2, backend: "pages" });
    const held: number[] = [];
    const next = random(8);
    for (let i = 0; i < 2000; i++) {
      if (next() < 0.5) held.push(...drain(pool, 1));
      else if (held.length > 0) pool.free(held.splice(Math.floor(next() * held.length), 1)[0]!);
      expect(pool.stats().cached).toBe(0);
    }
    freeAll(pool, held);
    expectSound(heap);
  });

  test("bad frees have their codes", async () => {
    const heap = fixedHeap(build, MIB);
    create({ heap, size: 8, minNr: 0 }).exit();
    const before = usedAfterTrim(heap);
    const pool = create({ heap, size: 8192, minNr: 2, backend: "pages" });
    const held = take(pool, 10);
    expect(freeCode(pool, held[0]! + 4096)).toBe("ERR_INTERIOR_FREE");
    expect(freeCode(pool, held[0]! + 8)).toBe("ERR_MISALIGNED_FREE");
    expect(freeCode(pool, 4096 * 200)).not.toBe("none");
    pool.exit();
    freeAll(pool, held);
    expect(await hasClosed(pool)).toBe(true);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });
});

describe.each(builds)("the backend bump: $name", (build) => {
  test("elements are allocated at ascending addresses", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 0, backend: "bump" });
    const all = take(pool, 30);
    expectElements(heap, all, 100, 4);
    expect(all).toEqual(all.toSorted((a, b) => a - b));
    freeAll(pool, all);
    expectSound(heap);
  });

  test("memory returns to the heap when the pool has ended", async () => {
    const heap = fixedHeap(build, 8 * MIB);
    create({ heap, size: 8, minNr: 0 }).exit();
    const before = usedAfterTrim(heap);
    const pool = create({ heap, size: 1000, minNr: 4, backend: "bump" });
    const all = take(pool, 4000);
    all.forEach((address) => writeCanary(heap.memory, address, 1000, address));
    const { used } = heap.stats();
    expect(used).toBeGreaterThan(before + 4_000_000);
    const last = all.pop()!;
    all.forEach((address) => expectCanary(heap.memory, address, 1000, address));
    freeAll(pool, all);
    heap.trim();
    expect(heap.stats().used).toBeGreaterThanOrEqual(before + 4_000_000);
    pool.exit();
    expectCanary(heap.memory, last, 1000, last);
    expect(pool.outstanding).toBe(1);
    pool.free(last);
    expect(await hasClosed(pool)).toBe(true);
    // A debug heap's pool has more records, of which a page stays until then.
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("the reserve, maxNr and the checks of free work", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4, maxNr: 40, backend: "bump" });
    const all = drain(pool, 100);
    expect(all.length).toBe(40);
    const element = all.pop()!;
    pool.free(element);
    expect(freeCode(pool, element)).toBe("ERR_DOUBLE_FREE");
    expect(freeCode(pool, all[0]! + 16)).toBe("ERR_INTERIOR_FREE");
    expect(freeCode(pool, all[0]! + 1)).toBe("ERR_MISALIGNED_FREE");
    freeAll(pool, all);
    expect([pool.currNr, pool.outstanding]).toEqual([4, 0]);
    faults(pool, { refuse: true });
    for (let i = 0; i < 1000; i++) {
      const four = drain(pool, 50);
      expect(four.length).toBe(4);
      freeAll(pool, four);
    }
    expectSound(heap);
  });
});
