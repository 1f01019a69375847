/** A dump has all that the heap had: another program reads it, and may go on from it. Damage is named. */
import { describe, expect, test } from "vitest";
import { create, createArena, createHeap, createSharedHeap, MempoolError, type Heap } from "../../src/index.ts";
import { dump, holdings, leakReport, memoryMap, readDump, readMemory, restoreHeap } from "../../src/inspect.ts";
import { builds, type Build } from "../builds.ts";
import { errorFrom, expectSound, fixedHeap, freeAll, KIB, MIB, random, take } from "../contract/helpers.ts";

const message = (bytes: unknown): string => errorFrom(() => readDump(bytes as Uint8Array)).message;

/** A heap with something of everything. */
function filled(build: Build): Heap {
  const heap = build.heap({ initial: MIB, maximum: 4 * MIB });
  const bios = create({ heap, size: 100, minNr: 16, name: "bios" });
  const pages = create({ heap, size: 4096, minNr: 4, maxNr: 50, name: "pages", backend: "pages" });
  create({ heap, size: 8, minNr: 0, name: "idle ☃" });
  const held = take(bios, 700);
  freeAll(bios, held.slice(100, 300));
  take(pages, 7);
  createArena({ heap }).alloc(10_000);
  return heap;
}

describe.each(builds)("dump: $name", (build) => {
  test("the image tells what the heap told", () => {
    const heap = filled(build);
    const bytes = dump(heap);
    // Pages of zeros take a bit each.
    expect(bytes.length).toBeLessThan(heap.u8.length / 4);
    const image = readDump(bytes);
    expect(Buffer.from(image.u8).equals(Buffer.from(heap.u8))).toBe(true);
    expect(image.isShared).toBe(build.isShared === true);
    expect(Math.abs(Date.now() - Date.parse(image.date!))).toBeLessThan(60_000);
    expect(image.stats()).toEqual(heap.stats());
    expect(image.table({ all: true })).toBe(heap.table({ all: true }));
    expect(image.map({ width: 80 })).toBe(memoryMap(heap, { width: 80 }));
    expect(image.holdings()).toEqual([...holdings(heap)]);
    expect(`${image.leakReport()}`).toBe(`${leakReport(heap)}`);
    expect(image.check()).toEqual([]);
    expectSound(heap);
  });

  test("a raw memory tells the same, but for names", () => {
    const heap = filled(build);
    const image = readMemory(heap.u8.slice());
    expect(image.address).toBe(heap.address);
    expect(image.isShared).toBe(build.isShared === true);
    expect(image.pools().map(({ name, outstanding, maxNr }) => [name, outstanding, maxNr])).toEqual([
      ["#1", 500, Infinity],
      ["#2", 7, 50],
      ["#3", 0, Infinity],
    ]);
    expect(image.check()).toEqual([]);
    expect(readMemory(heap.u8.slice(), { address: heap.address }).stats()).toEqual(heap.stats());
    expect(() => readMemory(heap.u8.slice(), { address: heap.address + 4 })).toThrow(/no heap is at address 0x/);
  });

  test("what a debug heap knows of elements is in the dump", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 16, minNr: 1, name: "bios" });
    take(pool, 3);
    const known = { isLive: true, generation: 1, allocSequence: 15 };
    const debug = { traceOf: (address: number) => ({ ...known, allocSite: `a.js:${address % 2}:1` }) };
    (heap.context as unknown as { debug: unknown }).debug = debug;
    const image = readDump(dump(heap));
    expect(image.leakReport().groups).toMatchObject([{ site: "a.js:0:1", count: 3, since: 15, pool: "bios" }]);
  });
});

describe("the map", () => {
  test("has a letter for each pool, and a line of signs", () => {
    const heap = createHeap({ initial: MIB, maximum: MIB });
    const small = heap.create({ size: 64, minNr: 1, name: "small" });
    const large = heap.create({ size: 65536, minNr: 0, name: "large", backend: "pages" });
    small.alloc();
    const [one, two] = [large.alloc(), large.alloc()];
    const lines = memoryMap(heap, { width: 256 }).split("\n");
    const pages = lines.slice(1, -2).map((line) => line.slice(14));
    const at = (address: number) => pages.join("")[address / 4096];
    expect(lines[0]).toBe("memory: a character is a page of 4 KiB");
    expect(pages.join("")).toHaveLength(256);
    expect(at(0)).toBe("#");
    for (const element of [one, two]) for (let i = 0; i < 16; i++) expect(at(element + 4096 * i)).toBe("a");
    expect(pages.join("").replaceAll(/[^b]/g, "").length).toBeGreaterThan(0);
    expect(lines.at(-2)).toBe("  a large   b small   # the allocator, arenas   . free");
  });

  test("of a large heap takes a few lines, and repeats none", () => {
    const heap = createHeap({ initial: 64 * MIB });
    heap.create({ size: 64, minNr: 1 });
    const text = memoryMap(heap, { height: 16 });
    expect(text).toMatch(/^memory: a character is 16 pages of 4 KiB\n/);
    expect(text).toContain("\n  *\n");
    expect(text.split("\n").length).toBeLessThan(10);
  });

  test("has colours on request only", () => {
    const heap = createHeap();
    heap.create({ size: 64, minNr: 1 });
    expect(memoryMap(heap)).not.toContain("\x1b");
    const colored = memoryMap(heap, { color: true });
    expect(colored).toContain("\x1b[32m");
    // oxlint-disable-next-line no-control-regex
    expect(colored.replaceAll(/\x1b\[\d+m/g, "")).toBe(memoryMap(heap));
    for (const bad of [{ width: 1 }, { height: 0 }, { color: 1 }, { colour: true }]) {
      expect(errorFrom(() => memoryMap(heap, bad as never)).code).toBe("ERR_INVALID_ARGUMENT");
    }
  });
});

describe("damage", () => {
  const heap = filled(builds[0]!);
  const good = dump(heap);

  test("a file that is no dump, or not whole, is refused", () => {
    expect(message(new Uint8Array())).toContain("no dump of a heap: they begin with nothing");
    expect(message(Buffer.from("PNG and so on"))).toContain("they begin with 50 4e 47");
    expect(message(undefined)).toContain("bytes must be a Uint8Array, got undefined");
    expect(message("text")).toContain('got "text"');
    for (const length of [8, 23, 24, 100, 5000, good.length - 1]) {
      expect([length, message(good.slice(0, length))]).toEqual([length, expect.stringContaining("truncated dump")]);
    }
    expect(message(Buffer.concat([good, Buffer.of(1, 2)]))).toContain("and 2 more");
    const newer = good.slice();
    newer[8] = 7;
    expect(message(newer)).toContain("version 7; this package reads version 1");
  });

  test("any changed byte is found", () => {
    const next = random(1);
    for (let i = 0; i < 200; i++) {
      const bytes = good.slice();
      bytes[Math.floor(next() * bytes.length)]! ^= 1 + Math.floor(next() * 255);
      expect(message(bytes)).toMatch(/damaged|truncated|no dump|version|and \d+ more/);
    }
  });

  test("whatever is wrong in a heap, its image can be looked into, or says that it cannot", () => {
    const raw = heap.u8.slice();
    const words = new Uint32Array(raw.buffer);
    const own = [...words.keys()].filter((i) => words[i] !== 0 && (i < 4096 || i % 37 === 0));
    const next = random(2);
    let refused = 0;
    for (let n = 0; n < 400; n++) {
      const i = own[Math.floor(next() * own.length)]!;
      const word = words[i]!;
      words[i] = [word ^ 0x10, word + 64, 0xffffffff, 0][n % 4]!;
      try {
        const image = readMemory(raw, { address: heap.address });
        for (const look of ["check", "stats", "pools", "table", "holdings", "leakReport", "map"] as const) {
          try {
            image[look]();
          } catch (error) {
            if (!(error instanceof MempoolError)) throw error;
            refused++;
          }
        }
      } catch (error) {
        if (!(error instanceof MempoolError)) throw new Error(`word ${i} of ${word}, as ${words[i]}`, { cause: error });
      }
      words[i] = word;
    }
    expect(refused).toBeGreaterThan(0);
  });

  test("a memory without a heap is refused", () => {
    expect(() => readMemory(new Uint8Array(65536))).toThrow(/no heap is in these 65536 bytes/);
    expect(() => readMemory(heap.u8.slice(), { address: -1 })).toThrow(/address must be an integer/);
    const fake = new Uint8Array(65536);
    new DataView(fake.buffer).setUint32(4096, 0x6c6f6f70, true);
    expect(() => readMemory(fake)).toThrow(/no heap/);
  });
});

describe.each(builds.filter(({ isShared }) => !isShared))("restoreHeap: $name", (build) => {
  test("the heap goes on: elements are where they were, and are freed", () => {
    const heap = build.heap({ initial: 256 * KIB, maximum: 8 * MIB });
    const pool = heap.create({ size: 32, minNr: 4, maxNr: 5000, name: "bios", zero: true });
    heap.create({ size: 8, minNr: 1, name: "gone" }).exit();
    const held = take(pool, 300);
    for (const at of held) heap.u32[at >>> 2] = at;
    const before = heap.table({ all: true });
    const { heap: again, pools } = restoreHeap(dump(heap));
    expect(again.table({ all: true })).toBe(before);
    expect([...pools.keys()]).toEqual(["bios"]);
    const bios = pools.get("bios")!;
    expect([...bios.live()]).toEqual(held.toSorted((a, b) => a - b));
    for (const at of bios.live()) expect(again.u32[at >>> 2]).toBe(at);
    take(bios, 4000);
    expect(again.u32[bios.alloc() >>> 2]).toBe(0);
    freeAll(bios, bios.live());
    expect(errorFrom(() => bios.free(held[0]!)).code).toBe("ERR_DOUBLE_FREE");
    expect([bios.minNr, bios.maxNr, bios.elementSize, bios.currNr]).toEqual([4, 5000, 32, 4]);
    expectSound(again);
    bios.exit();
    again.create({ size: 100, minNr: 10 });
    expectSound(again);
    // The first heap knows nothing of it.
    expect(pool.outstanding).toBe(300);
    expectSound(heap);
    again.exit();
  });
});

describe("restoreHeap", () => {
  test("a closed pool ends with its last element, though nobody can name it", () => {
    const heap = createHeap();
    const pool = heap.create({ size: 32, minNr: 4, name: "closing" });
    pool.alloc();
    pool.exit();
    const { heap: again, pools } = restoreHeap(dump(heap));
    expect(pools.size).toBe(0);
    expect(leakReport(again).count).toBe(1);
    again.exit();
  });

  test("a heap that cannot be restored is refused", () => {
    expect(() => restoreHeap(dump(createSharedHeap()))).toThrow(
      /restoreHeap: bytes are a dump of a heap that is shared/,
    );
    const heap = createHeap();
    let next = 1;
    heap.create({ size: 8, minNr: 1, name: "mine", backend: { alloc: () => next++, free: () => {} } });
    expect(() => restoreHeap(dump(heap))).toThrow(/pool "mine" has a backend of the caller's own/);
    const damaged = createHeap();
    damaged.create({ size: 8, minNr: 1 });
    damaged.u32[damaged.address / 4 + 1]! -= 1;
    expect(() => restoreHeap(dump(damaged))).toThrow(/the heap is damaged: the heap says it has/);
  });
});
