/** reshape of a pool that several threads use. */
import { describe, expect, test } from "vitest";
import { attach, createSharedHeap, type SharedHeap, type SharedPool } from "../../src/index.ts";
import { Thread } from "../threads/helpers.ts";
import { expectCanary, expectSound, freeAll, MIB, take, writeCanary } from "./helpers.ts";
import { poolOf } from "./reshape-helpers.ts";
import { sleep, untilWaiting } from "../threads/helpers.ts";

const sharedHeap = (): SharedHeap => createSharedHeap({ initial: MIB, maximum: 8 * MIB });

describe("reshape, with several threads", () => {
  type Kept = typeof globalThis & { pool: SharedPool<unknown, any>; held: number[] };

  test("the next alloc of another thread has the new size", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 4);
    const thread = new Thread();
    const theirs = await thread.run(({ attach: join }, shared) => {
      const kept = globalThis as Kept;
      kept.pool = join(shared);
      kept.held = Array.from({ length: 50 }, () => kept.pool.alloc());
      for (const address of Array.from({ length: 30 }, () => kept.pool.alloc())) kept.pool.free(address);
      return kept.held;
    }, pool.share());
    theirs.forEach((address) => writeCanary(heap.memory, address, 64, address));
    pool.reshape(200);
    const mine = take(pool, 100);
    mine.forEach((address) => writeCanary(heap.memory, address, 200, address));
    const fresh = await thread.run(() => {
      const kept = globalThis as Kept;
      if (kept.pool.elementSize !== 200) throw new Error(`elementSize ${kept.pool.elementSize}`);
      const address = kept.pool.alloc();
      const size = kept.pool.sizeOf(address);
      if (size !== 200) throw new Error(`an element of ${size}`);
      if (kept.held.some((old) => kept.pool.sizeOf(old) !== 64)) throw new Error("an old one has another size");
      const list = [address];
      while (list.length < 60) list.push(kept.pool.alloc());
      if (list.some((each) => kept.pool.sizeOf(each) !== 200)) throw new Error("a later one has another size");
      kept.held.push(...list);
      return list;
    });
    fresh.forEach((address) => writeCanary(heap.memory, address, 200, address));
    theirs.forEach((address) => expectCanary(heap.memory, address, 64, address));
    mine.forEach((address) => expectCanary(heap.memory, address, 200, address));
    expect(pool.stats().epochs).toBe(2);
    // half in each thread
    freeAll(pool, theirs.slice(25));
    await thread.run(
      (_, addresses) => addresses.forEach((address) => (globalThis as Kept).pool.free(address)),
      [...theirs.slice(0, 25), ...mine],
    );
    fresh.forEach((address) => expectCanary(heap.memory, address, 200, address));
    expect(pool.stats().epochs).toBe(1);
    freeAll(pool, fresh);
    expect(pool.outstanding).toBe(0);
    await thread.run(() => (globalThis as Kept).pool.heap.detach());
    expectSound(heap);
  });

  test("a thread that attached without a callback cannot reshape", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 4);
    const thread = new Thread();
    const codes = await thread.run(({ attach: join }, shared) => {
      const there: SharedPool<unknown, any> = join<any>(shared);
      (globalThis as Kept).pool = there;
      try {
        there.reshape(128);
        return "none";
      } catch (error) {
        return (error as { code: string }).code;
      }
    }, pool.share());
    expect(codes).toBe("ERR_INVALID_ARGUMENT");
    expect(pool.elementSize).toBe(64);
    const other = new Thread();
    await other.run(({ attach: join }, shared) => {
      const there = join(shared, { size: (data: number) => data * 2 });
      (globalThis as Kept).pool = there;
      there.reshape(64);
    }, pool.share());
    expect([pool.elementSize, pool.sizeOf(pool.alloc())]).toEqual([128, 128]);
    expect(await thread.run(() => (globalThis as Kept).pool.elementSize)).toBe(128);
    expectSound(heap);
  });

  test("a waiting thread gets an element of the new size", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 2, { maxNr: 2 });
    const thread = new Thread();
    await thread.run(({ attach: join }, shared) => {
      (globalThis as Kept).pool = join(shared);
    }, pool.share());
    const old = take(pool, 2);
    const waiting = thread.run(() => (globalThis as Kept).pool.allocWait({ timeout: 60_000 }));
    await untilWaiting(pool, 1);
    pool.reshape(200);
    const got = await waiting;
    expect(pool.sizeOf(got)).toBe(200);
    freeAll(pool, [got, ...old]);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("threads that allocate and free while one reshapes damage no element", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 16);
    const threads = [new Thread(), new Thread()];
    const enough = new Int32Array(new SharedArrayBuffer(4));
    const running = threads.map((thread, seed) =>
      thread.run(
        async ({ attach: join }, shared, start, control) => {
          const there = join(shared);
          let state = start + 7;
          const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
          const held: [number, number, number][] = [];
          let allocs = 0;
          while (allocs <= 100 || Atomics.load(control, 0) === 0) {
            for (let i = 0; i < 50; i++) {
              if (next() < 0.5 && held.length < 60) {
                const address = there.alloc();
                if (address === 0) continue;
                const size = there.sizeOf(address);
                const fill = 1 + Math.floor(next() * 255);
                there.heap.views.refresh().u8.fill(fill, address, address + size);
                held.push([address, size, fill]);
                allocs++;
              } else if (held.length > 0) {
                const [address, size, fill] = held.splice(Math.floor(next() * held.length), 1)[0]!;
                if (there.sizeOf(address) !== size) throw new Error("sizeOf has changed");
                const bytes = there.heap.views.refresh().u8.subarray(address, address + size);
                if (bytes.some((byte) => byte !== fill)) throw new Error("an element was overwritten");
                there.free(address);
              }
            }
            await new Promise((resolve) => setTimeout(resolve, 0));
          }
          for (const [address] of held) there.free(address);
          there.heap.detach();
          return allocs;
        },
        pool.share(),
        seed,
        enough,
      ),
    );
    let reshapes = 0;
    const state = { isDone: false };
    const all = Promise.all(running).finally(() => (state.isDone = true));
    for (const end = performance.now() + 1200; !state.isDone; await sleep(1)) {
      pool.reshape(8 + 8 * (reshapes++ % 50));
      if (reshapes > 10 && performance.now() > end) Atomics.store(enough, 0, 1);
    }
    for (const allocs of await all) expect(allocs).toBeGreaterThan(100);
    expect([pool.outstanding, pool.currNr, pool.stats().epochs]).toEqual([0, 16, 1]);
    expectSound(heap);
  });

  test("attach gets the size of the last reshape", () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 4);
    const early = pool.share();
    pool.reshape(128);
    const other = attach({ ...heap.share(), id: "reshape, another" });
    for (const shared of [early, pool.share()]) {
      const there = attach({ ...shared, heap: other.share() });
      expect([there.elementSize, there.sizeOf(there.alloc())]).toEqual([128, 128]);
    }
    expectSound(heap);
    other.detach();
  });
});
