/** How heaps of several threads are made; and how a thread attaches to what another has shared. */
import { NO_HEAP, NO_THREAD, type Core } from "../core/abi.ts";
import { retryWhileBusy } from "../core/blocking.ts";
import { HeapContext } from "../core/context.ts";
import type { AttachDebugOptions, AttachHeapOptions } from "../core/debug-types.ts";
import { debugging, startDebug } from "../core/debugging.ts";
import { MempoolError } from "../core/errors.ts";
import type { HeapHandle, PoolHandle, QueueHandle } from "../core/handles.ts";
import { Inspection } from "../core/inspection.ts";
import {
  bufferOf,
  compile,
  compileAsync,
  exportsOf,
  isSharedBuffer,
  requireWasm,
  sharedCore,
} from "../core/modules.ts";
import type { WasmModule } from "../core/types.ts";
import { checkOptions, hex, invalid, isUint32, show } from "../core/validate.ts";
import { buildHeap, checkHeapOptions, checkModule, instantiate, type HeapOptions, type Plan } from "../heap/create.ts";
import { attachPool } from "../pool/create.ts";
import type { AttachOptions } from "../pool/options.ts";
import type { StructType } from "../struct/index.ts";
import { labelOfThread, livesBytes } from "./lives.ts";
import { attachQueue, type Queue } from "./queue.ts";
import { SharedHeap, type SharedPool } from "./shared-heap.ts";
import { joinedHeap, Threads } from "./threads.ts";

/** What {@link createSharedHeap} takes. */
export interface SharedHeapOptions extends HeapOptions {
  /**
   * The core, already compiled: this package's core.shared.wasm, with `control`; or core.checked.wasm, without.
   * @default compiled by the call
   */
  readonly module?: WasmModule;
  /** With core.shared.wasm as `module`: its second half, control.shared.wasm, already compiled. */
  readonly control?: WasmModule;
}

const optionNames = [
  "initial",
  "maximum",
  "memory",
  "grows",
  "region",
  "module",
  "control",
  "inspector",
  "debug",
] as const;

/** Whether a module is a core that needs no second half. */
const isWhole = (module: WasmModule): boolean => exportsOf(module)!.some(({ name }) => name === "mempool_create");

function planHeap(apiName: string, options: SharedHeapOptions | undefined): Plan & { control: WasmModule | undefined } {
  const { control, ...rest } = checkOptions(apiName, options, optionNames);
  const plan = checkHeapOptions(apiName, rest, sharedCore, true);
  if (control !== undefined) checkModule(apiName, "control", control, "heap_reap", "control module");
  if (plan.module !== undefined && isWhole(plan.module) === (control !== undefined)) {
    invalid(`${apiName}: module ${control ? "is whole, and takes no control" : "is a half, and needs control"}`);
  }
  if (control !== undefined && plan.module === undefined) invalid(`${apiName}: control needs module`);
  return { ...plan, control };
}

/**
 * A heap for several threads: `heap.memory.buffer` is a SharedArrayBuffer. Other threads join by {@link attach}. Otherwise as
 * {@link createHeap}; both halves of its core, of 17.1 kB and 12.9 kB, are compiled once per thread. May be called in any thread.
 *
 * @throws the errors of `createHeap`.
 * @example
 * const heap = createSharedHeap({ maximum: 2 ** 26 });
 * const pool = heap.create({ size: 64, minNr: 100 });
 * heap.watch(worker);
 * worker.postMessage(pool.share(worker)); // there: const pool = attach(event.data)
 */
export function createSharedHeap(options?: SharedHeapOptions): SharedHeap {
  const apiName = "createSharedHeap";
  const plan = planHeap(apiName, options);
  const { module = compile(apiName, plan.core), control } = plan;
  return new SharedHeap(buildHeap(plan, { module, control }, new Threads()));
}

/**
 * As `createSharedHeap`, but compiles in the background: for a page that must not block.
 *
 * @throws the errors of `createSharedHeap`. As rejections.
 */
export async function createSharedHeapAsync(options?: SharedHeapOptions): Promise<SharedHeap> {
  const apiName = "createSharedHeapAsync";
  const plan = planHeap(apiName, options);
  const { module = await compileAsync(apiName, plan.core), control } = plan;
  return new SharedHeap(buildHeap(plan, { module, control }, new Threads()));
}

/**
 * A heap, a pool or a queue that another thread has shared: `share()` there, then postMessage. A thread gets the same object
 * for the same heap or pool each time, until it detaches, whichever thread's `share()` made the argument. Works in windows,
 * workers and AudioWorklets. Compiles nothing. O(1).
 *
 * A message, and Node's `workerData`, are `any` to TypeScript, and the result is then a SharedHeap: give the argument its type,
 * as below. A debug heap needs `import "wasm-mempool/debug"` in each thread.
 *
 * @throws `ERR_INVALID_ARGUMENT`; `ERR_NO_MEMORY` if the heap has 63 threads, or no memory for one more; `ERR_CLOSED` if the
 * heap has ended, or after `exit` of the pool, even with elements outstanding, or of the queue; `ERR_WOULD_BLOCK` if another
 * thread keeps the lock of the heap's lists for a second; `ERR_NO_WASM`; `ERR_NOT_IMPORTED` for a backend of your own without
 * `import "wasm-mempool/backend"`.
 * @example
 * const tiles = attach(data.tiles as PoolHandle, { size: Tile });
 * const jobs = attach<typeof Tile>(data.jobs as QueueHandle);
 */
export function attach(shared: HeapHandle, options?: AttachHeapOptions): SharedHeap;
export function attach<S extends StructType>(
  shared: PoolHandle,
  options: AttachOptions<S> & { size: S },
): SharedPool<S>;
// Before the next, so that attach<T>() of an `any` is a queue.
export function attach<T = unknown>(shared: QueueHandle, options?: AttachHeapOptions): Queue<T>;
export function attach<Data = never>(
  shared: PoolHandle,
  options?: AttachOptions<(data: Data) => number>,
): SharedPool<unknown, Data>;
export function attach(
  shared: HeapHandle | PoolHandle | QueueHandle,
  options?: AttachOptions,
): SharedHeap | SharedPool | Queue {
  const apiName = "attach";
  if (typeof shared !== "object" || shared === null || "share_and_attach" in shared) refuseShared(apiName, shared);
  const isPool = "heap" in shared && !("queue" in shared);
  if (!isPool && Object.keys(options ?? {}).some((key) => key !== "debug")) {
    invalid(`${apiName}: options but debug are for a pool, and shared is none`);
  }
  const { debug } = options ?? {};
  if (!("heap" in shared)) return attachHeap(apiName, shared, debug).front as SharedHeap;
  const heap = attachHeap(apiName, shared.heap, debug);
  if ("queue" in shared) return attachQueue(apiName, heap, shared);
  return attachPool(apiName, heap, shared, options) as SharedPool;
}

const heapKeys = /* @__PURE__ */ new Set([
  "memory",
  "module",
  "control",
  "address",
  "id",
  "lives",
  "label",
  "inspector",
]);

function refuseShared(apiName: string, shared: unknown): never {
  const { [Symbol.toStringTag]: name } = Object(shared) as { [Symbol.toStringTag]?: string };
  const isObject = typeof shared === "object" && shared !== null && !Array.isArray(shared);
  const got = isObject ? (name ?? `an object of ${Object.keys(shared).join(", ") || "nothing"}`) : show(shared);
  invalid(`${apiName}: shared must be what share() returned, got ${got}`);
}

/** The options for a debug heap; undefined if there are none. Refuses before this thread joins the heap. */
function checkDebug(apiName: string, core: Core, debug: AttachHeapOptions["debug"]): AttachDebugOptions | undefined {
  const isDebug = "debug_site" in core;
  const wants = debug !== undefined && debug !== false;
  if (wants && !isDebug) {
    invalid(`${apiName}: debug is for a debug heap, and this heap is none: its maker gives debug to createSharedHeap`);
  }
  if (!isDebug) return undefined;
  const { check } = debugging.get(apiName);
  if (!wants) return undefined;
  const options = check(apiName, debug);
  if (options.sample === undefined) return options;
  return invalid(`${apiName}: debug.sample is for the heap's maker, which gives it to createSharedHeap`);
}

function attachHeap(apiName: string, shared: HeapHandle, debug: AttachHeapOptions["debug"]): HeapContext {
  if (Object.keys(shared ?? {}).some((key) => !heapKeys.has(key))) refuseShared(apiName, shared);
  const { memory, module, control, address, id, lives, label = 0, inspector } = shared ?? {};
  requireWasm(apiName);
  const known = joinedHeap(id);
  if (known) {
    const options = checkDebug(apiName, known.core, debug);
    if (options) known.debug!.use(options);
    return known;
  }
  const isHeap =
    isSharedBuffer(lives) &&
    lives.byteLength === livesBytes &&
    isUint32(label) &&
    isSharedBuffer(bufferOf(memory)) &&
    exportsOf(module) !== undefined &&
    isWhole(module) === (control === undefined) &&
    typeof id === "string" &&
    isUint32(address);
  if (!isHeap) refuseShared(apiName, shared);
  const modules = { module, control };
  const core = instantiate(apiName, modules, memory);
  const options = checkDebug(apiName, core, debug);
  const own = label || labelOfThread();
  if (!retryWhileBusy(apiName, core, () => core.heap_attach(address, own))) {
    const error = core.heap_error();
    if (error === NO_HEAP) throw new MempoolError("ERR_CLOSED", `${apiName}: the heap at ${hex(address)} has ended`);
    const what = error === NO_THREAD ? "63 threads already" : "no memory for one more thread";
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: the heap has ${what}`);
  }
  const inspection = new Inspection(memory, true, inspector);
  const context = new HeapContext({ memory, core, modules, address, inspection, sharing: new Threads() });
  startDebug(apiName, context, options);
  return new SharedHeap(context, { id, lives, label: own }).context;
}
