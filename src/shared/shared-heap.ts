/** Heaps of several threads, as users see them. */
import type { HeapContext } from "../core/context.ts";
import type { HeapHandle } from "../core/handles.ts";
import { uncloneable } from "../core/objects.ts";
import { delay } from "../core/timers.ts";
import type { EndsAsync } from "../core/types.ts";
import { Heap } from "../heap/heap.ts";
import type { PoolOptions, SizedByData } from "../pool/options.ts";
import type { Pool } from "../pool/pool.ts";
import type { StructType } from "../struct/index.ts";
import type { WatchedWorker } from "./lives.ts";
import { createQueue, type Queue, type QueueOptions } from "./queue.ts";
import { reap, reapAsync, watch, type Reaped, type ReapOptions, type WatchOptions } from "./reap.ts";
import type { Threads } from "./threads.ts";

const opaque: object = /* @__PURE__ */ uncloneable("SharedHeap: post heap.share(), and attach() it there");

/** Milliseconds between two looks whether the other threads have left. */
const LOOK = 10;

/** A pool on a heap of several threads. */
export type SharedPool<T = unknown, Data = never> = Pool<T, Data> & { readonly heap: SharedHeap };

// The class has Symbol.asyncDispose, but its type has it only where the program declares that symbol.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface SharedHeap extends EndsAsync {}

/**
 * A heap whose memory several threads share. Made by {@link createSharedHeap}, or in another thread by {@link attach}: each
 * thread has a SharedHeap of its own, and is in the heap until its `detach`. Any thread may call every method.
 */
export class SharedHeap extends Heap {
  /** @internal See {@link Heap}. */
  override readonly share_and_attach: unknown = opaque;
  readonly #threads: Threads;

  /** @internal `joined`: what a thread that attaches knows of the heap's threads. */
  constructor(
    context: HeapContext,
    joined?: { readonly id: string; readonly lives: SharedArrayBuffer; readonly label: number },
  ) {
    super(context);
    this.#threads = context.sharing as Threads;
    this.#threads.context = context;
    if (joined) this.#threads.join(joined.id, joined.lives, joined.label);
  }

  /** @internal See {@link Heap}. */
  override get [Symbol.toStringTag](): string {
    return "SharedHeap";
  }

  /** As {@link create}, on this heap. */
  override create<S extends StructType, Data = unknown>(options: PoolOptions<S, Data>): SharedPool<S>;
  override create<Data>(options: SizedByData<Data>): SharedPool<unknown, Data>;
  override create(options: PoolOptions<() => number>): SharedPool<unknown, void>;
  override create<Data = unknown>(options: PoolOptions<number, Data>): SharedPool;
  override create(options: PoolOptions): SharedPool {
    return super.create(options as PoolOptions<number>) as SharedPool;
  }

  /**
   * A bounded queue of addresses in the heap's memory: see {@link Queue}. O(capacity).
   *
   * @throws `ERR_INVALID_ARGUMENT`; `ERR_NO_MEMORY`; `ERR_CLOSED` after `detach`; `ERR_WOULD_BLOCK` as {@link attach}.
   */
  createQueue<T = unknown>(options: QueueOptions): Queue<T> {
    return createQueue(this.context, options);
  }

  /**
   * This thread's number in the heap, 0 to 62; 0 is the thread that made the heap.
   *
   * @throws `ERR_CLOSED` after `detach`.
   */
  get threadId(): number {
    return this.core.heap_thread();
  }

  /**
   * The heap for another thread: a plain object to post, and to give to {@link attach} there. `worker` is the browser's
   * Worker that gets it, for {@link SharedHeap.watch}. From then on, until `detach`, this thread flushes its magazines while it
   * is idle and other threads starve.
   *
   * @throws `ERR_INVALID_ARGUMENT`; `ERR_CLOSED` after `detach`; `ERR_NOT_ISOLATED` in a page without the headers COOP and
   * COEP.
   */
  share(worker?: object): HeapHandle {
    return this.#threads.share(worker);
  }

  /**
   * This thread leaves the heap: its magazines are flushed; its arenas end, and so do its pools that it never shared. Waiters
   * in this thread get ERR_CLOSED, and so does every later call on the heap, its pools and arenas, but another `detach`.
   * Elements of shared pools stay outstanding; other threads may free them. A worker of Node, Bun or Deno that ends by itself
   * and is not watched detaches as it ends; a terminated one does not: see `watch`. An error of a
   * backend of your own is reported like that of an event listener. O(pools).
   */
  detach(): void {
    this.#threads.detach();
  }

  /**
   * As {@link Heap.exit}, but only the last thread may call it: each other thread detaches first, or is reaped. See
   * `Symbol.asyncDispose`, which waits for that.
   *
   * @throws the errors of {@link Heap.exit}; `ERR_WOULD_BLOCK` while other threads are in the heap, and then nothing has
   * changed.
   */
  override exit(): void {
    this.#threads.exit();
  }

  /** @internal This thread leaves the heap; the last thread ends it. */
  override [Symbol.dispose](): void {
    if (!this.context.hasEnded && this.#threads.isAlone) this.exit();
    else this.detach();
  }

  /** @internal Waits until the other threads have left, or have been reaped; then ends the heap. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (!this.context.hasEnded && !this.#threads.isAlone) await delay(LOOK);
    this.exit();
  }

  /**
   * Takes back what a thread held that has ended without `detach`, as a terminated worker: its magazines, its arenas, its
   * pools that it never shared, its waiters. Returns the elements that it had allocated or adopted, of the pools that this
   * thread knows, for the caller to free: only the caller can tell whether another thread uses one now. O(memory).
   *
   * The thread must have ended. A thread of a browser, but for an AudioWorklet, or of Deno, holds a Web Lock while it is in
   * the heap; while it may have that, the call is refused; see `reapAsync`. Of any other thread, the caller must know. An
   * AudioWorklet has ended once its AudioContext is closed: `await context.close()`, then reap. `isGone` says that the caller
   * knows in any case: nothing tells of a worker that ended before it had its lock. A worker gets it at once if it has awaited
   * `navigator.locks.query()` before it attaches, else a few turns of its event loop later.
   *
   * @throws `ERR_INVALID_ARGUMENT` for this thread, a watched worker that runs, or no thread; `ERR_WOULD_BLOCK` if the thread
   * may still run, or another that has stopped or died is in the way: try again later; `ERR_CLOSED`.
   */
  reap(threadId: number, options?: ReapOptions): Reaped[] {
    return reap(this.#threads, threadId, options);
  }

  /**
   * As `reap`; but waits while the thread holds a Web Lock, and while another thread that has stopped or died is in the way.
   * Waits for ever for a worker that ended before it had its lock.
   *
   * @throws the errors of `reap`, but never `ERR_WOULD_BLOCK`. As rejections.
   */
  async reapAsync(threadId: number): Promise<Reaped[]> {
    return reapAsync(this.#threads, threadId);
  }

  /**
   * Reaps a worker when it ends, in whatever way: see `reap`. Calls `onReap` once then, with the elements that the worker had
   * allocated or adopted and never freed; with none if it never attached. The worker may attach before or after. `onReap` may
   * do anything; an error of it is reported like that of an event listener. A thread watches a worker once: a second call
   * replaces the first. Returns a function that stops watching.
   *
   * The worker is one of node:worker_threads, in Node, Bun or Deno. Or a browser's, or Deno's other, which must have got the
   * heap, or a pool, by `share(worker)`; such a worker counts as ended also when it calls `detach`, and both threads need Web
   * Locks, so a secure page. A worker of Deno that has attached does not end by a plain return, but does after `detach`.
   *
   * @throws `ERR_INVALID_ARGUMENT`; `ERR_CLOSED`; `ERR_NO_MEMORY` if 256 workers of the heap are watched; and, for its first
   * sharing of the heap, the errors of `share`.
   * @example
   * heap.watch(worker, { onReap: (elements) => elements.forEach(({ address }) => pool.free(address)) });
   */
  watch(worker: WatchedWorker, options?: WatchOptions): () => void {
    return watch(this.#threads, worker, options);
  }
}
