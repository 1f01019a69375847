/** reshape: elements of another size from here on, while those of the old sizes are out and go home as ever. */
import { describe, expect, test } from "vitest";
import { attach, create, type Heap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { Thread } from "../threads/helpers.ts";
import {
  codeOf,
  createWith,
  drain,
  errorFrom,
  expectCanary,
  expectDisjoint,
  expectElements,
  expectSound,
  expectZero,
  fixedHeap,
  freeAll,
  freeCode,
  Greedy,
  MIB,
  nonAddresses,
  random,
  shuffle,
  stateOf,
  take,
  usedAfterTrim,
  withoutStacks,
  writeCanary,
  type Build,
} from "./helpers.ts";

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A pool whose elements have as many bytes as its data says. */
function poolOf(heap: Heap, bytes: number, minNr: number, options: object = {}): Pool {
  return create({ heap, size: (data: number) => data, data: bytes, minNr, ...options });
}

/** Elements that are out, each filled with bytes only it has. */
class Held {
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #sizes = new Map<number, number>();

  constructor(heap: Heap, pool: Pool) {
    this.#heap = heap;
    this.#pool = pool;
  }

  get addresses(): number[] {
    return [...this.#sizes.keys()];
  }

  add(address: number, size = this.#pool.elementSize): void {
    expect(address).not.toBe(0);
    if (this.#sizes.has(address)) throw new Error("an element was handed out twice");
    this.#sizes.set(address, size);
    writeCanary(this.#heap.memory, address, size, address);
  }

  take(count: number): number[] {
    const taken = take(this.#pool, count);
    for (const address of taken) this.add(address);
    return taken;
  }

  verify(): void {
    for (const [address, size] of this.#sizes) {
      expectCanary(this.#heap.memory, address, size, address);
      if (this.#pool.sizeOf(address) !== size)
        throw new Error(`sizeOf says ${this.#pool.sizeOf(address)}, not ${size}`);
    }
    expectDisjoint([...this.#sizes]);
    expect(this.#pool.outstanding).toBe(this.#sizes.size);
  }

  free(address: number): void {
    expectCanary(this.#heap.memory, address, this.#sizes.get(address)!, address);
    this.#sizes.delete(address);
    this.#pool.free(address);
  }

  freeBulk(addresses: readonly number[]): void {
    for (const address of addresses) {
      expectCanary(this.#heap.memory, address, this.#sizes.get(address)!, address);
      this.#sizes.delete(address);
    }
    this.#pool.freeBulk(Uint32Array.from(addresses));
  }
}

/** The same, but for how often memory was looked for. */
function stateButReclaims(heap: Heap, pool: Pool): unknown {
  return { heap: heap.stats(), pool: { ...pool.stats(), reclaims: 0 } };
}

/** Bytes that a heap uses when all is gone. */
function idle(build: Build, bytes: number): [Heap, number] {
  const heap = fixedHeap(build, bytes);
  poolOf(heap, 8, 1).exit();
  return [heap, usedAfterTrim(heap)];
}

describe.each(builds)("reshape: $name", (build) => {
  test("new elements have the new size, and those of the old size that are out stay as they are", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const held = new Held(heap, pool);
    const old = held.take(40);
    pool.reshape(200);
    expect([pool.elementSize, pool.align, pool.minNr, pool.currNr]).toEqual([200, 8, 4, 4]);
    expect(pool.stats()).toMatchObject({ elementSize: 200, epochs: 2, outstanding: 40, currNr: 4 });
    const fresh = held.take(300);
    expectElements(heap, fresh, 200, 8);
    held.verify();
    for (const address of old) expect(pool.sizeOf(address)).toBe(64);
    for (const address of fresh) expect(pool.sizeOf(address)).toBe(200);
    for (const address of old) held.free(address);
    held.verify();
    expect(pool.stats().epochs).toBe(1);
    for (const address of fresh) held.free(address);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 4]);
    expectSound(heap);
  });

  test("an old element that is freed is never handed out for the new size", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const old = take(pool, 100);
    const keeper = old.pop()!;
    pool.reshape(72);
    for (const address of old) {
      pool.free(address);
      expect(pool.currNr).toBe(4);
    }
    // its slab may be used anew, but only for elements of the new size, and not where the keeper is
    const fresh = drain(pool, 2000);
    for (const address of fresh) if (pool.sizeOf(address) !== 72) throw new Error("an old element was handed out");
    expectElements(heap, fresh, 72, 8);
    expectDisjoint([[keeper, 64], ...fresh.map((address) => [address, 72] as const)]);
    expect(pool.sizeOf(keeper)).toBe(64);
    freeAll(pool, [keeper, ...fresh]);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("an old element that is freed does not refill the new reserve", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const old = take(pool, 10);
    pool.reshape(128);
    pool.faults({ refuse: true });
    const fresh = drain(pool);
    expect(fresh.length).toBe(4);
    for (const address of fresh) expect(pool.sizeOf(address)).toBe(128);
    freeAll(pool, old);
    expect([pool.currNr, pool.alloc(), pool.outstanding]).toEqual([0, 0, 4]);
    freeAll(pool, fresh);
    expect(pool.currNr).toBe(4);
    expectSound(heap);
  });

  test("every way to allocate gives the new size", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 10);
    const before = take(pool, 5);
    // so that there are old ones in the cache too
    freeAll(pool, take(pool, 100));
    pool.reshape(40);
    const out = new Uint32Array(3);
    const fresh = [pool.alloc(), pool.allocPreallocated(), pool.allocWait(), await pool.allocAsync()];
    expect(pool.allocBulk(out)).toBe(true);
    fresh.push(...out);
    pool.allocBulkWait(out);
    fresh.push(...out);
    await pool.allocBulkAsync(out);
    fresh.push(...out);
    const ticket = pool.ticket(3)!;
    fresh.push(ticket.alloc(), ticket.alloc(), ticket.alloc());
    expectElements(heap, fresh, 40, 8);
    for (const address of fresh) expect(pool.sizeOf(address)).toBe(40);
    freeAll(pool, [...before, ...fresh]);
    expectSound(heap);
  });

  test("a ticket from before still has elements of the old size", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const ticket = pool.ticket(3)!;
    pool.reshape(32);
    const held = ticket.alloc();
    expect(pool.sizeOf(held)).toBe(64);
    ticket.exit();
    expect([pool.outstanding, pool.stats().epochs]).toEqual([1, 2]);
    pool.free(held);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("old and new elements are freed in any order, one by one and in bulk", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const next = random(seed);
    const [heap, before] = idle(build, 4 * MIB);
    const pool = poolOf(heap, 24, 3);
    const held = new Held(heap, pool);
    for (const size of [500, 24, 3000, 8, 24, 100]) {
      held.take(150);
      pool.reshape(size);
    }
    held.take(150);
    expect(pool.stats().epochs).toBe(7);
    held.verify();
    const all = shuffle(held.addresses, next);
    while (all.length > 0) {
      if (next() < 0.5) held.free(all.pop()!);
      else held.freeBulk(all.splice(0, Math.floor(next() * 20)));
    }
    expect([pool.stats().epochs, pool.outstanding, pool.currNr]).toEqual([1, 0, 3]);
    pool.exit();
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 8192);
    expectSound(heap);
  });

  test("bad frees of old elements have their codes, and change nothing", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const other = poolOf(heap, 64, 4);
    // several of each slab stay out, so that what is freed still belongs to the pool
    const old = take(pool, 60);
    pool.reshape(1000);
    const [a, b, freed] = [old[10]!, old[11]!, old[12]!];
    pool.free(freed);
    const before = stateOf(heap, pool, other);
    const refused = (address: number, code: string, by = pool): void => {
      expect(freeCode(by, address)).toBe(code);
      expect(codeOf(() => by.sizeOf(address))).toBe(code);
      expect(stateOf(heap, pool, other)).toEqual(before);
    };
    for (let i = 0; i < 3; i++) refused(freed, "ERR_DOUBLE_FREE");
    for (const offset of [8, 16, 56]) refused(a + offset, "ERR_INTERIOR_FREE");
    for (const offset of [1, 4, 7, 63]) refused(a + offset, "ERR_MISALIGNED_FREE");
    refused(a, "ERR_FOREIGN_FREE", other);
    for (const [, value] of nonAddresses(a)) expect(freeCode(pool, value)).toBe("ERR_INVALID_ADDRESS");
    const bulks: [number[], string][] = [
      [[a, b, a], "ERR_DOUBLE_FREE"],
      [[a, freed], "ERR_DOUBLE_FREE"],
      [[b, a + 8], "ERR_INTERIOR_FREE"],
      [[b, a + 1], "ERR_MISALIGNED_FREE"],
    ];
    const fresh = pool.alloc();
    const between = stateOf(heap, pool, other);
    for (const [addresses, code] of bulks) {
      const error = errorFrom(() => pool.freeBulk(Uint32Array.from([fresh, ...addresses])));
      expect(error.code).toBe(code);
      expect(error.message).toContain(String(addresses.length));
      expect(stateOf(heap, pool, other)).toEqual(between);
    }
    pool.free(fresh);
    for (const address of old) if (address !== freed) pool.free(address);
    expect([pool.outstanding, pool.stats().epochs]).toEqual([0, 1]);
    for (const address of old) expect(freeCode(pool, address)).not.toBe("none");
    expectSound(heap);
  });

  test("a new element freed twice, or inside, is told as ever", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 1000, 2);
    const old = take(pool, 5);
    pool.reshape(16);
    const fresh = take(pool, 20);
    pool.free(fresh[3]!);
    expect(freeCode(pool, fresh[3]!)).toBe("ERR_DOUBLE_FREE");
    expect(freeCode(pool, fresh[4]! + 8)).toBe("ERR_INTERIOR_FREE");
    expect(freeCode(pool, old[2]! + 16)).toBe("ERR_INTERIOR_FREE");
    freeAll(
      pool,
      [...old, ...fresh].filter((address) => address !== fresh[3]),
    );
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("memory of the old size goes back by itself when its last element is home", () => {
    const [heap] = idle(build, 4 * MIB);
    const pool = poolOf(heap, 1000, 4);
    const before = usedAfterTrim(heap);
    const old = take(pool, 3000);
    pool.reshape(1008);
    expect(heap.stats().used).toBeGreaterThan(2_900_000);
    freeAll(pool, old);
    expect(pool.stats().epochs).toBe(1);
    // without trim
    expect(heap.stats().used).toBeLessThan(before + 70_000);
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 16_384);
    expectSound(heap);
  });

  test("many reshapes in a row, with elements of each size out", () => {
    const [heap, before] = idle(build, 16 * MIB);
    const pool = poolOf(heap, 8, 2);
    const held = new Held(heap, pool);
    for (let i = 1; i <= 100; i++) {
      held.take(1 + (i % 5));
      pool.reshape(8 + 8 * i);
      expect(pool.stats().epochs).toBe(i + 1);
    }
    held.take(1);
    held.verify();
    const all = shuffle(held.addresses, random(5));
    for (const address of all) held.free(address);
    expect(pool.stats().epochs).toBe(1);
    expect(pool.elementSize).toBe(808);
    pool.exit();
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 8192);
    expectSound(heap);
  });

  test("ten thousand reshapes with nothing out need no more memory than one", () => {
    const [heap] = idle(build, MIB);
    const pool = poolOf(heap, 8, 2);
    pool.reshape(16);
    const before = usedAfterTrim(heap);
    for (let i = 0; i < 10_000; i++) {
      pool.reshape(8 + (i % 2) * 8);
      pool.free(pool.alloc());
    }
    expect(pool.elementSize).toBe(16);
    expect(pool.stats().epochs).toBe(1);
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("going back to a size of which elements are out is sound", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 2);
    const held = new Held(heap, pool);
    for (let i = 0; i < 10; i++) {
      held.take(5);
      pool.reshape(128);
      held.take(5);
      pool.reshape(64);
    }
    held.verify();
    for (const address of held.addresses) held.free(address);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("the same size again is no new epoch and changes nothing", () => {
    const heap = fixedHeap(build, MIB);
    let calls = 0;
    const pool = create({
      heap,
      size: (data: { bytes: number }) => (calls++, data.bytes),
      data: { bytes: 64 },
      minNr: 4,
    });
    const held = take(pool, 10);
    const before = stateOf(heap, pool);
    pool.reshape({ bytes: 64 });
    expect(calls).toBe(2);
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, held);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("the callback is asked once, with the data as it is", () => {
    const heap = fixedHeap(build, MIB);
    const seen: unknown[][] = [];
    const pool = createWith({ heap, size: (...given: unknown[]) => (seen.push(given), 8 * seen.length), minNr: 1 });
    const data = Object.freeze({ raidDisks: 3 });
    pool.reshape(data);
    pool.reshape(undefined);
    expect(seen.length).toBe(3);
    expect([seen[0]![0], seen[1]![0], seen[2]![0]]).toEqual([undefined, data, undefined]);
    expect(seen[1]![0]).toBe(data);
    expect(pool.elementSize).toBe(24);
    expectSound(heap);
  });

  test("the alignment stays, whatever the size", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 3, 2, { align: 64 });
    const all = take(pool, 20);
    for (const size of [1, 100, 65, 4096, 7]) {
      pool.reshape(size);
      expect(pool.align).toBe(64);
      const fresh = take(pool, 20);
      expectElements(heap, fresh, size, 64);
      all.push(...fresh);
    }
    freeAll(pool, shuffle(all, random(1)));
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("zero: true zeroes elements of both sizes, all of their bytes", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 40, 4, { zero: true });
    const dirty = (addresses: number[], size: number): void => {
      for (const address of addresses) {
        expectZero(heap.memory, address, size);
        heap.u8.fill(0xff, address, address + size);
      }
    };
    let held = take(pool, 100);
    dirty(held, 40);
    for (const size of [400, 24, 1000, 8, 40]) {
      pool.reshape(size);
      const preallocated = pool.allocPreallocated();
      const fresh = [preallocated, ...take(pool, 100)];
      dirty(fresh, size);
      freeAll(pool, held);
      const more = take(pool, 30);
      dirty(more, size);
      freeAll(pool, more);
      const again = take(pool, 30);
      dirty(again, size);
      held = [...fresh, ...again];
    }
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a pool made without a callback refuses", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const before = stateOf(heap, pool);
    for (const data of [64, undefined, { raidDisks: 2 }]) {
      expect(codeOf(() => pool.reshape(data))).toBe("ERR_INVALID_ARGUMENT");
      expect(stateOf(heap, pool)).toEqual(before);
    }
    expectSound(heap);
  });

  test("after exit it is ERR_CLOSED, and old elements still go home", async () => {
    const [heap, before] = idle(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const old = take(pool, 20);
    pool.reshape(100);
    const fresh = take(pool, 20);
    pool.exit();
    expect(codeOf(() => pool.reshape(200))).toBe("ERR_CLOSED");
    for (const address of old) expect(pool.sizeOf(address)).toBe(64);
    for (const address of fresh) expect(pool.sizeOf(address)).toBe(100);
    freeAll(pool, fresh);
    expect(pool.outstanding).toBe(20);
    for (const address of fresh) expect(freeCode(pool, address)).toBe("ERR_CLOSED");
    expect(freeCode(pool, old[0]! + 8)).toBe("ERR_CLOSED");
    freeAll(pool, old);
    await pool.closed;
    expect(codeOf(() => pool.reshape(200))).toBe("ERR_CLOSED");
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test.each([
    ["NaN", NaN],
    ["a string", "64"],
    ["a negative number", -64],
    ["0", 0],
    ["a fraction", 64.5],
    ["2 ** 32 + 64", 2 ** 32 + 64],
    ["a byte too many", 2 ** 24 + 1],
    ["undefined", undefined],
    ["null", null],
    ["a bigint", 64n],
    ["an object", { valueOf: (): number => 64 }],
    ["a promise", Promise.resolve(64)],
  ])("a callback that returns %s is refused, and nothing changes", (_name, value) => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const held = take(pool, 10);
    const before = stateOf(heap, pool);
    const error = errorFrom(() => pool.reshape(value));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain("size");
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, held);
    expect(pool.elementSize).toBe(64);
    expectSound(heap);
  });

  test("a callback that throws is refused with its error as the cause, and nothing changes", () => {
    const heap = fixedHeap(build, MIB);
    const cause = new TypeError("no disks");
    let isReady = false;
    const pool = createWith({
      heap,
      size: () => {
        if (isReady) throw cause;
        return 64;
      },
      minNr: 4,
    });
    isReady = true;
    const held = take(pool, 10);
    const before = stateOf(heap, pool);
    const error = errorFrom(() => pool.reshape(1));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.cause).toBe(cause);
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a callback may use its pool: alloc, free, resize, and reshape it", () => {
    const heap = fixedHeap(build, MIB);
    const pool = createWith({ heap, size: (call: () => number) => call(), data: () => 64, minNr: 4 });
    const held = take(pool, 10);
    pool.reshape(() => {
      held.push(pool.alloc());
      pool.free(held.shift()!);
      return 72;
    });
    expect([pool.elementSize, pool.currNr, pool.outstanding]).toEqual([72, 4, 10]);
    pool.reshape(() => {
      pool.resize(7);
      return 80;
    });
    expect([pool.elementSize, pool.minNr, pool.currNr]).toEqual([80, 7, 7]);
    held.push(pool.alloc());
    pool.reshape(() => {
      pool.reshape(() => 96);
      held.push(pool.alloc());
      return 88;
    });
    expect(pool.elementSize).toBe(88);
    expect(held.map((address) => pool.sizeOf(address))).toEqual([...Array<number>(10).fill(64), 80, 96]);
    // the same size as the nested one gave: nothing to do
    pool.reshape(() => {
      pool.reshape(() => 104);
      return 104;
    });
    expect(pool.elementSize).toBe(104);
    freeAll(pool, held);
    expect([pool.outstanding, pool.currNr, pool.stats().epochs]).toEqual([0, 7, 1]);
    expectSound(heap);
  });

  test("a callback that goes back to the old size by a nested reshape leaves what it returns", () => {
    const heap = fixedHeap(build, MIB);
    const pool = createWith({ heap, size: (call: () => number) => call(), data: () => 64, minNr: 4 });
    const held = [pool.alloc()];
    pool.reshape(() => {
      pool.reshape(() => 128);
      held.push(pool.alloc());
      return 64;
    });
    expect(pool.elementSize).toBe(64);
    held.push(pool.alloc());
    expect(held.map((address) => pool.sizeOf(address))).toEqual([64, 128, 64]);
    freeAll(pool, held);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("a callback that closes the pool gets it closed", async () => {
    const [heap, before] = idle(build, MIB);
    const pool = createWith({ heap, size: (call: () => number) => call(), data: () => 64, minNr: 4 });
    const held = take(pool, 3);
    expect(
      codeOf(() =>
        pool.reshape(() => {
          pool.exit();
          return 128;
        }),
      ),
    ).toBe("ERR_CLOSED");
    expect(pool.elementSize).toBe(64);
    freeAll(pool, held);
    await pool.closed;
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("whichever page request is refused, the old pool is whole and nothing has changed", () => {
    withoutStacks(() => {
      for (const [from, to, minNr] of [
        [64, 2000, 50],
        [64, 8, 3000],
        [3000, 64, 4],
        [100, 60_000, 5],
        [60_000, 100, 5],
        [16, 24, 0],
      ] as const) {
        for (let nth = 1; ; nth++) {
          const heap = fixedHeap(build, 2 * MIB);
          const pool = poolOf(heap, from, minNr);
          const held = new Held(heap, pool);
          held.take(3);
          const before = stateButReclaims(heap, pool);
          heap.faults({ nth });
          const code = codeOf(() => pool.reshape(to));
          const asked = heap.faults();
          expect(["none", "ERR_NO_MEMORY"]).toContain(code);
          if (code !== "none") expect(stateButReclaims(heap, pool)).toEqual(before);
          expectSound(heap);
          held.verify();
          expect(pool.currNr).toBe(minNr);
          pool.faults({ refuse: true });
          const reserve = drain(pool);
          expect(reserve.length).toBe(minNr);
          for (const address of reserve) expect(pool.sizeOf(address)).toBe(code === "none" ? to : from);
          freeAll(pool, reserve);
          pool.faults();
          for (const address of held.addresses) held.free(address);
          expect(pool.stats().epochs).toBe(1);
          pool.reshape(to);
          expect(pool.elementSize).toBe(to);
          pool.exit();
          expectSound(heap);
          if (asked < nth) break;
          if (nth > 50) nth += nth >> 1;
        }
      }
    });
  });

  test("with no memory left it is ERR_NO_MEMORY, and the old reserve serves on", () => {
    const heap = fixedHeap(build, MIB);
    const greedy = new Greedy(heap);
    const pool = poolOf(heap, 64, 16);
    const held = new Held(heap, pool);
    held.take(20);
    greedy.take();
    for (const address of drain(pool)) held.add(address);
    for (const address of held.addresses.slice(0, 16)) held.free(address);
    expect(pool.currNr).toBe(16);
    // those above took what was free
    greedy.take();
    const before = stateButReclaims(heap, pool);
    for (const size of [8, 100_000, 5000, 2 ** 24]) {
      expect(codeOf(() => pool.reshape(size))).toBe("ERR_NO_MEMORY");
      expect(stateButReclaims(heap, pool)).toEqual(before);
    }
    held.take(16);
    held.verify();
    for (const address of held.addresses) held.free(address);
    greedy.release();
    pool.reshape(5000);
    expect([pool.elementSize, pool.currNr, pool.stats().epochs]).toEqual([5000, 16, 1]);
    expectSound(heap);
  });

  test("the backend refused: ERR_NO_MEMORY, and nothing has changed", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const held = take(pool, 10);
    pool.faults({ refuse: true });
    const before = stateButReclaims(heap, pool);
    expect(codeOf(() => pool.reshape(128))).toBe("ERR_NO_MEMORY");
    expect(stateButReclaims(heap, pool)).toEqual(before);
    expect(drain(pool).length).toBe(4);
    pool.faults();
    pool.reshape(128);
    expect(pool.sizeOf(pool.alloc())).toBe(128);
    expect(held.map((address) => pool.sizeOf(address))).toEqual(Array(10).fill(64));
    expectSound(heap);
  });

  test("who waits gets an element of the new size", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 2, { maxNr: 2 });
    const old = take(pool, 2);
    const waiters = [pool.allocAsync(), pool.allocAsync()];
    pool.reshape(200);
    for (const address of await Promise.all(waiters)) {
      expect(pool.sizeOf(address)).toBe(200);
      pool.free(address);
    }
    freeAll(pool, old);
    expect([pool.outstanding, pool.currNr, pool.stats().epochs]).toEqual([0, 2, 1]);
    expectSound(heap);
  });

  test("with maxNr, whoever waits is served in the end, with the new size", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 2, { maxNr: 2 });
    const old = take(pool, 2);
    const waiters = Array.from({ length: 4 }, () => pool.allocAsync({ timeout: 2000 }));
    pool.reshape(200);
    freeAll(pool, old);
    for (const waiter of waiters) {
      const address = await waiter;
      expect(pool.sizeOf(address)).toBe(200);
      pool.free(address);
    }
    expect([pool.outstanding, pool.stats().epochs]).toEqual([0, 1]);
    expect(drain(pool).length).toBe(2);
    expectSound(heap);
  });

  test("sizeOf tells each element's size, and refuses what is not out", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const element = pool.alloc();
    expect(pool.sizeOf(element)).toBe(64);
    const before = stateOf(heap, pool);
    expect(codeOf(() => pool.sizeOf(element + 8))).toBe("ERR_INTERIOR_FREE");
    expect(codeOf(() => pool.sizeOf(element + 1))).toBe("ERR_MISALIGNED_FREE");
    for (const [, value] of nonAddresses(element)) {
      expect(codeOf(() => pool.sizeOf(value as number))).toBe("ERR_INVALID_ADDRESS");
    }
    expect(stateOf(heap, pool)).toEqual(before);
    pool.free(element);
    expect(codeOf(() => pool.sizeOf(element))).toBe("ERR_DOUBLE_FREE");
    expectSound(heap);
  });

  test.each(["pages", "bump"] as const)("a pool with the backend %s reshapes as well", (backend) => {
    const [heap, before] = idle(build, 4 * MIB);
    const pool = poolOf(heap, 64, 3, { backend });
    const held = new Held(heap, pool);
    for (const size of [5000, 8, 300, 64]) {
      held.take(20);
      pool.reshape(size);
    }
    held.take(20);
    held.verify();
    expect(pool.stats().epochs).toBe(5);
    for (const address of shuffle(held.addresses, random(4))) held.free(address);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 3]);
    if (backend === "pages") expect(pool.stats().epochs).toBe(1);
    pool.exit();
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("random reshapes, resizes, allocs and frees, one by one and in bulk, against a model", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    try {
      model(build, seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  });
});

const SIZES = [1, 8, 24, 64, 100, 333, 1000, 4096, 5000, 20_000];

function model(build: Build, seed: number): void {
  const next = random(seed);
  const below = (most: number): number => Math.floor(next() * most);
  for (let world = 0; world < 3; world++) {
    const [heap, before] = idle(build, 32 * MIB);
    const backend = (["slab", "slab", "pages"] as const)[below(3)]!;
    let size = SIZES[below(SIZES.length)]!;
    let minNr = below(30);
    const pool = poolOf(heap, size, minNr, { backend });
    const live = new Map<number, number>();
    const addresses: number[] = [];
    const add = (address: number): void => {
      if (live.has(address)) throw new Error("an element was handed out twice");
      live.set(address, size);
      addresses.push(address);
      writeCanary(heap.memory, address, size, address);
    };
    const remove = (at: number): number => {
      const address = addresses[at]!;
      addresses[at] = addresses.at(-1)!;
      addresses.pop();
      if (pool.sizeOf(address) !== live.get(address)) throw new Error("sizeOf is wrong");
      expectCanary(heap.memory, address, live.get(address)!, address);
      live.delete(address);
      return address;
    };
    for (let i = 0; i < 4000; i++) {
      const what = next();
      if (what < 0.02) {
        size = SIZES[below(SIZES.length)]!;
        pool.reshape(size);
      } else if (what < 0.05) {
        minNr = below(60);
        if (!pool.resize(minNr)) throw new Error("memory cannot be short");
      } else if (what < 0.35) {
        const address = pool.alloc();
        if (address === 0) throw new Error("alloc failed");
        add(address);
      } else if (what < 0.4) {
        const address = pool.allocPreallocated();
        if (address !== 0) add(address);
      } else if (what < 0.5) {
        const out = new Uint32Array(below(12));
        if (!pool.allocBulk(out)) throw new Error("allocBulk failed");
        out.forEach(add);
      } else if (what < 0.6) {
        const count = Math.min(addresses.length, below(16));
        pool.freeBulk(Uint32Array.from({ length: count }, () => remove(below(addresses.length))));
      } else if (addresses.length > 0) {
        pool.free(remove(below(addresses.length)));
      }
      if (pool.elementSize !== size) throw new Error("elementSize is wrong");
      if (pool.outstanding !== live.size) throw new Error(`${pool.outstanding} out, the model has ${live.size}`);
      if (pool.currNr + live.size < minNr) throw new Error("the guarantee is broken");
      if (i % 100 === 0) {
        // those of the old sizes that are out, and the new one
        const old = new Set([...live.values(), size]).size;
        const { epochs } = pool.stats();
        if (epochs < old) throw new Error(`${epochs} epochs, with elements of ${old} sizes out`);
        if (live.size === 0 && epochs !== 1) throw new Error(`${epochs} epochs with nothing out`);
      }
      if (i % 500 === 0) {
        expectDisjoint([...live]);
        expectSound(heap);
      }
    }
    expectDisjoint([...live]);
    while (addresses.length > 0) pool.free(remove(below(addresses.length)));
    if (pool.stats().epochs !== 1) throw new Error("an old size is still there");
    pool.exit();
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 8192);
    expectSound(heap);
  }
}

const sharedHeap = (): Heap => builds.find(({ name }) => name === "shared")!.heap({ initial: MIB, maximum: 8 * MIB });

describe("reshape, with several threads", () => {
  type Kept = typeof globalThis & { pool: Pool; held: number[] };

  test("another thread's old elements stay, its next alloc has the new size, and it frees both", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 4);
    const thread = new Thread();
    const theirs = await thread.run(({ attach: join }, shared) => {
      const kept = globalThis as Kept;
      kept.pool = join(shared);
      kept.held = Array.from({ length: 50 }, () => kept.pool.alloc());
      // some in its cache
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
    // half here, half there
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

  test("a thread that attached without a callback cannot reshape, and one with a callback can", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 4);
    const thread = new Thread();
    const codes = await thread.run(({ attach: join }, shared) => {
      const there = join(shared);
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
      const there = join<number>(shared, { size: (data) => data * 2 });
      (globalThis as Kept).pool = there;
      there.reshape(64);
    }, pool.share());
    expect([pool.elementSize, pool.sizeOf(pool.alloc())]).toEqual([128, 128]);
    expect(await thread.run(() => (globalThis as Kept).pool.elementSize)).toBe(128);
    expectSound(heap);
  });

  test("a waiting thread is served with the new size", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 2, { maxNr: 2 });
    const thread = new Thread();
    await thread.run(({ attach: join }, shared) => {
      (globalThis as Kept).pool = join(shared);
    }, pool.share());
    const old = take(pool, 2);
    const waiting = thread.run(() => (globalThis as Kept).pool.allocWait(5000));
    await sleep(50);
    pool.reshape(200);
    const got = await waiting;
    expect(pool.sizeOf(got)).toBe(200);
    freeAll(pool, [got, ...old]);
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("threads that allocate and free while one reshapes keep every element whole", async () => {
    const heap = sharedHeap();
    const pool = poolOf(heap, 64, 16);
    const threads = [new Thread(), new Thread()];
    const running = threads.map((thread, seed) =>
      thread.run(
        async ({ attach: join }, shared, start) => {
          const there = join(shared);
          let state = start + 7;
          const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
          const held: [number, number, number][] = [];
          let allocs = 0;
          for (const end = performance.now() + 1200; performance.now() < end;) {
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
      ),
    );
    let reshapes = 0;
    const state = { isDone: false };
    const all = Promise.all(running).finally(() => (state.isDone = true));
    while (!state.isDone) {
      pool.reshape(8 + 8 * (reshapes++ % 50));
      await sleep(1);
    }
    for (const allocs of await all) expect(allocs).toBeGreaterThan(100);
    expect(reshapes).toBeGreaterThan(10);
    expect([pool.outstanding, pool.currNr, pool.stats().epochs]).toEqual([0, 16, 1]);
    expectSound(heap);
  });

  test("attach takes the pool as it is after a reshape", () => {
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
