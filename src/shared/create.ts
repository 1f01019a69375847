/** How heaps of several threads are made; and how a thread attaches to what another has shared. */
import { NO_HEAP, NO_THREAD } from "../core/abi.ts";
import { retryWhileBusy } from "../core/blocking.ts";
import { HeapContext } from "../core/context.ts";
import { startDebug } from "../core/debugging.ts";
import { MempoolError } from "../core/errors.ts";
import type { HeapHandle, PoolHandle } from "../core/handles.ts";
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
 * {@link createHeap}; both halves of its core, of 16.0 kB and 11.8 kB, are compiled once per thread. May be called in any thread.
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
 * A heap or a pool that another thread has shared: `share()` there, then postMessage. A thread gets the same object for the
 * same heap or pool each time, until it detaches, whichever thread's `share()` made the argument. Works in windows, workers
 * and AudioWorklets. Compiles nothing. O(1).
 *
 * @throws `ERR_INVALID_ARGUMENT`; `ERR_NO_MEMORY` if the heap has 63 threads, or no memory for one more; `ERR_CLOSED` if the
 * heap or the pool has ended; `ERR_WOULD_BLOCK` if another thread keeps the lock of the heap's lists for a second;
 * `ERR_NO_WASM`; `ERR_NOT_IMPORTED` for a backend of your own without `import "wasm-mempool/backend"`.
 */
export function attach(shared: HeapHandle): SharedHeap;
export function attach<S extends StructType>(
  shared: PoolHandle,
  options: AttachOptions<S> & { size: S },
): SharedPool<S>;
export function attach<Data = never>(
  shared: PoolHandle,
  options?: AttachOptions<(data: Data) => number>,
): SharedPool<unknown, Data>;
export function attach(shared: HeapHandle | PoolHandle, options?: object): SharedHeap | SharedPool {
  const apiName = "attach";
  if (typeof shared !== "object" || shared === null)
    invalid(`${apiName}: shared must be an object of share(), got ${show(shared)}`);
  if (!("heap" in shared)) return attachHeap(apiName, shared).front as SharedHeap;
  const heap = attachHeap(apiName, shared.heap);
  return attachPool(apiName, heap, shared, options) as SharedPool;
}

function attachHeap(apiName: string, shared: HeapHandle): HeapContext {
  const keys = ["memory", "module", "control", "address", "id", "lives", "label", "inspector"] as const;
  const { memory, module, control, address, id, lives, label = 0, inspector } = checkOptions(apiName, shared, keys);
  requireWasm(apiName);
  const known = joinedHeap(id);
  if (known) return known;
  const isHeap =
    isSharedBuffer(lives) &&
    lives.byteLength === livesBytes &&
    isUint32(label) &&
    isSharedBuffer(bufferOf(memory)) &&
    exportsOf(module) !== undefined &&
    isWhole(module) === (control === undefined) &&
    typeof id === "string" &&
    isUint32(address);
  if (!isHeap) invalid(`${apiName}: shared must be an object of share()`);
  const modules = { module, control };
  const core = instantiate(apiName, modules, memory);
  const own = label || labelOfThread();
  if (!retryWhileBusy(apiName, core, () => core.heap_attach(address, own))) {
    const error = core.heap_error();
    if (error === NO_HEAP) throw new MempoolError("ERR_CLOSED", `${apiName}: the heap at ${hex(address)} has ended`);
    const what = error === NO_THREAD ? "63 threads already" : "no memory for one more thread";
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: the heap has ${what}`);
  }
  const inspection = new Inspection(memory, true, inspector);
  const context = new HeapContext({ memory, core, modules, address, inspection, sharing: new Threads() });
  startDebug(apiName, context, undefined);
  return new SharedHeap(context, { id, lives, label: own }).context;
}
