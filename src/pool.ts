/// <reference lib="esnext.disposable" preserve="true" />
/** Pools: the front of assembly/mempool.ts. Every element and every count is the core's; here are checks and words. */
import { MempoolError, type ErrorCode } from "./errors.ts";
import { faultWords, setFaults, type FaultOptions } from "./faults.ts";
import type { Heap } from "./heap.ts";
import { despite, Host, type HostBackend } from "./host.ts";
import {
  boolean,
  checkOptions,
  hex,
  inspect,
  integer,
  invalid,
  milliseconds,
  nameOf,
  powerOfTwo,
  show,
} from "./options.ts";
import type { StructType } from "./struct.ts";
import type { SharedPool } from "./threads.ts";
import { Ticket } from "./ticket.ts";
import { every, Line, NO_WAITS, SharedLine, stir, type BulkWaitOptions, type WaitOptions } from "./waiting.ts";
import { watermark } from "./watermark.ts";
import { CLOSED, DOUBLE, FOREIGN, INTERIOR, INVALID, LAST, MISALIGNED, NOT_NOW, NO_MEMORY, type Core } from "./wasm.ts";

/** The largest element, in bytes. */
export const MAX_SIZE: number = 2 ** 24;
/** The strictest alignment, in bytes. */
export const MAX_ALIGN = 4096;
/** The largest reserve, in elements. */
export const MAX_MIN_NR: number = 2 ** 28;
/** What maxNr is when it is not given: no cap but the heap's memory. */
const UNLIMITED = 2 ** 32 - 1;

/** What {@link create} takes. */
export interface PoolOptions<Data = unknown> {
  /**
   * Bytes in an element: a number from 1 to 16 MiB, a struct, or a callback that is asked once, with `data`, as raid1
   * sizes its elements: `(data) => R1Bio.offsetof("bios", data.raidDisks * 2)`. A struct itself has no room for entries of
   * a flexible array: those take a callback.
   */
  readonly size: number | StructType | ((data: Data) => number);
  /** What the `size` callback gets. */
  readonly data?: Data;
  /**
   * Elements set aside in advance, from 0, for when nothing else is left: alloc uses them last. The pool's guarantee:
   * reserve + handed out >= minNr, at any time. With maxNr the same, the pool is exactly these elements.
   */
  readonly minNr: number;
  /**
   * At most this many elements in reserve and handed out together. Default: no cap but the heap's memory. After `reshape`
   * of those of the new size: those of the old one that are still out come on top.
   */
  readonly maxNr?: number;
  /**
   * A power of two up to 4096. Default: a struct's own; 8 for a callback's size; for a number the largest power of two
   * that divides it, up to 16.
   */
  readonly align?: number;
  /** Zero each element as it is handed out. Default: its contents are whatever was left there. */
  readonly zero?: boolean;
  /**
   * Where elements come from. "slab", the default: slabs, of which empty ones go back to the heap. "pages": elements of
   * whole pages of 4 KiB at such addresses, which no thread caches. "bump": one after the other, and all the memory goes
   * back at once when the pool has ended. Or the host's own: elements are whatever numbers it gives; without `zero`,
   * `align` and `reshape`.
   */
  readonly backend?: "slab" | "pages" | "bump" | HostBackend<Data>;
  /** The heap to live on. Default: one heap for everybody, made at first use. */
  readonly heap?: Heap;
  /** For messages and statistics. */
  readonly name?: string;
}

/** What {@link Pool.stats} gives. Numbers of elements, unless it says otherwise. */
export interface PoolStats {
  readonly name: string;
  /** Bytes asked for, and the alignment. */
  readonly elementSize: number;
  readonly align: number;
  readonly minNr: number;
  /** Infinity if there is no cap. */
  readonly maxNr: number;
  /** In the reserve now, and the fewest there ever were. */
  readonly currNr: number;
  readonly lowestCurrNr: number;
  /** Handed out and not yet freed. */
  readonly outstanding: number;
  /** The most there ever were; taken down whenever a magazine is filled, so it may be too low by a batch of 32. */
  readonly peakOutstanding: number;
  /** Sizes of which there are elements: more than 1 after `reshape`, until the last of the old size is home. */
  readonly epochs: number;
  /** Free, in the magazine of the thread's cache. */
  readonly cached: number;
  /** Calls that got an element, and elements freed. */
  readonly allocs: number;
  readonly frees: number;
  /** Of `allocs`: served by cache and slabs; only the reserve saved them; they asked for the reserve. */
  readonly slabHits: number;
  readonly reserveHits: number;
  readonly preallocated: number;
  /** Calls that got 0, or false. */
  readonly failures: number;
  /** Allocations that made free what nobody was using, because nothing else was left. */
  readonly reclaims: number;
  /** Calls in this thread that have waited; those of them that ended with ERR_TIMEOUT, and with ERR_ABORTED. */
  readonly waits: number;
  readonly timeouts: number;
  readonly aborts: number;
  /** How long they waited: entry i counts those of 2^i to 2^(i+1) microseconds, entry 0 also shorter ones. */
  readonly waitTimes: readonly number[];
  readonly slabs: number;
  /** Bytes of memory in the slabs. */
  readonly slabBytes: number;
}

/** What a pool needs of its heap, besides what everybody sees. */
export interface HeapCore {
  readonly heap: Heap;
  /** Once this thread has left the heap, one that throws. */
  core: Core;
  /** The address of this thread's scratch words, through which arrays pass. It never moves. */
  readonly scratch: number;
  /** Whether other threads may be there: then the core keeps who waits. */
  readonly shared: boolean;
  /** This thread's pools that have not ended, and the lines in which somebody waits. */
  readonly pools: Set<Pool>;
  readonly lines: Set<Line>;
  /** Whether those lines are about to be served. */
  stirred: boolean;
  /** Asks whoever can give memory back to do so; false if there is nobody to ask. */
  shrink(): boolean;
}

/** Words in the scratch area. */
export const SCRATCH_WORDS = 256;

const errors: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  [FOREIGN]: ["ERR_FOREIGN_FREE", "is in another pool's memory"],
  [DOUBLE]: ["ERR_DOUBLE_FREE", "is free already"],
  [INTERIOR]: ["ERR_INTERIOR_FREE", "is inside an element, not at its start"],
  [MISALIGNED]: ["ERR_MISALIGNED_FREE", "is no multiple of the pool's alignment"],
  [INVALID]: ["ERR_INVALID_ADDRESS", "was never handed out by a pool"],
  [CLOSED]: ["ERR_CLOSED", "is not an element still out, and the pool is closed"],
};
/** As assembly/layout.ts numbers them. */
const backends: readonly unknown[] = ["slab", "pages", "bump"];
const HOST = 3;
/** Bytes of a cell, which keeps an element of the host's. */
const CELL = 4;
const PAGE = 4096;
/** Milliseconds between two looks whether another thread has brought a closed pool's last element home. */
const END = 50;

let made = 0;

function sizeOf(call: string, size: unknown, data: unknown): { size: number; align: number } {
  if (typeof size === "function") {
    let answer: unknown;
    try {
      answer = size(data);
    } catch (cause) {
      invalid(`${call}: size, a callback, threw ${cause instanceof Error ? cause.message : show(cause)}`, cause);
    }
    return { size: integer(call, "size, as its callback gave it,", answer, 1, MAX_SIZE), align: 8 };
  }
  if (typeof size === "object" && size !== null && "sizeof" in size && "alignof" in size) {
    const align = powerOfTwo(call, "the alignment of size, a struct,", size.alignof, MAX_ALIGN);
    return { size: integer(call, "size, a struct of so many bytes,", size.sizeof, 1, MAX_SIZE), align };
  }
  if (typeof size !== "number") {
    invalid(`${call}: size must be a number of bytes, a struct or a callback, got ${show(size)}`);
  }
  const bytes = integer(call, "size", size, 1, MAX_SIZE);
  return { size: bytes, align: Math.min(16, bytes & -bytes) };
}

function backendOf(call: string, options: { readonly backend?: unknown }): { kind: number; host?: HostBackend } {
  const { backend = "slab" } = options;
  const kind = backends.indexOf(backend);
  if (kind >= 0) return { kind };
  if (typeof backend !== "object" || backend === null) {
    invalid(`${call}: backend must be "slab", "pages", "bump" or { alloc, free }, got ${show(backend)}`);
  }
  const host = backend as HostBackend;
  for (const key of ["alloc", "free"] as const) {
    if (typeof host[key] !== "function") {
      invalid(`${call}: backend.${key} must be a function, got ${show(host[key])}`);
    }
  }
  return { kind: HOST, host };
}

/** @internal Checks everything, then asks for the heap's core, and only then allocates. */
export function createPool(coreOf: () => HeapCore, options: PoolOptions, more: readonly "heap"[] = []): Pool {
  const call = "create";
  if (options === undefined) invalid(`${call}: options must be an object, got undefined`);
  checkOptions(call, options, ["size", "data", "minNr", "maxNr", "align", "zero", "backend", "name", ...more]);
  const name = nameOf(call, options.name, `pool-${made + 1}`);
  const minNr = integer(call, "minNr", options.minNr, 0, MAX_MIN_NR);
  const { maxNr = Infinity, zero = false, align, size, data } = options;
  if (maxNr !== Infinity) {
    integer(call, "maxNr", maxNr, 1, UNLIMITED);
    if (minNr > maxNr) invalid(`${call}: minNr (${minNr}) must not be above maxNr (${maxNr})`);
  }
  boolean(call, "zero", zero);
  if (align !== undefined) powerOfTwo(call, "align", align, MAX_ALIGN);
  const { kind, host } = backendOf(call, options);
  if (host) {
    if (zero) invalid(`${call}: zero (true) says nothing about elements of the host's own`);
    if (align !== undefined) invalid(`${call}: align (${align}) says nothing about elements of the host's own`);
  }
  const layout = sizeOf(call, size, data);
  const within = coreOf();
  const { core } = within;
  const spec: PoolSpec = {
    name,
    elementSize: layout.size,
    align: alignOf(kind, align ?? layout.align),
    minNr,
    maxNr,
    zero,
    hosted: kind === HOST,
  };
  const bytes = kind === HOST ? CELL : spec.elementSize;
  const handle = core.mempool_create(bytes, spec.align, minNr, Math.min(maxNr, UNLIMITED), kind) >>> 0;
  if (handle === 0) throw noMemory(call, within, name, minNr, spec.elementSize);
  made++;
  const pool = new Pool(within, handle, spec, { host, size, data, align, kind });
  if (host) pool.fillFirst(call);
  return pool;
}

const alignOf = (kind: number, align: number): number =>
  kind === HOST ? CELL : backends[kind] === "pages" ? PAGE : align;

function noMemory(call: string, within: HeapCore, name: string, minNr: number, size: number): MempoolError {
  const { bytes, maximum, largestFree } = within.heap.stats();
  return new MempoolError(
    "ERR_NO_MEMORY",
    `${call}: no memory for pool "${name}" with minNr ${minNr} elements of ${size} bytes; ` +
      `the heap has ${bytes} of at most ${maximum} bytes, ${largestFree} of them free in one piece`,
  );
}

/** What {@link attach} takes for a pool, besides what `share` gave: functions cannot be posted. */
export interface AttachOptions<Data = unknown> {
  /** For a pool with a backend of the host's own: this thread's. */
  readonly backend?: HostBackend<Data>;
  /** For `reshape` in this thread: the callback that sizes elements. */
  readonly size?: (data: Data) => number;
  readonly data?: Data;
}

/** What a thread's Pool has been told, and others' have not. */
interface Own {
  readonly host?: HostBackend | undefined;
  readonly size?: PoolOptions["size"] | undefined;
  readonly data?: unknown;
  readonly align?: number | undefined;
  readonly kind: number;
}

type PoolSpec = Omit<SharedPool, "heap" | "address">;

/** @internal */
export function attachPool(call: string, within: HeapCore, shared: SharedPool, options: AttachOptions = {}): Pool {
  const { address, name, elementSize, align, minNr, maxNr, zero, hosted } = shared;
  integer(call, "shared.address", address, 1, UNLIMITED);
  nameOf(call, name, "");
  integer(call, "shared.elementSize", elementSize, 1, MAX_SIZE);
  powerOfTwo(call, "shared.align", align, MAX_ALIGN);
  integer(call, "shared.minNr", minNr, 0, MAX_MIN_NR);
  if (maxNr !== Infinity) integer(call, "shared.maxNr", maxNr, 1, UNLIMITED);
  boolean(call, "shared.zero", zero);
  boolean(call, "shared.hosted", hosted);
  const { size, data, backend } = checkOptions(call, options, ["size", "data", "backend"]);
  if (size !== undefined && typeof size !== "function") {
    invalid(`${call}: size must be a callback, got ${show(size)}`);
  }
  const { host, kind } = backendOf(call, options);
  const known = [...within.pools].find((pool) => pool.address === address);
  if (!known && hosted !== (host !== undefined)) {
    invalid(`${call}: pool "${name}" ${hosted ? "needs a" : "has no"} backend of the host's own, got ${show(backend)}`);
  }
  const handle = known ? known.handle : within.core.mempool_attach(address) >>> 0;
  if (handle === 0 || known?.look()) throw new MempoolError("ERR_CLOSED", `${call}: pool "${name}" is closed`);
  return known ?? new Pool(within, handle, shared, { host, size, data, kind });
}

/**
 * A pool of elements of one size, `minNr` of them set aside in advance. Made by {@link create}.
 *
 * An element is an address: a number, the byte offset of the element in the heap's memory. No call here but
 * `stats`, what reads one figure of it, and `exit` makes a JavaScript object.
 *
 * Every call may be made wherever the heap is, window, worker or AudioWorklet, and none waits but `allocWait` and
 * `allocBulkWait`, which block the thread: not in a window, and not in an AudioWorklet. A Pool object belongs to its
 * thread; another gets its own by {@link attach}, of the same elements.
 */
export class Pool implements Disposable {
  /** The heap it lives on. */
  readonly heap: Heap;
  /** For messages and statistics. */
  readonly name: string;
  /** The cap on elements in reserve and handed out together; Infinity if there is none. */
  readonly maxNr: number;
  /**
   * Resolves when the pool has been closed and the last of its elements is home. What other threads did, a thread learns
   * soon if it called `exit` itself, else with its next call. Resolves also when this thread leaves the heap.
   */
  readonly closed: Promise<void>;

  readonly #within: HeapCore;
  readonly #zero: boolean;
  readonly #host: Host | undefined;
  readonly #own: Own;
  /** Of the elements handed out last, as far as this thread knows: the core is asked. */
  #spec: PoolSpec;
  /** @internal By what the core knows the pool, in this thread. */
  readonly handle: number;
  /** The same; 0, and every call takes the slow way, when the pool has ended, and while anybody waits on this heap. */
  #live: number;
  // The calls of the hit path, kept as fields so that each is one load away, and called where only it is called.
  readonly #alloc: (pool: number) => number;
  readonly #zalloc: (pool: number) => number;
  readonly #free: (pool: number, element: number) => number;
  /** Open; closed with elements still out; or ended: then the core knows nothing of this pool any more. */
  #state: "open" | "closed" | "ended" = "open";
  #resolveClosed!: () => void;
  /** The statistics at the end. */
  #last: PoolStats | undefined;
  /** Who waits; made for the first who does. */
  #line: Line | undefined;
  /** Bulk requests that never got as far as the core; less those that were tried twice. */
  #refusals = 0;
  /** The fewest in reserve since each who watches has looked. */
  readonly #lows = new Set<{ low: number }>();

  /** @internal */
  constructor(within: HeapCore, handle: number, spec: PoolSpec, own: Own) {
    this.#within = within;
    this.#spec = spec;
    this.#own = own;
    this.handle = handle;
    this.#zero = spec.zero;
    this.#alloc = within.core.mempool_alloc;
    this.#zalloc = within.core.mempool_zalloc;
    this.#free = within.core.mempool_free;
    this.heap = within.heap;
    this.name = spec.name;
    this.maxNr = spec.maxNr;
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    within.pools.add(this);
    this.#host = own.host && new Host(own.host, own.data, this, within);
    this.#live = within.lines.size > 0 || this.#host ? 0 : handle;
  }

  /** @internal The reserve of a new pool with a backend of the host's own. */
  fillFirst(call: string): void {
    let done = false;
    try {
      done = this.#host!.fill();
    } finally {
      if (!done) this.exit();
    }
    if (!done) throw noMemory(call, this.#within, this.name, this.#spec.minNr, this.elementSize);
  }

  /**
   * An element's address; 0 when backend and reserve are both empty. Takes from the cache and the slabs, which may grow
   * the memory; then from the reserve; then reclaims what other pools and arenas keep but do not use, and tries again.
   *
   * Throws ERR_CLOSED after `exit`, and nothing else. Never waits. O(1), but for reclaim, which looks at every pool.
   */
  alloc(): number {
    const pool = this.#live;
    const address = pool === 0 ? 0 : (this.#zero ? this.#zalloc(pool) : this.#alloc(pool)) >>> 0;
    return address === 0 ? this.#allocSlow("alloc") : address;
  }

  /**
   * As `alloc`; but if there is no element, blocks this thread until it is handed one, for `timeoutMs` milliseconds at
   * most. First come, first served, over all threads and all forms of waiting.
   *
   * Throws ERR_TIMEOUT, ERR_CLOSED also when the pool is closed meanwhile, ERR_INVALID_ARGUMENT; ERR_WOULD_BLOCK if it would
   * have to wait in a window or an AudioWorklet, which must not be blocked, or on a heap that is not shared: nobody could
   * free one.
   */
  allocWait(timeoutMs = Infinity): number {
    const call = "allocWait";
    milliseconds(call, "timeoutMs", timeoutMs);
    const address = this.#allocNow(call);
    return address === 0 ? this.#lineUp().block(call, 1, timeoutMs)[0]! : address;
  }

  /**
   * As `alloc`; but if there is no element, a promise of the next one that this caller is handed. First come, first
   * served, over all threads and all forms of waiting; `alloc` gives nothing while somebody waits. On a shared heap, more
   * than some 15 who wait in one thread get in line as those before them are served, and waiting keeps a Node process
   * alive.
   *
   * Rejects with ERR_TIMEOUT; ERR_ABORTED, whose cause is the signal's reason; ERR_CLOSED also when the pool is closed
   * meanwhile; ERR_INVALID_ARGUMENT; ERR_WOULD_BLOCK for a timeout where there are no timers.
   */
  async allocAsync(options?: WaitOptions): Promise<number> {
    const call = "allocAsync";
    const { timeout, signal } = waitOptions(call, options);
    const address = this.#allocNow(call);
    return address === 0 ? (await this.#lineUp().wait(call, 1, timeout, signal))[0]! : address;
  }

  /**
   * An element of the reserve, never of the backend; 0 when the reserve is empty. Throws ERR_CLOSED after `exit`. O(1).
   */
  allocPreallocated(): number {
    this.#refuseClosed("allocPreallocated");
    const address = this.handed(this.#within.core.mempool_alloc_preallocated(this.handle) >>> 0);
    if (address === 0) this.#refuseClosed("allocPreallocated", this.look());
    return address;
  }

  /**
   * Takes an element back: into the reserve while that is short, else into the cache. `free(0)` does nothing.
   *
   * Throws ERR_FOREIGN_FREE, ERR_DOUBLE_FREE, ERR_INTERIOR_FREE, ERR_MISALIGNED_FREE, ERR_INVALID_ADDRESS, or after
   * `exit`, for anything but an element still out, ERR_CLOSED; and then nothing has changed. Never waits. O(1).
   */
  free(address: number): void {
    const pool = this.#live;
    // Only a uint32 may reach the core, which takes any other number modulo 2^32.
    if (typeof address !== "number" || address >>> 0 !== address || pool === 0) this.#freeSlow(address);
    else {
      // As an i32, for which no engine needs an object, also above 2 GiB.
      const result = this.#free(pool, address | 0);
      if (result !== 0) this.#freeEnded(result, address);
    }
  }

  /**
   * Fills `out[0..count)` with elements: all, or none and returns false, and then `out` is unchanged. Throws ERR_CLOSED
   * after `exit`, ERR_INVALID_ARGUMENT. O(count).
   */
  allocBulk(out: Uint32Array, count: number = length("allocBulk", "out", out)): boolean {
    integer("allocBulk", "count", count, 0, length("allocBulk", "out", out));
    return this.#bulkNow("allocBulk", out, count);
  }

  /**
   * As `allocBulk`; but if there are not enough, blocks this thread until it has been handed all of them, as `allocWait`
   * does, and throws what that does. First in line it collects elements as they come home; if none has come for 100 ms
   * while others wait behind it, it gives back what it has and goes to the end of the line.
   *
   * Throws ERR_INVALID_ARGUMENT also for a count that maxNr, or the heap's maximum, would never allow.
   */
  allocBulkWait(out: Uint32Array, count: number = length("allocBulkWait", "out", out), timeoutMs = Infinity): void {
    const call = "allocBulkWait";
    this.#checkBulk(call, out, count);
    milliseconds(call, "timeoutMs", timeoutMs);
    const place = placeOf(out, count, this.heap);
    if (!this.#bulkNow(call, out, count)) this.#deliver(call, place, this.#lineUp().block(call, count, timeoutMs));
  }

  /** As `allocBulkWait`, but without blocking: a promise, as that of `allocAsync`. `out` is written at the end. */
  async allocBulkAsync(out: Uint32Array, options?: BulkWaitOptions): Promise<void> {
    const call = "allocBulkAsync";
    const { timeout, signal, count = length(call, "out", out) } = waitOptions(call, options, ["count"]);
    this.#checkBulk(call, out, count);
    const place = placeOf(out, count, this.heap);
    if (this.#bulkNow(call, out, count)) return;
    this.#deliver(call, place, await this.#lineUp().wait(call, count, timeout, signal));
  }

  /**
   * Takes back `addresses[0..count)`, all or none: if one may not be freed, or is there twice, nothing is, and the error
   * `free` would throw names it and its index. Zeros are skipped. O(count).
   */
  freeBulk(addresses: Uint32Array, count: number = length("freeBulk", "addresses", addresses)): void {
    integer("freeBulk", "count", count, 0, length("freeBulk", "addresses", addresses));
    if (this.#host) return this.#freeCells(addresses, count);
    if (this.#state === "ended") {
      for (let i = 0; i < count; i++) this.#freeFailed(CLOSED, addresses[i], ` (at index ${i})`);
      return;
    }
    const { core, scratch } = this.#within;
    // Mark all of them first, so that an element named twice is seen wherever it stands.
    for (let from = 0; from < count; from += SCRATCH_WORDS) {
      const n = this.#pass(addresses, from, count);
      const good = core.mempool_mark(this.handle, scratch, n, 1);
      if (good === n) continue;
      for (let i = 0; i < from; i += SCRATCH_WORDS) {
        core.mempool_mark(this.handle, scratch, this.#pass(addresses, i, count), 0);
      }
      const address = addresses[from + good]!;
      const code = core.mempool_free_check(this.handle, address) || DOUBLE;
      this.#freeFailed(code, address, ` (at index ${from + good})`);
    }
    // What is marked may be freed. In one piece they are where they have been marked.
    for (let from = 0; from < count; from += SCRATCH_WORDS) {
      const n = count <= SCRATCH_WORDS ? count : this.#pass(addresses, from, count);
      if (core.mempool_free_bulk(this.handle, scratch, n) === LAST) this.#end();
    }
    if (this.#within.lines.size > 0) this.#freed(count);
  }

  /**
   * Closes the pool, at any time: new allocations are refused, the reserve goes back to the heap, and elements still out
   * stay valid until they are freed. When the last one is, `closed` resolves; at once if none is out. Who waits gets
   * ERR_CLOSED. For all threads. Again: no effect.
   */
  exit(): void {
    if (this.#state !== "open") return;
    this.#shut();
    try {
      if (this.#within.core.mempool_exit(this.handle) === 0) this.#end();
      else this.#host?.drain();
    } finally {
      if (!this.isEnded) this.#awaitEnd();
      stir(this.#within);
    }
  }

  /** The same as `exit`: `using pool = create(...)`. */
  [Symbol.dispose](): void {
    this.exit();
  }

  /**
   * Sets how many elements are set aside, also to 0. What is above that goes back; what is missing is taken from the
   * backend, and who waits is served. False if memory is short: then `minNr` is what was asked for, and later frees fill
   * it. Allocations and frees go on meanwhile, in all threads. O(change).
   *
   * Throws ERR_INVALID_ARGUMENT, ERR_CLOSED; ERR_NO_MEMORY if there is none even to keep so many; ERR_WOULD_BLOCK while
   * another thread resizes or reshapes the pool; and then nothing has changed.
   */
  resize(minNr: number): boolean {
    const call = "resize";
    integer(call, "minNr", minNr, 0, MAX_MIN_NR);
    if (minNr > this.maxNr) invalid(`${call}: minNr (${minNr}) must not be above maxNr (${this.maxNr})`);
    this.#refuseClosed(call, this.look());
    let isFull = this.#changed(call, this.#within.core.mempool_resize(this.handle, minNr), minNr, this.elementSize);
    this.#spec = { ...this.#spec, minNr };
    if (this.#host) {
      this.#host.drain();
      isFull = this.#host.fill();
      this.#refuseClosed(call, this.look());
    }
    if (this.#within.lines.size > 0) this.#freed(Infinity);
    return isFull;
  }

  /**
   * Asks the `size` callback again, with this data: from here on elements have that size, and there is a new reserve of
   * them. Elements of the old size that are out stay as they are, are freed as ever, and their memory goes back by itself;
   * `sizeOf` tells which is which. In all threads: an allocation there that began before may still get the old size. With
   * the same size again nothing changes. O(minNr).
   *
   * Throws ERR_INVALID_ARGUMENT, also where the pool was made without a callback; ERR_NO_MEMORY; ERR_CLOSED; ERR_WOULD_BLOCK
   * while another thread resizes or reshapes the pool; and then nothing has changed.
   */
  reshape(data: unknown): void {
    const call = "reshape";
    const { size, align, kind } = this.#own;
    if (typeof size !== "function") {
      invalid(`${call}: pool "${this.name}" has no size callback to ask, in this thread, about data ${show(data)}`);
    }
    if (this.#host) invalid(`${call}: pool "${this.name}" has a backend of the host's own: its elements have no size`);
    this.#refuseClosed(call, this.look());
    const layout = sizeOf(call, size, data);
    // The callback may have done anything.
    this.#refuseClosed(call, this.look());
    if (layout.size === this.elementSize) return;
    const to = alignOf(kind, align ?? this.align);
    this.#changed(call, this.#within.core.mempool_reshape(this.handle, layout.size, to), this.minNr, layout.size);
    this.#spec = { ...this.#spec, elementSize: layout.size };
    if (this.#within.lines.size > 0) this.#freed(Infinity);
  }

  /** Bytes in this element, which is out: what `elementSize` was when it was handed out. Throws as `free` does. O(1). */
  sizeOf(address: number): number {
    const isAddress = typeof address === "number" && address >>> 0 === address && address !== 0;
    const { core } = this.#within;
    let code = INVALID;
    if (isAddress && !this.isEnded) {
      code = this.#host ? this.#host.verdict(address) : core.mempool_free_check(this.handle, address);
    }
    if (code !== 0) this.#freeFailed(code, address, "", "sizeOf");
    return this.#host ? this.elementSize : core.mempool_size(this.handle, address);
  }

  /**
   * So many elements at once, for who cannot go on with fewer: all, or undefined. See {@link Ticket}. Throws
   * ERR_INVALID_ARGUMENT also for more than maxNr, or the heap, would ever allow; ERR_CLOSED. O(count).
   */
  ticket(count: number): Ticket | undefined {
    const elements = this.#forTicket("ticket", count);
    return this.#bulkNow("ticket", elements, count) ? new Ticket(this, elements) : undefined;
  }

  /** As `ticket`; but blocks this thread until all are there, as `allocBulkWait` does, and throws what that does. */
  ticketWait(count: number, timeoutMs = Infinity): Ticket {
    const elements = this.#forTicket("ticketWait", count);
    this.allocBulkWait(elements, count, timeoutMs);
    return new Ticket(this, elements);
  }

  /** As `ticketWait`, but without blocking: a promise, as that of `allocBulkAsync`. */
  async ticketAsync(count: number, options?: WaitOptions): Promise<Ticket> {
    const elements = this.#forTicket("ticketAsync", count);
    await this.allocBulkAsync(elements, options);
    return new Ticket(this, elements);
  }

  /**
   * For tests: has calls of the backend refused although it could serve them, in all threads, from now on; without options,
   * no more. While set, every alloc is such a call: nothing is cached. The reserve is not the backend: it serves. Returns
   * how many calls were counted since the last time. Throws ERR_INVALID_ARGUMENT, ERR_CLOSED.
   */
  faults(options?: FaultOptions): number {
    const words = faultWords(options, false, 0);
    this.#refuseClosed("faults", this.look());
    const { core } = this.#within;
    const calls = setFaults(this.heap.views.refresh().u32, core.mempool_faults(this.handle) >>> 2, words);
    core.mempool_stir(this.handle);
    if (this.#within.lines.size > 0) this.#freed(Infinity);
    return calls;
  }

  /**
   * Has `call` called when the reserve has fewer than `below` elements, or had for a moment: once, and again when it has
   * been back above. Some 20 ms later, never inside another call; not without timers (AudioWorklet). Returns what stops it.
   * Throws ERR_INVALID_ARGUMENT.
   */
  onLow(below: number, call: (currNr: number) => void): () => void {
    integer("onLow", "below", below, 1, MAX_MIN_NR);
    // Each look begins anew, for all who look.
    const own = { low: Infinity };
    const left = () => {
      if (this.#state !== "open") return Infinity;
      const dip = this.heap.dip(this.handle);
      for (const one of this.#lows) one.low = Math.min(one.low, dip);
      const { low } = own;
      own.low = Infinity;
      return low;
    };
    const stop = watermark("onLow", below, left, call);
    this.#lows.add(own);
    return () => {
      this.#lows.delete(own);
      stop();
    };
  }

  /** Bytes in an element handed out from now on. */
  get elementSize(): number {
    return this.#asks ? this.#within.core.mempool_size(this.handle, 0) : this.#spec.elementSize;
  }

  /** Every element's address is a multiple of this. */
  get align(): number {
    return this.#spec.align;
  }

  /** Elements set aside in advance. */
  get minNr(): number {
    return this.#state === "open" ? this.stats().minNr : this.#spec.minNr;
  }

  /** Elements in the reserve now. */
  get currNr(): number {
    return this.stats().currNr;
  }

  /** Elements handed out and not yet freed. */
  get outstanding(): number {
    return this.stats().outstanding;
  }

  /** Whether the reserve is full. */
  get isSaturated(): boolean {
    return this.currNr >= this.minNr;
  }

  /**
   * The pool for another thread: a plain object to post, and to give to {@link attach} there. Throws ERR_CLOSED, or
   * ERR_INVALID_ARGUMENT if the heap is not shared.
   */
  share(): SharedPool {
    const heap = this.heap.share();
    this.#refuseClosed("share", this.look());
    const { address, name, elementSize, align, minNr, maxNr } = this;
    const { zero, hosted } = this.#spec;
    return { heap, address, name, elementSize, align, minNr, maxNr, zero, hosted };
  }

  /** A look at the pool. After `exit`, the counts go on until the last element is home. */
  stats(): PoolStats {
    const ended = this.#state === "ended";
    const last = this.#last;
    if (ended && last) {
      const none = { currNr: 0, outstanding: 0, cached: 0, slabs: 0, slabBytes: 0, epochs: 0 };
      return { ...last, ...none, ...this.#line?.counts(), frees: last.allocs };
    }
    const n = this.heap.numbers("mempool_stats", this.handle);
    const slabHits = n(4);
    const reserveHits = n(5);
    const preallocated = n(6);
    const allocs = slabHits + reserveHits + preallocated;
    const outstanding = n(1);
    return {
      name: this.name,
      elementSize: this.#host ? this.#spec.elementSize : n(11),
      align: this.align,
      minNr: n(10),
      maxNr: this.maxNr,
      currNr: n(0),
      lowestCurrNr: n(3),
      outstanding,
      peakOutstanding: n(13),
      epochs: n(12),
      cached: n(2),
      allocs,
      frees: allocs - outstanding,
      slabHits,
      reserveHits,
      preallocated,
      failures: n(7) + this.#refusals,
      reclaims: n(14),
      ...(this.#line?.counts() ?? NO_WAITS),
      slabs: n(8),
      slabBytes: n(9),
    };
  }

  /** @internal */
  [inspect](): object {
    return this.stats();
  }

  /** @internal An element, or 0. */
  take(): number {
    return this.#host ? this.#host.take() : this.handed(this.#within.core.mempool_alloc(this.handle) >>> 0);
  }

  /** @internal What the caller gets for what the core has handed out: zeroed if this pool does that; of the host's own. */
  handed(address: number): number {
    if (this.#host) return this.#host.element(address);
    if (this.#zero) this.#within.core.mempool_zero(this.handle, address);
    return address;
  }

  /** @internal The last element of this closed pool has come home. */
  finish(): void {
    this.#end();
  }

  /** @internal Whether its elements are the host's own. */
  get isHosted(): boolean {
    return this.#host !== undefined;
  }

  /** @internal Whether it has: the core knows nothing of this pool any more. */
  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** @internal What an element of the core's is called: where it is, or by the number the host gave; 0 if it gave none. */
  nameOf(address: number): number {
    return this.#host ? this.#host.element(address) : address;
  }

  /** @internal Takes back what has no such number. */
  discard(address: number): void {
    this.#host?.discard(address);
  }

  /** @internal As `take`, for who is in line: it is not theirs what the host's own backend throws. */
  tryTake(): number {
    try {
      return this.take();
    } catch (error) {
      if (this.#host && !this.isEnded) return 0;
      throw error;
    }
  }

  /** @internal Asks a backend of the host's own for an element, for the first in line. */
  feed(): boolean {
    try {
      return this.#host !== undefined && !this.isEnded && this.#host.feed();
    } catch {
      // Nobody has called for it who could be told.
      return false;
    }
  }

  /** @internal Looks whether another thread has closed the pool. */
  learn(): void {
    const { core, shared } = this.#within;
    if (!shared || this.#state !== "open" || core.mempool_free_check(this.handle, 0) !== CLOSED) return;
    this.#shut();
    this.#awaitEnd();
  }

  /** @internal The same, and whether the pool has ended. Nudges all threads if it is closed. Whether it is. */
  look(): boolean {
    this.learn();
    // Again: it gives back what this thread has cached, and says whether that was the last.
    if (this.#within.shared && this.#state === "closed") {
      if (this.#within.core.mempool_exit(this.handle) === 0) this.#end();
      else this.#host?.drain();
    }
    return this.#state !== "open";
  }

  /** @internal Chooses between the quick way and the slow one. */
  refresh(): void {
    this.#live = this.#state === "ended" || this.#within.lines.size > 0 || this.#host ? 0 : this.handle;
  }

  /** @internal This thread is about to leave the heap. */
  leave(): void {
    this.#host?.drain();
    if (this.#state === "open") this.#shut();
    this.#end();
  }

  /** @internal The pool's address, for all threads. */
  get address(): number {
    return this.#within.core.mempool_pool(this.handle) >>> 0;
  }

  #lineUp(): Line {
    return (this.#line ??= new (this.#within.shared ? SharedLine : Line)(this, this.#within));
  }

  #allocNow(call: string): number {
    const pool = this.#live;
    return (pool === 0 ? 0 : this.take()) || this.#allocSlow(call);
  }

  /** Somebody waits; or there is nothing; or the pool is closed. */
  #allocSlow(call: string): number {
    this.#refuseClosed(call);
    if (this.#live === 0) {
      this.#line?.serve();
      const address = this.take();
      if (address !== 0) return address;
    }
    this.#refuseClosed(call, this.look());
    if (!this.#within.shrink()) return 0;
    // It is tried once more, and fails once at most.
    this.#refusals--;
    this.#refuseClosed(call);
    const address = this.take();
    this.#refuseClosed(call, this.#state !== "open");
    return address;
  }

  /** Whether the core has this pool, and is to be asked what another thread may have changed. */
  get #asks(): boolean {
    return this.#state !== "ended" && !this.#host;
  }

  /** What resize and reshape say of what the core said. */
  #changed(call: string, result: number, minNr: number, size: number): boolean {
    if (result === NOT_NOW) {
      throw new MempoolError(
        "ERR_WOULD_BLOCK",
        `${call}: another thread is just resizing or reshaping pool "${this.name}"`,
      );
    }
    if (result === NO_MEMORY) throw noMemory(call, this.#within, this.name, minNr, size);
    if (result === CLOSED) this.#refuseClosed(call, this.look());
    return result === 1;
  }

  #forTicket(call: string, count: number): Uint32Array {
    integer(call, "count", count, 1, UNLIMITED);
    this.#checkCount(call, count);
    return new Uint32Array(count);
  }

  /** All or none, and then `out` is unchanged. */
  #bulkNow(call: string, out: Uint32Array, count: number): boolean {
    if (this.#tryBulk(call, out, count)) return true;
    if (!this.#within.shrink()) return false;
    this.#refusals--;
    return this.#tryBulk(call, out, count);
  }

  #tryBulk(call: string, out: Uint32Array, count: number): boolean {
    this.#refuseClosed(call);
    if (this.#host) return this.#allocCells(call, out, count);
    if (this.#live === 0) this.#line?.serve();
    // More than one piece: what no memory can hold must not make it grow.
    const isBeyond =
      count > SCRATCH_WORDS &&
      (this.#isTooMany(count) || (this.maxNr !== Infinity && count > this.maxNr - this.outstanding));
    if (isBeyond) {
      this.#refusals++;
      return false;
    }
    const { core, scratch } = this.#within;
    const place = placeOf(out, count, this.heap);
    const all = count > SCRATCH_WORDS ? new Uint32Array(count) : undefined;
    for (let done = 0; done < count; done += SCRATCH_WORDS) {
      const n = Math.min(SCRATCH_WORDS, count - done);
      if (!core.mempool_alloc_bulk(this.handle, scratch, n)) {
        if (all) this.freeBulk(all, done);
        this.#refuseClosed(call, this.look());
        return false;
      }
      const { u32 } = this.heap.views.refresh();
      const target = all ?? place();
      const from = scratch / 4;
      for (let i = 0; i < n; i++) target[done + i] = u32[from + i]!;
      if (this.#zero) for (let i = 0; i < n; i++) core.mempool_zero(this.handle, target[done + i]!);
    }
    if (all) place().set(all);
    return true;
  }

  #checkBulk(call: string, out: Uint32Array, count: number): void {
    integer(call, "count", count, 0, length(call, "out", out));
    this.#checkCount(call, count);
  }

  #checkCount(call: string, count: number): void {
    this.#refuseClosed(call);
    if (count <= this.maxNr && !this.#isTooMany(count)) return;
    invalid(`${call}: count (${count}) is more than pool "${this.name}" can ever have`);
  }

  #isTooMany(count: number): boolean {
    return count * (this.#host ? CELL : this.elementSize) > this.heap.maximum;
  }

  #deliver(call: string, place: () => Uint32Array, elements: readonly number[]): void {
    const out = place();
    if (out.length >= elements.length) return out.set(elements);
    for (const element of elements) this.free(element);
    invalid(`${call}: out has become too short: its buffer was transferred or resized`);
  }

  /** allocBulk where elements are the host's own. */
  #allocCells(call: string, out: Uint32Array, count: number): boolean {
    const place = placeOf(out, count, this.heap);
    const all: number[] = [];
    try {
      while (all.length < count) {
        const element = this.#live === 0 && this.#within.lines.has(this.#line!) ? 0 : this.take();
        if (element === 0) break;
        all.push(element);
      }
    } finally {
      if (all.length < count) despite(all, (element) => this.free(element));
    }
    this.#refuseClosed(call, this.look());
    if (all.length < count) return false;
    place().set(all);
    return true;
  }

  /** freeBulk of such. */
  #freeCells(addresses: Uint32Array, count: number): void {
    const seen = new Set<number>();
    for (let i = 0; i < count; i++) {
      const element = addresses[i]!;
      if (element === 0) continue;
      const code = seen.has(element) ? DOUBLE : this.#state === "ended" ? CLOSED : this.#host!.verdict(element);
      if (code !== 0) this.#freeFailed(code, element, ` (at index ${i})`);
      seen.add(element);
    }
    despite(addresses.slice(0, count), (element) => this.free(element));
  }

  /** Copies addresses from an index on to the scratch area, as many as fit; returns how many. */
  #pass(addresses: Uint32Array, from: number, count: number): number {
    const { u32 } = this.heap.views.refresh();
    const at = this.#within.scratch / 4;
    const n = Math.min(SCRATCH_WORDS, count - from);
    for (let i = 0; i < n; i++) u32[at + i] = addresses[from + i]!;
    return n;
  }

  #refuseClosed(call: string, isClosed: boolean = this.#state !== "open"): void {
    if (isClosed) throw new MempoolError("ERR_CLOSED", `${call}: pool "${this.name}" is closed`);
  }

  /** No address, or somebody waits, or the pool has ended. */
  #freeSlow(address: unknown): void {
    const isAddress = typeof address === "number" && address >>> 0 === address;
    if (!isAddress || this.#state === "ended") return this.#freeFailed(INVALID, address);
    const result = this.#host ? this.#host.free(address) : this.#free(this.handle, address | 0);
    if (result !== 0) this.#freeEnded(result, address);
    if (address !== 0 && this.#within.lines.size > 0) this.#freed(1);
  }

  /** Some elements have come home, while anybody waits on the heap. */
  #freed(count: number): void {
    this.#line?.serve(count);
    stir(this.#within);
  }

  #freeEnded(result: number, address: number): void {
    if (result === LAST) this.#end();
    else {
      if (result === CLOSED) this.look();
      this.#freeFailed(result, address);
    }
  }

  #freeFailed(code: number, address: unknown, where = "", call = "free"): void {
    if (address === 0 && call === "free") return;
    const isAddress = typeof address === "number" && address >>> 0 === address;
    const [name, why] = errors[this.#state === "open" ? code : CLOSED]!;
    const what = isAddress
      ? `${hex(address)} ${why}`
      : `address must be an integer from 0 to 2^32 - 1, got ${show(address)}`;
    throw new MempoolError(name, `${call}: ${what}${where}; pool "${this.name}"`);
  }

  /** Nothing more is handed out. */
  #shut(): void {
    this.#last = this.stats();
    this.#state = "closed";
    this.#line?.close();
  }

  /** Another thread may bring the last element home, and will not say so. */
  #awaitEnd(): void {
    if (!this.#within.shared) return;
    const stop = every(END, false, () => {
      this.look();
      if (this.#state === "ended") stop?.();
    });
  }

  #end(): void {
    this.#state = "ended";
    this.#live = 0;
    this.#within.pools.delete(this);
    this.#resolveClosed();
  }
}

/** `out`; or if it lies in the heap's memory, which has grown since, what is in its place now. */
function placeOf(out: Uint32Array, count: number, heap: Heap): () => Uint32Array {
  const { buffer, byteOffset } = out;
  const isInHeap = buffer === heap.memory.buffer;
  return () => (isInHeap && out.length < count ? new Uint32Array(heap.memory.buffer, byteOffset, count) : out);
}

function waitOptions<K extends keyof BulkWaitOptions = never>(
  call: string,
  options: BulkWaitOptions | undefined,
  more: readonly K[] = [],
): Required<Pick<WaitOptions, "timeout">> & BulkWaitOptions {
  const { timeout = Infinity, signal, ...rest } = checkOptions(call, options, ["timeout", "signal", ...more]);
  milliseconds(call, "timeout", timeout);
  if (signal !== undefined) {
    if (typeof AbortSignal === "undefined" || !(signal instanceof AbortSignal)) {
      invalid(`${call}: signal must be an AbortSignal, got ${show(signal)}`);
    }
    if (signal.aborted) {
      throw new MempoolError("ERR_ABORTED", `${call}: signal was aborted already`, { cause: signal.reason });
    }
  }
  if (timeout > 0 && timeout < Infinity && typeof setTimeout === "undefined") {
    throw new MempoolError("ERR_WOULD_BLOCK", `${call}: there are no timers here, for a timeout of ${timeout} ms`);
  }
  return { ...rest, timeout, ...(signal && { signal }) };
}

function length(call: string, name: string, array: unknown): number {
  if (!(array instanceof Uint32Array)) invalid(`${call}: ${name} must be a Uint32Array, got ${show(array)}`);
  return array.length;
}
