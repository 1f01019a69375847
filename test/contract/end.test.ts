/** How heaps end, and with them pools and arenas. */
import { describe, expect, test } from "vitest";
import {
  attach,
  create,
  createArena,
  createHeap,
  createSharedHeap,
  type Heap,
  type HeapOptions,
  type SharedHeap,
} from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import { codeOf, drain, errorFrom, expectSound, fixedHeap, freeAll, MIB, PAGE, take } from "./helpers.ts";

let names = 0;
const another = (heap: SharedHeap): SharedHeap => attach({ ...heap.share(), id: `end, another ${names++}` });
const heapOf = (): SharedHeap => createSharedHeap({ initial: MIB, maximum: MIB });
const region = (base: number, pages: number) => ({ base: base * PAGE, bytes: pages * PAGE });

describe.each(builds)("$name: a heap", (build) => {
  test("that has ended refuses every call on it, its pools and arenas", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 4 });
    const full = create({ heap, size: 64, minNr: 1, maxNr: 1 });
    const arena = createArena({ heap });
    const [element] = take(pool, 2);
    full.alloc();
    const prefill = pool.prefill(2)!;
    const waiter = full.allocAsync();
    heap.exit();
    heap.exit();
    await expect(waiter).rejects.toMatchObject({ code: "ERR_CLOSED" });
    await pool.closed;
    const calls: (() => unknown)[] = [
      () => heap.create({ size: 8, minNr: 0 }),
      () => create({ heap, size: 8, minNr: 0 }),
      () => createArena({ heap }),
      () => heap.stats(),
      () => heap.check(),
      () => heap.table(),
      () => heap.trim(),
      () => faults(heap),
      () => heap.registerShrinker(() => {}),
      () => heap.onLowMemory(1, () => {}),
      () => pool.alloc(),
      () => pool.allocWait(),
      () => pool.allocPreallocated(),
      () => pool.allocBulk(new Uint32Array(1)),
      () => pool.prefill(1),
      () => pool.free(element!),
      () => pool.sizeOf(element!),
      () => pool.resize(1),
      () => faults(pool),
      () => pool.share(),
      () => prefill.exit(),
      () => arena.alloc(8),
      () => arena.mark(),
      () => arena.reset(),
    ];
    const codes = calls.map((call) => [String(call), codeOf(call)]);
    const unshared = build.isShared ? "ERR_CLOSED" : "ERR_INVALID_ARGUMENT";
    expect(codes).toEqual(
      calls.map((call) => [String(call), String(call).includes("share()") ? unshared : "ERR_CLOSED"]),
    );
    await expect(pool.allocAsync()).rejects.toMatchObject({ code: "ERR_CLOSED" });
    pool.exit();
    arena.exit();
  });

  test("ends with a block that uses it", () => {
    let kept: Heap;
    {
      using heap = fixedHeap(build, MIB);
      kept = heap;
    }
    expect(codeOf(() => kept.trim())).toBe("ERR_CLOSED");
  });

  test("that ends returns the reserve to an external backend", () => {
    const heap = fixedHeap(build, MIB);
    const out = new Set<number>();
    let last = 0;
    const backend = {
      alloc: () => (out.add(++last), last),
      free: (element: number) => void out.delete(element),
    };
    create({ heap, size: 1, minNr: 5, backend });
    expect(out.size).toBe(5);
    heap.exit();
    expect(out.size).toBe(0);
  });

  test("that ends throws the first error of its backends", () => {
    const heap = fixedHeap(build, MIB);
    const error = new Error("not now");
    let last = 0;
    const backend = {
      alloc: () => ++last,
      free: () => {
        throw error;
      },
    };
    create({ heap, size: 1, minNr: 1, backend });
    expect(() => heap.exit()).toThrow(error);
    expect(codeOf(() => heap.trim())).toBe("ERR_CLOSED");
  });
});

describe.each([
  { name: "createHeap", make: createHeap as (options?: HeapOptions) => Heap, shared: false },
  { name: "createSharedHeap", make: createSharedHeap as (options?: HeapOptions) => Heap, shared: true },
])("$name: a region", ({ make, shared }) => {
  const memoryOf = (pages: number) => new WebAssembly.Memory({ initial: pages, maximum: 64, shared });

  test.each([
    ["the same", region(2, 4)],
    ["a part", region(3, 2)],
    ["the whole around it", region(0, 8)],
    ["its beginning", region(1, 2)],
    ["its end", region(5, 2)],
  ])("of a living heap is refused: %s", (_title, second) => {
    const memory = memoryOf(8);
    const heap = make({ memory, region: region(2, 4) });
    const pool = create({ heap, size: 64, minNr: 4 });
    const held = take(pool, 4);
    const error = errorFrom(() => make({ memory, region: second }));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("region");
    freeAll(pool, held);
    expectSound(heap);
    heap.exit();
    const next = make({ memory, region: second });
    expect(drain(create({ heap: next, size: 64, minNr: 4 })).length).toBeGreaterThan(1000);
    expectSound(next);
  });

  test("beside a living heap is accepted", () => {
    const memory = memoryOf(8);
    make({ memory, region: region(2, 2) });
    for (const free of [region(0, 2), region(4, 4)]) expectSound(make({ memory, region: free }));
    expectSound(make({ memory: memoryOf(8), region: region(2, 2) }));
  });

  test("in memory that a heap has grown is refused", () => {
    const memory = memoryOf(2);
    const heap = make({ memory, grows: true, initial: 4 * PAGE });
    expect(codeOf(() => make({ memory, region: region(3, 1) }))).toBe("ERR_INVALID_ARGUMENT");
    heap.exit();
    expectSound(make({ memory, region: region(3, 1) }));
  });

  test("stays free if its heap could not be made", () => {
    const memory = memoryOf(4);
    const least = { base: 16, bytes: 32768 };
    expect(codeOf(() => make({ memory, region: least }))).toBe("ERR_NO_MEMORY");
    expectSound(make({ memory, region: region(0, 2) }));
  });
});

describe("a heap of several threads", () => {
  test("does not end while another thread is in it", () => {
    const heap = heapOf();
    const other = another(heap);
    const pool = heap.create({ size: 64, minNr: 2 });
    expect(codeOf(() => heap.exit())).toBe("ERR_WOULD_BLOCK");
    pool.free(pool.alloc());
    expectSound(heap);
    other.detach();
    heap.exit();
    expect(codeOf(() => heap.threadId)).toBe("ERR_CLOSED");
  });

  test("ends with the last block that uses it", () => {
    const heap = heapOf();
    const handle = heap.share();
    {
      using other = another(heap);
      expect(other.threadId).toBe(1);
    }
    expectSound(heap);
    heap[Symbol.dispose]();
    expect(codeOf(() => attach({ ...handle, id: "end, late" }))).toBe("ERR_CLOSED");
  });

  test("that is awaited ends once the other threads have left", async () => {
    const heap = heapOf();
    const other = another(heap);
    const ended = heap[Symbol.asyncDispose]();
    const pending = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 50, "pending"))]);
    expect(pending).toBe("pending");
    other.detach();
    await ended;
    expect(codeOf(() => heap.trim())).toBe("ERR_CLOSED");
  });
});

test("`await using` waits until the pool's last element is freed", async () => {
  const pool = create({ size: 64, minNr: 1 });
  const element = pool.alloc();
  const ended = pool[Symbol.asyncDispose]();
  expect(codeOf(() => pool.alloc())).toBe("ERR_CLOSED");
  expect(await Promise.race([ended, Promise.resolve("pending")])).toBe("pending");
  pool.free(element);
  await ended;
  expect(pool.outstanding).toBe(0);
});
