/** Waiting in one thread: first come, first served; a waiter that leaves loses no element. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { create, createArena, type SharedHeap, type WaitOptions } from "../../src/index.ts";
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
  freeCode,
  Greedy,
  MIB,
  nonAddresses,
  PAGE,
  take,
} from "./helpers.ts";
import { soon, rejection, rejectionCode, Order, poolOf, expectAllHome } from "./waiting-helpers.ts";
import { sleep } from "../threads/helpers.ts";

afterEach(() => vi.unstubAllGlobals());

describe.each(builds)("waiting: $name", (build) => {
  test("no call waits for an available element", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 6);
    const out = new Uint32Array(3).fill(7);
    const bulk = new Uint32Array(2);
    const elements = [pool.allocWait(), await pool.allocAsync()];
    pool.allocBulkWait(out, { count: 2, timeout: 0 });
    expect(out[2]).toBe(7);
    elements.push(...out.subarray(0, 2));
    await pool.allocBulkAsync(bulk, { timeout: 0 });
    elements.push(...bulk);
    expectElements(heap, elements, 64, 16);
    expect(pool.alloc()).toBe(0);
    pool.allocBulkWait(out, { count: 0 });
    await pool.allocBulkAsync(out, { count: 0 });
    freeAll(pool, elements);
    expectAllHome(heap, pool);
  });

  test("a free hands its element to the first waiter", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 3);
    const held = take(pool, 3);
    const order = new Order();
    const waiters = ["a", "b", "c"].map((name) => order.add(name, pool.allocAsync()));
    expect(await order.soon()).toEqual([]);
    pool.free(held[1]!);
    // a later call comes after the waiters
    expect(pool.alloc()).toBe(0);
    expect(pool.allocPreallocated()).toBe(0);
    expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
    expect(await order.soon()).toEqual(["a"]);
    expect(await waiters[0]).toBe(held[1]);
    pool.free(held[0]!);
    expect(await order.soon()).toEqual(["a", "b"]);
    expect(await waiters[1]).toBe(held[0]);
    pool.free(held[2]!);
    expect(await waiters[2]).toBe(held[2]);
    expect(pool.outstanding).toBe(3);
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("a later call gets an element that no waiter takes", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 4);
    const held = take(pool, 4);
    const waiters = [pool.allocAsync(), pool.allocAsync()];
    pool.freeBulk(Uint32Array.from(held));
    const mine = drain(pool);
    expect(mine.length).toBe(2);
    const theirs = await Promise.all(waiters);
    expect(new Set([...mine, ...theirs]).size).toBe(4);
    freeAll(pool, [...mine, ...theirs]);
    expectAllHome(heap, pool);
  });

  test("forty waiters are served in their order", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 5);
    let held = take(pool, 5);
    const order = new Order();
    const names = Array.from({ length: 40 }, (_, i) => `${i}`);
    const waiters = names.map((name) => order.add(name, pool.allocAsync()));
    for (let i = 0; i < 40; i += 5) {
      if (i % 2) freeAll(pool, held);
      else pool.freeBulk(Uint32Array.from(held));
      held = await Promise.all(waiters.slice(i, i + 5));
      expect(await order.soon()).toEqual(names.slice(0, i + 5));
      expect(pool.outstanding).toBe(5);
    }
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("ten thousand rounds of waiting leave nothing behind", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 2);
    let running = 0;
    let most = 0;
    const worker = async (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        const element = await pool.allocAsync();
        most = Math.max(most, ++running);
        if (i % 3 === 0) await Promise.resolve();
        running--;
        pool.free(element);
      }
    };
    await Promise.all(Array.from({ length: 10 }, () => worker(1000)));
    expect([pool.stats().allocs, most]).toEqual([10_000, 2]);
    expectAllHome(heap, pool);
  });

  test("a waiter's element is zeroed", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 3, { size: 100, zero: true });
    const held = take(pool, 3);
    for (const address of held) heap.u8.fill(0xff, address, address + 100);
    const one = pool.allocAsync();
    const out = new Uint32Array(2);
    const two = pool.allocBulkAsync(out);
    freeAll(pool, held);
    await two;
    for (const address of [await one, ...out]) expectZero(heap.memory, address, 100);
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("memory that other pools and arenas return serves waiters", async () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    const other = create({ heap, size: 50_000, minNr: 0, name: "other" });
    const arena = createArena({ heap, bytes: PAGE - 16 });
    arena.alloc(PAGE - 64);
    arena.alloc(PAGE - 64);
    const theirs = drain(other);
    new Greedy(heap).take();
    const mine = drain(pool);
    const order = new Order();
    /** Waits, returns memory, and takes all elements that then come. */
    const round = async (name: string, giveBack: () => void) => {
      const waiter = order.add(name, pool.allocAsync());
      expect(await order.soon()).not.toContain(name);
      giveBack();
      mine.push(await soon(waiter), ...drain(pool));
    };
    for (let i = 0; i < 3; i++) await round(`free ${i}`, () => freeAll(other, theirs.splice(0, 10)));
    for (let i = 0; i < 3; i++) await round(`bulk ${i}`, () => other.freeBulk(Uint32Array.from(theirs.splice(0, 10))));
    await round("reset", () => arena.reset());
    await round("exit", () => arena.exit());
    expectElements(heap, mine, 64, 16);
    freeAll(pool, mine);
    expectAllHome(heap, pool);
  });

  test("memory that an exit and trim return serves waiters", async () => {
    for (const way of ["exit", "trim"]) {
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: PAGE, minNr: 0 });
      const reserve = create({ heap, size: PAGE, minNr: 8 });
      const other = create({ heap, size: 100, minNr: 0 });
      const small = new Greedy(heap);
      small.take();
      const waiter = pool.allocAsync();
      expect(pool.alloc()).toBe(0);
      if (way === "exit") reserve.exit();
      else {
        // freed before a call waits: only another search finds it
        small.release();
        heap.trim();
      }
      expect(await soon(waiter)).not.toBe(0);
      expect(other.outstanding).toBe(0);
      expectSound(heap);
    }
  });

  test("free checks addresses while a call waits", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 3);
    const other = create({ heap, size: 48, minNr: 2 });
    const held = take(pool, 3);
    const theirs = take(other, 2);
    const waiter = pool.allocAsync();
    for (const somePool of [pool, other]) {
      for (const [, value] of nonAddresses(held[0]!)) {
        if (value !== 0) expect(freeCode(somePool, value)).toBe("ERR_INVALID_ADDRESS");
      }
      somePool.free(0);
      expect(["ERR_INTERIOR_FREE", "ERR_FOREIGN_FREE"]).toContain(freeCode(somePool, held[0]! + 16));
    }
    expect(freeCode(other, held[0]!)).toBe("ERR_FOREIGN_FREE");
    expect(freeCode(pool, theirs[0]!)).toBe("ERR_FOREIGN_FREE");
    expect(codeOf(() => pool.freeBulk(Uint32Array.of(held[0]!, held[0]!)))).toBe("ERR_DOUBLE_FREE");
    other.free(theirs[0]!);
    expect(freeCode(other, theirs[0]!)).toBe("ERR_DOUBLE_FREE");
    expect(other.alloc()).not.toBe(0);
    pool.free(held[0]!);
    // the element was handed over: it is the waiter's
    expect(await waiter).toBe(held[0]!);
    freeAll(pool, held);
    expect(freeCode(pool, held[0]!)).toBe("ERR_DOUBLE_FREE");
    expectAllHome(heap, pool);
  });

  describe("a time limit", () => {
    test("of 0 ends at once", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const held = pool.alloc();
      const order = new Order();
      const waiter = order.add("a", pool.allocAsync({ timeout: 0 }));
      const bulk = order.add("b", pool.allocBulkAsync(new Uint32Array(1), { timeout: 0 }));
      expect(await order.soon()).toEqual(["a ERR_TIMEOUT", "b ERR_TIMEOUT"]);
      expect(await rejectionCode(waiter)).toBe("ERR_TIMEOUT");
      expect(await rejectionCode(bulk)).toBe("ERR_TIMEOUT");
      pool.free(held);
      expectAllHome(heap, pool);
    });

    test("ends the wait", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const held = pool.alloc();
      const began = performance.now();
      const first = pool.allocAsync({ timeout: 60 });
      const second = pool.allocAsync({ timeout: Infinity });
      const { code, message } = await rejection(first);
      expect(code).toBe("ERR_TIMEOUT");
      expect(message).toContain("60 ms");
      expect(performance.now() - began).toBeGreaterThanOrEqual(59);
      pool.free(held);
      expect(await second).toBe(held);
      pool.free(held);
      expectAllHome(heap, pool);
    });

    test("ends no wait that was served", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const held = pool.alloc();
      const waiter = pool.allocAsync({ timeout: 20 });
      pool.free(held);
      await sleep(50);
      expect(await waiter).toBe(held);
      expect(pool.outstanding).toBe(1);
      pool.free(held);
      expectAllHome(heap, pool);
    });

    test("may be longer than a timer's", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const held = pool.alloc();
      const order = new Order();
      const timers = vi.spyOn(globalThis, "setTimeout");
      const waiter = order.add("a", pool.allocAsync({ timeout: 2 ** 31 + 5 }));
      const other = order.add("b", pool.allocAsync({ timeout: Number.MAX_VALUE }));
      expect(timers.mock.calls.map(([, delay]) => delay)).toEqual([2 ** 31 - 1, 2 ** 31 - 1]);
      timers.mockRestore();
      await sleep(30);
      expect(await order.soon()).toEqual([]);
      pool.free(held);
      pool.free(await waiter);
      pool.free(await other);
      expectAllHome(heap, pool);
    });

    test("is refused where there are no timers", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const held = pool.alloc();
      for (const name of ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "AbortSignal"]) {
        vi.stubGlobal(name, undefined);
      }
      expect(await rejectionCode(pool.allocAsync({ timeout: 5 }))).toBe("ERR_WOULD_BLOCK");
      expect(await rejectionCode(pool.allocBulkAsync(new Uint32Array(1), { timeout: 5 }))).toBe("ERR_WOULD_BLOCK");
      expect(await rejectionCode(pool.allocAsync({ timeout: 0 }))).toBe("ERR_TIMEOUT");
      expect(await rejectionCode(pool.allocAsync({ signal: {} as AbortSignal }))).toBe("ERR_INVALID_ARGUMENT");
      const waiter = pool.allocAsync();
      pool.free(held);
      expect(await waiter).toBe(held);
      pool.free(held);
      vi.unstubAllGlobals();
      expectAllHome(heap, pool);
    });
  });

  describe("a signal", () => {
    test("ends the wait", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const held = pool.alloc();
      const controller = new AbortController();
      const { signal } = controller;
      const waiters = [pool.allocAsync({ signal }), pool.allocBulkAsync(new Uint32Array(1), { signal })];
      const other = pool.allocAsync({ signal: new AbortController().signal });
      const reason = new Error("enough");
      controller.abort(reason);
      for (const waiter of waiters) await expect(waiter).rejects.toBe(reason);
      pool.free(held);
      expect(await other).toBe(held);
      pool.free(held);
      expectAllHome(heap, pool);
    });

    test("that has aborted already ends the call although there is an element", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const signal = AbortSignal.abort("no");
      await expect(pool.allocAsync({ signal })).rejects.toBe("no");
      await expect(pool.allocBulkAsync(new Uint32Array(1), { signal })).rejects.toBe("no");
      await expect(pool.prefillAsync(1, { signal })).rejects.toBe("no");
      for (const call of [
        () => pool.allocWait({ signal }),
        () => pool.allocBulkWait(new Uint32Array(1), { signal }),
        () => pool.prefillWait(1, { signal }),
      ]) {
        let thrown: unknown;
        try {
          call();
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBe("no");
      }
      expect(pool.outstanding).toBe(0);
      expect(pool.stats().allocs).toBe(0);
    });

    test("that aborts at the same moment as a free loses no element", async () => {
      const heap = fixedHeap(build, MIB);
      for (const abortFirst of [true, false]) {
        const pool = poolOf(heap, 1);
        const held = pool.alloc();
        const controller = new AbortController();
        const order = new Order();
        const first = order.add("a", pool.allocAsync({ signal: controller.signal }));
        const second = order.add("b", pool.allocAsync());
        if (abortFirst) controller.abort();
        pool.free(held);
        controller.abort();
        expect(await order.soon()).toEqual(abortFirst ? ["a AbortError", "b"] : ["a"]);
        if (abortFirst) await expect(first).rejects.toMatchObject({ name: "AbortError" });
        else pool.free(await first);
        pool.free(await second);
        expectAllHome(heap, pool);
        pool.exit();
      }
    });

    test("loses its listener when the wait is served", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 1);
      const { signal } = new AbortController();
      const add = vi.spyOn(signal, "addEventListener");
      const remove = vi.spyOn(signal, "removeEventListener");
      const held = pool.alloc();
      const waiter = pool.allocAsync({ signal });
      expect(add).toHaveBeenCalledTimes(1);
      pool.free(held);
      await waiter;
      expect(remove).toHaveBeenCalledTimes(1);
      expect(remove.mock.calls[0]!.slice(0, 2)).toEqual(add.mock.calls[0]!.slice(0, 2));
    });
  });

  describe("exit", () => {
    test("ends all waits", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 5);
      const held = take(pool, 5);
      const out = new Uint32Array(4).fill(7);
      const waiters: Promise<unknown>[] = [pool.allocBulkAsync(out)];
      for (let i = 0; i < 20; i++) waiters.push(pool.allocAsync({ timeout: 60_000 }));
      pool.free(held[0]!);
      pool.free(held[1]!);
      expect(pool.outstanding).toBe(5);
      pool.exit();
      for (const waiter of waiters) expect(await rejectionCode(waiter)).toBe("ERR_CLOSED");
      expect([...out]).toEqual([7, 7, 7, 7]);
      expect(pool.outstanding).toBe(3);
      expect(await rejectionCode(pool.allocAsync())).toBe("ERR_CLOSED");
      expect(await rejectionCode(pool.allocBulkAsync(out))).toBe("ERR_CLOSED");
      expect(codeOf(() => pool.allocWait({ timeout: 10 }))).toBe("ERR_CLOSED");
      expect(codeOf(() => pool.allocBulkWait(out, { count: 1, timeout: 10 }))).toBe("ERR_CLOSED");
      expect(freeCode(pool, held[0]!)).toBe("ERR_CLOSED");
      freeAll(pool, held.slice(2));
      await pool.closed;
      expectSound(heap);
    });

    test("ends a bulk request that has collected all elements", async () => {
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 2);
      const held = take(pool, 2);
      const bulk = pool.allocBulkAsync(new Uint32Array(2));
      pool.free(held[0]!);
      pool.free(held[1]!);
      await bulk;
      const again = pool.allocBulkAsync(new Uint32Array(2));
      pool.free(held[0]!);
      const other = create({ heap, size: 64, minNr: 1 });
      pool.free(held[1]!);
      await again;
      const last = pool.allocBulkAsync(new Uint32Array(2));
      pool.free(held[0]!);
      pool.exit();
      expect(await rejectionCode(last)).toBe("ERR_CLOSED");
      pool.free(held[1]!);
      await pool.closed;
      // no call waits on this heap any more: other pools are as fast as before
      other.free(other.alloc());
      expect(heap.stats().pools).toBe(1);
      expectSound(heap);
    });
  });

  test("allocWait refuses to block where no other thread could free an element", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 2);
    const held = take(pool, 2);
    const out = new Uint32Array(2).fill(7);
    const error = errorFrom(() => pool.allocWait({ timeout: 30 }));
    expect(error.code).toBe("ERR_WOULD_BLOCK");
    expect(error.message).toContain("allocWait");
    const expected = build.isShared ? "ERR_TIMEOUT" : "ERR_WOULD_BLOCK";
    if (build.isShared) (heap as SharedHeap).share();
    expect(codeOf(() => pool.allocWait({ timeout: 30 }))).toBe(expected);
    pool.free(held[0]!);
    expect(codeOf(() => pool.allocBulkWait(out, { count: 2, timeout: 30 }))).toBe(expected);
    expect([...out]).toEqual([7, 7]);
    expect(pool.outstanding).toBe(1);
    pool.free(held[1]!);
    expectAllHome(heap, pool);
  });

  test("bad arguments are refused by name", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 100 });
    const unlimited = create({ heap, size: PAGE, minNr: 0 });
    const out = new Uint32Array(200);
    const before = [pool.stats(), unlimited.stats(), heap.stats()];
    const numbers: [unknown, string][] = [NaN, -1, -Infinity, "5", 5n, null, {}, true].map((value) => [
      value,
      "timeout",
    ]);
    for (const [timeout, name] of numbers) {
      const errors = [
        await rejection(pool.allocAsync({ timeout: timeout as number })),
        await rejection(pool.allocBulkAsync(out, { timeout: timeout as number })),
        errorFrom(() => pool.allocWait({ timeout: timeout as number })),
        errorFrom(() => pool.allocBulkWait(out, { count: 1, timeout: timeout as number })),
      ];
      for (const { code, message } of errors) {
        expect(code).toBe("ERR_INVALID_ARGUMENT");
        expect(message).toContain(name);
      }
    }
    const options: unknown[] = [5, null, "x", [], { timeOut: 5 }, { count: 1 }, { signal: {} }, { signal: null }];
    for (const value of options) {
      expect(await rejectionCode(pool.allocAsync(value as WaitOptions))).toBe("ERR_INVALID_ARGUMENT");
    }
    for (const count of [-1, 1.5, NaN, 201, "1", 101]) {
      const promise = pool.allocBulkAsync(out, { count: count as number });
      expect(await rejectionCode(promise)).toBe("ERR_INVALID_ARGUMENT");
      expect(codeOf(() => pool.allocBulkWait(out, { count: count as number, timeout: 0 }))).toBe(
        "ERR_INVALID_ARGUMENT",
      );
    }
    expect(await rejectionCode(pool.allocBulkAsync([] as never))).toBe("ERR_INVALID_ARGUMENT");
    // more than the heap can hold
    expect(await rejectionCode(unlimited.allocBulkAsync(out))).toBe("ERR_INVALID_ARGUMENT");
    expect([pool.stats(), unlimited.stats(), heap.stats()]).toEqual(before);
  });
});
