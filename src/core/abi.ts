/** The core as TypeScript sees it: its exports, its codes and its limits. include/wasm_mempool.h describes all of them. */
import type { WasmMemory } from "./types.ts";

export const ABI_VERSION = 4;

/* What the core's functions return instead of 0, or heap_error gives after a 0. */
export const LAST = 1;
export const NOT_STORED = 2;
/** A debug heap asks from where the caller frees: the caller tells it, and calls again. */
export const ASKS = 3;
export const FOREIGN = -1;
export const DOUBLE = -2;
export const INTERIOR = -3;
export const MISALIGNED = -4;
export const INVALID = -5;
export const CLOSED = -6;
export const BUSY = -7;
export const NO_MEMORY = -8;
export const BAD_ARGUMENT = -9;
export const NO_HEAP = -10;
export const NO_THREAD = -11;

/** The largest element, in bytes. */
export const MAX_SIZE: number = 2 ** 24;
/** The strictest alignment, in bytes. */
export const MAX_ALIGN = 4096;
/** The largest reserve, in elements. */
export const MAX_MIN_NR: number = 2 ** 28;
/** The maxNr of a pool without a cap. */
export const UNLIMITED: number = 2 ** 32 - 1;
/** Numbers of threads; the last is that of threads that have left, so a heap has 63 at most. */
export const MAX_THREADS = 64;
/** The number of no thread; where a call asks for a thread, any. */
export const NOBODY: number = 2 ** 32 - 1;
/** Words in a thread's scratch area. */
export const SCRATCH_WORDS = 256;
/** Bytes in a page of the heap, and in a page of WebAssembly's. */
export const PAGE = 4096;
export const WASM_PAGE = 65536;
/** The kinds of backends, by the core's numbers. */
export const SLAB = 0;
export const PAGES = 1;
export const BUMP = 2;
export const EXTERNAL = 3;
/** Bytes of a box: an element of the core's that holds an element of the caller's own backend. */
export const BOX = 4;

/** The core's exports. Addresses come back as i32: `>>> 0` makes them addresses. */
export interface Core {
  readonly memory?: WasmMemory;
  abi_version(): number;
  heap_create(base: number, bytes: number, maxPages: number, grows: number): number;
  heap_attach(heap: number, label: number): number;
  heap_exit(): number;
  heap_error(): number;
  heap_scratch(): number;
  heap_trim(): number;
  heap_max_pages(): number;
  heap_left(): number;
  heap_faults(): number;
  mempool_create(size: number, align: number, minNr: number, maxNr: number, backend?: number): number;
  mempool_resize(pool: number, minNr: number): number;
  mempool_reshape(pool: number, size: number, align: number): number;
  mempool_size(pool: number, element: number): number;
  mempool_curr_nr(pool: number): number;
  mempool_min_nr(pool: number): number;
  mempool_outstanding(pool: number): number;
  mempool_take_low_watermark(pool: number): number;
  mempool_faults(pool: number): number;
  mempool_refresh(pool: number): void;
  mempool_box_alloc(pool: number, counts: number): number;
  mempool_box_free(pool: number, box: number, counted: number): number;
  mempool_box_fill(pool: number, array: number, count: number): number;
  mempool_box_drain(pool: number, array: number, count: number): number;
  mempool_alloc(pool: number): number;
  mempool_zalloc(pool: number): number;
  mempool_alloc_preallocated(pool: number): number;
  mempool_zero(pool: number, element: number): number;
  mempool_alloc_bulk(pool: number, array: number, count: number): number;
  mempool_add_failures(pool: number, n: number): void;
  mempool_free(pool: number, element: number): number;
  mempool_free_all(pool: number, array: number, count: number): number;
  mempool_free_bulk(pool: number, array: number, count: number): number;
  mempool_free_check(pool: number, element: number): number;
  mempool_mark(pool: number, array: number, count: number, mark: number): number;
  mempool_exit(pool: number): number;
  mempool_next_slab(pool: number, from: number, array: number): number;
  arena_create(chunkBytes: number): number;
  arena_alloc(arena: number, bytes: number, align: number): number;
  arena_mark(arena: number): number;
  arena_reset(arena: number, mark: number): number;
  arena_exit(arena: number): void;
  // Only in core.shared.wasm:
  heap_thread(): number;
  heap_thread_count(): number;
  heap_detach(): number;
  heap_label(label: number): void;
  heap_find_thread(label: number): number;
  heap_reap(thread: number, label: number): number;
  heap_idle(): number;
  heap_nudge(): number;
  heap_sleep(address: number, expected: number, milliseconds: number): number;
  mempool_share(handle: number): number;
  mempool_serial(handle: number): number;
  mempool_attach(pool: number, serial: number): number;
  mempool_adopt(handle: number, element: number): number;
  mempool_detach(handle: number): number;
  mempool_ended(handle: number): number;
  mempool_next_live(handle: number, after: number, thread: number): number;
  mempool_wait_begin(handle: number, sequence: number): number;
  mempool_wait_end(handle: number, place: number): number;
  mempool_alloc_wait(handle: number, timeout: number): number;
}

/** The inspector's exports: the checker, and statistics, which it writes to `at` as f64. */
export interface Inspector {
  heap_check(heap: number, at: number): number;
  mempool_owner(heap: number, address: number, at: number): number;
  heap_stats(heap: number, at: number): void;
  heap_next_live(heap: number, pool: number, after: number, thread: number): number;
  heap_next_pool(heap: number, after: number, at: number): number;
  heap_next_run(heap: number, page: number, at: number): number;
  mempool_waiters(heap: number, pool: number, at: number): number;
  mempool_stats(pool: number, at: number): void;
  arena_stats(arena: number, at: number): void;
}
