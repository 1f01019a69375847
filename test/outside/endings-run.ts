/** Runs cells of the table of endings, wherever the caller can make a worker. */
import "wasm-mempool/backend";
import "wasm-mempool/inspect";
import { createSharedHeap, attach, type Reaped, type WatchedWorker } from "wasm-mempool";
import { backend, rows, SIZE, type Answer, type Ending, type Here, type Order, type Row } from "./endings-table.ts";

/** A worker that gets its order at once. */
export interface Owner {
  readonly worker: WatchedWorker;
  order(order: Order): void;
  readonly ready: Promise<Answer>;
  /** For "terminate" and "page". */
  kill(): void;
}

export interface Cell {
  readonly owned: string;
  readonly ending: Ending;
  readonly error?: string;
  /** Elements listed; and those outstanding before the main thread frees any, less those it holds. */
  readonly listed?: number;
  readonly out?: number;
  /** Then: outstanding elements, elements that can be allocated, pools, arenas, and the number of the next thread. */
  readonly outstanding?: number;
  readonly had?: number;
  readonly pools?: number;
  readonly arenas?: number;
  readonly number?: number;
  readonly problems?: readonly string[];
  readonly calls?: number;
}

/** The expected result of a cell. */
export function expected({ listed, left = 0, pools = 0, owned }: Row, ending: Ending, seen: Cell): Cell {
  const lists = ending === "detach" ? 0 : (listed ?? seen.listed!);
  const out = ending === "detach" ? left : lists;
  const sound = { outstanding: 0, had: SIZE, pools: 2 + pools, arenas: 0, number: 1, problems: [], calls: 1 };
  return { owned, ending, listed: lists, out, ...sound };
}

export const cellsOf = (exist: readonly Ending[]): { row: Row; ending: Ending }[] =>
  exist.flatMap((ending) =>
    rows.filter((row) => row.endings?.includes(ending) ?? true).map((row) => ({ row, ending })),
  );

/** `wait`: says what the cell waits for. */
async function runCell(
  row: Row,
  ending: Ending,
  make: (ending: Ending) => Owner,
  wait: (what: string) => void,
): Promise<Cell> {
  const heap = createSharedHeap({ initial: 2 ** 20, maximum: 2 ** 22 });
  const pool = heap.create({ size: 64, minNr: 4, maxNr: SIZE, name: "pool" });
  const hosted = heap.create({ size: 64, minNr: 1, backend, name: "hosted" });
  const here: Here = { heap, pool, hosted, theirs: [], mine: [] };
  const given = row.before?.(here) ?? [];
  const owner = make(ending);
  const { worker } = owner;
  const control = new Int32Array(new SharedArrayBuffer(4));
  let calls = 0;
  // Before the worker attaches, or after.
  let watch!: () => void;
  const reaped = new Promise<Reaped[]>((resolve) => {
    watch = () => {
      heap.watch(worker, {
        onReap: (list) => {
          calls++;
          resolve(list);
        },
      });
    };
  });
  const shares = { pool: pool.share(worker), hosted: hosted.share(worker) };
  const isFirst = row.owned.length % 2 === 0;
  if (isFirst) watch();
  const ask = { owned: row.owned, ending, ...shares, given, control };
  owner.order(ask);
  wait("the worker's answer");
  const { told, shared } = await owner.ready;
  if (!isFirst) watch();
  const { theirs } = here;
  theirs.push(...shared.map((each) => attach(each)));
  row.answer?.(here, told);
  if (ending === "terminate" || ending === "page") owner.kill();
  else {
    Atomics.store(control, 0, 1);
    Atomics.notify(control, 0);
  }
  wait("the reap");
  const list = await reaped;
  const pools = [pool, hosted, ...theirs];
  const count = () => pools.reduce((sum, each) => sum + each.outstanding, 0);
  const out = count() - here.mine.length;
  for (const { pool: name, address } of list) pools.find((each) => each.name === name)!.free(address);
  for (const { pool: each, address } of here.mine) each.free(address);
  if (ending === "detach" && out > 0) {
    const theirPool = row.owned.includes("external") ? hosted : (theirs[0] ?? pool);
    for (const address of told) theirPool.free(address);
  }
  const outstanding = count();
  const all: number[] = [];
  for (let address; (address = pool.alloc()) !== 0;) all.push(address);
  for (const address of all) pool.free(address);
  heap.trim();
  const next = attach({ ...heap.share(), id: "the next" });
  const number = next.threadId;
  next.detach();
  const { pools: left, arenas } = heap.stats();
  const problems = heap.check();
  heap.detach();
  const { owned } = row;
  return {
    owned,
    ending,
    listed: list.length,
    out,
    outstanding,
    had: new Set(all).size,
    pools: left,
    arenas,
    number,
    problems,
    calls,
  };
}

/** All cells for these endings, a few at a time. */
export async function runCells(exist: readonly Ending[], make: (ending: Ending) => Owner): Promise<Cell[]> {
  const queue = cellsOf(exist);
  const seen: Cell[] = [];
  const lane = async () => {
    for (let cell; (cell = queue.shift());) {
      const { row, ending } = cell;
      const fail = (error: Error): Cell => ({ owned: row.owned, ending, error: `${error}\n${error.stack}` });
      // A browser may refuse a worker of a new frame: then make another.
      for (let tries = 10; tries; tries--) {
        let awaited = "";
        const tooLate = new Promise<Cell>((resolve) => {
          const late = () => resolve({ owned: row.owned, ending, error: `a minute was too short for ${awaited}` });
          const timer: unknown = setTimeout(late, 60_000);
          (timer as { unref?(): void }).unref?.();
        });
        const done = await Promise.race([
          runCell(row, ending, make, (what) => void (awaited = what)).catch(fail),
          tooLate,
        ]);
        if (tries > 1 && done.error?.includes("the worker did not load")) continue;
        seen.push(done);
        break;
      }
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return seen;
}
