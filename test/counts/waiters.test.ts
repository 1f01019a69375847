/** What waiting costs: exact counts of Wasm instructions, the same for each waiter however many wait. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { instrument } from "../../bench/counts/instrument.mjs";
import { create, createHeap, createSharedHeap, type Heap, type Pool } from "../../src/index.ts";
import { contextOf } from "../contract/helpers.ts";

const moduleOf = (name: string): WebAssembly.Module =>
  new WebAssembly.Module(instrument(readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url))));

const BYTES = 2 ** 21;
const heaps = [
  { name: "plain", of: "core", make: createHeap },
  { name: "shared", of: "core.shared.whole", make: createSharedHeap },
].map(({ name, of, make }) => {
  const module = moduleOf(of);
  return { name, heap: (): Heap => make({ initial: BYTES, maximum: BYTES, module }) };
});

/** The instructions that a heap's core has executed. */
function executed(pool: Pool): number {
  const { instructions } = contextOf(pool).heap.core as unknown as { instructions: WebAssembly.Global<"i64"> };
  return Number(instructions.value);
}

/** A pool without elements left, in a heap of so many other pools; and its outstanding elements. */
function empty(heap: Heap, others: number): { pool: Pool; live: number[] } {
  for (let i = 0; i < others; i++) create({ heap, size: 16, minNr: 0 });
  const pool = create({ heap, size: 64, minNr: 1, maxNr: 4 });
  const live: number[] = [];
  for (let element = 0; (element = pool.alloc()) !== 0;) live.push(element);
  return { pool, live };
}

/** The instructions by which so many waiters begin to wait, and those by which their waits end. */
type Way = (pool: Pool, live: number[], count: number) => Promise<[begin: number, end: number]>;

async function costs(pool: Pool, begin: () => Promise<unknown>[], end: () => unknown): Promise<[number, number]> {
  const from = executed(pool);
  const all = begin();
  const begun = executed(pool);
  end();
  await Promise.allSettled(all);
  return [begun - from, executed(pool) - begun];
}

const times = <T>(count: number, each: () => T): T[] => Array.from({ length: count }, each);

const ways: readonly { name: string; run: Way }[] = [
  {
    name: "served, each by the free of the one before",
    run: (pool, live, count) =>
      costs(
        pool,
        () => times(count, () => pool.allocAsync().then((element) => pool.free(element))),
        () => pool.free(live.pop()!),
      ),
  },
  {
    name: "aborted, each by its own signal",
    run: (pool, _live, count) => {
      const controllers = times(count, () => new AbortController());
      return costs(
        pool,
        () => controllers.map(({ signal }) => pool.allocAsync({ signal })),
        () => controllers.forEach((controller) => controller.abort()),
      );
    },
  },
  {
    name: "aborted by one signal",
    run: (pool, _live, count) => {
      const controller = new AbortController();
      const { signal } = controller;
      return costs(
        pool,
        () => times(count, () => pool.allocAsync({ signal })),
        () => controller.abort(),
      );
    },
  },
  {
    name: "out of time at once",
    run: (pool, _live, count) =>
      costs(
        pool,
        () => times(count, () => pool.allocAsync({ timeout: 0 })),
        () => {},
      ),
  },
  {
    name: "closed",
    run: (pool, _live, count) =>
      costs(
        pool,
        () => times(count, () => pool.allocAsync()),
        () => pool.exit(),
      ),
  },
];

describe.each(heaps)("waiting: $name", ({ heap }) => {
  /** Per waiter, without what the first and the last waiter alone cost. */
  const perWaiter = async (run: Way, others: number): Promise<[few: number[], many: number[]]> => {
    const counts: number[][] = [];
    for (const count of [100, 200, 2000, 4000]) {
      const { pool, live } = empty(heap(), others);
      counts.push(await run(pool, live, count));
    }
    const [a, b, c, d] = counts as [number[], number[], number[], number[]];
    return [b.map((n, i) => (n - a[i]!) / 100), d.map((n, i) => (n - c[i]!) / 2000)];
  };

  test.each(ways)("$name: each of 4,000 costs what each of 200 costs", async ({ run }) => {
    const [few, many] = await perWaiter(run, 0);
    few.forEach((each, i) => expect(many[i]).toBeLessThanOrEqual(1.01 * each + 1));
  });

  test("a free that serves a waiter looks at no other pool", async () => {
    const serve = ways[0]!.run;
    const [, [, alone]] = (await perWaiter(serve, 0)) as [number[], [number, number]];
    const [, [, among]] = (await perWaiter(serve, 50)) as [number[], [number, number]];
    expect(among).toBe(alone);
  });
});
