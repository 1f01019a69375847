/** Leaks are told when they matter, events and statistics where developers look; and none of it costs others anything. */
import { PerformanceObserver, performance } from "node:perf_hooks";
import diagnostics from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createHeap, createSharedHeap, type Heap } from "../../src/index.ts";
import { metrics, trace, watchLeaks, type TraceEvent } from "../../src/inspect.ts";
import { builds } from "../builds.ts";
import { codeOf, expectSound, fixedHeap, freeAll, MIB, take } from "../contract/helpers.ts";
import { reports } from "../outside/helpers.ts";
import { Thread } from "../threads/helpers.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe.each(builds)("watchLeaks: $name", (build) => {
  beforeEach(() => void vi.useFakeTimers());

  test("a pool that was exited and has not closed is reported once, with what it waits for", () => {
    const told: string[] = [];
    const heap = fixedHeap(build, 4 * MIB);
    const leaky = heap.create({ size: 16, minNr: 2, name: "leaky" });
    const tidy = heap.create({ size: 32, minNr: 2, name: "tidy" });
    const stop = watchLeaks(heap, { afterMs: 1000, to: (text) => void told.push(text) });
    const held = take(leaky, 3);
    const late = tidy.alloc();
    leaky.exit();
    tidy.exit();
    vi.advanceTimersByTime(700);
    tidy.free(late);
    vi.advanceTimersByTime(290);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(270);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(
      /^wasm-mempool: pool "leaky" was exited 1000 ms ago, and has not closed\noutstanding: 3 elements, 48 bytes\n.*\n {2}leaky +3 +48 +0 +0x/,
    );
    vi.advanceTimersByTime(60_000);
    expect(told).toHaveLength(1);
    freeAll(leaky, held);
    stop();
    const again = heap.create({ size: 16, minNr: 2 });
    again.alloc();
    again.exit();
    vi.advanceTimersByTime(60_000);
    expect(told).toHaveLength(1);
    expectSound(heap);
  });

  test("an error of the callback is reported, and a heap that ends is watched no longer", () => {
    const reported = reports();
    const heap = build.heap();
    const cause = new Error("no");
    watchLeaks(heap, {
      afterMs: 100,
      to: () => {
        throw cause;
      },
    });
    const pool = heap.create({ size: 16, minNr: 2 });
    pool.alloc();
    pool.exit();
    vi.advanceTimersByTime(200);
    expect(reported).toEqual([cause]);
    heap.exit();
    vi.advanceTimersByTime(1000);
    expect(reported).toEqual([cause]);
  });
});

test("what a thread had is reported by the thread that reaps it", async () => {
  const heap = createSharedHeap();
  const pool = heap.create({ size: 32, minNr: 4, name: "shared" });
  const told: string[] = [];
  watchLeaks(heap, { to: (text) => void told.push(text) });
  const worker = new Thread();
  const number = await worker.run((library, shared) => {
    const attached = library.attach(shared);
    for (let i = 0; i < 5; i++) attached.alloc();
    return attached.heap.core.heap_thread();
  }, pool.share(worker.worker));
  await worker.terminate();
  expect(heap.reap(number, { isGone: true })).toHaveLength(5);
  expect(told).toEqual([
    expect.stringMatching(
      /^wasm-mempool: thread 1 has ended, and held:\noutstanding: 5 elements, 160 bytes\n.*\n {2}shared +5 +160 +1 +0x/,
    ),
  ]);
});

test("what is outstanding at the process's end is reported on request", () => {
  const before = process.listeners("exit");
  const heap = createHeap();
  const told: string[] = [];
  const stop = watchLeaks(heap, { atExit: true, to: (text) => void told.push(text) });
  watchLeaks(heap);
  const added = process.listeners("exit").filter((each) => !before.includes(each));
  expect(added).toHaveLength(1);
  added[0]!(0);
  expect(told).toEqual([]);
  heap.create({ size: 100, minNr: 1, name: "held" }).alloc();
  added[0]!(0);
  expect(told).toEqual([
    expect.stringMatching(/^wasm-mempool: at the end of the program\noutstanding: 1 element, 100/),
  ]);
  stop();
  expect(process.listeners("exit")).toEqual(before);
});

/** The rules of OpenMetrics 1.0 for families, their order, names, labels and numbers. */
function parse(text: string): Map<string, Map<string, number>> {
  const lines = text.split("\n");
  expect(lines.slice(-2)).toEqual(["# EOF", ""]);
  const families = new Map<string, Map<string, number>>();
  let name = "";
  let type = "";
  for (const line of lines.slice(0, -2)) {
    const meta = /^# (TYPE|UNIT|HELP) (\w+) (.+)$/.exec(line);
    if (meta) {
      if (meta[1] === "TYPE") {
        expect(families.has(meta[2]!), `${meta[2]} comes twice`).toBe(false);
        [name, type] = [meta[2]!, meta[3]!];
        families.set(name, new Map());
      }
      expect(meta[2]).toBe(name);
      if (meta[1] === "UNIT") expect(name.endsWith(`_${meta[3]}`)).toBe(true);
      continue;
    }
    const sample = /^(\w+)(\{(?:\w+="(?:[^"\\\n]|\\[\\n"])*",?)+\})? (\+Inf|\d+(?:\.\d+)?(?:e[+-]\d+)?)$/.exec(line);
    expect(sample, line).not.toBe(null);
    const suffixes: Record<string, string[]> = {
      gauge: [""],
      counter: ["_total"],
      histogram: ["_bucket", "_sum", "_count"],
    };
    expect(suffixes[type]!.map((suffix) => name + suffix)).toContain(sample![1]);
    const key = `${sample![1]}${sample![2] ?? ""}`;
    expect(families.get(name)!.has(key), `${key} comes twice`).toBe(false);
    families.get(name)!.set(key, sample![3] === "+Inf" ? Infinity : Number(sample![3]));
  }
  return families;
}

describe("metrics", () => {
  test.each(builds)("are the statistics: $name", (build) => {
    const heap = fixedHeap(build, MIB);
    const pool = heap.create({ size: 64, minNr: 2, maxNr: 2, name: 'a "b"\\\n' });
    const other = heap.create({ size: 8, minNr: 1, name: 'a "b"\\\n' });
    const held = take(pool, 2);
    expect(pool.alloc()).toBe(0);
    pool.free(held[0]!);
    other.alloc();
    const families = parse(metrics(heap));
    const [stats, own] = [heap.stats(), 'pool="a \\"b\\"\\\\\\n",number="1"'];
    const value = (family: string, key = `wasm_mempool_${family}`) => families.get(`wasm_mempool_${family}`)!.get(key);
    expect(value("heap_bytes")).toBe(stats.bytes);
    expect(value("heap_used_bytes")).toBe(stats.used);
    expect(value("pool_outstanding", `wasm_mempool_pool_outstanding{${own}}`)).toBe(1);
    expect(value("pool_max_nr", `wasm_mempool_pool_max_nr{${own}}`)).toBe(2);
    expect(value("pool_max_nr", `wasm_mempool_pool_max_nr{${own.replace("1", "2")}}`)).toBe(Infinity);
    expect(value("pool_failures", `wasm_mempool_pool_failures_total{${own}}`)).toBe(1);
    expect(value("pool_allocs", `wasm_mempool_pool_allocs_total{${own},from="reserve"}`)).toBe(
      pool.stats().reserveHits,
    );
  });

  test("of several heaps have their names, and each family once", () => {
    const [audio, video] = [createHeap(), createHeap()];
    for (const heap of [audio, video]) heap.create({ size: 8, minNr: 1, name: "frames" });
    const families = parse(metrics({ audio, video }));
    expect([...families.get("wasm_mempool_heap_bytes")!.keys()]).toEqual([
      'wasm_mempool_heap_bytes{heap="audio"}',
      'wasm_mempool_heap_bytes{heap="video"}',
    ]);
    expect([...families.get("wasm_mempool_pool_reserve")!.keys()]).toEqual([
      'wasm_mempool_pool_reserve{heap="audio",pool="frames",number="1"}',
      'wasm_mempool_pool_reserve{heap="video",pool="frames",number="1"}',
    ]);
    parse(metrics({}));
  });

  test("have a histogram of the waits", async () => {
    const pool = createHeap().create({ size: 8, minNr: 1, maxNr: 1, name: "p" });
    const held = pool.alloc();
    const waiting = pool.allocAsync();
    pool.free(held);
    await waiting;
    const wait = parse(metrics(pool.heap)).get("wasm_mempool_pool_wait_seconds")!;
    const values = [...wait.entries()].filter(([key]) => key.includes("_bucket")).map(([, value]) => value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(values.at(-1)).toBe(1);
    expect([...wait.keys()].at(-3)).toBe('wasm_mempool_pool_wait_seconds_bucket{pool="p",number="1",le="+Inf"}');
  });
});

describe.each(builds)("trace: $name", (build) => {
  test("each event comes once, with what it counts", () => {
    vi.useFakeTimers();
    const events: TraceEvent[] = [];
    const heap = build.heap({ initial: MIB, maximum: 4 * MIB });
    const pool = heap.create({ size: 64, minNr: 2, maxNr: 2, name: "small" });
    const stop = trace(heap, { to: (event) => void events.push(event) });
    vi.advanceTimersByTime(1000);
    expect(events).toEqual([]);
    take(pool, 2);
    pool.alloc();
    vi.advanceTimersByTime(100);
    const found = () => events.splice(0).map(({ kind, pool: name, count }) => [kind, name, count]);
    expect(found()).toEqual(
      expect.arrayContaining([
        ["reserve", "small", pool.stats().reserveHits],
        ["failure", "small", 1],
      ]),
    );
    vi.advanceTimersByTime(1000);
    expect(events).toEqual([]);
    stop();
    pool.alloc();
    vi.advanceTimersByTime(1000);
    expect(events).toEqual([]);
    expectSound(heap);
  });

  test("a wait has its length and its ending", async () => {
    const events: TraceEvent[] = [];
    const pool = build.heap().create({ size: 64, minNr: 1, maxNr: 1, name: "one" });
    const stop = trace(pool.heap, { to: (event) => void (event.kind === "wait" && events.push(event)) });
    const held = pool.alloc();
    const waiting = pool.allocAsync();
    const aborted = pool.allocAsync({ signal: AbortSignal.abort() }).catch(() => {});
    pool.free(held);
    await Promise.all([waiting, aborted]);
    pool.exit();
    stop();
    expect(events.map(({ kind, pool: name, ending }) => [kind, name, ending])).toContainEqual([
      "wait",
      "one",
      "served",
    ]);
    for (const { start, end } of events) expect(end).toBeGreaterThanOrEqual(start);
  });
});

test("a growth is on the performance timeline, as a track, and in the diagnostics channel", async () => {
  const entries: { name: string; detail: unknown }[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { name, detail } of list.getEntries() as PerformanceMeasure[]) entries.push({ name, detail });
  });
  observer.observe({ entryTypes: ["measure"] });
  const published: unknown[] = [];
  const subscriber = (message: unknown) => void published.push(message);
  diagnostics.subscribe("wasm-mempool", subscriber);
  const heap: Heap = createHeap({ initial: 262_144 });
  const stop = trace(heap, { everyMs: 1 });
  take(heap.create({ size: 65_536, minNr: 0 }), 10);
  await vi.waitFor(() => expect(entries.some(({ name }) => name.startsWith("grows by "))).toBe(true), 60_000);
  stop();
  observer.disconnect();
  diagnostics.unsubscribe("wasm-mempool", subscriber);
  const growth = entries.find(({ name }) => name.startsWith("grows by "))!;
  expect(growth.detail).toMatchObject({
    devtools: { dataType: "track-entry", track: "heap", trackGroup: "wasm-mempool" },
    event: { kind: "growth" },
  });
  expect(published).toContainEqual(expect.objectContaining({ kind: "growth", count: expect.any(Number) }));
  // The timeline does not fill.
  expect(performance.getEntriesByType("measure").filter(({ name }) => name.startsWith("grows"))).toEqual([]);
});

test("bad arguments are refused, and name the value", () => {
  const heap = createHeap();
  const refused: (() => unknown)[] = [
    () => watchLeaks(heap, { afterMs: -1 }),
    () => watchLeaks(heap, { atExit: 1 as never }),
    () => watchLeaks(heap, { to: "x" as never }),
    () => watchLeaks(heap, { after: 5 } as never),
    () => watchLeaks({} as never),
    () => trace(heap, { everyMs: 0 }),
    () => trace(heap, { to: 1 as never }),
    () => trace(undefined as never),
    () => metrics(5 as never),
    () => metrics({ a: {} } as never),
  ];
  for (const call of refused) expect([`${call}`, codeOf(call)]).toEqual([`${call}`, "ERR_INVALID_ARGUMENT"]);
});
