/** Where elements come from: slabs, pages, one after the other, or the host's own allocator, however it behaves. */
import { describe, expect, test } from "vitest";
import { attach, create, type Heap, type HostBackend, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { Thread } from "../threads/helpers.ts";
import {
  codeOf,
  createWith,
  drain,
  errorFrom,
  expectCanary,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  MIB,
  nonAddresses,
  random,
  shuffle,
  stateOf,
  take,
  usedAfterTrim,
  writeCanary,
} from "./helpers.ts";

/** What a Numbers' onAlloc returns when alloc is to give what it would. */
const AS_EVER = Symbol("as ever");

/** A host's allocator that hands out numbers, and counts how often each was given and taken back. */
class Numbers {
  readonly given = new Map<number, number>();
  readonly back = new Map<number, number>();
  readonly out = new Set<number>();
  readonly left: number[];
  /** Called before alloc gives something: it may throw, or return what alloc gives instead. */
  onAlloc: (() => unknown) | undefined;
  /** Called after the element has been taken back. */
  onFree: ((element: number) => void) | undefined;
  asked = 0;

  constructor(numbers: number) {
    this.left = Array.from({ length: numbers }, (_, i) => 1000 + 7 * i);
  }

  readonly alloc = (): number => {
    this.asked++;
    const instead = this.onAlloc === undefined ? AS_EVER : this.onAlloc();
    if (instead !== AS_EVER) return instead as number;
    const element = this.left.pop() ?? 0;
    if (element === 0) return 0;
    this.given.set(element, (this.given.get(element) ?? 0) + 1);
    this.out.add(element);
    return element;
  };

  readonly free = (element: number): void => {
    if (!this.out.delete(element)) throw new Error(`the host got ${element}, which was not out`);
    this.back.set(element, (this.back.get(element) ?? 0) + 1);
    this.left.push(element);
    this.onFree?.(element);
  };

  get backend(): HostBackend {
    return { alloc: this.alloc, free: this.free };
  }

  /** Everything is back, each as often as it was given. */
  expectHome(): void {
    expect([...this.out]).toEqual([]);
    expect([...this.back].toSorted((a, b) => a[0] - b[0])).toEqual([...this.given].toSorted((a, b) => a[0] - b[0]));
  }

  get gives(): number {
    return [...this.given.values()].reduce((sum, count) => sum + count, 0);
  }
}

function hosted(heap: Heap, host: Numbers | HostBackend, minNr: number, options: object = {}): Pool {
  const backend = host instanceof Numbers ? host.backend : host;
  return create({ heap, size: 8, minNr, backend, ...options });
}

/** All but the peak, which has a test of its own. */
function stateButPeak(heap: Heap, pool: Pool): unknown {
  return { heap: heap.stats(), pool: { ...pool.stats(), peakOutstanding: 0 } };
}

const hasClosed = (pool: Pool): Promise<boolean> =>
  Promise.race([pool.closed.then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 500, false))]);

/** Bytes that a heap uses when a pool of the host's has come and gone. */
function idle(heap: Heap): number {
  hosted(heap, new Numbers(2), 1).exit();
  return usedAfterTrim(heap);
}

describe.each(builds)("the host's own backend: $name", (build) => {
  test("the reserve is filled at create and given back at exit, each element exactly once", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 16);
    expect(numbers.out.size).toBe(16);
    expect(numbers.asked).toBe(16);
    expect([pool.currNr, pool.outstanding, pool.isSaturated]).toEqual([16, 0, true]);
    const held = take(pool, 100);
    expect(held.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => 1000 + 7 * i));
    expect(pool.alloc()).toBe(0);
    freeAll(pool, held.splice(0, 50));
    expect([pool.currNr, pool.outstanding]).toEqual([16, 50]);
    // what is not needed for the reserve goes back at once
    expect(numbers.out.size).toBe(66);
    pool.exit();
    expect(numbers.out.size).toBe(50);
    freeAll(pool, held);
    expect(await hasClosed(pool)).toBe(true);
    numbers.expectHome();
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("it gets the size and the data, and free the element and the data", () => {
    const heap = fixedHeap(build, MIB);
    const data = { device: 5 };
    const calls: unknown[][] = [];
    const pool = create({
      heap,
      size: (given: typeof data) => given.device * 10,
      data,
      minNr: 1,
      backend: {
        alloc: (...given: unknown[]) => (calls.push(["alloc", ...given]), calls.length),
        free: (...given: unknown[]) => void calls.push(["free", ...given]),
      },
    });
    const [first, second] = [pool.alloc(), pool.alloc()];
    freeAll(pool, [second, first]);
    pool.exit();
    expect(calls.map(([name, value, given]) => [name, value, given === data])).toEqual([
      ["alloc", 50, true],
      ["alloc", 50, true],
      ["alloc", 50, true],
      ["free", second, true],
      ["free", first, true],
      ["free", 1, true],
    ]);
    expectSound(heap);
  });

  test("any integer from 1 to 2 ** 32 - 1 is an element", () => {
    const heap = fixedHeap(build, MIB);
    const values = [1, 2, 3, 7, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 4096, 65536];
    const left = [...values];
    const freed: number[] = [];
    const pool = hosted(heap, { alloc: () => left.pop() ?? 0, free: (element: number) => void freed.push(element) }, 2);
    const all = drain(pool, 20);
    expect(all.toSorted((a, b) => a - b)).toEqual(values.toSorted((a, b) => a - b));
    for (const value of values) {
      expect(freeCode(pool, value + 1)).toBe(values.includes(value + 1) ? "none" : "ERR_INVALID_ADDRESS");
      if (values.includes(value + 1)) expect(pool.allocPreallocated() || 1).toBeGreaterThan(0);
    }
    pool.exit();
    expectSound(heap);
  });

  test("the numbers at both ends come and go, one by one and in bulk", () => {
    const heap = fixedHeap(build, MIB);
    const left = [0xffffffff, 1, 0x80000000];
    const pool = hosted(heap, { alloc: () => left.pop() ?? 0, free: (element: number) => void left.push(element) }, 0);
    for (let round = 0; round < 50; round++) {
      const out = new Uint32Array(3);
      expect(pool.allocBulk(out)).toBe(true);
      expect([...out].toSorted((a, b) => a - b)).toEqual([1, 0x80000000, 0xffffffff]);
      pool.freeBulk(out);
      const all = take(pool, 3);
      expect(pool.alloc()).toBe(0);
      freeAll(pool, all);
      expect(left.length).toBe(3);
    }
    expectSound(heap);
  });

  test("what it throws, the call throws, and nothing has changed", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 3);
    const cause = new RangeError("the host is out of order");
    numbers.onAlloc = () => {
      throw cause;
    };
    const before = stateButPeak(heap, pool);
    const out = new Uint32Array(4).fill(9);
    for (const call of [
      () => pool.alloc(),
      () => pool.allocWait(0),
      () => pool.allocBulk(out),
      () => pool.allocBulkWait(out, 2, 0),
      () => pool.ticket(3),
    ]) {
      expect(call).toThrow(cause);
      expect(stateButPeak(heap, pool)).toEqual(before);
    }
    await expect(pool.allocAsync({ timeout: 50 })).rejects.toBe(cause);
    await expect(pool.allocBulkAsync(out, { timeout: 50 })).rejects.toBe(cause);
    await expect(pool.ticketAsync(2, { timeout: 50 })).rejects.toBe(cause);
    expect([...out]).toEqual([9, 9, 9, 9]);
    expect([pool.currNr, pool.outstanding]).toEqual([2, 3]);
    // the reserve does not ask it
    held.push(pool.allocPreallocated());
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
  ])("if alloc gives %s it is ERR_BACKEND, and nothing has changed", (_name, value) => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 3);
    numbers.onAlloc = () => value;
    const before = stateButPeak(heap, pool);
    const out = new Uint32Array(3);
    for (const call of [() => pool.alloc(), () => pool.allocBulk(out), () => pool.ticket(2)]) {
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

  test("a call whose backend fails does not count as handed out, not even in peakOutstanding", () => {
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

  test("an element that is given twice is ERR_BACKEND, and stays out once", () => {
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

  test("an element that is given twice in one bulk is ERR_BACKEND, and the bulk is undone", () => {
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

  test("one element in two pools is each pool's own", () => {
    const heap = fixedHeap(build, MIB);
    const pools = [0, 1].map(() => hosted(heap, { alloc: () => 42, free: () => {} }, 0));
    for (const pool of pools) expect(pool.alloc()).toBe(42);
    pools[0]!.free(42);
    expect(freeCode(pools[0]!, 42)).not.toBe("none");
    pools[1]!.free(42);
    expectSound(heap);
  });

  test("if it has none, the reserve serves, and then there is none", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(4);
    const pool = hosted(heap, numbers, 4);
    for (let round = 0; round < 200; round++) {
      const all = drain(pool, 10);
      expect(all.length).toBe(4);
      expect(pool.alloc()).toBe(0);
      freeAll(pool, shuffle(all, random(round)));
      expect(pool.currNr).toBe(4);
    }
    expect(numbers.gives).toBe(4);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("create that cannot fill the reserve fails, and what it had goes back", () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const few = new Numbers(5);
    expect(codeOf(() => hosted(heap, few, 6))).toBe("ERR_NO_MEMORY");
    few.expectHome();
    const throwing = new Numbers(5);
    const cause = new Error("no more");
    throwing.onAlloc = () => {
      if (throwing.asked === 4) throw cause;
      return AS_EVER;
    };
    expect(() => hosted(heap, throwing, 5)).toThrow(cause);
    throwing.expectHome();
    const bad = new Numbers(5);
    bad.onAlloc = () => (bad.asked === 3 ? -5 : AS_EVER);
    expect(codeOf(() => hosted(heap, bad, 5))).toBe("ERR_BACKEND");
    bad.expectHome();
    expect([few.gives, throwing.gives, bad.gives]).toEqual([5, 3, 2]);
    expect(heap.stats().pools).toBe(0);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test.each([
    ["a string", "malloc"],
    ["null", null],
    ["a number", 5],
    ["no free", { alloc: (): number => 1 }],
    ["no alloc", { free: () => {} }],
    ["an alloc that is none", { alloc: 5, free: () => {} }],
    ["a function", () => 1],
  ])("create refuses a backend that is %s, and asks it nothing", (_name, backend) => {
    const heap = fixedHeap(build, MIB);
    const before = stateOf(heap);
    const error = errorFrom(() => createWith({ heap, size: 8, minNr: 1, backend }));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("backend");
    expect(stateOf(heap)).toEqual(before);
    expectSound(heap);
  });

  test("maxNr caps what it is asked for", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 3, { maxNr: 10 });
    for (let round = 0; round < 20; round++) {
      const all = drain(pool, 50);
      expect(all.length).toBe(10);
      expect(numbers.out.size).toBe(10);
      expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
      freeAll(pool, all);
      expect(numbers.out.size).toBe(3);
    }
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("allocBulk gives all or none", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 3);
    const out = new Uint32Array(11).fill(5);
    expect(pool.allocBulk(out)).toBe(false);
    expect(out.every((value) => value === 5)).toBe(true);
    expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([3, 0, 3]);
    expect(pool.allocBulk(out, 10)).toBe(true);
    expect(new Set(out.subarray(0, 10)).size).toBe(10);
    expect([out[10], pool.currNr, pool.outstanding]).toEqual([5, 0, 10]);
    expect(pool.allocBulk(new Uint32Array(1))).toBe(false);
    pool.freeBulk(out, 10);
    expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([3, 0, 3]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("allocBulk of which alloc throws in the middle gives none, and keeps none", () => {
    const heap = fixedHeap(build, MIB);
    for (let at = 1; at <= 6; at++) {
      const numbers = new Numbers(20);
      const pool = hosted(heap, numbers, 3);
      const cause = new Error("in the middle");
      const start = numbers.asked;
      numbers.onAlloc = () => {
        if (numbers.asked === start + at) throw cause;
        return AS_EVER;
      };
      const out = new Uint32Array(6).fill(5);
      expect(() => pool.allocBulk(out)).toThrow(cause);
      expect([...out]).toEqual([5, 5, 5, 5, 5, 5]);
      expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([3, 0, 3]);
      pool.exit();
      numbers.expectHome();
    }
    expectSound(heap);
  });

  test("freeBulk frees all or none: duplicates, unknown and free ones are told with their index", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 3);
    const held = take(pool, 8);
    const [a, b, c] = held as [number, number, number];
    const before = stateButPeak(heap, pool);
    const bad: [number[], string, number][] = [
      [[a, b, a], "ERR_DOUBLE_FREE", 2],
      [[a, a], "ERR_DOUBLE_FREE", 1],
      [[a, 0, b, 77], "ERR_INVALID_ADDRESS", 3],
      [[0xffffffff, a], "ERR_INVALID_ADDRESS", 0],
    ];
    for (const [list, code, index] of bad) {
      const error = errorFrom(() => pool.freeBulk(Uint32Array.from(list)));
      expect(error.code).toBe(code);
      expect(error.message).toContain(String(index));
      expect(stateButPeak(heap, pool)).toEqual(before);
    }
    pool.freeBulk(Uint32Array.from([0, a, 0, b, c, 0]));
    expect(pool.outstanding).toBe(5);
    freeAll(pool, held.slice(3));
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a double free, and the free of an unknown number, are told and change nothing", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 2);
    const held = take(pool, 5);
    pool.free(0);
    pool.free(held[0]!);
    pool.free(held[1]!);
    const before = stateButPeak(heap, pool);
    // back at the host, or in reserve
    for (const element of [held[0]!, held[1]!]) {
      expect(["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, element));
    }
    const reserved = [...numbers.out].filter((element) => !held.slice(2).includes(element));
    expect(reserved.length).toBe(2);
    for (const element of reserved) expect(freeCode(pool, element)).toBe("ERR_DOUBLE_FREE");
    for (const element of [1, 999, 1001, 0xffffffff, 4096]) expect(freeCode(pool, element)).toBe("ERR_INVALID_ADDRESS");
    for (const [, value] of nonAddresses(held[2]!)) {
      expect(freeCode(pool, value)).toBe("ERR_INVALID_ADDRESS");
    }
    expect(stateButPeak(heap, pool)).toEqual(before);
    freeAll(pool, held.slice(2));
    pool.exit();
    for (const element of held) expect(freeCode(pool, element)).toBe("ERR_CLOSED");
    numbers.expectHome();
    expectSound(heap);
  });

  test("sizeOf of an element that is out is elementSize, and refuses others as free does", () => {
    const heap = fixedHeap(build, MIB);
    const pool = hosted(heap, new Numbers(20), 2, { size: 24 });
    const element = pool.alloc();
    expect(pool.elementSize).toBe(24);
    expect(codeOf(() => pool.sizeOf(5))).toBe("ERR_INVALID_ADDRESS");
    expect(pool.sizeOf(element)).toBe(24);
    expectSound(heap);
  });

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

  test("alloc may be asked from within itself for ever with maxNr, and the cap holds", () => {
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

  test("alloc may close the pool: the call is refused, and the element goes back", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    for (const call of [
      (pool: Pool) => pool.alloc(),
      (pool: Pool) => pool.allocBulk(new Uint32Array(3)),
      (pool: Pool) => pool.ticket(3),
      (pool: Pool) => pool.resize(9),
      (pool: Pool) => pool.allocWait(0),
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

  test("an alloc that closes the pool and throws, or gives none, leaves nothing behind", async () => {
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

  test("an alloc that closes a pool of which nothing is out, and throws or gives none, leaves it closed for good", async () => {
    // a test of its own, below: in a thread of its own
    if (build.name === "shared") return;
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

  test("a bulk or a ticket whose pool is closed meanwhile is ERR_CLOSED, also if alloc gives none", () => {
    const heap = fixedHeap(build, MIB);
    for (const call of [(pool: Pool) => pool.allocBulk(new Uint32Array(3)), (pool: Pool) => pool.ticket(3)]) {
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

  test("what free throws comes after the element is gone", () => {
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

  test("a freeBulk of which the host's free throws is all or none too", () => {
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

  test("a ticket's exit of which the host's free throws still gives back all that is left", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 0);
    const ticket = pool.ticket(4)!;
    numbers.onFree = () => {
      throw new Error("could not take it back");
    };
    expect(() => ticket.exit()).toThrow("could not take it back");
    numbers.onFree = undefined;
    ticket.exit();
    expect([ticket.left, pool.outstanding, numbers.out.size]).toEqual([0, 0, 0]);
    expectSound(heap);
  });

  test("a bulk that is undone, and of which the host's free throws, keeps nothing", () => {
    const heap = fixedHeap(build, MIB);
    for (const call of [(pool: Pool) => pool.allocBulk(new Uint32Array(6)), (pool: Pool) => pool.ticket(6)]) {
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

  test("an exit of which the host's free throws still gives back the whole reserve, each element once", async () => {
    const heap = fixedHeap(build, MIB);
    const before = idle(heap);
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 5);
    numbers.onFree = () => {
      throw new Error("could not take it back");
    };
    try {
      pool.exit();
    } catch {
      // whatever it throws
    }
    numbers.onFree = undefined;
    pool.exit();
    numbers.expectHome();
    expect(heap.stats().pools).toBe(0);
    expect(await hasClosed(pool)).toBe(true);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("a resize of which the host's free throws still gives back all that is too much", () => {
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

  test("resize asks for what is missing and gives back what is too much", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(100);
    const pool = hosted(heap, numbers, 3);
    expect(pool.resize(60)).toBe(true);
    expect([pool.currNr, numbers.out.size]).toEqual([60, 60]);
    expect(pool.resize(5)).toBe(true);
    expect([pool.currNr, numbers.out.size]).toEqual([5, 5]);
    expect(pool.resize(101)).toBe(false);
    expect([pool.minNr, pool.currNr, numbers.out.size]).toEqual([101, 100, 100]);
    expect(pool.resize(0)).toBe(true);
    expect([pool.currNr, numbers.out.size]).toEqual([0, 0]);
    const held = take(pool, 100);
    expect(pool.resize(40)).toBe(false);
    freeAll(pool, held);
    expect([pool.currNr, numbers.out.size]).toEqual([40, 40]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("resize of which alloc throws in the middle leaves a sound pool", () => {
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

  test("minNr 0: every element is asked for, and goes back at once", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(5);
    const pool = hosted(heap, numbers, 0);
    expect(numbers.asked).toBe(0);
    for (let i = 0; i < 1000; i++) {
      const element = pool.alloc();
      expect(numbers.out.size).toBe(1);
      pool.free(element);
      expect(numbers.out.size).toBe(0);
    }
    expect(numbers.gives).toBe(1000);
    expect(pool.allocPreallocated()).toBe(0);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("who waits is served in turn by frees", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(3);
    const pool = hosted(heap, numbers, 1);
    const held = take(pool, 3);
    const order: number[] = [];
    const waiters = [0, 1, 2, 3].map((i) =>
      pool.allocAsync({ timeout: 2000 }).then((element) => {
        order.push(i);
        return element;
      }),
    );
    const bulk = new Uint32Array(3);
    const last = pool.allocBulkAsync(bulk, { timeout: 5000 });
    freeAll(pool, held);
    for (const waiter of waiters) pool.free(await waiter);
    expect(order).toEqual([0, 1, 2, 3]);
    await last;
    expect(new Set(bulk).size).toBe(3);
    pool.freeBulk(bulk);
    await expect(
      pool.allocBulkAsync(new Uint32Array(4), { timeout: 20 }).catch((error: { code: string }) => error.code),
    ).resolves.toBe("ERR_TIMEOUT");
    expect([pool.outstanding, pool.currNr]).toEqual([0, 1]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("who waits is served by a grow, once the host can give again", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(10);
    const pool = hosted(heap, numbers, 2);
    numbers.onAlloc = () => 0;
    const held = drain(pool);
    expect(held.length).toBe(2);
    const waiters = [pool.allocAsync({ timeout: 1000 }), pool.allocAsync({ timeout: 1000 })];
    expect(pool.resize(3)).toBe(false);
    numbers.onAlloc = undefined;
    pool.resize(4);
    held.push(...(await Promise.all(waiters)));
    expect(new Set(held).size).toBe(4);
    freeAll(pool, held);
    expect([pool.currNr, pool.outstanding]).toEqual([4, 0]);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("who waits when the pool is closed is told, and no element is lost", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(3);
    const pool = hosted(heap, numbers, 1);
    const held = take(pool, 3);
    const waiters = [pool.allocAsync(), pool.ticketAsync(2), pool.allocBulkAsync(new Uint32Array(2))];
    const settled = Promise.allSettled(waiters);
    pool.free(held.pop()!);
    pool.exit();
    const results = await settled;
    expect(results.slice(1)).toMatchObject([{ reason: { code: "ERR_CLOSED" } }, { reason: { code: "ERR_CLOSED" } }]);
    // the first may have been served before
    if (results[0]!.status === "fulfilled") held.push(results[0]!.value as number);
    freeAll(pool, held);
    expect(await hasClosed(pool)).toBe(true);
    numbers.expectHome();
    expectSound(heap);
  });

  test("tickets hold its elements, and give back what is left", async () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(8);
    const pool = hosted(heap, numbers, 3);
    const ticket = pool.ticket(5)!;
    expect([ticket.left, pool.outstanding]).toEqual([5, 5]);
    expect(pool.ticket(4)).toBe(undefined);
    expect(pool.outstanding).toBe(5);
    const held = [ticket.alloc(), ticket.alloc()];
    const later = pool.ticketAsync(5, { timeout: 2000 });
    ticket.exit();
    const second = await later;
    expect([second.left, pool.outstanding]).toEqual([5, 7]);
    for (let i = 0; i < 5; i++) held.push(second.alloc());
    expect(new Set(held).size).toBe(7);
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("a hundred thousand elements come and go, and leave no memory behind", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const before = idle(heap);
    let last = 0;
    const freed = new Set<number>();
    const pool = hosted(heap, { alloc: () => ++last, free: (element: number) => void freed.add(element) }, 5);
    const held = take(pool, 100_000);
    expect(new Set(held).size).toBe(100_000);
    expectSound(heap);
    freeAll(pool, held);
    expect(freed.size).toBe(100_000);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 5]);
    pool.exit();
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("with no memory in the heap, its element goes back, and the reserve serves", () => {
    const heap = fixedHeap(build, MIB);
    const numbers = new Numbers(50_000);
    const pool = hosted(heap, numbers, 3);
    const held: number[] = [];
    heap.faults({ refuse: true });
    for (;;) {
      const element = pool.alloc();
      if (element === 0) break;
      held.push(element);
    }
    expect(held.length).toBeGreaterThanOrEqual(3);
    expect([pool.currNr, pool.outstanding, numbers.out.size]).toEqual([0, held.length, held.length]);
    heap.faults();
    held.push(pool.alloc());
    expect(held.at(-1)).not.toBe(0);
    freeAll(pool, held);
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("random use of a backend that fails at random loses nothing", async () => {
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
            const ticket = tolerant(() => pool.ticket(1 + Math.floor(next() * 5)));
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

describe.each(builds)("the backend pages: $name", (build) => {
  test.each([1, 100, 4095, 4096, 4097, 10_000, 70_000])("elements of %i bytes are at multiples of 4096", (size) => {
    const heap = fixedHeap(build, 8 * MIB);
    const pool = create({ heap, size, minNr: 3, backend: "pages" });
    expect(pool.align).toBe(4096);
    const all = take(pool, 50);
    expectElements(heap, all, size, 4096);
    const sorted = all.toSorted((a, b) => a - b);
    const least = Math.ceil(size / 4096) * 4096;
    for (let i = 1; i < 50; i++) expect(sorted[i]! - sorted[i - 1]!).toBeGreaterThanOrEqual(least);
    all.forEach((address) => writeCanary(heap.memory, address, size, address));
    all.forEach((address) => expectCanary(heap.memory, address, size, address));
    freeAll(pool, all);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 3]);
    expectSound(heap);
  });

  test("memory goes back at once", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const pool = create({ heap, size: 4096, minNr: 0, backend: "pages" });
    pool.free(pool.alloc());
    const before = heap.stats().used;
    const all = take(pool, 1000);
    expect(heap.stats().used).toBeGreaterThanOrEqual(before + 1000 * 4096);
    freeAll(pool, shuffle(all, random(2)));
    expect(heap.stats().used).toBe(before);
    expect(pool.stats().cached).toBe(0);
    expect(heap.trim()).toBe(0);
    expectSound(heap);
  });

  test("nothing is cached while elements come and go", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 2, backend: "pages" });
    const held: number[] = [];
    const next = random(8);
    for (let i = 0; i < 2000; i++) {
      if (next() < 0.5) held.push(...drain(pool, 1));
      else if (held.length > 0) pool.free(held.splice(Math.floor(next() * held.length), 1)[0]!);
      expect(pool.stats().cached).toBe(0);
    }
    freeAll(pool, held);
    expectSound(heap);
  });

  test("bad frees have their codes, and exit gives everything back", async () => {
    const heap = fixedHeap(build, MIB);
    create({ heap, size: 8, minNr: 0 }).exit();
    const before = usedAfterTrim(heap);
    const pool = create({ heap, size: 8192, minNr: 2, backend: "pages" });
    const held = take(pool, 10);
    expect(freeCode(pool, held[0]! + 4096)).toBe("ERR_INTERIOR_FREE");
    expect(freeCode(pool, held[0]! + 8)).toBe("ERR_MISALIGNED_FREE");
    expect(freeCode(pool, 4096 * 200)).not.toBe("none");
    pool.exit();
    freeAll(pool, held);
    expect(await hasClosed(pool)).toBe(true);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });
});

describe.each(builds)("the backend bump: $name", (build) => {
  test("elements come one after the other, at ascending addresses", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 0, backend: "bump" });
    const all = take(pool, 30);
    expectElements(heap, all, 100, 4);
    expect(all).toEqual(all.toSorted((a, b) => a - b));
    freeAll(pool, all);
    expectSound(heap);
  });

  test("memory goes back at the end, and not before", async () => {
    const heap = fixedHeap(build, 8 * MIB);
    create({ heap, size: 8, minNr: 0 }).exit();
    const before = usedAfterTrim(heap);
    const pool = create({ heap, size: 1000, minNr: 4, backend: "bump" });
    const all = take(pool, 4000);
    all.forEach((address) => writeCanary(heap.memory, address, 1000, address));
    const { used } = heap.stats();
    expect(used).toBeGreaterThan(before + 4_000_000);
    const last = all.pop()!;
    all.forEach((address) => expectCanary(heap.memory, address, 1000, address));
    freeAll(pool, all);
    heap.trim();
    expect(heap.stats().used).toBeGreaterThanOrEqual(before + 4_000_000);
    pool.exit();
    expectCanary(heap.memory, last, 1000, last);
    expect(pool.outstanding).toBe(1);
    pool.free(last);
    expect(await hasClosed(pool)).toBe(true);
    expect(heap.stats().used).toBe(before);
    expectSound(heap);
  });

  test("the reserve, maxNr and bad frees are as ever", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4, maxNr: 40, backend: "bump" });
    const all = drain(pool, 100);
    expect(all.length).toBe(40);
    const element = all.pop()!;
    pool.free(element);
    expect(freeCode(pool, element)).toBe("ERR_DOUBLE_FREE");
    expect(freeCode(pool, all[0]! + 16)).toBe("ERR_INTERIOR_FREE");
    expect(freeCode(pool, all[0]! + 1)).toBe("ERR_MISALIGNED_FREE");
    freeAll(pool, all);
    expect([pool.currNr, pool.outstanding]).toEqual([4, 0]);
    pool.faults({ refuse: true });
    for (let i = 0; i < 1000; i++) {
      const four = drain(pool, 50);
      expect(four.length).toBe(4);
      freeAll(pool, four);
    }
    expectSound(heap);
  });
});

const sharedHeap = (): Heap => builds.find(({ name }) => name === "shared")!.heap({ initial: MIB, maximum: 4 * MIB });

describe("backends, with several threads", () => {
  type Kept = typeof globalThis & { pool: Pool; freed: number[]; next: number };
  let names = 0;
  const another = (heap: Heap): Heap => attach({ ...heap.share(), id: `backends, another ${names++}` });

  test("to attach a pool of the host's without a backend is refused", async () => {
    const heap = sharedHeap();
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 2);
    const other = another(heap);
    const shared = { ...pool.share(), heap: other.share() };
    for (const options of [
      undefined,
      {},
      { backend: undefined },
      { backend: "slab" },
      { backend: { alloc: () => 1 } },
    ]) {
      const error = errorFrom(() => attach(shared, options as never));
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain("backend");
    }
    const code = await new Thread().run(({ attach: join }, given) => {
      try {
        join(given);
        return "none";
      } catch (error) {
        return (error as { code: string }).code;
      }
    }, pool.share());
    expect(code).toBe("ERR_INVALID_ARGUMENT");
    other.detach();
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("to attach a pool that is none of the host's with a backend is refused", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 8, minNr: 1 });
    const other = another(heap);
    expect(codeOf(() => attach({ ...pool.share(), heap: other.share() }, { backend: new Numbers(1).backend }))).toBe(
      "ERR_INVALID_ARGUMENT",
    );
    other.detach();
    expectSound(heap);
  });

  test("what one thread's backend gave, another thread frees to its own", () => {
    const heap = sharedHeap();
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 2);
    const other = another(heap);
    const there = attach({ ...pool.share(), heap: other.share() }, { backend: numbers.backend });
    const mine = take(pool, 6);
    const theirs = take(there, 6);
    expect(new Set([...mine, ...theirs]).size).toBe(12);
    freeAll(there, mine);
    expect(freeCode(pool, mine[0])).not.toBe("none");
    freeAll(pool, theirs);
    expect([pool.outstanding, there.outstanding]).toEqual([0, 0]);
    pool.exit();
    expect(codeOf(() => there.alloc())).toBe("ERR_CLOSED");
    numbers.expectHome();
    other.detach();
    expectSound(heap);
  });

  test("a worker with its own backend allocates and frees beside the main thread", async () => {
    const heap = sharedHeap();
    const numbers = new Numbers(500);
    const pool = hosted(heap, numbers, 4);
    const thread = new Thread();
    const theirs = await thread.run(({ attach: join }, shared) => {
      const kept = globalThis as Kept;
      kept.freed = [];
      kept.next = 1_000_000;
      const backend = { alloc: () => kept.next++, free: (element: number) => void kept.freed.push(element) };
      kept.pool = join(shared, { backend });
      return Array.from({ length: 50 }, () => kept.pool.alloc());
    }, pool.share());
    expect(theirs.every((element) => element >= 1_000_000)).toBe(true);
    expect(new Set(theirs).size).toBe(50);
    expect(pool.outstanding).toBe(50);
    const mine = take(pool, 50);
    const { pool: _, freed } = await thread.run(
      (_library, addresses) => {
        const kept = globalThis as Kept;
        for (const address of addresses) kept.pool.free(address);
        return { pool: undefined, freed: kept.freed };
      },
      [...theirs.slice(0, 25), ...mine.slice(0, 25)],
    );
    expect(freed.toSorted()).toEqual([...theirs.slice(0, 25), ...mine.slice(0, 25)].toSorted());
    for (const element of mine.slice(25)) pool.free(element);
    expect([pool.outstanding, pool.currNr]).toEqual([25, 4]);
    expectSound(heap);
  });

  test.each(["none", "throws"])(
    "on a shared heap, an alloc that closes a pool of which nothing is out, and %s, comes to an end",
    async (gives) => {
      const ended = new Thread().run(async ({ createHeap }, what) => {
        const heap = createHeap({ shared: true, initial: 2 ** 20, maximum: 2 ** 20 });
        let last = 0;
        let pool: Pool | undefined;
        const backend = {
          alloc: (): number => {
            if (pool === undefined) return ++last;
            pool.exit();
            if (what === "throws") throw new Error("closed it");
            return 0;
          },
          free: (): void => {},
        };
        pool = heap.create({ size: 8, minNr: 1, backend });
        try {
          pool.alloc();
        } catch {
          // whatever it throws
        }
        await pool.closed;
        return heap.check();
      }, gives);
      const late = new Promise<string>((resolve) => setTimeout(resolve, 1500, "still running after 1.5 s"));
      expect(await Promise.race([ended, late])).toEqual([]);
    },
  );

  test("reap lists a dead thread's elements by the numbers the host gave", () => {
    const heap = sharedHeap();
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 2, { name: "numbers" });
    const other = another(heap);
    const there = attach({ ...pool.share(), heap: other.share() }, { backend: numbers.backend });
    take(pool, 3);
    const theirs = take(there, 8);
    freeAll(there, theirs.splice(0, 3));
    const list = heap.reap(other.threadId);
    expect(list.map(({ address }) => address).toSorted((a, b) => a - b)).toEqual(theirs.toSorted((a, b) => a - b));
    for (const { address } of list) pool.free(address);
    expect(pool.outstanding).toBe(3);
    expectSound(heap);
  });

  test.each(["pages", "bump"] as const)("a pool with the backend %s serves several threads", async (backend) => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 4, backend });
    const counts = await Promise.all(
      [new Thread(), new Thread()].map((thread, seed) =>
        thread.run(
          ({ attach: join }, shared, fill) => {
            const there = join(shared);
            const held: number[] = [];
            for (let i = 0; i < 3000; i++) {
              if (held.length < 40 && i % 3 !== 2) {
                const address = there.alloc();
                if (address === 0) continue;
                there.heap.views.refresh().u8.fill(fill + 1, address, address + 64);
                held.push(address);
              } else if (held.length > 0) {
                const address = held.shift()!;
                const bytes = there.heap.views.refresh().u8.subarray(address, address + 64);
                if (bytes.some((byte) => byte !== fill + 1)) throw new Error("an element was overwritten");
                there.free(address);
              }
            }
            for (const address of held) there.free(address);
            there.heap.detach();
            return held.length;
          },
          pool.share(),
          seed,
        ),
      ),
    );
    expect(counts.length).toBe(2);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 4]);
    pool.exit();
    expectSound(heap);
  });
});
