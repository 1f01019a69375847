/**
 * The table of ARCHITECTURE.md, section Threads: what a thread can own, and how it can end. Node (endings.test.ts),
 * other runtimes (test/runtimes) and browsers (test/browser) run it.
 */
import "wasm-mempool/backend";
import { createArena, attach, type SharedHeap, type Backend, type Pool, type PoolHandle } from "wasm-mempool";

/** How a thread ends. The last two, and "detach" without an end after it, are a browser's. */
export const endings = ["detach", "return", "throw", "reject", "exit", "terminate", "memory", "close", "page"] as const;
export type Ending = (typeof endings)[number];

/** The worker's side of a cell. */
export interface There {
  readonly heap: SharedHeap;
  readonly pool: Pool;
  readonly hosted: Pool;
  /** The argument that the window or main thread gave. */
  readonly given: readonly number[];
  /** Elements that the worker reports to the main thread. */
  readonly told: number[];
  readonly shared: PoolHandle[];
  /** Keeps things reachable. */
  readonly kept: unknown[];
  /** Reports that it is ready, for a row that never returns. */
  ready(): void;
}

/** The main thread's side. */
export interface Here {
  readonly heap: SharedHeap;
  readonly pool: Pool;
  readonly hosted: Pool;
  /** Pools that the worker has shared. */
  readonly theirs: Pool[];
  /** The elements that this thread holds, and frees in the end. */
  readonly mine: { pool: Pool; address: number }[];
}

export interface Row {
  readonly owned: string;
  /** Before there is a worker: elements for it. */
  before?(here: Here): number[];
  /** In the worker. */
  there(there: There): void;
  /** Once the worker is ready, with its report. */
  answer?(here: Here, told: readonly number[]): void;
  /** Elements listed after an ending, and those outstanding after detach. Undefined: any number. */
  readonly listed: number | undefined;
  readonly left?: number;
  /** Pools that do not end with the thread. */
  readonly pools?: number;
  /** The only endings that there are for it. */
  readonly endings?: readonly Ending[];
}

export const SIZE = 16;
let last = 1000;
export const backend: Backend = { alloc: () => ++last, free: () => {} };

const take = (pool: Pool, count: number): number[] => Array.from({ length: count }, () => pool.alloc());
const holdAll = ({ pool, mine }: Here): number[] => {
  for (const address of take(pool, SIZE)) mine.push({ pool, address });
  return [];
};
const neverReturns: readonly Ending[] = endings.filter((ending) => ending !== "return");

export const rows: readonly Row[] = [
  { owned: "its number alone", there: () => {}, listed: 0 },
  {
    owned: "cached elements",
    there: ({ pool }) => take(pool, SIZE).forEach((address) => pool.free(address)),
    listed: 0,
  },
  { owned: "outstanding elements", there: ({ pool, told }) => told.push(...take(pool, 5)), listed: 5, left: 5 },
  {
    owned: "adopted elements",
    before: ({ pool }) => take(pool, 3),
    there: ({ pool, given, told }) => {
      for (const address of given) pool.adopt(address);
      told.push(...given);
    },
    listed: 3,
    left: 3,
  },
  {
    owned: "elements that another thread has adopted",
    there: ({ pool, told }) => told.push(...take(pool, 3)),
    answer: ({ pool, mine }, told) => {
      for (const address of told) {
        pool.adopt(address);
        mine.push({ pool, address });
      }
    },
    listed: 0,
  },
  {
    owned: "asynchronous waiters",
    before: holdAll,
    there: ({ pool, kept }) => {
      for (let i = 0; i < 3; i++) kept.push(pool.allocAsync().catch(() => 0));
    },
    listed: 0,
    endings: neverReturns,
  },
  {
    owned: "a blocked waiter",
    before: holdAll,
    there: ({ pool, ready }) => {
      ready();
      pool.allocWait();
    },
    listed: 0,
    endings: ["terminate", "page"],
  },
  {
    owned: "elements handed over and not fetched",
    before: holdAll,
    there: ({ pool, kept }) => {
      for (let i = 0; i < 3; i++) kept.push(pool.allocAsync().catch(() => 0));
    },
    answer: ({ mine }) => {
      for (const { pool, address } of mine.splice(0, 2)) pool.free(address);
    },
    listed: undefined,
    endings: neverReturns,
  },
  {
    owned: "arenas",
    there: ({ heap, kept }) => {
      for (let i = 0; i < 3; i++) {
        const arena = createArena({ heap: heap });
        arena.alloc(100_000);
        kept.push(arena);
      }
    },
    listed: 0,
  },
  {
    owned: "pools that it never shared",
    there: ({ heap }) => {
      take(heap.create({ size: 100, minNr: 5 }), 40);
      heap.create({ size: 5000, minNr: 2, maxNr: 2 });
    },
    listed: 0,
  },
  {
    owned: "shared pools",
    there: ({ heap, shared, told }) => {
      const pool = heap.create({ size: 64, minNr: 2 });
      shared.push(pool.share());
      told.push(...take(pool, 4));
    },
    listed: 4,
    left: 4,
    pools: 1,
  },
  {
    owned: "closed pools with outstanding elements",
    there: ({ heap, told, shared }) => {
      const pool = heap.create({ size: 64, minNr: 2 });
      const mine = heap.create({ size: 64, minNr: 2 });
      take(mine, 2);
      mine.exit();
      shared.push(pool.share());
      told.push(...take(pool, 2));
    },
    answer: ({ theirs }) => theirs.forEach((pool) => pool.exit()),
    listed: 2,
    left: 2,
  },
  {
    owned: "elements of an external backend",
    there: ({ hosted, told }) => told.push(...take(hosted, 3)),
    listed: 3,
    left: 3,
  },
  {
    owned: "a prefill",
    there: ({ pool, told, kept }) => {
      const ticket = pool.prefill(4)!;
      kept.push(ticket);
      told.push(...Array.from({ length: 4 }, () => ticket.alloc()));
    },
    listed: 4,
    left: 4,
  },
  {
    owned: "the lock of the lists, again and again",
    there: ({ heap, ready }) => {
      ready();
      for (;;) {
        heap.create({ size: 32, minNr: 1 }).exit();
        createArena({ heap: heap }).exit();
      }
    },
    listed: 0,
    endings: ["terminate", "page"],
  },
  {
    owned: "watermarks, shrinkers and timers",
    there: ({ heap, pool, kept }) => {
      kept.push(
        heap.onLowMemory(1000, () => {}),
        pool.onLow(1, () => {}),
        heap.registerShrinker(() => {}),
      );
      const timer: unknown = setInterval(() => pool.alloc(), 60_000);
      (timer as { unref?(): void }).unref?.();
      void pool.closed.then(() => kept.push(timer));
    },
    listed: 0,
  },
];

/** The worker's order. */
export interface Order {
  readonly owned: string;
  readonly ending: Ending;
  readonly pool: PoolHandle;
  readonly hosted: PoolHandle;
  readonly given: readonly number[];
  /** 0; 1 once the worker must end. */
  readonly control: Int32Array;
}
export interface Answer {
  readonly told: readonly number[];
  readonly shared: readonly PoolHandle[];
}

/** In the worker: becomes the owner, reports that, and ends when told to. */
export function beOwner(order: Order, post: (answer: Answer) => void, end: (ending: Ending) => void): void {
  const row = rows.find(({ owned }) => owned === order.owned)!;
  const pool = attach(order.pool);
  const told: number[] = [];
  const shared: PoolHandle[] = [];
  const ready = () => post({ told, shared });
  const hosted = attach(order.hosted, { backend });
  const kept: unknown[] = [];
  Object.assign(globalThis, { kept });
  row.there({ heap: pool.heap, pool, hosted, given: order.given, told, shared, kept, ready });
  ready();
  Atomics.wait(order.control, 0, 0);
  if (order.ending === "detach") pool.heap.detach();
  end(order.ending);
}
