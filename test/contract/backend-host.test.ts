/** External backends: when a pool calls alloc and free. */
import { describe, expect, test } from "vitest";
import { create } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  createWith,
  drain,
  errorFrom,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  MIB,
  nonAddresses,
  random,
  shuffle,
  stateOf,
  take,
  usedAfterTrim,
} from "./helpers.ts";
import { AS_EVER, Numbers, hosted, stateButPeak, hasClosed, idle } from "./backend-helpers.ts";

describe.each(builds)("an external backend: $name", (build) => {
  test("exit returns each element of the reserve to the backend exactly once", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 16);
    expect(numbers.out.size).toBe(16);
    expect(numbers.asked).toBe(16);
    expect([pool.currNr, pool.outstanding, pool.isSaturated]).toEqual([16, 0, true]);
    const held = take(pool, 100);
    expect(held.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => 1000 + 7 * i));
    expect(pool.alloc()).toBe(0);
    freeAll(pool, held.splice(0, 50));
    expect([pool.currNr, pool.outstanding]).toEqual([16, 50]);
    // the pool returns elements that the reserve does not need at once
    expect(numbers.out.size).toBe(66);
    pool.exit();
    expect(numbers.out.size).toBe(50);
    freeAll(pool, held);
    expect(await hasClosed(pool)).toBe(true);
    numbers.expectHome();
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("a new box is empty, whatever its memory held before", () => {
    const heap = fixedHeap(build, MIB);
    const before = create({ heap, size: 64, minNr: 0 });
    const held = take(before, 1000);
    for (const address of held) heap.u8.fill(0x42, address, address + 64);
    freeAll(before, held);
    before.exit();
    heap.trim();
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 0);
    expect(take(pool, 10).filter((element) => !numbers.out.has(element))).toEqual([]);
    expect(numbers.gives).toBe(10);
    expectSound(heap);
  });

  test("the backend's functions get the data", () => {
    const heap = fixedHeap(build, MIB);
    const data = { device: 5 };
    const calls: unknown[][] = [];
    const pool = create({
      heap,
      size: (given: typeof data) => given.device * 10,
      data,
      minNr: 1,
      backend: {
        alloc: (...given: unknown[]) => (calls.push(["alloc", ...given]), calls.length),
        free: (...given: unknown[]) => void calls.push(["free", ...given]),
      },
    });
    const [first, second] = [pool.alloc(), pool.alloc()];
    freeAll(pool, [second, first]);
    pool.exit();
    expect(calls.map(([name, value, given]) => [name, value, given === data])).toEqual([
      ["alloc", 50, true],
      ["alloc", 50, true],
      ["alloc", 50, true],
      ["free", second, true],
      ["free", first, true],
      ["free", 1, true],
    ]);
    expectSound(heap);
  });

  test("any integer from 1 to 2 ** 32 - 1 is an element", () => {
    const heap = fixedHeap(build, MIB);
    const values = [1, 2, 3, 7, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 4096, 65536];
    const left = [...values];
    const freed: number[] = [];
    const pool = hosted(heap, { alloc: () => left.pop() ?? 0, free: (element: number) => void freed.push(element) }, 2);
    const all = drain(pool, 20);
    expect(all.toSorted((a, b) => a - b)).toEqual(values.toSorted((a, b) => a - b));
    for (const value of values) {
      expect(freeCode(pool, value + 1)).toBe(values.includes(value + 1) ? "none" : "ERR_INVALID_ADDRESS");
      if (values.includes(value + 1)) expect(pool.allocPreallocated() || 1).toBeGreaterThan(0);
    }
    pool.exit();
    expectSound(heap);
  });

  test("the smallest and the largest number can be freed", () => {
    const heap = fixedHeap(build, MIB);
    const left = [0xffffffff, 1, 0x80000000];
    const pool = hosted(heap, { alloc: () => left.pop() ?? 0, free: (element: number) => void left.push(element) }, 0);
    for (let round = 0; round < 50; round++) {
      const out = new Uint32Array(3);
      expect(pool.allocBulk(out)).toBe(true);
      expect([...out].toSorted((a, b) => a - b)).toEqual([1, 0x80000000, 0xffffffff]);
      pool.freeBulk(out);
      const all = take(pool, 3);
      expect(pool.alloc()).toBe(0);
      freeAll(pool, all);
      expect(left.length).toBe(3);
    }
    expectSound(heap);
  });

  test("one number can be an element of two pools", () => {
    const heap = fixedHeap(build, MIB);
    const pools = [0, 1].map(() => hosted(heap, { alloc: () => 42, free: () => {} }, 0));
    for (const pool of pools) expect(pool.alloc()).toBe(42);
    pools[0]!.free(42);
    expect(freeCode(pools[0]!, 42)).not.toBe("none");
    pools[1]!.free(42);
    expectSound(heap);
  });

  test("the reserve serves while the backend has no element", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(4);
    const pool = hosted(heap, numbers, 4);
    for (let round = 0; round < 200; round++) {
      const all = drain(pool, 10);
      expect(all.length).toBe(4);
      expect(pool.alloc()).toBe(0);
      freeAll(pool, shuffle(all, random(round)));
      expect(pool.currNr).toBe(4);
    }
    expect(numbers.gives).toBe(4);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a create that cannot fill the reserve returns the elements that it got", () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const few = new Numbers(5);
    expect(codeOf(() => hosted(heap, few, 6))).toBe("ERR_NO_MEMORY");
    few.expectHome();
    const throwing = new Numbers(5);
    const cause = new Error("no more");
    throwing.onAlloc = () => {
      if (throwing.asked === 4) throw cause;
      return AS_EVER;
    };
    expect(() => hosted(heap, throwing, 5)).toThrow(cause);
    throwing.expectHome();
    const bad = new Numbers(5);
    bad.onAlloc = () => (bad.asked === 3 ? -5 : AS_EVER);
    expect(codeOf(() => hosted(heap, bad, 5))).toBe("ERR_BACKEND");
    bad.expectHome();
    expect([few.gives, throwing.gives, bad.gives]).toEqual([5, 3, 2]);
    expect(heap.stats().pools).toBe(0);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test.each([
    ["a string", "malloc"],
    ["null", null],
    ["a number", 5],
    ["no free", { alloc: (): number => 1 }],
    ["no alloc", { free: () => {} }],
    ["an alloc that is none", { alloc: 5, free: () => {} }],
    ["a function", () => 1],
  ])("create refuses a backend that is %s", (_name, backend) => {
    const heap = fixedHeap(build, MIB);
    const before = stateOf(heap);
    const error = errorFrom(() => createWith({ heap, size: 8, minNr: 1, backend }));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("backend");
    expect(stateOf(heap)).toEqual(before);
    expectSound(heap);
  });

  test("maxNr limits the elements that the pool takes from the backend", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 3, { maxNr: 10 });
    for (let round = 0; round < 20; round++) {
      const all = drain(pool, 50);
      expect(all.length).toBe(10);
      expect(numbers.out.size).toBe(10);
      expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
      freeAll(pool, all);
      expect(numbers.out.size).toBe(3);
    }
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("allocBulk gives all or none", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 3);
    const out = new Uint32Array(11).fill(5);
    expect(pool.allocBulk(out)).toBe(false);
    expect(out.every((value) => value === 5)).toBe(true);
    expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([3, 0, 3]);
    expect(pool.allocBulk(out, 10)).toBe(true);
    expect(new Set(out.subarray(0, 10)).size).toBe(10);
    expect([out[10], pool.currNr, pool.outstanding]).toEqual([5, 0, 10]);
    expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
    pool.freeBulk(out, 10);
    expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([3, 0, 3]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("freeBulk names the index of a bad element", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 3);
    const held = take(pool, 8);
    const [a, b, c] = held as [number, number, number];
    const before = stateButPeak(heap, pool);
    const bad: [number[], string, number][] = [
      [[a, b, a], "ERR_DOUBLE_FREE", 2],
      [[a, a], "ERR_DOUBLE_FREE", 1],
      [[a, 0, b, 77], "ERR_INVALID_ADDRESS", 3],
      [[0xffffffff, a], "ERR_INVALID_ADDRESS", 0],
    ];
    for (const [list, code, index] of bad) {
      const error = errorFrom(() => pool.freeBulk(Uint32Array.from(list)));
      expect(error.code).toBe(code);
      expect(error.message).toContain(String(index));
      expect(stateButPeak(heap, pool)).toEqual(before);
    }
    pool.freeBulk(Uint32Array.from([0, a, 0, b, c, 0]));
    expect(pool.outstanding).toBe(5);
    freeAll(pool, held.slice(3));
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("free refuses a free element and an unknown number", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 5);
    pool.free(0);
    pool.free(held[0]!);
    pool.free(held[1]!);
    const before = stateButPeak(heap, pool);
    // in the backend, or in reserve
    for (const element of [held[0]!, held[1]!]) {
      expect(["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, element));
    }
    const reserved = [...numbers.out].filter((element) => !held.slice(2).includes(element));
    expect(reserved.length).toBe(2);
    for (const element of reserved) expect(freeCode(pool, element)).toBe("ERR_DOUBLE_FREE");
    for (const element of [1, 999, 1001, 0xffffffff, 4096]) expect(freeCode(pool, element)).toBe("ERR_INVALID_ADDRESS");
    for (const [, value] of nonAddresses(held[2]!)) {
      expect(freeCode(pool, value)).toBe("ERR_INVALID_ADDRESS");
    }
    expect(stateButPeak(heap, pool)).toEqual(before);
    freeAll(pool, held.slice(2));
    pool.exit();
    for (const element of held) expect(freeCode(pool, element)).toBe("ERR_CLOSED");
    numbers.expectHome();
    expectSound(heap);
  });

  test("sizeOf an outstanding element is elementSize", () => {
    const heap = fixedHeap(build, MIB);
    const pool = hosted(heap, new Numbers(20), 2, { size: 24 });
    const element = pool.alloc();
    expect(pool.elementSize).toBe(24);
    expect(codeOf(() => pool.sizeOf(5))).toBe("ERR_INVALID_ADDRESS");
    expect(pool.sizeOf(element)).toBe(24);
    expectSound(heap);
  });

  test("resize takes the missing elements from the backend", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 3);
    expect(pool.resize(60)).toBe(true);
    expect([pool.currNr, numbers.out.size]).toEqual([60, 60]);
    expect(pool.resize(5)).toBe(true);
    expect([pool.currNr, numbers.out.size]).toEqual([5, 5]);
    expect(pool.resize(101)).toBe(false);
    expect([pool.minNr, pool.currNr, numbers.out.size]).toEqual([101, 100, 100]);
    expect(pool.resize(0)).toBe(true);
    expect([pool.currNr, numbers.out.size]).toEqual([0, 0]);
    const held = take(pool, 100);
    expect(pool.resize(40)).toBe(false);
    freeAll(pool, held);
    expect([pool.currNr, numbers.out.size]).toEqual([40, 40]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a pool of minNr 0 keeps no element", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(5);
    const pool = hosted(heap, numbers, 0);
    expect(numbers.asked).toBe(0);
    for (let i = 0; i < 1000; i++) {
      const element = pool.alloc();
      expect(numbers.out.size).toBe(1);
      pool.free(element);
      expect(numbers.out.size).toBe(0);
    }
    expect(numbers.gives).toBe(1000);
    expect(pool.allocPreallocated()).toBe(0);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("frees serve waiters in order", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(3);
    const pool = hosted(heap, numbers, 1);
    const held = take(pool, 3);
    const order: number[] = [];
    const waiters = [0, 1, 2, 3].map((i) =>
      pool.allocAsync({ timeout: 60_000 }).then((element) => {
        order.push(i);
        return element;
      }),
    );
    const bulk = new Uint32Array(3);
    const last = pool.allocBulkAsync(bulk, { timeout: 60_000 });
    freeAll(pool, held);
    for (const waiter of waiters) pool.free(await waiter);
    expect(order).toEqual([0, 1, 2, 3]);
    await last;
    expect(new Set(bulk).size).toBe(3);
    pool.freeBulk(bulk);
    await expect(
      pool.allocBulkAsync(new Uint32Array(4), { timeout: 20 }).catch((error: { code: string }) => error.code),
    ).resolves.toBe("ERR_TIMEOUT");
    expect([pool.outstanding, pool.currNr]).toEqual([0, 1]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a grow serves waiters once the backend has elements again", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    numbers.onAlloc = () => 0;
    const held = drain(pool);
    expect(held.length).toBe(2);
    const waiters = [pool.allocAsync({ timeout: 60_000 }), pool.allocAsync({ timeout: 60_000 })];
    expect(pool.resize(3)).toBe(false);
    numbers.onAlloc = undefined;
    pool.resize(4);
    held.push(...(await Promise.all(waiters)));
    expect(new Set(held).size).toBe(4);
    freeAll(pool, held);
    expect([pool.currNr, pool.outstanding]).toEqual([4, 0]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("the end of the pool ends a wait without losing an element", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(3);
    const pool = hosted(heap, numbers, 1);
    const held = take(pool, 3);
    const waiters = [pool.allocAsync(), pool.prefillAsync(2), pool.allocBulkAsync(new Uint32Array(2))];
    const settled = Promise.allSettled(waiters);
    pool.free(held.pop()!);
    pool.exit();
    const results = await settled;
    expect(results.slice(1)).toMatchObject([{ reason: { code: "ERR_CLOSED" } }, { reason: { code: "ERR_CLOSED" } }]);
    // the first waiter may have been served before
    if (results[0]!.status === "fulfilled") held.push(results[0]!.value as number);
    freeAll(pool, held);
    expect(await hasClosed(pool)).toBe(true);
    numbers.expectHome();
    expectSound(heap);
  });

  test("prefills hold elements of the backend", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(8);
    const pool = hosted(heap, numbers, 3);
    const ticket = pool.prefill(5)!;
    expect([ticket.left, pool.outstanding]).toEqual([5, 5]);
    expect(pool.prefill(4)).toBe(undefined);
    expect(pool.outstanding).toBe(5);
    const held = [ticket.alloc(), ticket.alloc()];
    const later = pool.prefillAsync(5, { timeout: 60_000 });
    ticket.exit();
    const second = await later;
    expect([second.left, pool.outstanding]).toEqual([5, 7]);
    for (let i = 0; i < 5; i++) held.push(second.alloc());
    expect(new Set(held).size).toBe(7);
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a hundred thousand elements leave no memory behind", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const before = idle(heap);
    let last = 0;
    const freed = new Set<number>();
    const pool = hosted(heap, { alloc: () => ++last, free: (element: number) => void freed.add(element) }, 5);
    const held = take(pool, 100_000);
    expect(new Set(held).size).toBe(100_000);
    expectSound(heap);
    freeAll(pool, held);
    expect(freed.size).toBe(100_000);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 5]);
    pool.exit();
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("the reserve serves while the heap has no memory for a box", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50_000);
    const pool = hosted(heap, numbers, 3);
    const held: number[] = [];
    faults(heap, { refuse: true });
    for (;;) {
      const element = pool.alloc();
      if (element === 0) break;
      held.push(element);
    }
    expect(held.length).toBeGreaterThanOrEqual(3);
    expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([0, held.length, held.length]);
    faults(heap);
    held.push(pool.alloc());
    expect(held.at(-1)).not.toBe(0);
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("an element that the backend gives twice for one reserve is refused, and all go back", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    numbers.onAlloc = () => (numbers.asked === 8 ? [...numbers.out][2] : AS_EVER);
    expect(codeOf(() => hosted(heap, numbers, 20))).toBe("ERR_BACKEND");
    expect([numbers.asked, numbers.back.size]).toEqual([8, 7]);
    numbers.expectHome();
    expectSound(heap);
  });

  test("a reserve that maxNr leaves no room for asks the backend for nothing", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 2, { maxNr: 10 });
    const held = take(pool, 10);
    freeAll(pool, held.splice(9));
    const { asked } = numbers;
    expect(pool.currNr + pool.outstanding).toBe(10);
    expect(pool.resize(5)).toBe(false);
    expect(numbers.asked).toBe(asked);
    freeAll(pool, held);
    expect(pool.currNr).toBe(5);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("large numbers, and thousands of them, are found again", () => {
    const heap = fixedHeap(build, 4 * MIB);
    let next = 2 ** 32;
    const out = new Set<number>();
    const backend = {
      alloc: () => {
        next -= 65_536 * 3 + 1;
        if (next <= 0) next += 2 ** 32 - 1;
        out.add(next);
        return next;
      },
      free: (element: number) => void expect(out.delete(element)).toBe(true),
    };
    const pool = hosted(heap, backend, 1000);
    const held = take(pool, 5000);
    expect(new Set(held)).toEqual(new Set([...out].filter((element) => held.includes(element))));
    freeAll(pool, shuffle(held, random(1)));
    expect([out.size, pool.currNr]).toEqual([1000, 1000]);
    pool.exit();
    expect(out.size).toBe(0);
    expectSound(heap);
  });
});
