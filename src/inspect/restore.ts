/** A heap that goes on where a dump left it. */
import { EXTERNAL, WASM_PAGE } from "../core/abi.ts";
import { HeapContext } from "../core/context.ts";
import { MempoolError } from "../core/errors.ts";
import { Inspection } from "../core/inspection.ts";
import { compile, plainCore, requireWasm } from "../core/modules.ts";
import { invalid } from "../core/validate.ts";
import { instantiate } from "../heap/create.ts";
import { claimExtent } from "../heap/end.ts";
import { Heap } from "../heap/heap.ts";
import { PoolContext } from "../pool/context.ts";
import { Pool } from "../pool/pool.ts";
import { unpack } from "./dump.ts";

/** What {@link restoreHeap} returns. */
export interface Restored {
  readonly heap: Heap;
  /** The pools that were open, by their names. */
  readonly pools: ReadonlyMap<string, Pool>;
}

/**
 * The heap of a dump, alive again in a new memory: its elements are outstanding at the addresses that they had. For snapshots,
 * and to try things on another machine. Only a heap that is neither shared nor a debug heap. The heap knows no
 * callback of the program that made the dump: its pools cannot be reshaped, and the memory of arenas stays taken until
 * {@link Heap.exit}. A damaged heap is not restored: see {@link HeapImage.check}.
 *
 * @throws `ERR_INVALID_ARGUMENT`, as {@link readDump}, and for another heap; `ERR_NO_MEMORY`, `ERR_NO_WASM`.
 * @example
 * const { heap, pools } = restoreHeap(readFileSync("heap.dump"));
 * for (const at of pools.get("particles")!.live()) console.log(Particle.at(heap, at).x);
 */
export function restoreHeap(bytes: Uint8Array): Restored {
  const apiName = "restoreHeap";
  requireWasm(apiName);
  const { text, bytes: length, copyTo } = unpack(apiName, bytes);
  if (text.isShared) invalid(`${apiName}: bytes are a dump of a heap that is shared: see readDump`);
  if (text.isDebug) invalid(`${apiName}: bytes are a dump of a debug heap: see readDump`);
  const hosted = text.pools.find((pool) => pool.hosted);
  if (hosted)
    invalid(`${apiName}: pool "${hosted.name}" has a backend of the caller's own, whose elements are in no dump`);
  const module = compile(apiName, plainCore);
  const core = instantiate(apiName, { module }, undefined);
  const memory = core.memory!;
  try {
    memory.grow((length - memory.buffer.byteLength) / WASM_PAGE);
  } catch (cause) {
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: the host gives no ${length} bytes of memory`, { cause });
  }
  copyTo(new Uint8Array(memory.buffer));
  const { address } = text;
  if (!core.heap_attach(address, 0)) invalid(`${apiName}: bytes have no heap at their address`);
  const inspection = new Inspection(memory, false, undefined);
  const context = new HeapContext({ memory, core, modules: { module }, address, inspection, sharing: undefined });
  context.releaseExtent = claimExtent(memory, [0, length]);
  const heap = new Heap(context);
  const problems = heap.check();
  if (problems.length > 0) invalid(`${apiName}: the heap is damaged: ${problems[0]}`);
  const pools = new Map<string, Pool>();
  for (const { handle, backend: kind, isClosed, name, align, maxNr, zero, elementSize, minNr } of text.pools) {
    if (isClosed) continue;
    const spec = {
      name,
      align,
      maxNr: maxNr ?? Infinity,
      maxWaiters: Infinity,
      zero,
      hosted: kind === EXTERNAL,
      elementSize,
      minNr,
    };
    pools.set(name, new Pool(new PoolContext(context, handle, spec, { kind })));
  }
  return { heap, pools };
}
