/** Where tests find what they read or write behind the core's back: offsets in bytes, and values. See layout.ts beside this folder. */
import {
  Epoch,
  Heap,
  HEAP_BITS_ROOT as BITS_ROOT,
  HEAP_CLASS_POOLS as CLASS_POOLS,
  HEAP_ROOT as ROOT,
  HEAP_SCRATCH as SCRATCH,
  Pool,
  SIZE_CLASSES as CLASSES,
  Slots,
  WAITING as WAITER_WAITING,
  WOKEN_CLOSED,
} from "../../../assembly/base/layout";

export const HEAP_THREADS: u32 = offsetof<Heap>("threads");
export const HEAP_FREED: u32 = offsetof<Heap>("freed");
export const HEAP_LOCK: u32 = offsetof<Heap>("lock");
export const HEAP_SCRATCH: u32 = SCRATCH;
export const HEAP_BITS_ROOT: u32 = BITS_ROOT;
export const HEAP_ROOT: u32 = ROOT;
export const HEAP_CLASS_POOLS: u32 = CLASS_POOLS;
export const SIZE_CLASSES: u32 = CLASSES;
export const POOL_EPOCH: u32 = offsetof<Pool>("epoch");
export const POOL_WAITING: u32 = offsetof<Pool>("waiting");
export const POOL_CLOSED: u32 = offsetof<Pool>("closed");
export const EPOCH_CURR_NR: u32 = offsetof<Epoch>("currNr");
export const EPOCH_RESERVE: u32 = offsetof<Epoch>("reserve");
export const SLOTS_BASE: u32 = offsetof<Slots>("base");
export const SLOTS_END: u32 = offsetof<Slots>("end");
export const SLOTS_FIRST: u32 = offsetof<Slots>();
export const WAITING: u32 = WAITER_WAITING;
export const CLOSED: u32 = WOKEN_CLOSED;
