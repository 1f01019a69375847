/** Large memory: a heap can have all of its maximum, in one piece where it is free in one piece, at no extra cost. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layout } from "../layout/layout.ts";
import { createSharedHeap, create, createHeap, type Heap, type HeapOptions, createArena } from "../../src/index.ts";
import type { Core, Inspector } from "../../src/core/abi.ts";
import { importedInspector, sharedInspector } from "../../src/core/inspectors.ts";
import { compile } from "../../src/core/modules.ts";
import { expectSound, KIB, MIB, PAGE as WASM_PAGE } from "../contract/helpers.ts";
import { instantiate } from "../instantiate.ts";
import { MemoryModel, steps, worlds } from "./memory-model.ts";

const PAGE = 4096;
/** The bytes of a chunk that the arena needs itself. */
const HEADER = 16;

const shared = (options: HeapOptions) => createSharedHeap({ ...options });
const plain = (options: HeapOptions) => createHeap(options);
const imported = (options: HeapOptions) =>
  createHeap({ ...options, grows: true, memory: new WebAssembly.Memory({ initial: 3, maximum: 65536 }) });
const kinds = [
  { name: "plain", make: plain },
  { name: "imported", make: imported },
  { name: "shared", make: shared },
];

/** Makes an arena of one chunk of `bytes` bytes, a multiple of 4 KiB; 0 if it is refused. */
const piece = (heap: Heap, bytes: number): number => heap.core.arena_create(bytes - HEADER) >>> 0;

/** The bytes that the heap has taken from the host. */
const taken = (heap: Heap) => heap.memory.buffer.byteLength;

/** The most bytes that a piece may leave over, or cost beyond its own. */
const over = (bytes: number) => bytes / 100 + WASM_PAGE;

const memoryOf = (file: string, bytes: number) =>
  new WebAssembly.Memory({ initial: bytes / WASM_PAGE, maximum: bytes / WASM_PAGE, shared: file.includes("shared") });

const instance = (file: string, memory?: WebAssembly.Memory): Core =>
  instantiate(file.slice(0, -".wasm".length), memory);

function inspector(memory: WebAssembly.Memory): Inspector {
  const isShared = memory.buffer instanceof SharedArrayBuffer;
  const module = compile("test", isShared ? sharedInspector : importedInspector);
  return new WebAssembly.Instance(module, { env: { memory } }).exports as never;
}

/** Pages, and the most, of a heap of 16 Wasm pages made with this; undefined if it is refused. */
const made = (maxPages: number, grows: number) => {
  const core = instance("core.wasm");
  const { memory } = core as unknown as { memory: WebAssembly.Memory };
  memory.grow(15);
  const heap = core.heap_create(0, 16 * WASM_PAGE, maxPages, grows) >>> 0;
  if (heap === 0) return undefined;
  const at = core.heap_scratch() >>> 0;
  inspector(memory).heap_stats(heap, at);
  const [pages, most] = new Float64Array(memory.buffer, at, 2);
  let arenas = 0;
  while (core.arena_create(PAGE - HEADER) !== 0) if (++arenas > 20_000) break;
  inspector(memory).heap_stats(heap, at);
  const [grown] = new Float64Array(memory.buffer, at, 1);
  expect(inspector(memory).heap_check(heap, at)).toBe(0);
  return { pages, most, grown };
};

const leftOf = (heap: Heap) => (heap.core.heap_left() >>> 0) * PAGE;

/** Takes single pages until none is left; returns their bytes. */
const drainPages = (heap: Heap) => {
  let pages = 0;
  while (piece(heap, PAGE) !== 0) pages++;
  return pages * PAGE;
};

describe.each(kinds)("$name", ({ make }) => {
  test.each([100, 127, 128, 129, 131, 200, 256, 300, 500, 511, 512, 700, 1000, 1010])(
    "a piece of %d MiB on a fresh heap of 1 GiB costs what it holds",
    (mib) => {
      const heap = make({ maximum: 1024 * MIB });
      const before = taken(heap);
      expect(piece(heap, mib * MIB)).not.toBe(0);
      expect(taken(heap) - before).toBeLessThanOrEqual(mib * MIB + over(mib * MIB));
      expect(heap.stats().grows).toBe(1);
      expectSound(heap);
    },
  );

  test("a piece begins in the free end of the memory", () => {
    const heap = make({ maximum: 1024 * MIB });
    const first = piece(heap, 64 * MIB);
    heap.core.arena_exit(first);
    const before = taken(heap);
    expect(piece(heap, 70 * MIB)).not.toBe(0);
    expect(taken(heap) - before).toBeLessThanOrEqual(6 * MIB + over(70 * MIB));
    expectSound(heap);
  });

  test("a heap that grew little by little gives three quarters of its maximum in one piece", () => {
    const heap = make({ maximum: 1024 * MIB });
    const small = Array.from({ length: 500 }, () => piece(heap, MIB));
    expect(small).not.toContain(0);
    for (const each of small) heap.core.arena_exit(each);
    expect(piece(heap, 760 * MIB)).not.toBe(0);
    expectSound(heap);
  });

  test("a heap that grew by a pool of small elements gives three quarters of its maximum in one piece", () => {
    const heap = make({ maximum: 512 * MIB });
    const pool = create({ heap, size: 32 * KIB, minNr: 0 });
    const all = new Uint32Array(12_000);
    expect(pool.allocBulk(all)).toBe(true);
    pool.freeBulk(all);
    heap.trim();
    expect(piece(heap, 380 * MIB)).not.toBe(0);
    expectSound(heap);
  });

  test("a piece above the maximum is refused", () => {
    const heap = make({ maximum: 256 * MIB });
    // A free record, so that the arena needs no new page.
    heap.core.arena_exit(piece(heap, PAGE));
    const keep = piece(heap, PAGE);
    expect(keep).not.toBe(0);
    const before = heap.stats();
    const bytes = taken(heap);
    for (const mib of [256, 257, 300, 1024, 2048, 4000]) expect(piece(heap, mib * MIB)).toBe(0);
    expect(heap.stats()).toEqual(before);
    expect(taken(heap)).toBe(bytes);
    expectSound(heap);
  });
});

test("createArena gives half of a heap of at most 1 GiB", () => {
  for (const { make } of kinds) {
    const arena = createArena({ heap: make({ maximum: 2 ** 30 }), bytes: 2 ** 29 });
    expect(arena.alloc(2 ** 29 - HEADER)).not.toBe(0);
  }
});

test.each([2048, 2304, 2560, 2816, 3072, 3328, 3584, 3840, 4080])(
  "a heap of 4 GiB gives %d MiB in one piece",
  (mib) => {
    for (const make of [plain, imported]) {
      const heap = make({});
      const before = taken(heap);
      expect(piece(heap, mib * MIB)).not.toBe(0);
      expect(taken(heap) - before).toBeLessThanOrEqual(mib * MIB + over(mib * MIB));
      expectSound(heap);
    }
  },
);

describe("the least region", () => {
  /** Whole pages; a shared heap needs one more page. */
  const sizes = [
    ["aligned", 65536, 8],
    ["right before a multiple of 4 MiB", 4 * MIB - 9 * PAGE, 8],
    ["unaligned", 65536 + 16, 8],
    ["across a multiple of 4 MiB", 4 * MIB - 4 * PAGE, 11],
    ["unaligned, across a multiple of 4 MiB", 4 * MIB - 5 * PAGE + 16, 11],
    ["across a multiple of 128 MiB", 128 * MIB - 4 * PAGE, 11],
    ["unaligned, across a multiple of 128 MiB", 128 * MIB - 5 * PAGE + 16, 11],
  ] as const;
  test.each(sizes.flatMap((each) => [[...each, false] as const, [...each, true] as const]))(
    "%s, holds a pool (at %d, %d pages, shared: %s)",
    (_, base, pages, isShared) => {
      const bytes = (pages + Number(isShared) + Number(base % PAGE > 0)) * PAGE;
      const wasmPages = Math.ceil((base + bytes) / WASM_PAGE);
      const memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: isShared });
      const heap = (isShared ? createSharedHeap : createHeap)({ memory, region: { base, bytes } });
      const pool = create({ heap, size: 64, minNr: 16, maxNr: 32 });
      const all = Array.from({ length: 32 }, () => pool.alloc());
      expect(all).not.toContain(0);
      for (const address of all) {
        expect(address).toBeGreaterThanOrEqual(base);
        expect(address + 64).toBeLessThanOrEqual(base + bytes);
      }
      expectSound(heap);
    },
  );

  test.each([
    ["core.imported.wasm", 8],
    ["core.shared.wasm", 9],
  ])("of the ABI: %s takes at least %d pages", (file, pages) => {
    const least = (base: number, bytes: number) => {
      const core = instance(file, memoryOf(file, 128 * MIB + WASM_PAGE));
      const heap = core.heap_create(base, bytes, 0, 0) >>> 0;
      return heap !== 0 && core.mempool_create(64, 8, 16, 32) !== 0;
    };
    expect(least(0, pages * PAGE)).toBe(true);
    expect(least(0, pages * PAGE - 1)).toBe(false);
    expect(least(PAGE - 1, pages * PAGE + 1)).toBe(true);
    expect(least(PAGE - 1, pages * PAGE)).toBe(false);
    expect(least(128 * MIB - PAGE, (pages + 3) * PAGE)).toBe(true);
    expect(least(128 * MIB - PAGE, (pages + 2) * PAGE)).toBe(false);
  });

  test("does not wrap round the address space", () => {
    const core = instance("core.wasm");
    for (const [base, bytes] of [
      [2 ** 32 - 16, WASM_PAGE],
      [2 ** 32 - PAGE + 1, 0],
      [2 ** 32 - PAGE, PAGE + WASM_PAGE],
      [1, 2 ** 32 - 1],
      [PAGE, 0],
    ] as const) {
      expect([base, bytes, core.heap_create(base, bytes, 0, 1)]).toEqual([base, bytes, 0]);
    }
  });
});

describe("max_pages", () => {
  test("below the memory's size, the heap does not grow", () => {
    expect(made(1, 0)).toBe(undefined);
    expect(made(1, 1)).toBe(undefined);
    expect(made(7, 1)).toBe(undefined);
    expect(made(8, 1)).toEqual({ pages: 8, most: 8, grown: 8 });
    expect(made(100, 1)).toEqual({ pages: 100, most: 100, grown: 100 });
    expect(made(255, 0)).toEqual({ pages: 255, most: 255, grown: 255 });
  });

  test("0 is the memory's size", () => {
    expect(made(0, 0)).toEqual({ pages: 256, most: 256, grown: 256 });
    expect(made(0, 1)).toEqual({ pages: 256, most: 256, grown: 256 });
  });

  test("above 4 GiB is 4 GiB", () => {
    for (const maxPages of [2 ** 20, 2 ** 21, 2 ** 32 - 1]) {
      expect(made(maxPages, 1)).toMatchObject({ pages: 256, most: 2 ** 20 });
    }
  });

  test("may be no multiple of a Wasm page", () => {
    expect(made(300, 1)).toEqual({ pages: 256, most: 300, grown: 288 });
    expect(made(257, 1)).toEqual({ pages: 256, most: 257, grown: 256 });
  });
});

describe("what is left", () => {
  test.each([
    ["of a heap that has its maximum", () => createHeap({ initial: MIB, maximum: MIB })],
    [
      "of a region",
      () => createHeap({ memory: new WebAssembly.Memory({ initial: 20 }), region: { base: 0, bytes: MIB } }),
    ],
    ["of a heap that may grow", () => createHeap({ maximum: 4 * MIB })],
  ])("%s, is all that can be allocated but the heap's own", (_, make) => {
    const heap = make();
    const before = leftOf(heap);
    const got = drainPages(heap);
    expect(got).toBeLessThanOrEqual(before);
    // A record for each arena, and tables.
    expect(got).toBeGreaterThan(before * 0.9);
    expect(leftOf(heap)).toBe(0);
  });

  test("is 0 at the memory's own maximum", () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 32 });
    const heap = createHeap({ memory, grows: true });
    expect(leftOf(heap)).toBeGreaterThan(1e9);
    drainPages(heap);
    expect(memory.buffer.byteLength).toBe(32 * WASM_PAGE);
    expect(leftOf(heap)).toBe(0);
  });

  test("is corrected by a refused growth", () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 64 });
    const heap = createHeap({ memory, grows: true });
    expect(piece(heap, 8 * MIB)).toBe(0);
    const left = leftOf(heap);
    expect(left).toBeLessThan(8 * MIB);
    expect(piece(heap, 2 * MIB)).not.toBe(0);
    expect(leftOf(heap)).toBeLessThanOrEqual(left - 2 * MIB);
  });

  test("ends at 4 GiB", () => {
    const heap = createHeap({ memory: new WebAssembly.Memory({ initial: 40_000, maximum: 65536 }), grows: true });
    expect(leftOf(heap)).toBeLessThanOrEqual((65536 - 40_000) * WASM_PAGE);
    expect(leftOf(heap)).toBeGreaterThan((65536 - 40_001) * WASM_PAGE - 64 * KIB);
  });
});

/** A failure prints the seed and the path; MEMORY_SEED=<seed> runs the same histories again, MEMORY_RUNS=<n> more of them. */
test("random histories of memory agree with a model", () => {
  const seed = process.env["MEMORY_SEED"];
  fc.assert(
    fc.property(worlds, steps, (world, list) => {
      const model = new MemoryModel(world);
      model.run(list);
      model.finish();
    }),
    {
      numRuns: Number(process.env["MEMORY_RUNS"] ?? 100),
      includeErrorInReport: true,
      ...(seed === undefined ? {} : { seed: Number(seed) }),
    },
  );
});

test("check reports a table that overlaps an element", () => {
  const heap = createHeap({ maximum: MIB });
  const element = create({ heap, size: 64, minNr: 1 }).alloc();
  expectSound(heap);
  // Of assembly/base/layout.ts: the root of the free bits, and its entry for memory that the heap does not have.
  heap.u32[(heap.address + layout("HEAP_BITS_ROOT")) / 4 + 7] = element - (element % PAGE);
  expect(heap.check()[0]).toMatch(`page ${Math.floor(element / PAGE)} has an entry that means nothing`);
});
