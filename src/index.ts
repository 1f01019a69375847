/**
 * A memory pool allocator for WebAssembly linear memory, with the guarantee of the Linux kernel's mempool.
 *
 * @packageDocumentation
 */
export { Arena, type ArenaOptions, type ArenaStats } from "./arena.ts";
export { MempoolError, type ErrorCode } from "./errors.ts";
export {
  attach,
  create,
  createArena,
  createHeap,
  createHeapAsync,
  Heap,
  type HeapOptions,
  type HeapStats,
} from "./heap.ts";
export { Views } from "./memory.ts";
export type { FaultOptions, HeapFaultOptions } from "./faults.ts";
export type { HostBackend } from "./host.ts";
export { Pool, type AttachOptions, type PoolOptions, type PoolStats } from "./pool.ts";
export * from "./struct.ts";
export type { Ticket } from "./ticket.ts";
export type { Reaped, SharedHeap, SharedPool, WatchedWorker } from "./threads.ts";
export type { BulkWaitOptions, WaitOptions } from "./waiting.ts";
