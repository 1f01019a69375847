/** Who holds memory: `holdings` and `leakReport` list what is outstanding, and of whom. */
import { describe, expect, test } from "vitest";
import { attach, create, createHeap, createSharedHeap, type Backend, type Heap } from "../../src/index.ts";
import { holdings, leakReport } from "../../src/inspect.ts";
import { builds } from "../builds.ts";
import { codeOf, expectSound, fixedHeap, freeAll, hex, MIB, take } from "../contract/helpers.ts";
import { Thread } from "../threads/helpers.ts";

/** Has the heap tell of its elements as a debug heap does. */
function debugHeap(heap: Heap, told: (address: number) => { allocSite: string; allocSequence: number }): void {
  const traceOf = (address: number) => ({ isLive: true, generation: 1, ...told(address) });
  (heap.context as unknown as { debug: unknown }).debug = { traceOf };
}

describe.each(builds)("holders: $name", (build) => {
  test("every outstanding element is listed with its pool, size and thread", () => {
    const heap = fixedHeap(build, 4 * MIB);
    const bios = create({ heap, size: 100, minNr: 10, name: "bios" });
    const pages = create({ heap, size: 4096, minNr: 2, name: "pages", backend: "pages" });
    create({ heap, size: 64, minNr: 5, name: "idle" });
    const held = take(bios, 700);
    freeAll(bios, held.splice(100, 200));
    const large = take(pages, 3);
    const found = [...holdings(heap)];
    expect(found.filter(({ pool }) => pool === "bios").map(({ address }) => address)).toEqual(
      held.toSorted((a, b) => a - b),
    );
    expect(found.filter(({ pool }) => pool === "pages").map(({ address }) => address)).toEqual(
      large.toSorted((a, b) => a - b),
    );
    expect(found).toHaveLength(503);
    expect(new Set(found.map(({ pool, size, thread }) => `${pool} ${size} ${thread}`))).toEqual(
      new Set(["bios 100 0", "pages 4096 0"]),
    );
    expect([...holdings(pages)].map(({ address }) => address)).toEqual(large.toSorted((a, b) => a - b));
    expectSound(heap);
  });

  test("elements of an earlier size have that size", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: (bytes: number) => bytes, data: 24, minNr: 2 });
    pool.alloc();
    pool.reshape(40);
    pool.alloc();
    expect([...holdings(pool)].map(({ size }) => size).toSorted()).toEqual([24, 40]);
  });

  test("an element of a backend of the caller's own is the number that the backend gave", () => {
    let next = 1000;
    const backend: Backend<unknown> = { alloc: () => next++, free: () => {} };
    const pool = create({ heap: build.heap(), size: 8, minNr: 2, backend });
    const held = take(pool, 3);
    expect([...holdings(pool)].map(({ address }) => address).toSorted()).toEqual(held.toSorted());
  });

  test("the loop may allocate, free and grow", () => {
    const heap = build.heap({ initial: 2 * MIB, maximum: 16 * MIB });
    const pool = create({ heap, size: 1000, minNr: 1 });
    const held = new Set(take(pool, 200));
    let visited = 0;
    for (const { address, size } of holdings(pool)) {
      expect(size).toBe(1000);
      visited++;
      if (held.delete(address)) pool.free(address);
      if (visited % 10 === 0 && visited < 100) take(pool, 60);
    }
    expect(held.size).toBe(0);
    expectSound(heap);
  });

  test("the report groups by pool and thread, the most bytes first", () => {
    const heap = build.heap();
    const small = create({ heap, size: 16, minNr: 1, name: "small" });
    const large = create({ heap, size: 1000, minNr: 1, name: "large" });
    expect(`${leakReport(heap)}`).toBe("nothing is outstanding\n");
    const [first, ...others] = take(small, 6);
    const one = large.alloc();
    const report = leakReport(heap);
    expect([report.count, report.bytes]).toEqual([7, 1096]);
    expect(report.groups.map(({ pool, count, bytes, thread }) => [pool, count, bytes, thread])).toEqual([
      ["large", 1, 1000, 0],
      ["small", 6, 96, 0],
    ]);
    expect(report.groups[1]!.addresses).toHaveLength(4);
    const lines = `${report}`.split("\n");
    expect(lines[0]).toBe("outstanding: 7 elements, 1096 bytes");
    expect(lines[1]).toBe("  pool   count  bytes  thread  addresses");
    expect(lines[2]).toBe(`  large      1   1000       0  ${hex(one)}`);
    expect(lines[3]).toContain(`  small      6     96       0  `);
    expect(lines[3]).toMatch(/, \.\.\.$/);
    expect(leakReport(small).count).toBe(6);
    freeAll(small, [first!, ...others]);
    expect(leakReport(small).count).toBe(0);
  });

  test("where places are known, the report groups by them", () => {
    const heap = build.heap();
    const pool = create({ heap, size: 16, minNr: 1, name: "bios" });
    const [a, b, c] = take(pool, 3);
    const site = "shoot (game/shot.js:12:5)\nframe (game/main.js:7:1)";
    debugHeap(heap, (address) =>
      address === c
        ? { allocSite: "bug (game/bug.js:1:1)", allocSequence: 9 }
        : { allocSite: site, allocSequence: address === a ? 4 : 7 },
    );
    const report = leakReport(heap);
    expect(report.groups).toMatchObject([
      { site, count: 2, bytes: 32, since: 4, pool: "bios" },
      { site: "bug (game/bug.js:1:1)", count: 1, since: 9 },
    ]);
    expect(`${report}`.split("\n").slice(1, 3)).toEqual([
      "  pool  count  bytes  thread  since  allocated at               addresses",
      `  bios      2     32       0      4  shoot (game/shot.js:12:5)  ${hex(a!)}, ${hex(b!)}`,
    ]);
    expect([...holdings(pool)].find(({ address }) => address === b)).toMatchObject({ site, sequence: 7 });
  });
});

test("elements of other threads, and of threads that have left, name them", async () => {
  const heap = createSharedHeap();
  const pool = heap.create({ size: 32, minNr: 4, name: "shared" });
  const worker = new Thread();
  const own = pool.alloc();
  const theirs = await worker.run((library, shared) => {
    const attached = library.attach(shared);
    (globalThis as { detach?: () => void }).detach = () => attached.heap.detach();
    const mine = attached.heap.create({ size: 64, minNr: 1 });
    return [attached.alloc(), mine.alloc()];
  }, pool.share(worker.worker));
  const of = () => new Map([...holdings(heap)].map((each) => [each.address, each]));
  expect(of().get(own)).toMatchObject({ pool: "shared", thread: 0 });
  expect(of().get(theirs[0]!)).toMatchObject({ pool: "shared", thread: 1, size: 32 });
  // A pool that this thread has no name of.
  expect(of().get(theirs[1]!)).toMatchObject({ pool: "#2", thread: 1, size: 64 });
  await worker.run(() => (globalThis as { detach?: () => void }).detach!());
  expect(of().get(theirs[0]!)).toMatchObject({ pool: "shared", thread: undefined });
  expect(leakReport(pool).groups.map(({ thread, count }) => [thread, count])).toEqual([
    [0, 1],
    [undefined, 1],
  ]);
  expect(attach(pool.share())).toBe(pool);
});

test("a queue is no element of a caller's", () => {
  const heap = createSharedHeap();
  const queue = heap.createQueue({ capacity: 4 });
  // Another instance of the core plays another thread.
  const there = { ...heap.share(), id: "another" };
  attach({ ...queue.share(), heap: there });
  expect(leakReport(attach(there)).count).toBe(0);
  expect([...holdings(heap)]).toEqual([]);
  heap.create({ size: 16, minNr: 1, name: "bios" }).alloc();
  expect(`${leakReport(heap)}`).toMatch(/^outstanding: 1 element, 16 bytes\n/);
});

test("bad arguments are refused", () => {
  for (const bad of [undefined, null, 5, {}, []]) {
    expect(codeOf(() => holdings(bad as never))).toBe("ERR_INVALID_ARGUMENT");
    expect(codeOf(() => leakReport(bad as never))).toBe("ERR_INVALID_ARGUMENT");
  }
  const heap = createHeap();
  const pool = heap.create({ size: 8, minNr: 1 });
  pool.exit();
  expect(() => leakReport(pool)).toThrow(/has ended/);
  heap.exit();
  expect(codeOf(() => leakReport(heap))).toBe("ERR_CLOSED");
});
