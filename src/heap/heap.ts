/** Heaps, as users see them: each method is a line or two over the file that does the work. */
import { PAGE, type Core } from "../core/abi.ts";
import { HeapContext } from "../core/context.ts";
import { Feature } from "../core/feature.ts";
import { define, inspect, uncloneable } from "../core/objects.ts";
import type { Ends, WasmMemory } from "../core/types.ts";
import { integer, invalid } from "../core/validate.ts";
import type { Views } from "../core/views.ts";
import { planPool } from "../pool/create.ts";
import type { PoolOptions, SizedByData } from "../pool/options.ts";
import type { Pool } from "../pool/pool.ts";
import type { StructType } from "../struct/index.ts";
import { endHeap } from "./end.ts";
import type { check, tableOf, TableOptions } from "./report.ts";
import { statsOf, type HeapStats } from "./stats.ts";

/** The checker's words, and the table. */
export const reports: Feature<{ readonly check: typeof check; readonly tableOf: typeof tableOf }> =
  /* @__PURE__ */ new Feature("wasm-mempool/inspect");

const opaque: object = /* @__PURE__ */ uncloneable("Heap: it stays in its thread; see createSharedHeap");

// The class has Symbol.dispose, but its type has it only where the program declares that symbol.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Heap extends Ends {}

/**
 * A linear memory and its core, on which pools and arenas live. Made by {@link createHeap}, in a window, a worker or an
 * AudioWorklet; no call waits. A Heap belongs to its thread; see {@link SharedHeap} for one of several threads.
 *
 * Heaps, pools, arenas and prefills have private state: a Proxy around one, as some `observable` libraries make, throws a
 * TypeError at each call, and so does a copy. Vue's `reactive`, and the stores of Svelte and Solid, leave them as they are;
 * other libraries have a call that does (`ref` in Valtio).
 */
export class Heap {
  /** @internal Tools that wrap plain objects, such as Vue's `reactive`, leave an object with a tag of its own alone. */
  get [Symbol.toStringTag](): string {
    return "Heap";
  }
  /** @internal A structured clone reads this field first, and throws. */
  readonly share_and_attach: unknown = opaque;
  /** The memory. Any code may grow it. */
  declare readonly memory: WasmMemory;
  /** Typed views of the memory, for struct cursors and for hot loops: see {@link Views}. */
  declare readonly views: Views;
  /** @internal */
  declare readonly address: number;
  /** @internal */
  declare readonly context: HeapContext;

  /** @internal */
  constructor(context: HeapContext) {
    if (!(context instanceof HeapContext)) invalid("new Heap: heaps are made by createHeap(), or by attach()");
    const { memory, views, address } = context;
    context.front = this;
    // Not enumerable: code that compares or prints a heap would walk all memory.
    define(this, { memory, views, address, context });
  }

  /** @internal The core's exports, for tests and tools. */
  get core(): Core {
    return this.context.core;
  }

  /** As {@link create}, on this heap. */
  create<S extends StructType, Data = unknown>(options: PoolOptions<S, Data>): Pool<S>;
  create<Data>(options: SizedByData<Data>): Pool<unknown, Data>;
  create(options: PoolOptions<() => number>): Pool<unknown, void>;
  create<Data = unknown>(options: PoolOptions<number, Data>): Pool;
  create(options: PoolOptions): Pool {
    return planPool(options)(this.context);
  }

  /**
   * Ends the heap, whatever is in it: its pools and arenas end, waiting calls get ERR_CLOSED, and so does every later call on
   * the heap, its pools and arenas, but another `exit`. Its elements are gone; the memory, or the region of it, is the
   * caller's again, for another heap too. O(pools).
   *
   * A heap in a memory of its own need not be ended: the host collects it.
   *
   * @throws the error of a backend of your own, once the heap has ended.
   * @example
   * using heap = createHeap({ memory, region }); // ends with the block
   */
  exit(): void {
    endHeap(this.context);
  }

  /** @internal The same as `exit`. */
  [Symbol.dispose](): void {
    this.exit();
  }

  /**
   * Statistics. O(memory).
   *
   * @throws `ERR_NOT_IMPORTED` without `import "wasm-mempool/inspect"`, unless {@link HeapOptions.inspector} was given, or the
   * heap is a debug heap; `ERR_NO_WASM` where the host does not compile the inspector; `ERR_CLOSED`.
   */
  stats(): HeapStats {
    return statsOf(this.context);
  }

  /** @internal */
  toJSON(): object {
    return this[inspect]();
  }

  /** @internal */
  [inspect](): object {
    try {
      return this.stats();
    } catch {
      // The heap has ended, or there is no inspector.
      return {};
    }
  }

  /**
   * The inconsistencies in the heap's structures, at most 64 lines; none in a sound heap. Of a debug heap, also the damage that
   * was found until now. O(memory).
   *
   * @throws the errors of `stats`; `ERR_NOT_IMPORTED` without the import, but of a debug heap, in any case.
   */
  check(): string[] {
    this.context.refuseEnded();
    const found = reports.get("check").check(this.context);
    const { debug } = this.context;
    return debug ? found.concat(debug.check()) : found;
  }

  /**
   * A table for people of this thread's pools, what each has and how it fared, at most 80 columns wide; with `all`, every
   * figure at full width. See {@link PoolStats}.
   *
   * @throws the errors of `check`.
   */
  table(options?: TableOptions): string {
    this.context.refuseEnded();
    return reports.get("table").tableOf(this.context, options);
  }

  /**
   * Gives unused memory of pools and arenas back to the page layer; returns the bytes. O(pools).
   *
   * @throws `ERR_CLOSED`.
   */
  trim(): number {
    const bytes = this.core.heap_trim() >>> 0;
    this.context.scheduleRetry();
    return bytes;
  }

  /**
   * Registers a callback that frees elements, of any pool, when an allocation in this thread finds neither memory nor a
   * reserve: the allocation is tried once more, before it fails or waits. No shrinker is called while one runs; one that is
   * registered meanwhile is called from the next time on. An error of a shrinker is not the allocation's, and is reported
   * like that of an event listener. Returns a function that removes the shrinker.
   *
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`.
   */
  registerShrinker(shrinker: () => void): () => void {
    this.context.refuseEnded();
    return this.context.shrinkers.register("registerShrinker", shrinker);
  }

  /**
   * Calls `listener` when fewer than `below` bytes are left, free or still to be had from the host: once, and again when more
   * were left in between. A maximum of the memory's own, below the heap's, is known from the first growth that the host
   * refuses. The call comes some 20 ms later and never inside another call; in an AudioWorklet, which has no timers, never.
   * An error of the listener is reported like that of an event listener. Returns a function that stops this. Ends with the
   * heap, or when this thread leaves it, and keeps neither the heap nor the process alive.
   *
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`.
   */
  onLowMemory(below: number, listener: (left: number) => void): () => void {
    integer("onLowMemory", "below", below, 1, 2 ** 32);
    const { context } = this;
    context.refuseEnded();
    const read = () => (context.hasEnded ? undefined : (context.core.heap_left() >>> 0) * PAGE);
    return context.watermarks.add("onLowMemory", below, read, listener);
  }

  /** The whole memory as bytes; the views below as other numbers. Renewed when the memory has grown. */
  get u8(): Uint8Array {
    return this.#fresh().u8;
  }
  get i8(): Int8Array {
    return this.#fresh().i8;
  }
  get u16(): Uint16Array {
    return this.#fresh().u16;
  }
  get i16(): Int16Array {
    return this.#fresh().i16;
  }
  get u32(): Uint32Array {
    return this.#fresh().u32;
  }
  get i32(): Int32Array {
    return this.#fresh().i32;
  }
  get f32(): Float32Array {
    return this.#fresh().f32;
  }
  get f64(): Float64Array {
    return this.#fresh().f64;
  }
  get u64(): BigUint64Array {
    return this.#fresh().u64;
  }
  get i64(): BigInt64Array {
    return this.#fresh().i64;
  }

  #fresh(): Views {
    const { views } = this;
    // A plain memory's old views are detached; a shared memory's only become too short, which no length of theirs tells.
    return views.u8.length === 0 || this.context.sharing ? views.refresh() : views;
  }
}
