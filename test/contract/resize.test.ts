/** resize: the reserve becomes larger or smaller while elements are outstanding, and the guarantee holds meanwhile. */
import { describe, expect, test } from "vitest";
import { create, type Pool } from "../../src/index.ts";
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
  random,
  shuffle,
  stateOf,
  take,
  usedAfterTrim,
  withoutStacks,
  writeCanary,
} from "./helpers.ts";

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function expectGuarantee(pool: Pool): void {
  if (pool.currNr + pool.outstanding < pool.minNr) {
    throw new Error(`${pool.currNr} in reserve and ${pool.outstanding} out are less than ${pool.minNr}`);
  }
}

describe.each(builds)("resize: $name", (build) => {
  test("a grow fills the reserve", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const held = take(pool, 3);
    expect(pool.resize(50)).toBe(true);
    expect(pool.minNr).toBe(50);
    expect(pool.currNr).toBe(50);
    expect(pool.isSaturated).toBe(true);
    expect(pool.stats()).toMatchObject({ minNr: 50, currNr: 50, outstanding: 3 });
    faults(pool, { refuse: true });
    const all = drain(pool);
    expect(all.length).toBe(50);
    expect(new Set([...all, ...held]).size).toBe(53);
    freeAll(pool, [...all, ...held]);
    expect(pool.currNr).toBe(50);
    expectSound(heap);
  });

  test("a resize to the same number changes nothing", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 7 });
    const before = stateOf(heap, pool);
    expect(pool.resize(7)).toBe(true);
    expect(stateOf(heap, pool)).toEqual(before);
    expectSound(heap);
  });

  test("a grow that the backend refuses returns false", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const held = take(pool, 30);
    faults(pool, { refuse: true });
    expect(pool.resize(20)).toBe(false);
    expect(pool.minNr).toBe(20);
    expect(pool.currNr).toBe(4);
    expect(pool.isSaturated).toBe(false);
    expectGuarantee(pool);
    for (let i = 0; i < 16; i++) {
      pool.free(held.pop()!);
      expect(pool.currNr).toBe(5 + i);
    }
    expect(pool.isSaturated).toBe(true);
    freeAll(pool, held);
    expect(pool.currNr).toBe(20);
    expect(pool.resize(20)).toBe(true);
    expectSound(heap);
  });

  test("frees fill the reserve after a grow in a full heap", () => {
    const heap = fixedHeap(build, MIB);
    const greedy = new Greedy(heap);
    const pool = create({ heap, size: 5000, minNr: 4 });
    const held = drain(pool);
    expect(pool.currNr).toBe(0);
    held.forEach((address, i) => writeCanary(heap.memory, address, 5000, i));
    greedy.take();
    const before = stateOf(heap, pool);
    const outcome = (() => {
      try {
        return pool.resize(20);
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_NO_MEMORY" });
        return undefined;
      }
    })();
    expect(outcome).not.toBe(true);
    if (outcome === undefined) {
      expect(stateOf(heap, pool)).toEqual(before);
      greedy.release();
      // now there is memory for a table of so many, but not for the elements
      faults(pool, { refuse: true });
      expect(pool.resize(20)).toBe(false);
      faults(pool);
    }
    expect(pool.minNr).toBe(20);
    expectGuarantee(pool);
    held.forEach((address, i) => expectCanary(heap.memory, address, 5000, i));
    const last = held.splice(-20);
    for (let i = 0; i < 20; i++) {
      pool.free(last[i]!);
      expect(pool.currNr).toBe(i + 1);
    }
    freeAll(pool, held);
    expect(pool.isSaturated).toBe(true);
    expectSound(heap);
  });

  test("a grow for which maxNr leaves no room returns false", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 8 });
    const held = take(pool, 7);
    expect(pool.resize(8)).toBe(false);
    expect(pool.minNr).toBe(8);
    expect(pool.currNr + pool.outstanding).toBeLessThanOrEqual(8);
    expectGuarantee(pool);
    while (held.length > 0) {
      pool.free(held.pop()!);
      expectGuarantee(pool);
      expect(pool.currNr + pool.outstanding).toBeLessThanOrEqual(8);
    }
    expect(pool.currNr).toBe(8);
    expect(pool.isSaturated).toBe(true);
    expect(drain(pool).length).toBe(8);
    expectSound(heap);
  });

  test("a pool is resized to 0 and back", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 10 });
    const held = take(pool, 3);
    for (let round = 0; round < 20; round++) {
      expect(pool.resize(0)).toBe(true);
      expect([pool.minNr, pool.currNr, pool.isSaturated]).toEqual([0, 0, true]);
      expect(pool.allocPreallocated()).toBe(0);
      pool.free(held.pop()!);
      expect(pool.currNr).toBe(0);
      held.push(pool.alloc());
      faults(pool, { refuse: true });
      expect(pool.alloc()).toBe(0);
      faults(pool);
      expect(pool.resize(10)).toBe(true);
      expect([pool.minNr, pool.currNr, pool.isSaturated]).toEqual([10, 10, true]);
      expect(pool.outstanding).toBe(3);
    }
    freeAll(pool, held);
    expectSound(heap);
  });

  test("a pool made with minNr 0 grows", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    expect(pool.resize(3)).toBe(true);
    faults(pool, { refuse: true });
    expect(drain(pool).length).toBe(3);
    expectSound(heap);
  });

  test("a shrink gives memory back", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pool = create({ heap, size: 1000, minNr: 1 });
    const before = usedAfterTrim(heap);
    expect(pool.resize(3000)).toBe(true);
    expect(heap.stats().used).toBeGreaterThan(3_000_000);
    expect(pool.resize(1)).toBe(true);
    expect(pool.currNr).toBe(1);
    // one slab may be another than before, and the reserve's table need not shrink
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 32768);
    expectSound(heap);
  });

  test("a hundred grows and shrinks leave no memory behind", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pool = create({ heap, size: 300, minNr: 1 });
    pool.resize(4000);
    pool.resize(1);
    const before = usedAfterTrim(heap);
    for (let i = 1; i <= 100; i++) {
      expect(pool.resize(i * 40)).toBe(true);
      expect(pool.resize(i % 2)).toBe(true);
    }
    pool.resize(1);
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(before + 8192);
    pool.exit();
    expectSound(heap);
  });

  test("exit after grows returns all memory", () => {
    const heap = fixedHeap(build, 4 * MIB);
    create({ heap, size: 8, minNr: 1 }).exit();
    const before = usedAfterTrim(heap);
    for (const minNr of [0, 1, 100, 5000, 3]) {
      const pool = create({ heap, size: 100, minNr: 2 });
      pool.resize(minNr);
      pool.exit();
    }
    expect(usedAfterTrim(heap)).toBe(before);
    expectSound(heap);
  });

  test("outstanding elements stay as they are", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pool = create({ heap, size: 100, minNr: 5 });
    const held = take(pool, 200);
    held.forEach((address, i) => writeCanary(heap.memory, address, 100, i));
    const next = random(3);
    for (let i = 0; i < 200; i++) pool.resize(Math.floor(next() * 500));
    held.forEach((address, i) => expectCanary(heap.memory, address, 100, i));
    expect(pool.outstanding).toBe(200);
    freeAll(pool, shuffle(held, next));
    expect(pool.outstanding).toBe(0);
    expectSound(heap);
  });

  test("a bad argument is refused by name and value", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 3, maxNr: 10 });
    take(pool, 2);
    const before = stateOf(heap, pool);
    const bad: [unknown, string][] = [
      [NaN, "NaN"],
      [-1, "-1"],
      [1.5, "1.5"],
      [11, "11"],
      [2 ** 28 + 1, "268435457"],
      [2 ** 32, "4294967296"],
      [2 ** 32 + 3, "4294967299"],
      [Infinity, "Infinity"],
      [-Infinity, "-Infinity"],
      ["3", '"3"'],
      [undefined, "undefined"],
      [null, "null"],
      [3n, "3"],
      [true, "true"],
      [[3], "array"],
    ];
    for (const [value, shown] of bad) {
      const error = errorFrom(() => pool.resize(value as number));
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain("minNr");
      expect(error.message).toContain(shown);
      expect(stateOf(heap, pool)).toEqual(before);
    }
    expect(pool.resize(10)).toBe(false);
    expectSound(heap);
  });

  test("a reserve larger than any memory is ERR_NO_MEMORY", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 3 });
    const held = take(pool, 2);
    const before = stateOf(heap, pool);
    for (const minNr of [2 ** 28, 2 ** 27, 2 ** 20]) {
      expect(errorFrom(() => pool.resize(minNr)).code).toBe("ERR_NO_MEMORY");
      expect(stateOf(heap, pool)).toEqual(before);
    }
    freeAll(pool, held);
    expectSound(heap);
  });

  test("resize of a closed pool is ERR_CLOSED", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 3 });
    const held = take(pool, 2);
    pool.exit();
    for (const minNr of [0, 3, 10]) expect(codeOf(() => pool.resize(minNr))).toBe("ERR_CLOSED");
    freeAll(pool, held);
    expect(codeOf(() => pool.resize(5))).toBe("ERR_CLOSED");
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("a grow serves waiters once the backend can", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    faults(pool, { refuse: true });
    const held = drain(pool);
    expect(held.length).toBe(2);
    const order: number[] = [];
    const waiters = [0, 1, 2].map((i) =>
      pool.allocAsync().then((address) => {
        order.push(i);
        return address;
      }),
    );
    expect(pool.resize(4)).toBe(false);
    await sleep(5);
    expect(order).toEqual([]);
    faults(pool);
    pool.resize(6);
    const got = await Promise.all(waiters);
    expect(order).toEqual([0, 1, 2]);
    expect(new Set([...held, ...got]).size).toBe(5);
    expect(pool.minNr).toBe(6);
    expectGuarantee(pool);
    freeAll(pool, [...held, ...got]);
    expect(pool.currNr).toBe(6);
    expectSound(heap);
  });

  test("a grow serves a bulk request that waits", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    faults(pool, { refuse: true });
    const out = new Uint32Array(5);
    const bulk = pool.allocBulkAsync(out);
    await sleep(5);
    expect([...out]).toEqual([0, 0, 0, 0, 0]);
    faults(pool);
    pool.resize(10);
    await bulk;
    expect(new Set(out).size).toBe(5);
    pool.freeBulk(out);
    expect([pool.currNr, pool.outstanding]).toEqual([10, 0]);
    expectSound(heap);
  });

  test("200,000 random resizes, allocs and frees keep the guarantee", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    try {
      const next = random(seed);
      const heap = fixedHeap(build, 16 * MIB);
      const pool = create({ heap, size: 48, minNr: 5 });
      const live: number[] = [];
      const out = new Set<number>();
      let minNr = 5;
      for (let i = 0; i < 200_000; i++) {
        const what = next();
        if (what < 0.1) {
          minNr = Math.floor(next() ** 3 * 300);
          if (!pool.resize(minNr)) throw new Error("memory cannot be short");
          if (pool.currNr !== minNr) throw new Error(`${pool.currNr} in reserve, not ${minNr}`);
        } else if (what < 0.5 || live.length === 0) {
          const address = what < 0.2 ? pool.allocPreallocated() : pool.alloc();
          if (address === 0) {
            if (what >= 0.2) throw new Error("alloc failed with memory left");
          } else if (out.has(address)) throw new Error("an element was handed out twice");
          else {
            out.add(address);
            live.push(address);
          }
        } else {
          const at = Math.floor(next() * live.length);
          const address = live[at]!;
          live[at] = live.at(-1)!;
          live.pop();
          out.delete(address);
          pool.free(address);
        }
        if (pool.minNr !== minNr) throw new Error("minNr is not what was asked for");
        if (pool.outstanding !== live.length) throw new Error(`${pool.outstanding} out, the model has ${live.length}`);
        if (pool.currNr + live.length < minNr) throw new Error("the guarantee is broken");
        if (pool.currNr > minNr) throw new Error("more in reserve than minNr");
        if (i % 20_000 === 0) expectSound(heap);
      }
      freeAll(pool, live);
      pool.exit();
      expect(heap.stats().pools).toBe(0);
      expectSound(heap);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  });

  test("random resizes never exceed maxNr", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    try {
      const next = random(seed);
      const heap = fixedHeap(build, MIB);
      const pool = create({ heap, size: 48, minNr: 5, maxNr: 60 });
      const live: number[] = [];
      for (let i = 0; i < 30_000; i++) {
        const what = next();
        if (what < 0.1) {
          const minNr = Math.floor(next() * 61);
          const isFull = pool.resize(minNr);
          if (isFull !== pool.currNr >= minNr) throw new Error(`resize says ${isFull}`);
        } else if (what < 0.55) {
          const address = pool.alloc();
          if (address !== 0) live.push(address);
          else if (live.length < 60) throw new Error(`alloc failed with ${live.length} of 60 out`);
        } else if (live.length > 0) {
          pool.free(live.splice(Math.floor(next() * live.length), 1)[0]!);
        }
        if (pool.outstanding !== live.length) throw new Error("outstanding is wrong");
        if (pool.currNr + live.length > 60) throw new Error("more than maxNr");
        if (pool.currNr + live.length < pool.minNr) throw new Error("the guarantee is broken");
      }
      freeAll(pool, live);
      expect(drain(pool).length).toBe(60);
      expectSound(heap);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  });

  test("a refused page request leaves the old reserve whole, whichever it is", () => {
    withoutStacks(() => {
      for (const [size, from, to] of [
        [2000, 3, 60],
        [64, 10, 3000],
        [8, 2, 20_000],
        [60_000, 2, 9],
        [300, 500, 2],
      ] as const) {
        for (let nth = 1; ; nth++) {
          const heap = fixedHeap(build, 4 * MIB);
          const pool = create({ heap, size, minNr: from });
          const held = take(pool, 2);
          held.forEach((address, i) => writeCanary(heap.memory, address, size, i));
          const before = stateOf(heap, pool);
          faults(heap, { nth });
          const outcome = (() => {
            try {
              return pool.resize(to);
            } catch (error) {
              expect(error).toMatchObject({ code: "ERR_NO_MEMORY" });
              return undefined;
            }
          })();
          const asked = faults(heap);
          if (outcome === undefined) {
            expect(stateOf(heap, pool)).toEqual(before);
          } else {
            expect(pool.minNr).toBe(to);
            expect(pool.currNr).toBeGreaterThanOrEqual(Math.min(from, to));
            expect(outcome).toBe(pool.currNr === to);
          }
          expectSound(heap);
          held.forEach((address, i) => expectCanary(heap.memory, address, size, i));
          faults(pool, { refuse: true });
          const currNr = pool.currNr;
          const reserve = drain(pool);
          expect(reserve.length).toBe(currNr);
          freeAll(pool, [...reserve, ...held]);
          faults(pool);
          expect(pool.resize(to)).toBe(true);
          pool.exit();
          expectSound(heap);
          if (asked < nth) break;
          if (nth > 100) nth += nth >> 1;
        }
      }
    });
  });
});

test("a pool stays sound while two threads resize and use it", async () => {
  const heap = builds.find(({ isShared }) => isShared)!.heap({ initial: 8 * MIB, maximum: 8 * MIB });
  const pool = create({ heap, size: 64, minNr: 8 });
  const threads = [new Thread(), new Thread()];
  const results = await Promise.all(
    threads.map((thread, seed) =>
      thread.run(
        ({ attach }, shared, start) => {
          const there = attach(shared);
          let state = start + 1;
          const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
          const held: number[] = [];
          const codes: Record<string, number> = {};
          for (let i = 0; i < 20_000; i++) {
            if (i % 10 === 0) {
              let code: string;
              try {
                code = String(there.resize(Math.floor(next() * 100)));
              } catch (error) {
                code = (error as { code: string }).code;
              }
              codes[code] = (codes[code] ?? 0) + 1;
            }
            if (next() < 0.5 && held.length < 200) {
              const address = there.alloc();
              if (address === 0) codes["0"] = (codes["0"] ?? 0) + 1;
              else held.push(address);
            } else if (held.length > 0) there.free(held.pop()!);
          }
          for (const address of held) there.free(address);
          there.heap.detach();
          return codes;
        },
        pool.share(),
        seed,
      ),
    ),
  );
  for (const codes of results) {
    for (const code of Object.keys(codes)) expect(["true", "false", "0", "ERR_WOULD_BLOCK"]).toContain(code);
  }
  expect(pool.outstanding).toBe(0);
  expect(pool.resize(30)).toBe(true);
  expect(pool.currNr).toBe(30);
  expectSound(heap);
});
