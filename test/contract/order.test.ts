/** The order of alloc and free: backend, reserve, 0; and its counters. */
import { describe, expect, test } from "vitest";
import { create, createArena, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  drain,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  Greedy,
  MIB,
  PAGE,
  random,
  shuffle,
  take,
} from "./helpers.ts";

/** At any instant, elements in the reserve + outstanding elements >= minNr. */
function expectGuarantee(pool: Pool): void {
  expect(pool.currNr + pool.outstanding).toBeGreaterThanOrEqual(pool.minNr);
}

describe.each(builds)("order: $name", (build) => {
  test("alloc leaves the reserve alone while the backend has memory", () => {
    const heap = build.heap({ initial: MIB, maximum: 4 * MIB });
    const pool = create({ heap, size: 200, minNr: 10 });
    for (let i = 1; i <= 3000; i++) {
      expect(pool.alloc()).not.toBe(0);
      if (pool.currNr !== 10) throw new Error(`alloc ${i} took from the reserve`);
    }
    expect(pool.stats()).toMatchObject({
      allocs: 3000,
      slabHits: 3000,
      reserveHits: 0,
      lowestCurrNr: 10,
      outstanding: 3000,
      failures: 0,
    });
  });

  test("alloc empties the reserve before it returns 0", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 200, minNr: 10 });
    new Greedy(heap).take();
    expect(pool.currNr).toBe(10);

    // free elements of the pool's own slabs are backend
    let address = pool.alloc();
    const held: number[] = [];
    for (; pool.currNr === 10; address = pool.alloc()) held.push(address);
    for (let left = 9; ; left--) {
      expect(address).not.toBe(0);
      held.push(address);
      expect(pool.currNr).toBe(left);
      expect(pool.stats().lowestCurrNr).toBe(left);
      expect(pool.isSaturated).toBe(false);
      expectGuarantee(pool);
      if (left === 0) break;
      address = pool.alloc();
    }
    const before = pool.stats();
    expect(before).toMatchObject({ reserveHits: 10, slabHits: held.length - 10, allocs: held.length, failures: 0 });
    for (let i = 1; i <= 3; i++) {
      expect(pool.alloc()).toBe(0);
      expect(pool.allocPreallocated()).toBe(0);
    }
    const { failures, reclaims } = pool.stats();
    expect(pool.stats()).toEqual({ ...before, failures, reclaims });
    expect(failures).toBeGreaterThanOrEqual(3);
    expect(reclaims).toBeGreaterThanOrEqual(before.reclaims + 3);
    expectElements(heap, held, 200, 8);
    expectSound(heap);
  });

  test("free fills the reserve before the slabs", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 200, minNr: 10 });
    new Greedy(heap).take();
    const held = shuffle(drain(pool), random(1));
    // enough for frees beyond a full reserve
    expect(held.length).toBeGreaterThan(10);
    held.forEach((address, i) => {
      pool.free(address);
      const expected = Math.min(i + 1, 10);
      if (pool.currNr !== expected) throw new Error(`after ${i + 1} frees the reserve has ${pool.currNr}`);
      expectGuarantee(pool);
    });
    expect(pool.isSaturated).toBe(true);
    expect(pool.stats()).toMatchObject({ lowestCurrNr: 0, frees: held.length, outstanding: 0, currNr: 10 });
    expectSound(heap);
  });

  test("the reserve is a stack", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 5 });
    const reserve = [1, 2, 3, 4, 5].map(() => pool.allocPreallocated());
    shuffle(reserve, random(2));
    freeAll(pool, reserve);
    expect([1, 2, 3, 4, 5].map(() => pool.allocPreallocated())).toEqual(reserve.toReversed());
  });

  test("allocPreallocated takes only from the reserve", () => {
    const heap = build.heap({ initial: MIB, maximum: 4 * MIB });
    const pool = create({ heap, size: 1000, minNr: 7 });
    const before = pool.stats();
    const used = heap.stats();
    const held: number[] = [];
    for (let left = 6; left >= 0; left--) {
      held.push(pool.allocPreallocated());
      expect(pool.currNr).toBe(left);
      expectGuarantee(pool);
    }
    expect(held).not.toContain(0);
    expect(pool.allocPreallocated()).toBe(0);
    expect(pool.stats()).toMatchObject({
      slabs: before.slabs,
      slabBytes: before.slabBytes,
      allocs: 7,
      slabHits: 0,
      // a reserve hit is an alloc that the backend could not serve: none here
      reserveHits: 0,
      outstanding: 7,
      lowestCurrNr: 0,
    });
    expect(heap.stats()).toEqual(used);
    expectElements(heap, held, 1000, 8);
    // the backend has memory all the time, and alloc uses it first
    const more = take(pool, 20);
    expect(pool.stats()).toMatchObject({ slabHits: 20, currNr: 0 });
    expectElements(heap, [...held, ...more], 1000, 8);
    // whichever element is freed, it goes to the reserve
    freeAll(pool, more.slice(0, 7));
    expect(pool.currNr).toBe(7);
    freeAll(pool, held);
    expect(pool.currNr).toBe(7);
    expectSound(heap);
  });

  test("a pool of minNr 0 has no reserve", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 500, minNr: 0 });
    expect(pool).toMatchObject({ currNr: 0, minNr: 0, isSaturated: true });
    expect(pool.allocPreallocated()).toBe(0);
    const held = drain(pool);
    expect(held.length).toBeGreaterThan(1000);
    freeAll(pool, held);
    expect(pool.outstanding).toBe(0);
    expect(drain(pool).length).toBeGreaterThanOrEqual(0.95 * held.length);
  });

  test("alloc takes the empty slabs of other pools before it fails", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 3000, minNr: 2 });
    const neighbours = [16, 700, 9000].map((size) => create({ heap, size, minNr: 0 }));
    const held = drain(pool);
    // the memory goes from this pool to its neighbours, which then have it in empty slabs
    freeAll(pool, held);
    heap.trim();
    for (const neighbour of neighbours) freeAll(neighbour, take(neighbour, 40));
    for (const neighbour of neighbours) freeAll(neighbour, drain(neighbour));
    expect(drain(pool).length).toBeGreaterThanOrEqual(held.length * 0.95);
    expectSound(heap);
  });

  test("alloc finds memory that was freed", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 3000, minNr: 2 });
    const greedy = new Greedy(heap);
    const arena = createArena({ heap });
    greedy.take();
    const held = drain(pool);
    expect(pool.alloc()).toBe(0);
    expect(arena.alloc(PAGE)).toBe(0);
    greedy.release();
    expect(drain(pool, 100)).toHaveLength(100);
    // allocs neither fill nor use the reserve
    expect(pool.currNr).toBe(0);
    freeAll(pool, held.slice(0, 2));
    expect(pool.currNr).toBe(2);
    expect(arena.alloc(PAGE)).not.toBe(0);
    expectSound(heap);
  });

  test("allocs, frees, hits and failures add up", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 5000, minNr: 12 });
    const next = random(3);
    const live: number[] = [];
    let [allocs, frees, refused, lowest] = [0, 0, 0, 12];
    for (let i = 0; i < 3000; i++) {
      if (next() < 0.6) {
        const address = pool.alloc();
        if (address === 0) refused++;
        else {
          allocs++;
          live.push(address);
        }
      } else if (live.length > 0) {
        pool.free(live.splice(Math.floor(next() * live.length), 1)[0]!);
        frees++;
      }
      lowest = Math.min(lowest, pool.currNr);
      expectGuarantee(pool);
    }
    expect(refused).toBeGreaterThan(10);
    const stats = pool.stats();
    expect(stats).toMatchObject({ allocs, frees, failures: refused, outstanding: live.length, lowestCurrNr: lowest });
    expect(stats.slabHits + stats.reserveHits).toBe(allocs);
    expect(pool.outstanding).toBe(live.length);
    expect(stats.slabBytes).toBeGreaterThanOrEqual((live.length + pool.currNr) * 5000);
    expect(stats.slabs).toBeGreaterThan(0);
  });

  describe("maxNr", () => {
    test("is the most elements that are outstanding", () => {
      const heap = fixedHeap(build, MIB);
      for (const [minNr, maxNr] of [
        [0, 1],
        [1, 1],
        [4, 4],
        [3, 50],
        [0, 1000],
      ] as const) {
        const pool = create({ heap, size: 40, minNr, maxNr });
        const held = take(pool, maxNr);
        for (let i = 0; i < 3; i++) {
          expect(pool.alloc()).toBe(0);
          expect(pool.allocPreallocated()).toBe(0);
          expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
        }
        expect(pool.outstanding).toBe(maxNr);
        expect(pool.stats().failures).toBeGreaterThanOrEqual(6);
        for (const address of held.slice(0, 20)) {
          pool.free(address);
          expectGuarantee(pool);
          const again = pool.alloc();
          expect(again).not.toBe(0);
          expect(pool.alloc()).toBe(0);
        }
        expectSound(heap);
        pool.exit();
      }
    });

    test("counts outstanding elements of the reserve", () => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 40, minNr: 4, maxNr: 6 });
      const held = [1, 2, 3, 4].map(() => pool.allocPreallocated());
      expect(held).not.toContain(0);
      held.push(...take(pool, 2));
      expect(pool.alloc()).toBe(0);
      expect(pool.outstanding).toBe(6);
      expectElements(heap, held, 40, 8);
      freeAll(pool, held);
      expect(drain(pool)).toHaveLength(6);
    });

    test("is no reservation", () => {
      const heap = fixedHeap(build, MIB);
      const before = heap.stats().used;
      const pool = create({ heap, size: 1000, minNr: 1, maxNr: 2 ** 31 });
      expect(heap.stats().used - before).toBeLessThan(2 * PAGE);
      const held = drain(pool);
      expect(held.length).toBeGreaterThan(900);
      expect(held.length).toBeLessThan(1100);
    });
  });
});
