/** One heap to break: the names that the code on the page has. */
import * as library from "../../src/index.ts";
import type { Heap, Pool, PoolHandle, SharedHeap } from "../../src/index.ts";
import { attach, createHeap, createSharedHeap } from "../../src/index.ts";

/** Fixed, so that it can be hoarded. */
const BYTES = 2 ** 20;
/** Milliseconds between two turns of a worker. */
const TURN = 40;

export const isIsolated: boolean = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;

export class Session {
  readonly heap: Heap = (isIsolated ? createSharedHeap : createHeap)({ initial: BYTES, maximum: BYTES });
  readonly pool: Pool<unknown, number> = this.heap.create({
    name: "pool",
    size: (bytes: number) => bytes,
    data: 256,
    minNr: 16,
  });
  readonly held: number[] = [];
  readonly workers: Worker[] = [];
  readonly log: (text: unknown) => void;

  constructor(log: (text: unknown) => void) {
    this.log = log;
  }

  /** A worker that allocates and frees. When it has ended, what it held is freed. */
  startWorker(script: URL): Worker {
    const { heap, pool, log } = this;
    const worker = new Worker(script);
    worker.postMessage(pool.share(worker));
    (heap as SharedHeap).watch(worker, {
      onReap: (elements) => {
        for (const { address } of elements) pool.free(address);
        log(`a worker has ended; it held ${elements.length} elements, which are free now`);
      },
    });
    this.workers.push(worker);
    return worker;
  }

  /** Runs code that sees the session and the package. */
  async run(code: string, script: URL): Promise<void> {
    const names = {
      ...library,
      heap: this.heap,
      pool: this.pool,
      held: this.held,
      workers: this.workers,
      log: this.log,
      startWorker: () => this.startWorker(script),
    };
    const AsyncFunction = (async () => {}).constructor as new (
      ...args: string[]
    ) => (...args: unknown[]) => Promise<void>;
    await new AsyncFunction(...Object.keys(names), `"use strict";\n${code}`)(...Object.values(names));
  }

  end(): void {
    for (const worker of this.workers) worker.terminate();
    // Of a heap of several threads: it goes with the last of them.
    if (isIsolated) (this.heap as SharedHeap).detach();
    else this.heap.exit();
  }
}

/** The worker's part: some twenty elements come and go. */
export function work(handle: PoolHandle): void {
  const pool = attach(handle);
  const mine: number[] = [];
  setInterval(() => {
    for (let i = 0; i < 4; i++) {
      if (mine.length > 40 * Math.random()) pool.free(mine.shift()!);
      else {
        const at = pool.alloc();
        if (at !== 0) mine.push(at);
      }
    }
  }, TURN);
}
