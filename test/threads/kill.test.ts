/**
 * Threads that end anywhere, in the middle of anything: their elements return, and the other threads continue.
 *
 *   KILLS         how many in all; 40
 *   KILL_SEED     of the workers' choices; where they end is new every time
 *   KILL_WORKERS  at a time; 2
 */
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import {
  BOARD,
  DOINGS,
  endAll,
  kinds,
  OPEN,
  random,
  ROW,
  sleep,
  TestHeap,
  type Kind,
  type TestPool,
} from "./stress-heap.ts";

const kills = Number(process.env["KILLS"] ?? 40);
const seed = Number(process.env["KILL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const lanes = Number(process.env["KILL_WORKERS"] ?? 2);
/** A label with this bit: the thread is about to free the element, or has just done so. */
const LETTING_GO = 1 << 30;
/** Each round is a heap of its own, and ends with every byte accounted for. */
const PER_ROUND = 20;
const THREADS = 16;
/**
 * Pages of the heap's own structures that may be lost with a thread that ended while it made or ended something:
 * structures that the thread had taken off a list, or not yet put on one.
 */
const MAY_LEAK: Record<string, number> = {
  attaching: 1,
  "making a pool": 2,
  allocating: 2,
  "ending a pool": 2,
  "leaving and joining": 1,
  trimming: 1,
  reaping: 1,
  "at an arena": 16,
};

interface Tally {
  kills: number;
  lost: number;
  /** Pages lost to the heap. */
  leaked: number;
  /** Reaps that said "not now", and that another worker did. */
  refused: number;
  byOthers: number;
  /** The number of kills by what the thread was doing. */
  doing: Record<string, number>;
  allocs: number;
}

async function round(kind: Kind, ofSeed: number, count: number, tally: Tally): Promise<void> {
  const { core } = kind;
  const n = random(ofSeed);
  // Little memory, so that the reserves serve; or enough. Guarded elements are longer.
  const pages = (n(2) ? 8 + n(6) : 65) * (kind.name === "shared" ? 1 : 2);
  const heap = new TestHeap(pages, pages, kind);
  const { board } = heap;
  // Each thread's number keeps a page.
  const visitors = Array.from({ length: THREADS - 1 }, () => {
    const visitor = new WebAssembly.Instance(core, { env: { memory: heap.memory } })
      .exports as unknown as typeof heap.core;
    expect(visitor.heap_attach(heap.address, 0)).toBe(1);
    return visitor;
  });
  for (const visitor of visitors) expect(visitor.heap_detach()).toBe(1);
  heap.core.heap_trim();
  const before = heap.heapStats().used;

  const pools = [
    { size: 64, align: 8, minNr: 4, maxNr: -1 },
    { size: 24, align: 8, minNr: 100, maxNr: 400 },
    { size: 5000, align: 8, minNr: 2, maxNr: -1 },
    { size: 256, align: 16, minNr: 0, maxNr: -1 },
    { size: 128, align: 8, minNr: 12, maxNr: 12 },
    { size: 40, align: 8, minNr: 100, maxNr: 100 },
  ].map((spec) => heap.pool(spec)!);
  const starved: TestPool = heap.pool({ size: 40, align: 8, minNr: 3, maxNr: 3 })!;
  const held = Array.from({ length: 3 }, () => heap.core.mempool_alloc(starved.handle) >>> 0);

  const workers = new Set<Worker>();
  const errors: Error[] = [];
  const check = () => {
    if (errors[0]) throw errors[0];
  };
  const until = (what: string, isSo: () => boolean) =>
    heap.until(what, lanes, () => {
      check();
      return isSo();
    });
  let begun = 0;
  let label = 0;
  let mayLeak = 0;

  const free = (k: number, element: number) => {
    Atomics.store(board, heap.holder(element), 0);
    expect(heap.core.mempool_free(pools[k]!.handle, element)).toBe(0);
  };
  /**
   * By pool, the elements that a dead thread had allocated and not yet entered in the table. To be listed before
   * another thread can get its number.
   */
  const unsaid = (thread: number): number[][] =>
    [...pools, starved].map(({ handle }) => {
      const elements: number[] = [];
      for (let element = 0; (element = heap.core.mempool_next_live(handle, element, thread) >>> 0);) {
        if (Atomics.load(board, heap.holder(element)) === 0) elements.push(element);
      }
      return elements;
    });
  /** Frees those elements, and the ones that the table lists for the dead thread. */
  const takeBack = (ofLabel: number, lists: number[][]) => {
    for (const element of lists.pop()!) expect(heap.core.mempool_free(starved.handle, element)).toBe(0);
    for (const [k, list] of lists.entries()) {
      const said = heap.live([pools[k]!]).filter((element) => Atomics.load(board, heap.holder(element)) === ofLabel);
      for (const element of [...list, ...said]) free(k, element);
    }
  };
  /** Empties the starved pool again. */
  const starve = () => {
    while (held.length < 3) {
      const element = heap.core.mempool_alloc(starved.handle) >>> 0;
      if (!element) return false;
      expect(held).not.toContain(element);
      held.push(element);
    }
    return true;
  };

  async function one(lane: number): Promise<void> {
    const mine = ++label;
    Atomics.store(board, heap.row(lane, ROW.attached), 0);
    Atomics.store(board, heap.row(lane, ROW.doing), 0);
    const role = ["blocked", "in line"][n(8)] ?? "at work";
    const shared = {
      module: core,
      memory: heap.memory,
      heap: heap.address,
      board,
      BOARD,
      ROW,
      DOINGS,
      OPEN,
      LETTING_GO,
    };
    const worker = new Worker(new URL("kill-worker.mjs", import.meta.url), {
      workerData: { ...shared, lane, label: mine, seed: ofSeed + 977 * mine, role, pools, starved },
    });
    let isOver = false;
    worker.on("error", (error) => errors.push(error));
    worker.on("exit", () => (isOver = true));
    workers.add(worker);
    await until("coming online", () => Atomics.load(board, heap.row(lane, ROW.doing)) > 0);
    // Some workers end while they join.
    if (n(8)) {
      await until("attaching", () => Atomics.load(board, heap.row(lane, ROW.attached)) === 1);
      await sleep(n(20));
    }
    if (role !== "at work" && held.length) {
      // The worker gets the element that it waits for just now.
      if (n(2)) expect(heap.core.mempool_free(starved.handle, held.pop()!)).toBe(0);
    }
    const ended = worker.terminate();
    await until("ending", () => isOver);
    await ended;
    workers.delete(worker);
    const at = DOINGS[Atomics.load(board, heap.row(lane, ROW.doing))]!;
    tally.doing[at] = (tally.doing[at] ?? 0) + 1;
    mayLeak += MAY_LEAK[at] ?? 0;
    tally.allocs += Atomics.exchange(board, heap.row(lane, ROW.allocs), 0);
    if (Atomics.load(board, BOARD.reap) === -1 - lane) Atomics.store(board, BOARD.reap, 0);

    const thread = heap.core.heap_find_thread(mine);
    if (thread >= 0) {
      const lists = unsaid(thread);
      if (n(4) === 0 && Atomics.compareExchange(board, BOARD.reap, 0, thread + 1) === 0) {
        // A worker may do it.
        await sleep(5);
        Atomics.compareExchange(board, BOARD.reap, thread + 1, 0);
        await until("another's reaping", () => Atomics.load(board, BOARD.reap) >= 0);
        if (heap.core.heap_find_thread(mine) < 0) tally.byOthers++;
      }
      await until("reaping", () => {
        if (heap.core.heap_find_thread(mine) < 0 || heap.core.heap_reap(thread) === 1) return true;
        tally.refused++;
        return false;
      });
      expect(heap.core.heap_find_thread(mine)).toBe(-1);
      takeBack(mine, lists);
    }
    await until("what was handed to the dead", starve);
    tally.kills++;
  }

  const lane = async (i: number) => {
    while (begun++ < count) await one(i);
  };
  try {
    await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
    check();
    expect(heap.damage()).toEqual([]);

    // All workers have ended. A live element is in the exchange now, or was being freed.
    expect(heap.problems()).toEqual([]);
    for (const [k, pool] of pools.entries()) {
      expect(heap.poolStats(pool.handle).outstanding).toBe(heap.live([pool]).length);
      for (const element of heap.live([pool])) {
        const holder = Atomics.load(board, heap.holder(element));
        if (holder !== OPEN && !(holder & LETTING_GO)) tally.lost++;
        free(k, element);
      }
    }
    // Pools whose thread has died.
    let address: number;
    const known = new Set([...pools, starved].map((pool) => pool.address));
    while ((address = heap.poolAddresses().find((each) => !known.has(each)) ?? 0)) {
      const handle = heap.core.mempool_attach(address) >>> 0;
      known.add(address);
      // A pool that was being made has ended already.
      if (!handle) continue;
      for (const element of heap.live([{ ...starved, handle }])) heap.core.mempool_free(handle, element);
      expect(heap.core.mempool_exit(handle)).toBe(0);
    }
    for (const element of held) expect(heap.core.mempool_free(starved.handle, element)).toBe(0);
    heap.core.heap_trim();
    expect(heap.problems()).toEqual([]);
    expect(heap.heapStats().pools).toBe(pools.length + 1);
    for (const { handle, minNr, maxNr } of [...pools, starved]) {
      expect(heap.core.mempool_resize(handle, minNr)).toBe(1);
      const elements = new Set<number>();
      for (let element: number; (element = heap.core.mempool_alloc(handle) >>> 0);) elements.add(element);
      expect(elements.size).toBeGreaterThanOrEqual(minNr);
      if (maxNr >= 0) tally.lost += maxNr - elements.size;
      for (const element of elements) expect(heap.core.mempool_free(handle, element)).toBe(0);
      expect(heap.poolStats(handle).currNr).toBe(minNr);
    }
    for (const { handle } of [...pools, starved]) expect(heap.core.mempool_exit(handle)).toBe(0);
    heap.core.heap_trim();
    expect(heap.problems()).toEqual([]);
    expect(heap.heapStats().pools).toBe(0);
    const leaked = heap.heapStats().used - before;
    expect(leaked).toBeGreaterThanOrEqual(0);
    expect(leaked).toBeLessThanOrEqual(mayLeak);
    tally.leaked += leaked;
    // No thread's number is lost: all later threads reuse the earlier numbers.
    for (const visitor of visitors) {
      expect(visitor.heap_attach(heap.address, 0)).toBe(1);
      expect(visitor.heap_thread()).toBeLessThan(THREADS);
    }
  } catch (error) {
    (error as Error).message += `\nseed ${ofSeed}, ${pages} pages, after ${tally.kills} kills\n${heap.doings(lanes)}`;
    throw error;
  } finally {
    await endAll(workers);
  }
}

test.each(kinds)(
  `${kills} kills on a $name heap lose no element, seed ${seed}`,
  async (kind) => {
    const tally: Tally = { kills: 0, lost: 0, leaked: 0, refused: 0, byOthers: 0, doing: {}, allocs: 0 };
    for (let i = 0; tally.kills < kills; i++)
      await round(kind, seed + 7919 * i, Math.min(PER_ROUND, kills - tally.kills), tally);
    console.log(
      `kills survived: ${tally.kills}, elements lost: ${tally.lost}, pages lost: ${tally.leaked}; ${tally.allocs} allocs, reaps refused for now: ` +
        `${tally.refused}, done by workers: ${tally.byOthers}; ended while ${JSON.stringify(tally.doing)}`,
    );
    expect(tally.lost).toBe(0);
  },
  400_000 + kills * 1000,
);
