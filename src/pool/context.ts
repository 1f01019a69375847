/**
 * One pool as this thread sees it: everything behind the hit path of {@link Pool}. Elements and counts are the core's; here
 * are the slow paths, the wait queue, and what this thread knows of the pool's end.
 */
import { ASKS, BAD_ARGUMENT, CLOSED, INVALID, LAST } from "../core/abi.ts";
import type { HeapContext, PoolMember } from "../core/context.ts";
import { MempoolError } from "../core/errors.ts";
import { report, startInterval } from "../core/timers.ts";
import { isUint32 } from "../core/validate.ts";
import { WaitQueue, type ElementSource } from "../wait/queue.ts";
import { Tally } from "../wait/tally.ts";
import { adapters } from "./adapters.ts";
import type { BackendAdapter, BoxPool } from "./backend.ts";
import { closedError, elementError } from "./errors.ts";
import type { LocalConfig, PoolSpec } from "./options.ts";
import { statsAtEnd, statsOf, type PoolStats, type StatsSource } from "./stats.ts";

/** Milliseconds after which a closed pool asks again whether another thread has freed its last element. */
const END = 50;

export class PoolContext implements PoolMember, ElementSource, BoxPool, StatsSource {
  /** The Pool that the caller holds. */
  front!: object;
  readonly heap: HeapContext;
  readonly handle: number;
  readonly local: LocalConfig;
  /** As far as this thread knows: another may have resized or reshaped the pool. */
  spec: PoolSpec;
  readonly adapter: BackendAdapter | undefined;
  /** Resolves once the pool has ended in this thread. */
  readonly ended: Promise<void>;
  /** How deep a size callback is reshaping its own pool. */
  reshaping = 0;
  /** `handle`; or 0, and then every call takes the slow path: once the pool has ended, while a waiter waits, with an adapter. */
  #fastHandle = 0;
  #onFastHandle!: (handle: number) => void;
  /** Open; closed with elements outstanding; or ended: then the core no longer knows the pool. */
  #phase: "open" | "closed" | "ended" = "open";
  #resolveEnded!: () => void;
  /** The statistics at the close. */
  #lastStats: PoolStats | undefined;
  /** Made for the first waiter. */
  #queue: WaitQueue | undefined;
  /** The fewest elements in reserve since each watermark has last read them: a read of the core's begins anew for all. */
  readonly #lows = new Set<{ low: number }>();

  constructor(heap: HeapContext, handle: number, spec: PoolSpec, local: LocalConfig) {
    this.heap = heap;
    this.handle = handle;
    this.spec = spec;
    this.local = local;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.adapter = local.backend && new (adapters.get("create"))(local.backend, local.data, this, heap);
  }

  /** The Pool that the caller gets; it hears of each change of the fast handle. */
  bind(front: object, onFastHandle: (handle: number) => void): void {
    this.front = front;
    this.#onFastHandle = onFastHandle;
    this.heap.pools.add(this);
    this.updateFastHandle();
  }

  get name(): string {
    return this.spec.name;
  }

  get maxNr(): number {
    return this.spec.maxNr;
  }

  get maxWaiters(): number {
    return this.spec.maxWaiters;
  }

  get align(): number {
    return this.spec.align;
  }

  /** Bytes in an element allocated from now on. */
  get elementSize(): number {
    const isCores = !this.isEnded && !this.adapter;
    return isCores ? this.heap.core.mempool_size(this.handle, 0) : this.spec.elementSize;
  }

  get hostedSize(): number | undefined {
    return this.adapter && this.spec.elementSize;
  }

  get minNr(): number {
    return this.isClosed ? this.spec.minNr : this.heap.core.mempool_min_nr(this.handle) >>> 0;
  }

  get currNr(): number {
    return this.isEnded ? 0 : this.heap.core.mempool_curr_nr(this.handle) >>> 0;
  }

  get outstanding(): number {
    return this.isEnded ? 0 : this.heap.core.mempool_outstanding(this.handle) >>> 0;
  }

  get serial(): number {
    return this.heap.core.mempool_serial(this.handle) >>> 0;
  }

  get isHosted(): boolean {
    return this.adapter !== undefined;
  }

  get isClosed(): boolean {
    return this.#phase !== "open";
  }

  get isEnded(): boolean {
    return this.#phase === "ended";
  }

  // ------------------------------------------------------------------------------------------------------- allocation

  /** An element, or 0. */
  take(): number {
    return this.adapter ? this.adapter.take() : this.toElement(this.heap.core.mempool_alloc(this.handle) >>> 0);
  }

  toElement(address: number): number {
    if (this.adapter) return this.adapter.elementIn(address);
    if (this.spec.zero) this.heap.core.mempool_zero(this.handle, address);
    return address;
  }

  elementIn(address: number): number {
    return this.adapter ? this.adapter.elementIn(address) : address;
  }

  takeForWaiter(): number {
    let element = 0;
    this.heap.debug?.enter(this, "alloc", 1);
    try {
      element = this.take();
    } catch (error) {
      if (!this.adapter) throw error;
      return 0;
    } finally {
      this.heap.debug?.settle();
    }
    if (element === 0) this.countFailures(-1);
    this.adapter?.forgetError();
    return element;
  }

  /** An element for a call that waits if there is none. */
  allocBeforeWait(apiName: string): number {
    return (this.#fastHandle === 0 ? 0 : this.take()) || this.allocSlow(apiName, true);
  }

  /** An alloc by the slow path: a waiter is queued, there is no element, or the pool is closed. `waits`: as settleFailure. */
  allocSlow(apiName: string, waits = false): number {
    this.refuseClosed(apiName);
    const { debug } = this.heap;
    if (!debug) return this.#allocSlow(apiName, waits, this.#fastHandle === 0);
    try {
      const wasAsked = debug.enter(this, apiName, 1);
      return this.#allocSlow(apiName, waits, wasAsked || this.#fastHandle === 0);
    } finally {
      debug.settle();
    }
  }

  #allocSlow(apiName: string, waits: boolean, takes: boolean): number {
    let element = takes ? this.takeAfterWaiters() : 0;
    if (element !== 0) return element;
    this.syncState();
    this.refuseClosed(apiName);
    if (this.heap.shrinkers.run()) {
      this.refuseClosed(apiName);
      this.countFailures(-1);
      element = this.takeAfterWaiters();
      this.refuseClosed(apiName);
      if (element !== 0) return element;
    }
    this.settleFailure(waits);
    return 0;
  }

  /** An element once the waiters have theirs; or 0, and one more failure is counted. */
  takeAfterWaiters(): number {
    this.serveWaiters();
    if (!this.#isBehind) return this.take();
    this.countFailures(1);
    return 0;
  }

  /** Whether a waiter is queued of whom the core does not know. */
  get #isBehind(): boolean {
    return !this.heap.isShared && this.#queue !== undefined && this.#queue.size > 0;
  }

  /** The core has counted a call's failure. That does not stand if the call waits, or throws what a backend has thrown. */
  settleFailure(waits: boolean): void {
    const hasThrown = this.adapter?.hasThrown === true;
    if (waits || hasThrown) this.countFailures(-1);
    if (hasThrown) this.adapter!.rethrow();
  }

  /** Counts more calls that got nothing, or fewer. */
  countFailures(n: number): void {
    if (!this.isEnded) this.heap.core.mempool_add_failures(this.handle, n);
  }

  // ------------------------------------------------------------------------------------------------------------- free

  /** A free by the slow path: of no address, with a waiter queued, of an ended pool, or to a backend of the caller's own. */
  free(address: unknown): void {
    if (!isUint32(address) || this.isEnded) return this.refuseElement("free", INVALID, address);
    let result = 0;
    this.heap.debug?.enterFree(this, "free");
    try {
      result = this.adapter ? this.adapter.free(address) : this.heap.core.mempool_free(this.handle, address | 0);
      if (result === ASKS) {
        this.heap.debug?.answer(this, "free");
        result = this.heap.core.mempool_free(this.handle, address | 0);
      }
    } catch (error) {
      // The backend's error. The element is gone all the same.
      this.afterFree(1);
      throw error;
    }
    this.heap.debug?.settle();
    if (result !== 0) this.settleFree(result, address);
    if (address !== 0) this.afterFree(1);
  }

  /** A free for which the core returned a code but 0. */
  settleFree(code: number, address: number): void {
    if (code === LAST) this.finish();
    else if (code === ASKS || code <= BAD_ARGUMENT)
      this.free(address); // BAD_ARGUMENT, NO_HEAP: there was no fast handle
    else {
      // Not syncState: it gives memory back, and a refused free changes nothing.
      if (code === CLOSED) this.noticeRemoteClose();
      this.refuseElement("free", code, address);
    }
  }

  /** Throws the error of a code; `free(0)` has none. */
  refuseElement(apiName: string, code: number, address: unknown, index?: number): void {
    if (address === 0 && apiName === "free") return;
    const history = this.heap.debug?.historyOf(address);
    throw elementError(apiName, this.name, this.isClosed ? CLOSED : code, address, index, history);
  }

  /** Throws the error of `free` unless the value is an outstanding element. */
  checkOutstanding(apiName: string, address: unknown): void {
    let code = INVALID;
    if (isUint32(address) && address !== 0 && !this.isEnded) {
      code = this.adapter ? this.adapter.checkFree(address) : this.heap.core.mempool_free_check(this.handle, address);
    }
    if (code !== 0) this.refuseElement(apiName, code, address);
  }

  /** The pool, or its heap, has got something back: waiters of this thread may have it. */
  afterFree(count: number): void {
    if (this.heap.queues.size === 0) return;
    // What this pool's waiters have got has not come back to the heap.
    if (this.serveWaiters(count) < count) this.heap.scheduleRetry();
  }

  // ------------------------------------------------------------------------------------------------------ wait queue

  /** The waiters of this thread, but those that block it. */
  get waiting(): number {
    return this.#queue?.size ?? 0;
  }

  get queue(): WaitQueue {
    const Queue = (this.heap.sharing?.WaitQueue as typeof WaitQueue | undefined) ?? WaitQueue;
    return (this.#queue ??= new Queue(this, this.heap));
  }

  /** Returns how many elements waiters of this thread have got. */
  serveWaiters(most?: number): number {
    return this.#queue?.serve(most) ?? 0;
  }

  refillFromBackend(): boolean {
    return this.adapter !== undefined && !this.isEnded && this.adapter.refillFromBackend();
  }

  /** Whether calls take the slow path. */
  get isSlow(): boolean {
    return this.#fastHandle === 0;
  }

  updateFastHandle(): void {
    const { queues, debug } = this.heap;
    const isSlow = this.isEnded || queues.size > 0 || this.adapter || (debug && !debug.samples);
    this.#fastHandle = isSlow ? 0 : this.handle;
    this.#onFastHandle(this.#fastHandle);
  }

  // --------------------------------------------------------------------------------------------------- close and end

  refuseClosed(apiName: string): void {
    if (this.isClosed) throw closedError(apiName, this.name);
  }

  exit(): void {
    if (this.isClosed) return;
    this.#close();
    try {
      // The backend may have done anything as it took back the elements of a waiter.
      if (this.isEnded) return;
      if (this.heap.core.mempool_exit(this.handle) === 0) this.finish();
      else this.adapter?.releaseSurplus();
    } finally {
      if (!this.isEnded) this.#awaitEnd();
      this.heap.scheduleRetry();
    }
  }

  noticeRemoteClose(): void {
    const { core, isShared } = this.heap;
    if (!isShared || this.isClosed || core.mempool_free_check(this.handle, 0) !== CLOSED) return;
    this.#close();
    this.#awaitEnd();
  }

  syncState(): void {
    this.noticeRemoteClose();
    if (!this.heap.isShared || this.#phase !== "closed") return;
    // A second exit flushes this thread's magazine, and tells whether the last element has been freed.
    if (this.heap.core.mempool_exit(this.handle) === 0) return this.finish();
    try {
      this.adapter?.releaseSurplus();
    } catch (error) {
      report(error);
    }
  }

  leave(): void {
    try {
      this.adapter?.leave();
    } finally {
      if (!this.isClosed) this.#close();
      this.finish();
    }
  }

  /** The last element of the closed pool has been freed. */
  finish(): void {
    this.#phase = "ended";
    this.updateFastHandle();
    this.heap.pools.delete(this);
    this.#resolveEnded();
  }

  /** From here on the pool allocates nothing. */
  #close(): void {
    try {
      this.#lastStats = this.stats();
    } catch {
      // The host does not compile the inspector, or has no memory for it: the pool ends all the same.
    }
    this.#phase = "closed";
    this.#queue?.close();
  }

  /** Another thread that frees the last element does not say so. */
  #awaitEnd(): void {
    if (!this.heap.isShared) return;
    const stop = startInterval(END, false, () => {
      this.syncState();
      if (this.isEnded) stop?.();
    });
  }

  releaseEmptyBox(address: number): void {
    this.adapter?.releaseEmptyBox(address);
  }

  onLow(below: number, listener: (currNr: number) => void): () => void {
    const own = { low: Infinity };
    const takeLowWatermark = () => {
      if (this.isClosed) return undefined;
      const fewest = this.heap.core.mempool_take_low_watermark(this.handle) >>> 0;
      for (const each of this.#lows) each.low = Math.min(each.low, fewest);
      const { low } = own;
      own.low = Infinity;
      return low;
    };
    const stop = this.heap.watermarks.add("onLow", below, takeLowWatermark, listener);
    this.#lows.add(own);
    return () => {
      this.#lows.delete(own);
      stop();
    };
  }

  stats(): PoolStats {
    const waits = (this.#queue?.tally ?? new Tally()).read();
    if (!this.isEnded) return statsOf(this, waits);
    if (this.#lastStats) return statsAtEnd(this.#lastStats, waits);
    throw new MempoolError("ERR_NO_WASM", `stats: pool "${this.name}" ended where there was no inspector`, {
      pool: this.name,
    });
  }
}
