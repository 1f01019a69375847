/** Changes of a pool's reserve and of its elements' size. */
import { BUSY, CLOSED, MAX_MIN_NR, NO_MEMORY } from "../core/abi.ts";
import { MempoolError } from "../core/errors.ts";
import { integer, invalid, show } from "../core/validate.ts";
import type { PoolContext } from "./context.ts";
import { noMemory } from "./errors.ts";
import { alignOf, layoutOf, type Layout } from "./options.ts";

/** How deep a size callback may reshape its own pool. */
const MAX_DEPTH = 8;

/** Sets the reserve's target size. Whether the reserve is full. */
export function resize(pool: PoolContext, minNr: number): boolean {
  const apiName = "resize";
  integer(apiName, "minNr", minNr, 0, MAX_MIN_NR);
  if (minNr > pool.maxNr)
    invalid(`${apiName}: minNr (${minNr}) must not be above maxNr (${pool.maxNr})`, { pool: pool.name });
  pool.syncState();
  pool.refuseClosed(apiName);
  const result = pool.heap.core.mempool_resize(pool.handle, minNr);
  checkResult(pool, apiName, result, minNr, pool.elementSize);
  pool.spec = { ...pool.spec, minNr };
  let isFull = result === 1;
  if (pool.adapter) {
    pool.adapter.releaseSurplus();
    isFull = pool.adapter.fillReserve();
    pool.syncState();
    pool.refuseClosed(apiName);
  }
  pool.afterFree(Infinity);
  return isFull;
}

/** Asks the size callback again, with other data, and gives the pool elements of that size. */
export function reshape(pool: PoolContext, data: unknown): void {
  const apiName = "reshape";
  const { size, align, kind } = pool.local;
  if (typeof size !== "function") {
    const what = `has no size callback to call, in this thread, with data ${show(data)}`;
    invalid(`${apiName}: pool "${pool.name}" ${what}`, { pool: pool.name });
  }
  if (pool.adapter) {
    const what = "has a backend of your own: its elements have no size";
    invalid(`${apiName}: pool "${pool.name}" ${what}`, { pool: pool.name });
  }
  pool.syncState();
  pool.refuseClosed(apiName);
  const layout = callSize(pool, apiName, size, data);
  // The callback may have done anything.
  pool.syncState();
  pool.refuseClosed(apiName);
  if (layout.size === pool.elementSize) return;
  const to = alignOf(kind, align ?? pool.align);
  const result = pool.heap.core.mempool_reshape(pool.handle, layout.size, to);
  checkResult(pool, apiName, result, pool.minNr, layout.size);
  pool.spec = { ...pool.spec, elementSize: layout.size };
  pool.afterFree(Infinity);
}

function callSize(pool: PoolContext, apiName: string, size: unknown, data: unknown): Layout {
  if (pool.reshaping === MAX_DEPTH) {
    const what = `calls its size callback, which reshapes it, ${MAX_DEPTH} deep`;
    throw new MempoolError("ERR_WOULD_BLOCK", `${apiName}: pool "${pool.name}" ${what}`, { pool: pool.name });
  }
  pool.reshaping++;
  try {
    return layoutOf(apiName, size, data);
  } finally {
    pool.reshaping--;
  }
}

/** Throws the error of a refusal. */
function checkResult(pool: PoolContext, apiName: string, result: number, minNr: number, elementSize: number): void {
  if (result === BUSY) {
    const what = `another thread is resizing or reshaping pool "${pool.name}": try again`;
    throw new MempoolError("ERR_WOULD_BLOCK", `${apiName}: ${what}`, { pool: pool.name });
  }
  if (result === NO_MEMORY) throw noMemory(apiName, pool.heap, pool.name, minNr, elementSize);
  if (result !== CLOSED) return;
  pool.syncState();
  pool.refuseClosed(apiName);
}
