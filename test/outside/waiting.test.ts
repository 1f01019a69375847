/** Waiting in programs: many waiters, signals, and callbacks that interfere. */
import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createHeap, type Heap, type Backend, type Pool, type SharedHeap, createSharedHeap } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import { codeOf, drain, expectSound, fixedHeap, freeAll, MIB, take } from "../contract/helpers.ts";
import { Thread } from "../threads/helpers.ts";
import { jobs, outcome } from "./helpers.ts";

afterEach(() => vi.unstubAllGlobals());

const heapOf = (shared: boolean, bytes = MIB): Heap =>
  (shared ? createSharedHeap : createHeap)({ initial: bytes, maximum: bytes });
const kinds = [
  { name: "unshared", shared: false },
  { name: "shared", shared: true },
];

const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

const settled = (waiters: readonly Promise<number>[]): Promise<number> =>
  Promise.allSettled(waiters).then((results) => results.filter((each) => each.status === "fulfilled").length);

/** A pool with all `count` elements of its backend outstanding; the backend's alloc first calls what `onAlloc` sets. */
function hosted(heap: Heap, count: number): { pool: Pool; held: number[]; onAlloc: (call: () => void) => void } {
  let left = count;
  let last = 0;
  let call: (() => void) | undefined;
  const out = new Set<number>();
  const backend: Backend = {
    alloc: () => {
      call?.();
      if (left === 0) return 0;
      left--;
      out.add(++last);
      return last;
    },
    free: (element) => {
      expect(out.delete(element)).toBe(true);
      left++;
    },
  };
  const pool = heap.create({ size: 1, minNr: 0, backend, name: "hosted" });
  return { pool, held: take(pool, count), onAlloc: (other) => (call = other) };
}

describe.each(builds)("a callback within the call: $name", (build) => {
  test("a backend that frees an element within alloc loses none", async () => {
    const heap = fixedHeap(build, MIB);
    const { pool, held, onAlloc } = hosted(heap, 3);
    const waiters = [pool.allocAsync(), pool.allocAsync()];
    let isFirst = true;
    onAlloc(() => {
      if (!isFirst) return;
      isFirst = false;
      pool.free(held.pop()!);
    });
    pool.free(held.pop()!);
    held.push(...(await Promise.all(waiters)));
    expect(new Set(held).size).toBe(3);
    expect(pool.outstanding).toBe(3);
    freeAll(pool, held);
    expect(pool.outstanding).toBe(0);
    pool.exit();
    expect(await outcome(pool.closed)).toBe("fulfilled");
    expectSound(heap);
  });

  test("an element of a backend that aborts its waiter goes to the next waiter", async () => {
    const heap = fixedHeap(build, MIB);
    const { pool, held, onAlloc } = hosted(heap, 2);
    const controller = new AbortController();
    const first = pool.allocAsync({ signal: controller.signal });
    const second = pool.allocAsync();
    onAlloc(() => controller.abort());
    pool.free(held.pop()!);
    // on a shared heap the core hands the element over before it calls the backend
    const codes = [await outcome(first), await outcome(second)];
    expect(["AbortError fulfilled", "fulfilled pending"]).toContain(codes.join(" "));
    controller.abort();
    pool.free(codes[0] === "fulfilled" ? await first : await second);
    held.push(...(codes[0] === "fulfilled" ? [await second] : []));
    freeAll(pool, held);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("a signal that a shrinker aborts ends the call", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    let controller = new AbortController();
    heap.registerShrinker(() => controller.abort("too much"));
    for (const call of [
      (signal: AbortSignal) => pool.allocAsync({ signal }),
      (signal: AbortSignal) => pool.allocBulkAsync(new Uint32Array(1), { signal }),
      (signal: AbortSignal) => pool.prefillAsync(1, { signal, timeout: 1e6 }),
    ]) {
      controller = new AbortController();
      const waiter = call(controller.signal);
      waiter.catch(() => {});
      await expect(waiter).rejects.toBe("too much");
      expect(listeners(controller.signal)).toBe(0);
    }
    pool.free(held);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("a signal that a backend aborts ends the call", async () => {
    const heap = fixedHeap(build, MIB);
    const { pool, held, onAlloc } = hosted(heap, 1);
    const controller = new AbortController();
    onAlloc(() => controller.abort());
    expect(await outcome(pool.allocAsync({ signal: controller.signal }))).toBe("AbortError");
    freeAll(pool, held);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("a backend that adds a waiter at each call is not called without end", async () => {
    const heap = fixedHeap(build, MIB);
    const { pool, held, onAlloc } = hosted(heap, 500);
    freeAll(pool, held.splice(1));
    const refuse = faults(pool, { refuse: true });
    expect(refuse).toBe(0);
    const waiters = [pool.allocAsync()];
    let asked = 0;
    onAlloc(() => {
      asked++;
      if (waiters.length < 400) waiters.push(pool.allocAsync());
    });
    faults(pool);
    expect(asked).toBeLessThanOrEqual(3);
    onAlloc(() => {});
    pool.exit();
    freeAll(pool, held);
    for (const waiter of waiters) waiter.then((element) => pool.free(element)).catch(() => {});
    await jobs();
    expect(await outcome(pool.closed)).toBe("fulfilled");
    expectSound(heap);
  });
});

describe.each(kinds)("signals: $name", ({ shared }) => {
  test("a timeout of 0 leaves no listener", async () => {
    const heap = heapOf(shared);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    pool.alloc();
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i++) {
      expect(await outcome(pool.allocAsync({ timeout: 0, signal }))).toBe("ERR_TIMEOUT");
      expect(await outcome(pool.allocBulkAsync(new Uint32Array(1), { timeout: 0, signal }))).toBe("ERR_TIMEOUT");
    }
    expect(listeners(signal)).toBe(0);
  });

  test("many waits share one listener of their signal", async () => {
    const warned: Error[] = [];
    const note = (warning: Error) => void warned.push(warning);
    process.on("warning", note);
    const heap = heapOf(shared);
    const pools = [1, 2, 3].map(() => heap.create({ size: 64, minNr: 1, maxNr: 1 }));
    const held = pools.map((pool) => pool.alloc());
    const controller = new AbortController();
    const { signal } = controller;
    const waiters = pools.flatMap((pool) => Array.from({ length: 40 }, () => pool.allocAsync({ signal })));
    expect(listeners(signal)).toBe(1);
    // served, while the others wait
    pools[0]!.free(held[0]!);
    held[0] = await waiters[0]!;
    expect(listeners(signal)).toBe(1);
    controller.abort();
    expect(listeners(signal)).toBe(0);
    const results = await Promise.allSettled(waiters.slice(1));
    expect(results.every((each) => (each as PromiseRejectedResult).reason.name === "AbortError")).toBe(true);
    await jobs();
    process.off("warning", note);
    expect(warned).toEqual([]);
    pools.forEach((pool, i) => pool.free(held[i]!));
    expect(pools.map((pool) => pool.outstanding)).toEqual([0, 0, 0]);
    expectSound(heap);
  });

  test("every end of a wait removes its listener", async () => {
    const heap = heapOf(shared);
    const { signal } = new AbortController();
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    const served = pool.allocAsync({ signal });
    expect(listeners(signal)).toBe(1);
    pool.free(held);
    expect([await served, listeners(signal)]).toEqual([held, 0]);
    await expect(pool.allocAsync({ signal, timeout: 5 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    expect(listeners(signal)).toBe(0);
    const closed = pool.allocAsync({ signal });
    pool.exit();
    await expect(closed).rejects.toMatchObject({ code: "ERR_CLOSED" });
    expect(listeners(signal)).toBe(0);
    pool.free(held);
  });
});

describe.each(kinds)("many waiters: $name", ({ shared }) => {
  /**
   * `count` calls wait on an empty pool until `end` ends the waits. Returns the number of the core's calls, and the time
   * used, in µs.
   */
  async function cost(
    count: number,
    end: (pool: Pool, held: number[], abort: () => void, waiters: Promise<number>[]) => number | Promise<number>,
  ): Promise<{ calls: number; time: number }> {
    const heap = heapOf(shared, 64 * MIB);
    let calls = 0;
    const { core } = heap.context;
    heap.context.core = new Proxy({} as typeof core, {
      has: (_, name) => name in core,
      get: (_, name: keyof typeof core) => {
        const call = core[name] as (...args: number[]) => number;
        return (...args: number[]) => (calls++, call(...args));
      },
    });
    const pool = heap.create({ size: 16, minNr: count, maxNr: count });
    const held = take(pool, count);
    const controller = new AbortController();
    calls = 0;
    const began = process.cpuUsage();
    const waiters = Array.from({ length: count }, (_, i) =>
      pool.allocAsync({ signal: controller.signal, timeout: 1e6 + (i % 7) }),
    );
    const done = settled(waiters);
    const expected = await end(pool, held, () => controller.abort(), waiters);
    expect(await done).toBe(expected);
    const { user, system } = process.cpuUsage(began);
    const made = calls;
    expectSound(heap);
    return { calls: made, time: user + system };
  }

  /** Eight times as many waiters may cost at most this many times as much: linear with some slack, and far from 64. */
  const FACTOR = 24;

  test.each([
    ["served one by one", (pool: Pool, held: number[]) => (freeAll(pool, held), held.length)],
    [
      "served in bulk",
      (pool: Pool, held: number[]) => {
        for (let i = 0; i < held.length; i += 1000) pool.freeBulk(Uint32Array.from(held.slice(i, i + 1000)));
        return held.length;
      },
    ],
    [
      "served in turns of the event loop",
      async (pool: Pool, held: number[]) => {
        for (let i = 0; i < held.length; i += 100) {
          freeAll(pool, held.slice(i, i + 100));
          await Promise.resolve();
        }
        return held.length;
      },
    ],
    ["aborted", (_pool: Pool, _held: number[], abort: () => void) => (abort(), 0)],
    ["closed", (pool: Pool) => (pool.exit(), 0)],
  ])("%s, cost no more each than few do", async (_name, end) => {
    for (let i = 0; ; i++) {
      const [few, many] = [await cost(1_000, end), await cost(8_000, end)];
      expect(many.calls / few.calls).toBeLessThan(9);
      // the machine may be busy
      if (many.time / few.time < FACTOR) break;
      expect(i).toBeLessThan(3);
    }
  });

  test("sixteen thousand waiters time out in linear time", async () => {
    const heap = heapOf(shared, 4 * MIB);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    async function time(count: number): Promise<number> {
      const began = process.cpuUsage();
      const waiters = Array.from({ length: count }, (_, i) => pool.allocAsync({ timeout: 10 + (i % 5) }));
      expect(await settled(waiters)).toBe(0);
      const { user, system } = process.cpuUsage(began);
      return user + system;
    }
    let rounds = 0;
    for (let factor = Infinity; factor >= FACTOR;) {
      // The machine may be busy.
      expect(rounds++, `${factor}`).toBeLessThan(4);
      const few = await time(2_000);
      factor = (await time(16_000)) / few;
    }
    expect(pool.stats()).toMatchObject({ timeouts: 18_000 * rounds, failures: 0 });
    pool.free(held);
    expectSound(heap);
  });
});

describe.each(kinds)("counts of waits: $name", ({ shared }) => {
  test("failures counts no call that waited", async () => {
    const heap = heapOf(shared);
    const pool = heap.create({ size: 64, minNr: 2, maxNr: 2 });
    const failures = () => pool.stats().failures;
    const held = take(pool, 2);
    const out = new Uint32Array(2);
    const controller = new AbortController();
    const waiters = [
      ...Array.from({ length: 30 }, () => pool.allocAsync()),
      pool.allocBulkAsync(out, { signal: controller.signal }),
      pool.prefillAsync(2, { timeout: 0 }),
    ];
    const all = Promise.allSettled(waiters);
    expect(failures()).toBe(0);
    for (let i = 0; i < 30; i++) pool.free((held[i % 2] = (i < 2 ? held[i] : await waiters[i - 2]) as number));
    controller.abort();
    pool.free((await waiters[28]) as number);
    pool.free((await waiters[29]) as number);
    await all;
    expect([failures(), pool.outstanding]).toEqual([0, 0]);
    take(pool, 2);
    expect([pool.alloc(), pool.allocPreallocated(), pool.allocBulk(out), pool.prefill(1)]).toEqual([
      0,
      0,
      false,
      undefined,
    ]);
    expect(failures()).toBe(4);
    // beside waiters, too
    const waiter = pool.allocAsync();
    expect([pool.alloc(), pool.allocPreallocated(), pool.allocBulk(out), pool.prefill(1)]).toEqual([
      0,
      0,
      false,
      undefined,
    ]);
    expect(failures()).toBe(8);
    const stop = heap.registerShrinker(() => {});
    expect([pool.alloc(), pool.allocBulk(out)]).toEqual([0, false]);
    expect(failures()).toBe(10);
    const more = pool.allocAsync();
    expect(codeOf(() => pool.allocWait({ timeout: 0 }))).not.toBe("none");
    expect(failures()).toBe(10);
    stop();
    pool.exit();
    await Promise.allSettled([waiter, more]);
    expect(failures()).toBe(10);
  });

  test("waitedMs is the sum of all waits, also of failed ones", async () => {
    const heap = heapOf(shared);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    expect(pool.stats().waitedMs).toBe(0);
    const held = pool.alloc();
    vi.useFakeTimers();
    try {
      const waiters = [pool.allocAsync(), pool.allocAsync({ timeout: 300 }), pool.allocAsync({ timeout: 400 })];
      const all = Promise.allSettled(waiters);
      vi.advanceTimersByTime(200);
      pool.free(held);
      vi.advanceTimersByTime(1000);
      await all;
      expect(pool.stats()).toMatchObject({ waits: 3, timeouts: 2, waitedMs: 200 + 300 + 400 });
    } finally {
      vi.useRealTimers();
    }
    pool.free(held);
    expectSound(heap);
  });
});

describe("blocking a thread", () => {
  test("is refused where no other thread can have the heap, whatever the timeout", () => {
    const heap = heapOf(true);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    for (const call of [
      () => pool.allocWait(),
      () => pool.allocWait({ timeout: 1000 }),
      () => pool.allocBulkWait(new Uint32Array(1)),
      () => pool.prefillWait(1),
    ]) {
      expect(codeOf(call)).toBe("ERR_WOULD_BLOCK");
    }
    pool.free(held);
    expect(pool.allocWait()).toBe(held);
    // another thread may attach while this one is blocked
    (heap as SharedHeap).share();
    expect(codeOf(() => pool.allocWait({ timeout: 20 }))).toBe("ERR_TIMEOUT");
    pool.free(held);
    expectSound(heap);
  });

  test("lasts until a thread has attached", async () => {
    const heap = heapOf(true);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    const thread = new Thread();
    const freed = thread.run(({ attach }, shared, address) => attach(shared).free(address), pool.share(), held);
    expect(pool.allocWait({ timeout: 60_000 })).toBe(held);
    await freed;
    pool.free(held);
    expectSound(heap);
  });
});

describe("the last free of a closed pool that has had a waiter", () => {
  test.each(kinds)("ends it at once: $name", async ({ shared }) => {
    for (const way of ["free", "freeBulk"] as const) {
      const heap = heapOf(shared);
      const pool = heap.create({ size: 64, minNr: 2, maxNr: 2 });
      const held = take(pool, 2);
      const waiter = pool.allocAsync();
      pool.exit();
      await expect(waiter).rejects.toMatchObject({ code: "ERR_CLOSED" });
      if (way === "free") freeAll(pool, held);
      else pool.freeBulk(Uint32Array.from(held));
      expect(await outcome(pool.closed)).toBe("fulfilled");
      expect(heap.stats().pools).toBe(0);
      expectSound(heap);
    }
  });

  test("returns FREED_LAST in the core", () => {
    const FREED_LAST = 1;
    const { core } = heapOf(true);
    for (const waits of [false, true]) {
      const pool = core.mempool_create(64, 16, 1, 1, 0);
      const element = core.mempool_alloc(pool);
      const place = waits ? core.mempool_wait_begin(pool, 0) : 0;
      expect(core.mempool_exit(pool)).toBe(1);
      if (waits) expect(core.mempool_wait_end(pool, place)).toBe(0);
      expect(core.mempool_free(pool, element)).toBe(FREED_LAST);
    }
  });
});

test("an alloc does not overtake a waiter once the backend has an element again", async () => {
  const heap = heapOf(false);
  let left = 0;
  let last = 0;
  const backend: Backend = { alloc: () => (left-- > 0 ? ++last : 0), free: () => {} };
  const pool = heap.create({ size: 1, minNr: 0, backend });
  const out = new Uint32Array(2);
  const bulk = pool.allocBulkAsync(out);
  left = 1;
  expect(pool.alloc()).toBe(0);
  expect(pool.outstanding).toBe(1);
  left = 5;
  expect(drain(pool)).toEqual([3, 4, 5, 6]);
  await bulk;
  expect([...out]).toEqual([1, 2]);
});
