/**
 * Elements are the user's to fill, with anything: also with a perfect copy of the allocator's own structures. What
 * tells a good address from a bad one must not be read from allocated memory.
 */
import { describe, expect, test } from "vitest";
import { create, createArena, createHeap, type Heap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  drain,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  hex,
  MIB,
  PAGE,
  stateOf,
  take,
  withoutStacks,
} from "./helpers.ts";

/** The starts of the pages that are not all 0 and are in none of the ranges. */
function writtenPages(heap: Heap, ...except: (readonly [from: number, to: number])[]): number[] {
  const { u8 } = heap;
  const pages: number[] = [];
  for (let start = 0; start + PAGE <= u8.length; start += PAGE) {
    if (except.some(([from, to]) => start + PAGE > from && start < to)) continue;
    if (u8.subarray(start, start + PAGE).some((byte) => byte !== 0)) pages.push(start);
  }
  return pages;
}

/** Copies a page; pointers into it (`relocate`) are made to point into the copy, as a careful forger would. */
function forge(memory: WebAssembly.Memory, source: number, target: number, relocate: boolean): void {
  new Uint8Array(memory.buffer).copyWithin(target, source, source + PAGE);
  if (!relocate) return;
  const words = new Uint32Array(memory.buffer, target, PAGE / 4);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word >= source && word < source + PAGE) words[i] = word - source + target;
    // a page's number may be written down instead of its address
    else if (word === source / PAGE) words[i] = target / PAGE;
  }
}

describe.each(builds)("forged structures: $name", (build) => {
  test.each([false, true])("in a huge element and in an arena are ignored (pointers relocated: %s)", (relocate) => {
    const heap = fixedHeap(build, 6 * MIB);
    const small = create({ heap, size: 64, minNr: 2 });
    const packed = create({ heap, size: 24, minNr: 2, align: 1 });
    const medium = create({ heap, size: 20_000, minNr: 1 });
    const big = create({ heap, size: 2 * MIB, minNr: 0 });
    const pools = [small, packed, medium, big];
    const live = [take(small, 12), take(packed, 12), take(medium, 4), take(big, 1)];
    small.free(live[0]!.pop()!);
    const host = live[3]![0]!;
    const arena = createArena({ heap });
    const block = arena.alloc(MIB, 4096);
    expect(block).not.toBe(0);

    const before = stateOf(heap, ...pools);
    const places: [start: number, end: number, code: string][] = [
      [host, host + 2 * MIB, "ERR_FOREIGN_FREE"],
      [block, block + MIB, "ERR_INVALID_ADDRESS"],
    ];
    const sources = writtenPages(heap, [host, host + 2 * MIB], [block, block + MIB]);
    expect(sources.length).toBeGreaterThan(0);
    withoutStacks(() => {
      for (const [start, end, code] of places) {
        for (const source of sources) {
          for (let target = Math.ceil(start / PAGE) * PAGE; target + PAGE <= end; target += PAGE) {
            forge(heap.memory, source, target, relocate);
          }
          for (let target = Math.ceil(start / PAGE) * PAGE; target + PAGE <= end; target += PAGE) {
            for (const [i, pool] of [small, packed, medium].entries()) {
              for (const address of live[i]!) {
                const fake = target + (address % PAGE);
                const got = freeCode(pool, fake);
                if (got !== code) throw new Error(`${hex(fake)}, a copy of ${hex(address)}: ${got}`);
              }
            }
            const got = freeCode(big, target + 1024);
            const expected = code === "ERR_FOREIGN_FREE" && target + 1024 !== host ? "ERR_INTERIOR_FREE" : code;
            if (got !== expected) throw new Error(`${hex(target + 1024)} in the big pool: ${got}`);
          }
        }
      }
    });
    expect(stateOf(heap, ...pools)).toEqual(before);
    expectSound(heap);
    // no element is lost: each can be freed and allocated again
    arena.exit();
    pools.forEach((pool, i) => freeAll(pool, live[i]!));
    pools.forEach((pool, i) => expectElements(heap, take(pool, live[i]!.length), pool.elementSize, pool.align));
    expectSound(heap);
  });

  test("in memory that returned to the heap are ignored", () => {
    const heap = fixedHeap(build, 6 * MIB);
    const small = create({ heap, size: 64, minNr: 2 });
    const live = take(small, 12);
    const big = create({ heap, size: 2 * MIB, minNr: 0 });
    const host = big.alloc();
    const pages = writtenPages(heap, [host, host + 2 * MIB]);
    const inside: number[] = [];
    for (let target = Math.ceil(host / PAGE) * PAGE; target + PAGE <= host + 2 * MIB; target += PAGE) {
      forge(heap.memory, pages[(target / PAGE) % pages.length]!, target, true);
      inside.push(target);
    }
    big.free(host);
    big.exit();
    heap.trim();
    expectSound(heap);
    const before = stateOf(heap, small);
    for (const target of inside) {
      for (const address of live) expect(freeCode(small, target + (address % PAGE))).toBe("ERR_INVALID_ADDRESS");
    }
    expect(stateOf(heap, small)).toEqual(before);
    // now the forged pages become slabs and arenas of new pools: the core must ignore their contents
    const pools = [64, 24, 20_000].map((size) => create({ heap, size, minNr: 4, zero: true }));
    const held = pools.map((pool) => take(pool, 50));
    const rest = drain(small);
    expect((live.length + rest.length) * 64).toBeGreaterThan(2 * MIB);
    pools.forEach((pool, i) => expectElements(heap, held[i]!, pool.elementSize, pool.align));
    expectElements(heap, [...live, ...rest], 64, 16);
    expectSound(heap);
    pools.forEach((pool, i) => freeAll(pool, held[i]!));
    freeAll(small, rest);
    freeAll(small, live);
    expectSound(heap);
  });

  test("in elements of the pool itself are ignored", () => {
    const heap = fixedHeap(build, 2 * MIB);
    // elements as large as pages, full of copies of a slab's head: free must refuse addresses inside them
    const pool = create({ heap, size: PAGE, minNr: 1, align: 4096 });
    const live = take(pool, 8);
    const sources = writtenPages(heap, ...live.map((address) => [address, address + PAGE] as const));
    const before = stateOf(heap, pool);
    for (const source of sources) {
      for (const address of live) {
        for (let at = 0; at < PAGE; at += 4096) heap.u8.copyWithin(address + at, source, source + 4096);
      }
      for (const address of live) {
        for (let at = 4096; at < PAGE; at += 4096) expect(freeCode(pool, address + at)).toBe("ERR_INTERIOR_FREE");
      }
    }
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, live);
    expectSound(heap);
  });

  test("written over every freed element are ignored", () => {
    const heap = fixedHeap(build, MIB);
    // use after free is the caller's fault, but it must not damage the core's structures: only free elements are
    // written
    const pool = create({ heap, size: 48, minNr: 0 });
    const keep = take(pool, 50);
    const gone = take(pool, 50);
    const shape = stateOf(heap, pool);
    expectElements(heap, [...keep, ...gone], 48, 16);
    // filled before they are freed: the core never takes an element's content for a link
    for (const address of gone) heap.u32.fill(0xffffffff, address / 4, address / 4 + 12);
    freeAll(pool, gone);
    const again = take(pool, 50);
    expectElements(heap, [...keep, ...again], 48, 16);
    expect(stateOf(heap, pool)).toMatchObject({ heap: (shape as { heap: object }).heap });
    expectSound(heap);
  });
});

describe("forged structures in foreign memory", () => {
  test("around a region are ignored", () => {
    const memory = new WebAssembly.Memory({ initial: 40, maximum: 40 });
    const [base, bytes] = [10 * PAGE, 16 * PAGE];
    const heap = createHeap({ memory, region: { base, bytes } });
    const pool = create({ heap, size: 64, minNr: 2 });
    const live = take(pool, 100);
    const before = stateOf(heap, pool);
    for (const source of writtenPages(heap, [0, base], [base + bytes, memory.buffer.byteLength])) {
      for (let target = 0; target + PAGE <= memory.buffer.byteLength; target += PAGE) {
        if (target + PAGE > base && target < base + bytes) continue;
        forge(memory, source, target, true);
        for (const address of live) {
          const fake = target + (address % PAGE);
          if (fake !== 0) expect(freeCode(pool, fake)).toBe("ERR_INVALID_ADDRESS");
        }
      }
    }
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, live);
    expectSound(heap);
  });

  test("in a page that other code grew are ignored", () => {
    const heap = createHeap({ initial: MIB, maximum: 4 * MIB });
    const pool = create({ heap, size: 64, minNr: 2 });
    const live = take(pool, 100);
    const foreign = heap.memory.grow(2) * PAGE;
    const before = stateOf(heap, pool);
    for (const source of writtenPages(heap, [foreign, foreign + 2 * PAGE])) {
      for (const target of [foreign, foreign + PAGE]) {
        forge(heap.memory, source, target, true);
        for (const address of live) {
          expect(freeCode(pool, target + (address % PAGE))).toBe("ERR_INVALID_ADDRESS");
        }
      }
    }
    expect(stateOf(heap, pool)).toEqual(before);
    freeAll(pool, live);
    expectSound(heap);
  });
});
