/** Several elements at once: all or none. Arrays pass to the core in pieces, through this thread's scratch words. */
import { BOX, CLOSED, DOUBLE, LAST, SCRATCH_WORDS } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { forEachThenThrow } from "../core/errors.ts";
import { integer, invalid, lengthOf } from "../core/validate.ts";
import type { PoolContext } from "./context.ts";

/** Fills `out[0..count)`, or returns false, and then `out` is unchanged. `waits`: whether the caller then waits. */
export function allocBulk(pool: PoolContext, apiName: string, out: Uint32Array, count: number, waits = false): boolean {
  if (tryAllocBulk(pool, apiName, out, count)) return true;
  if (pool.heap.shrinkers.run()) {
    pool.countFailures(-1);
    if (tryAllocBulk(pool, apiName, out, count)) return true;
  }
  pool.settleFailure(waits);
  return false;
}

function tryAllocBulk(pool: PoolContext, apiName: string, out: Uint32Array, count: number): boolean {
  pool.refuseClosed(apiName);
  pool.heap.debug?.enter();
  if (pool.adapter) return allocEach(pool, apiName, out, count);
  if (pool.isSlow) pool.serveWaiters();
  // A request in pieces must not grow the memory before the core can see that no memory could hold all of it.
  const isBeyond = count > SCRATCH_WORDS && (isTooMany(pool, count) || count > pool.maxNr - pool.outstanding);
  if (isBeyond) {
    pool.countFailures(1);
    return false;
  }
  const { core, scratch, memory } = pool.heap;
  // Before the core grows the memory: that detaches an array in it.
  const isInHeap = out.buffer === wordsAt(pool.heap).buffer;
  const { byteOffset } = out;
  const all = count > SCRATCH_WORDS ? pool.heap.spareWords(count) : undefined;
  for (let done = 0; done < count; done += SCRATCH_WORDS) {
    const n = Math.min(SCRATCH_WORDS, count - done);
    if (!core.mempool_alloc_bulk(pool.handle, scratch, n)) {
      if (all) freeBulk(pool, all, done);
      pool.syncState();
      pool.refuseClosed(apiName);
      return false;
    }
    const words = wordsAt(pool.heap);
    const to = all ?? (isInHeap && out.length < count ? new Uint32Array(memory.buffer, byteOffset, count) : out);
    const from = scratch >>> 2;
    for (let i = 0; i < n; i++) to[done + i] = words[from + i]!;
    if (pool.spec.zero) for (let i = 0; i < n; i++) core.mempool_zero(pool.handle, to[done + i]!);
  }
  if (all) {
    const to = isInHeap && out.length < count ? new Uint32Array(memory.buffer, byteOffset, count) : out;
    for (let i = 0; i < count; i++) to[i] = all[i]!;
  }
  pool.heap.debug?.settle();
  return true;
}

/** A view that shows the scratch words, without a look at the memory's buffer, which costs as much as a call of the core. */
function wordsAt({ views, scratch }: HeapContext): Uint32Array {
  return (scratch >>> 2) + SCRATCH_WORDS <= views.u32.length ? views.u32 : views.refresh().u32;
}

/** The same for a backend of the caller's own. */
function allocEach(pool: PoolContext, apiName: string, out: Uint32Array, count: number): boolean {
  const target = targetOf(out, count, pool.heap);
  const all: number[] = [];
  try {
    while (all.length < count) {
      const element = pool.takeAfterWaiters();
      if (element === 0) break;
      all.push(element);
    }
  } finally {
    if (all.length < count) forEachThenThrow(all, (element) => pool.free(element));
  }
  pool.syncState();
  pool.refuseClosed(apiName);
  if (all.length < count) return false;
  target().set(all);
  return true;
}

/** Takes back `addresses[0..count)`, or throws the error of one of them, and then nothing has changed. */
export function freeBulk(pool: PoolContext, addresses: Uint32Array, count: number): void {
  if (pool.adapter) return freeEach(pool, addresses, count);
  if (pool.isEnded) {
    for (let i = 0; i < count; i++) pool.refuseElement("free", CLOSED, addresses[i], i);
    return;
  }
  pool.heap.debug?.enter();
  const { core, scratch } = pool.heap;
  if (count <= SCRATCH_WORDS) {
    const result = core.mempool_free_all(pool.handle, scratch, toScratch(pool.heap, addresses, 0, count));
    if (result >= 0) {
      if (result === LAST) pool.finish();
      pool.heap.debug?.settle();
      return pool.afterFree(count);
    }
  }
  // Every element is marked first: so the core finds an element that the array names twice, wherever it stands.
  for (let from = 0; from < count; from += SCRATCH_WORDS) {
    const n = toScratch(pool.heap, addresses, from, count);
    const good = core.mempool_mark(pool.handle, scratch, n, 1);
    if (good === n) continue;
    for (let i = 0; i < from; i += SCRATCH_WORDS) {
      core.mempool_mark(pool.handle, scratch, toScratch(pool.heap, addresses, i, count), 0);
    }
    const address = addresses[from + good]!;
    const code = core.mempool_free_check(pool.handle, address) || DOUBLE;
    pool.refuseElement("free", code, address, from + good);
  }
  for (let from = 0; from < count; from += SCRATCH_WORDS) {
    const n = toScratch(pool.heap, addresses, from, count);
    if (core.mempool_free_bulk(pool.handle, scratch, n) === LAST) pool.finish();
  }
  pool.heap.debug?.settle();
  pool.afterFree(count);
}

/** The same for a backend of the caller's own. */
function freeEach(pool: PoolContext, addresses: Uint32Array, count: number): void {
  const seen = new Set<number>();
  for (let i = 0; i < count; i++) {
    const element = addresses[i]!;
    if (element === 0) continue;
    const code = seen.has(element) ? DOUBLE : pool.isEnded ? CLOSED : pool.adapter!.checkFree(element);
    if (code !== 0) pool.refuseElement("free", code, element, i);
    seen.add(element);
  }
  forEachThenThrow(addresses.slice(0, count), (element) => pool.free(element));
}

/** Copies addresses from an index on to the scratch words, as many as fit; returns how many. */
function toScratch(heap: HeapContext, addresses: Uint32Array, from: number, count: number): number {
  const words = wordsAt(heap);
  const to = heap.scratch >>> 2;
  const n = Math.min(SCRATCH_WORDS, count - from);
  for (let i = 0; i < n; i++) words[to + i] = addresses[from + i]!;
  return n;
}

/** Checks the arguments of a bulk request that may wait. */
export function checkBulk(pool: PoolContext, apiName: string, out: Uint32Array, count: number): void {
  integer(apiName, "count", count, 0, lengthOf(apiName, "out", out));
  checkCount(pool, apiName, count);
}

export function checkCount(pool: PoolContext, apiName: string, count: number): void {
  pool.refuseClosed(apiName);
  if (count <= pool.maxNr && !isTooMany(pool, count)) return;
  invalid(`${apiName}: count (${count}) is more than pool "${pool.name}" can ever have`, { pool: pool.name });
}

/** Whether the heap can never hold so many elements. */
const isTooMany = (pool: PoolContext, count: number): boolean =>
  count * (pool.adapter ? BOX : pool.elementSize) > pool.heap.maximum;

/** Writes the elements of a wait to their target, or frees them if that has become too short. */
export function deliver(
  pool: PoolContext,
  apiName: string,
  target: () => Uint32Array,
  elements: readonly number[],
): void {
  const out = target();
  if (out.length >= elements.length) return out.set(elements);
  for (const element of elements) pool.free(element);
  invalid(`${apiName}: out has become too short: its buffer was transferred or resized`, { pool: pool.name });
}

/** A function that gives `out`; or, if that lies in the heap's memory and the memory has grown since, its place in the new buffer. */
export function targetOf(out: Uint32Array, count: number, { memory }: HeapContext): () => Uint32Array {
  const { buffer, byteOffset } = out;
  const isInHeap = buffer === memory.buffer;
  return () => (isInHeap && out.length < count ? new Uint32Array(memory.buffer, byteOffset, count) : out);
}
