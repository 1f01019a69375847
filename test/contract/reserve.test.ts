/**
 * The guarantee: with the backend refusing everything, minNr users of a pool make progress for ever.
 * "You could delete the backend and it still works."
 */
import { describe, expect, test } from "vitest";
import { create, createArena, type Heap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  drain,
  errorFrom,
  expectCanary,
  expectSound,
  fixedHeap,
  freeAll,
  Greedy,
  MIB,
  PAGE,
  random,
  writeCanary,
} from "./helpers.ts";

/**
 * Takes every element that the pool has beyond its reserve, and keeps it: now only the guarantee can serve the pool's
 * users.
 */
function takeAllButTheReserve(pool: Pool): number[] {
  const squatters: number[] = [];
  for (;;) {
    const address = pool.alloc();
    expect(address).not.toBe(0);
    if (pool.currNr < pool.minNr) {
      pool.free(address);
      expect(pool.currNr).toBe(pool.minNr);
      return squatters;
    }
    squatters.push(address);
  }
}

/** As many users as the pool promised; each holds an element for a while, then frees it and allocates another. */
class Users {
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #held: number[];
  served = 0;

  constructor(heap: Heap, pool: Pool) {
    this.#heap = heap;
    this.#pool = pool;
    this.#held = Array.from({ length: pool.minNr }, () => 0);
  }

  /** One user takes its next step. */
  step(user: number): void {
    const { elementSize } = this.#pool;
    const address = this.#held[user]!;
    if (address === 0) {
      const taken = this.#pool.alloc();
      if (taken === 0) {
        throw new Error(
          `user ${user} got nothing after ${this.served} elements: ${JSON.stringify(this.#pool.stats())}`,
        );
      }
      writeCanary(this.#heap.memory, taken, elementSize, user);
      this.#held[user] = taken;
      this.served++;
    } else {
      expectCanary(this.#heap.memory, address, elementSize, user);
      this.#pool.free(address);
      this.#held[user] = 0;
    }
    if (this.#pool.currNr + this.#pool.outstanding < this.#pool.minNr) throw new Error("the guarantee is broken");
  }

  stepAny(next: () => number): void {
    this.step(Math.floor(next() * this.#held.length));
  }
}

describe.each(builds)("the reserve: $name", (build) => {
  test.each([1, 2, 16])("serves %i users for thousands of rounds beside a greedy neighbour", (minNr) => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 200, minNr });
    const greedy = new Greedy(heap);
    greedy.take();
    const squatters = takeAllButTheReserve(pool);
    squatters.forEach((address, i) => writeCanary(heap.memory, address, 200, 100 + i));

    const users = new Users(heap, pool);
    const next = random(minNr);
    for (let round = 0; round < 5000; round++) {
      users.stepAny(next);
      // the neighbour tries again and again, and must not get reserved elements
      if (round % 50 === 0 && greedy.take() !== 0) throw new Error(`the neighbour took memory in round ${round}`);
    }
    // all users at once, the most that was promised
    for (let user = 0; user < minNr; user++) users.step(user);
    expect(users.served).toBeGreaterThan(2000);
    expect(pool.stats().reserveHits).toBeGreaterThan(2000);
    squatters.forEach((address, i) => expectCanary(heap.memory, address, 200, 100 + i));
    expectSound(heap);
  });

  test("serves the users of several pools in one full heap", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pools = (
      [
        [1, 64],
        [13, 9],
        [64, 5],
        [1000, 4],
        [5000, 3],
        [40_000, 4],
        [70_000, 2],
        [500_000, 2],
      ] as const
    ).map(([size, minNr]) => create({ heap, size, minNr }));
    const greedy = new Greedy(heap);
    const arena = createArena({ heap });
    greedy.take();
    for (const bytes of [PAGE, 4096, 64, 1]) while (arena.alloc(bytes, 1) !== 0);
    for (const pool of pools) takeAllButTheReserve(pool);
    const users = pools.map((pool) => new Users(heap, pool));
    const next = random(9);
    for (let round = 0; round < 6000; round++) {
      users[Math.floor(next() * users.length)]!.stepAny(next);
      if (round % 100 === 0) {
        greedy.take();
        arena.alloc(1, 1);
      }
    }
    for (const user of users) expect(user.served).toBeGreaterThan(200);
    expectSound(heap);
  });

  test("loses nothing to pools that begin and end", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 900, minNr: 8 });
    new Greedy(heap).take();
    const squatters = takeAllButTheReserve(pool);
    const users = new Users(heap, pool);
    const next = random(11);
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      users.stepAny(next);
      if (round % 20 === 0) {
        // the heap is full: this may fail, but only in the one way
        try {
          const other = create({ heap, size: 1 + (round % 3000), minNr: 1 });
          drain(other);
          other.exit();
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_NO_MEMORY" });
          refused++;
        }
        heap.trim();
      }
      // elements beyond the reserve are freed and taken again: that must not use the reserve up
      if (round % 7 === 0 && squatters.length > 0) pool.free(squatters.pop()!);
    }
    expect(refused).toBeGreaterThan(0);
    expectSound(heap);
  });

  test("loses nothing to a bulk that fails", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 900, minNr: 8 });
    new Greedy(heap).take();
    takeAllButTheReserve(pool);
    for (let i = 0; i < 100; i++) {
      expect(pool.allocBulk(new Uint32Array(9))).toBe(false);
      expect(pool.currNr).toBe(8);
    }
    const out = new Uint32Array(8);
    expect(pool.allocBulk(out)).toBe(true);
    expect(pool.currNr).toBe(0);
    expect(new Set(out).size).toBe(8);
    pool.freeBulk(out);
    expect(pool.currNr).toBe(8);
    expectSound(heap);
  });

  test("is full again with other elements than before", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 300, minNr: 6 });
    // many slabs, of which the later ones become empty: some of their elements are in the reserve then
    const early = drain(pool, 500);
    const reserve = [1, 2, 3, 4, 5, 6].map(() => pool.allocPreallocated());
    const late = drain(pool, 1500);
    freeAll(pool, late);
    expect(pool.currNr).toBe(6);
    freeAll(pool, reserve);
    heap.trim();
    const greedy = new Greedy(heap);
    greedy.take();
    freeAll(pool, early);
    heap.trim();
    greedy.take();
    takeAllButTheReserve(pool);
    const users = new Users(heap, pool);
    const next = random(12);
    for (let round = 0; round < 3000; round++) users.stepAny(next);
    greedy.release();
    for (let round = 0; round < 1000; round++) users.stepAny(next);
    expectSound(heap);
  });

  test("is made in full or not at all", () => {
    const heap = fixedHeap(build, MIB);
    // find the largest reserve that fits, then check that all of it can be allocated
    let [fits, tooMany] = [1, Math.ceil(MIB / 5000) + 1];
    while (tooMany - fits > 1) {
      const minNr = Math.floor((fits + tooMany) / 2);
      try {
        create({ heap, size: 5000, minNr }).exit();
        fits = minNr;
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_NO_MEMORY" });
        tooMany = minNr;
      }
    }
    expect(fits * 5000).toBeGreaterThan(0.85 * MIB);
    const greedyFirst = new Greedy(heap, [16]);
    expect(errorFrom(() => create({ heap, size: 5000, minNr: tooMany })).code).toBe("ERR_NO_MEMORY");
    for (const greedy of greedyFirst.pools) greedy.exit();
    const pool = create({ heap, size: 5000, minNr: fits });
    expect(drain(pool).length).toBeGreaterThanOrEqual(fits);
    expectSound(heap);
  });
});
