/** An external backend that throws or returns a bad element: the call fails, and no element is lost. */
import { describe, expect, test } from "vitest";
import { type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  MIB,
  random,
  shuffle,
  take,
  usedAfterTrim,
} from "./helpers.ts";
import { AS_EVER, Numbers, hosted, stateButPeak, hasClosed, idle } from "./backend-helpers.ts";

describe.each(builds)("a backend that fails: $name", (build) => {
  test("a call throws the backend's error if the reserve is empty too", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 3);
    held.push(pool.allocPreallocated(), pool.allocPreallocated());
    const cause = new RangeError("the host is out of order");
    numbers.onAlloc = () => {
      throw cause;
    };
    const before = stateButPeak(heap, pool);
    const out = new Uint32Array(4).fill(9);
    for (const call of [
      () => pool.alloc(),
      () => pool.allocWait({ timeout: 0 }),
      () => pool.allocBulk(out),
      () => pool.allocBulkWait(out, { count: 2, timeout: 0 }),
      () => pool.prefill(3),
    ]) {
      expect(call).toThrow(cause);
      expect(stateButPeak(heap, pool)).toEqual(before);
    }
    await expect(pool.allocAsync({ timeout: 50 })).rejects.toBe(cause);
    await expect(pool.allocBulkAsync(out, { timeout: 50 })).rejects.toBe(cause);
    await expect(pool.prefillAsync(2, { timeout: 50 })).rejects.toBe(cause);
    expect([...out]).toEqual([9, 9, 9, 9]);
    expect([pool.currNr, pool.outstanding]).toEqual([0, 5]);
    // the reserve serves its elements
    pool.free(held.pop()!);
    held.push(pool.alloc());
    expect(held.at(-1)).not.toBe(0);
    pool.free(held.pop()!);
    held.push(await pool.allocAsync());
    numbers.onAlloc = undefined;
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test.each([
    ["NaN", NaN],
    ["-1", -1],
    ["2 ** 32", 2 ** 32],
    ["2 ** 32 + 5", 2 ** 32 + 5],
    ["1.5", 1.5],
    ["Infinity", Infinity],
    ["a string", "5"],
    ["undefined", undefined],
    ["null", null],
    ["a bigint", 5n],
    ["true", true],
    ["an array", [5]],
    ["a promise", Promise.resolve(5)],
    [
      "an object that throws when read",
      { [Symbol.toPrimitive]: (): number => expect.fail(), toString: (): string => expect.fail() },
    ],
  ])("an alloc that returns %s is ERR_BACKEND", (_name, value) => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 3);
    numbers.onAlloc = () => value;
    const before = stateButPeak(heap, pool);
    const out = new Uint32Array(3);
    for (const call of [() => pool.alloc(), () => pool.allocBulk(out), () => pool.prefill(2)]) {
      expect(codeOf(call)).toBe("ERR_BACKEND");
      expect(stateButPeak(heap, pool)).toEqual(before);
    }
    expect(codeOf(() => pool.resize(5))).toBe("ERR_BACKEND");
    expect([pool.currNr, pool.outstanding]).toEqual([2, 3]);
    numbers.onAlloc = undefined;
    held.push(pool.alloc());
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    const freed: number[] = [];
    const backend = { alloc: () => value as number, free: (element: number) => void freed.push(element) };
    expect(codeOf(() => hosted(heap, backend, 2))).toBe("ERR_BACKEND");
    expect(freed).toEqual([]);
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("a call whose backend fails does not count as outstanding", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 3);
    expect(pool.stats().peakOutstanding).toBe(3);
    numbers.onAlloc = () => -1;
    expect(codeOf(() => pool.alloc())).toBe("ERR_BACKEND");
    expect(pool.stats().peakOutstanding).toBe(3);
    numbers.onAlloc = undefined;
    freeAll(pool, held);
    expectSound(heap);
  });

  test("an element that the backend gives twice is ERR_BACKEND", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 2);
    for (const twice of [held[0]!, [...numbers.out][0]!]) {
      numbers.onAlloc = () => twice;
      const before = stateButPeak(heap, pool);
      for (let i = 0; i < 3; i++) expect(codeOf(() => pool.alloc())).toBe("ERR_BACKEND");
      expect(codeOf(() => pool.allocBulk(new Uint32Array(2)))).toBe("ERR_BACKEND");
      expect(stateButPeak(heap, pool)).toEqual(before);
    }
    numbers.onAlloc = undefined;
    freeAll(pool, held);
    expect(freeCode(pool, held[0])).not.toBe("none");
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a bulk that gets one element twice is undone", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 0);
    let last = 0;
    numbers.onAlloc = () => {
      if (last !== 0) return last;
      numbers.onAlloc = undefined;
      last = numbers.alloc();
      numbers.onAlloc = () => last;
      return last;
    };
    const out = new Uint32Array(3).fill(8);
    expect(codeOf(() => pool.allocBulk(out))).toBe("ERR_BACKEND");
    expect([...out]).toEqual([8, 8, 8]);
    expect(pool.outstanding).toBe(0);
    numbers.expectHome();
    expectSound(heap);
  });

  test("allocBulk keeps no element if the backend throws in the middle", () => {
    const heap = fixedHeap(build, MIB);
    for (let at = 1; at <= 6; at++) {
      const numbers = new Numbers(20);
      const pool = hosted(heap, numbers, 3);
      const cause = new Error("in the middle");
      const start = numbers.asked;
      numbers.onAlloc = () => {
        if (numbers.asked >= start + at) throw cause;
        return AS_EVER;
      };
      // more than the backend gave before, plus the reserve
      const out = new Uint32Array(9).fill(5);
      expect(() => pool.allocBulk(out)).toThrow(cause);
      expect([...out]).toEqual(Array.from({ length: 9 }, () => 5));
      expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([3, 0, 3]);
      pool.exit();
      numbers.expectHome();
    }
    expectSound(heap);
  });

  test("an element has been freed when the backend's free throws", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 10);
    const cause = new Error("could not take it back");
    numbers.onFree = () => {
      throw cause;
    };
    expect(() => pool.free(held[0]!)).toThrow(cause);
    expect(pool.outstanding).toBe(9);
    expect(["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, held[0]));
    expect(numbers.back.get(held[0]!)).toBe(1);
    numbers.onFree = undefined;
    freeAll(pool, held.slice(1));
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("freeBulk is all or none although the backend's free throws", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 10);
    const cause = new Error("could not take it back");
    numbers.onFree = () => {
      throw cause;
    };
    expect(() => pool.freeBulk(Uint32Array.from(held.slice(0, 4)))).toThrow(cause);
    expect([0, 4]).toContain(10 - pool.outstanding);
    expectSound(heap);
  });

  test("a prefill's exit frees all elements although the backend's free throws", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 0);
    const ticket = pool.prefill(4)!;
    numbers.onFree = () => {
      throw new Error("could not take it back");
    };
    expect(() => ticket.exit()).toThrow("could not take it back");
    numbers.onFree = undefined;
    ticket.exit();
    expect([ticket.left, pool.outstanding, numbers.out.size]).toEqual([0, 0, 0]);
    expectSound(heap);
  });

  test("a bulk that is undone keeps no element although the backend's free throws", () => {
    const heap = fixedHeap(build, MIB);
    for (const call of [(pool: Pool) => pool.allocBulk(new Uint32Array(6)), (pool: Pool) => pool.prefill(6)]) {
      const numbers = new Numbers(4);
      const pool = hosted(heap, numbers, 0);
      numbers.onFree = () => {
        throw new Error("could not take it back");
      };
      try {
        expect(call(pool) || undefined).toBe(undefined);
      } catch (error) {
        expect(error).toMatchObject({ message: "could not take it back" });
      }
      expect([pool.outstanding, numbers.out.size]).toEqual([0, 0]);
    }
    expectSound(heap);
  });

  test("exit returns the whole reserve although the backend's free throws", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 5);
    numbers.onFree = () => {
      throw new Error("could not take it back");
    };
    try {
      pool.exit();
    } catch {}
    numbers.onFree = undefined;
    pool.exit();
    numbers.expectHome();
    expect(heap.stats().pools).toBe(0);
    expect(await hasClosed(pool)).toBe(true);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("resize returns the whole surplus although the backend's free throws", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 10);
    numbers.onFree = () => {
      throw new Error("could not take it back");
    };
    expect(() => pool.resize(3)).toThrow("could not take it back");
    numbers.onFree = undefined;
    expect(pool.minNr).toBe(3);
    expect([pool.currNr, numbers.out.size]).toEqual([3, 3]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("resize leaves a sound pool if the backend throws in the middle", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 3);
    const cause = new Error("in the middle");
    numbers.onAlloc = () => {
      if (numbers.asked === 8) throw cause;
      return AS_EVER;
    };
    expect(() => pool.resize(20)).toThrow(cause);
    expect(numbers.out.size).toBe(pool.currNr);
    expect(pool.currNr).toBeGreaterThanOrEqual(3);
    numbers.onAlloc = undefined;
    expect(pool.resize(20)).toBe(true);
    expect(pool.currNr).toBe(20);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("random use of a backend that fails at random loses no element", async () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    try {
      const next = random(seed);
      const heap = fixedHeap(build, 4 * MIB);
      const before = idle(heap);
      for (let world = 0; world < 10; world++) {
        const numbers = new Numbers(20 + Math.floor(next() * 60));
        const maxNr = next() < 0.3 ? 30 : undefined;
        let minNr = Math.floor(next() * 10);
        const pool = hosted(heap, numbers, minNr, maxNr === undefined ? {} : { maxNr });
        const held: number[] = [];
        const cause = new Error("at random");
        numbers.onAlloc = () => {
          const what = next();
          if (what < 0.1) return 0;
          if (what < 0.15) throw cause;
          if (what < 0.2) return -1;
          if (what < 0.22 && numbers.out.size > 0) return [...numbers.out][0]!;
          return AS_EVER;
        };
        numbers.onFree = () => {
          if (!isCalm && next() < 0.05) throw cause;
        };
        let isCalm = false;
        const tolerant = <T>(call: () => T): T | undefined => {
          try {
            return call();
          } catch (error) {
            if (error === cause || (error as { code?: string }).code === "ERR_BACKEND") return undefined;
            throw error;
          }
        };
        for (let i = 0; i < 1000; i++) {
          const what = next();
          if (what < 0.4) {
            const element = tolerant(() => pool.alloc());
            if (element) held.push(element);
          } else if (what < 0.5) {
            const out = new Uint32Array(Math.floor(next() * 8));
            isCalm = true;
            if (tolerant(() => pool.allocBulk(out))) held.push(...out);
            isCalm = false;
          } else if (what < 0.55) {
            isCalm = true;
            const ticket = tolerant(() => pool.prefill(1 + Math.floor(next() * 5)));
            isCalm = false;
            if (ticket) {
              while (next() < 0.7 && ticket.left > 0) held.push(ticket.alloc());
              isCalm = true;
              ticket.exit();
              isCalm = false;
              if (ticket.left !== 0) throw new Error("a ticket that has ended has some left");
            }
          } else if (what < 0.6) {
            const wanted = Math.floor(next() * 15);
            isCalm = true;
            tolerant(() => pool.resize(wanted));
            isCalm = false;
            minNr = pool.minNr;
          } else if (what < 0.7) {
            const some = shuffle(held, next).splice(0, Math.floor(next() * 6));
            isCalm = true;
            pool.freeBulk(Uint32Array.from(some));
            isCalm = false;
          } else if (held.length > 0) {
            tolerant(() => pool.free(held.splice(Math.floor(next() * held.length), 1)[0]!));
          }
          if (pool.outstanding !== held.length)
            throw new Error(`${pool.outstanding} out, the model has ${held.length}`);
          if (pool.currNr > minNr) throw new Error("more in reserve than minNr");
          if (numbers.out.size !== pool.currNr + held.length) {
            throw new Error(`the host has ${numbers.out.size} out, the pool ${pool.currNr} + ${held.length}`);
          }
        }
        numbers.onFree = undefined;
        pool.exit();
        freeAll(pool, held);
        expect(await hasClosed(pool)).toBe(true);
        numbers.expectHome();
      }
      expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 8192);
      expectSound(heap);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  });
});
