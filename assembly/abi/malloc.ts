/**
 * The ABI of the malloc builds: C's family and cabi_realloc, a reserve behind them, and the heap for those who inspect it.
 * include/wasm_mempool_malloc.h documents it.
 */
import { THREADS } from "../base/atomics";
import { userStore } from "../base/user";
import { allocate, allocateAligned, allocateZeroed, reallocate, release, reserve, usableBytes } from "../malloc/malloc";
import { joinHeap, leaveHeap, startHeap } from "../malloc/start";

export {
  allocate as malloc,
  allocateAligned as aligned_alloc,
  allocateAligned as memalign,
  allocateZeroed as calloc,
  joinHeap as malloc_attach,
  release as free,
  reserve as malloc_reserve,
  startHeap as malloc_heap,
  usableBytes as malloc_usable_size,
};

/** Error numbers of C in WASI and emscripten. */
const EINVAL: i32 = 28;
const ENOMEM: i32 = 48;

export function realloc(address: usize, bytes: usize): usize {
  return reallocate(address, 1, <u32>bytes);
}

export function reallocarray(address: usize, count: usize, bytes: usize): usize {
  const all = <u64>count * <u64>bytes;
  return all >> 32 ? 0 : reallocate(address, 1, <u32>all);
}

export function posix_memalign(at: usize, align: usize, bytes: usize): i32 {
  if (align < 4 || align & (align - 1)) return EINVAL;
  const block = allocateAligned(<u32>align, <u32>bytes);
  if (!block) return ENOMEM;
  userStore(at, <u32>block);
  return 0;
}

/** The canonical ABI's: a size of 0 frees, and the answer is the alignment, no block's address. 0: memory is gone. */
export function cabi_realloc(address: usize, _oldBytes: usize, align: usize, bytes: usize): usize {
  if (bytes) return reallocate(address, <u32>align, <u32>bytes);
  release(address);
  return align;
}

/** For a thread that ends: its numbers and what it has cached are free for others. */
export function malloc_thread_exit(): void {
  if (THREADS) leaveHeap();
}
