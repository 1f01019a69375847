/** The map of a heap: runs and states against what the pools say, on every build. */
import { describe, expect, test } from "vitest";
import {
  dump,
  FLAG,
  KIND,
  mapHeap,
  readDump,
  RUN,
  RUN_WORDS,
  STATE,
  STATE_THREAD,
  type HeapMap,
} from "../../src/inspect.ts";
import { MapReader, sourceOf } from "../../src/inspect/heap-map.ts";
import { HeapImage } from "../../src/inspect/image.ts";
import { createArena, type Heap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { codeOf, KIB, MIB } from "./helpers.ts";

type Run = Record<keyof typeof RUN, number>;

function runsOf({ runs }: HeapMap): Run[] {
  return Array.from(
    { length: runs.length / RUN_WORDS },
    (_, i) => Object.fromEntries(Object.entries(RUN).map(([name, word]) => [name, runs[i * RUN_WORDS + word]!])) as Run,
  );
}

/** The elements of a pool by address, with their state bytes. */
function elementsOf(map: HeapMap, serial: number): Map<number, number> {
  const elements = new Map<number, number>();
  for (const run of runsOf(map)) {
    if (run.kind !== KIND.slab || run.serial !== serial) continue;
    for (let i = 0; i < run.count; i++) elements.set(run.first + i * run.stride, map.states[run.offset + i]!);
  }
  return elements;
}

/** The state without the thread. */
const stateOf = (byte: number): number =>
  byte & STATE.live ? STATE.live : byte & STATE.cached ? STATE.cached : byte & (STATE.free | STATE.reserved);

/** The elements of a pool in a state. */
const inState = (map: HeapMap, serial: number, state: number): number[] =>
  [...elementsOf(map, serial)].filter(([, byte]) => stateOf(byte) === state).map(([address]) => address);

/** The heap's image in bytes of its memory, whatever is in them. */
function imageOf({ address, context }: Heap, bytes: Uint8Array): HeapImage {
  const known = {
    address,
    isShared: context.isShared,
    isDebug: context.debug !== undefined,
    pools: [],
    records: [],
    date: undefined,
  };
  return new HeapImage("test", known, bytes.length, (target) => target.set(bytes));
}

describe.each(builds)("$name", (build) => {
  test("the runs of a map tile the heap", () => {
    const heap = build.heap({ initial: MIB });
    const pool = heap.create({ minNr: 8, size: 100 });
    const arena = createArena({ heap, bytes: 100 * KIB });
    pool.alloc();
    const map = mapHeap(heap);
    const runs = runsOf(map);
    let end = 0;
    for (const { page, pages } of runs) {
      expect(page).toBeGreaterThanOrEqual(end);
      expect(pages).toBeGreaterThan(0);
      end = page + pages;
    }
    expect(runs.reduce((sum, { pages }) => sum + pages * 4096, 0)).toBe(map.bytes);
    const { free } = heap.stats();
    const ofKind = (kind: number): number =>
      runs.reduce((sum, each) => sum + (each.kind === kind ? each.pages * 4096 : 0), 0);
    expect(ofKind(KIND.free)).toBe(free);
    expect(ofKind(KIND.slab)).toBe(pool.stats().slabBytes);
    expect(ofKind(KIND.arena)).toBe(arena ? arena.stats().bytes : 0);
    arena?.exit();
    expect(runsOf(mapHeap(heap)).some(({ kind }) => kind === KIND.arena)).toBe(false);
  });

  test("each element is in its state", () => {
    const heap = build.heap();
    const pool = heap.create({ name: "bios", minNr: 5, size: 100, align: 4 });
    const live = Array.from({ length: 50 }, () => pool.alloc());
    live.splice(40).forEach((element) => pool.free(element));
    const map = mapHeap(heap);
    const [own] = map.pools;
    const { currNr, outstanding, cached } = pool.stats();
    expect(own).toMatchObject({ name: "bios", size: 100, minNr: 5, maxNr: Infinity, isClosed: false, waiting: 0 });
    expect(own).toMatchObject({ currNr, outstanding, cached, queue: [] });
    expect(inState(map, own!.serial, STATE.live).toSorted((a, b) => a - b)).toEqual(live.toSorted((a, b) => a - b));
    expect(inState(map, own!.serial, STATE.reserved)).toHaveLength(5);
    expect(inState(map, own!.serial, STATE.cached)).toHaveLength(cached);
    expect(new Set([...elementsOf(map, own!.serial).values()].map((byte) => byte & STATE_THREAD & 0xf))).toEqual(
      new Set([0]),
    );
  });

  test("elements of an old size are in slabs that are not current", () => {
    const heap = build.heap();
    const pool = heap.create<number>({ minNr: 1, size: (n) => n, data: 100 });
    const old = pool.alloc();
    pool.reshape(200);
    const young = pool.alloc();
    const slabOf = (element: number): Run | undefined =>
      runsOf(mapHeap(heap)).find(
        ({ kind, first, stride, count }) => kind === KIND.slab && element >= first && element < first + stride * count,
      );
    expect(slabOf(old)).toMatchObject({ size: 100 });
    expect(slabOf(old)!.flags & FLAG.current).toBe(0);
    expect(slabOf(young)).toMatchObject({ size: 200 });
    expect(slabOf(young)!.flags & FLAG.current).toBe(FLAG.current);
    pool.exit();
    expect(slabOf(old)!.flags & FLAG.closed).toBe(FLAG.closed);
  });

  test("waiters are counted", async () => {
    const heap = build.heap();
    const pool = heap.create({ minNr: 1, maxNr: 1, size: 100 });
    const element = pool.alloc();
    const waits = [pool.allocAsync(), pool.allocAsync()];
    expect(mapHeap(heap).pools[0]).toMatchObject({ waiting: 2, queue: build.isShared ? [0, 0] : [] });
    pool.free(element);
    pool.free(await waits[0]!);
    pool.free(await waits[1]!);
    expect(mapHeap(heap).pools[0]).toMatchObject({ waiting: 0, queue: [] });
  });

  test("a map of a copy of the memory is the same", () => {
    const heap = build.heap();
    const pool = heap.create({ name: "a", minNr: 3, size: 100 });
    for (let i = 0; i < 100; i++) pool.alloc();
    const map = mapHeap(heap);
    const bytes = new Uint8Array(heap.views.refresh().u8.slice());
    const copy = imageOf(heap, bytes).heapMap();
    const pools = map.pools.map((each) => ({ ...each, name: `#${each.serial}` }));
    expect({ ...copy, time: 0 }).toEqual({ ...map, pools, time: 0 });
    expect({ ...readDump(dump(heap)).heapMap(), time: 0 }).toEqual({ ...map, time: 0 });
  });

  test("a walk from any page comes to an end, whatever is in the memory", () => {
    const heap = build.heap({ initial: MIB });
    const pool = heap.create({ minNr: 3, size: 3000 });
    for (let i = 0; i < 30; i++) pool.alloc();
    const original = new Uint8Array(heap.views.refresh().u8.slice());
    // Each build looks at other memories.
    let seed = builds.indexOf(build) + 1;
    const random = (below: number): number => {
      seed = Math.imul(seed, 1664525) + 1013904223;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 15; round++) {
      const bytes = original.slice();
      // Words of the heap's structures; its magic stays.
      for (let i = 0; i < 40; i++) {
        const at = heap.address + 4 + random(i < 20 ? 8192 : 200_000);
        bytes[at] = random(256);
      }
      const source = imageOf(heap, bytes).subject;
      let calls = 0;
      for (let page = random(64); ; calls++) {
        page = source.inspector.heap_next_run(heap.address, page, source.at);
        if (page === -1) break;
        page += source.views.u32[source.at / 4 + 1]!;
      }
      expect(calls).toBeLessThan(bytes.length / 4096 + 2);
    }
  });
});

test("reads in turn keep a map until the second after it", () => {
  const heap = builds[0]!.heap();
  const pool = heap.create({ minNr: 0, size: 100 });
  const reader = new MapReader(sourceOf("test", heap));
  const before = reader.read();
  const live = inState(before, before.pools[0]!.serial, STATE.live);
  const element = pool.alloc();
  const after = reader.read();
  expect(inState(after, after.pools[0]!.serial, STATE.live)).toEqual([element]);
  expect(inState(before, before.pools[0]!.serial, STATE.live)).toEqual(live);
});

test("refused: what is no heap, and a heap that has ended", () => {
  expect(codeOf(() => mapHeap({} as Heap))).toBe("ERR_INVALID_ARGUMENT");
  const heap = builds[0]!.heap();
  heap.exit();
  expect(codeOf(() => mapHeap(heap))).toBe("ERR_CLOSED");
});
