/** Which threads of a heap run, as one thread sees it: labels, and Web Locks where nothing else tells of a thread's end. */
import { MAX_THREADS } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { delay } from "../core/timers.ts";

/** What {@link SharedHeap.watch} takes: a Worker of node:worker_threads, or a browser's that the heap was shared with. */
export interface WatchedWorker {
  readonly threadId?: number;
  once?(event: "exit", listener: () => void): unknown;
  off?(event: "exit", listener: () => void): unknown;
  /** Not called. A browser's Worker has nothing else of this type, and TypeScript wants one property in common. */
  terminate?(): unknown;
}

interface NodeProcess {
  getBuiltinModule?(name: string): { threadId: number } | undefined;
  report?: { getReport(): { header: { threadId: number } } };
  on?(event: "exit", listener: () => void): void;
  off?(event: "exit", listener: () => void): void;
}
export const node: NodeProcess | undefined = (globalThis as { process?: NodeProcess }).process;

let ofThread: number | undefined;

/** The label by which Heap.watch finds this thread: one more than Node's number of it; 0 where there is no such number. */
export function labelOfThread(): number {
  if (ofThread === undefined) {
    // An import of node:worker_threads would fail in bundlers; the report is for Node before 20.16.
    const threads = node?.getBuiltinModule?.("node:worker_threads") ?? node?.report?.getReport().header;
    ofThread = (threads?.threadId ?? -1) + 1;
  }
  return ofThread;
}

/** The labels of workers without a number. Node's labels are far below. */
const labels = new WeakMap<object, number>();

/** The label of a worker; 0 if it has none. `make` gives it one then. */
export function labelOf(worker: WatchedWorker, make = false): number {
  const { threadId } = worker;
  if (typeof threadId === "number") return threadId > 0 ? threadId + 1 : 0;
  if (make && !labels.has(worker)) labels.set(worker, 2 ** 31 + Math.floor(Math.random() * 2 ** 31));
  return labels.get(worker) ?? 0;
}

/** The parts of the Web Locks API that this file uses; TypeScript knows the API only with the lib dom. */
interface Locks {
  request<T>(
    name: string,
    options: { readonly mode?: "shared"; readonly ifAvailable?: boolean },
    listener: (lock: unknown) => T | Promise<T>,
  ): Promise<T>;
  query(): Promise<unknown>;
}

/**
 * The Web Locks, where nothing else tells of a thread's end: a browser does not report the end of a worker, and Deno reports
 * it while the worker still runs. An AudioWorklet and an insecure page have no locks.
 */
function webLocks(): Locks | undefined {
  if (labelOfThread() > 0 && !("Deno" in globalThis)) return undefined;
  return (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks;
}

// A browser sends a thread's first request once the thread is idle, and later requests at once, also if the thread then blocks.
void webLocks()
  ?.query()
  .catch(() => {});

/** Milliseconds after which a thread looks again for a lock that the other thread has not requested yet. */
const LOOK = 50;

const MAX_WATCHES = 256;
/** The words: the number of the last lock; then one for each thread; then two for each watch. */
const LOCKS = 1;
const WATCHES = LOCKS + MAX_THREADS;
const WORDS = WATCHES + 2 * MAX_WATCHES;
/** A bit in a thread's word, beside the number of its lock, which is even: the thread has got the lock. */
const HELD = 1;

/** The label of a watching thread that has no number. */
const UNLABELED = -1;

export const livesBytes: number = 4 * WORDS;

/**
 * The words that the threads of a heap share, and this thread's Web Lock. A thread holds a lock, if its host has locks, while
 * it is in the heap: the browser takes the lock back when the thread is gone.
 *
 * A watch is two words: the labels of the watching and of the watched thread. A watched thread that ends by itself leaves
 * everything to its watcher, which could not list the thread's elements otherwise.
 */
export class Lives {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #id: string;
  readonly #context: HeapContext;
  /** The locks that this thread knows to be free, and those that it waits for. */
  readonly #free = new Set<number>();
  readonly #awaited = new Map<number, Promise<void>>();
  #release: (() => void) | undefined;

  /** The label by which other threads find this one. */
  readonly #label: number;

  constructor(id: string, buffer: SharedArrayBuffer, context: HeapContext, label: number) {
    this.#id = id;
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#context = context;
    this.#label = label;
    this.#hold();
  }

  /** Whether this thread can wait for another thread's end. */
  get hasLocks(): boolean {
    return webLocks() !== undefined;
  }

  /** Requests the lock, which this thread holds until it leaves or dies. */
  #hold(): void {
    const locks = webLocks();
    if (!locks) return;
    const words = this.#words;
    const lock = Atomics.add(words, 0, 2) + 2;
    const at = LOCKS + this.#context.core.heap_thread();
    Atomics.store(words, at, lock);
    let isOver = false;
    let release: (() => void) | undefined;
    this.#release = () => {
      isOver = true;
      Atomics.store(words, at, 0);
      release?.();
    };
    const held = locks.request(`${this.#id} ${lock}`, {}, () => {
      if (isOver) return undefined;
      Atomics.store(words, at, lock | HELD);
      return new Promise<void>((resolve) => (release = resolve));
    });
    // A page of an opaque origin gets no lock.
    held.catch(() => isOver || Atomics.store(words, at, 0));
  }

  /** This thread is about to leave the heap; its number is still its own. */
  leave(): void {
    this.#release?.();
    // The end of this thread is reported by its host.
    if (this.#label === labelOfThread()) return;
    for (let at = WATCHES; at < WORDS; at += 2) Atomics.compareExchange(this.#words, at + 1, this.#label | 0, 0);
  }

  #lockOf(thread: number): number {
    return Atomics.load(this.#words, LOCKS + thread) & ~HELD;
  }

  /** Whether a thread has a lock, or has requested it. */
  isLocked(thread: number): boolean {
    return this.#lockOf(thread) !== 0;
  }

  /** Whether a thread may still run, as far as this thread knows; if so, `ended` resolves at its end. */
  mayRun(thread: number): boolean {
    const lock = this.#lockOf(thread);
    return lock !== 0 && !this.#free.has(lock);
  }

  /** Resolves when a thread has ended, or has left the heap; never in a thread without locks. */
  ended(thread: number): Promise<void> {
    const lock = this.#lockOf(thread);
    let ended = this.#awaited.get(lock);
    if (!ended) {
      ended = this.#await(thread, lock).then(() => {
        this.#awaited.delete(lock);
        this.#free.add(lock);
      });
      this.#awaited.set(lock, ended);
    }
    return ended;
  }

  async #await(thread: number, lock: number): Promise<void> {
    const locks = webLocks();
    if (!locks) return new Promise(() => {});
    const name = `${this.#id} ${lock}`;
    const mode = "shared";
    for (;;) {
      // Before the request: the thread may get the lock as soon as this one has let go of it, before this one runs on.
      const word = Atomics.load(this.#words, LOCKS + thread);
      const isFree = await locks.request(name, { mode, ifAvailable: true }, (got) => got !== null);
      if (!isFree) return locks.request(name, { mode }, () => {});
      // A free lock is one that the thread has left; or one that it has not requested yet, and nothing tells whether it will.
      if (word !== lock) return;
      await delay(LOOK);
    }
  }

  /** A thread is about to be reaped; its number is still its own. Returns the word for `remember`, if the core refuses. */
  forget(thread: number): number {
    return Atomics.exchange(this.#words, LOCKS + thread, 0);
  }

  remember(thread: number, word: number): void {
    Atomics.compareExchange(this.#words, LOCKS + thread, 0, word);
  }

  /** This thread watches the thread with a label. Undefined if there are too many watches. */
  watch(watched: number): { stop(): void; readonly hasLeft: boolean } | undefined {
    const words = this.#words;
    for (let at = WATCHES; at < WORDS; at += 2) {
      const watcher = Atomics.load(words, at);
      if (watcher !== 0 && this.#isLiving(watcher)) continue;
      if (Atomics.compareExchange(words, at, watcher, labelOfThread() || UNLABELED) !== watcher) continue;
      Atomics.store(words, at + 1, watched | 0);
      return {
        stop() {
          Atomics.store(words, at + 1, 0);
          Atomics.store(words, at, 0);
        },
        get hasLeft() {
          return Atomics.load(words, at + 1) === 0;
        },
      };
    }
    return undefined;
  }

  /** Whether a living thread watches this one. */
  get isWatched(): boolean {
    for (let at = WATCHES; at < WORDS; at += 2) {
      if (Atomics.load(this.#words, at + 1) === labelOfThread() && this.#isLiving(Atomics.load(this.#words, at)))
        return true;
    }
    return false;
  }

  #isLiving(label: number): boolean {
    return label === UNLABELED || this.#context.core.heap_find_thread(label) >= 0;
  }
}
