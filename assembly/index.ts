/**
 * The ABI: what every host sees. C names, i32 and f64 only; addresses are u32 and 0 is none. docs/abi.h documents it.
 *
 * An instance serves one heap, made by heap_create or joined by heap_attach. All else is in memory.
 */
import { arenaBump, arenaCreate, arenaNextChunk } from "./bump";
import { Arena, PAGE_SHIFT, scratch } from "./layout";
import { reclaim } from "./mempool";
import { freePages } from "./pages";

export { heap_attach, heap_create } from "./threads";
export { arena_exit, arena_mark, arena_reset } from "./bump";
export {
  heap_faults,
  mempool_alloc,
  mempool_alloc_bulk,
  mempool_alloc_preallocated,
  mempool_cell,
  mempool_create,
  mempool_drain,
  mempool_exit,
  mempool_faults,
  mempool_free,
  mempool_free_bulk,
  mempool_free_check,
  mempool_mark,
  mempool_reshape,
  mempool_resize,
  mempool_size,
  mempool_stir,
  mempool_uncell,
  mempool_zalloc,
  mempool_zero,
} from "./mempool";

const ABI_VERSION: u32 = 3;

export function abi_version(): u32 {
  return ABI_VERSION;
}

/** Where a host passes arrays of up to SCRATCH_WORDS words. */
export function heap_scratch(): usize {
  return scratch();
}

/** Flushes all magazines and spare chunks, and gives empty slabs back; returns the bytes that pages got. */
export function heap_trim(): u32 {
  const before = freePages();
  reclaim();
  return (freePages() - before) << PAGE_SHIFT;
}

/** An arena with one chunk of at least `chunkBytes`; null if there is no memory for it, also after reclaim. */
export function arena_create(chunkBytes: u32): Arena {
  const arena = arenaCreate(chunkBytes);
  return changetype<usize>(arena) || !reclaim() ? arena : arenaCreate(chunkBytes);
}

/** `bytes` at a multiple of `align`, a power of two; 0 when memory is gone, also after reclaim. */
export function arena_alloc(arena: Arena, bytes: u32, align: u32): usize {
  const address = arenaBump(arena, bytes, align);
  if (address) return address;
  if (!arenaNextChunk(arena, bytes, align) && !(reclaim() && arenaNextChunk(arena, bytes, align))) return 0;
  return arenaBump(arena, bytes, align);
}
