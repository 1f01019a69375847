/** Heaps: one linear memory, or a part of one, with its core. */
import { Arena, createArenaIn, type ArenaOptions } from "./arena.ts";
import { MempoolError } from "./errors.ts";
import { faultWords, setFaults, type HeapFaultOptions } from "./faults.ts";
import { Views } from "./memory.ts";
import { boolean, checkOptions, hex, inspect, integer, invalid, show } from "./options.ts";
import { attachPool, createPool, type AttachOptions, type HeapCore, type Pool, type PoolOptions } from "./pool.ts";
import { table } from "./table.ts";
import {
  join,
  joined,
  labelOfThread,
  type Reaped,
  type SharedHeap,
  type SharedPool,
  type WatchedWorker,
} from "./threads.ts";
import { stir } from "./waiting.ts";
import { watermark } from "./watermark.ts";
import { moduleOf, moduleOfAsync, type Core, type Inspector, type ModuleName } from "./wasm.ts";

const WASM_PAGE = 65536;
const PAGE = 4096;
const ALL = 2 ** 32;
const ABI_VERSION = 3;
/** Another dead thread is in the way: how long until it is tried again. */
const NOT_NOW = "not now";
const RETRY_MS = 10;
const MAX_THREADS = 64;

/** What {@link createHeap} takes. */
export interface HeapOptions {
  /** Bytes to begin with, rounded up to 64 KiB. Default 256 KiB. */
  readonly initial?: number;
  /** Bytes it may have at most, rounded up to 64 KiB; the same as `initial`: it never grows. Default 4 GiB, for a shared heap 1 GiB. */
  readonly maximum?: number;
  /** For several threads: `heap.memory.buffer` is a SharedArrayBuffer. Others join by {@link attach}. */
  readonly shared?: boolean;
  /** Live in this memory, beside what is there: the heap takes only what it grows itself, or `region`. */
  readonly memory?: WebAssembly.Memory;
  /**
   * Live in this part of `memory`, and never grow. Rounded inwards to 4 KiB; 32 KiB at least. It must be the heap's alone:
   * nothing checks that no other heap, and nobody else, uses these bytes.
   */
  readonly region?: { readonly base: number; readonly bytes: number };
  /** The core, compiled already: this package's core.wasm, core.imported.wasm or core.shared.wasm. */
  readonly module?: WebAssembly.Module;
}

/** What {@link Heap.stats} gives. */
export interface HeapStats {
  /** Bytes under this heap now, and the most it may have. */
  readonly bytes: number;
  readonly maximum: number;
  /** Bytes in slabs, arenas and the heap's own structures; bytes in free runs; the longest of those. */
  readonly used: number;
  readonly free: number;
  readonly largestFree: number;
  /** Times it grew the memory. */
  readonly grows: number;
  readonly pools: number;
  readonly arenas: number;
}

/** How the checker's problems read: $0, $1 and $2 are their values, $x0 in hexadecimal. In check.ts's order. */
const problems: readonly string[] = [
  "page $0 has an entry that means nothing: $x1",
  "the free bit of page $0 is $1, but its entry is $x2",
  "the heap says it has $0 pages, but there are $1",
  "the slab at $x0, in pages of $x1, has a damaged header",
  "element $1 of the slab at $x0 has a wrong state: $x2",
  "the slab at $x0 says $1 elements are out, but $2 are",
  "the slab at $x0 does not know that element $1 is free",
  "the stack of slabs is wrong at $x0",
  "the pool at $x0 says it has $1 slabs, but there are $2",
  "the pool at $x0 lists $1 slabs with something to give, but there are $2",
  "the pool at $x0 says $1 elements are taken, but $2 are",
  "round $1 of the magazine at $x0 is no cached element of its pool, or one listed twice: $x2",
  "the magazines of the pool at $x0 have $1 rounds, but $2 elements are cached",
  "slot $1 of the reserve of the pool at $x0 is no reserved element of it, or one listed twice: $x2",
  "the reserve of the pool at $x0 has $1 elements, but $2 are reserved",
  "the pool at $x0 has $1 elements in reserve and handed out, below its minNr $2",
  "the gate of the magazine at $x0 is wrong: $x1, $x2",
  "the pool at $x0 has room for $1 elements, above its maxNr $2",
  "the heap says it has $0 pools, but there are $1",
  "the arena at $x0 is wrong: at $x1 of $x2",
  "the pool at $x0 says its slabs have room for $1 elements, but they have for $2",
  "the pool at $x0 has a damaged layout: its stride is $1",
  "the list of pools or of arenas is wrong at $x0",
  "somebody waits for the pool at $x0, with $1 elements in its reserve",
];

interface Plan {
  readonly name: ModuleName;
  readonly module: WebAssembly.Module | undefined;
  readonly memory: WebAssembly.Memory | undefined;
  readonly region: { base: number; bytes: number } | undefined;
  readonly shared: boolean;
  readonly initial: number;
  readonly maximum: number;
}

const roundUp = (bytes: number): number => Math.ceil(bytes / WASM_PAGE) * WASM_PAGE;

/** Checks everything before anything is made. */
function plan(options: HeapOptions | undefined): Plan {
  const call = "createHeap";
  const known = ["initial", "maximum", "shared", "memory", "region", "module"] as const;
  const { memory, module, region, ...rest } = checkOptions(call, options, known);
  if (memory !== undefined && !(memory instanceof WebAssembly.Memory)) {
    invalid(`${call}: memory must be a WebAssembly.Memory, got ${show(memory)}`);
  }
  const isShared =
    memory !== undefined && typeof SharedArrayBuffer !== "undefined" && memory.buffer instanceof SharedArrayBuffer;
  const shared = rest.shared === undefined ? isShared : boolean(call, "shared", rest.shared);
  if (memory !== undefined && shared !== isShared) invalid(`${call}: shared is ${shared}, but memory is not`);
  const name = shared ? "shared" : memory ? "imported" : "plain";
  if (module !== undefined) {
    if (!(module instanceof WebAssembly.Module)) {
      invalid(`${call}: module must be a WebAssembly.Module, got ${show(module)}`);
    }
    const imports = WebAssembly.Module.imports(module).filter(({ kind }) => kind === "memory").length > 0;
    const exports = WebAssembly.Module.exports(module);
    if (!exports.some((e) => e.name === "mempool_create")) invalid(`${call}: module is not this package's core`);
    if (imports !== (name !== "plain")) {
      invalid(
        `${call}: module ${imports ? "imports its memory, and none" : "has its own memory, and another"} is given`,
      );
    }
  }
  if (region !== undefined) {
    if (memory === undefined) invalid(`${call}: region needs memory`);
    const { base, bytes } = checkOptions(`${call}: region`, region, ["base", "bytes"]);
    integer(call, "region.base", base, 0, ALL - 1);
    integer(call, "region.bytes", bytes, 32768, ALL - base);
    if (base + bytes > memory.buffer.byteLength) {
      invalid(`${call}: region ends at ${hex(base + bytes)}, but memory at ${hex(memory.buffer.byteLength)}`);
    }
    for (const key of ["initial", "maximum"] as const) {
      if (rest[key] !== undefined)
        invalid(`${call}: ${key} (${show(rest[key])}) says nothing about a region, which never grows`);
    }
    return { name, module, memory, region: { base, bytes }, shared, initial: bytes, maximum: bytes };
  }
  const { maximum: most = shared ? 2 ** 30 : ALL } = rest;
  const maximum = roundUp(integer(call, "maximum", most, 1, ALL));
  const { initial: first = Math.min(4 * WASM_PAGE, maximum) } = rest;
  const initial = roundUp(integer(call, "initial", first, 1, ALL));
  if (initial > maximum) invalid(`${call}: initial (${initial}) must not be above maximum (${maximum})`);
  return { name, module, memory, region, shared, initial, maximum };
}

function instantiate(call: string, module: WebAssembly.Module, memory: WebAssembly.Memory | undefined): Core {
  let core: Core;
  try {
    core = new WebAssembly.Instance(module, memory ? { env: { memory } } : {}).exports as unknown as Core;
  } catch (cause) {
    invalid(`${call}: module does not go with the memory`, cause);
  }
  const abi = core.abi_version?.();
  if (abi !== ABI_VERSION) invalid(`${call}: module has ABI version ${abi}, not ${ABI_VERSION}`);
  return core;
}

/** Gets the memory, instantiates the core on it, and makes the heap. */
function build(p: Plan, module: WebAssembly.Module): Heap {
  const outOfMemory = (cause?: unknown): never => {
    throw new MempoolError("ERR_NO_MEMORY", `createHeap: the host gives no ${p.initial} bytes of memory`, { cause });
  };
  let { memory } = p;
  if (memory === undefined && p.shared) {
    try {
      memory = new WebAssembly.Memory({ initial: p.initial / WASM_PAGE, maximum: p.maximum / WASM_PAGE, shared: true });
    } catch (cause) {
      return outOfMemory(cause);
    }
  }
  const core = instantiate("createHeap", module, memory);
  // Somebody else's memory: the heap begins where it grows, or at the region. Its own: at 0.
  let base = p.region?.base ?? 0;
  try {
    if (p.memory && !p.region) base = p.memory.grow(p.initial / WASM_PAGE) * WASM_PAGE;
    else if (!memory) core.memory!.grow((p.initial - core.memory!.buffer.byteLength) / WASM_PAGE);
  } catch (cause) {
    return outOfMemory(cause);
  }
  memory ??= core.memory!;
  const address = core.heap_create(base, p.initial % ALL, p.maximum / PAGE, p.region ? 0 : 1) >>> 0;
  if (address === 0) throw new MempoolError("ERR_NO_MEMORY", `createHeap: ${p.initial} bytes are too few for a heap`);
  return new Heap(memory, core, address, p.shared, module);
}

/**
 * A heap: one linear memory with its core. Synchronous; the module, some 8 KiB, is compiled once per thread.
 *
 * Throws ERR_INVALID_ARGUMENT, naming the option and the value, or ERR_NO_MEMORY.
 */
export function createHeap(options?: HeapOptions): Heap {
  const p = plan(options);
  return build(p, p.module ?? moduleOf(p.name));
}

/** The same, compiling in the background: for a page that must not block at all. Rejects as createHeap throws. */
export async function createHeapAsync(options?: HeapOptions): Promise<Heap> {
  const p = plan(options);
  return build(p, p.module ?? (await moduleOfAsync(p.name)));
}

/**
 * A linear memory and its core: pools and arenas live here. Made by {@link createHeap}, in a window, a worker or an
 * AudioWorklet; none of its calls waits. A Heap object belongs to its thread; another gets its own by {@link attach}.
 */
export class Heap {
  /** The memory. Anybody may grow it. */
  readonly memory: WebAssembly.Memory;
  /** Its typed views, for struct cursors and for hot loops: see {@link Views}. */
  readonly views: Views;
  /** @internal */
  readonly address: number;
  /** @internal */
  readonly within: HeapCore;
  readonly #shared: boolean;
  readonly #module: WebAssembly.Module;
  #inspector: Inspector | undefined;
  /** Set once the heap is shared with another thread. */
  #id: string | undefined;
  /** The labels of the workers that are watched, and how to stop that. */
  readonly #watched = new Map<number, () => void>();
  #maximum: number | undefined;
  readonly #shrinkers = new Set<() => void>();
  #isShrinking = false;

  /** @internal */
  constructor(
    memory: WebAssembly.Memory,
    core: Core,
    address: number,
    shared: boolean,
    module: WebAssembly.Module,
    id?: string,
  ) {
    this.memory = memory;
    this.views = new Views(memory);
    this.address = address;
    this.#shared = shared;
    this.#module = module;
    this.#id = id;
    this.within = {
      heap: this,
      core,
      scratch: core.heap_scratch() >>> 0,
      shared: "mempool_wait_begin" in core,
      pools: new Set(),
      lines: new Set(),
      stirred: false,
      shrink: () => this.#shrink(),
    };
    if (id !== undefined) join(id, this.within);
  }

  /** @internal The core's exports, for tests and tools. */
  get core(): Core {
    return this.within.core;
  }

  /** As {@link create}, on this heap. */
  create<Data>(options: Omit<PoolOptions<Data>, "heap">): Pool {
    return createPool(() => this.within, options as PoolOptions);
  }

  /** As {@link createArena}, on this heap. */
  createArena(options: Omit<ArenaOptions, "heap"> = {}): Arena {
    return createArenaIn(() => this.within, options);
  }

  /** Which of the heap's threads this one is, 0 to 63. */
  get threadId(): number {
    return this.within.shared ? this.core.heap_thread() : 0;
  }

  /**
   * The heap for another thread: a plain object to post, and to give to {@link attach} there. From then on, until
   * `detach`, this thread gives others what it has cached when they starve. Throws ERR_INVALID_ARGUMENT if the heap is not
   * shared, ERR_CLOSED after `detach`.
   */
  share(): SharedHeap {
    this.#refuseUnshared("share");
    const { memory, address } = this;
    if (this.#id === undefined) {
      this.#id = `${Date.now()}-${Math.random()}-${address}`;
      join(this.#id, this.within);
    }
    return { memory, module: this.#module, address, id: this.#id };
  }

  /**
   * This thread leaves the heap: what it has cached goes back, who waits here gets ERR_CLOSED, and so does every later
   * call on the heap, its pools and arenas, but another `detach`. What it was handed out stays handed out; other threads
   * may free it. A worker of Node does this by itself when it ends, but not when it is terminated: see `watch`. O(pools).
   */
  detach(): void {
    const { within } = this;
    if (within.core === gone) return;
    this.#refuseUnshared("detach");
    for (const stop of this.#watched.values()) stop();
    for (const pool of within.pools) pool.leave();
    within.core.heap_detach();
    within.core = gone;
    if (this.#id !== undefined) joined.delete(this.#id);
  }

  /**
   * Takes back what a thread had cached that ended without `detach`: a worker that was terminated. Returns what it had
   * been handed out, of the pools that this thread knows, for the caller to free: no other can tell who uses it now. Only
   * when that thread runs no more; nothing can check it. O(live elements).
   *
   * Throws ERR_INVALID_ARGUMENT if it is this thread, one of a worker that is watched and runs, or none; ERR_WOULD_BLOCK if
   * another that has stopped or died is in the way, and then again later; ERR_CLOSED.
   */
  reap(threadId: number): Reaped[] {
    const call = "reap";
    this.#refuseUnshared(call);
    integer(call, "threadId", threadId, 0, MAX_THREADS - 1);
    if (threadId === this.threadId) invalid(`${call}: threadId (${threadId}) is this thread`);
    for (const label of this.#watched.keys()) {
      if (this.core.heap_find_thread(label) === threadId) {
        invalid(`${call}: threadId (${threadId}) is a worker's that is watched, and runs`);
      }
    }
    const list = this.#reap(threadId);
    if (list === NOT_NOW) {
      throw new MempoolError(
        "ERR_WOULD_BLOCK",
        `${call}: another thread that has stopped or died is in the way: reap that one first, or ${threadId} again later`,
      );
    }
    return list ?? invalid(`${call}: threadId (${threadId}) is no thread of this heap`);
  }

  /**
   * Reaps a Worker of node:worker_threads when it ends, however it does: see `reap`. `onReap` gets what it had been handed
   * out. It must have attached the heap with this package, which tells Node's threads apart. Returns a function that stops
   * watching. Throws ERR_INVALID_ARGUMENT, ERR_CLOSED.
   */
  watch(worker: WatchedWorker, options?: { readonly onReap?: (elements: Reaped[]) => void }): () => void {
    const call = "watch";
    this.#refuseUnshared(call);
    const { onReap } = checkOptions(call, options, ["onReap"]);
    if (onReap !== undefined && typeof onReap !== "function") {
      invalid(`${call}: onReap must be a function, got ${show(onReap)}`);
    }
    const label = ((worker as WatchedWorker | undefined)?.threadId ?? -1) + 1;
    if (!(label > 1) || typeof worker.once !== "function") {
      invalid(`${call}: worker must be a Worker of node:worker_threads that runs, got ${show(worker)}`);
    }
    this.#watched.get(label)?.();
    const stop = () => {
      worker.off("exit", reap);
      if (this.#watched.get(label) === stop) this.#watched.delete(label);
    };
    const reap = () => {
      stop();
      while (this.within.core !== gone) {
        const list = this.#reap(this.core.heap_find_thread(label));
        if (!list) return;
        // Another that died with it may have to be reaped first.
        if (list === NOT_NOW) return void setTimeout(reap, RETRY_MS);
        onReap?.(list);
      }
    };
    worker.once("exit", reap);
    this.#watched.set(label, stop);
    return stop;
  }

  /** Undefined if there is no such thread. */
  #reap(thread: number): Reaped[] | typeof NOT_NOW | undefined {
    if (thread < 0) return undefined;
    const list: Reaped[] = [];
    // Before another thread can get its number.
    for (const pool of this.within.pools) {
      for (let address = 0; ;) {
        address = this.core.mempool_next_live(pool.handle, address, thread) >>> 0;
        if (address === 0) break;
        const named = pool.nameOf(address);
        if (named === 0) pool.discard(address);
        else list.push({ pool: pool.name, address: named });
      }
    }
    const done = this.core.heap_reap(thread);
    return done === 1 ? list : done === 0 ? undefined : NOT_NOW;
  }

  #refuseUnshared(call: string): void {
    if (!this.within.shared) invalid(`${call}: the heap is not shared: createHeap({ shared: true })`);
    if (this.within.core === gone) left();
  }

  /** @internal Bytes it may have at most. */
  get maximum(): number {
    return (this.#maximum ??= this.stats().maximum);
  }

  /** A look at the heap. */
  stats(): HeapStats {
    const n = this.numbers("heap_stats", this.address);
    const pages = n(0);
    const freePages = n(2);
    return {
      bytes: pages * PAGE,
      maximum: n(1) * PAGE,
      used: (pages - freePages) * PAGE,
      free: freePages * PAGE,
      largestFree: n(3) * PAGE,
      grows: n(4),
      pools: n(5),
      arenas: n(6),
    };
  }

  /** @internal */
  [inspect](): object {
    return this.within.core === gone ? {} : this.stats();
  }

  /** The module that looks at the heap, for when somebody asks. */
  #inspect(): Inspector {
    return (this.#inspector ??= new WebAssembly.Instance(moduleOf(this.#shared ? "inspectShared" : "inspectImported"), {
      env: { memory: this.memory },
    }).exports as unknown as Inspector);
  }

  /** @internal The numbers of this heap, or of a pool or arena in it. */
  numbers(kind: "heap_stats" | "mempool_stats" | "arena_stats", address: number): (index: number) => number {
    const at = this.core.heap_scratch() >>> 0;
    this.#inspect()[kind](address, at);
    const { f64 } = this.views.refresh();
    return (index) => f64[(at >>> 3) + index]!;
  }

  /** What is inconsistent in the heap's structures, at most 64 lines; empty when it is sound. O(memory). */
  check(): string[] {
    const scratch = this.core.heap_scratch() >>> 0;
    let count: number;
    try {
      count = this.#inspect().heap_check(this.address, scratch);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      return [`the heap's structures are too damaged to be walked: ${error.message}`];
    }
    const words = this.u32.subarray(scratch / 4);
    return Array.from({ length: count }, (_, i) =>
      (problems[words[4 * i]!] ?? "problem $0").replace(/\$(x?)(\d)/g, (_match, x: string, k: string) => {
        const value = words[4 * i + 1 + Number(k)]!;
        return x ? hex(value) : String(value);
      }),
    );
  }

  /** Gives memory nobody uses, in caches and spare arena chunks, back to the page layer; returns the bytes. O(pools). */
  trim(): number {
    const bytes = this.core.heap_trim() >>> 0;
    stir(this.within);
    return bytes;
  }

  /**
   * Has `shrinker` called in this thread when an allocation finds neither memory nor a reserve, before it fails or waits:
   * it may free elements, of any pool, and then the allocation is tried once more. Not while one runs already. What it
   * throws, the allocation throws. Returns what takes it off again. Throws ERR_INVALID_ARGUMENT.
   */
  registerShrinker(shrinker: () => void): () => void {
    if (typeof shrinker !== "function") {
      invalid(`registerShrinker: shrinker must be a function, got ${show(shrinker)}`);
    }
    // Twice the same is two.
    const own = () => shrinker();
    this.#shrinkers.add(own);
    return () => this.#shrinkers.delete(own);
  }

  #shrink(): boolean {
    if (this.#shrinkers.size === 0 || this.#isShrinking) return false;
    this.#isShrinking = true;
    try {
      for (const shrinker of this.#shrinkers) shrinker();
    } finally {
      this.#isShrinking = false;
    }
    return true;
  }

  /**
   * Has `call` called when fewer than `below` bytes are left, free or still to be had from the host: once, and again when
   * there were more in between. Some 20 ms later, never inside another call; not without timers (AudioWorklet). Returns
   * what stops it. Throws ERR_INVALID_ARGUMENT.
   */
  onLowMemory(below: number, call: (left: number) => void): () => void {
    integer("onLowMemory", "below", below, 1, ALL);
    const left = () => (this.within.core === gone ? Infinity : this.#inspect().heap_left(this.address));
    return watermark("onLowMemory", below, left, call);
  }

  /**
   * For tests: has requests for pages of memory refused, or growth, from now on; without options, no more. As
   * {@link Pool.faults}, for all that lives here.
   */
  faults(options?: HeapFaultOptions): number {
    const words = faultWords(options, true, this.stats().bytes / PAGE);
    const calls = setFaults(this.views.refresh().u32, this.core.heap_faults() >>> 2, words);
    stir(this.within);
    return calls;
  }

  /** A table for people: what each pool that this thread knows has, and how it fared. See {@link PoolStats}. */
  table(): string {
    return table(this, this.within.pools);
  }

  /** @internal The fewest elements in a pool's reserve since the last such look. */
  dip(pool: number): number {
    return this.#inspect().mempool_dip(pool) >>> 0;
  }

  /** The whole memory as bytes; the views below as other numbers. Made anew when the memory has grown, by anybody. */
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
    // A plain memory's old views are detached; a shared memory's only get too short, which nothing but a look tells.
    return this.#shared || views.u8.length === 0 ? views.refresh() : views;
  }
}

const left = (): never => {
  throw new MempoolError("ERR_CLOSED", "this thread has left the heap: see Heap.detach");
};
/** The core of a heap that this thread has left. */
const gone = new Proxy({} as Core, { get: left });

let everybodys: Heap | undefined;

/**
 * A heap or a pool that another thread has shared: `share()` there, then postMessage. The same thread gets the same object
 * for the same heap or pool, whichever thread's `share()` it came from, until it detaches. Windows, workers and
 * AudioWorklets may. Compiles nothing. O(1).
 *
 * Throws ERR_INVALID_ARGUMENT; ERR_NO_MEMORY if the heap has 64 threads, or no memory for one more; ERR_CLOSED if the pool
 * has ended.
 */
export function attach(shared: SharedHeap): Heap;
export function attach<Data>(shared: SharedPool, options?: AttachOptions<Data>): Pool;
export function attach(shared: SharedHeap | SharedPool, options?: object): Heap | Pool {
  const call = "attach";
  if (typeof shared !== "object" || shared === null)
    invalid(`${call}: shared must be what share() gave, got ${show(shared)}`);
  if (!("heap" in shared)) return attachHeap(call, shared);
  return attachPool(call, attachHeap(call, shared.heap).within, shared, options as AttachOptions | undefined);
}

function attachHeap(call: string, shared: SharedHeap): Heap {
  const { memory, module, address, id } = checkOptions(call, shared, ["memory", "module", "address", "id"]);
  const known = joined.get(id);
  if (known) return known;
  const isHeap =
    memory instanceof WebAssembly.Memory &&
    module instanceof WebAssembly.Module &&
    memory.buffer instanceof SharedArrayBuffer &&
    typeof id === "string" &&
    typeof address === "number" &&
    address >>> 0 === address;
  if (!isHeap) invalid(`${call}: shared must be what share() gave`);
  const core = instantiate(call, module, memory);
  if (!core.heap_attach(address, labelOfThread())) {
    throw new MempoolError("ERR_NO_MEMORY", `${call}: the heap has 64 threads, or no memory for one more`);
  }
  return new Heap(memory, core, address, true, module, id);
}

/**
 * A pool: `minNr` elements set aside now, more as long as memory lasts. On options.heap, or on a heap for everybody that
 * is made at first use. O(minNr).
 *
 * Throws ERR_INVALID_ARGUMENT, naming the option and the value, or ERR_NO_MEMORY; and then nothing was allocated.
 */
export function create<Data>(options: PoolOptions<Data>): Pool {
  return createPool(() => coreOf("create", options.heap), options as PoolOptions, ["heap"]);
}

/** An arena, for memory that is taken back all at once. Throws ERR_INVALID_ARGUMENT or ERR_NO_MEMORY. */
export function createArena(options: ArenaOptions = {}): Arena {
  return createArenaIn(() => coreOf("createArena", options.heap), options, ["heap"]);
}

function coreOf(call: string, heap: unknown): HeapCore {
  if (heap === undefined) return (everybodys ??= createHeap()).within;
  if (!(heap instanceof Heap)) invalid(`${call}: heap must be a Heap, got ${show(heap)}`);
  return heap.within;
}
