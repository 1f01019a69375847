/**
 * Threads that do at random all that threads may do, on one heap: no element is allocated twice, overwritten or lost.
 *
 *   STRESS_SECONDS  how long in all; 6
 *   STRESS_SEED     of the scenarios and the workers' choices; how the threads fall is new every time
 *   STRESS_WORKERS  at most so many at a time; 4
 */
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import {
  BOARD,
  DOINGS,
  endAll,
  kinds,
  OPEN,
  type PoolSpec,
  random,
  ROW,
  sleep,
  TestHeap,
  type TestPool,
  VISITING,
} from "./stress-heap.ts";

const seconds = Number(process.env["STRESS_SECONDS"] ?? 6);
const seed = Number(process.env["STRESS_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const mostWorkers = Number(process.env["STRESS_WORKERS"] ?? 4);

/** Wasm pages that the heap begins with and may have, so that all can attach; and the most elements that a worker holds. */
const memories = {
  "to spare": { pages: () => 257, grows: false, mostHeld: 60, kind: kinds[0]! },
  "too little": { pages: (n: (below: number) => number) => 16 + n(10), grows: false, mostHeld: 400, kind: kinds[0]! },
  growing: { pages: () => 3, grows: true, mostHeld: 200, kind: kinds[0]! },
  "of a debug heap": { pages: () => 257, grows: false, mostHeld: 60, kind: kinds[1]! },
  "of a heap that samples": { pages: () => 257, grows: false, mostHeld: 60, kind: kinds[2]! },
};

function poolsOf(heap: TestHeap, n: (below: number) => number): TestPool[] {
  const pools: TestPool[] = [];
  for (let count = 3 + n(4); pools.length < count;) {
    const size = [24, 32, 64, 200, 1000, 4096, 5000][n(7)]!;
    const align = [8, 8, 16, 64][n(4)]!;
    const minNr = [0, 2, 2, 100][n(4)]!;
    const maxNr = n(3) ? -1 : minNr + [0, 1, 7, 300][n(minNr ? 4 : 3)]! + (minNr ? 0 : 3);
    const spec: PoolSpec = { size, align, minNr, maxNr };
    const pool = heap.pool(spec) ?? heap.pool({ ...spec, minNr: Math.min(2, minNr) });
    if (!pool) throw new Error("too little memory for the pools");
    pools.push(pool);
  }
  return pools;
}

interface Done {
  steps: number;
  allocs: number;
  served: number;
  reserveHits: number;
}

/** One heap with its workers, for a while. */
async function run(
  scenario: (typeof memories)[keyof typeof memories],
  ofSeed: number,
  milliseconds: number,
): Promise<Done> {
  const n = random(ofSeed);
  const lanes = Math.min(mostWorkers, 2 + n(3));
  const pages = scenario.pages(n);
  const { core } = scenario.kind;
  const heap = new TestHeap(pages, scenario.grows ? pages + 60 : pages, scenario.kind);
  const workers: Worker[] = [];
  const board = heap.board;
  const sum = (word: number) =>
    Array.from({ length: lanes }, (_, lane) => Atomics.load(board, heap.row(lane, word))).reduce((a, b) => a + b, 0);
  try {
    // Each thread's number keeps a page.
    const visitors = Array.from({ length: lanes }, (_, i) => {
      const visitor = new WebAssembly.Instance(core, { env: { memory: heap.memory } })
        .exports as unknown as typeof heap.core;
      expect(visitor.heap_attach(heap.address, 100 + i)).toBe(1);
      return visitor;
    });
    for (const visitor of visitors) expect(visitor.heap_detach()).toBe(1);
    heap.core.heap_trim();
    const before = heap.heapStats().used;
    const numbers = heap.numbers();

    const turnstile = heap.pool({ size: 64, align: 8, minNr: 1, maxNr: 1 })!;
    const pools = poolsOf(heap, n);
    const errors: Error[] = [];
    const exits: Promise<void>[] = [];
    for (let lane = 0; lane < lanes; lane++) {
      const shared = {
        module: core,
        memory: heap.memory,
        heap: heap.address,
        board,
        BOARD,
        ROW,
        DOINGS,
        OPEN,
        VISITING,
      };
      const worker = new Worker(new URL("stress-worker.mjs", import.meta.url), {
        workerData: {
          ...shared,
          lane,
          lanes,
          seed: ofSeed + 977 * (lane + 1),
          pools,
          turnstile,
          mostHeld: scenario.mostHeld,
        },
      });
      worker.on("error", (error) => errors.push(error));
      exits.push(new Promise((resolve) => worker.on("exit", () => resolve())));
      workers.push(worker);
    }
    const until = (what: string, isSo: () => boolean) =>
      heap.until(what, lanes, () => {
        if (errors[0]) throw errors[0];
        return isSo();
      });
    const expectSound = () => expect(heap.problems()).toEqual([]);

    const end = performance.now() + milliseconds;
    for (;;) {
      await until("parking", () => Atomics.load(board, BOARD.parked) === lanes);
      expectSound();
      // Every thread is parked: the table lists exactly the outstanding elements.
      const held = [...heap.held()].filter(([, holder]) => !(holder & VISITING)).map(([element]) => element);
      expect(heap.live([...pools, turnstile])).toEqual(held);
      expect(board[BOARD.guarded]).toBe(board[BOARD.passes]);

      const isLast = performance.now() >= end;
      if (isLast) Atomics.store(board, BOARD.last, 1);
      const progress = Array.from({ length: lanes }, (_, lane) => Atomics.load(board, heap.row(lane, ROW.allocs)));
      Atomics.store(board, BOARD.parked, 0);
      Atomics.add(board, BOARD.phase, 1);
      Atomics.notify(board, BOARD.phase);
      if (isLast) break;
      await sleep(20 + n(200));
      // Every worker gets elements, however slow the machine is.
      await until("progress", () =>
        progress.every((was, lane) => Atomics.load(board, heap.row(lane, ROW.allocs)) > was),
      );
      Atomics.add(board, BOARD.phase, 1);
    }
    let left = lanes;
    for (const exit of exits) void exit.then(() => left--);
    await until("the end", () => left === 0);
    if (errors[0]) throw errors[0];

    // Frees all elements.
    for (const [k, pool] of pools.entries()) {
      for (let slot = 0; slot < BOARD.slots; slot++) {
        const element = board[BOARD.exchange + k * BOARD.slots + slot]! >>> 0;
        if (!element) continue;
        expect(Atomics.exchange(board, heap.holder(element), 0)).toBe(OPEN);
        expect(heap.core.mempool_free(pool.handle, element)).toBe(0);
      }
    }
    expect([...heap.held()]).toEqual([]);
    heap.core.heap_trim();
    expectSound();
    expect(heap.heapStats().pools).toBe(pools.length + 1);
    let reserveHits = 0;
    for (const { handle, minNr, maxNr } of [...pools, turnstile]) {
      expect(heap.core.mempool_resize(handle, minNr)).toBe(1);
      const stats = heap.poolStats(handle);
      expect(stats).toMatchObject({ currNr: minNr, outstanding: 0 });
      reserveHits += stats.reserveHits;
      // No element is lost: if the reserve is all that the pool may have, all of it can be allocated.
      if (minNr === maxNr) {
        const elements = Array.from({ length: maxNr }, () => heap.core.mempool_alloc(handle) >>> 0);
        expect(new Set(elements).size).toBe(maxNr);
        expect(elements).not.toContain(0);
        for (const element of elements) heap.core.mempool_free(handle, element);
      }
    }
    for (const { handle } of [...pools, turnstile]) expect(heap.core.mempool_exit(handle)).toBe(0);
    heap.core.heap_trim();
    expectSound();
    expect(heap.damage()).toEqual([]);
    // New memory has tables of its own. A thread that joins while another is still leaving gets a new number, and each
    // number keeps a page.
    if (!scenario.grows) expect(heap.heapStats().used).toBe(before + heap.numbers() - numbers);
    return { steps: sum(ROW.steps), allocs: sum(ROW.allocs), served: sum(ROW.served), reserveHits };
  } catch (error) {
    (error as Error).message += `\nseed ${ofSeed}, ${lanes} workers, ${pages} pages\n${heap.doings(lanes)}`;
    throw error;
  } finally {
    await endAll(workers);
  }
}

describe(`seed ${seed}`, () => {
  const share = (seconds * 1000) / Object.keys(memories).length;
  test.each(Object.entries(memories))(
    "threads lose no element, memory %s",
    async (name, scenario) => {
      const done: Done = { steps: 0, allocs: 0, served: 0, reserveHits: 0 };
      const end = performance.now() + share;
      for (let i = 0; performance.now() < end || done.served === 0; i++) {
        const one = await run(scenario, seed + 7919 * i, Math.min(5000, share / 2));
        for (const key of ["steps", "allocs", "served", "reserveHits"] as const) done[key] += one[key];
      }
      console.log(`${name}: ${JSON.stringify(done)}`);
    },
    seconds * 1000 + 400_000,
  );
});
