/** One heap and its threads, as this thread sees them: how it is shared, left, and what this thread does for starving ones. */
import type { Core } from "../core/abi.ts";
import { retryWhileBusy, waitAsync } from "../core/blocking.ts";
import type { HeapContext, Sharing } from "../core/context.ts";
import { forEachThenThrow, MempoolError } from "../core/errors.ts";
import type { HeapHandle } from "../core/handles.ts";
import { startInterval } from "../core/timers.ts";
import { invalid, show } from "../core/validate.ts";
import { endHeap } from "../heap/end.ts";
import { SharedWaitQueue } from "../wait/shared-queue.ts";
import { labelOf, labelOfThread, Lives, livesBytes, node } from "./lives.ts";

/** Milliseconds between two looks for starving threads, in a host without Atomics.waitAsync. */
const POLL = 50;
/** Milliseconds after which a thread tries again, if another has the lock of the heap's lists. */
const AGAIN = 2;

/** The heaps that this thread shares with others, by their ids. */
const joined = new Map<string, Threads>();

/** The heap of an id, if this thread has it. */
export const joinedHeap = (id: string): HeapContext | undefined => joined.get(id)?.context;

/** A worker leaves its heaps as it ends by itself. The end of the main thread ends all threads. */
const endOfThread = (): void => forEachThenThrow(joined.values(), (threads) => threads.endOfThread());

export class Threads implements Sharing {
  readonly WaitQueue: typeof SharedWaitQueue = SharedWaitQueue;
  /** Set once there is one. */
  context!: HeapContext;
  /** Made when this thread shares the heap, or attaches to it. */
  lives: Lives | undefined;
  /** The labels of the workers that this thread watches, and functions that stop it. */
  readonly watched: Map<number, () => void> = new Map();

  retryWhileBusy(apiName: string, core: Core, attempt: () => number): number {
    return retryWhileBusy(apiName, core, attempt);
  }

  /** This thread shares the heap with others from now on. */
  join(id: string, lives: SharedArrayBuffer, label: number): void {
    this.context.sharedId = id;
    this.lives = new Lives(id, lives, this.context, label);
    if (joined.size === 0 && labelOfThread() > 1) node!.on?.("exit", endOfThread);
    joined.set(id, this);
    this.#settleWhileIdle();
  }

  share(worker: object | undefined): HeapHandle {
    const apiName = "share";
    this.context.refuseEnded();
    if (worker !== undefined && (typeof worker !== "object" || worker === null)) {
      invalid(`${apiName}: worker must be a Worker, got ${show(worker)}`);
    }
    if ((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false) {
      throw new MempoolError(
        "ERR_NOT_ISOLATED",
        "share: this page is not cross-origin isolated, and may post no shared memory: serve it with the headers " +
          "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
      );
    }
    const { memory, modules, address, core } = this.context;
    if (this.context.sharedId === undefined) {
      const label = labelOfThread();
      this.join(`${Date.now()}-${Math.random()}-${address}`, new SharedArrayBuffer(livesBytes), label);
      core.heap_label(label);
    }
    const inspector = this.context.inspection.module;
    const id = this.context.sharedId!;
    const { module, control } = modules;
    const lives = this.lives!.buffer;
    const handle = { memory, module, address, id, lives, ...(control && { control }), ...(inspector && { inspector }) };
    const label = worker ? labelOf(worker, true) : 0;
    return label > 0 ? { ...handle, label } : handle;
  }

  detach(): void {
    const { context } = this;
    const { core } = context;
    if (context.hasEnded) return;
    this.#stopWatching();
    // Without other threads, no thread has the heap from now on.
    const isLast = this.isAlone;
    try {
      forEachThenThrow(context.pools, (pool) => pool.leave());
    } finally {
      // A backend that took back its elements may have called detach itself.
      if (!context.hasEnded) {
        const nudge = core.heap_nudge() >>> 2;
        this.lives?.leave();
        core.heap_detach();
        if (!isLast) context.releaseExtent = undefined;
        context.end();
        this.#part(nudge);
      }
    }
  }

  /** Whether this is the only thread of the heap. */
  get isAlone(): boolean {
    return this.context.core.heap_thread_count() === 1;
  }

  /**
   * Ends the heap.
   *
   * @throws `ERR_WOULD_BLOCK` while other threads are in it.
   */
  exit(): void {
    const { context } = this;
    if (context.hasEnded) return;
    if (!this.isAlone) {
      const what = "other threads are in the heap: they detach, or are reaped, first; see also detach";
      throw new MempoolError("ERR_WOULD_BLOCK", `exit: ${what}`);
    }
    const nudge = context.core.heap_nudge() >>> 2;
    this.#stopWatching();
    this.lives?.leave();
    try {
      endHeap(context);
    } finally {
      this.#part(nudge);
    }
  }

  #stopWatching(): void {
    for (const stop of this.watched.values()) stop();
  }

  #part(nudge: number): void {
    // A wait for this word would keep the heap alive for ever.
    Atomics.notify(this.context.views.refresh().i32, nudge);
    if (this.context.sharedId === undefined) return;
    joined.delete(this.context.sharedId);
    if (joined.size === 0 && labelOfThread() > 1) node!.off?.("exit", endOfThread);
  }

  /** This worker ends by itself. If another thread watches it, that lists its elements, which detach would forget. */
  endOfThread(): void {
    if (!this.lives!.isWatched) this.detach();
  }

  /** While this thread is idle: flushes its magazines when other threads starve. Keeps no process alive. */
  #settleWhileIdle(): void {
    const { context } = this;
    const word = context.core.heap_nudge() >>> 2;
    const settle = (): boolean => {
      const done = context.core.heap_idle() !== 0;
      for (const pool of context.pools) pool.noticeRemoteClose();
      return done;
    };
    const turn = () => {
      if (context.hasEnded) return;
      const { views } = context;
      const seen = Atomics.load(views.refresh().i32, word);
      const ms = settle() ? Infinity : AGAIN;
      void Promise.resolve(waitAsync!(views.refresh().i32, word, seen, ms).value).then(turn);
    };
    if (waitAsync) return turn();
    const stop = startInterval(POLL, false, () => (context.hasEnded ? stop?.() : settle()));
  }
}
