/** How heaps of one thread are made, on which memory and with which module; and the program's default heap. */
import type { Arena, ArenaOptions } from "../arena/arena.ts";
import { planArena } from "../arena/arena.ts";
import { ABI_VERSION, PAGE, WASM_PAGE, type Core } from "../core/abi.ts";
import { HeapContext, type Sharing } from "../core/context.ts";
import type { DebugOptions } from "../core/debug-types.ts";
import { debugging, startDebug } from "../core/debugging.ts";
import { MempoolError } from "../core/errors.ts";
import { Inspection } from "../core/inspection.ts";
import {
  bufferOf,
  compile,
  compileAsync,
  exportsOf,
  importedCore,
  isSharedBuffer,
  plainCore,
  requireWasm,
  type CoreModules,
  type InlinedModule,
} from "../core/modules.ts";
import type { WasmMemory, WasmModule } from "../core/types.ts";
import { boolean, checkOptions, hex, integer, invalid, show } from "../core/validate.ts";
import { planPool } from "../pool/create.ts";
import type { PoolOptions, SizedByData } from "../pool/options.ts";
import type { Pool } from "../pool/pool.ts";
import type { StructType } from "../struct/index.ts";
import { claimExtent, refuseOverlap } from "./end.ts";
import { Heap } from "./heap.ts";

const ALL = 2 ** 32;

/** What {@link createHeap} takes. */
export interface HeapOptions {
  /**
   * Bytes to begin with, rounded up to 64 KiB.
   * @default 262144, or `maximum` if that is less
   */
  readonly initial?: number;
  /**
   * The most bytes that the heap may have, rounded up to 64 KiB; a heap with an equal `initial` never grows.
   * @default 4 GiB; of a shared heap 1 GiB
   */
  readonly maximum?: number;
  /** The memory that the heap lives in: in a `region` of it, or in what the heap `grows`. */
  readonly memory?: WasmMemory;
  /**
   * With `memory` and no region, true: the heap lives in the memory that it grows from now on. Only where nothing else takes
   * memory by its size, as guests do that were compiled from AssemblyScript, by emscripten, or with a wasi-libc from before
   * 2023: such a guest would write over the heap, whichever starts first. Guests of Rust, Zig and a newer wasi-libc do not.
   * A `region` from the guest's own allocator is safe beside any guest.
   */
  readonly grows?: boolean;
  /**
   * The part of `memory` that the heap lives in, and never leaves, in bytes: a block of the guest's allocator,
   * `guest.malloc(bytes)`, or memory that no guest knows of. The heap rounds it inwards to 4 KiB. It must then have 32 KiB,
   * 36 KiB in a shared memory, and 12 KiB more if a multiple of 4 MiB lies inside: enough for a small pool. 52 KiB are enough
   * at any address. The region must be the heap's alone until its {@link Heap.exit}: a region that overlaps another, or the
   * bytes that another heap of this thread began with, is refused; nothing checks that no other code uses these bytes.
   *
   * @example
   * createHeap({ memory, region: { base: guest.malloc(65536) >>> 0, bytes: 65536 } })
   */
  readonly region?: { readonly base: number; readonly bytes: number };
  /**
   * The core, already compiled: this package's core.wasm, or with `memory` core.imported.wasm.
   * @default compiled by the call
   */
  readonly module?: WasmModule;
  /**
   * The module of `stats`, `check` and `table`, already compiled: this package's inspect.imported.wasm, or for a shared heap
   * inspect.shared.wasm. For hosts that compile nothing: without it, those calls throw ERR_NO_WASM there.
   * @default compiled by the first of those calls
   */
  readonly inspector?: WasmModule;
  /**
   * Makes a debug heap, which finds writes past an element's end, before its beginning and after its free, and says where the
   * element was allocated and freed: see {@link DebugOptions}. It costs time, and some 200 bytes for each element.
   * @default false
   */
  readonly debug?: boolean | DebugOptions;
}

/** What the options of a heap come to. */
export interface Plan {
  readonly apiName: string;
  readonly core: InlinedModule;
  readonly module: WasmModule | undefined;
  readonly inspector: WasmModule | undefined;
  readonly memory: WasmMemory | undefined;
  readonly region: { base: number; bytes: number } | undefined;
  readonly isShared: boolean;
  readonly debug: DebugOptions | undefined;
  readonly initial: number;
  readonly maximum: number;
}

const roundUp = (bytes: number): number => Math.ceil(bytes / WASM_PAGE) * WASM_PAGE;

const optionNames = ["initial", "maximum", "memory", "grows", "region", "module", "inspector", "debug"] as const;

function planHeap(apiName: string, options: HeapOptions | undefined): Plan {
  const core = options?.memory === undefined ? plainCore : importedCore;
  return checkHeapOptions(apiName, checkOptions(apiName, options, optionNames), core, false);
}

/** Checks the options before anything is made; their names have been checked. */
export function checkHeapOptions(apiName: string, options: HeapOptions, usual: InlinedModule, isShared: boolean): Plan {
  const { memory, module, inspector, region, debug: wanted, ...rest } = options;
  requireWasm(apiName);
  const debug = wanted === undefined || wanted === false ? undefined : debugging.get(apiName).check(apiName, wanted);
  const core = debug ? debugging.get(apiName)[isShared ? "shared" : "imported"] : usual;
  const buffer = memory && bufferOf(memory);
  if (memory !== undefined && !buffer) invalid(`${apiName}: memory must be a WebAssembly.Memory, got ${show(memory)}`);
  if (buffer && isSharedBuffer(buffer) !== isShared) {
    invalid(`${apiName}: memory is ${isShared ? "not shared: see createHeap" : "shared: see createSharedHeap"}`);
  }
  if (module !== undefined) {
    checkModule(apiName, "module", module, "mempool_alloc", "core");
    const imports = WebAssembly.Module.imports(module).some(({ kind }) => kind === "memory");
    if (imports !== (isShared || memory !== undefined || debug !== undefined)) {
      const what = imports ? "imports its memory, but gets none" : "has its own memory, but gets another";
      invalid(`${apiName}: module ${what}`);
    }
  }
  if (inspector !== undefined) checkModule(apiName, "inspector", inspector, "mempool_stats", "inspector");
  const grows = rest.grows === undefined ? undefined : boolean(apiName, "grows", rest.grows);
  if (grows !== undefined && (memory === undefined || region !== undefined)) {
    invalid(`${apiName}: grows (${grows}) goes with memory, without region`);
  }
  if (memory !== undefined && region === undefined && !grows) {
    invalid(
      `${apiName}: memory needs region, a block from its guest's allocator; ` +
        "or grows: true, if no guest's allocator takes memory by its size, as AssemblyScript's and emscripten's do",
    );
  }
  const common = { apiName, core, module, inspector, memory, isShared, debug };
  if (region !== undefined) {
    if (!buffer) invalid(`${apiName}: region needs memory`);
    const { base, bytes } = checkOptions(`${apiName}: region`, region, ["base", "bytes"]);
    integer(apiName, "region.base", base, 0, ALL - 1);
    integer(apiName, "region.bytes", bytes, 32768, ALL - base);
    if (base + bytes > buffer.byteLength) {
      invalid(`${apiName}: region ends at ${hex(base + bytes)}, but memory at ${hex(buffer.byteLength)}`);
    }
    for (const key of ["initial", "maximum"] as const) {
      if (rest[key] !== undefined)
        invalid(`${apiName}: ${key} (${show(rest[key])}) does not go with region, which never grows`);
    }
    refuseOverlap(apiName, memory!, [base, base + bytes]);
    return { ...common, region: { base, bytes }, initial: bytes, maximum: bytes };
  }
  const { maximum: most = isShared ? 2 ** 30 : ALL } = rest;
  const maximum = roundUp(integer(apiName, "maximum", most, 1, ALL));
  const { initial: first = Math.min(4 * WASM_PAGE, maximum) } = rest;
  const initial = roundUp(integer(apiName, "initial", first, 1, ALL));
  if (initial > maximum) invalid(`${apiName}: initial (${initial}) must not be above maximum (${maximum})`);
  return { ...common, region, initial, maximum };
}

export function checkModule(apiName: string, option: string, module: unknown, has: string, what: string): void {
  const exports = exportsOf(module);
  if (!exports) invalid(`${apiName}: ${option} must be a WebAssembly.Module, got ${show(module)}`);
  if (!exports.some(({ name }) => name === has)) invalid(`${apiName}: ${option} is not this package's ${what}`);
}

/** Instantiates the core, of both halves if there are two. */
export function instantiate(apiName: string, { module, control }: CoreModules, memory: WasmMemory | undefined): Core {
  let core: Core;
  try {
    const env = memory ? { memory } : {};
    core = new WebAssembly.Instance(module, { env }).exports as unknown as Core;
    if (control) {
      const half = new WebAssembly.Instance(control, { env, core: core as unknown as WebAssembly.ModuleImports });
      core = Object.freeze({ ...core, ...half.exports });
    }
  } catch (cause) {
    if (cause instanceof WebAssembly.LinkError || cause instanceof TypeError) {
      invalid(`${apiName}: module does not go with the memory`, { cause });
    }
    // Only a lack of memory is left. Engines word it differently, and one throws no Error.
    const what = "the host has no memory, or no address space, for one more heap";
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: ${what}`, { cause });
  }
  const abi = core.abi_version?.();
  if (abi !== ABI_VERSION) invalid(`${apiName}: module has ABI version ${abi}, not ${ABI_VERSION}`);
  return core;
}

/** From this maximum on, what a shift costs is less than half a percent. */
const LARGE = 2 ** 24;
let shifts = 0;

/**
 * Bytes below a heap in a memory of its own, which nobody uses. Memories begin at multiples of 4 GiB, so the words of two
 * heaps would differ in no lower bit of their addresses. Processors find a line in their first cache by such bits: a program
 * that uses heaps in turn would miss it at each access.
 */
const shiftOf = ({ memory, initial, maximum }: Plan): number =>
  memory || maximum < LARGE ? 0 : (shifts++ % Math.min(16, (initial / WASM_PAGE) * 4)) * PAGE;

/** Gets the memory, instantiates the core on it, and makes the heap. */
export function buildHeap(plan: Plan, modules: CoreModules, sharing: Sharing | undefined): HeapContext {
  const { apiName, region } = plan;
  const outOfMemory = (cause?: unknown): never => {
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: the host gives no ${plan.initial} bytes of memory`, { cause });
  };
  const pages = { initial: plan.initial / WASM_PAGE, maximum: plan.maximum / WASM_PAGE };
  let { memory } = plan;
  if (memory === undefined && (plan.isShared || plan.debug)) {
    try {
      memory = new WebAssembly.Memory({ ...pages, shared: plan.isShared });
    } catch (cause) {
      return outOfMemory(cause);
    }
  }
  const core = instantiate(apiName, modules, memory);
  const shift = shiftOf(plan);
  // In a memory of its own a heap begins at 0 or some pages above; in the caller's, at the region or where the memory grows.
  let base = region?.base ?? shift;
  try {
    if (plan.memory && !region) base = plan.memory.grow(pages.initial) * WASM_PAGE;
    else if (!memory) core.memory!.grow((plan.initial - core.memory!.buffer.byteLength) / WASM_PAGE);
  } catch (cause) {
    return outOfMemory(cause);
  }
  memory ??= core.memory!;
  const bytes = plan.initial - shift;
  const address = core.heap_create(base, bytes % ALL, (plan.maximum - shift) / PAGE, region ? 0 : 1) >>> 0;
  if (address === 0) {
    const where = `${plan.initial} bytes at ${hex(base)}`;
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: ${where} are too few whole pages of 4 KiB for a heap`);
  }
  // The module of a debug heap has its own inspector.
  const inspection = new Inspection(memory, plan.isShared, plan.debug ? modules.module : plan.inspector);
  // So the call that makes the heap reports a wrong inspector, not the first call that needs it.
  if (plan.inspector) inspection.exports(apiName);
  const context = new HeapContext({ memory, core, modules, address, inspection, sharing });
  startDebug(apiName, context, plan.debug);
  context.releaseExtent = claimExtent(memory, [base, base + bytes]);
  return context;
}

/**
 * A heap for one thread: one linear memory with its core. Synchronous; the module, of some 16.3 kB, is compiled once per
 * thread. See {@link createSharedHeap} for several threads. May be called in any thread.
 *
 * @throws `ERR_INVALID_ARGUMENT`, naming the option and the value; `ERR_NO_MEMORY`; `ERR_NO_WASM` where the host compiles no
 * WebAssembly.
 * @example
 * const heap = createHeap({ maximum: 2 ** 26 });
 * const pool = heap.create({ size: 64, minNr: 100 });
 */
export function createHeap(options?: HeapOptions): Heap {
  const apiName = "createHeap";
  const plan = planHeap(apiName, options);
  return new Heap(buildHeap(plan, { module: plan.module ?? compile(apiName, plan.core) }, undefined));
}

/**
 * As `createHeap`, but compiles in the background: for a page that must not block.
 *
 * @throws the errors of `createHeap`. As rejections.
 */
export async function createHeapAsync(options?: HeapOptions): Promise<Heap> {
  const apiName = "createHeapAsync";
  const plan = planHeap(apiName, options);
  return new Heap(buildHeap(plan, { module: plan.module ?? (await compileAsync(apiName, plan.core)) }, undefined));
}

/** Where a pool is made. */
export interface OnHeap {
  /**
   * The heap that the pool lives on.
   *
   * @default the program's default heap, made at first use
   */
  readonly heap?: Heap;
}

/**
 * A pool: `minNr` elements set aside now, more as long as memory lasts. O(minNr). Its type says what it holds: see
 * {@link PoolOptions}.
 *
 * @throws `ERR_INVALID_ARGUMENT`, naming the option and the value; `ERR_NO_MEMORY`; `ERR_WOULD_BLOCK` while another thread
 * keeps the lock of the heap's lists; `ERR_NOT_IMPORTED` for a backend of your own without `import "wasm-mempool/backend"`;
 * that backend's error, or `ERR_BACKEND`; and then nothing was allocated.
 * @example
 * const Particle = struct({ x: f32, vx: f32 });
 * const particles = create({ size: Particle, minNr: 100 });
 */
export function create<S extends StructType, Data = unknown>(options: PoolOptions<S, Data> & OnHeap): Pool<S>;
export function create<Data>(options: SizedByData<Data> & OnHeap): Pool<unknown, Data>;
export function create(options: PoolOptions<() => number> & OnHeap): Pool<unknown, void>;
export function create<Data = unknown>(options: PoolOptions<number, Data> & OnHeap): Pool;
export function create(options: PoolOptions & OnHeap): Pool {
  const make = planPool(options, ["heap"]);
  return make(contextOf("create", options.heap));
}

/**
 * An arena, whose memory is taken back all at once.
 *
 * @throws `ERR_INVALID_ARGUMENT`; `ERR_NO_MEMORY`; `ERR_WOULD_BLOCK` while another thread keeps the lock of the heap's lists.
 */
export function createArena(options: ArenaOptions = {}): Arena {
  const make = planArena(options);
  return make(contextOf("createArena", options.heap));
}

let defaultHeap: Heap | undefined;

function contextOf(apiName: string, heap: unknown = (defaultHeap ??= createHeap())): HeapContext {
  const context = (heap as Heap | null)?.context;
  // Not by class: a heap of another copy of this package, of the same version, will do.
  if (context?.front !== heap) invalid(`${apiName}: heap must be a Heap, got ${show(heap)}`);
  return context!;
}
