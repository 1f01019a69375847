/** Threads: what one posts to another, and what tells them apart. */
import type { Heap } from "./heap.ts";
import type { HeapCore } from "./pool.ts";
import { every, waitAsync } from "./waiting.ts";

/** A heap for another thread: post it, and give it to {@link attach} there. Made by {@link Heap.share}. */
export interface SharedHeap {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly address: number;
  /** The same for all threads of a heap, and for no other heap. */
  readonly id: string;
}

/** A pool for another thread: post it, and give it to {@link attach} there. Made by {@link Pool.share}. */
export interface SharedPool {
  readonly heap: SharedHeap;
  readonly address: number;
  readonly name: string;
  readonly elementSize: number;
  readonly align: number;
  readonly minNr: number;
  readonly maxNr: number;
  readonly zero: boolean;
  /** Whether its elements are a host's own: then who attaches it gives its `backend`. */
  readonly hosted: boolean;
}

/** An element that a dead thread had: see {@link Heap.reap}. */
export interface Reaped {
  /** The pool's name. */
  readonly pool: string;
  readonly address: number;
}

/** What {@link Heap.watch} takes: a Worker of node:worker_threads. */
export interface WatchedWorker {
  readonly threadId: number;
  once(event: "exit", listener: () => void): unknown;
  off(event: "exit", listener: () => void): unknown;
}

/** The heaps this thread shares with others, by their id. */
export const joined: Map<string, Heap> = new Map();

interface NodeProcess {
  getBuiltinModule?(name: string): { threadId: number } | undefined;
  report?: { getReport(): { header: { threadId: number } } };
  on?(event: "exit", listener: () => void): void;
}
const node = (globalThis as { process?: NodeProcess }).process;

let label: number | undefined;

/** By what heap.watch finds this thread: one more than Node's number for it; 0 where there is no such number. */
export function labelOfThread(): number {
  if (label === undefined) {
    // An import of node:worker_threads would be in the way of bundlers; the report is for Node before 20.16.
    const threads = node?.getBuiltinModule?.("node:worker_threads") ?? node?.report?.getReport().header;
    label = (threads?.threadId ?? -1) + 1;
  }
  return label;
}

/** This thread shares the heap with others from now on. */
export function join(id: string, within: HeapCore): void {
  // A worker leaves as it ends by itself. The main thread's end is the end of all.
  if (joined.size === 0 && labelOfThread() > 1) {
    node!.on?.("exit", () => {
      for (const heap of joined.values()) heap.detach();
    });
  }
  joined.set(id, within.heap);
  answer(within);
}

/** Milliseconds between two looks whether others starve, where nothing tells. */
const POLL = 50;
const AGAIN = 2;

/** While this thread is idle: gives others what it has cached when they starve. Keeps no process alive. */
function answer({ heap, core }: HeapCore): void {
  const word = core.heap_nudge() >>> 2;
  const settle = (): boolean => {
    const done = core.heap_settle() !== 0;
    for (const pool of heap.within.pools) pool.learn();
    return done;
  };
  const isGone = () => heap.within.core !== core;
  const turn = () => {
    if (isGone()) return;
    const seen = Atomics.load(heap.views.refresh().i32, word);
    // Another thread may have the lists just now: then again soon.
    const ms = settle() ? Infinity : AGAIN;
    void Promise.resolve(waitAsync!(heap.views.refresh().i32, word, seen, ms).value).then(turn);
  };
  if (waitAsync) return turn();
  const stop = every(POLL, false, () => (isGone() ? stop?.() : settle()));
}
