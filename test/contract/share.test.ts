/**
 * Sharing, as one thread can see it. Another thread is another instance of the core, so that a heap attached under another
 * name plays one.
 */
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  createSharedHeap,
  attach,
  create,
  createArena,
  createHeap,
  f32,
  struct,
  type Pool,
  type HeapHandle,
  type SharedHeap,
  type SharedPool,
} from "../../src/index.ts";
import { codeOf, drain, errorFrom, expectSound, freeAll, freeCode, MIB, take } from "./helpers.ts";

afterEach(() => vi.restoreAllMocks());

const byAddress = (a: { address: number }, b: { address: number }): number => a.address - b.address;

const heaps: SharedHeap[] = [];
afterEach(() => {
  for (const heap of heaps.splice(0)) heap.detach();
});

const refusal = (value: unknown): string => errorFrom(() => attach(value as HeapHandle)).message;

function sharedHeap(): SharedHeap {
  const heap = createSharedHeap({ initial: MIB, maximum: MIB });
  heaps.push(heap);
  return heap;
}

let names = 0;
/** The heap as another thread has it. */
function another(heap: SharedHeap): SharedHeap {
  const other = attach({ ...heap.share(), id: `another ${names++}` });
  heaps.push(other);
  return other;
}

function poolThere(heap: SharedHeap, pool: Pool): SharedPool {
  const { id } = heap.share();
  return attach({ ...pool.share(), heap: { ...pool.share().heap, id } });
}

/** The copy that postMessage makes. */
function posted<T>(value: T): T {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(value);
  const { message } = receiveMessageOnPort(port2) as { message: T };
  port1.close();
  return message;
}

const isClosed = async (pool: Pool): Promise<boolean> =>
  Promise.race([
    pool.closed.then(() => true),
    new Promise<boolean>((resolve) => setTimeout(resolve, 60_000, false).unref()),
  ]);

describe("a heap that is not shared", () => {
  const heap = createHeap();
  const pool = create({ heap, size: 64, minNr: 1 });
  test("has no calls for threads", () => {
    for (const name of ["share", "detach", "reap", "reapAsync", "watch", "threadId"]) expect(name in heap).toBe(false);
  });

  test("refuses to share a pool", () => {
    const error = errorFrom(() => pool.share());
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("share: the heap is not shared");
  });
});

describe("attach", () => {
  test("in the same thread gives the same heap and the same pools", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2 });
    expect(heap.share()).toEqual(heap.share());
    expect(attach(posted(heap.share()))).toBe(heap);
    expect(attach(posted(pool.share()))).toBe(pool);
    expect(heap.threadId).toBe(0);
  });

  test("in another thread gives pools with the same properties", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 100, minNr: 3, maxNr: 50, align: 32, zero: true, name: "alike" });
    const other = another(heap);
    const there = poolThere(other, pool);
    expect(there).not.toBe(pool);
    expect(poolThere(other, pool)).toBe(there);
    expect(there.heap).toBe(other);
    expect(other.threadId).toBe(1);
    expect(another(heap).threadId).toBe(2);
    const { name, elementSize, align, minNr, maxNr, currNr } = there;
    expect([name, elementSize, align, minNr, maxNr, currNr]).toEqual(["alike", 100, 32, 3, 50, 3]);
    const address = pool.alloc();
    heap.u8.fill(7, address, address + 100);
    expect(other.u8[address + 99]).toBe(7);
    there.free(address);
    expect(freeCode(pool, address)).toBe("ERR_DOUBLE_FREE");
    const all = [...drain(there), ...drain(pool)];
    for (const element of all) expect(heap.u8.subarray(element, element + 100).every((byte) => byte === 0)).toBe(true);
    freeAll(pool, all);
    expectSound(heap);
    expectSound(other);
  });

  test("has room for 63 threads", () => {
    const heap = sharedHeap();
    const others = Array.from({ length: 62 }, () => another(heap));
    expect(others.map(({ threadId }) => threadId)).toEqual(others.map((_, i) => i + 1));
    expect(codeOf(() => another(heap))).toBe("ERR_NO_MEMORY");
    others[20]!.detach();
    expect(another(heap).threadId).toBe(21);
  });

  test("refuses bad arguments", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 1 });
    const shared = heap.share();
    const fresh: HeapHandle = { ...shared, id: "never seen" };
    const plain = new WebAssembly.Memory({ initial: 1 });
    const nonsense: unknown[] = [
      undefined,
      null,
      5,
      "heap",
      [],
      {},
      heap,
      pool,
      { ...fresh, memory: plain },
      { ...fresh, memory: undefined },
      { ...fresh, module: undefined },
      { ...fresh, module: new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)) },
      { ...fresh, address: "1024" },
      { ...fresh, address: -1 },
      { ...fresh, id: 5 },
      { ...fresh, more: 1 },
      { ...pool.share(), heap: undefined },
      { ...pool.share(), heap: 5 },
      { ...pool.share(), address: 0 },
      { ...pool.share(), address: "5" },
      { ...pool.share(), name: 5 },
      { ...pool.share(), elementSize: NaN },
    ];
    for (const value of nonsense) expect(codeOf(() => attach(value as HeapHandle))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => attach({ ...fresh, address: 4096 }))).not.toBe("none");
    expect(refusal(pool)).toMatch(/^ERR_INVALID_ARGUMENT: attach: shared must be what share\(\) returned, got Pool$/);
    expect(refusal({ tiles: pool.share() })).toMatch(/returned, got an object of tiles$/);
    expect(refusal([pool.share()])).toMatch(/got an array$/);
    for (const none of [heap.share(), heap.createQueue({ capacity: 1 }).share()]) {
      const error = errorFrom(() => attach(none as never, { size: struct({ x: f32 }) }));
      expect(error.message).toContain("attach: options but debug are for a pool, and shared is none");
    }
    expect(another(heap).threadId).toBe(1);
  });
});

describe("a pool that one thread closes", () => {
  test("ends when the last element is freed", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 4 });
    const other = another(heap);
    const there = poolThere(other, pool);
    const shared = pool.share();
    const [mine, theirs] = [take(pool, 3), take(there, 3)];
    pool.exit();
    const out = new Uint32Array(2);
    for (const each of [there, pool]) {
      expect(codeOf(() => each.alloc())).toBe("ERR_CLOSED");
      expect(codeOf(() => each.allocPreallocated())).toBe("ERR_CLOSED");
      expect(codeOf(() => each.allocBulk(out))).toBe("ERR_CLOSED");
      expect(codeOf(() => each.allocWait({ timeout: 5 }))).toBe("ERR_CLOSED");
      await expect(each.allocAsync()).rejects.toMatchObject({ code: "ERR_CLOSED" });
      expect(codeOf(() => each.share())).toBe("ERR_CLOSED");
      expect(freeCode(each, 8)).toBe("ERR_CLOSED");
    }
    expect(codeOf(() => attach(shared))).toBe("ERR_CLOSED");
    freeAll(there, mine);
    freeAll(pool, theirs.slice(1));
    expect(heap.stats().pools).toBe(1);
    there.free(theirs[0]!);
    expect(await isClosed(there)).toBe(true);
    expect(await isClosed(pool)).toBe(true);
    expect(freeCode(pool, theirs[0]!)).toBe("ERR_CLOSED");
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("ends also for a thread that never used it", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 4 });
    const there = poolThere(another(heap), pool);
    there.free(there.alloc());
    pool.exit();
    expect(codeOf(() => there.alloc())).toBe("ERR_CLOSED");
    expect(await isClosed(there)).toBe(true);
    expect(await isClosed(pool)).toBe(true);
    expect(there.stats()).toMatchObject({ outstanding: 0, currNr: 0, name: pool.name });
  });

  test("wakes the waiters of all threads", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 2 });
    const there = poolThere(another(heap), pool);
    const held = take(pool, 2);
    const waiters = [there.allocAsync(), pool.allocAsync(), there.allocBulkAsync(new Uint32Array(2))];
    const settled = Promise.allSettled(waiters);
    pool.exit();
    for (const each of await settled) expect(each).toMatchObject({ reason: { code: "ERR_CLOSED" } });
    freeAll(there, held);
    expect(await isClosed(pool)).toBe(true);
    expectSound(heap);
  });
});

describe("waiting in two threads", () => {
  test("is first come, first served", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 2 });
    const there = poolThere(another(heap), pool);
    const held = take(pool, 2);
    const order: number[] = [];
    const waiters = Array.from({ length: 20 }, async (_, i) => {
      const each = i % 2 ? pool : there;
      const element = await each.allocAsync();
      order.push(i);
      return element;
    });
    for (let i = 0; i < 20; i++) {
      expect(order.length).toBe(i);
      (i % 3 ? pool : there).free(held.shift()!);
      held.push(await waiters[i]!);
    }
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
    freeAll(there, held);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("a bulk request makes way after 100 ms", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 4, maxNr: 4 });
    const there = poolThere(another(heap), pool);
    const held = take(pool, 4);
    // Before the wait begins, and with it the 100 ms.
    const began = performance.now();
    const bulk = there.allocBulkAsync(new Uint32Array(4));
    const singles = [pool.allocAsync(), pool.allocAsync()];
    freeAll(pool, held.slice(0, 3));
    const mine = await Promise.all(singles);
    expect(performance.now() - began).toBeGreaterThanOrEqual(95);
    expect(pool.alloc()).toBe(0);
    freeAll(pool, [...mine, held[3]!]);
    await bulk;
    expect(pool.outstanding).toBe(4);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a waiter gets an element that an idle thread has cached", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 0, maxNr: 8 });
    const there = poolThere(another(heap), pool);
    const theirs = drain(there);
    const waiter = pool.allocAsync();
    freeAll(there, theirs.slice(1));
    const mine = [await waiter];
    freeAll(there, theirs.slice(0, 1));
    while (mine.length < 8) mine.push(await pool.allocAsync());
    expect(new Set(mine).size).toBe(8);
    freeAll(pool, mine);
    // now the first thread has cached them
    const again = [];
    while (again.length < 8) again.push(await there.allocAsync());
    freeAll(there, again);
    expectSound(heap);
  });

  test("memory that one thread returns serves a waiter of the other", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 65536, minNr: 0 });
    const other = another(heap);
    const there = create({ heap: other, size: 50_000, minNr: 0 });
    const theirs = drain(there);
    const waiter = pool.allocAsync();
    freeAll(there, theirs);
    expect(await waiter).not.toBe(0);
    expectSound(heap);
  });
});

describe("detach", () => {
  test("refuses every later call of the thread", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 20 });
    const other = another(heap);
    const there = poolThere(other, pool);
    const arena = createArena({ heap: other });
    const theirs = take(there, 20);
    freeAll(there, theirs.splice(0, 10));
    const full = create({ heap: other, size: 64, minNr: 1, maxNr: 1 });
    full.alloc();
    const waiter = full.allocAsync();
    other.detach();
    other.detach();
    await expect(waiter).rejects.toMatchObject({ code: "ERR_CLOSED" });
    expect(await isClosed(there)).toBe(true);
    const calls = [
      () => other.create({ size: 8, minNr: 0 }),
      () => create({ heap: other, size: 8, minNr: 0 }),
      () => createArena({ heap: other }),
      () => other.stats(),
      () => other.check(),
      () => other.trim(),
      () => other.share(),
      () => other.threadId,
      () => other.reap(0),
      () => other.watch({} as never),
      () => there.alloc(),
      () => there.allocWait(),
      () => there.free(theirs[0]!),
      () => there.share(),
      () => arena.alloc(8),
      () => arena.reset(),
    ];
    for (const call of calls) expect([String(call), codeOf(call)]).toEqual([String(call), "ERR_CLOSED"]);
    await expect(there.allocAsync()).rejects.toMatchObject({ code: "ERR_CLOSED" });
    there.exit();
    there.stats();
    // its cached elements are back, its outstanding ones are not
    const mine = drain(pool);
    expect(mine.length).toBe(10);
    freeAll(pool, [...mine, ...theirs]);
    expect(pool.outstanding).toBe(0);
    expect(another(heap).threadId).toBe(1);
    expectSound(heap);
  });

  test("and attach again give a new heap in the same memory", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2 });
    const keeper = another(heap);
    const kept = poolThere(keeper, pool);
    const shared = pool.share();
    const address = pool.alloc();
    heap.detach();
    const again = attach(shared);
    heaps.push(again.heap);
    expect(again).not.toBe(pool);
    expect(again.heap).not.toBe(heap);
    again.free(address);
    expect(kept.outstanding).toBe(0);
    expectSound(keeper);
  });
});

describe("reap", () => {
  test("lists the outstanding elements of the thread", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 40, name: "a" });
    const second = create({ heap, size: 200, minNr: 2, name: "b" });
    const other = another(heap);
    const [there, secondThere] = [poolThere(other, pool), poolThere(other, second)];
    const mine = take(pool, 5);
    const theirs = take(there, 30);
    const more = take(secondThere, 3);
    freeAll(there, theirs.splice(10));
    const list = heap.reap(1);
    const expected = [
      ...theirs.map((address) => ({ pool: "a", address })),
      ...more.map((address) => ({ pool: "b", address })),
    ];
    expect(list.toSorted(byAddress)).toEqual(expected.toSorted(byAddress));
    for (const { pool: name, address } of list) (name === "a" ? pool : second).free(address);
    const all = drain(pool);
    expect(all.length).toBe(35);
    freeAll(pool, [...all, ...mine]);
    expect([pool.outstanding, second.outstanding]).toEqual([0, 0]);
    expectSound(heap);
    // a second reap finds no thread
    expect(codeOf(() => heap.reap(1))).toBe("ERR_INVALID_ARGUMENT");
    expect(another(heap).threadId).toBe(1);
  });

  test("serves waiters", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 0, maxNr: 8 });
    const there = poolThere(another(heap), pool);
    const abandoned = there.allocAsync();
    const theirs = [await abandoned, ...drain(there)];
    // a waiter of the thread waits, and then the thread is dead
    void there.allocAsync().catch(() => {});
    const waiter = pool.allocAsync();
    for (const { address } of heap.reap(1)) pool.free(address);
    expect(theirs).toContain(await waiter);
    expectSound(heap);
  });

  test("accepts isGone of a caller that knows", () => {
    const heap = sharedHeap();
    another(heap);
    for (const options of [5, null, { isGone: 1 }, { gone: true }]) {
      expect(codeOf(() => heap.reap(1, options as never))).toBe("ERR_INVALID_ARGUMENT");
    }
    expect(heap.reap(1, { isGone: true })).toEqual([]);
  });

  test("reapAsync gives the results of reap", async () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 2, name: "a" });
    const [address] = take(poolThere(another(heap), pool), 1);
    expect(await heap.reapAsync(1)).toEqual([{ pool: "a", address }]);
    for (const id of [0, 1, 64, "1"]) {
      await expect(heap.reapAsync(id as number)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    }
    pool.free(address!);
    expectSound(heap);
  });

  test("refuses this thread and unknown threads", () => {
    const heap = sharedHeap();
    another(heap);
    for (const id of [0, 2, 63, 64, -1, 1.5, NaN, "1", undefined]) {
      const error = errorFrom(() => heap.reap(id as number));
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain("threadId");
    }
  });
});

test("watch refuses anything but a running worker", () => {
  const heap = sharedHeap();
  const on = { once: () => {}, off: () => {} };
  for (const worker of [undefined, null, 5, {}, { threadId: 5 }, { threadId: -1, ...on }, { threadId: NaN, ...on }]) {
    expect(codeOf(() => heap.watch(worker as never))).toBe("ERR_INVALID_ARGUMENT");
  }
  const worker = { threadId: 5, ...on };
  expect(codeOf(() => heap.watch(worker, { onReap: 5 } as never))).toBe("ERR_INVALID_ARGUMENT");
  expect(codeOf(() => heap.watch(worker, { onreap: () => {} } as never))).toBe("ERR_INVALID_ARGUMENT");
  heap.watch(worker)();
});

test("allocWait refuses to block a thread that must not block", async () => {
  vi.resetModules();
  vi.spyOn(Atomics, "wait").mockImplementation(() => {
    throw new TypeError("Atomics.wait cannot be called in this context");
  });
  const library = await import("../../src/index.ts");
  const heap = library.createSharedHeap({ initial: MIB, maximum: MIB });
  const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
  const address = pool.allocWait();
  for (const call of [
    () => pool.allocWait(),
    () => pool.allocWait({ timeout: 5 }),
    () => pool.allocBulkWait(new Uint32Array(1)),
  ]) {
    expect(call).toThrow(expect.objectContaining({ code: "ERR_WOULD_BLOCK" }));
  }
  const waiter = pool.allocAsync();
  pool.free(address);
  expect(await waiter).toBe(address);
});

test("a shared heap of fixed size never grows", () => {
  const heap = createSharedHeap({ initial: 262144, maximum: 262144 });
  const pool = create({ heap, size: 1000, minNr: 10 });
  const all = drain(pool);
  expect(all.length).toBeGreaterThan(180);
  expect(heap.memory.buffer.byteLength).toBe(262144);
  expect(() => heap.memory.grow(1)).toThrow(RangeError);
  freeAll(pool, all);
  expectSound(heap);
});
