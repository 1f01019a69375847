/** A reshape that its callback or a lack of memory refuses changes nothing. */
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
  Greedy,
  MIB,
  stateOf,
  take,
  usedAfterTrim,
  withoutStacks,
} from "./helpers.ts";
import { poolOf, Held, stateButReclaims, idle } from "./reshape-helpers.ts";

describe.each(builds)("reshape, refused: $name", (build) => {
  test("a pool made without a callback refuses to reshape", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const before = stateOf(heap, pool);
    for (const data of [64, undefined, { raidDisks: 2 }] as never[]) {
      expect(codeOf(() => pool.reshape(data))).toBe("ERR_INVALID_ARGUMENT");
      expect(stateOf(heap, pool)).toEqual(before);
    }
    expectSound(heap);
  });

  test.each([
    ["NaN", NaN],
    ["a string", "64"],
    ["a negative number", -64],
    ["0", 0],
    ["a fraction", 64.5],
    ["2 ** 32 + 64", 2 ** 32 + 64],
    ["a byte too many", 2 ** 24 + 1],
    ["undefined", undefined],
    ["null", null],
    ["a bigint", 64n],
    ["an object", { valueOf: (): number => 64 }],
    ["a promise", Promise.resolve(64)],
  ])("a callback that returns %s is refused", (_name, value) => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const held = take(pool, 10);
    const before = stateOf(heap, pool);
    const error = errorFrom(() => pool.reshape(value as number));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("size");
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, held);
    expect(pool.elementSize).toBe(64);
    expectSound(heap);
  });

  test("a callback that throws is refused with its error as the cause", () => {
    const heap = fixedHeap(build, MIB);
    const cause = new TypeError("no disks");
    let isReady = false;
    const pool = createWith({
      heap,
      size: () => {
        if (isReady) throw cause;
        return 64;
      },
      minNr: 4,
    });
    isReady = true;
    const held = take(pool, 10);
    const before = stateOf(heap, pool);
    const error = errorFrom(() => pool.reshape(1));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.cause).toBe(cause);
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a callback may use its pool", () => {
    const heap = fixedHeap(build, MIB);
    const pool = createWith({ heap, size: (call: () => number) => call(), data: () => 64, minNr: 4 });
    const held = take(pool, 10);
    pool.reshape(() => {
      held.push(pool.alloc());
      pool.free(held.shift()!);
      return 72;
    });
    expect([pool.elementSize, pool.currNr, pool.outstanding]).toEqual([72, 4, 10]);
    pool.reshape(() => {
      pool.resize(7);
      return 80;
    });
    expect([pool.elementSize, pool.minNr, pool.currNr]).toEqual([80, 7, 7]);
    held.push(pool.alloc());
    pool.reshape(() => {
      pool.reshape(() => 96);
      held.push(pool.alloc());
      return 88;
    });
    expect(pool.elementSize).toBe(88);
    expect(held.map((address) => pool.sizeOf(address))).toEqual([...Array<number>(10).fill(64), 80, 96]);
    // the nested reshape has set this size already
    pool.reshape(() => {
      pool.reshape(() => 104);
      return 104;
    });
    expect(pool.elementSize).toBe(104);
    freeAll(pool, held);
    expect([pool.outstanding, pool.currNr, pool.stats().epochs]).toEqual([0, 7, 1]);
    expectSound(heap);
  });

  test("the size that a callback returns replaces that of a nested reshape", () => {
    const heap = fixedHeap(build, MIB);
    const pool = createWith({ heap, size: (call: () => number) => call(), data: () => 64, minNr: 4 });
    const held = [pool.alloc()];
    pool.reshape(() => {
      pool.reshape(() => 128);
      held.push(pool.alloc());
      return 64;
    });
    expect(pool.elementSize).toBe(64);
    held.push(pool.alloc());
    expect(held.map((address) => pool.sizeOf(address))).toEqual([64, 128, 64]);
    freeAll(pool, held);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("a callback may close the pool", async () => {
    const [heap, before] = idle(build, MIB);
    const pool = createWith({ heap, size: (call: () => number) => call(), data: () => 64, minNr: 4 });
    const held = take(pool, 3);
    expect(
      codeOf(() =>
        pool.reshape(() => {
          pool.exit();
          return 128;
        }),
      ),
    ).toBe("ERR_CLOSED");
    expect(pool.elementSize).toBe(64);
    freeAll(pool, held);
    await pool.closed;
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("a refused page request changes nothing, whichever it is", () => {
    withoutStacks(() => {
      for (const [from, to, minNr] of [
        [64, 2000, 50],
        [64, 8, 3000],
        [3000, 64, 4],
        [100, 60_000, 5],
        [60_000, 100, 5],
        [16, 24, 0],
      ] as const) {
        for (let nth = 1; ; nth++) {
          const heap = fixedHeap(build, 2 * MIB);
          const pool = poolOf(heap, from, minNr);
          const held = new Held(heap, pool);
          held.take(3);
          const before = stateButReclaims(heap, pool);
          faults(heap, { nth });
          const code = codeOf(() => pool.reshape(to));
          const asked = faults(heap);
          expect(["none", "ERR_NO_MEMORY"]).toContain(code);
          if (code !== "none") expect(stateButReclaims(heap, pool)).toEqual(before);
          expectSound(heap);
          held.verify();
          expect(pool.currNr).toBe(minNr);
          faults(pool, { refuse: true });
          const reserve = drain(pool);
          expect(reserve.length).toBe(minNr);
          for (const address of reserve) expect(pool.sizeOf(address)).toBe(code === "none" ? to : from);
          freeAll(pool, reserve);
          faults(pool);
          for (const address of held.addresses) held.free(address);
          expect(pool.stats().epochs).toBe(1);
          pool.reshape(to);
          expect(pool.elementSize).toBe(to);
          pool.exit();
          expectSound(heap);
          if (asked < nth) break;
          if (nth > 50) nth += nth >> 1;
        }
      }
    });
  });

  test("the old reserve serves after a reshape for which memory is short", () => {
    const heap = fixedHeap(build, MIB);
    const greedy = new Greedy(heap);
    const pool = poolOf(heap, 64, 16);
    const held = new Held(heap, pool);
    held.take(20);
    greedy.take();
    for (const address of drain(pool)) held.add(address);
    for (const address of held.addresses.slice(0, 16)) held.free(address);
    expect(pool.currNr).toBe(16);
    // the pools above have taken the free memory
    greedy.take();
    const before = stateButReclaims(heap, pool);
    for (const size of [8, 100_000, 5000, 2 ** 24]) {
      expect(codeOf(() => pool.reshape(size))).toBe("ERR_NO_MEMORY");
      expect(stateButReclaims(heap, pool)).toEqual(before);
    }
    held.take(16);
    held.verify();
    for (const address of held.addresses) held.free(address);
    greedy.release();
    pool.reshape(5000);
    expect([pool.elementSize, pool.currNr, pool.stats().epochs]).toEqual([5000, 16, 1]);
    expectSound(heap);
  });

  test("a reshape with a refused backend is ERR_NO_MEMORY", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const held = take(pool, 10);
    faults(pool, { refuse: true });
    const before = stateButReclaims(heap, pool);
    expect(codeOf(() => pool.reshape(128))).toBe("ERR_NO_MEMORY");
    expect(stateButReclaims(heap, pool)).toEqual(before);
    expect(drain(pool).length).toBe(4);
    faults(pool);
    pool.reshape(128);
    expect(pool.sizeOf(pool.alloc())).toBe(128);
    expect(held.map((address) => pool.sizeOf(address))).toEqual(Array(10).fill(64));
    expectSound(heap);
  });
});
