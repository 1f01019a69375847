/** Heaps: their options, their views, regions of foreign memories, and memory that other code grows. */
import { describe, expect, test } from "vitest";
import {
  createSharedHeap,
  create,
  createArena,
  createHeap,
  createHeapAsync,
  type Heap,
  type HeapOptions,
} from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
  errorFrom,
  expectCanary,
  expectDisjoint,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  Greedy,
  KIB,
  MIB,
  PAGE,
  random,
  shuffle,
  stateOf,
  take,
  usedAfterTrim,
  writeCanary,
} from "./helpers.ts";

const VIEWS = [
  ["u8", Uint8Array],
  ["i8", Int8Array],
  ["u16", Uint16Array],
  ["i16", Int16Array],
  ["u32", Uint32Array],
  ["i32", Int32Array],
  ["f32", Float32Array],
  ["f64", Float64Array],
  ["u64", BigUint64Array],
  ["i64", BigInt64Array],
] as const;

function heapWith(options: unknown): Heap {
  return createHeap(options as HeapOptions);
}

/** A page that other code took by memory.grow, and the bytes that it wrote there. */
class ForeignPages {
  readonly starts: number[] = [];
  readonly #memory: WebAssembly.Memory;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  /** Grows by a page, behind the heap's back; false if the memory has its maximum. */
  grow(): boolean {
    let page;
    try {
      page = this.#memory.grow(1);
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
    writeCanary(this.#memory, page * PAGE, PAGE, page);
    this.starts.push(page * PAGE);
    return true;
  }

  expectUntouched(): void {
    for (const start of this.starts) expectCanary(this.#memory, start, PAGE, start / PAGE);
  }
}

describe("createHeap", () => {
  test.each<[string, unknown]>([
    ["options: null", null],
    ["options: a number", MIB],
    ["options: a string", "1 MiB"],
    ["initial: NaN", { initial: NaN }],
    ["initial: negative", { initial: -65536 }],
    ["initial: Infinity", { initial: Infinity }],
    ["initial: a string", { initial: "65536" }],
    ["initial: a bigint", { initial: 65536n }],
    ["initial: null", { initial: null }],
    ["initial: more than 4 GiB", { initial: 2 ** 32 + 1 }],
    ["initial: 2 ** 32 pages", { initial: 2 ** 48 }],
    ["maximum: NaN", { maximum: NaN }],
    ["maximum: negative", { maximum: -1 }],
    ["maximum: a string", { maximum: "65536" }],
    ["maximum: a boolean", { maximum: true }],
    ["maximum: null", { maximum: null }],
    ["maximum: more than 4 GiB", { maximum: 2 ** 32 + 1 }],
    ["initial above maximum", { initial: 2 * MIB, maximum: MIB }],
    ["shared: a number", { shared: 1 }],
    ["shared: a string", { shared: "yes" }],
    ["memory: a buffer", { memory: new ArrayBuffer(PAGE) }],
    ["memory: a typed array", { memory: new Uint8Array(PAGE) }],
    ["memory: a look-alike", { memory: { buffer: new ArrayBuffer(PAGE), grow: () => 0 } }],
    ["memory: null", { memory: null }],
    ["region without a memory", { region: { base: 0, bytes: PAGE } }],
    ["region: null", { memory: new WebAssembly.Memory({ initial: 4 }), region: null }],
    ["region: a number", { memory: new WebAssembly.Memory({ initial: 4 }), region: PAGE }],
    ["region without bytes", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: PAGE } }],
    ["region without base", { memory: new WebAssembly.Memory({ initial: 4 }), region: { bytes: PAGE } }],
    ["region: base NaN", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: NaN, bytes: PAGE } }],
    ["region: base negative", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: -PAGE, bytes: PAGE } }],
    ["region: base a string", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: "0", bytes: PAGE } }],
    ["region: a fraction", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: 0.5, bytes: PAGE } }],
    ["region: bytes 0", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: 0, bytes: 0 } }],
    ["region: bytes negative", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: PAGE, bytes: -1 } }],
    [
      "region beyond the end",
      { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: PAGE, bytes: 4 * PAGE } },
    ],
    ["region at the end", { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: 4 * PAGE, bytes: PAGE } }],
    [
      "region whose end wraps",
      { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: PAGE, bytes: 2 ** 32 - PAGE } },
    ],
    [
      "region with an unknown field",
      { memory: new WebAssembly.Memory({ initial: 4 }), region: { base: 0, bytes: PAGE, end: PAGE } },
    ],
    ["module: bytes", { module: new Uint8Array(8) }],
    ["module: null", { module: null }],
    ["an unknown option", { size: 64 }],
    ["an option of a later version", { registerShrinker: () => 0 }],
    ["a name that every object has", { toString: 1 }],
  ])("refuses %s", async (_name, options) => {
    expect(errorFrom(() => heapWith(options)).code).toBe("ERR_INVALID_ARGUMENT");
    const rejection = await createHeapAsync(options as HeapOptions).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(codeOf(() => raise(rejection))).toBe("ERR_INVALID_ARGUMENT");
  });

  test.each([
    ["initial", -5],
    ["maximum", NaN],
    ["shared", "perhaps"],
    ["colour", 7],
  ])("its message names the option %s and the value", (option, value) => {
    const { message } = errorFrom(() => heapWith({ [option]: value }));
    expect(message).toContain(option);
    expect(message).toContain(String(value));
  });

  test("rounds initial and maximum up to whole pages", () => {
    for (const [bytes, pages] of [
      [PAGE, 1],
      [PAGE + 1, 2],
      [10 * PAGE - 1, 10],
    ] as const) {
      const heap = createHeap({ initial: bytes, maximum: bytes });
      expect(heap.memory.buffer.byteLength).toBe(pages * PAGE);
      expect(heap.stats().maximum).toBe(pages * PAGE);
      expect(heap.stats().bytes).toBe(pages * PAGE);
    }
  });

  test("createHeap refuses a module that is no core", () => {
    const nothing = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
    expect(errorFrom(() => createHeap({ module: nothing })).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("createHeapAsync makes the same heap", async () => {
    const heap = await createHeapAsync({ initial: MIB, maximum: MIB });
    expect(heap.memory.buffer.byteLength).toBe(MIB);
    const pool = create({ heap, size: 100, minNr: 10 });
    expectElements(heap, drain(pool), 100, 4);
    expectSound(heap);
  });

  test("only a shared heap has a shared memory", () => {
    expect(createSharedHeap({ initial: PAGE, maximum: MIB }).memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(createHeap({ initial: PAGE, maximum: MIB }).memory.buffer).toBeInstanceOf(ArrayBuffer);
  });

  test("a given memory is the heap's memory", () => {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 32 });
    const heap = createHeap({ memory, grows: true });
    expect(heap.memory).toBe(memory);
    const pool = create({ heap, size: 1000, minNr: 10 });
    expectElements(heap, take(pool, 200), 1000, 8);
    expectSound(heap);
  });

  test("heaps are independent", () => {
    const one = createHeap({ initial: MIB, maximum: MIB });
    const two = createHeap({ initial: MIB, maximum: MIB });
    const before = two.stats();
    const pool = create({ heap: one, size: 64, minNr: 10 });
    drain(pool);
    expect(two.stats()).toEqual(before);
    expectSound(one);
    expectSound(two);
  });
});

function raise(error: unknown): void {
  if (error !== undefined) throw error;
}

describe("two regions of one memory", () => {
  const REGION = 8 * PAGE;

  function twoRegions() {
    const memory = new WebAssembly.Memory({ initial: 24, maximum: 24 });
    const left = createHeap({ memory, region: { base: 2 * PAGE, bytes: REGION } });
    const right = createHeap({ memory, region: { base: 2 * PAGE + REGION, bytes: REGION } });
    return { memory, left, right };
  }

  test("are two heaps that never overlap", () => {
    const { left, right } = twoRegions();
    const pools = [left, right].map((heap) => create({ heap, size: 500, minNr: 8 }));
    const [a, b] = pools.map((pool) => drain(pool)) as [number[], number[]];
    expectDisjoint([...a, ...b].map((address) => [address, 500]));
    for (const address of a) expect(address + 500).toBeLessThanOrEqual(2 * PAGE + REGION);
    for (const address of b) expect(address).toBeGreaterThanOrEqual(2 * PAGE + REGION);
    a.forEach((address, i) => writeCanary(left.memory, address, 500, i));
    b.forEach((address, i) => writeCanary(right.memory, address, 500, 1000 + i));
    expectSound(left);
    expectSound(right);
    a.forEach((address, i) => expectCanary(left.memory, address, 500, i));
    freeAll(pools[0]!, a);
    b.forEach((address, i) => expectCanary(right.memory, address, 500, 1000 + i));
  });

  test("refuse each other's elements", () => {
    const { left, right } = twoRegions();
    const a = create({ heap: left, size: 64, minNr: 2 });
    const b = create({ heap: right, size: 64, minNr: 2 });
    const addresses = take(b, 20);
    const before = [stateOf(left, a), stateOf(right, b)];
    for (const address of addresses) expect(freeCode(a, address)).toBe("ERR_INVALID_ADDRESS");
    expect([stateOf(left, a), stateOf(right, b)]).toEqual(before);
    freeAll(b, addresses);
  });
});

describe("a region in the middle of a foreign memory", () => {
  // neither end of the second region is on a page, nor that of the third on a word
  test.each([
    [4 * PAGE, 20 * PAGE],
    [4 * PAGE - 16, 20 * PAGE + 4096],
    [3 * PAGE + 12_345, 19 * PAGE + 321],
  ])("leaves every byte around it alone: base %i, %i bytes", (base, bytes) => {
    const memory = new WebAssembly.Memory({ initial: 32, maximum: 40 });
    const size = memory.buffer.byteLength;
    // the region's own bytes are dirty as well
    writeCanary(memory, 0, size, 77);
    const before = Buffer.from(memory.buffer.slice(0));
    const heap = createHeap({ memory, region: { base, bytes } });
    expect(heap.stats().bytes).toBeLessThanOrEqual(bytes);

    const next = random(5);
    for (let round = 0; round < 3; round++) {
      const pools = [1, 24, 300, 5000, 70_000].map((element) =>
        create({ heap, size: element, minNr: 2, zero: round === 1 }),
      );
      const arena = createArena({ heap });
      const live: [pool: number, address: number][] = [];
      for (let failures = 0; failures < 20;) {
        const index = Math.floor(next() * pools.length);
        const address = pools[index]!.alloc();
        if (address === 0) failures++;
        else live.push([index, address]);
        const block = next() < 0.1 ? arena.alloc(1000) : 0;
        if (block !== 0) heap.u8.fill(0xee, block, block + 1000);
      }
      for (const [index, address] of live) {
        const length = pools[index]!.elementSize;
        expect(address).toBeGreaterThanOrEqual(base);
        expect(address + length).toBeLessThanOrEqual(base + bytes);
        heap.u8.fill(0xff, address, address + length);
      }
      expectSound(heap);
      for (const [index, address] of shuffle(live, next)) pools[index]!.free(address);
      arena.exit();
      for (const pool of pools) pool.exit();
      heap.trim();
      expectSound(heap);
    }
    expect(heap.stats().pools).toBe(0);

    // a region never grows the memory
    expect(memory.buffer.byteLength).toBe(size);
    const after = Buffer.from(memory.buffer);
    expect(after.subarray(0, base).equals(before.subarray(0, base))).toBe(true);
    expect(after.subarray(base + bytes).equals(before.subarray(base + bytes))).toBe(true);
  });

  test("never grows, even if the memory could", () => {
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 100 });
    const heap = createHeap({ memory, region: { base: PAGE, bytes: 6 * PAGE } });
    const pool = create({ heap, size: 1000, minNr: 4 });
    expect(drain(pool).length).toBeLessThan(400);
    expect(memory.buffer.byteLength).toBe(8 * PAGE);
    expect(heap.stats()).toMatchObject({ grows: 0 });
  });

  test("is refused if it is too small", () => {
    const memory = new WebAssembly.Memory({ initial: 8 });
    const before = Buffer.from(memory.buffer.slice(0));
    for (const bytes of [1, 8, 16, 64]) {
      const error = errorFrom(() => createHeap({ memory, region: { base: PAGE, bytes } }));
      expect(["ERR_NO_MEMORY", "ERR_INVALID_ARGUMENT"]).toContain(error.code);
    }
    expect(Buffer.from(memory.buffer).equals(before)).toBe(true);
  });

  test("serves from memory that was dirty", () => {
    const memory = new WebAssembly.Memory({ initial: 32, maximum: 32 });
    for (const byte of [0xff, 0x01, 0xa5]) {
      new Uint8Array(memory.buffer).fill(byte);
      const heap = createHeap({ memory, region: { base: 0, bytes: 32 * PAGE } });
      expectSound(heap);
      const pool = create({ heap, size: 96, minNr: 4, zero: true });
      const addresses = drain(pool);
      expect(addresses.length * 96).toBeGreaterThan(30 * PAGE);
      expectElements(heap, addresses, 96, 16);
      for (const address of addresses) {
        if (heap.u8.subarray(address, address + 96).some((value) => value !== 0)) throw new Error("not zeroed");
      }
      freeAll(pool, addresses);
      expectSound(heap);
      heap.exit();
    }
  });
});

describe.each(builds)("heap: $name", (build) => {
  test("has a view of each kind over its memory", () => {
    const heap = fixedHeap(build, MIB);
    for (const [name, Kind] of VIEWS) {
      const view = heap[name];
      expect(view, name).toBeInstanceOf(Kind);
      expect(view.buffer, name).toBe(heap.memory.buffer);
      expect(view.byteOffset, name).toBe(0);
      expect(view.byteLength, name).toBe(heap.memory.buffer.byteLength);
      expect(heap[name], `${name} is not made anew at each look`).toBe(view);
    }
  });

  test("its views survive growth by the heap", () => {
    const heap = build.heap({ initial: MIB, maximum: 8 * MIB });
    const pool = create({ heap, size: 64 * KIB, minNr: 1 });
    const addresses: number[] = [];
    for (let i = 0; i < 100; i++) {
      const address = pool.alloc();
      if (address === 0) break;
      addresses.push(address);
      for (const [name] of VIEWS) expect(heap[name].byteLength).toBe(heap.memory.buffer.byteLength);
      heap.f64[address / 8] = i + 0.5;
      heap.u64[address / 8 + 1] = BigInt(i);
      heap.i32[address / 4 + 4] = -i;
    }
    expect(addresses.length).toBeGreaterThan(10);
    addresses.forEach((address, i) => {
      expect([heap.f64[address / 8], heap.i64[address / 8 + 1], heap.i32[address / 4 + 4]]).toEqual([
        i + 0.5,
        BigInt(i),
        0 - i,
      ]);
    });
    expectSound(heap);
  });

  test("its views survive growth by other code", () => {
    const heap = build.heap({ initial: MIB, maximum: 4 * MIB });
    const pool = create({ heap, size: 16, minNr: 1 });
    const address = pool.alloc();
    const foreign = new ForeignPages(heap.memory);
    heap.u32[address / 4] = 0xdecade;
    for (let i = 0; i < 3 && foreign.grow(); i++) {
      for (const [name] of VIEWS) {
        expect(heap[name].byteLength, name).toBe(heap.memory.buffer.byteLength);
        expect(heap[name].buffer, name).toBe(heap.memory.buffer);
      }
      expect(heap.u32[address / 4]).toBe(0xdecade);
    }
  });

  test("never uses memory that other code has grown", () => {
    const heap = build.heap({ initial: MIB, maximum: 32 * MIB });
    const foreign = new ForeignPages(heap.memory);
    const sizes = [40, 3000, 40_000, 100_000, 300_000];
    const pools = sizes.map((size) => create({ heap, size, minNr: 1 }));
    const arena = createArena({ heap });
    const intervals: [number, number][] = [];
    const live: [pool: number, address: number][] = [];
    for (let i = 0; i < 160; i++) {
      const index = i % sizes.length;
      const address = pools[index]!.alloc();
      if (address !== 0) {
        writeCanary(heap.memory, address, sizes[index]!, i);
        intervals.push([address, sizes[index]!]);
        live.push([index, address]);
      }
      const block = arena.alloc(5000);
      if (block !== 0) {
        intervals.push([block, 5000]);
        heap.u8.fill(0xcc, block, block + 5000);
      }
      if (i % 3 === 0 && foreign.grow()) intervals.push([foreign.starts.at(-1)!, PAGE]);
    }
    expectDisjoint(intervals);
    expectSound(heap);
    foreign.expectUntouched();
    // a foreign page is no pool's, wherever it lies
    for (const start of foreign.starts) {
      for (const at of [0, 8, 16, 64, 4096, PAGE - 16]) {
        expect(freeCode(pools[0]!, start + at)).toBe("ERR_INVALID_ADDRESS");
      }
    }
    for (const [index, address] of live) pools[index]!.free(address);
    arena.exit();
    heap.trim();
    // nor does the heap use it when all runs are merged again
    for (const pool of pools) pool.exit();
    new Greedy(heap).take();
    foreign.expectUntouched();
    expectSound(heap);
  });

  test("returns 0 while other code has the last of the memory", () => {
    const heap = build.heap({ initial: MIB, maximum: 2 * MIB });
    const foreign = new ForeignPages(heap.memory);
    const pool = create({ heap, size: 10_000, minNr: 3 });
    // (a region never grows)
    for (let i = 0; i < 64 && foreign.grow(); i++);
    const addresses = drain(pool);
    expect(pool.alloc()).toBe(0);
    expectSound(heap);
    freeAll(pool, addresses);
    expect(drain(pool)).toHaveLength(addresses.length);
    foreign.expectUntouched();
    expectSound(heap);
  });

  test("never has more than its maximum", () => {
    const heap = build.heap({ initial: 2 * PAGE, maximum: 20 * PAGE });
    const pool = create({ heap, size: 1024, minNr: 1 });
    const addresses = drain(pool);
    const { bytes, maximum, used, largestFree } = heap.stats();
    expect(maximum).toBe(20 * PAGE);
    expect(bytes).toBeLessThanOrEqual(20 * PAGE);
    expect(used).toBeLessThanOrEqual(bytes);
    expect(used).toBeGreaterThanOrEqual(addresses.length * 1024);
    // at least 18 of the 20 pages are for elements
    expect(addresses.length * 1024).toBeGreaterThanOrEqual(18 * PAGE);
    expect(largestFree).toBeLessThan(PAGE);
    expectElements(heap, addresses, 1024, 16);
  });

  test("trim returns the number of bytes that it gave back", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const pool = create({ heap, size: 2000, minNr: 4 });
    heap.trim();
    const idle = heap.stats().used;
    const addresses = take(pool, 1000);
    const full = heap.stats().used;
    expect(full - idle).toBeGreaterThanOrEqual(990 * 2000);
    freeAll(pool, addresses);
    const freed = heap.stats().used;
    const trimmed = heap.trim();
    expect(trimmed).toBe(freed - heap.stats().used);
    expect(heap.stats().used).toBeLessThanOrEqual(idle + PAGE);
    expect(heap.trim()).toBe(0);
    expect(pool.currNr).toBe(4);
    expectSound(heap);
    expect(drain(pool).length).toBeGreaterThanOrEqual(1000);
  });

  test("trim leaves outstanding elements and reserves alone", () => {
    const heap = fixedHeap(build, MIB);
    const pools = [8, 100, 3000].map((size) => create({ heap, size, minNr: 5 }));
    const live = pools.map((pool) => take(pool, 7));
    pools.forEach((pool, i) => {
      for (const address of live[i]!) writeCanary(heap.memory, address, pool.elementSize, address);
    });
    heap.trim();
    heap.trim();
    pools.forEach((pool, i) => {
      for (const address of live[i]!) expectCanary(heap.memory, address, pool.elementSize, address);
    });
    new Greedy(heap).take();
    pools.forEach((pool, i) => {
      expect(pool.currNr).toBe(5);
      for (const address of live[i]!) expectCanary(heap.memory, address, pool.elementSize, address);
      for (let n = 0; n < 5; n++) expect(pool.alloc()).not.toBe(0);
    });
    expectSound(heap);
  });

  test("stats count pools and arenas", () => {
    const heap = fixedHeap(build, MIB);
    expect(heap.stats()).toMatchObject({ pools: 0, arenas: 0 });
    const pools = [1, 2, 3].map((size) => create({ heap, size, minNr: 1 }));
    const arenas = [1, 2].map(() => createArena({ heap }));
    expect(heap.stats()).toMatchObject({ pools: 3, arenas: 2 });
    const held = pools[0]!.alloc();
    for (const pool of pools) pool.exit();
    arenas[0]!.exit();
    // a pool with an outstanding element has not ended
    expect(heap.stats()).toMatchObject({ pools: 1, arenas: 1 });
    pools[0]!.free(held);
    arenas[1]!.exit();
    expect(heap.stats()).toMatchObject({ pools: 0, arenas: 0 });
    expect(usedAfterTrim(heap)).toBeLessThanOrEqual(MIB);
    expectSound(heap);
  });
});
