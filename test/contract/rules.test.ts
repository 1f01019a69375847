/** Rules that people know from other pools, where no other test is about them: docs/for-kernel-people.md points here. */
import { describe, expect, test } from "vitest";
import { create, createArena, MempoolError, type Heap, type Pool, type WaitOptions } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { codeOf, createWith, drain, expectSound, fixedHeap, freeAll, Greedy, MIB, stateOf, take } from "./helpers.ts";

/** A pool of exactly `count` elements. */
const poolOf = (heap: Heap, count: number, name = "exact"): Pool =>
  create({ heap, size: 64, minNr: count, maxNr: count, name });

/** Long enough for a task that is not deadlocked. */
const STUCK = 60;

/** The code a promise is rejected with, or "none". */
async function outcome(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof MempoolError) return error.code;
    throw error;
  }
  return "none";
}

/** Whether a promise is settled once every due job has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = () => (settled = true);
  void promise.then(done, done);
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

/** Takes one element of each pool, one after the other, and then frees all. */
async function holdOneByOne(pools: readonly Pool[]): Promise<void> {
  const held: [Pool, number][] = [];
  try {
    for (const pool of pools) held.push([pool, await pool.allocAsync({ timeout: STUCK })]);
  } finally {
    for (const [pool, element] of held) pool.free(element);
  }
}

/** The results of `count` tasks that do the same at the same time. */
const together = (count: number, one: () => Promise<void>): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, () => outcome(one())));

const NOT_OURS: readonly { what: string; option: string; value: unknown }[] = [
  { what: "a place in the caller's struct", option: "at", value: 4096 },
  { what: "a NUMA node", option: "node", value: 0 },
  { what: "a gfp mask", option: "gfp", value: 0xcc0 },
  { what: "a constructor", option: "ctor", value: () => {} },
  { what: "poison", option: "poison", value: true },
  { what: "red zones", option: "redZone", value: 16 },
  { what: "the size of a thread's cache", option: "cacheSize", value: 256 },
  { what: "an order of waiters", option: "order", value: "priority" },
];

describe.each(builds)("rules: $name", (build) => {
  test.each(NOT_OURS)("create refuses an option of other pools: $what", ({ option, value }) => {
    const heap = fixedHeap(build, MIB);
    const before = stateOf(heap);
    expect(codeOf(() => createWith({ heap, size: 64, minNr: 1, [option]: value }))).toBe("ERR_INVALID_ARGUMENT");
    expect(stateOf(heap)).toEqual(before);
    expectSound(heap);
  });

  test("waiters have no priority", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 1);
    const element = pool.alloc();
    const first = pool.allocAsync();
    const options = { priority: 1 } as WaitOptions;
    expect(await outcome(pool.allocAsync(options))).toBe("ERR_INVALID_ARGUMENT");
    expect(await outcome(pool.prefillAsync(1, options))).toBe("ERR_INVALID_ARGUMENT");
    pool.free(element);
    expect(await first).toBe(element);
    pool.free(element);
    expectSound(heap);
  });

  describe("a pool of minNr 0", () => {
    test("hands a freed element to a waiter", async () => {
      const heap = fixedHeap(build, MIB);
      for (const maxNr of [1, Infinity]) {
        const greedy = new Greedy(heap);
        const pool = create({ heap, size: 64, minNr: 0, maxNr });
        const last = pool.alloc();
        greedy.take();
        const held = [last, ...drain(pool)];
        const waiters = [pool.allocAsync(), pool.allocAsync()];
        expect(await isSettled(waiters[0]!)).toBe(false);
        pool.free(last);
        expect(await waiters[0]).toBe(last);
        expect(await isSettled(waiters[1]!)).toBe(false);
        pool.free(last);
        expect(await waiters[1]).toBe(last);
        freeAll(pool, held);
        expect(pool).toMatchObject({ currNr: 0, outstanding: 0, isSaturated: true });
        greedy.release();
        for (const one of [pool, ...greedy.pools]) one.exit();
      }
      expectSound(heap);
    });
  });

  describe("bulk", () => {
    test("for more than minNr waits until enough elements are freed", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 64, minNr: 4 });
      const eight = new Uint32Array(8);
      expect(pool.allocBulk(eight)).toBe(true);
      const greedy = new Greedy(heap);
      greedy.take();
      const held = [...eight, ...drain(pool)];
      expect(pool).toMatchObject({ currNr: 0, outstanding: held.length });
      const out = new Uint32Array(8).fill(7);
      const bulk = pool.allocBulkAsync(out);
      freeAll(pool, held.slice(0, 7));
      expect(await isSettled(bulk)).toBe(false);
      expect([...out]).toEqual([7, 7, 7, 7, 7, 7, 7, 7]);
      pool.free(held[7]!);
      await bulk;
      expect([...out].toSorted()).toEqual(held.slice(0, 8).toSorted());
      // the reserve alone is not enough, and is full again
      const late = pool.allocBulkAsync(new Uint32Array(8), { timeout: STUCK });
      freeAll(pool, held.slice(0, 4));
      expect(await outcome(late)).toBe("ERR_TIMEOUT");
      expect(pool).toMatchObject({ currNr: 4, outstanding: held.length - 4 });
      freeAll(pool, held.slice(4));
      greedy.release();
      expectSound(heap);
    });

    test("fills the whole array", () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 6);
      const [a, b] = take(pool, 2) as [number, number];
      const out = Uint32Array.of(a, b, 0, 0);
      expect(pool.allocBulk(out.subarray(2))).toBe(true);
      expect([...out.subarray(0, 2)]).toEqual([a, b]);
      expect(new Set(out).size).toBe(4);
      // alloc overwrites each place, whatever is there
      const again = Uint32Array.from(out.subarray(0, 2));
      expect(pool.allocBulk(again)).toBe(true);
      expect(new Set([...out, ...again]).size).toBe(6);
      pool.freeBulk(out);
      pool.freeBulk(again);
      expectSound(heap);
    });

    test("free leaves the array as it is", () => {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 64, minNr: 2 });
      const elements = Uint32Array.from(take(pool, 5));
      pool.allocPreallocated();
      const before = [...elements];
      pool.freeBulk(elements);
      expect([...elements]).toEqual(before);
      expect(pool).toMatchObject({ currNr: 2, outstanding: 1 });
      expectSound(heap);
    });

    test("gives elements that need not be adjacent", () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 10);
      const all = take(pool, 10).toSorted((a, b) => a - b);
      const free = all.filter((_, i) => i % 2 === 0);
      freeAll(pool, free);
      const out = new Uint32Array(5);
      expect(pool.allocBulk(out)).toBe(true);
      expect([...out].toSorted((a, b) => a - b)).toEqual(free);
      const arena = createArena({ heap });
      const block = arena.alloc(5 * 64);
      heap.u8.fill(1, block, block + 5 * 64);
      freeAll(pool, all);
      arena.exit();
      expectSound(heap);
    });
  });

  describe("no check reports", () => {
    test("a write to a free element", () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const element = pool.alloc();
      pool.free(element);
      heap.u8.fill(0x6b, element, element + 64);
      expectSound(heap);
      expect(pool.alloc()).toBe(element);
      expect(heap.u8[element]).toBe(0x6b);
      pool.free(element);
      expectSound(heap);
    });

    test("a write past the end of an element into the next", () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 20);
      const all = take(pool, 20);
      const element = all.find((address) => all.includes(address + 64))!;
      heap.u8.fill(0, element + 64, element + 128);
      heap.u8.fill(0xcc, element, element + 65);
      expectSound(heap);
      expect(heap.u8[element + 64]).toBe(0xcc);
      freeAll(pool, all);
      expectSound(heap);
    });
  });

  test("a pool cannot be moved or copied", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 2);
    expect(() => structuredClone(pool)).toThrow(/could not be cloned/);
    const copies = [Object.create(pool), Object.assign(Object.create(Object.getPrototypeOf(pool)), pool)] as Pool[];
    for (const copy of copies) {
      expect(() => copy.alloc()).toThrow(TypeError);
      expect(() => copy.exit()).toThrow(TypeError);
    }
    expect("alloc" in { ...pool }).toBe(false);
    freeAll(pool, take(pool, 2));
    expectSound(heap);
  });

  describe("several elements per holder", () => {
    const HOLDERS = 4;
    const EACH = 3;
    const done = Array.from({ length: HOLDERS }, () => "none");
    const oneByOne = (pool: Pool) => together(HOLDERS, () => holdOneByOne(Array.from({ length: EACH }, () => pool)));

    test("a reserve of N * (k - 1) + 1 serves N tasks that take k elements one by one", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, HOLDERS * (EACH - 1) + 1);
      expect(await oneByOne(pool)).toEqual(done);
      expect(pool.isSaturated).toBe(true);
      expectSound(heap);
    });

    test("with one element less, the tasks can deadlock", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, HOLDERS * (EACH - 1));
      // Each task lacks one element; the first that gives up serves others.
      expect(await oneByOne(pool)).toContain("ERR_TIMEOUT");
      expect(pool).toMatchObject({ outstanding: 0, isSaturated: true });
      expectSound(heap);
    });

    test("a reserve of k serves tasks that take k elements at once", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, EACH);
      const bulk = await together(HOLDERS, async () => {
        const out = new Uint32Array(EACH);
        await pool.allocBulkAsync(out, { timeout: 60_000 });
        pool.freeBulk(out);
      });
      const tickets = await together(HOLDERS, async () => {
        const ticket = await pool.prefillAsync(EACH, { timeout: 60_000 });
        while (ticket.left > 0) pool.free(ticket.alloc());
      });
      expect([...bulk, ...tickets]).toEqual([...done, ...done]);
      expect(pool).toMatchObject({ outstanding: 0, isSaturated: true });
      expectSound(heap);
    });
  });

  test("two layers that share a pool can deadlock", async () => {
    const heap = fixedHeap(build, MIB);
    const shared = poolOf(heap, 2, "shared");
    expect(await together(2, () => holdOneByOne([shared, shared]))).toContain("ERR_TIMEOUT");
    const upper = poolOf(heap, 2, "upper");
    const lower = poolOf(heap, 1, "lower");
    expect(await together(2, () => holdOneByOne([upper, lower]))).toEqual(["none", "none"]);
    for (const pool of [shared, upper, lower]) expect(pool.isSaturated).toBe(true);
    expectSound(heap);
  });

  test("a pool guarantees nothing about another pool", async () => {
    const heap = fixedHeap(build, MIB);
    const guarded = create({ heap, size: 64, minNr: 1 });
    const unguarded = create({ heap, size: 5000, minNr: 0 });
    new Greedy(heap).take();
    drain(unguarded);
    expect(guarded.alloc()).not.toBe(0);
    expect(unguarded.alloc()).toBe(0);
    expectSound(heap);
  });

  test("a thread caches at most 64 KiB of elements", () => {
    const cachedBy = (size: number, maxNr: number): number => {
      const heap = fixedHeap(build, 16 * MIB);
      const pool = create({ heap, size, minNr: 0, maxNr });
      freeAll(pool, drain(pool, 10_000));
      const { cached } = pool.stats();
      expectSound(heap);
      return cached;
    };
    for (const size of [16, 256, 4096]) {
      expect(cachedBy(size, Infinity)).toBeGreaterThan(0);
      expect(cachedBy(size, Infinity) * size).toBeLessThanOrEqual(65536);
    }
    if (!build.isShared) return;
    expect(cachedBy(256, 160)).toBeLessThanOrEqual(10);
    expect(cachedBy(256, 15)).toBe(0);
  });

  test("two pools may have the same name", () => {
    const heap = fixedHeap(build, MIB);
    const pools = ["bios", "bios", "r1bio"].map((name) => create({ heap, size: 64, minNr: 1, name }));
    const names = heap
      .table()
      .split("\n")
      .map((line) => line.split(" ")[0]);
    expect(names.filter((name) => name === "bios")).toHaveLength(2);
    expect(names.filter((name) => name === "r1bio")).toHaveLength(1);
    for (const pool of pools) pool.exit();
    expect(heap.table()).not.toContain("bios");
    expectSound(heap);
  });

  test("stats count a wait once it has ended", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 1);
    const element = pool.alloc();
    const waiter = pool.allocAsync();
    expect(await isSettled(waiter)).toBe(false);
    expect(pool.stats().waits).toBe(0);
    pool.free(element);
    await waiter;
    expect(pool.stats()).toMatchObject({ waits: 1, timeouts: 0 });
    pool.free(element);
    expectSound(heap);
  });
});
