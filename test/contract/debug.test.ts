/** Debug heaps: what they find, and what they say of it. Each fault is planted on purpose. */
import { MessageChannel } from "node:worker_threads";
import { afterEach, describe, expect, test, vi } from "vitest";
import { tag, traceOf } from "../../src/debug.ts";
import { holdings, leakReport } from "../../src/inspect.ts";
import { expose } from "../../src/inspector.ts";
import { TAG, type Message } from "../../src/inspector/protocol.ts";
import {
  attach,
  createHeap,
  createSharedHeap,
  f32,
  struct,
  type AttachHeapOptions,
  type DamageReport,
  type DebugOptions,
  type Heap,
  type HeapHandle,
  type SharedPool,
} from "../../src/index.ts";

const builds = [
  { name: "plain", heap: (debug: DebugOptions) => createHeap({ debug, maximum: 2 ** 24 }) },
  {
    name: "imported",
    heap: (debug: DebugOptions) =>
      createHeap({ debug, memory: new WebAssembly.Memory({ initial: 1 }), grows: true, maximum: 2 ** 24 }),
  },
  { name: "shared", heap: (debug: DebugOptions) => createSharedHeap({ debug, maximum: 2 ** 24 }) as Heap },
];

/** The line of this file that a site names first. */
const lineOf = (site: string): number => Number(/debug\.test\.ts:(\d+)/.exec(site.split("\n")[0]!)?.[1]);
const lineHere = (): number => Number(/debug\.test\.ts:(\d+)/.exec(new Error("here").stack!.split("\n")[2]!)![1]);

describe.each(builds)("a $name debug heap", ({ heap: make }) => {
  let found: DamageReport[] = [];
  afterEach(() => void (found = []));
  const start = (size = 12, more: DebugOptions = {}) => {
    const heap = make({ onDamage: (report) => void found.push(report), ...more });
    return { heap, pool: heap.create({ size, align: 4, minNr: 2, name: "nodes" }) };
  };

  test("finds nothing in a sound program", () => {
    const { heap, pool } = start();
    const all = new Set(Array.from({ length: 500 }, () => pool.alloc()));
    for (const at of all) heap.u8.fill(1, at, at + 12);
    for (const at of all) pool.free(at);
    pool.resize(20);
    const arena = heap.create({ size: 4096, align: 4096, minNr: 0 });
    heap.u8.fill(2, arena.alloc(), 1);
    expect([heap.check(), found]).toEqual([[], []]);
    expect(pool.outstanding).toBe(0);
    expect(pool.stats().outstanding).toBe(0);
  });

  test("fills an element with one byte at alloc and another at free, and zeroes it for zero", () => {
    const { heap, pool } = start();
    const at = pool.alloc();
    const alloc = heap.u8.slice(at, at + 12);
    pool.free(at);
    const free = heap.u8.slice(at, at + 12);
    expect(new Set([...alloc, ...free]).size).toBe(2);
    const zeros = heap.create({ size: 12, minNr: 0, zero: true });
    const zeroed = zeros.alloc();
    expect(Array.from(heap.u8.slice(zeroed, zeroed + 12))).toEqual(Array(12).fill(0));
    expect(heap.check()).toEqual([]);
  });

  test.each([1, 4, 8, 64])("finds %i bytes written behind an element, at its free", (n) => {
    const { heap, pool } = start();
    const line = lineHere() + 1;
    const at = pool.alloc();
    heap.u8.fill(7, at + 12, at + 12 + n);
    expect(found).toEqual([]);
    pool.free(at);
    expect(found).toMatchObject([{ kind: "overrun", pool: "nodes", address: at, size: 12, offset: 12, length: n }]);
    expect([...found[0]!.bytes]).toEqual(Array(Math.min(n, 16)).fill(7));
    expect(lineOf(found[0]!.trace!.allocSite)).toBe(line);
    expect(heap.check()).toEqual([found[0]!.message]);
  });

  test.each([1, 4, 8, 64])("finds %i bytes written before an element, also the first of a slab, by check", (n) => {
    const { heap, pool } = start();
    const all = [pool.alloc(), pool.alloc()];
    for (const at of all) heap.u8.fill(7, at - n, at);
    expect(heap.check()).toHaveLength(2);
    expect(found.map(({ kind, address, offset }) => [kind, address, offset])).toEqual(
      all.map((at) => ["underrun", at, -n]),
    );
    // Mended, so said once.
    for (const at of all) pool.free(at);
    expect(found).toHaveLength(2);
  });

  test("finds a write after a free, and says who allocated and who freed", () => {
    const { heap, pool } = start();
    const line = lineHere() + 1;
    const at = pool.alloc();
    pool.free(at);
    heap.u8[at + 5] = 9;
    heap.check();
    expect(found).toMatchObject([{ kind: "write-after-free", address: at, offset: 5, length: 1, thread: 0 }]);
    const { allocSite, freeSite, allocThread, freeThread } = found[0]!.trace!;
    expect([lineOf(allocSite), lineOf(freeSite), allocThread, freeThread]).toEqual([line, line + 1, 0, 0]);
    expect(found[0]!.message).toContain(`element 0x${at.toString(16)} (12 bytes) of pool "nodes": 09`);
  });

  test("finds a write after a free when the element leaves the quarantine", () => {
    const { heap, pool } = start();
    const at = pool.alloc();
    pool.free(at);
    heap.u8[at] = 9;
    const others = new Set<number>();
    for (let i = 0; found.length === 0 && i < 2000; i++) {
      const other = pool.alloc();
      others.add(other);
      pool.free(other);
    }
    expect(found).toMatchObject([{ kind: "write-after-free", address: at }]);
    expect(others.size).toBeGreaterThan(20);
  });

  test("says of a damaged trace that it is damaged, and does not believe it", () => {
    const { heap, pool } = start();
    const at = pool.alloc();
    heap.u8.fill(7, at + 12, at + 12 + 100);
    pool.free(at);
    expect(found.map(({ kind }) => kind)).toEqual(["overrun", "trace"]);
    expect(found.map(({ trace }) => trace)).toEqual([undefined, undefined]);
    expect(heap.check()).toHaveLength(2);
  });

  test("says in the error of a bad free who freed the element first", () => {
    const { pool } = start();
    const at = pool.alloc();
    const line = lineHere() + 1;
    pool.free(at);
    expect(() => pool.free(at)).toThrow(
      /^ERR_DOUBLE_FREE: free: 0x[0-9a-f]+ is free already; pool "nodes"\n  allocated/,
    );
    expect(() => pool.free(at)).toThrow(`debug.test.ts:${line}:`);
    expect(() => pool.free(at)).toThrow(/\n  freed by thread 0/);
  });

  test("refuses access through a cursor to an element that was freed, also once another has its place", () => {
    const heap = make({ onDamage: (report) => void found.push(report) });
    const Node = struct({ x: f32, pos: struct({ y: f32 }) });
    const pool = heap.create({ size: Node, minNr: 0, maxNr: 1 });
    const at = pool.alloc();
    const cursor = Node.cursor(heap);
    expect(() => cursor.x).toThrow("no struct yet");
    cursor.move(at as never).x = 1.5;
    const { pos } = cursor;
    pos.y = 2;
    expect([cursor.x, pos.y]).toEqual([1.5, 2]);
    pool.free(at);
    expect(() => cursor.x).toThrow(/^ERR_USE_AFTER_FREE/);
    expect(() => (pos.y = 1)).toThrow(/^ERR_USE_AFTER_FREE.*was freed\n {2}allocated/s);
    expect(() => cursor.move(at as never)).toThrow(/^ERR_USE_AFTER_FREE.*is free/);
    // The only element there may be.
    expect(pool.alloc()).toBe(at);
    expect(cursor.move(at as never).x).toBeDefined();
    pool.free(at);
    expect(pool.alloc()).toBe(at);
    expect(() => cursor.x).toThrow(/^ERR_USE_AFTER_FREE.*another element now/s);
    expect(heap.check()).toEqual([]);
  });

  test("takes elements out of quarantine before an alloc fails, and outstanding leaves them out", () => {
    const { heap } = start();
    const pool = heap.create({ size: 64, minNr: 2, maxNr: 8 });
    for (let round = 0; round < 5; round++) {
      const all = Array.from({ length: 8 }, () => pool.alloc());
      expect(all.every((at) => at > 0)).toBe(true);
      expect(pool.alloc()).toBe(0);
      for (const at of all) pool.free(at);
      expect([pool.outstanding, pool.currNr]).toEqual([0, 2]);
    }
    expect(heap.check()).toEqual([]);
  });

  test("gives memory in quarantine to another pool that needs it", () => {
    const { heap } = start();
    const first = heap.create({ size: 4000, minNr: 0 });
    const all: number[] = [];
    for (let at = first.alloc(); at !== 0; at = first.alloc()) all.push(at);
    for (const at of all) first.free(at);
    const second = heap.create({ size: 8000, minNr: 0 });
    let got = 0;
    while (second.alloc() !== 0) got++;
    expect(got).toBeGreaterThan((all.length / 2) * 0.9);
    expect(heap.check()).toEqual([]);
  });

  test("ends a pool although elements were in quarantine", async () => {
    const { heap, pool } = start();
    const all = Array.from({ length: 10 }, () => pool.alloc());
    for (const at of all.slice(1)) pool.free(at);
    pool.exit();
    pool.free(all[0]!);
    await pool.closed;
    expect(heap.check()).toEqual([]);
  });

  test("frees elements of an old size, and finds writes to them", () => {
    const { heap } = start();
    const pool = heap.create({ size: (n: number) => n, data: 16, minNr: 2 });
    const old = pool.alloc();
    pool.reshape(40);
    heap.u8[old + 16] = 1;
    pool.free(old);
    expect(found).toMatchObject([{ kind: "overrun", size: 16, offset: 16 }]);
    heap.u8[old] = 1;
    heap.check();
    expect(found).toMatchObject([{}, { kind: "write-after-free", size: 16, offset: 0 }]);
  });

  test("waiters get what is freed at once", async () => {
    const { heap } = start();
    const pool = heap.create({ size: 16, minNr: 0, maxNr: 2 });
    const [a, b] = [pool.alloc(), pool.alloc()];
    const waits = pool.allocAsync({ timeout: 60_000 });
    pool.free(a);
    expect(await waits).toBe(a);
    pool.free(b);
    const bulk = new Uint32Array(1);
    await pool.allocBulkAsync(bulk, { timeout: 60_000 });
    expect(bulk[0]).toBe(b);
    expect(heap.check()).toEqual([]);
  });

  test("names allocs by tags alone, without stacks", () => {
    const { heap, pool } = start(12, { stacks: false });
    expect(traceOf(heap, pool.alloc())!.allocSite).toBe("");
    tag(heap, "level 3 – é");
    const at = pool.alloc();
    tag(heap, undefined);
    const other = pool.alloc();
    expect(traceOf(heap, at)).toMatchObject({ address: at, isLive: true, allocSite: "[level 3 – é]", allocThread: 0 });
    expect(traceOf(heap, other)!.allocSite).toBe("");
    pool.free(at);
    expect(traceOf(heap, at + 3)).toMatchObject({ address: at, isLive: false, generation: 1, freeThread: 0 });
    expect(traceOf(heap, 8)).toBeUndefined();
  });

  test("checks the heap on a timer if it is asked to", () => {
    vi.useFakeTimers();
    try {
      const { heap, pool } = start(12, { everyMs: 1000 });
      const at = pool.alloc();
      heap.u8[at + 12] = 1;
      vi.advanceTimersByTime(999);
      expect(found).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(found).toMatchObject([{ kind: "overrun" }]);
      heap.exit();
      vi.advanceTimersByTime(5000);
    } finally {
      vi.useRealTimers();
    }
  });

  test("says for how long an element has been held, by the clock, and knows no time before it is told", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 2e12 });
    try {
      const { heap, pool } = start();
      const of = (at: number) => [...holdings(pool)].find(({ address }) => address === at)?.heldMs;
      const at = pool.alloc();
      expect(traceOf(heap, at)).toMatchObject({ allocTime: 2e12 });
      vi.setSystemTime(2e12 + 3249);
      const other = pool.alloc();
      expect([of(at), of(other)]).toEqual([3249, 0]);
      expect(`${leakReport(heap)}`).toMatch(/^outstanding: 2 .*\n.* held for .*\n +nodes +1 +12 +0 +3\.2 s /);
      pool.free(at);
      expect(traceOf(heap, at)).toMatchObject({ isLive: false, allocTime: 2e12 });
      // A clock that is set back.
      vi.setSystemTime(1e12);
      expect(of(other)).toBe(0);
      (heap.core as unknown as { debug_clock(ms: number): void }).debug_clock(NaN);
      const silent = heap.core.mempool_alloc([...heap.context.pools][0]!.handle);
      expect([traceOf(heap, silent)!.allocTime, of(silent)]).toEqual([undefined, undefined]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("a call that has waited holds its element from when it got it, whatever gave it", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 2e12 });
    try {
      const { heap } = start();
      const pool = heap.create({ size: 16, minNr: 0, maxNr: 1 });
      const at = pool.alloc();
      const waits = pool.allocAsync({ timeout: 5000 });
      vi.setSystemTime(2e12 + 60_000);
      // As by code that tells no time.
      const { handle } = [...heap.context.pools].find(({ front }) => front === pool)!;
      heap.core.mempool_free(handle, at);
      heap.trim();
      expect(traceOf(heap, await waits)).toMatchObject({ isLive: true, allocTime: 2e12 + 60_000 });
    } finally {
      vi.useRealTimers();
    }
  });

  test("tells a page of its heap where an element was allocated, and for how long it has been held", async () => {
    const { heap, pool } = start();
    const at = pool.alloc();
    const { port1, port2 } = new MessageChannel();
    const stop = expose(heap, { channel: port1 });
    const said: Message[] = [];
    const answers = new Promise<void>((resolve) => {
      port2.on("message", (message: Message) => {
        said.push(message);
        if (message.type === "element" && message.address === 8) resolve();
        if (message.type !== "map" || said.length > 1) return;
        const { program } = message;
        pool.free(other);
        for (const address of [at, other, 8]) port2.postMessage({ tag: TAG, type: "ask", program, address });
      });
    });
    const other = pool.alloc();
    port2.postMessage({ tag: TAG, type: "look", since: 0 });
    await answers;
    stop();
    port2.close();
    const elements = said.filter((message) => message.type === "element");
    expect(elements.map(({ address, site }) => [address, site && lineOf(site) > 0])).toEqual([
      [at, true],
      [other, undefined],
      [8, undefined],
    ]);
    expect(elements.map(({ heldMs }) => heldMs !== undefined && heldMs >= 0)).toEqual([true, false, false]);
  });

  test("walks its outstanding elements", () => {
    const { pool } = start();
    const all = Array.from({ length: 200 }, () => pool.alloc());
    for (const at of all.slice(100)) pool.free(at);
    expect([...pool.live()]).toEqual(all.slice(0, 100).toSorted((a, b) => a - b));
  });

  test("reports by console.error if nobody listens", () => {
    const spoken = vi.spyOn(console, "error").mockImplementation(() => {});
    try {
      const { heap, pool } = start(12, { onDamage: undefined } as never);
      heap.u8[pool.alloc() + 12] = 1;
      heap.check();
      expect(spoken).toHaveBeenCalledOnce();
      expect(spoken.mock.calls[0]![0]).toMatch(/^wasm-mempool: 1 byte written at the end of element 0x/);
    } finally {
      spoken.mockRestore();
    }
  });
});

test("a program may prepare stacks that are no texts", () => {
  const host = Error as { prepareStackTrace?: unknown };
  const before = host.prepareStackTrace;
  const heap = createHeap({ debug: true });
  host.prepareStackTrace = (_: Error, sites: unknown) => sites;
  try {
    const pool = heap.create({ size: 8, minNr: 0 });
    expect(traceOf(heap, pool.alloc())).toMatchObject({ isLive: true, allocSite: "" });
  } finally {
    host.prepareStackTrace = before;
  }
});

test.each([
  [1, "createHeap: debug must be a boolean or an object, got 1"],
  [{ stack: true }, 'createHeap: debug has no option "stack"'],
  [{ onDamage: 1 }, "createHeap: debug.onDamage must be a function, got 1"],
  [{ everyMs: 0 }, "debug.everyMs"],
  [{ stacks: 1 }, "debug.stacks"],
])("createHeap({ debug: %j }) is refused", (debug, message) => {
  expect(() => createHeap({ debug: debug as never })).toThrow(/ERR_INVALID_ARGUMENT/);
  if (message.includes("debug.")) expect(() => createHeap({ debug: debug as never })).toThrow(message);
});

const refusal = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  return "none";
};

describe("attach", () => {
  const found: DamageReport[] = [];
  const onDamage = (report: DamageReport) => void found.push(report);
  afterEach(() => void found.splice(0));
  let names = 0;
  /** What share() gave, as it comes to another thread. */
  const posted = <T extends { heap: HeapHandle } | HeapHandle>(shared: T, id = `debugged ${names++}`): T =>
    "heap" in shared ? { ...shared, heap: { ...shared.heap, id } } : { ...shared, id };
  test.each(["heap", "pool", "queue"])("of a %s takes what this thread does on a debug heap", (what) => {
    const heap = createSharedHeap({ debug: { onDamage: () => expect.fail("in the other thread") } });
    const pool = heap.create({ size: 24, minNr: 2, name: "nodes" }) as SharedPool;
    const queue = heap.createQueue({ capacity: 2 });
    const id = `debugged ${names++}`;
    const options = { debug: { onDamage, stacks: false } };
    if (what === "heap") attach(posted(heap.share(), id), options);
    else if (what === "queue") attach(posted(queue.share(), id), options);
    const there = attach(posted(pool.share(), id), what === "pool" ? options : undefined);
    tag(there.heap, "there");
    const at = there.alloc();
    heap.u8[at + 24] = 1;
    there.free(at);
    expect(found).toMatchObject([{ kind: "overrun", address: at, trace: { allocThread: 1, allocSite: "[there]" } }]);
    there.heap.detach();
  });

  test("again, with other options, changes what this thread does", () => {
    vi.useFakeTimers();
    try {
      const heap = createSharedHeap({ debug: true });
      const pool = heap.create({ size: 24, minNr: 2, name: "nodes" }) as SharedPool;
      const shared = posted(pool.share());
      const there = attach(shared, { debug: { onDamage, everyMs: 1000 } });
      heap.u8[there.alloc() + 24] = 1;
      vi.advanceTimersByTime(1000);
      expect(found).toHaveLength(1);
      const later: DamageReport[] = [];
      expect(attach(shared, { debug: { onDamage: (report) => void later.push(report), everyMs: 5000 } })).toBe(there);
      heap.u8[there.alloc() + 24] = 1;
      vi.advanceTimersByTime(4000);
      expect(later).toEqual([]);
      vi.advanceTimersByTime(1000);
      expect([found.length, later.length]).toEqual([1, 1]);
      expect(attach(shared)).toBe(there);
      there.heap.detach();
      vi.advanceTimersByTime(10_000);
    } finally {
      vi.useRealTimers();
    }
  });

  test("refuses options for a heap that is no debug heap, and wrong ones, and then has not joined", () => {
    const usual = createSharedHeap();
    const pool = usual.create({ size: 24, minNr: 2 }) as SharedPool;
    const none = /^ERR_INVALID_ARGUMENT: attach: debug is for a debug heap, and this heap is none/;
    for (const debug of [true, {}, { stacks: false }]) {
      expect(refusal(() => attach(posted(pool.share()), { debug }))).toMatch(none);
      expect(refusal(() => attach(usual.share(), { debug }))).toMatch(none);
    }
    const heap = createSharedHeap({ debug: { sample: 10 } });
    const wrong: [unknown, RegExp][] = [
      [{ sample: 5 }, /attach: debug\.sample is for the heap's maker/],
      [{ stack: true }, /attach: debug: unknown option "stack"/],
      [{ everyMs: 0 }, /attach: debug\.everyMs must be an integer/],
      [1, /attach: debug must be a boolean or an object, got 1/],
    ];
    for (const [debug, message] of wrong) {
      const options = { debug } as AttachHeapOptions;
      expect(refusal(() => attach(posted(heap.share()), options))).toMatch(message);
      expect(refusal(() => attach(heap.share(), options))).toMatch(message);
    }
    expect([usual, heap].map(({ core }) => core.heap_thread_count())).toEqual([1, 1]);
    const there = attach(posted(heap.share()), { debug: true });
    expect(there.threadId).toBe(1);
    there.detach();
    attach(posted(usual.share()), { debug: false }).detach();
  });
});
