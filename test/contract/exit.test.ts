/** exit refuses new allocations, keeps outstanding elements valid, and returns all memory when the last one is freed. */
import { describe, expect, test } from "vitest";
import { create, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
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

/** Whether the pool's `closed` is resolved now. */
async function isClosed(pool: Pool): Promise<boolean> {
  let closed = false;
  void pool.closed.then(() => (closed = true));
  await new Promise((resolve) => setImmediate(resolve));
  return closed;
}

function expectRefusesAllocs(pool: Pool): void {
  const out = new Uint32Array(4).fill(7);
  expect(codeOf(() => pool.alloc())).toBe("ERR_CLOSED");
  expect(codeOf(() => pool.allocPreallocated())).toBe("ERR_CLOSED");
  expect(codeOf(() => pool.allocBulk(out))).toBe("ERR_CLOSED");
  expect([...out]).toEqual([7, 7, 7, 7]);
}

describe.each(builds)("exit: $name", (build) => {
  test("a pool without outstanding elements ends at once", async () => {
    const heap = fixedHeap(build, MIB);
    create({ heap, size: 64, minNr: 4 }).exit();
    const idle = usedAfterTrim(heap);
    const pool = create({ heap, size: 5000, minNr: 40 });
    expect(heap.stats().used - idle).toBeGreaterThanOrEqual(200_000);
    expect(await isClosed(pool)).toBe(false);
    pool.exit();
    expect(heap.stats().pools).toBe(0);
    expect(usedAfterTrim(heap)).toBe(idle);
    expect(await isClosed(pool)).toBe(true);
    await expect(pool.closed).resolves.toBeUndefined();
    expectRefusesAllocs(pool);
    expectSound(heap);
  });

  test("a pool with outstanding elements ends when the last one is freed", async () => {
    const heap = fixedHeap(build, MIB);
    create({ heap, size: 64, minNr: 4 }).exit();
    const idle = usedAfterTrim(heap);
    const pool = create({ heap, size: 200, minNr: 4 });
    const live = shuffle(take(pool, 300), random(1));
    live.forEach((address, i) => writeCanary(heap.memory, address, 200, i));
    pool.exit();
    expect(pool.outstanding).toBe(300);
    expectRefusesAllocs(pool);
    expectSound(heap);

    // a new pool takes free memory, and no outstanding element
    const newcomer = create({ heap, size: 200, minNr: 2 });
    const theirs = drain(newcomer);
    expectElements(heap, [...live, ...theirs], 200, 8);
    theirs.forEach((address) => heap.u8.fill(0xff, address, address + 200));

    for (let i = 0; i < live.length; i++) {
      expect(heap.stats().pools).toBe(2);
      expectCanary(heap.memory, live[i]!, 200, i);
      if (i === live.length - 1) expect(await isClosed(pool)).toBe(false);
      pool.free(live[i]!);
      expect(pool.outstanding).toBe(live.length - 1 - i);
    }
    expect(await isClosed(pool)).toBe(true);
    expect(heap.stats().pools).toBe(1);
    freeAll(newcomer, theirs);
    newcomer.exit();
    expect(usedAfterTrim(heap)).toBe(idle);
    expectSound(heap);
  });

  test("after exit, free of anything but an outstanding element is ERR_CLOSED", () => {
    const heap = fixedHeap(build, MIB);
    const other = create({ heap, size: 64, minNr: 2 });
    const theirs = take(other, 5);
    const pool = create({ heap, size: 64, minNr: 2 });
    const [first, second, third] = take(pool, 3) as [number, number, number];
    pool.free(third);
    pool.exit();
    const bad: unknown[] = [third, first + 16, first + 1, theirs[0], 5 * MIB, 2 ** 32 - 16, 8];
    for (const [, value] of nonAddresses(first)) bad.push(value);
    const before = stateOf(heap, pool, other);
    for (const value of bad) expect(freeCode(pool, value)).toBe("ERR_CLOSED");
    expect(codeOf(() => pool.freeBulk(Uint32Array.of(first, third)))).toBe("ERR_CLOSED");
    expect(stateOf(heap, pool, other)).toEqual(before);
    pool.free(0);
    pool.free(first);
    expect(freeCode(pool, first)).toBe("ERR_CLOSED");
    pool.freeBulk(Uint32Array.of(second));
    for (const value of [first, second, ...bad]) expect(freeCode(pool, value)).toBe("ERR_CLOSED");
    pool.free(0);
    freeAll(other, theirs);
    expectSound(heap);
  });

  test("a refused free of a closed pool returns no memory", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 4000, minNr: 0 });
    const elements = shuffle(take(pool, 200), random(3));
    pool.exit();
    // Slabs become empty here and there; a search of all comes only now and then.
    while (elements.length > 1) {
      const element = elements.pop()!;
      pool.free(element);
      const before = stateOf(heap, pool);
      expect(freeCode(pool, element)).toBe("ERR_CLOSED");
      expect(stateOf(heap, pool)).toEqual(before);
    }
    freeAll(pool, elements);
    expectSound(heap);
  });

  test("an element of an exited pool is foreign to the others", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const other = create({ heap, size: 64, minNr: 2 });
    const address = pool.alloc();
    pool.exit();
    expect(freeCode(other, address)).toBe("ERR_FOREIGN_FREE");
    pool.free(address);
    expect(["ERR_INVALID_ADDRESS", "ERR_FOREIGN_FREE"]).toContain(freeCode(other, address));
    expectSound(heap);
  });

  test("a second exit has no effect", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const address = pool.alloc();
    pool.exit();
    const before = stateOf(heap, pool);
    pool.exit();
    pool[Symbol.dispose]();
    expect(stateOf(heap, pool)).toEqual(before);
    pool.free(address);
    pool.exit();
    pool[Symbol.dispose]();
    expect(await isClosed(pool)).toBe(true);
    expect(heap.stats().pools).toBe(0);

    let kept: Pool;
    {
      using scoped = create({ heap, size: 64, minNr: 2 });
      kept = scoped;
      expect(heap.stats().pools).toBe(1);
    }
    expect(heap.stats().pools).toBe(0);
    expectRefusesAllocs(kept);
  });

  test("closed is always the same promise", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const early = pool.closed;
    expect(pool.closed).toBe(early);
    pool.exit();
    expect(pool.closed).toBe(early);
    await early;
  });

  test("an old handle never reaches a later pool", async () => {
    const heap = fixedHeap(build, MIB);
    const old: Pool[] = [];
    for (let i = 0; i < 50; i++) {
      const pool = create({ heap, size: 64, minNr: 2 });
      const addresses = take(pool, 10);
      pool.exit();
      freeAll(pool, addresses);
      old.push(pool);
    }
    // the new pools have the same shape, and most likely the same address
    const pools = Array.from({ length: 50 }, () => create({ heap, size: 64, minNr: 2 }));
    const live = pools.map((pool) => take(pool, 10));
    const before = stateOf(heap, ...pools);
    for (const pool of old) {
      expectRefusesAllocs(pool);
      for (const addresses of live) expect(freeCode(pool, addresses[3])).toBe("ERR_CLOSED");
      pool.exit();
      expect(pool.outstanding).toBe(0);
      expect(pool.currNr).toBe(0);
      pool.stats();
      expect(await isClosed(pool)).toBe(true);
    }
    expect(stateOf(heap, ...pools)).toEqual(before);
    pools.forEach((pool, i) => freeAll(pool, live[i]!));
    expectSound(heap);
  });

  test("pools with outstanding elements end in any order", async () => {
    const heap = fixedHeap(build, 4 * MIB);
    create({ heap, size: 64, minNr: 4 }).exit();
    const next = random(7);
    const pools = Array.from({ length: 60 }, (_, i) => create({ heap, size: 1 + i * 37, minNr: i % 4 }));
    const idleAtMost = 0.2 * MIB;
    const live: [pool: Pool, address: number, seed: number][] = [];
    for (const pool of pools) for (const address of take(pool, 12)) live.push([pool, address, live.length]);
    for (const [pool, address, seed] of live) writeCanary(heap.memory, address, pool.elementSize, seed);
    const exits = shuffle([...pools], next);
    for (const [pool, address, seed] of shuffle(live, next)) {
      if (next() < 0.1) exits.pop()?.exit();
      expectCanary(heap.memory, address, pool.elementSize, seed);
      pool.free(address);
    }
    for (const pool of exits) pool.exit();
    await Promise.all(pools.map((pool) => pool.closed));
    expect(heap.stats().pools).toBe(0);
    expect(usedAfterTrim(heap)).toBeLessThan(idleAtMost);
    expectSound(heap);
  });

  test("a closed pool's reserve serves other pools at once", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 10_000, minNr: 80 });
    const other = create({ heap, size: 10_000, minNr: 1 });
    const held = drain(other);
    expect(held.length).toBeLessThan(30);
    const address = pool.alloc() || pool.allocPreallocated();
    pool.exit();
    expect(drain(other).length).toBeGreaterThan(60);
    pool.free(address);
    expectSound(heap);
  });
});
