/** Dumps of debug heaps: what the heap knew of its elements, and elements in quarantine, read again from bytes. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { tag } from "../../src/debug.ts";
import { createHeap, createSharedHeap, type DebugOptions, type Heap } from "../../src/index.ts";
import { dump, holdings, leakReport, memoryMap, readDump, readMemory, restoreHeap } from "../../src/inspect.ts";
import { freeAll, take } from "../contract/helpers.ts";

const kinds = [
  { name: "a debug heap", isShared: false, heap: (debug: DebugOptions) => createHeap({ debug, maximum: 2 ** 22 }) },
  {
    name: "a shared debug heap",
    isShared: true,
    heap: (debug: DebugOptions) => createSharedHeap({ debug, maximum: 2 ** 22 }) as Heap,
  },
  {
    name: "a shared heap that samples",
    isShared: true,
    heap: (debug: DebugOptions) => createSharedHeap({ debug: { ...debug, sample: 2 }, maximum: 2 ** 22 }) as Heap,
  },
];

describe.each(kinds)("$name", ({ name, isShared, heap: make }) => {
  const samples = name.includes("samples");
  afterEach(() => void vi.useRealTimers());
  const filled = () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1e12 });
    const heap = make({ stacks: false, onDamage: ({ message }) => expect.fail(message) });
    const pool = heap.create({ size: 24, minNr: 3, name: "nodes" });
    tag(heap, "level 1");
    const one = take(pool, 40);
    vi.setSystemTime(1e12 + 10_000);
    tag(heap, "level 2");
    const two = take(pool, 30);
    tag(heap, undefined);
    freeAll(pool, one.slice(0, 15));
    vi.setSystemTime(1e12 + 13_200);
    return { heap, pool, live: [...one.slice(15), ...two] };
  };

  test("a dump tells what the heap told, with the sites of outstanding elements", () => {
    const { heap, live } = filled();
    const image = readDump(dump(heap));
    const held = leakReport(heap);
    // An image stands still.
    vi.setSystemTime(1e12 + 60_000);
    const ages = Object.fromEntries(image.leakReport().groups.map(({ site, heldMs }) => [site ?? "", heldMs]));
    expect(ages).toEqual({ "[level 1]": 13_200, "[level 2]": 3200, ...(samples && { "": undefined }) });
    expect(`${image.leakReport()}`).toBe(`${held}`);
    expect(`${held}`).toMatch(/pool +count +bytes +thread +held for +since +allocated at +addresses\n/);
    if (!samples) expect(`${held}`).toMatch(/nodes +25 +600 +0 +13\.2 s +16 +\[level 1\]/);
    vi.setSystemTime(1e12 + 13_200);
    expect([image.isShared, image.address]).toEqual([isShared, heap.address]);
    expect(image.stats()).toEqual(heap.stats());
    expect(image.table({ all: true })).toBe(heap.table({ all: true }));
    expect(image.map({ width: 80 })).toBe(memoryMap(heap, { width: 80 }));
    expect(image.holdings()).toEqual([...holdings(heap)]);
    expect(image.holdings().map(({ address }) => address)).toEqual(live.toSorted((a, b) => a - b));
    const report = image.leakReport();
    expect(`${report}`).toBe(`${leakReport(heap)}`);
    const counts = Object.fromEntries(report.groups.map(({ site, count }) => [site ?? "", count]));
    expect(report.count).toBe(55);
    if (!samples) expect(counts).toEqual({ "[level 1]": 25, "[level 2]": 30 });
    else expect(Object.keys(counts).toSorted()).toEqual(["", "[level 1]", "[level 2]"]);
    expect([image.check(), heap.check()]).toEqual([[], []]);
  });

  test("a raw memory is recognised as that of a debug heap", () => {
    const { heap, live } = filled();
    const image = readMemory(heap.u8.slice());
    expect([image.isShared, image.address]).toEqual([isShared, heap.address]);
    expect(image.pools().map(({ outstanding, currNr }) => [outstanding, currNr])).toEqual([[live.length, 3]]);
    expect(image.check()).toEqual([]);
  });

  test("restoreHeap refuses it, and says why", () => {
    const { heap } = filled();
    const why = isShared ? /shared/ : /debug heap/;
    expect(() => restoreHeap(dump(heap))).toThrow(why);
  });
});
