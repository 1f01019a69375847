/**
 * Pools for programs in AssemblyScript, compiled into their module: `import { create, alloc, free } from
 * "wasm-mempool/assembly"`. Elements are unmanaged memory: the collector neither visits nor frees them.
 *
 * With the runtime of this package (runtime.ts) pools and managed objects share one heap. With AssemblyScript's own, `init`
 * comes first: it makes a heap in a block of that allocator's. The whole ABI is in wasm-mempool/assembly/abi/core.
 */
import {
  heap_create,
  mempool_alloc,
  mempool_create,
  mempool_curr_nr,
  mempool_exit,
  mempool_free,
  mempool_outstanding,
  mempool_resize,
  mempool_zalloc,
} from "./abi/core";
import { BACKEND_SLAB, Magazine } from "./base/layout";
import { reserve as reserveBlocks } from "./malloc/malloc";
import { startHeap } from "./malloc/start";

export { heap_error, heap_left, heap_trim } from "./abi/core";

/** No limit, as max_nr. */
export const UNLIMITED: u32 = -1;

/** Bytes before a managed object's own: the block's and the collector's headers. */
const OVERHEAD: u32 = 32;

/**
 * Makes a heap of `bytes`, at least 53,248, which never grows, in a block of AssemblyScript's allocator. Without effect in a
 * program with the runtime of this package. False: there is a heap already, or too few bytes.
 */
export function init(bytes: u32): bool {
  if (isDefined(WASM_MEMPOOL_RUNTIME)) return startHeap() != 0;
  return heap_create(<u32>heap.alloc(bytes), bytes, 0, false) != 0;
}

/**
 * A pool of elements of `size` bytes with `minNr` in its reserve: they are given when memory is gone. Or 0: see heap_error.
 * `align`: a power of two up to 4096. O(minNr).
 */
export function create(size: u32, minNr: u32 = 0, maxNr: u32 = UNLIMITED, align: u32 = 8): usize {
  if (isDefined(WASM_MEMPOOL_RUNTIME)) startHeap();
  return changetype<usize>(mempool_create(size, align, minNr, maxNr, BACKEND_SLAB));
}


@inline
function handle(pool: usize): Magazine {
  return changetype<Magazine>(pool);
}

/** An element; or 0, also none in the reserve. O(1). */
export function alloc(pool: usize): usize {
  return mempool_alloc(handle(pool));
}

/** The same, zeroed. */
export function zalloc(pool: usize): usize {
  return mempool_zalloc(handle(pool));
}

/** Frees an element: 0, or 1 for the last of a closed pool; or a negative code, and nothing has changed. O(1). */
export function free(pool: usize, element: usize): i32 {
  return mempool_free(handle(pool), element);
}

/** Sets the reserve's target: 1; 0, memory is short, and frees fill it; or a negative code. */
export function resize(pool: usize, minNr: u32): i32 {
  return mempool_resize(handle(pool), minNr);
}

/** Elements outstanding. */
export function outstanding(pool: usize): u32 {
  return mempool_outstanding(handle(pool));
}

/** Elements in the reserve. */
export function reserved(pool: usize): u32 {
  return mempool_curr_nr(handle(pool));
}

/** Closes the pool: its elements may still be freed. How many are outstanding; the pool is gone with the last. */
export function exit(pool: usize): u32 {
  return mempool_exit(handle(pool));
}

/** A pool of an `@unmanaged` class. Its elements are not constructed: their fields are what memory has. */
export class Pool<T> {
  /** For the functions of this module. */
  readonly handle: usize;

  /** Traps if memory is gone, or a T has more than 2^24 bytes. */
  constructor(minNr: u32 = 0, maxNr: u32 = UNLIMITED) {
    this.handle = assert(create(<u32>offsetof<T>(), minNr, maxNr, 16));
  }

  alloc(): T | null {
    return changetype<T | null>(alloc(this.handle));
  }

  zalloc(): T | null {
    return changetype<T | null>(zalloc(this.handle));
  }

  /** As the function `free`. */
  free(element: T): i32 {
    return free(this.handle, changetype<usize>(element));
  }

  exit(): u32 {
    return exit(this.handle);
  }
}

/**
 * With the runtime of this package: sets `count` blocks aside for managed objects of up to `bytes`, and of fewer that the same
 * class serves: they are given when all other memory is gone. As resize.
 */
export function reserve(bytes: u32, count: u32): i32 {
  return reserveBlocks(bytes + OVERHEAD, count);
}
