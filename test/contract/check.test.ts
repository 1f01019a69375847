/** `heap.check()` is what most other tests rely on: it must find damage, and must survive it. */
import { beforeEach, describe, expect, test } from "vitest";
import { create, createArena, type Heap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { expectSound, fixedHeap, hex, PAGE, take } from "./helpers.ts";

/** Replacements of a word: a bit off, somewhat off, as large as can be, 0. */
const damages = (word: number): number[] => [word ^ 0x10, word + 64, 0xffffffff, 0];

describe.each(builds)("check: $name", (build) => {
  let heap: Heap;
  let pools: Pool[];
  let live: number[][];
  let good: Uint8Array;

  beforeEach(() => {
    heap = fixedHeap(build, 4 * PAGE);
    pools = [create({ heap, size: 64, minNr: 6 }), create({ heap, size: 1000, minNr: 2 })];
    live = pools.map((pool) => take(pool, 20));
    // elements are free in the slabs, and the reserve has been used
    pools.forEach((pool, i) => {
      const reserved = pool.allocPreallocated();
      pool.free(live[i]!.pop()!);
      pool.free(reserved);
    });
    createArena({ heap }).alloc(100);
    expectSound(heap);
    good = heap.u8.slice();
  });

  /** The byte addresses of words that are not 0 and not in outstanding elements. */
  function ownWords(): number[] {
    const taken = new Set<number>();
    pools.forEach((pool, i) => {
      for (const address of live[i]!) for (let at = 0; at < pool.elementSize; at += 4) taken.add(address + at);
    });
    const words: number[] = [];
    heap.u32.forEach((word, i) => {
      if (word !== 0 && !taken.has(4 * i)) words.push(4 * i);
    });
    return words;
  }

  /** Damages one word, checks the heap, and repairs the word. Returns an error of check as a string. */
  function checkDamaged(address: number, value: number): string[] | string {
    heap.u32[address / 4] = value;
    try {
      return heap.check();
    } catch (error) {
      return String(error);
    } finally {
      heap.u8.set(good);
    }
  }

  test("check names the damage", () => {
    const seen = new Set<number>();
    for (const address of ownWords()) {
      for (const value of damages(heap.u32[address / 4]!)) {
        const problems = checkDamaged(address, value);
        if (typeof problems === "string" || problems.length === 0) continue;
        seen.add(address);
        for (const problem of problems) expect(problem).toMatch(/\w+ \w+/);
      }
    }
    expect(seen.size).toBeGreaterThan(50);
    expectSound(heap);
  });

  test("check returns, whatever the damage", () => {
    const died: string[] = [];
    for (const address of ownWords()) {
      for (const value of damages(heap.u32[address / 4]!)) {
        const problems = checkDamaged(address, value);
        if (typeof problems === "string") died.push(`${hex(address)} = ${hex(value >>> 0)}: ${problems}`);
      }
    }
    expect(died).toEqual([]);
    expectSound(heap);
  });
});
