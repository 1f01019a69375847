/** Shrinkers, trim and watermarks: what happens when memory runs short. */
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { create, createArena, type Heap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
  errorFrom,
  expectSound,
  fixedHeap,
  freeAll,
  Greedy,
  MIB,
  PAGE,
  stateOf,
  take,
  usedAfterTrim,
} from "./helpers.ts";

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
/** Some looks of a watermark: Node runs timers of one duration, here of 20 ms, in the order in which they were set. */
async function told(): Promise<void> {
  for (let i = 0; i < 3; i++) await sleep(20);
}

const stops: (() => void)[] = [];
// Not after each: some tests run beside others.
afterAll(() => stops.forEach((stop) => stop()));
afterEach(() => vi.unstubAllGlobals());

function shrinker(heap: Heap, call: () => void): () => void {
  const stop = heap.registerShrinker(call);
  stops.push(stop);
  return stop;
}

describe.each(builds)("shrinkers: $name", (build) => {
  test("alloc calls a shrinker only when nothing else is left", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 1000, minNr: 3 });
    let calls = 0;
    shrinker(heap, () => {
      calls++;
      expect(pool.currNr).toBe(0);
    });
    const held: number[] = [];
    for (;;) {
      const element = pool.alloc();
      if (element === 0) break;
      expect(calls).toBe(0);
      held.push(element);
    }
    expect(calls).toBe(1);
    expect(pool.alloc()).toBe(0);
    expect(calls).toBe(2);
    pool.free(held.pop()!);
    held.push(pool.alloc());
    expect(calls).toBe(2);
    expect(pool.stats().failures).toBe(2);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("alloc takes unused memory of other pools before it calls a shrinker", () => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap, bytes: PAGE });
    for (let i = 0; i < 5; i++) arena.alloc(60_000);
    arena.reset();
    const other = create({ heap, size: 64, minNr: 0 });
    freeAll(other, take(other, 1000));
    let calls = 0;
    shrinker(heap, () => calls++);
    const pool = create({ heap, size: 10_000, minNr: 0 });
    const first = drain(pool, 85);
    expect(first.length).toBe(85);
    expect(calls).toBe(0);
    freeAll(pool, first);
    expectSound(heap);
  });

  test("elements of this pool that a shrinker frees serve the allocation", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 20 });
    const held = take(pool, 20);
    let calls = 0;
    shrinker(heap, () => {
      calls++;
      pool.free(held.shift()!);
    });
    for (let i = 1; i <= 5; i++) {
      const element = pool.alloc();
      expect(element).not.toBe(0);
      held.push(element);
      expect(calls).toBe(i);
    }
    expect(pool.outstanding).toBe(20);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("elements of another pool that a shrinker frees serve the allocation", () => {
    const heap = fixedHeap(build, MIB);
    const other = create({ heap, size: 10_000, minNr: 0 });
    const pool = create({ heap, size: 3000, minNr: 1 });
    const cache = drain(other);
    const held = drain(pool);
    let calls = 0;
    shrinker(heap, () => {
      calls++;
      freeAll(other, cache.splice(0));
    });
    const element = pool.alloc();
    expect(element).not.toBe(0);
    expect(calls).toBe(1);
    expect(pool.stats().reclaims).toBeGreaterThanOrEqual(1);
    const more = take(pool, 100);
    expect(calls).toBe(1);
    freeAll(pool, [...held, ...more, element]);
    expectSound(heap);
  });

  test("a bulk request, a prefill and allocWait call the shrinkers", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 10 });
    const held = take(pool, 10);
    let calls = 0;
    shrinker(heap, () => {
      calls++;
      freeAll(pool, held.splice(0, 4));
    });
    expect(pool.allocPreallocated()).toBe(0);
    expect(calls).toBe(0);
    const out = new Uint32Array(4);
    expect(pool.allocBulk(out)).toBe(true);
    expect(calls).toBe(1);
    held.push(...out);
    const ticket = pool.prefill(3)!;
    expect([ticket.left, calls]).toEqual([3, 2]);
    held.push(ticket.alloc(), ticket.alloc(), ticket.alloc());
    held.push(pool.alloc());
    held.push(pool.allocWait({ timeout: 0 }));
    expect(calls).toBe(3);
    while (pool.outstanding < 10) held.push(pool.alloc());
    held.push(await pool.allocAsync({ timeout: 0 }));
    expect(calls).toBe(4);
    freeAll(pool, held);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("a shrinker's error is reported, not thrown by the allocation", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 5 });
    const held = take(pool, 5);
    const cause = new RangeError("cannot shrink");
    const reported: unknown[] = [];
    vi.stubGlobal("reportError", (error: unknown) => void reported.push(error));
    const stop = shrinker(heap, () => {
      throw cause;
    });
    const out = new Uint32Array(2).fill(3);
    expect(pool.alloc()).toBe(0);
    expect(pool.allocBulk(out)).toBe(false);
    expect(pool.prefill(2)).toBe(undefined);
    await expect(pool.allocAsync({ timeout: 20 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    expect([...out]).toEqual([3, 3]);
    expect(pool.outstanding).toBe(5);
    // the shrinker no longer counts as running
    expect(pool.alloc()).toBe(0);
    expect(reported).toEqual(Array.from({ length: 5 }, () => cause));
    stop();
    expect(pool.alloc()).toBe(0);
    freeAll(pool, held);
    expect([pool.currNr, pool.outstanding]).toEqual([2, 0]);
    expectSound(heap);
  });

  test("a shrinker that allocates is not called again while it runs", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    const other = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    pool.alloc();
    other.alloc();
    let depth = 0;
    let calls = 0;
    const call = () => {
      calls++;
      expect(++depth).toBe(1);
      expect(pool.alloc()).toBe(0);
      expect(other.alloc()).toBe(0);
      expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
      depth--;
    };
    shrinker(heap, call);
    shrinker(heap, () => call());
    expect(pool.alloc()).toBe(0);
    expect(calls).toBe(2);
    expectSound(heap);
  });

  test("a removed shrinker is not called", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 4 });
    const held = take(pool, 4);
    const calls: string[] = [];
    const stopFirst = shrinker(heap, () => void calls.push("first"));
    const stopSecond = shrinker(heap, () => {
      calls.push("second");
      pool.free(held.pop()!);
    });
    held.push(pool.alloc());
    expect(held.at(-1)).not.toBe(0);
    expect(calls).toEqual(["first", "second"]);
    stopFirst();
    stopFirst();
    held.push(pool.alloc());
    expect(calls.slice(2)).toEqual(["second"]);
    stopSecond();
    expect(pool.alloc()).toBe(0);
    expect(calls.length).toBe(3);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a function that is registered twice is removed one registration at a time", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    pool.alloc();
    let calls = 0;
    const call = () => void calls++;
    const stop = shrinker(heap, call);
    shrinker(heap, call);
    stop();
    stop();
    pool.alloc();
    expect(calls).toBe(1);
    expectSound(heap);
  });

  test("a shrinker may remove shrinkers while it runs", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    pool.alloc();
    const calls: string[] = [];
    const stopA = shrinker(heap, () => {
      calls.push("a");
      stopA();
      stopB();
      shrinker(heap, () => void calls.push("c"));
    });
    const stopB = shrinker(heap, () => void calls.push("b"));
    pool.alloc();
    calls.length = 0;
    pool.alloc();
    expect(calls).toEqual(["c"]);
    expectSound(heap);
  });

  test("a shrinker may close the pool", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    shrinker(heap, () => pool.exit());
    const outcome = (() => {
      try {
        return pool.alloc();
      } catch (error) {
        return (error as { code: string }).code;
      }
    })();
    expect([0, "ERR_CLOSED"]).toContain(outcome);
    expect(codeOf(() => pool.alloc())).toBe("ERR_CLOSED");
    pool.free(held);
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("a call waits only after the shrinkers have failed", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, maxNr: 2 });
    const held = take(pool, 2);
    let calls = 0;
    shrinker(heap, () => calls++);
    const waiter = pool.allocAsync();
    expect(calls).toBe(1);
    pool.free(held.pop()!);
    held.push(await waiter);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("registerShrinker refuses a value that is no function", () => {
    const heap = fixedHeap(build, MIB);
    for (const value of [undefined, null, 5, "shrink", {}, []]) {
      const error = errorFrom(() => heap.registerShrinker(value as never));
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain("shrinker");
    }
    expectSound(heap);
  });
});

describe.each(builds)("trim: $name", (build) => {
  test("trim takes back what the magazines of many pools have grown into", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pools = Array.from({ length: 30 }, () => create({ heap, size: 32, minNr: 0 }));
    for (const pool of pools) pool.free(pool.alloc());
    const before = usedAfterTrim(heap);
    const many = new Uint32Array(600);
    for (const pool of pools) {
      expect(pool.allocBulk(many)).toBe(true);
      pool.freeBulk(many);
    }
    expect(usedAfterTrim(heap)).toBe(before);
    for (const pool of pools) {
      // The gates of the shorter magazines fit them.
      expect(pool.allocBulk(many)).toBe(true);
      pool.freeBulk(many);
      pool.exit();
    }
    expectSound(heap);
  });

  test("allocs get the last page, also those that magazines have grown into", () => {
    const heap = fixedHeap(build, MIB);
    const [pool, ...others] = Array.from({ length: 5 }, () => create({ heap, size: 16, minNr: 0 }));
    const before = usedAfterTrim(heap);
    const many = new Uint32Array(600);
    for (const other of others) {
      expect(other.allocBulk(many)).toBe(true);
      other.freeBulk(many);
    }
    drain(pool!);
    // A slab of such elements has one page.
    expect(heap.stats().free).toBe(0);
    expect(pool!.stats().slabBytes).toBe(heap.stats().bytes - before);
    expectSound(heap);
  });

  test("returns the number of bytes that the caches held", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pool = create({ heap, size: 1000, minNr: 2 });
    const arena = createArena({ heap });
    arena.alloc(500_000);
    freeAll(pool, take(pool, 2000));
    arena.reset();
    const { used } = heap.stats();
    const got = heap.trim();
    expect(heap.stats().used).toBe(used - got);
    expect(got).toBeGreaterThan(0);
    expect(pool.stats().cached).toBe(0);
    expect(heap.trim()).toBe(0);
    expect(pool.currNr).toBe(2);
    expectSound(heap);
  });
});

describe.concurrent.each(builds)("onLow and onLowMemory: $name", (build) => {
  test("onLow calls its listener once per dip", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 8, maxNr: 8 });
    const seen: number[] = [];
    let isInside = false;
    const stop = pool.onLow(4, (currNr) => {
      expect(isInside).toBe(false);
      seen.push(currNr);
    });
    stops.push(stop);
    const inside = <T>(call: () => T): T => {
      isInside = true;
      try {
        return call();
      } finally {
        isInside = false;
      }
    };
    const held = inside(() => take(pool, 4));
    await told();
    // exactly 4 are not fewer than 4
    expect(seen).toEqual([]);
    held.push(...inside(() => take(pool, 2)));
    expect(seen).toEqual([]);
    await told();
    expect(seen).toEqual([2]);
    held.push(...inside(() => take(pool, 2)));
    await told();
    expect(seen).toEqual([2]);
    inside(() => freeAll(pool, held.splice(0, 6)));
    await told();
    expect(seen).toEqual([2]);
    held.push(...inside(() => take(pool, 5)));
    await told();
    expect(seen).toEqual([2, 1]);
    stop();
    stop();
    inside(() => freeAll(pool, held.splice(0)));
    await told();
    held.push(...inside(() => take(pool, 8)));
    await told();
    expect(seen.length).toBe(2);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("onLow reports a dip that has ended meanwhile", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 8, maxNr: 8 });
    const seen: number[] = [];
    stops.push(pool.onLow(4, (currNr) => void seen.push(currNr)));
    await told();
    freeAll(pool, take(pool, 8));
    await told();
    expect(seen.length).toBe(1);
    await told();
    expect(seen.length).toBe(1);
    expectSound(heap);
  });

  test("a listener of onLow may use the pool", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 8, maxNr: 8 });
    const held = take(pool, 8);
    let calls = 0;
    stops.push(
      pool.onLow(4, () => {
        calls++;
        freeAll(pool, held.splice(0));
      }),
    );
    await told();
    expect([calls, pool.currNr]).toEqual([1, 8]);
    await told();
    held.push(...take(pool, 8));
    await told();
    expect([calls, pool.currNr]).toEqual([2, 8]);
    expectSound(heap);
  });

  test("onLow ends with the pool", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 8 });
    let calls = 0;
    stops.push(pool.onLow(8, () => calls++));
    pool.exit();
    await told();
    expect(calls).toBe(0);
    expectSound(heap);
  });

  test("onLowMemory calls its listener once per dip", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 10_000, minNr: 0 });
    const seen: number[] = [];
    let isInside = false;
    const stop = heap.onLowMemory(500_000, (left) => {
      expect(isInside).toBe(false);
      seen.push(left);
    });
    stops.push(stop);
    await told();
    expect(seen).toEqual([]);
    isInside = true;
    const held = take(pool, 70);
    isInside = false;
    expect(seen).toEqual([]);
    await told();
    expect(seen.length).toBe(1);
    expect(seen[0]).toBeLessThan(500_000);
    expect(seen[0]).toBeGreaterThan(100_000);
    held.push(...take(pool, 20));
    await told();
    expect(seen.length).toBe(1);
    freeAll(pool, held.splice(0));
    heap.trim();
    await told();
    held.push(...take(pool, 80));
    await told();
    expect(seen.length).toBe(2);
    stop();
    freeAll(pool, held.splice(0));
    heap.trim();
    await told();
    held.push(...take(pool, 80));
    await told();
    expect(seen.length).toBe(2);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("onLowMemory counts the memory that the host can still give", async () => {
    const heap = build.heap({ initial: 4 * PAGE, maximum: 32 * PAGE });
    let calls = 0;
    stops.push(heap.onLowMemory(16 * PAGE, () => calls++));
    await told();
    expect(calls).toBe(0);
    const pool = create({ heap, size: 60_000, minNr: 0 });
    const held = take(pool, 8);
    await told();
    expect(calls).toBe(0);
    held.push(...drain(pool));
    await told();
    expect(calls).toBe(1);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("bad arguments are refused by name and value", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 8 });
    const before = stateOf(heap, pool);
    for (const value of [0, -1, 1.5, NaN, Infinity, "4", undefined, null, 2 ** 40]) {
      for (const call of [
        () => pool.onLow(value as number, () => {}),
        () => heap.onLowMemory(value as number, () => {}),
      ]) {
        const error = errorFrom(call);
        expect(error.code).toBe("ERR_INVALID_ARGUMENT");
        expect(error.message).toContain("below");
      }
    }
    for (const value of [undefined, null, 5, "call", {}]) {
      expect(codeOf(() => pool.onLow(4, value as never))).toBe("ERR_INVALID_ARGUMENT");
      expect(codeOf(() => heap.onLowMemory(4, value as never))).toBe("ERR_INVALID_ARGUMENT");
    }
    expect(stateOf(heap, pool)).toEqual(before);
    expectSound(heap);
  });

  test("the listener of a full heap may free memory", async () => {
    const heap = fixedHeap(build, MIB);
    const greedy = new Greedy(heap);
    let calls = 0;
    stops.push(
      heap.onLowMemory(100_000, () => {
        calls++;
        greedy.release();
        heap.trim();
      }),
    );
    greedy.take();
    await told();
    expect(calls).toBe(1);
    const pool = create({ heap, size: 100_000, minNr: 5 });
    pool.exit();
    expectSound(heap);
  });
});
