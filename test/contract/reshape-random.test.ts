/** Random reshapes against a model. */
import { describe, expect, test } from "vitest";
import { builds } from "../builds.ts";
import {
  expectCanary,
  expectDisjoint,
  expectSound,
  MIB,
  random,
  usedAfterTrim,
  writeCanary,
  type Build,
} from "./helpers.ts";
import { poolOf, idle } from "./reshape-helpers.ts";

describe.each(builds)("reshape, at random: $name", (build) => {
  test("random reshapes, resizes, allocs and frees agree with a model", () => {
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
        // the old sizes with outstanding elements, and the new one
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
