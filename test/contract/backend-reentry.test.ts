/** An external backend that uses its own pool within alloc and free. */
import { describe, expect, test } from "vitest";
import { type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { codeOf, expectSound, fixedHeap, freeAll, freeCode, MIB, take, usedAfterTrim } from "./helpers.ts";
import { AS_EVER, Numbers, hosted, hasClosed, idle } from "./backend-helpers.ts";

describe.each(builds)("a backend that uses its pool: $name", (build) => {
  test("alloc may use the pool while it makes an element", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 4);
    const held: number[] = take(pool, 5);
    let depth = 0;
    numbers.onAlloc = () => {
      if (++depth > 3) return AS_EVER;
      held.push(pool.alloc());
      pool.free(held.shift()!);
      const out = new Uint32Array(2);
      if (depth === 2 && pool.allocBulk(out)) pool.freeBulk(out);
      pool.resize(4 + depth);
      if (pool.currNr + pool.outstanding < 4) throw new Error("the guarantee is broken");
      return AS_EVER;
    };
    for (let i = 0; i < 5; i++) {
      depth = 0;
      const element = pool.alloc();
      expect(element).not.toBe(0);
      held.push(element);
    }
    numbers.onAlloc = undefined;
    expect(held.length).toBe(new Set(held).size);
    expect(pool.outstanding).toBe(held.length);
    freeAll(pool, held);
    expect(pool.outstanding).toBe(0);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("free may use the pool while it takes an element", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 4);
    const held = take(pool, 30);
    let depth = 0;
    numbers.onFree = () => {
      if (++depth > 3) return;
      held.push(pool.alloc());
      pool.free(held.shift()!);
      expect(freeCode(pool, 77)).toBe("ERR_INVALID_ADDRESS");
    };
    while (held.length > 10) {
      depth = 0;
      pool.free(held.pop()!);
    }
    depth = 0;
    pool.freeBulk(Uint32Array.from(held.splice(0, 5)));
    numbers.onFree = undefined;
    expect(pool.outstanding).toBe(held.length);
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("maxNr holds although alloc calls the pool again and again", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 0, { maxNr: 5 });
    const held: number[] = [];
    numbers.onAlloc = () => {
      const element = pool.alloc();
      if (element !== 0) held.push(element);
      return AS_EVER;
    };
    const element = pool.alloc();
    if (element !== 0) held.push(element);
    numbers.onAlloc = undefined;
    expect(held.length).toBeLessThanOrEqual(5);
    expect(numbers.out.size).toBeLessThanOrEqual(5);
    expect(pool.outstanding).toBe(held.length);
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("an alloc that closes the pool gets its element back", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    for (const call of [
      (pool: Pool) => pool.alloc(),
      (pool: Pool) => pool.allocBulk(new Uint32Array(3)),
      (pool: Pool) => pool.prefill(3),
      (pool: Pool) => pool.resize(9),
      (pool: Pool) => pool.allocWait({ timeout: 0 }),
    ]) {
      for (const heldBefore of [0, 2]) {
        for (const at of [1, 2]) {
          const numbers = new Numbers(50);
          const pool = hosted(heap, numbers, 4);
          const held = take(pool, heldBefore);
          const start = numbers.asked;
          numbers.onAlloc = () => {
            if (numbers.asked === start + at) pool.exit();
            return AS_EVER;
          };
          const isRefused = codeOf(() => call(pool)) === "ERR_CLOSED";
          if (at === 1) expect([String(call), isRefused]).toEqual([String(call), true]);
          pool.exit();
          freeAll(pool, held);
          for (const element of numbers.out) pool.free(element);
          expect(await hasClosed(pool)).toBe(true);
          numbers.expectHome();
        }
      }
    }
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("an alloc that closes the pool and fails leaves nothing behind", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const cause = new Error("closed it");
    for (const gives of ["throws", 0, -1] as const) {
      const numbers = new Numbers(50);
      const pool = hosted(heap, numbers, 4);
      const held = take(pool, 1);
      numbers.onAlloc = () => {
        pool.exit();
        if (gives === "throws") throw cause;
        return gives;
      };
      expect(() => pool.alloc()).toThrow();
      freeAll(pool, held);
      expect(await hasClosed(pool)).toBe(true);
      numbers.expectHome();
    }
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("an alloc that closes an unused pool and fails leaves it closed", async () => {
    // a test of its own, below: in a thread of its own
    if (build.isShared) return;
    const heap = fixedHeap(build, MIB);
    for (const gives of ["throws", 0, -1] as const) {
      const numbers = new Numbers(50);
      const pool = hosted(heap, numbers, 4);
      numbers.onAlloc = () => {
        pool.exit();
        if (gives === "throws") throw new Error("closed it");
        return gives;
      };
      expect(() => pool.alloc()).toThrow();
      numbers.expectHome();
      expect([gives, await hasClosed(pool)]).toEqual([gives, true]);
    }
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("a bulk or a prefill whose pool is closed meanwhile is ERR_CLOSED", () => {
    const heap = fixedHeap(build, MIB);
    for (const call of [(pool: Pool) => pool.allocBulk(new Uint32Array(3)), (pool: Pool) => pool.prefill(3)]) {
      const numbers = new Numbers(50);
      const pool = hosted(heap, numbers, 4);
      const held = take(pool, 2);
      numbers.onAlloc = () => {
        pool.exit();
        return 0;
      };
      expect(codeOf(() => call(pool))).toBe("ERR_CLOSED");
      freeAll(pool, held);
      numbers.expectHome();
    }
    expectSound(heap);
  });

  test("free may close the pool", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    for (const act of [
      (pool: Pool, held: number[]) => pool.free(held.pop()!),
      (pool: Pool, held: number[]) => pool.freeBulk(Uint32Array.from(held.splice(0, 4))),
      (pool: Pool) => pool.resize(0),
      (pool: Pool) => pool.exit(),
    ]) {
      const numbers = new Numbers(50);
      const pool = hosted(heap, numbers, 4);
      const held = take(pool, 10);
      numbers.onFree = () => pool.exit();
      codeOf(() => act(pool, held));
      expect(codeOf(() => pool.alloc())).toBe("ERR_CLOSED");
      expect(pool.outstanding).toBe(held.length);
      freeAll(pool, held);
      expect(await hasClosed(pool)).toBe(true);
      numbers.expectHome();
    }
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("free may make the reserve larger again: it keeps what the backend has not got back yet", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 40);
    let frees = 0;
    numbers.onFree = () => {
      if (++frees === 10) expect(pool.resize(20)).toBe(true);
    };
    expect(pool.resize(0)).toBe(true);
    expect([frees, pool.minNr, pool.currNr, numbers.out.size, numbers.asked]).toEqual([20, 20, 20, 20, 40]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("alloc may close the pool while create or resize fills the reserve", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 3);
    numbers.onAlloc = () => {
      if (numbers.asked === 10) pool.exit();
      return AS_EVER;
    };
    expect(codeOf(() => pool.resize(20))).toBe("ERR_CLOSED");
    expect(numbers.asked).toBe(10);
    numbers.expectHome();
    expectSound(heap);
  });
});
