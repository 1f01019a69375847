import { expectTypeOf, test } from "vitest";
import { f32, struct, type Heap, type Pool, type PoolStats, type SharedHeap } from "../../src/index.ts";
import {
  dump,
  holdings,
  leakReport,
  memoryMap,
  metrics,
  readDump,
  restoreHeap,
  trace,
  watchLeaks,
  type Holding,
  type LeakReport,
  type TraceEvent,
} from "../../src/inspect.ts";

const Particle = struct({ x: f32 });
declare const heap: Heap;
declare const shared: SharedHeap;
declare const typed: Pool<typeof Particle>;
declare const sized: Pool<unknown, { disks: number }>;

test("any heap and any pool can be asked who holds its elements", () => {
  for (const of of [heap, shared, typed, sized]) {
    expectTypeOf(holdings(of)).toEqualTypeOf<IterableIterator<Holding>>();
    expectTypeOf(leakReport(of)).toEqualTypeOf<LeakReport>();
  }
  expectTypeOf<Holding["thread"]>().toEqualTypeOf<number | undefined>();
  // @ts-expect-error an address is no heap
  leakReport(4096);
});

test("a dump is bytes, and its image has a heap's figures", () => {
  expectTypeOf(dump(shared)).toEqualTypeOf<Uint8Array<ArrayBuffer>>();
  // @ts-expect-error a pool has no memory of its own
  dump(typed);
  const image = readDump(dump(heap));
  expectTypeOf(image.pools()).toEqualTypeOf<PoolStats[]>();
  expectTypeOf(image.check()).toEqualTypeOf<string[]>();
  expectTypeOf(restoreHeap(new Uint8Array()).pools.get("name")).toEqualTypeOf<Pool | undefined>();
});

test("options are checked", () => {
  expectTypeOf(watchLeaks(heap, { afterMs: 1, atExit: true, to: (text: string) => text })).toEqualTypeOf<() => void>();
  expectTypeOf(trace(heap, { to: ({ kind }: TraceEvent) => kind })).toEqualTypeOf<() => void>();
  expectTypeOf(memoryMap(heap, { width: 80 })).toEqualTypeOf<string>();
  expectTypeOf(metrics({ audio: heap, video: shared })).toEqualTypeOf<string>();
  // @ts-expect-error there is no such option
  watchLeaks(heap, { after: 1 });
  // @ts-expect-error of colours there is yes or no
  memoryMap(heap, { color: "red" });
});
