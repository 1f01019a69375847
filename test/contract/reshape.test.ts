/** reshape: the pool allocates elements of another size, and outstanding elements keep theirs. */
import { describe, expect, test } from "vitest";
import { create } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  createWith,
  drain,
  errorFrom,
  expectDisjoint,
  expectElements,
  expectSound,
  expectZero,
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
} from "./helpers.ts";
import { poolOf, Held, idle } from "./reshape-helpers.ts";

describe.each(builds)("reshape: $name", (build) => {
  test("new elements have the new size", () => {
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

  test("a reshape takes the pages that other pools do not use", () => {
    const heap = fixedHeap(build, MIB);
    // Its slots are two pages.
    const pool = poolOf(heap, 64, 2000);
    for (let i = 0; i < 60; i++) {
      const other = create({ heap, size: 64, minNr: 0 });
      other.free(other.alloc());
    }
    const rest = create({ heap, size: 64, minNr: 0 });
    while (heap.stats().largestFree > 4096 && rest.alloc());
    expect(rest.stats().reclaims).toBe(0);
    pool.reshape(72);
    expect([pool.elementSize, pool.currNr]).toEqual([72, 2000]);
    expectSound(heap);
  });

  test("a freed old element is never allocated as a new one", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const old = take(pool, 100);
    const keeper = old.pop()!;
    pool.reshape(72);
    for (const address of old) {
      pool.free(address);
      expect(pool.currNr).toBe(4);
    }
    // its slab may be used again, but only for elements of the new size, and not while an element of it is outstanding
    const fresh = drain(pool, 2000);
    for (const address of fresh) if (pool.sizeOf(address) !== 72) throw new Error("an old element was handed out");
    expectElements(heap, fresh, 72, 8);
    expectDisjoint([[keeper, 64], ...fresh.map((address) => [address, 72] as const)]);
    expect(pool.sizeOf(keeper)).toBe(64);
    freeAll(pool, [keeper, ...fresh]);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("a freed old element does not fill the new reserve", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const old = take(pool, 10);
    pool.reshape(128);
    faults(pool, { refuse: true });
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
    // so that old elements are cached, too
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
    const ticket = pool.prefill(3)!;
    fresh.push(ticket.alloc(), ticket.alloc(), ticket.alloc());
    expectElements(heap, fresh, 40, 8);
    for (const address of fresh) expect(pool.sizeOf(address)).toBe(40);
    freeAll(pool, [...before, ...fresh]);
    expectSound(heap);
  });

  test("an earlier prefill has elements of the old size", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const ticket = pool.prefill(3)!;
    pool.reshape(32);
    const held = ticket.alloc();
    expect(pool.sizeOf(held)).toBe(64);
    ticket.exit();
    expect([pool.outstanding, pool.stats().epochs]).toEqual([1, 2]);
    pool.free(held);
    expect(pool.stats().epochs).toBe(1);
    expectSound(heap);
  });

  test("old and new elements can be freed in any order", () => {
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

  test("bad frees of old elements have their codes", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 4);
    const other = poolOf(heap, 64, 4);
    // several elements of each slab stay outstanding, so that the slab still belongs to the pool
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

  test("bad frees of new elements have their codes", () => {
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

  test("memory of the old size returns to the heap with its last element", () => {
    const [heap] = idle(build, 4 * MIB);
    const pool = poolOf(heap, 1000, 4);
    const before = usedAfterTrim(heap);
    const old = take(pool, 3000);
    pool.reshape(1008);
    expect(heap.stats().used).toBeGreaterThan(2_900_000);
    freeAll(pool, old);
    expect(pool.stats().epochs).toBe(1);
    expect(heap.stats().used).toBeLessThan(before + 70_000);
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 16_384);
    expectSound(heap);
  });

  test("elements of many sizes can be outstanding at once", () => {
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

  test("ten thousand reshapes of an unused pool need no more memory than one", () => {
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

  test("a pool can return to a size of which elements are outstanding", () => {
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

  test("a reshape to the same size changes nothing", () => {
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

  test("reshape calls the callback once, with the data", () => {
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

  test("zero: true zeroes elements of both sizes", () => {
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

  test("old elements can be freed after exit", async () => {
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

  test("a waiter gets an element of the new size", async () => {
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

  test("with maxNr, every waiter gets an element of the new size", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 64, 2, { maxNr: 2 });
    const old = take(pool, 2);
    const waiters = Array.from({ length: 4 }, () => pool.allocAsync({ timeout: 60_000 }));
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

  test("sizeOf returns each element's own size", () => {
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

  test.each(["pages", "bump"] as const)("a pool with the backend %s can be reshaped", (backend) => {
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
});
