/** Helpers of stress.test.ts and kill.test.ts: a heap by its ABI alone, the words that workers share, and a watchdog. */
import { readFileSync } from "node:fs";
import type { Worker } from "node:worker_threads";
import { layout } from "../layout/layout.ts";

const HEAP_THREADS = layout("HEAP_THREADS");

const moduleIn = (name: string): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url)));
/** The modules of a heap: the core's, and the one that inspects it. `sample`: the rate of a debug heap that samples. */
export interface Kind {
  readonly name: string;
  readonly core: WebAssembly.Module;
  readonly inspect: WebAssembly.Module;
  readonly sample?: number;
}

const debug = moduleIn("debug.shared");
export const kinds: readonly Kind[] = [
  { name: "shared", core: moduleIn("core.shared.whole"), inspect: moduleIn("inspect.shared") },
  { name: "debug", core: debug, inspect: debug },
  { name: "sampling", core: debug, inspect: debug, sample: 3 },
];

/** The codes of include/wasm_mempool.h that are used here. */
export interface Core {
  heap_create(base: number, bytes: number, maxPages: number, grows: number): number;
  heap_attach(heap: number, label: number): number;
  heap_thread(): number;
  heap_detach(): number;
  heap_find_thread(label: number): number;
  heap_reap(thread: number): number;
  heap_idle(): void;
  heap_scratch(): number;
  heap_trim(): number;
  mempool_create(size: number, align: number, minNr: number, maxNr: number): number;
  mempool_share(handle: number): number;
  mempool_attach(pool: number): number;
  mempool_exit(handle: number): number;
  mempool_alloc(handle: number): number;
  mempool_free(handle: number, element: number): number;
  mempool_resize(handle: number, minNr: number): number;
  mempool_next_live(handle: number, after: number, thread: number): number;
  debug_sample?(n: number): number;
  debug_report?(array: number): number;
  debug_check?(): number;
}
interface Inspect {
  heap_check(heap: number, at: number): number;
  heap_stats(heap: number, at: number): void;
  mempool_stats(handle: number, at: number): void;
}

/** xorshift32: numbers below n. */
export function random(seed: number): (n: number) => number {
  let state = seed >>> 0 || 1;
  return (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % n;
  };
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

export interface PoolSpec {
  readonly size: number;
  readonly align: number;
  readonly minNr: number;
  /** -1: no cap. */
  readonly maxNr: number;
}
export interface TestPool extends PoolSpec {
  readonly handle: number;
  readonly address: number;
}

/**
 * The words that the workers share beside the heap: control, a row for each worker, an exchange of elements, and the
 * holder of each element, by address.
 *
 *   | control | row 0 | ... | row 7 | exchange: pool 0, ... pool 7 | holders, one for each 8 bytes of the heap's memory |
 */
export const BOARD = {
  /** Counts phases; odd during a phase. */
  phase: 0,
  /** 1: the phase is the last. */
  last: 1,
  parked: 2,
  /** A counter that only the holder of its pool's only element changes, and the number of its changes. */
  guarded: 3,
  passes: 4,
  /** A thread to be reaped by a worker, plus one; minus the lane of the worker that reaps it, minus one. */
  reap: 5,
  rows: 64,
  rowWords: 16,
  exchange: 64 + 8 * 16,
  slots: 32,
  holders: 64 + 8 * 16 + 8 * 32,
} as const;

/** The words of a row. */
export const ROW = {
  /** The worker's step, as an index into DOINGS, and its pool. */
  doing: 0,
  pool: 1,
  steps: 2,
  allocs: 3,
  frees: 4,
  attached: 5,
  /** A pool of its own that others may visit: odd while there is one; its address; an element's size. */
  generation: 6,
  own: 7,
  ownSize: 8,
  /** Times that the worker got an element as a waiter. */
  served: 9,
} as const;

export const DOINGS = [
  "starting",
  "attaching",
  "parked",
  "allocating",
  "freeing",
  "exchanging",
  "in line",
  "blocked",
  "at the turnstile",
  "leaving and joining",
  "making a pool",
  "visiting a pool",
  "ending a pool",
  "at an arena",
  "trimming",
  "reaping",
  "settling",
  "reshaping",
  "resizing",
  "finishing",
] as const;

/** The holder of an element in the exchange: any thread may take it. */
export const OPEN = 0xff;
/** Set in the holder of an element of a pool that lives briefly. */
export const VISITING = 0x100;

export class TestHeap {
  readonly memory: WebAssembly.Memory;
  readonly core: Core;
  readonly address: number;
  readonly board: Int32Array;
  readonly #inspect: Inspect;

  /** A heap in a memory of `pages` Wasm pages, the first of which is not the heap's. */
  constructor(pages: number, maximum: number, { core, inspect, sample }: Kind = kinds[0]!) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum, shared: true });
    const env = { memory: this.memory };
    this.core = new WebAssembly.Instance(core, { env }).exports as unknown as Core;
    this.#inspect = new WebAssembly.Instance(inspect, { env }).exports as unknown as Inspect;
    this.address = this.core.heap_create(65536, (pages - 1) * 65536, (maximum - 1) * 16, Number(maximum > pages));
    if (!this.address) throw new Error("no heap");
    if (sample) this.core.debug_sample!(sample);
    this.board = new Int32Array(new SharedArrayBuffer(4 * BOARD.holders + maximum * 32768));
  }

  pool(spec: PoolSpec): TestPool | undefined {
    const handle = this.core.mempool_create(spec.size, spec.align, spec.minNr, spec.maxNr) >>> 0;
    return handle ? { ...spec, handle, address: this.core.mempool_share(handle) } : undefined;
  }

  /** The results of heap_check: codes of assembly/inspect/check.ts, and their values. No other thread may be working. */
  problems(): string[] {
    const at = this.core.heap_scratch();
    const count = this.#inspect.heap_check(this.address, at);
    const words = new Uint32Array(this.memory.buffer, at, 256);
    return Array.from({ length: count }, (_, i) => words.slice(4 * i, 4 * i + 4).join(" "));
  }

  /** What a debug heap has found, as words. */
  damage(): string[] {
    const at = this.core.heap_scratch();
    const all: string[] = [];
    this.core.debug_check?.();
    const words = new Uint32Array(this.memory.buffer, at, 18);
    for (let has = this.core.debug_report?.(at); has; has = this.core.debug_report!(at)) all.push(words.join(" "));
    return all;
  }

  poolStats(handle: number): {
    currNr: number;
    outstanding: number;
    cached: number;
    allocs: number;
    reserveHits: number;
  } {
    const at = this.core.heap_scratch();
    this.#inspect.mempool_stats(handle, at);
    const f64 = new Float64Array(this.memory.buffer, at, 10);
    return { currNr: f64[0]!, outstanding: f64[1]!, cached: f64[2]!, allocs: f64[4]!, reserveHits: f64[5]! };
  }

  heapStats(): { used: number; pools: number; grows: number } {
    const at = this.core.heap_scratch();
    this.#inspect.heap_stats(this.address, at);
    const f64 = new Float64Array(this.memory.buffer, at, 7);
    return { used: f64[0]! - f64[2]!, pools: f64[5]!, grows: f64[4]! };
  }

  /** The addresses of all pools: the list begins in the heap's word 5, and each pool with the address of the next. */
  poolAddresses(): number[] {
    const words = new Uint32Array(this.memory.buffer);
    const all: number[] = [];
    for (let at = words[this.address / 4 + 5]!; at; at = words[at / 4]!) all.push(at);
    return all;
  }

  row(lane: number, word: number): number {
    return BOARD.rows + lane * BOARD.rowWords + word;
  }

  holder(element: number): number {
    return BOARD.holders + (element >>> 3);
  }

  /** The elements that a thread holds: the address and the entry of the table. */
  *held(): Generator<[element: number, holder: number]> {
    for (let at: number = BOARD.holders; at < this.board.length; at++) {
      const holder = Atomics.load(this.board, at);
      if (holder) yield [(at - BOARD.holders) << 3, holder];
    }
  }

  /** The number of thread numbers that the heap has given. */
  numbers(): number {
    return new Uint32Array(this.memory.buffer)[(this.address + HEAP_THREADS) >> 2]!;
  }

  /** The outstanding elements of these pools, in order. */
  live(pools: readonly TestPool[]): number[] {
    const all: number[] = [];
    for (const { handle } of pools) {
      for (let element = 0; (element = this.core.mempool_next_live(handle, element, -1) >>> 0);) all.push(element);
    }
    return all.toSorted((a, b) => a - b);
  }

  /** What each worker is doing. */
  doings(lanes: number): string {
    const lines = Array.from({ length: lanes }, (_, lane) => {
      const word = (name: keyof typeof ROW) => Atomics.load(this.board, this.row(lane, ROW[name]));
      return `worker ${lane}: ${DOINGS[word("doing")]}, pool ${word("pool")}, step ${word("steps")}, ${word("allocs")} allocs, ${word("frees")} frees`;
    });
    return lines.join("\n");
  }

  /** Waits until the condition holds; fails after a minute, and reports what each worker is doing. */
  async until(what: string, lanes: number, isSo: () => boolean): Promise<void> {
    const end = performance.now() + 60_000;
    while (!isSo()) {
      if (performance.now() > end) throw new Error(`hangs: ${what}\n${this.doings(lanes)}`);
      await sleep(1);
    }
  }
}

/** Ends workers that a failed test left behind. */
export async function endAll(workers: Iterable<Worker>): Promise<void> {
  await Promise.all([...workers].map((worker) => worker.terminate()));
}
