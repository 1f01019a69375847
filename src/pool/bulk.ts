/** Several elements at once: all or none. Arrays pass to the core in pieces, through this thread's scratch words. */
import { ASKS, BOX, CLOSED, DOUBLE, LAST, SCRATCH_WORDS } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { forEachThenThrow } from "../core/errors.ts";
import { integer, invalid, lengthOf } from "../core/validate.ts";
import type { PoolContext } from "./context.ts";

/**
 * Words of the core's Magazine, whose address is the pool's handle: where its rounds end; where they begin, or 2^32 - 1 while
 * its gate is shut; where they must end, or 0 while it is.
 */
const MAGAZINE_TOP = 0;
const MAGAZINE_EMPTY = 4;
const MAGAZINE_LIMIT = 5;
const MAGAZINE_WORDS = 6;
const ROUND = 8;

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
  const { debug } = pool.heap;
  if (!debug) return takeBulk(pool, apiName, out, count);
  debug.enter(pool, apiName, count);
  try {
    return takeBulk(pool, apiName, out, count);
  } finally {
    debug.settle();
  }
}

function takeBulk(pool: PoolContext, apiName: string, out: Uint32Array, count: number): boolean {
  if (pool.adapter) return allocEach(pool, apiName, out, count);
  if (pool.isSlow) pool.serveWaiters();
  if (count <= SCRATCH_WORDS ? takePiece(pool, out, 0, count) : takePieces(pool, out, count)) return true;
  pool.syncState();
  pool.refuseClosed(apiName);
  return false;
}

/** Fills `out` from `at` on by one call of the core. Returns `out`, or another array in its place; undefined: as takeBulk. */
function takePiece(pool: PoolContext, out: Uint32Array, at: number, count: number): Uint32Array | undefined {
  const { heap, handle } = pool;
  const { core, scratch } = heap;
  const { length } = out;
  // What the magazine serves (but for a debug heap's samples) does not grow the memory, and detaches no array in it. A stale view
  // reads undefined. In Node 20 `byteOffset` costs as much as a call of the core.
  const { u32 } = heap.views;
  const rounds = u32[(handle >>> 2) + MAGAZINE_TOP]! - u32[(handle >>> 2) + MAGAZINE_EMPTY]!;
  const byteOffset = rounds >= ROUND * count && !heap.debug ? 0 : out.byteOffset;
  const isDone = core.mempool_alloc_bulk(handle, scratch, count) !== 0;
  // The core has grown the memory, and that has detached an array in it.
  if (out.length < length) out = new Uint32Array(heap.memory.buffer, byteOffset, length);
  if (!isDone) return undefined;
  const view = heap.viewAt(scratch, count);
  if (view) out.set(view, at);
  else copy(heap.views.words(scratch, count), scratch >>> 2, out, at, count);
  if (pool.spec.zero) for (let i = 0; i < count; i++) core.mempool_zero(handle, out[at + i]!);
  return out;
}

/** The same by several calls, for more elements than the scratch words have room for. `out` is written at the end. */
function takePieces(pool: PoolContext, out: Uint32Array, count: number): boolean {
  // A request in pieces must not grow the memory before the core can see that no memory could hold all of it.
  if (isTooMany(pool, count) || count > pool.maxNr - pool.outstanding) {
    pool.countFailures(1);
    return false;
  }
  const { heap } = pool;
  const { length, byteOffset } = out;
  const words = heap.spareWords(count);
  for (let done = 0; done < count; done += SCRATCH_WORDS) {
    if (takePiece(pool, words, done, Math.min(SCRATCH_WORDS, count - done))) continue;
    freeBulk(pool, words, done);
    return false;
  }
  if (out.length < length) out = new Uint32Array(heap.memory.buffer, byteOffset, length);
  if (words.length === count) out.set(words);
  else copy(words, 0, out, 0, count);
  return true;
}

/** Four at a time: Node 20 checks four times as often otherwise. */
function copy(from: Uint32Array, at: number, to: Uint32Array, index: number, count: number): void {
  const shift = index - at;
  const end = at + count;
  for (; at + 4 <= end; at += 4) {
    to[at + shift] = from[at]!;
    to[at + shift + 1] = from[at + 1]!;
    to[at + shift + 2] = from[at + 2]!;
    to[at + shift + 3] = from[at + 3]!;
  }
  for (; at < end; at++) to[at + shift] = from[at]!;
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
  const { core, scratch, debug } = pool.heap;
  debug?.enterFree(pool, "freeBulk");
  const array = placeFor(pool, count);
  if (array !== 0) {
    let result = freeAt(pool, array, addresses, count);
    if (result === ASKS) {
      debug?.answer(pool, "freeBulk");
      result = freeAt(pool, array, addresses, count);
    }
    if (result === 0 || result === LAST) {
      if (result === LAST) pool.finish();
      debug?.settle();
      return pool.afterFree(count);
    }
  } else debug?.answer(pool, "freeBulk");
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
    debug?.settle();
    pool.refuseElement("free", code, address, from + good);
  }
  for (let from = 0; from < count; from += SCRATCH_WORDS) {
    const n = toScratch(pool.heap, addresses, from, count);
    if (core.mempool_free_bulk(pool.handle, scratch, n) === LAST) pool.finish();
  }
  debug?.settle();
  pool.afterFree(count);
}

/** Frees `count` addresses in one call of the core, which reads them at `array`. */
function freeAt({ heap, handle }: PoolContext, array: number, addresses: Uint32Array, count: number): number {
  const { length } = addresses;
  // A move of too many words, where they have room, is faster than a loop over the right ones.
  const isMoved = length === count || (length <= SCRATCH_WORDS && array === heap.scratch);
  const view = isMoved ? heap.viewAt(array, length) : undefined;
  if (view) view.set(addresses);
  else copy(addresses, 0, heap.views.words(array, count), array >>> 2, count);
  return heap.core.mempool_free_all(handle, array, count);
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

/**
 * Where in linear memory there is a place for `count` addresses that the core frees in one call: the scratch words; or the
 * last words of the pool's magazine, as the core's freeAll says; else 0.
 */
function placeFor({ heap, handle }: PoolContext, count: number): number {
  if (count <= SCRATCH_WORDS) return heap.scratch;
  const words = heap.views.words(handle, MAGAZINE_WORDS);
  const place = words[(handle >>> 2) + MAGAZINE_LIMIT]! - 4 * count;
  return place < words[(handle >>> 2) + MAGAZINE_TOP]! + 4 * count ? 0 : place;
}

/** Copies addresses from an index on to the scratch words, as many as fit; returns how many. */
function toScratch(heap: HeapContext, addresses: Uint32Array, from: number, count: number): number {
  const n = Math.min(SCRATCH_WORDS, count - from);
  copy(addresses, from, heap.views.words(heap.scratch, n), heap.scratch >>> 2, n);
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

/** Whether the heap can never hold so many elements. Only another thread reshapes a pool unheard: then the core is asked. */
const isTooMany = (pool: PoolContext, count: number): boolean =>
  count * (pool.adapter ? BOX : pool.heap.isShared ? pool.elementSize : pool.spec.elementSize) > pool.heap.maximum;

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
