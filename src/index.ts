/**
 * A memory pool allocator for WebAssembly linear memory, with the guarantee of the Linux kernel's mempool.
 *
 * @packageDocumentation
 */
export { Arena, type ArenaOptions, type ArenaStats } from "./arena/arena.ts";
export type { AttachDebugOptions, AttachHeapOptions, DamageReport, DebugOptions, Trace } from "./core/debug-types.ts";
export { MempoolError, type ErrorCode, type ErrorDetails } from "./core/errors.ts";
export type { HeapHandle, PoolHandle, QueueHandle } from "./core/handles.ts";
export type { Ends, EndsAsync, Signal, WasmMemory, WasmModule } from "./core/types.ts";
export { Views } from "./core/views.ts";
export { create, createArena, createHeap, createHeapAsync, type HeapOptions, type OnHeap } from "./heap/create.ts";
export { Heap } from "./heap/heap.ts";
export type { TableOptions } from "./heap/report.ts";
export type { HeapStats } from "./heap/stats.ts";
export type { Backend } from "./pool/backend.ts";
export type { AttachOptions, PoolOptions, PoolSize, SizedByData } from "./pool/options.ts";
export { Pool } from "./pool/pool.ts";
export type { Prefill } from "./pool/prefill.ts";
export type { PoolStats } from "./pool/stats.ts";
export { attach, createSharedHeap, createSharedHeapAsync, type SharedHeapOptions } from "./shared/create.ts";
export type { WatchedWorker } from "./shared/lives.ts";
export { Queue, type QueueOptions } from "./shared/queue.ts";
export type { Reaped, ReapOptions, WatchOptions } from "./shared/reap.ts";
export { SharedHeap, type SharedPool } from "./shared/shared-heap.ts";
export * from "./struct/index.ts";
export type { BulkWaitOptions, WaitOptions } from "./wait/options.ts";
