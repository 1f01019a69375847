/** Arenas: blocks that do not overlap, marks that nest, and memory that returns to the heap. */
import { describe, expect, test } from "vitest";
import { create, createArena, type Arena } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  codeOf,
  drain,
  errorFrom,
  expectCanary,
  expectDisjoint,
  expectSound,
  fixedHeap,
  freeAll,
  Greedy,
  MIB,
  PAGE,
  random,
  stateOf,
  take,
  usedAfterTrim,
  writeCanary,
} from "./helpers.ts";

const ALIGNMENTS = Array.from({ length: 13 }, (_, i) => 2 ** i);

describe.each(builds)("arena: $name", (build) => {
  test("blocks are aligned and never overlap", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const pool = create({ heap, size: 100, minNr: 3 });
    const arena = createArena({ heap, name: "frame" });
    expect(arena.heap).toBe(heap);
    expect(arena.name).toBe("frame");
    const next = random(1);
    const blocks: [address: number, bytes: number][] = [];
    for (let i = 0; i < 1500; i++) {
      const bytes = 1 + Math.floor(next() ** 6 * 100_000);
      const align = ALIGNMENTS[Math.floor(next() ** 2 * ALIGNMENTS.length)]!;
      const address = next() < 0.3 ? arena.alloc(bytes) : arena.alloc(bytes, align);
      if (address === 0) break;
      blocks.push([address, bytes]);
      if (next() < 0.2) blocks.push([pool.alloc(), 100]);
    }
    expect(blocks.length).toBeGreaterThan(300);
    blocks.forEach(([address, bytes], i) => writeCanary(heap.memory, address, bytes, i));
    expectDisjoint(blocks);
    expectSound(heap);
    blocks.forEach(([address, bytes], i) => expectCanary(heap.memory, address, bytes, i));
  });

  test.each(ALIGNMENTS)("a block has alignment %i", (align) => {
    const heap = fixedHeap(build, 2 * MIB);
    const arena = createArena({ heap });
    const blocks: [number, number][] = [];
    for (const bytes of [1, 3, 8, 100, 1, 5000, 1, 70_000, 1]) {
      const address = arena.alloc(bytes, align);
      expect(address).not.toBe(0);
      expect(address % align).toBe(0);
      blocks.push([address, bytes]);
    }
    expectDisjoint(blocks);
  });

  test("the default alignment is 8", () => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap });
    for (let i = 0; i < 100; i++) expect(arena.alloc(1 + (i % 13)) % 8).toBe(0);
    // alignment 1 needs no padding
    const first = arena.alloc(1, 1);
    expect(arena.alloc(1, 1)).toBe(first + 1);
  });

  test("the memory of a reset arena serves again", () => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap });
    const frame = (): number[] => [10, 1000, 20_000, 64, 5000].map((bytes) => arena.alloc(bytes));
    const first = frame();
    expect(first).not.toContain(0);
    const { used } = heap.stats();
    for (let i = 0; i < 1000; i++) {
      arena.reset();
      const blocks = frame();
      if (blocks.includes(0)) throw new Error(`frame ${i} did not fit`);
    }
    expect(heap.stats().used).toBe(used);
    expectSound(heap);
  });

  test("marks nest", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const arena = createArena({ heap });
    const next = random(2);
    const blocks: [address: number, bytes: number][] = [];
    const marks: [mark: number, blocks: number][] = [];
    for (let i = 0; i < 3000; i++) {
      const what = next();
      if (what < 0.7) {
        const bytes = 1 + Math.floor(next() ** 4 * 30_000);
        const address = arena.alloc(bytes, 2 ** Math.floor(next() * 6));
        if (address === 0) continue;
        writeCanary(heap.memory, address, bytes, blocks.length);
        blocks.push([address, bytes]);
      } else if (what < 0.85) {
        marks.push([arena.mark(), blocks.length]);
      } else if (marks.length > 0) {
        // a reset to any mark makes all later ones void
        const at = Math.floor(next() * marks.length);
        const [mark, count] = marks[at]!;
        marks.length = at + (next() < 0.5 ? 1 : 0);
        arena.reset(mark);
        for (let b = 0; b < count; b++) expectCanary(heap.memory, blocks[b]![0], blocks[b]![1], b);
        blocks.length = count;
      }
      if (i % 100 === 0) expectDisjoint(blocks);
    }
    blocks.forEach(([address, bytes], i) => expectCanary(heap.memory, address, bytes, i));
    expectDisjoint(blocks);
    expectSound(heap);
  });

  test("an arena can be reset to one mark many times", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const arena = createArena({ heap });
    const base = arena.alloc(100);
    writeCanary(heap.memory, base, 100, 5);
    const mark = arena.mark();
    const first = [arena.alloc(50), arena.alloc(200_000), arena.alloc(300_000)];
    const { used } = heap.stats();
    for (let i = 0; i < 20; i++) {
      arena.reset(mark);
      const again = [arena.alloc(50), arena.alloc(200_000), arena.alloc(300_000)];
      expect(again).not.toContain(0);
      expect(again[0]).toBe(first[0]);
      for (const block of again) heap.u8.fill(0xff, block, block + 50);
    }
    expect(heap.stats().used).toBe(used);
    expectCanary(heap.memory, base, 100, 5);
    expectSound(heap);
  });

  test("reset refuses a number that is no mark of the arena", () => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap });
    const other = createArena({ heap });
    other.alloc(5000);
    const foreign = other.mark();
    const pool = create({ heap, size: 64, minNr: 1 });
    const early = arena.mark();
    const block = arena.alloc(1000);
    writeCanary(heap.memory, block, 1000, 1);
    const late = arena.mark();
    const beyond = arena.alloc(1000);
    const afterAll = arena.mark();
    const before = stateOf(heap);
    const bad: unknown[] = [
      foreign,
      pool.alloc(),
      beyond + 1000 + 16,
      NaN,
      -1,
      0.5,
      2 ** 32 + late,
      late + 0.5,
      Infinity,
      String(late),
      BigInt(Math.floor(late)),
      null,
      {},
      [late],
      true,
      Symbol("mark"),
    ];
    for (const mark of bad) {
      const code = codeOf(() => arena.reset(mark as number));
      expect([typeof mark === "symbol" ? "a symbol" : mark, code]).toEqual([
        typeof mark === "symbol" ? "a symbol" : mark,
        "ERR_INVALID_ARGUMENT",
      ]);
    }
    expect(stateOf(heap)).toEqual(before);
    expectDisjoint([
      [block, 1000],
      [beyond, 1000],
      [arena.alloc(1000), 1000],
    ]);
    // a reset makes later marks void
    arena.reset(late);
    expect(codeOf(() => arena.reset(afterAll))).toBe("ERR_INVALID_ARGUMENT");
    expectCanary(heap.memory, block, 1000, 1);
    arena.reset(early);
    expect(codeOf(() => arena.reset(late))).toBe("ERR_INVALID_ARGUMENT");
    expectSound(heap);
  });

  test.each<[string, unknown, unknown?]>([
    ["no size", undefined],
    ["0 bytes for null", null],
    ["a negative size", -1],
    ["a fraction", 1.5],
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["a string", "8"],
    ["a bigint", 8n],
    ["an array", [8]],
    ["a symbol", Symbol("8")],
    ["alignment 0", 8, 0],
    ["alignment 3", 8, 3],
    ["alignment -8", 8, -8],
    ["alignment 8192", 8, 8192],
    ["alignment NaN", 8, NaN],
    ["alignment 2 ** 32 + 8", 8, 2 ** 32 + 8],
    ["alignment null", 8, null],
    ["alignment as a string", 8, "8"],
  ])("alloc refuses %s", (_name, bytes, align) => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap });
    arena.alloc(10);
    const before = [stateOf(heap), arena.stats()];
    expect(codeOf(() => arena.alloc(bytes as number, align as number))).toBe("ERR_INVALID_ARGUMENT");
    expect([stateOf(heap), arena.stats()]).toEqual(before);
  });

  test("an alloc that does not fit returns 0", () => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap });
    const block = arena.alloc(1000);
    writeCanary(heap.memory, block, 1000, 1);
    const before = stateOf(heap);
    for (const bytes of [MIB, 2 * MIB, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32 - 16, 2 ** 32 - PAGE]) {
      for (const align of [1, 8, 4096]) expect(arena.alloc(bytes, align)).toBe(0);
    }
    // a size beyond 32 bits may be an error, but must not wrap
    for (const bytes of [2 ** 32, 2 ** 32 + 16, 2 ** 53]) {
      let got = 0;
      const code = codeOf(() => (got = arena.alloc(bytes)));
      expect(got).toBe(0);
      expect(["none", "ERR_INVALID_ARGUMENT"]).toContain(code);
    }
    expect(stateOf(heap)).toEqual(before);
    expect(arena.alloc(1000)).not.toBe(0);
    expectCanary(heap.memory, block, 1000, 1);
    expectSound(heap);
  });

  test("an arena grows until the heap is full", () => {
    const heap = build.heap({ initial: 2 * PAGE, maximum: 4 * MIB });
    createArena({ heap }).exit();
    const idle = usedAfterTrim(heap);
    const left: number[] = [];
    for (let round = 0; round < 3; round++) {
      const arena = createArena({ heap });
      let total = 0;
      const blocks: [number, number][] = [];
      for (let bytes = 30_000; bytes >= 8;) {
        const address = arena.alloc(bytes);
        if (address === 0) {
          bytes = Math.floor(bytes / 2);
          continue;
        }
        blocks.push([address, bytes]);
        total += bytes;
      }
      expect(total).toBeGreaterThan(0.85 * 4 * MIB);
      expectDisjoint(blocks);
      expectSound(heap);
      arena.exit();
      expect(heap.stats().arenas).toBe(0);
      left.push(usedAfterTrim(heap));
    }
    // tables for more memory may take some of it, once
    expect(left[0]! - idle).toBeLessThan(PAGE);
    expect(left).toEqual([left[0], left[0], left[0]]);
    const pool = create({ heap, size: 1000, minNr: 1 });
    expect(drain(pool).length * 1000).toBeGreaterThan(0.85 * 4 * MIB);
    expectSound(heap);
  });

  test("an arena never returns the last bytes of a heap twice", () => {
    const heap = fixedHeap(build, MIB);
    const next = random(6);
    const arenas = [createArena({ heap }), createArena({ heap })];
    const pool = create({ heap, size: 500, minNr: 2 });
    const blocks: [address: number, bytes: number][] = [];
    for (let refused = 0; refused < 500;) {
      const bytes = 1 + Math.floor(next() ** 3 * 9000);
      const arena = arenas[Math.floor(next() * 2)]!;
      const fromPool = next() < 0.3;
      const address = fromPool ? pool.alloc() : arena.alloc(bytes, 2 ** Math.floor(next() * 13));
      if (address === 0) refused++;
      else blocks.push([address, fromPool ? 500 : bytes]);
    }
    blocks.forEach(([address, bytes], i) => writeCanary(heap.memory, address, bytes, i));
    expectDisjoint(blocks);
    expectSound(heap);
    blocks.forEach(([address, bytes], i) => expectCanary(heap.memory, address, bytes, i));
  });

  test("the option bytes holds in a full heap", () => {
    const heap = fixedHeap(build, 2 * MIB);
    for (const bytes of [1000, 100_000, 700_000]) {
      const arena = createArena({ heap, bytes });
      const greedy = new Greedy(heap);
      greedy.take();
      let had = 0;
      while (had + 500 <= bytes && arena.alloc(500, 4) !== 0) had += 500;
      expect(had).toBe(bytes);
      arena.reset();
      greedy.take();
      expect(arena.alloc(bytes, 1)).not.toBe(0);
      arena.exit();
      greedy.release();
      for (const pool of greedy.pools) pool.exit();
      expectSound(heap);
    }
    // Empty slabs return to the heap when memory is short: here, so that the refusal changes nothing.
    heap.trim();
    const before = stateOf(heap);
    expect(codeOf(() => createArena({ heap, bytes: 2 * MIB }))).toBe("ERR_NO_MEMORY");
    expect(stateOf(heap)).toEqual(before);
  });

  test("a second exit has no effect", () => {
    const heap = fixedHeap(build, MIB);
    const arena = createArena({ heap });
    const mark = arena.mark();
    arena.alloc(100_000);
    arena.exit();
    expect(codeOf(() => arena.alloc(8))).toBe("ERR_CLOSED");
    expect(codeOf(() => arena.mark())).toBe("ERR_CLOSED");
    expect(codeOf(() => arena.reset())).toBe("ERR_CLOSED");
    expect(codeOf(() => arena.reset(mark))).toBe("ERR_CLOSED");
    // the next arena most likely gets the same address: the old handle must not reach it
    const next = createArena({ heap });
    const block = next.alloc(100_000);
    const before = stateOf(heap);
    arena.exit();
    arena[Symbol.dispose]();
    expect(codeOf(() => arena.alloc(8))).toBe("ERR_CLOSED");
    expect(codeOf(() => arena.reset())).toBe("ERR_CLOSED");
    expect(stateOf(heap)).toEqual(before);
    const second = next.alloc(8);
    expect(second).not.toBe(0);
    expectDisjoint([
      [block, 100_000],
      [second, 8],
    ]);
    let kept: Arena;
    {
      using scoped = createArena({ heap });
      kept = scoped;
      expect(heap.stats().arenas).toBe(2);
    }
    expect(heap.stats().arenas).toBe(1);
    expect(codeOf(() => kept.alloc(8))).toBe("ERR_CLOSED");
    expectSound(heap);
  });

  test.each<[string, unknown]>([
    ["a heap that is none", { heap: {} }],
    ["null for a heap", { heap: null }],
    ["bytes: NaN", { bytes: NaN }],
    ["bytes: negative", { bytes: -1 }],
    ["bytes: a fraction", { bytes: 1.5 }],
    ["bytes: a string", { bytes: "1000" }],
    ["bytes: null", { bytes: null }],
    ["name: a number", { name: 5 }],
    ["an unknown option", { size: 64 }],
    ["a name that every object has", { toString: 1 }],
  ])("createArena refuses %s, by name", (_name, options) => {
    const heap = fixedHeap(build, MIB);
    const before = stateOf(heap);
    const error = errorFrom(() => createArena({ heap, ...(options as object) }));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    expect(error.message).toContain(Object.keys(options as object)[0]);
    expect(stateOf(heap)).toEqual(before);
  });

  test("createArena refuses options that are no object", () => {
    for (const options of [null, 5, "heap", true]) {
      expect(codeOf(() => createArena(options as never))).toBe("ERR_INVALID_ARGUMENT");
    }
  });

  test("arenas that end beside pools leave nothing behind", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 300, minNr: 4 });
    const next = random(4);
    const cycle = (): void => {
      const arena = createArena({ heap });
      const live = take(pool, 3);
      for (let i = 0; i < 5; i++) expect(arena.alloc(1 + Math.floor(next() * 20_000))).not.toBe(0);
      if (next() < 0.5) arena.reset();
      freeAll(pool, live);
      arena.exit();
    };
    for (let i = 0; i < 5; i++) cycle();
    const idle = usedAfterTrim(heap);
    for (let i = 0; i < 500; i++) cycle();
    expect(usedAfterTrim(heap)).toBe(idle);
    expectSound(heap);
  });
});

describe("createArena without options", () => {
  test("uses the default heap", () => {
    const arena = createArena();
    const pool = create({ size: 8, minNr: 1 });
    expect(arena.heap).toBe(pool.heap);
    expect(arena.alloc(1000) % 8).toBe(0);
    arena.exit();
    pool.exit();
  });
});
