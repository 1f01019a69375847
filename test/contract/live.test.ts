/** `pool.live()`: every outstanding element once, whatever the loop does meanwhile; and `pool.ptr`. */
import { describe, expect, test } from "vitest";
import { attach, create, createArena, createHeap, createSharedHeap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { Thread } from "../threads/helpers.ts";
import { drain, errorFrom, expectSound, fixedHeap, freeAll, KIB, MIB, random, shuffle, take } from "./helpers.ts";

const sorted = (addresses: Iterable<number>): number[] => [...addresses].toSorted((a, b) => a - b);

describe.each(builds)("live elements: $name", (build) => {
  test.each(["slab", "pages", "bump"] as const)(
    "of backend %s are visited in the order of their addresses",
    (backend) => {
      const heap = build.heap();
      for (const size of [1, 20, 64, 1000, 5000, 70_000]) {
        const pool = create({ heap, size, minNr: 3, backend });
        create({ heap, size, minNr: 3 }).alloc(); // elements of another pool lie between them
        expect([...pool.live()]).toEqual([]);
        const all = take(pool, size > 4096 ? 20 : 1000);
        expect([...pool.live()]).toEqual(sorted(all));
        const freed = all.filter((_, i) => i % 3 === 0);
        freeAll(pool, freed);
        expect([...pool.live()]).toEqual(sorted(all.filter((_, i) => i % 3 !== 0)));
        freeAll(pool, pool.live());
        expect([...pool.live()]).toEqual([]);
        expect(pool.outstanding).toBe(0);
      }
      expectSound(heap);
    },
  );

  test("of several sizes, after reshape, are all visited", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: (bytes: number) => bytes, data: 24, minNr: 4 });
    const old = take(pool, 300);
    pool.reshape(40);
    const fresh = take(pool, 300);
    expect([...pool.live()]).toEqual(sorted([...old, ...fresh]));
    freeAll(pool, old);
    expect([...pool.live()]).toEqual(sorted(fresh));
  });

  test("that the loop has freed are not visited", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const heap = fixedHeap(build, MIB);
      const next = random(seed);
      const pool = create({ heap, size: 1 + Math.floor(next() * 3000), minNr: 2 });
      const other = create({ heap, size: 1 + Math.floor(next() * 3000), minNr: 2 });
      const live = new Set(take(pool, 100));
      const visited = new Set<number>();
      for (const at of pool.live()) {
        expect(live.has(at)).toBe(true);
        expect(visited.has(at)).toBe(false);
        visited.add(at);
        // Slabs go back to pages, and another pool gets them.
        const some = shuffle([...live], next).slice(0, Math.floor(next() * 12));
        freeAll(pool, some);
        for (const each of some) live.delete(each);
        if (next() < 0.3) heap.trim();
        for (let i = next() * 10; i > 1; i--) other.alloc();
      }
      for (const at of live) expect(visited.has(at)).toBe(true);
      expectSound(heap);
    }
  });

  test("are no longer visited once their slab has another use", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 100, minNr: 0 });
    const all = take(pool, 2000);
    const arena = createArena({ heap, bytes: 4096 });
    let visited = 0;
    for (const at of pool.live()) {
      visited++;
      freeAll(pool, all);
      heap.trim();
      for (let block = 0, bytes = 64 * KIB; bytes >= 2 * KIB; bytes = block ? bytes : bytes / 2) {
        block = arena.alloc(bytes);
        if (block) heap.u8.fill(0xff, block, block + bytes);
      }
      expect(heap.u8[at]).toBe(0xff);
    }
    expect(visited).toBe(1);
  });

  test("are visited although the loop allocates, grows the memory, and reshapes", () => {
    const heap = build.heap({ initial: 256 * KIB, maximum: 64 * MIB });
    const pool = create({ heap, size: (bytes: number) => bytes, data: 100, minNr: 2 });
    const before = take(pool, 500);
    const visited = new Set<number>();
    let steps = 0;
    for (const at of pool.live()) {
      expect(visited.has(at)).toBe(false);
      visited.add(at);
      if (++steps % 50 === 0) pool.reshape(100 + steps);
      if (steps < 2000) pool.alloc();
      if (steps === 100) create({ heap, size: 8 * MIB, minNr: 1 });
      expect(pool.sizeOf(at)).toBeGreaterThanOrEqual(100);
    }
    for (const at of before) expect(visited.has(at)).toBe(true);
    expectSound(heap);
  });

  test("of a pool that ends in the loop are no longer visited", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const all = take(pool, 100);
    let steps = 0;
    pool.exit();
    for (const at of pool.live()) {
      steps++;
      if (at === all[10] || steps > 10) freeAll(pool, [...pool.live()]);
    }
    expect(steps).toBeLessThan(100);
    expect([...pool.live()]).toEqual([]);
    expectSound(heap);
  });

  test("in reserve or cached are not visited", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 20 });
    const prefill = pool.prefill(3)!;
    expect([...pool.live()].length).toBe(3);
    prefill.exit();
    expect([...pool.live()]).toEqual([]);
  });

  test("are visited by two loops at once, each at its own pace", () => {
    const pool = create({ heap: fixedHeap(build, MIB), size: 700, minNr: 0 });
    const all = take(pool, 40);
    const pairs: number[] = [];
    for (const a of pool.live()) for (const b of pool.live()) if (a < b) pairs.push(a);
    expect(pairs.length).toBe((all.length * (all.length - 1)) / 2);
  });

  test("a finished walk stays finished", () => {
    const pool = create({ heap: fixedHeap(build, MIB), size: 64, minNr: 0 });
    const walk = pool.live();
    expect(walk.next()).toBe(walk);
    expect(walk.next().done).toBe(true);
    pool.alloc();
    expect(walk.next().done).toBe(true);
  });

  test("of a backend of the caller's own are its numbers", () => {
    let last = 1000;
    const backend = { alloc: () => ++last, free: () => undefined };
    const pool: Pool = create({ heap: fixedHeap(build, MIB), size: 1, minNr: 2, backend });
    const all = take(pool, 30);
    pool.free(all[7]!);
    expect(sorted(pool.live())).toEqual(all.filter((_, i) => i !== 7));
  });

  test("ptr refuses the numbers that free refuses", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const other = create({ heap, size: 64, minNr: 2 });
    const [at, freed] = take(pool, 2) as [number, number];
    pool.free(freed);
    expect(pool.ptr(at)).toBe(at);
    const bad: [unknown, string][] = [
      [freed, "ERR_DOUBLE_FREE"],
      [at + 1, "ERR_MISALIGNED_FREE"],
      [at + 16, "ERR_INTERIOR_FREE"],
      [other.alloc(), "ERR_FOREIGN_FREE"],
      [0, "ERR_INVALID_ADDRESS"],
      [-1, "ERR_INVALID_ADDRESS"],
      ["8", "ERR_INVALID_ADDRESS"],
      [undefined, "ERR_INVALID_ADDRESS"],
    ];
    for (const [value, code] of bad) {
      const error = errorFrom(() => pool.ptr(value as number));
      expect([value, error.code]).toEqual([value, code]);
      expect(error.message).toMatch(/^ERR_\w+: ptr: .*pool "/);
    }
    expectSound(heap);
  });
});

test("a walk makes no garbage for each element", () => {
  const pool = createHeap().create({ size: 20, minNr: 0 });
  drain(pool, 100_000);
  const walk = () => {
    let sum = 0;
    for (const at of pool.live()) sum ^= at;
    return sum;
  };
  for (let i = 0; i < 30; i++) walk();
  // A result object for each element would be 4 MB. The compiler, a thread of its own, may come late.
  for (let i = 0, grown = -1; grown < 0 || grown >= 40_000; i++) {
    expect(i, `${grown} bytes`).toBeLessThan(2000);
    const before = process.memoryUsage().heapUsed;
    walk();
    grown = process.memoryUsage().heapUsed - before;
  }
});

test("a thread visits the elements of all threads", async () => {
  const heap = createSharedHeap({ maximum: 16 * MIB });
  const pool = heap.create({ size: 48, minNr: 4 });
  const mine = take(pool, 200);
  const thread = new Thread();
  const theirs = await thread.run(({ attach: join }, shared) => {
    const there = join(shared);
    return Array.from({ length: 200 }, () => there.alloc());
  }, pool.share());
  expect([...pool.live()]).toEqual(sorted([...mine, ...theirs]));
  expect(attach(pool.share())).toBe(pool);
  await thread.end();
});
