/** The figures of stats and of the table agree with the calls. */
import { describe, expect, test } from "vitest";
import { create } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import { drain, expectSound, fixedHeap, freeAll, Greedy, MIB, random, take } from "./helpers.ts";

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

describe.each(builds)("counters: $name", (build) => {
  test("a new pool's counts are 0", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 5, name: "new" });
    expect(pool.stats()).toMatchObject({
      name: "new",
      elementSize: 64,
      align: 16,
      minNr: 5,
      maxNr: Infinity,
      currNr: 5,
      lowestCurrNr: 5,
      outstanding: 0,
      peakOutstanding: 0,
      epochs: 1,
      allocs: 0,
      frees: 0,
      slabHits: 0,
      reserveHits: 0,
      preallocated: 0,
      failures: 0,
      reclaims: 0,
      waits: 0,
      timeouts: 0,
      aborts: 0,
    });
    expect(sum(pool.stats().waitTimes)).toBe(0);
    expectSound(heap);
  });

  test("allocs is the sum of slabHits, reserveHits and preallocated", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 5 });
    const held = take(pool, 10);
    expect(pool.stats()).toMatchObject({ allocs: 10, slabHits: 10, reserveHits: 0, preallocated: 0 });
    held.push(pool.allocPreallocated(), pool.allocPreallocated());
    expect(pool.stats()).toMatchObject({ allocs: 12, slabHits: 10, reserveHits: 0, preallocated: 2 });
    faults(pool, { refuse: true });
    held.push(...drain(pool));
    expect(pool.stats()).toMatchObject({ allocs: 15, slabHits: 10, reserveHits: 3, preallocated: 2, failures: 1 });
    pool.alloc();
    pool.allocBulk(new Uint32Array(3));
    pool.allocPreallocated();
    expect(pool.stats()).toMatchObject({ allocs: 15, outstanding: 15, failures: 4 });
    freeAll(pool, held);
    expect(pool.stats()).toMatchObject({ allocs: 15, frees: 15, outstanding: 0, currNr: 5, lowestCurrNr: 0 });
    expectSound(heap);
  });

  test("allocs is always the sum of frees and outstanding", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 8, maxNr: 50 });
    const held: number[] = [];
    const next = random(77);
    let failures = 0;
    let peak = 0;
    let lowest = 8;
    for (let i = 0; i < 10_000; i++) {
      const what = next();
      if (what < 0.45) {
        const element = pool.alloc();
        if (element === 0) failures++;
        else held.push(element);
      } else if (what < 0.5) {
        const element = pool.allocPreallocated();
        if (element === 0) failures++;
        else held.push(element);
      } else if (what < 0.6) {
        const out = new Uint32Array(1 + Math.floor(next() * 8));
        if (pool.allocBulk(out)) held.push(...out);
        else failures++;
      } else if (held.length > 0) {
        pool.free(held.splice(Math.floor(next() * held.length), 1)[0]!);
      }
      peak = Math.max(peak, held.length);
      lowest = Math.min(lowest, pool.currNr);
      if (i % 50 === 0) {
        const stats = pool.stats();
        expect(stats.outstanding).toBe(held.length);
        expect(stats.allocs - stats.frees).toBe(held.length);
        expect(stats.slabHits + stats.reserveHits + stats.preallocated).toBe(stats.allocs);
        expect(stats.failures).toBe(failures);
        // a bulk that failed may have lowered it for a moment
        expect(stats.lowestCurrNr).toBeLessThanOrEqual(lowest);
        expect(stats.peakOutstanding).toBeGreaterThanOrEqual(peak - 32);
        expect(stats.peakOutstanding).toBeGreaterThanOrEqual(held.length);
        expect(stats.peakOutstanding).toBeLessThanOrEqual(50);
      }
    }
    freeAll(pool, held);
    expectSound(heap);
  });

  test("lowestCurrNr and peakOutstanding are the extremes so far", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 6 });
    const held = take(pool, 200);
    expect(pool.stats().lowestCurrNr).toBe(6);
    held.push(pool.allocPreallocated(), pool.allocPreallocated());
    expect(pool.stats().lowestCurrNr).toBe(4);
    freeAll(pool, held.splice(0));
    expect(pool.stats()).toMatchObject({ currNr: 6, lowestCurrNr: 4, outstanding: 0 });
    const { peakOutstanding } = pool.stats();
    expect(peakOutstanding).toBeGreaterThanOrEqual(202 - 32);
    expect(peakOutstanding).toBeLessThanOrEqual(202);
    freeAll(pool, take(pool, 20));
    expect(pool.stats().peakOutstanding).toBe(peakOutstanding);
    expectSound(heap);
  });

  test("peakOutstanding never exceeds the most elements that were outstanding", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    for (let round = 0; round < 50; round++) freeAll(pool, take(pool, 1 + (round % 70)));
    expect(pool.stats().peakOutstanding).toBeLessThanOrEqual(70);
    expect(pool.stats().peakOutstanding).toBeGreaterThanOrEqual(70 - 32);
    expectSound(heap);
  });

  test("a refused free changes no count", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const held = take(pool, 5);
    const before = pool.stats();
    for (const bad of [held[0]! + 16, held[0]! + 1, 8, 2 ** 31]) expect(() => pool.free(bad)).toThrow();
    expect(() => pool.freeBulk(Uint32Array.from([held[0]!, held[0]!]))).toThrow();
    pool.free(0);
    expect(pool.stats()).toEqual(before);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("reclaims counts the allocations that needed unused memory", () => {
    const heap = fixedHeap(build, MIB);
    const other = create({ heap, size: 5000, minNr: 0 });
    const pool = create({ heap, size: 1000, minNr: 0 });
    const held = take(pool, 5);
    expect(pool.stats().reclaims).toBe(0);
    freeAll(other, drain(other));
    held.push(...drain(pool));
    expect(pool.stats().reclaims).toBeGreaterThanOrEqual(1);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("waits, timeouts, aborts and waitTimes count only calls that waited", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 2 });
    const held = [await pool.allocAsync(), pool.allocWait()];
    expect(pool.stats()).toMatchObject({ waits: 0, timeouts: 0, aborts: 0 });
    const served = pool.allocAsync();
    const late = pool.allocAsync({ timeout: 30 }).catch((error: { code: string }) => error.code);
    const controller = new AbortController();
    const aborted = pool
      .allocBulkAsync(new Uint32Array(2), { signal: controller.signal })
      .catch((error: Error) => error.name);
    // A timer may fire a millisecond early.
    await sleep(6);
    pool.free(held.pop()!);
    held.push(await served);
    controller.abort();
    expect([await late, await aborted]).toEqual(["ERR_TIMEOUT", "AbortError"]);
    const stats = pool.stats();
    expect(stats).toMatchObject({ waits: 3, timeouts: 1, aborts: 1 });
    expect(sum(stats.waitTimes)).toBe(3);
    // 30 ms are between 2^14 and 2^15 microseconds, or more on a slow machine
    expect(sum(stats.waitTimes.slice(14))).toBeGreaterThanOrEqual(1);
    // the calls that waited for 6 ms took at least 2^12 microseconds
    expect(sum(stats.waitTimes.slice(0, 12))).toBe(0);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a wait that ends with ERR_CLOSED counts once", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    const element = pool.alloc();
    const waiters = [pool.allocAsync(), pool.allocAsync()].map((each) =>
      each.catch((error: { code: string }) => error.code),
    );
    await sleep(2);
    pool.exit();
    expect(await Promise.all(waiters)).toEqual(["ERR_CLOSED", "ERR_CLOSED"]);
    const stats = pool.stats();
    expect(stats).toMatchObject({ waits: 2, timeouts: 0, aborts: 0 });
    expect(sum(stats.waitTimes)).toBe(2);
    pool.free(element);
    expect(pool.stats()).toMatchObject({ outstanding: 0, waits: 2, frees: 1 });
    expectSound(heap);
  });

  test("an alloc that fails counts as one failure, with a shrinker or without", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    const element = pool.alloc();
    pool.alloc();
    expect(pool.stats().failures).toBe(1);
    const stop = heap.registerShrinker(() => {});
    pool.alloc();
    expect(pool.stats().failures).toBe(2);
    pool.allocBulk(new Uint32Array(1));
    expect(pool.stats().failures).toBe(3);
    stop();
    const helps = heap.registerShrinker(() => pool.free(element));
    expect(pool.alloc()).toBe(element);
    expect(pool.stats().failures).toBe(3);
    helps();
    expectSound(heap);
  });

  test("stats is a copy that later calls do not change", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1 });
    const before = pool.stats();
    const copy = structuredClone(before);
    take(pool, 10);
    expect(before).toEqual(copy);
    expectSound(heap);
  });

  test("the table has a line for each pool that has not ended", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 88, minNr: 7, name: "the first" });
    const other = create({ heap, size: 4321, minNr: 3, maxNr: 9, name: "second|pool" });
    const gone = create({ heap, size: 16, minNr: 1, name: "gone" });
    gone.exit();
    take(pool, 13);
    drain(other);
    const lines = heap.table().split("\n");
    const first = lines.find((line) => line.includes("the first"))!;
    for (const figure of ["88", "13", "7"])
      expect(first.replace("the first", "")).toMatch(new RegExp(`\\b${figure}\\b`));
    const second = lines.find((line) => line.includes("second|pool"))!;
    for (const figure of ["4321", "9", "3"]) expect(second.replaceAll(",", "")).toMatch(new RegExp(`\\b${figure}\\b`));
    expect(heap.table()).not.toContain("gone");
    expectSound(heap);
  });

  test("an empty heap and a full one have a table", () => {
    const heap = fixedHeap(build, MIB);
    expect(typeof heap.table()).toBe("string");
    const greedy = new Greedy(heap);
    greedy.take();
    const before = heap.stats();
    expect(heap.table()).toContain("greedy 4096");
    expect(heap.stats()).toEqual(before);
    expectSound(heap);
  });
});
