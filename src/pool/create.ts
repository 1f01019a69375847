/** How a Pool is made, and how a thread gets its own Pool of one that another thread has shared. */
import { BOX, EXTERNAL, NO_MEMORY, UNLIMITED } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { MempoolError } from "../core/errors.ts";
import type { PoolHandle } from "../core/handles.ts";
import { invalid, show } from "../core/validate.ts";
import { PoolContext } from "./context.ts";
import { closedError, noMemory } from "./errors.ts";
import { attachOptions, checkShared, countPool, poolOptions, type AttachOptions, type PoolOptions } from "./options.ts";
import { Pool } from "./pool.ts";

/** Checks the options; returns a function that makes the pool. So a call with a wrong option makes no heap either. */
export function planPool(
  options: PoolOptions & { readonly heap?: unknown },
  more: readonly "heap"[] = [],
): (heap: HeapContext) => Pool {
  const apiName = "create";
  const { spec, local } = poolOptions(apiName, options, more);
  return (heap) => {
    const { core } = heap;
    const bytes = local.kind === EXTERNAL ? BOX : spec.elementSize;
    const most = Math.min(spec.maxNr, UNLIMITED);
    const create = () => core.mempool_create(bytes, spec.align, spec.minNr, most, local.kind);
    const handle = heap.retryWhileBusy(apiName, create);
    if (handle === 0) throw noMemory(apiName, heap, spec.name, spec.minNr, spec.elementSize);
    countPool();
    const context = new PoolContext(heap, handle, spec, local);
    const pool = new Pool(context);
    fillReserve(apiName, context);
    return pool;
  };
}

/** Fills the reserve of a new pool with a backend of the caller's own; ends the pool if the backend has not enough. */
function fillReserve(apiName: string, pool: PoolContext): void {
  if (!pool.adapter) return;
  pool.adapter.isOwn = true;
  let isFull = false;
  try {
    isFull = pool.adapter.fillReserve();
  } finally {
    if (!isFull) pool.exit();
  }
  if (!isFull) throw noMemory(apiName, pool.heap, pool.name, pool.spec.minNr, pool.elementSize);
}

/** This thread's Pool of one that `Pool.share` was called for: the same object each time. */
export function attachPool(apiName: string, heap: HeapContext, shared: PoolHandle, options: AttachOptions = {}): Pool {
  checkShared(apiName, shared);
  const { heap: _heap, address, serial, ...spec } = shared;
  const { name, hosted } = spec;
  const local = attachOptions(apiName, shared, options);
  const known = [...heap.pools].find((pool) => pool.serial === serial) as PoolContext | undefined;
  if (known) {
    known.syncState();
    if (known.isClosed) throw closedError(apiName, name);
    return known.front as Pool;
  }
  if (hosted !== (local.backend !== undefined)) {
    const [has, got] = [hosted ? "needs a" : "has no", show(options.backend)];
    invalid(`${apiName}: pool "${name}" ${has} backend of your own, got ${got}`);
  }
  const { core } = heap;
  const handle = heap.retryWhileBusy(apiName, () => core.mempool_attach(address, serial));
  if (handle === 0) {
    if (core.heap_error() !== NO_MEMORY) throw closedError(apiName, name);
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: no memory for a handle of pool "${name}"`, { pool: name });
  }
  return new Pool(new PoolContext(heap, handle, spec, local));
}
