/** `zero: true`: every byte of every element, wherever the element comes from, and no byte beside it. */
import { describe, expect, test } from "vitest";
import { create } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  drain,
  expectCanary,
  expectSound,
  expectZero,
  fixedHeap,
  freeAll,
  Greedy,
  MIB,
  PAGE,
  random,
  shuffle,
  take,
  writeCanary,
} from "./helpers.ts";

/** Sizes just below and above a word, and beyond a page. */
const SIZES = [
  1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 127, 255, 1000, 4095, 4097, 70_001,
];

describe.each(builds)("zero: $name", (build) => {
  test("elements are zeroed at every alloc", () => {
    const heap = fixedHeap(build, 4 * MIB);
    for (const size of SIZES) {
      // align 1: elements are adjacent, so zeroing too many bytes would change the neighbour
      const pool = create({ heap, size, minNr: 3, align: 1, zero: true });
      const next = random(size);
      const live: [address: number, seed: number][] = [];
      for (let i = 0; i < 300; i++) {
        if (next() < 0.6 && live.length < 20) {
          const address = pool.alloc();
          expectZero(heap.memory, address, size);
          writeCanary(heap.memory, address, size, i);
          live.push([address, i]);
        } else if (live.length > 0) {
          const [address, seed] = live.splice(Math.floor(next() * live.length), 1)[0]!;
          expectCanary(heap.memory, address, size, seed);
          pool.free(address);
        }
      }
      for (const [address, seed] of live) expectCanary(heap.memory, address, size, seed);
      freeAll(
        pool,
        live.map(([address]) => address),
      );
      pool.exit();
    }
    expectSound(heap);
  });

  test("elements from the reserve are zeroed", () => {
    const heap = fixedHeap(build, MIB);
    for (const size of [5, 48, 3000]) {
      const pool = create({ heap, size, minNr: 8, zero: true });
      for (let round = 0; round < 3; round++) {
        const held: number[] = [];
        for (let i = 0; i < 8; i++) {
          const address = pool.allocPreallocated();
          expectZero(heap.memory, address, size);
          heap.u8.fill(0xff, address, address + size);
          held.push(address);
        }
        freeAll(pool, held);
      }
      const greedy = new Greedy(heap);
      greedy.take();
      const held = drain(pool);
      expect(pool.currNr).toBe(0);
      for (const address of held) {
        expectZero(heap.memory, address, size);
        heap.u8.fill(0xff, address, address + size);
      }
      freeAll(pool, held);
      for (const address of drain(pool)) expectZero(heap.memory, address, size);
      greedy.release();
      for (const neighbour of greedy.pools) neighbour.exit();
      expectSound(heap);
    }
  });

  test("allocBulk zeroes each element", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 77, minNr: 5, align: 1, zero: true });
    const out = new Uint32Array(300);
    for (let round = 0; round < 4; round++) {
      expect(pool.allocBulk(out)).toBe(true);
      for (const address of out) expectZero(heap.memory, address, 77);
      out.forEach((address, i) => writeCanary(heap.memory, address, 77, i));
      out.forEach((address, i) => expectCanary(heap.memory, address, 77, i));
      shuffle(out as unknown as number[], random(round));
      pool.freeBulk(out);
    }
  });

  test("memory that another pool made dirty is zeroed", () => {
    const heap = fixedHeap(build, MIB);
    const dirty = create({ heap, size: 1000, minNr: 0 });
    const held = drain(dirty);
    for (const address of held) heap.u8.fill(0xff, address, address + 1000);
    freeAll(dirty, held);
    dirty.exit();
    for (const size of [8, 300, 40_000]) {
      const pool = create({ heap, size, minNr: 1, zero: true });
      const addresses = drain(pool);
      expect(addresses.length * size).toBeGreaterThan(0.8 * MIB);
      for (const address of addresses) {
        expectZero(heap.memory, address, size);
        heap.u8.fill(0xff, address, address + size);
      }
      freeAll(pool, addresses);
      pool.exit();
    }
  });

  test("without zero, an element keeps its contents", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: PAGE, minNr: 1 });
    const [address] = take(pool, 1) as [number];
    writeCanary(heap.memory, address, PAGE, 1);
    take(pool, 2);
    heap.trim();
    expectCanary(heap.memory, address, PAGE, 1);
  });
});
