/** Bulk: all or none, both ways. */
import { describe, expect, test } from "vitest";
import { create, type Heap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
  errorFrom,
  expectElements,
  expectSound,
  expectZero,
  fixedHeap,
  freeAll,
  Greedy,
  MIB,
  PAGE,
  stateOf,
  take,
  usedAfterTrim,
} from "./helpers.ts";

const FILL = 0xdeadbeef;

/** The most elements that a call passes to the core in one piece: a refusal of so many changes no counter but failures. */
const ONE_PIECE = 256;

/**
 * A refusal is counted as such, and as nothing else. Besides, other slabs may be empty, which trim returns, and the
 * magazine keeps its size. Of a bulk in several pieces the counters show the elements that were taken and returned.
 */
function stateButFailures(heap: Heap, pool: Pool, count: number): unknown {
  usedAfterTrim(heap);
  const { failures: _failures, cached: _cached, ...counters } = pool.stats();
  const { allocs, frees, slabHits, reserveHits, lowestCurrNr, reclaims: _reclaims, ...rest } = counters;
  const whole = count <= ONE_PIECE ? { allocs, frees, slabHits, reserveHits, lowestCurrNr } : { live: allocs - frees };
  return { ...rest, ...whole, pools: heap.stats().pools };
}

function expectRefused(heap: Heap, pool: Pool, count: number): void {
  const { failures } = pool.stats();
  const before = stateButFailures(heap, pool, count);
  const { used } = heap.stats();
  const out = new Uint32Array(count + 2).fill(FILL);
  expect(pool.allocBulk(out, count)).toBe(false);
  expect(out.every((word) => word === FILL)).toBe(true);
  expect(stateButFailures(heap, pool, count)).toEqual(before);
  expect(heap.stats().used).toBeLessThanOrEqual(used + 2 * 4096);
  expect(pool.stats().failures).toBeGreaterThan(failures);
}

describe.each(builds)("bulk: $name", (build) => {
  test("gives exactly as many elements as requested", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 5 });
    const all: number[] = [];
    for (const count of [1, 2, 3, 64, 500, 1000]) {
      const out = new Uint32Array(count + 3).fill(FILL);
      expect(pool.allocBulk(out, count)).toBe(true);
      expect([...out.subarray(count)]).toEqual([FILL, FILL, FILL]);
      all.push(...out.subarray(0, count));
    }
    const whole = new Uint32Array(7);
    expect(pool.allocBulk(whole)).toBe(true);
    all.push(...whole);
    expectElements(heap, all, 100, 4);
    expect(pool.stats()).toMatchObject({ outstanding: 1577, allocs: 1577, slabHits: 1577, currNr: 5 });
    pool.freeBulk(Uint32Array.from(all));
    expect(pool.stats()).toMatchObject({ outstanding: 0, frees: 1577, currNr: 5 });
    expectSound(heap);
  });

  test("of no elements has no effect", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 5 });
    const before = stateOf(heap, pool);
    const out = new Uint32Array(3).fill(FILL);
    expect(pool.allocBulk(out, 0)).toBe(true);
    expect(pool.allocBulk(new Uint32Array(0))).toBe(true);
    pool.freeBulk(out, 0);
    pool.freeBulk(new Uint32Array(0));
    expect([...out]).toEqual([FILL, FILL, FILL]);
    expect(stateOf(heap, pool)).toEqual(before);
  });

  test("takes the last elements of the backend and the whole reserve", () => {
    for (const size of [24, 1000, 12_000]) {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size, minNr: 6 });
      // The slabs that a pool has, and so the number of elements that fit, depend on its past: so repeat the same
      // history.
      for (let round = 0; round < 2; round++) {
        freeAll(pool, drain(pool));
        heap.trim();
      }
      const all = drain(pool);
      freeAll(pool, all);
      heap.trim();
      // the count is refused, whatever part the backend could have given
      expectRefused(heap, pool, all.length + 1);
      expectRefused(heap, pool, all.length + 1000);
      heap.trim();
      const out = new Uint32Array(all.length);
      expect(pool.allocBulk(out)).toBe(true);
      expect(pool.currNr).toBe(0);
      expectElements(heap, [...out], size, pool.align);
      expectRefused(heap, pool, 1);
      pool.freeBulk(out);
      expect(pool.currNr).toBe(6);
      expectSound(heap);
    }
  });

  test("that fails half-way returns the elements that it took", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 1000, minNr: 2 });
    const held = take(pool, 10);
    for (let i = 0; i < 20; i++) expectRefused(heap, pool, 5000);
    const neighbour = create({ heap, size: 100, minNr: 0 });
    expect(drain(neighbour).length).toBeGreaterThan(0.9 * ((MIB - 12_000) / 100) * 0.9);
    freeAll(pool, held);
    expect(pool.currNr).toBe(2);
    expectSound(heap);
  });

  test("that fails leaves a short reserve as it was", () => {
    // memory runs short half-way; maxNr would refuse before the first element
    const heap = fixedHeap(build, 2 * PAGE);
    const pool = create({ heap, size: 1000, minNr: 6 });
    const held = [1, 2, 3, 4].map(() => pool.allocPreallocated());
    expect(pool.currNr).toBe(2);
    expectRefused(heap, pool, 200);
    expect(pool.currNr).toBe(2);
    freeAll(pool, held);
    expect(pool.currNr).toBe(6);
    expectSound(heap);
  });

  test("that would exceed maxNr gets no element", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 2, maxNr: 10 });
    expectRefused(heap, pool, 11);
    const out = new Uint32Array(8);
    expect(pool.allocBulk(out)).toBe(true);
    expectRefused(heap, pool, 3);
    expect(pool.allocBulk(new Uint32Array(2))).toBe(true);
    expectRefused(heap, pool, 1);
    pool.freeBulk(out);
    expect(pool.allocBulk(out)).toBe(true);
  });

  test("takes from the reserve while the heap is full", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 5000, minNr: 20, zero: true });
    new Greedy(heap).take();
    const some = new Uint32Array(15);
    expect(pool.allocBulk(some)).toBe(true);
    for (const address of some) heap.u8.fill(0xff, address, address + 5000);
    const left = drain(pool);
    freeAll(pool, left);
    expectRefused(heap, pool, left.length + 1);
    pool.freeBulk(some);
    const out = new Uint32Array(20);
    expect(pool.allocBulk(out)).toBe(true);
    for (const address of out) expectZero(heap.memory, address, 5000);
    expectSound(heap);
  });

  test.each<[string, unknown, unknown?]>([
    ["nothing", undefined],
    ["null", null],
    ["an array", [0, 0, 0]],
    ["an Int32Array", new Int32Array(4)],
    ["a Float64Array", new Float64Array(4)],
    ["a Uint8Array", new Uint8Array(4)],
    ["a BigUint64Array", new BigUint64Array(4)],
    ["a buffer", new ArrayBuffer(16)],
    ["a look-alike", { length: 4, 0: 0, 1: 0, 2: 0, 3: 0 }],
    ["a number", 4],
    ["a count above the length", new Uint32Array(4), 5],
    ["a negative count", new Uint32Array(4), -1],
    ["a fraction", new Uint32Array(4), 1.5],
    ["NaN", new Uint32Array(4), NaN],
    ["a count that wraps", new Uint32Array(4), 2 ** 32 + 2],
    ["a string", new Uint32Array(4), "2"],
    ["a bigint", new Uint32Array(4), 2n],
    ["null for a count", new Uint32Array(4), null],
    ["true", new Uint32Array(4), true],
  ])("refuses %s", (_name, out, count) => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 5 });
    const live = take(pool, 4);
    if (out instanceof Uint32Array) out.set(live);
    const before = stateOf(heap, pool);
    expect(codeOf(() => pool.allocBulk(out as Uint32Array, count as number))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => pool.freeBulk(out as Uint32Array, count as number))).toBe("ERR_INVALID_ARGUMENT");
    expect(stateOf(heap, pool)).toEqual(before);
    if (out instanceof Uint32Array) expect([...out]).toEqual(live);
    freeAll(pool, live);
  });

  describe("freeBulk with one bad address frees nothing", () => {
    const KINDS: [string, string, (context: { live: number[]; free: number; foreign: number }) => number][] = [
      ["foreign", "ERR_FOREIGN_FREE", ({ foreign }) => foreign],
      ["double", "ERR_DOUBLE_FREE", ({ free }) => free],
      ["interior", "ERR_INTERIOR_FREE", ({ live }) => live[0]! + 4],
      ["misaligned", "ERR_MISALIGNED_FREE", ({ live }) => live[0]! + 1],
      ["out of range", "ERR_INVALID_ADDRESS", () => 2 ** 32 - 100],
      ["a duplicate of the first", "ERR_DOUBLE_FREE", ({ live }) => live[1]!],
    ];

    test.each(KINDS)("%s: %s", (_name, code, make) => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 100, minNr: 5 });
      const other = create({ heap, size: 100, minNr: 5 });
      const foreign = other.alloc();
      const live = take(pool, 40);
      const free = live.pop()!;
      pool.free(free);
      for (const index of [2, 17, 38]) {
        const addresses = live.slice(1);
        const bad = make({ live, free, foreign });
        addresses.splice(index, 0, bad);
        const before = stateOf(heap, pool, other);
        const error = errorFrom(() => pool.freeBulk(Uint32Array.from(addresses)));
        expect(error.code).toBe(code);
        // a duplicate may be reported at either place
        const at = error.message.includes(String(index)) || (bad === addresses[0] && error.message.includes("0"));
        expect(at, error.message).toBe(true);
        expect(error.message.includes(String(bad)) || error.message.toLowerCase().includes(bad.toString(16))).toBe(
          true,
        );
        expect(stateOf(heap, pool, other)).toEqual(before);
      }
      expectSound(heap);
      pool.freeBulk(Uint32Array.from(live));
      expect(pool.outstanding).toBe(0);
      expect(pool.currNr).toBe(5);
      other.free(foreign);
      expectSound(heap);
    });

    // As many as a magazine has room for twice, so the array passes in one piece, in the magazine itself.
    test.each(KINDS)("of 500, at any place: %s: %s", (_name, code, make) => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 100, minNr: 5 });
      const other = create({ heap, size: 100, minNr: 5 });
      const foreign = other.alloc();
      const live = new Uint32Array(500);
      expect(pool.allocBulk(live)).toBe(true);
      const free = pool.alloc();
      pool.free(free);
      const before = stateOf(heap, pool, other);
      const bad = make({ live: [...live], free, foreign });
      for (const index of [0, 2, 255, 256, 498, 499]) {
        const addresses = Uint32Array.from(live);
        addresses[index] = bad;
        const error = errorFrom(() => pool.freeBulk(addresses));
        expect(error).toMatchObject({ code, address: bad });
        expect(addresses[error.index!]).toBe(bad);
        expect(stateOf(heap, pool, other)).toEqual(before);
      }
      pool.freeBulk(live);
      expect(pool.stats()).toMatchObject({ outstanding: 0, currNr: 5 });
      expectSound(heap);
    });

    test("with zeros among 500, which have no effect", () => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 100, minNr: 5 });
      const live = new Uint32Array(500);
      expect(pool.allocBulk(live)).toBe(true);
      const some = live.map((address, i) => (i % 7 === 3 ? 0 : address));
      pool.freeBulk(some);
      expect(pool.outstanding).toBe(some.filter((address) => address === 0).length);
      pool.freeBulk(live.map((address, i) => (some[i] === 0 ? address : 0)));
      expect(pool.outstanding).toBe(0);
      expectSound(heap);
    });

    test("however far apart duplicates are", () => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 8, minNr: 1 });
      const live = take(pool, 3000);
      const before = stateOf(heap, pool);
      const twice = Uint32Array.from([...live, live[0]!]);
      expect(codeOf(() => pool.freeBulk(twice))).toBe("ERR_DOUBLE_FREE");
      expect(codeOf(() => pool.freeBulk(Uint32Array.of(live[0]!, live[0]!)))).toBe("ERR_DOUBLE_FREE");
      expect(codeOf(() => pool.freeBulk(Uint32Array.of(live[0]! + 1)))).toBe("ERR_MISALIGNED_FREE");
      expect(stateOf(heap, pool)).toEqual(before);
      expectSound(heap);
      // addresses beyond the count do not matter
      pool.freeBulk(twice, 3000);
      expect(pool.outstanding).toBe(0);
    });
  });

  describe("with an array that lies in the heap itself", () => {
    test("allocates into an element", () => {
      const heap = fixedHeap(build, MIB);
      const list = create({ heap, size: 400, minNr: 1 });
      const pool = create({ heap, size: 50, minNr: 1 });
      const at = list.alloc();
      const out = new Uint32Array(heap.memory.buffer, at, 100);
      expect(pool.allocBulk(out)).toBe(true);
      expectElements(heap, [...out], 50, 2);
      pool.freeBulk(out);
      expect(pool.outstanding).toBe(0);
      expectSound(heap);
    });

    test("frees the element that holds the array", () => {
      const heap = fixedHeap(build, MIB);
      for (const minNr of [0, 5, 40]) {
        const pool = create({ heap, size: 64, minNr });
        const live = take(pool, 60);
        const list = new Uint32Array(heap.memory.buffer, live[0], 16);
        // its own address comes first: if a free overwrote its first words, all addresses after it would be lost
        list.set(live.slice(0, 16));
        const others = live.slice(16);
        pool.freeBulk(list);
        expect(pool.outstanding).toBe(44);
        expectSound(heap);
        const again = take(pool, 16);
        expectElements(heap, [...others, ...again], 64, 16);
        freeAll(pool, [...others, ...again]);
        expect(pool.outstanding).toBe(0);
        pool.exit();
      }
    });

    test("works although the memory grows meanwhile", () => {
      const heap = build.heap({ initial: 2 * PAGE, maximum: 4 * MIB });
      const list = create({ heap, size: 1600, minNr: 1 });
      const pool = create({ heap, size: 5000, minNr: 1 });
      const at = list.alloc();
      const out = new Uint32Array(heap.memory.buffer, at, 400).fill(FILL);
      // growth detaches a plain memory's old array: the addresses must not be lost
      let ok;
      try {
        ok = pool.allocBulk(out);
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
        ok = false;
      }
      const now = heap.u32.slice(at / 4, at / 4 + 400);
      if (ok) {
        expectElements(heap, [...now], 5000, 8);
        pool.freeBulk(now);
      } else {
        expect(now.every((word) => word === FILL)).toBe(true);
      }
      expect(pool.outstanding).toBe(0);
      expectSound(heap);
    });
  });
});
