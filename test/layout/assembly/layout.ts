/** Where tests find what they read or write behind the core's back: offsets in bytes, and values. See layout.ts beside this folder. */
import {
  Arena,
  Epoch,
  Heap,
  HEAP_AT_ZERO as AT_ZERO,
  HEAP_BITS_ROOT as BITS_ROOT,
  HEAP_CLASS_POOLS as CLASS_POOLS,
  HEAP_ROOT as ROOT,
  HEAP_SCRATCH as SCRATCH,
  Magazine,
  Pool,
  SIZE_CLASSES as CLASSES,
  Slots,
  WAITING as WAITER_WAITING,
  WOKEN_CLOSED,
} from "../../../assembly/base/layout";

export const HEAP_THREADS: u32 = offsetof<Heap>("threads");
export const HEAP_FREED: u32 = offsetof<Heap>("freed");
export const HEAP_NOT_FOUND: u32 = offsetof<Heap>("notFound");
export const HEAP_LOCK: u32 = offsetof<Heap>("lock");
export const HEAP_SCRATCH: u32 = SCRATCH;
export const HEAP_AT_ZERO: u32 = AT_ZERO;
export const HEAP_BITS_ROOT: u32 = BITS_ROOT;
export const HEAP_ROOT: u32 = ROOT;
export const HEAP_CLASS_POOLS: u32 = CLASS_POOLS;
export const SIZE_CLASSES: u32 = CLASSES;
export const POOL_EPOCH: u32 = offsetof<Pool>("epoch");
export const POOL_WAITING: u32 = offsetof<Pool>("waiting");
export const POOL_CLOSED: u32 = offsetof<Pool>("closed");
export const EPOCH_CURR_NR: u32 = offsetof<Epoch>("currNr");
export const EPOCH_RESERVE: u32 = offsetof<Epoch>("reserve");
export const EPOCH_SLABS: u32 = offsetof<Epoch>("slabs");
export const MAGAZINE_TOP: u32 = offsetof<Magazine>("top");
export const MAGAZINE_EPOCH: u32 = offsetof<Magazine>("epoch");
export const MAGAZINE_ALLOC_LIMIT: u32 = offsetof<Magazine>("allocLimit");
export const MAGAZINE_FREE_LIMIT: u32 = offsetof<Magazine>("freeLimit");
export const MAGAZINE_POOL: u32 = offsetof<Magazine>("pool");
export const MAGAZINE_FIRST: u32 = offsetof<Magazine>("first");
export const MAGAZINE_RESERVE_HITS: u32 = offsetof<Magazine>("reserveHits");
export const MAGAZINE_RECALL: u32 = offsetof<Magazine>("recallGeneration");
export const MAGAZINE_RECLAIMS: u32 = offsetof<Magazine>("reclaims");
export const MAGAZINE_BULKS: u32 = offsetof<Magazine>("bulks");
export const ARENA_CHUNKS: u32 = offsetof<Arena>("chunks");
export const SLOTS_BASE: u32 = offsetof<Slots>("base");
export const SLOTS_END: u32 = offsetof<Slots>("end");
export const SLOTS_FIRST: u32 = offsetof<Slots>();
export const WAITING: u32 = WAITER_WAITING;
export const CLOSED: u32 = WOKEN_CLOSED;
