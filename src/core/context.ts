/** One heap as this thread sees it: its memory, its core, and the objects of this thread that live on it. */
import { PAGE, type Core } from "./abi.ts";
import type { DebugHeap } from "./debug-types.ts";
import { MempoolError } from "./errors.ts";
import type { HeapHandle } from "./handles.ts";
import type { Inspection } from "./inspection.ts";
import { Shrinkers } from "./shrinkers.ts";
import { returnSite, takeSite } from "./sites.ts";
import { Ticker } from "./timers.ts";
import type { CoreModules } from "./modules.ts";
import type { WasmMemory } from "./types.ts";
import { Views, wordViews } from "./views.ts";
import { Watermarks } from "./watermarks.ts";

/** A pool of this thread, as far as its heap deals with all pools alike. */
export interface PoolMember {
  /** The Pool that the caller holds. */
  readonly front: object;
  readonly name: string;
  readonly handle: number;
  readonly serial: number;
  /** The waiters of this thread, but those that block it. */
  readonly waiting: number;
  /** Chooses between the fast path and the slow one, after `queues` has become empty or not empty. */
  updateFastHandle(): void;
  exit(): void;
  /** Closes the pool in this thread if another thread has closed it. */
  noticeRemoteClose(): void;
  /** The element at an address of the core's, by the number that callers know; 0 if a box is empty. */
  elementIn(address: number): number;
  /** Takes back a box that is empty. */
  releaseEmptyBox(address: number): void;
  /** This thread is about to leave the heap, or to end it. */
  leave(): void;
}

/** A wait queue of a pool, in this thread. */
export interface QueueMember {
  /** Milliseconds between two ticks: the same for all queues of a heap. */
  readonly ms: number;
  /** So much time has passed. Of the queues that tick together, the first looks around for all. */
  tick(milliseconds: number, isFirst: boolean): void;
  /** The heap may have got memory back. */
  retry(isFirst: boolean): void;
}

/** What a heap of several threads adds: a program without one does not ship it. */
export interface Sharing {
  /** The class of a pool's wait queue; of the type of the one that a heap of one thread has. */
  readonly WaitQueue: unknown;
  /** Makes what this thread posts for another to attach the heap. */
  share(worker: object | undefined): HeapHandle;
  /** See {@link HeapContext.retryWhileBusy}. */
  retryWhileBusy(apiName: string, core: Core, attempt: () => number): number;
}

/** Told of what this thread finds out about its heap, if anybody asks for it: see inspect/watch.ts and trace.ts. */
export interface HeapObserver {
  /** A dead thread had these elements, which stay outstanding. */
  reaped?(thread: number, elements: readonly { readonly pool: string; readonly address: number }[]): void;
  /** A call of this pool has waited for so many milliseconds, until now. */
  waited?(pool: string, milliseconds: number, ending: string): void;
}

/** What a heap is made of. */
export interface HeapParts {
  readonly memory: WasmMemory;
  readonly core: Core;
  readonly modules: CoreModules;
  readonly address: number;
  readonly inspection: Inspection;
  readonly sharing: Sharing | undefined;
}

function throwEnded(): never {
  throw new MempoolError("ERR_CLOSED", "the heap has ended, or this thread has left it");
}
/** The core of a heap that has ended, or that this thread has left. */
const endedCore: Core = /* @__PURE__ */ new Proxy({} as Core, { get: throwEnded });

/** The most words that a heap keeps for bulk requests. */
const MOST_SPARE = 16384;
export const noWords: Uint32Array = /* @__PURE__ */ new Uint32Array(0);

export class HeapContext {
  /** The Heap that the caller holds. */
  front!: object;
  readonly memory: WasmMemory;
  readonly views: Views;
  /** See {@link wordViews}. */
  readonly viewAt: ReturnType<typeof wordViews>;
  /** The core's exports. Once the heap has ended in this thread, every access throws ERR_CLOSED. */
  core: Core;
  /** The compiled core, for other threads. */
  readonly modules: CoreModules;
  readonly inspection: Inspection;
  readonly address: number;
  /** The address of this thread's scratch words, through which arrays pass. It never moves. */
  readonly scratch: number;
  /** What only a heap of several threads needs; undefined for a heap that is not shared. */
  readonly sharing: Sharing | undefined;
  /** What only a debug heap has. */
  debug: DebugHeap | undefined;
  /** Set once this thread has shared the heap, or has attached to it. */
  sharedId: string | undefined;
  /** This thread's pools that have not ended. */
  readonly pools: Set<PoolMember> = new Set();
  /** The queues of this thread in which a waiter waits. */
  readonly queues: Set<QueueMember> = new Set();
  readonly watermarks: Watermarks = new Watermarks();
  readonly shrinkers: Shrinkers = new Shrinkers();
  declare observers?: Set<HeapObserver>;
  /** Where queues are that this thread made or attached to: elements of the package's own, which nobody leaks. */
  declare rings?: Set<number>;
  /** Lets another heap have the bytes of this one. */
  releaseExtent: (() => void) | undefined;
  /** One for all queues: what a tick costs must not grow with the queues times the pools. */
  readonly #ticker = new Ticker();
  #maximum: number | undefined;
  #isRetryScheduled = false;
  #spare = noWords;
  /** The call sites of pools that do not zero, and of those that do; as far as there were such pools. */
  readonly #sites: [site?: number, zeroing?: number] = [];

  constructor({ memory, core, modules, address, inspection, sharing }: HeapParts) {
    this.memory = memory;
    this.views = new Views(memory);
    this.viewAt = wordViews(memory);
    this.core = core;
    this.modules = modules;
    this.inspection = inspection;
    this.address = address;
    this.scratch = core.heap_scratch() >>> 0;
    this.sharing = sharing;
  }

  /** Whether other threads may have the heap: then the core keeps the wait queues. */
  get isShared(): boolean {
    return this.sharing !== undefined;
  }

  /**
   * Calls `attempt` until it gives a number but 0, or another thread is no longer in the way of it; at most for a second.
   * 0: heap_error tells why.
   *
   * @throws `ERR_WOULD_BLOCK` after that second.
   */
  retryWhileBusy(apiName: string, attempt: () => number): number {
    return this.sharing ? this.sharing.retryWhileBusy(apiName, this.core, attempt) : attempt() >>> 0;
  }

  /** Bytes that the heap may have. */
  get maximum(): number {
    return (this.#maximum ??= this.core.heap_max_pages() * PAGE);
  }

  /** Whether the heap has ended, or this thread has left it. */
  get hasEnded(): boolean {
    return this.core === endedCore;
  }

  end(): void {
    this.debug?.end();
    this.core = endedCore;
    this.releaseExtent?.();
    this.#sites.forEach((site) => returnSite(site!));
  }

  /** The call site of the pools that zero their elements, or of the others. */
  siteOf(zero: boolean): number {
    return (this.#sites[zero ? 1 : 0] ??= takeSite());
  }

  refuseEnded(): void {
    if (this.hasEnded) throwEnded();
  }

  /** The heap may have got memory back: once this job is done, all waiters of this thread try again. */
  scheduleRetry(): void {
    if (this.queues.size === 0 || this.#isRetryScheduled) return;
    this.#isRetryScheduled = true;
    void Promise.resolve().then(() => {
      this.#isRetryScheduled = false;
      this.#eachQueue((queue, isFirst) => queue.retry(isFirst));
    });
  }

  /**
   * Learns whether a waiter of a queue waits. While one does, the queues tick, and calls on all the heap's pools in this thread
   * take the slow path, which serves them.
   */
  updateQueue(queue: QueueMember, waits: boolean): void {
    const { queues } = this;
    const { size } = queues;
    if (waits) queues.add(queue);
    else queues.delete(queue);
    const { ms } = queue;
    // On a shared heap other threads can serve the waiters: the timer keeps the process alive for that.
    if (queues.size === 0) this.#ticker.stop();
    else this.#ticker.start(ms, this.isShared, () => this.#eachQueue((each, isFirst) => each.tick(ms, isFirst)));
    if ((size === 0) !== (queues.size === 0)) for (const pool of this.pools) pool.updateFastHandle();
  }

  /** Queues may come and go meanwhile. */
  #eachQueue(call: (queue: QueueMember, isFirst: boolean) => void): void {
    [...this.queues].forEach((queue, i) => call(queue, i === 0));
  }

  /** An array of at least `count` words for the caller until it returns: the same again and again unless it is large. */
  spareWords(count: number): Uint32Array {
    if (count > MOST_SPARE) return new Uint32Array(count);
    if (this.#spare.length < count) this.#spare = new Uint32Array(count);
    return this.#spare;
  }

  /** These words for a prefill, to keep until it gives them back; new ones cost more than the elements. */
  takeWords(count: number): Uint32Array {
    const words = this.#spare;
    if (words.length !== count) return new Uint32Array(count);
    this.#spare = noWords;
    return words;
  }

  keepWords(words: Uint32Array): void {
    if (words.length <= MOST_SPARE) this.#spare = words;
  }

  /**
   * The statistics of this heap, or of a pool or arena in it, by index.
   *
   * @throws the errors of {@link Inspection.exports}; `ERR_CLOSED`.
   */
  statistics(kind: "heap_stats" | "mempool_stats" | "arena_stats", address: number): (index: number) => number {
    // Read from the core, so that a heap that has ended throws.
    const at = this.core.heap_scratch() >>> 0;
    this.inspection.exports("stats")[kind](address, at);
    const { f64 } = this.views.refresh();
    return (index) => f64[(at >>> 3) + index]!;
  }

  /** How much memory the heap has, for messages. */
  describeMemory(): string {
    try {
      const n = this.statistics("heap_stats", this.address);
      const [bytes, maximum, largestFree] = [n(0) * PAGE, n(1) * PAGE, n(3) * PAGE];
      return `the heap has ${bytes} of at most ${maximum} bytes, ${largestFree} of them free in one piece`;
    } catch {
      // There is no inspector.
      return `the heap may have ${this.maximum} bytes`;
    }
  }
}
