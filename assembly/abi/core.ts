/**
 * The ABI that every host sees. C names, i32 and f64 only; an address is a u32, and 0 is none. include/wasm_mempool.h documents it.
 *
 * An instance serves one heap, which heap_create makes or heap_attach joins. A host may pass a null handle, or call
 * before there is a heap: each function here checks that first, and then touches no memory. No function below checks it
 * again.
 */
import { BAD_ARGUMENT, fail, heap_error, isNone, none, noneCode } from "../base/error";
import { hasHeap, heap, scratch } from "../base/instance";
import { Arena, Magazine, PAGE_SHIFT } from "../base/layout";
import { exitArena, resetArena } from "../memory/arena";
import { heapFaults, pagesToCome } from "../memory/growth";
import { freePages } from "../memory/runs";
import { describeSlab } from "../memory/walk";
import { allocInline, allocPreallocated, zallocHit, zero } from "../pool/alloc";
import { allocInArena, createArena } from "../pool/arenas";
import { allocBulk, freeAll, freeBulk, markBulk } from "../pool/bulk";
import { checkFree } from "../pool/element";
import { drainBoxes, fillBoxes, returnBox, takeBox } from "../pool/external";
import { freeInline } from "../pool/free";
import { createPool, exitPool, refreshPool } from "../pool/lifecycle";
import { current, elementSize, faultsOf, isNull, outstanding, poolOf } from "../pool/pool";
import { reclaim } from "../pool/reclaim";
import { currNr, minNr, takeLowWatermark } from "../pool/reserve";
import { reshapePool, resizePool } from "../pool/resize";
import { attachHeap, createHeap, exitHeap } from "../threads/heaps";

export { heap_error };

const ABI_VERSION: u32 = 4;

export function abi_version(): u32 {
  return ABI_VERSION;
}

/* The heap. */

export function heap_create(base: u32, bytes: u32, maxPages: u32, grows: bool): usize {
  return createHeap(base, bytes, maxPages, grows);
}

export function heap_attach(address: usize, label: u32): bool {
  return attachHeap(address, label);
}

export function heap_exit(): bool {
  return hasHeap() ? exitHeap() : <bool>none();
}

export function heap_scratch(): usize {
  return hasHeap() ? scratch() : none();
}

export function heap_max_pages(): u32 {
  return hasHeap() ? heap().maxPages : none();
}

export function heap_left(): u32 {
  return hasHeap() ? freePages() + pagesToCome() : none();
}

/** Returns the bytes by which free pages grew. */
export function heap_trim(): u32 {
  if (!hasHeap()) return none();
  const before = freePages();
  reclaim();
  return (freePages() - before) << PAGE_SHIFT;
}

export function heap_faults(): usize {
  return hasHeap() ? heapFaults() : none();
}

/* Pools. */

export function mempool_create(size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Magazine {
  return hasHeap() ? createPool(size, align, minNr, maxNr, backend) : changetype<Magazine>(<usize>none());
}

export function mempool_exit(m: Magazine): u32 {
  return isNull(m) ? none() : exitPool(m);
}

export function mempool_alloc(m: Magazine): usize {
  return isNull(m) ? none() : allocInline(m);
}

export function mempool_zalloc(m: Magazine): usize {
  const element = isNull(m) ? 0 : zallocHit(m);
  return element || zero(m, mempool_alloc(m));
}

export function mempool_alloc_preallocated(m: Magazine): usize {
  return isNull(m) ? none() : allocPreallocated(m);
}

export function mempool_zero(m: Magazine, element: usize): usize {
  return isNull(m) ? none() : zero(m, element);
}

export function mempool_free(m: Magazine, element: usize): i32 {
  return isNull(m) ? noneCode() : freeInline(m, element);
}

export function mempool_free_check(m: Magazine, element: usize): i32 {
  return isNull(m) ? noneCode() : checkFree(m, element);
}

export function mempool_alloc_bulk(m: Magazine, array: usize, count: u32): bool {
  if (isNull(m)) return <bool>none();
  return !array && count ? <bool>fail(BAD_ARGUMENT) : allocBulk(m, array, count);
}

export function mempool_mark(m: Magazine, array: usize, count: u32, mark: bool): u32 {
  return isNull(m) ? none() : markBulk(m, array, count, mark);
}

export function mempool_free_bulk(m: Magazine, array: usize, count: u32): i32 {
  return isNull(m) ? noneCode() : freeBulk(m, array, count);
}

export function mempool_free_all(m: Magazine, array: usize, count: u32): i32 {
  if (isNull(m)) return noneCode();
  return !array && count ? BAD_ARGUMENT : freeAll(m, array, count);
}

export function mempool_resize(m: Magazine, minNr: u32): i32 {
  return isNull(m) ? noneCode() : resizePool(m, minNr);
}

export function mempool_reshape(m: Magazine, size: u32, align: u32): i32 {
  return isNull(m) ? noneCode() : reshapePool(m, size, align);
}

export function mempool_size(m: Magazine, element: usize): u32 {
  return isNull(m) ? none() : elementSize(m, element);
}

export function mempool_curr_nr(m: Magazine): u32 {
  return isNull(m) ? none() : currNr(current(poolOf(m)));
}

export function mempool_min_nr(m: Magazine): u32 {
  return isNull(m) ? none() : minNr(current(poolOf(m)));
}

export function mempool_outstanding(m: Magazine): u32 {
  return isNull(m) ? none() : outstanding(poolOf(m));
}

export function mempool_take_low_watermark(m: Magazine): u32 {
  return isNull(m) ? none() : takeLowWatermark(current(poolOf(m)));
}

export function mempool_add_failures(m: Magazine, n: i32): void {
  if (isNull(m)) none();
  else m.failures += <i64>n;
}

export function mempool_faults(m: Magazine): usize {
  return isNull(m) ? none() : faultsOf(poolOf(m));
}

export function mempool_refresh(m: Magazine): void {
  if (isNull(m)) none();
  else refreshPool(m);
}

export function mempool_next_slab(m: Magazine, from: usize, array: usize): usize {
  return isNull(m) ? none() : describeSlab(changetype<usize>(poolOf(m)), from, array);
}

/* Boxes of an external backend. */

export function mempool_box_alloc(m: Magazine, counts: bool): usize {
  return isNull(m) ? none() : takeBox(m, counts);
}

export function mempool_box_free(m: Magazine, box: usize, counted: bool): i32 {
  return isNull(m) ? noneCode() : returnBox(m, box, counted);
}

export function mempool_box_fill(m: Magazine, array: usize, count: u32): u32 {
  return isNull(m) ? none() : fillBoxes(m, array, count);
}

export function mempool_box_drain(m: Magazine, array: usize, count: u32): i32 {
  return isNull(m) ? <i32>none() : drainBoxes(m, array, count);
}

/* Arenas. */

export function arena_create(chunkBytes: u32): Arena {
  return hasHeap() ? createArena(chunkBytes) : changetype<Arena>(<usize>none());
}

export function arena_alloc(arena: Arena, bytes: u32, align: u32): usize {
  return isNone(changetype<usize>(arena)) ? none() : allocInArena(arena, bytes, align);
}

export function arena_mark(arena: Arena): usize {
  return isNone(changetype<usize>(arena)) ? none() : arena.position;
}

export function arena_reset(arena: Arena, mark: usize): bool {
  return isNone(changetype<usize>(arena)) ? <bool>none() : resetArena(arena, mark);
}

export function arena_exit(arena: Arena): void {
  if (isNone(changetype<usize>(arena))) none();
  else exitArena(arena);
}
