/** Faults on request: repeatable by their seed; the reserve's promise holds meanwhile. */
import { describe, expect, test } from "vitest";
import { create, createArena, type Heap, type Pool } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import { Thread } from "../threads/helpers.ts";
import {
  codeOf,
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
  shuffle,
  take,
  writeCanary,
  type Build,
} from "./helpers.ts";

/** The allocs that are served, of `count` allocs of a pool without a reserve. */
function served(pool: Pool, count: number): string {
  let list = "";
  for (let i = 0; i < count; i++) {
    const element = pool.alloc();
    list += element === 0 ? "-" : "+";
    pool.free(element);
  }
  return list;
}

/** Users of a pool's reserve: each holds an element for a while, then frees it and allocates another. */
class Users {
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #held: number[];
  readonly #how: (pool: Pool) => number;
  served = 0;

  constructor(heap: Heap, pool: Pool, how: (pool: Pool) => number = (each) => each.alloc()) {
    this.#heap = heap;
    this.#pool = pool;
    this.#how = how;
    this.#held = Array.from({ length: pool.minNr }, () => 0);
  }

  step(user: number): void {
    const { elementSize } = this.#pool;
    const address = this.#held[user]!;
    if (address === 0) {
      const taken = this.#how(this.#pool);
      if (taken === 0) throw new Error(`user ${user} got nothing after ${this.served} elements`);
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

  run(rounds: number, seed: number): void {
    const next = random(seed);
    for (let i = 0; i < rounds; i++) this.step(Math.floor(next() * this.#held.length));
    for (const [user, address] of this.#held.entries()) if (address === 0) this.step(user);
    for (const user of this.#held.keys()) this.step(user);
  }
}

/** The arenas that can be made, of sixty, with faults by this seed. */
function arenas(build: Build, seed: number): string {
  const heap = fixedHeap(build, MIB);
  faults(heap, { probability: 0.4, seed });
  let list = "";
  for (let i = 0; i < 60; i++) {
    const arena = (() => {
      try {
        return createArena({ heap, bytes: 4096 });
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_NO_MEMORY" });
        return undefined;
      }
    })();
    list += arena ? "+" : "-";
    arena?.exit();
  }
  expect(faults(heap)).toBeGreaterThanOrEqual(60);
  expectSound(heap);
  return list;
}

describe.each(builds)("faults: $name", (build) => {
  test("nth refuses exactly that call", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    served(pool, 10);
    for (const nth of [1, 2, 7, 40]) {
      faults(pool, { nth });
      expect(served(pool, 40)).toBe(`${"+".repeat(nth - 1)}-${"+".repeat(40 - nth)}`);
      expect(faults(pool)).toBeGreaterThanOrEqual(40);
    }
    expect(faults(pool)).toBe(0);
    expectSound(heap);
  });

  test("a new nth counts from 1 again", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    faults(pool, { nth: 5 });
    expect(served(pool, 3)).toBe("+++");
    expect(faults(pool, { nth: 5 })).toBe(3);
    expect(served(pool, 6)).toBe("++++-+");
    faults(pool);
    expectSound(heap);
  });

  test("the same seed refuses the same calls", () => {
    const heap = fixedHeap(build, MIB);
    const run = (seed: number | undefined, probability = 0.3): string => {
      const pool = create({ heap, size: 64, minNr: 0 });
      faults(pool, seed === undefined ? { probability } : { probability, seed });
      const list = served(pool, 2000);
      pool.exit();
      return list;
    };
    const first = run(1);
    expect(run(1)).toBe(first);
    expect(run(2)).not.toBe(first);
    expect(run(undefined)).toBe(run(0));
    expect(run(2 ** 32 - 1)).toBe(run(2 ** 32 - 1));
    const refused = first.split("-").length - 1;
    // 600, and some five standard deviations
    expect(refused).toBeGreaterThan(450);
    expect(refused).toBeLessThan(750);
    const lists = Array.from({ length: 20 }, (_, seed) => run(seed, 0.5));
    expect(new Set(lists).size).toBe(20);
    expect(run(5, 0)).toBe("+".repeat(2000));
    expect(run(5, 1)).toBe("-".repeat(2000));
    expectSound(heap);
  });

  test("faults with the same seed restart the sequence", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    faults(pool, { probability: 0.5, seed: 77 });
    const first = served(pool, 300);
    faults(pool, { probability: 0.5, seed: 77 });
    expect(served(pool, 300)).toBe(first);
    faults(pool);
    expect(served(pool, 300)).toBe("+".repeat(300));
    expectSound(heap);
  });

  test("the reserve serves a refused call", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    faults(pool, { refuse: true });
    const held = drain(pool);
    expect(held.length).toBe(4);
    expect(pool.stats()).toMatchObject({ reserveHits: 4, failures: 1, slabHits: 0 });
    faults(pool);
    held.push(...take(pool, 10));
    expect(pool.stats()).toMatchObject({ reserveHits: 4, slabHits: 10 });
    freeAll(pool, held);
    expect(pool.currNr).toBe(4);
    expectSound(heap);
  });

  test("no thread caches elements while faults are set", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    freeAll(pool, take(pool, 100));
    faults(pool, { probability: 0 });
    faults(pool, { refuse: true });
    expect(drain(pool).length).toBe(4);
    expect(pool.stats().cached).toBe(0);
    expectSound(heap);
  });

  test("elements freed while the backend is refused are not allocated again", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const held = take(pool, 50);
    faults(pool, { refuse: true });
    freeAll(pool, held);
    expect(drain(pool).length).toBe(4);
    expectSound(heap);
  });

  test("a refused backend is a lack of memory to create, resize and reshape", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: (bytes: number) => bytes, data: 64, minNr: 4 });
    faults(pool, { refuse: true });
    expect(pool.resize(10)).toBe(false);
    expect(codeOf(() => pool.reshape(128))).toBe("ERR_NO_MEMORY");
    expect([pool.minNr, pool.currNr, pool.elementSize]).toEqual([10, 4, 64]);
    faults(pool);
    faults(heap, { refuse: true });
    expect(codeOf(() => create({ heap, size: 5000, minNr: 50 }))).toBe("ERR_NO_MEMORY");
    expect(codeOf(() => createArena({ heap }))).toBe("ERR_NO_MEMORY");
    faults(heap);
    expect(pool.resize(10)).toBe(true);
    create({ heap, size: 5000, minNr: 50 }).exit();
    expectSound(heap);
  });

  test("faults of a heap refuse all pages", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const held = take(pool, 3);
    const { used } = heap.stats();
    faults(heap, { refuse: true });
    const more = drain(pool);
    expect(more.length).toBeGreaterThanOrEqual(4);
    expect(heap.stats().used).toBeLessThanOrEqual(used);
    expect(faults(heap)).toBeGreaterThan(0);
    held.push(...more, ...take(pool, 1000));
    freeAll(pool, held);
    expect(faults(heap)).toBe(0);
    expectSound(heap);
  });

  test("faults of a heap repeat by their seed", () => {
    const first = arenas(build, 3);
    expect(first).toContain("+");
    expect(first).toContain("-");
    expect(arenas(build, 3)).toBe(first);
    expect(arenas(build, 4)).not.toBe(first);
  });

  test("the option growth limits the growth of the memory", () => {
    if (build.name === "region") return;
    const heap = build.heap({ initial: 4 * PAGE, maximum: 64 * PAGE });
    const pool = create({ heap, size: 4000, minNr: 2 });
    faults(heap, { growth: 0 });
    const { bytes } = heap.stats();
    const held = drain(pool);
    expect(heap.stats().bytes).toBe(bytes);
    expect(heap.stats().grows).toBe(0);
    expect(codeOf(() => create({ heap, size: 100_000, minNr: 10 }))).toBe("ERR_NO_MEMORY");
    faults(heap, { growth: 2 });
    held.push(...drain(pool));
    expect(heap.stats().bytes).toBeLessThanOrEqual(bytes + 2 * PAGE);
    expect(heap.stats().bytes).toBeGreaterThan(bytes);
    faults(heap);
    held.push(...take(pool, 200));
    expect(heap.stats().bytes).toBeGreaterThan(bytes + 2 * PAGE);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("the reserve serves waiters while the backend is refused", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    faults(pool, { refuse: true });
    let rounds = 0;
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        for (let i = 0; i < 50; i++) {
          const element = await pool.allocAsync({ timeout: 60_000 });
          if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
          pool.free(element);
          rounds++;
        }
      }),
    );
    expect(rounds).toBe(300);
    expect([pool.currNr, pool.outstanding]).toEqual([2, 0]);
    expectSound(heap);
  });

  test("bad options are refused by name and value", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    const bad: [object, string, string][] = [
      [{ refuse: 1 }, "refuse", "1"],
      [{ refuse: null }, "refuse", "null"],
      [{ nth: -1 }, "nth", "-1"],
      [{ nth: 1.5 }, "nth", "1.5"],
      [{ nth: NaN }, "nth", "NaN"],
      [{ nth: 2 ** 32 }, "nth", "4294967296"],
      [{ nth: "1" }, "nth", '"1"'],
      [{ probability: -0.1 }, "probability", "-0.1"],
      [{ probability: 1.1 }, "probability", "1.1"],
      [{ probability: NaN }, "probability", "NaN"],
      [{ probability: "0.5" }, "probability", '"0.5"'],
      [{ probability: 0.5, seed: -1 }, "seed", "-1"],
      [{ probability: 0.5, seed: 2 ** 32 }, "seed", "4294967296"],
      [{ probability: 0.5, seed: 0.5 }, "seed", "0.5"],
      [{ often: true }, "often", "true"],
    ];
    faults(pool, { refuse: true });
    faults(heap, { nth: 1_000_000 });
    for (const [options, name, value] of bad) {
      for (const call of [() => faults(pool, options), () => faults(heap, options)]) {
        let code = "none";
        let message = "";
        try {
          call();
        } catch (error) {
          ({ code, message } = error as { code: string; message: string });
        }
        expect([JSON.stringify(options), code]).toEqual([JSON.stringify(options), "ERR_INVALID_ARGUMENT"]);
        expect(message).toContain(name);
        expect(message).toContain(value);
      }
      expect(pool.alloc()).toBe(0);
    }
    for (const value of [null, 5, "refuse", true]) {
      expect(codeOf(() => faults(pool, value as never))).toBe("ERR_INVALID_ARGUMENT");
      expect(codeOf(() => faults(heap, value as never))).toBe("ERR_INVALID_ARGUMENT");
    }
    expect(errorFrom(() => faults(pool, { growth: 1 } as never)).message).toContain("growth");
    for (const growth of [-1, 1.5, NaN, "1", 2 ** 32]) {
      expect(errorFrom(() => faults(heap, { growth: growth as number })).message).toContain("growth");
    }
    expect(pool.alloc()).toBe(0);
    faults(pool);
    faults(heap);
    expect(pool.alloc()).not.toBe(0);
    expectSound(heap);
  });

  test("nth 0 is refused", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    for (const call of [() => faults(pool, { nth: 0 }), () => faults(heap, { nth: 0 })]) {
      expect(codeOf(call)).toBe("ERR_INVALID_ARGUMENT");
    }
    expectSound(heap);
  });

  test("faults of a closed pool are ERR_CLOSED", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const element = pool.alloc();
    faults(pool, { refuse: true });
    pool.exit();
    expect(codeOf(() => faults(pool))).toBe("ERR_CLOSED");
    expect(codeOf(() => faults(pool, { refuse: true }))).toBe("ERR_CLOSED");
    pool.free(element);
    expect(heap.stats().pools).toBe(0);
    // the next pool, perhaps at the same address, has no faults
    const next = create({ heap, size: 64, minNr: 0 });
    expect(next.alloc()).not.toBe(0);
    expectSound(heap);
  });
});

describe.each(builds)("the reserve with the backend refused: $name", (build) => {
  test.each([1, 2, 16])("serves %i users for ten thousand rounds", (minNr) => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 200, minNr });
    faults(pool, { refuse: true });
    const users = new Users(heap, pool);
    users.run(10_000, minNr);
    expect(users.served).toBeGreaterThan(4000);
    expect(pool.stats()).toMatchObject({ slabHits: 0, failures: 0, currNr: minNr, outstanding: 0 });
    expect(faults(pool)).toBeGreaterThanOrEqual(users.served);
    expectSound(heap);
  });

  test("serves users of every way to allocate", () => {
    const heap = fixedHeap(build, MIB);
    const out = new Uint32Array(1);
    const ways: ((pool: Pool) => number)[] = [
      (pool) => pool.allocPreallocated(),
      (pool) => pool.allocWait({ timeout: 0 }),
      (pool) => (pool.allocBulk(out) ? out[0]! : 0),
      (pool) => pool.prefill(1)!.alloc(),
    ];
    for (const [i, way] of ways.entries()) {
      const pool = create({ heap, size: 72, minNr: 5, zero: i % 2 === 0 });
      faults(pool, { refuse: true });
      const users = new Users(heap, pool, way);
      users.run(2000, i);
      expect(users.served).toBeGreaterThan(900);
      pool.exit();
    }
    expectSound(heap);
  });

  test.each([
    ["slab", {}],
    ["pages", { backend: "pages" }],
    ["bump", { backend: "bump" }],
    ["slab, capped", { maxNr: 6 }],
    ["slab, after a resize", { resize: true }],
  ] as const)(
    "serves users of a pool on %s",
    (_name, options: { backend?: "pages" | "bump"; maxNr?: number; resize?: boolean }) => {
      const heap = fixedHeap(build, MIB);
      const { resize, ...rest } = options;
      const pool = create({ heap, size: 200, minNr: resize ? 1 : 6, ...rest });
      if (resize) pool.resize(6);
      const squatters = resize ? take(pool, 10) : [];
      faults(pool, { refuse: true });
      new Users(heap, pool).run(10_000, 6);
      freeAll(pool, squatters);
      expect([pool.currNr, pool.outstanding]).toEqual([6, 0]);
      expectSound(heap);
    },
  );

  test("serves users of a reshaped pool while old elements are freed", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: (bytes: number) => bytes, data: 64, minNr: 6 });
    const old = take(pool, 30);
    pool.reshape(200);
    faults(pool, { refuse: true });
    const users = new Users(heap, pool);
    users.run(2000, 1);
    for (const address of old) {
      pool.free(address);
      users.run(50, address);
    }
    expect([pool.currNr, pool.outstanding, pool.stats().epochs]).toEqual([6, 0, 1]);
    expectSound(heap);
  });

  test("serves users of an external backend", () => {
    const heap = fixedHeap(build, MIB);
    let last = 0;
    const pool = create({ heap, size: 8, minNr: 6, backend: { alloc: () => ++last, free: () => {} } });
    faults(pool, { refuse: true });
    const held: number[] = [];
    const next = random(6);
    for (let i = 0; i < 10_000; i++) {
      if (held.length < 6 && next() < 0.5) {
        const element = pool.alloc();
        if (element === 0) throw new Error("a user got nothing");
        held.push(element);
      } else if (held.length > 0) pool.free(shuffle(held, next).pop()!);
    }
    expect(last).toBe(6);
    freeAll(pool, held);
    expectSound(heap);
  });

  test("loses nothing to pools that begin and end in a full heap", () => {
    const heap = fixedHeap(build, MIB);
    const pools = [8, 200, 5000].map((size) => create({ heap, size, minNr: 3 }));
    const greedy = new Greedy(heap);
    for (const pool of pools) faults(pool, { refuse: true });
    greedy.take();
    for (let round = 0; round < 20; round++) {
      for (const pool of pools) new Users(heap, pool).run(100, round);
      expect(["none", "ERR_NO_MEMORY"]).toContain(codeOf(() => create({ heap, size: 100, minNr: 1 }).exit()));
      heap.trim();
      greedy.take();
    }
    for (const pool of pools) expect([pool.currNr, pool.stats().failures]).toEqual([3, 0]);
    expectSound(heap);
  });

  test("loses nothing to a bulk that fails", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 900, minNr: 8 });
    faults(pool, { refuse: true });
    for (let i = 0; i < 100; i++) {
      expect(pool.allocBulk(new Uint32Array(9))).toBe(false);
      expect(pool.currNr).toBe(8);
    }
    const out = new Uint32Array(8);
    expect(pool.allocBulk(out)).toBe(true);
    expect([pool.currNr, new Set(out).size]).toEqual([0, 8]);
    pool.freeBulk(out);
    expect(pool.currNr).toBe(8);
    expectSound(heap);
  });
});

test("faults that one thread sets apply to all threads", async () => {
  const heap = builds.find(({ isShared }) => isShared)!.heap({ initial: MIB, maximum: MIB });
  const pool = create({ heap, size: 64, minNr: 6 });
  const threads = [new Thread(), new Thread()];
  type Kept = typeof globalThis & { pool: Pool };
  await Promise.all(
    threads.map((thread) =>
      thread.run(({ attach }, shared) => {
        const there = ((globalThis as Kept).pool = attach(shared));
        // so that elements are cached
        const held = Array.from({ length: 50 }, () => there.alloc());
        for (const address of held) there.free(address);
      }, pool.share()),
    ),
  );
  faults(pool, { refuse: true });
  const before = pool.stats().slabHits;
  const rounds = await Promise.all(
    threads.map((thread) =>
      thread.run(() => {
        const { pool: there } = globalThis as Kept;
        let round = 0;
        for (; round < 3000; round++) {
          const held = [there.alloc(), there.alloc(), there.alloc()];
          if (held.includes(0)) throw new Error(`a user got nothing in round ${round}`);
          for (const address of held) there.free(address);
        }
        return round;
      }),
    ),
  );
  expect(rounds).toEqual([3000, 3000]);
  expect(pool.stats()).toMatchObject({ slabHits: before, failures: 0, outstanding: 0, currNr: 6 });
  expect(drain(pool).length).toBe(6);
  expectSound(heap);
});
