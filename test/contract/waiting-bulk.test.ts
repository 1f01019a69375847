/** Waiting in one thread for several elements at once. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { create, type WaitOptions } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { fixedHeap, freeAll, MIB, PAGE, take } from "./helpers.ts";
import { rejectionCode, Order, poolOf, expectAllHome } from "./waiting-helpers.ts";
import { sleep } from "../threads/helpers.ts";

afterEach(() => vi.unstubAllGlobals());

describe.each(builds)("waiting in bulk: $name", (build) => {
  test("the first request collects, while the others wait", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 6);
    const held = take(pool, 6);
    const order = new Order();
    const out = new Uint32Array(5).fill(7);
    const bulk = order.add("bulk", pool.allocBulkAsync(out, { count: 4 }));
    const single = order.add("single", pool.allocAsync());
    const next = order.add("next", pool.allocBulkAsync(new Uint32Array(1)));
    for (let i = 0; i < 3; i++) pool.free(held[i]!);
    expect(await order.soon()).toEqual([]);
    expect([...out]).toEqual([7, 7, 7, 7, 7]);
    pool.freeBulk(Uint32Array.of(held[3]!, held[4]!));
    expect(await order.soon()).toEqual(["bulk", "single"]);
    expect(new Set([...out.subarray(0, 4), await single]).size).toBe(5);
    expect(out[4]).toBe(7);
    pool.free(held[5]!);
    await Promise.all([bulk, single, next]);
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("a request takes the available elements at once", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 6);
    const held = take(pool, 4);
    const out = new Uint32Array(6);
    const bulk = pool.allocBulkAsync(out);
    expect(pool.outstanding).toBe(6);
    expect(pool.alloc()).toBe(0);
    freeAll(pool, held);
    await bulk;
    expect(new Set(out).size).toBe(6);
    pool.freeBulk(out);
    expectAllHome(heap, pool);
  });

  test("a request for 600 elements collects them", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 700);
    const held = take(pool, 700);
    const out = new Uint32Array(600);
    const bulk = pool.allocBulkAsync(out);
    freeAll(pool, held.slice(0, 300));
    pool.freeBulk(Uint32Array.from(held.slice(300)));
    await bulk;
    expect(new Set(out).size).toBe(600);
    expect(pool.outstanding).toBe(600);
    pool.freeBulk(out);
    expectAllHome(heap, pool);
  });

  test("a request that gets nothing for 100 ms makes way", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 4);
    const held = take(pool, 4);
    const order = new Order();
    // Before the wait begins, and with it the 100 ms.
    const began = performance.now();
    const bulk = order.add("bulk", pool.allocBulkAsync(new Uint32Array(4)));
    const singles = ["a", "b"].map((name) => order.add(name, pool.allocAsync()));
    freeAll(pool, held.slice(0, 3));
    const mine = await Promise.all(singles);
    expect(performance.now() - began).toBeGreaterThanOrEqual(95);
    expect(await order.soon()).toEqual(["a", "b"]);
    // it is first again, and has one element
    expect(pool.alloc()).toBe(0);
    freeAll(pool, mine);
    expect(pool.alloc()).toBe(0);
    pool.free(held[3]!);
    await bulk;
    expect(order.names).toEqual(["a", "b", "bulk"]);
    expect(pool.outstanding).toBe(4);
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("a request keeps its elements while no other call waits", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 2);
    const held = take(pool, 2);
    const bulk = pool.allocBulkAsync(new Uint32Array(2));
    pool.free(held[0]!);
    for (let i = 0; i < 6; i++) {
      await sleep(40);
      expect(pool.alloc()).toBe(0);
      expect(pool.outstanding).toBe(2);
    }
    pool.free(held[1]!);
    await bulk;
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("two requests for more than half of the pool are served one after the other", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 10);
    const held = take(pool, 10);
    const outs = [new Uint32Array(7), new Uint32Array(8), new Uint32Array(9)];
    const done = outs.map(async (out) => {
      await pool.allocBulkAsync(out, { timeout: 60_000 });
      expect(new Set(out).size).toBe(out.length);
      await sleep(5);
      pool.freeBulk(out);
    });
    for (const address of held) {
      await sleep(15);
      pool.free(address);
    }
    await Promise.all(done);
    expectAllHome(heap, pool);
  });

  test("a request that times out or is aborted frees its elements for the next", async () => {
    const heap = fixedHeap(build, MIB);
    for (const way of ["timeout", "signal"]) {
      const pool = poolOf(heap, 3);
      const held = take(pool, 3);
      const controller = new AbortController();
      const out = new Uint32Array(3).fill(7);
      const options: WaitOptions = way === "timeout" ? { timeout: 50 } : { signal: controller.signal };
      const bulk = pool.allocBulkAsync(out, options);
      const singles = [pool.allocAsync(), pool.allocAsync()];
      pool.free(held[0]!);
      pool.free(held[1]!);
      if (way === "signal") controller.abort();
      expect(await rejectionCode(bulk)).toBe(way === "timeout" ? "ERR_TIMEOUT" : "AbortError");
      expect([...out]).toEqual([7, 7, 7]);
      expect((await Promise.all(singles)).toSorted()).toEqual(held.slice(0, 2).toSorted());
      freeAll(pool, held);
      expectAllHome(heap, pool);
      pool.exit();
    }
  });

  test("a request finds its array in memory that has grown", async () => {
    if (build.name === "region") return;
    const heap = build.heap({ initial: 4 * PAGE });
    const pool = poolOf(heap, 2);
    const words = create({ heap, size: 64, minNr: 1 });
    const place = words.alloc();
    const out = new Uint32Array(heap.memory.buffer, place, 2);
    const held = take(pool, 2);
    const bulk = pool.allocBulkAsync(out);
    heap.memory.grow(3);
    freeAll(pool, held);
    await bulk;
    expect([...new Uint32Array(heap.memory.buffer, place, 2)].toSorted()).toEqual(held.toSorted());
    freeAll(pool, held);
    expectAllHome(heap, pool);
  });

  test("a request whose array is gone loses no element", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 2);
    const held = take(pool, 2);
    const out = new Uint32Array(2);
    const bulk = pool.allocBulkAsync(out);
    structuredClone(out.buffer, { transfer: [out.buffer] });
    freeAll(pool, held);
    expect(await rejectionCode(bulk)).toBe("ERR_INVALID_ARGUMENT");
    expectAllHome(heap, pool);
  });
});
