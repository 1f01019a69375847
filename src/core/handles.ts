/** What one thread posts to another. */
import type { WasmMemory, WasmModule } from "./types.ts";

/** A heap for another thread: post it, and give it to {@link attach} there. Made by {@link SharedHeap.share}. */
export interface HeapHandle {
  readonly memory: WasmMemory;
  /** The compiled core; and its second half, if `module` is not the whole. */
  readonly module: WasmModule;
  readonly control?: WasmModule;
  readonly address: number;
  /** The same for all threads of a heap, and for no other heap. */
  readonly id: string;
  /** The compiled module of {@link HeapOptions.inspector}. */
  readonly inspector?: WasmModule;
  /** The words in which the heap's threads tell each other that they run. */
  readonly lives: SharedArrayBuffer;
  /** The label by which {@link SharedHeap.watch} finds the worker that gets this object. */
  readonly label?: number;
}

/** A pool for another thread: post it, and give it to {@link attach} there. Made by {@link Pool.share}. */
export interface PoolHandle {
  readonly heap: HeapHandle;
  readonly address: number;
  /** Distinguishes the pool from another that is at the same address later. */
  readonly serial: number;
  readonly name: string;
  readonly elementSize: number;
  readonly align: number;
  readonly minNr: number;
  readonly maxNr: number;
  readonly maxWaiters: number;
  readonly zero: boolean;
  /** Whether the elements come from a backend of the caller's own: then a thread that attaches gives its `backend`. */
  readonly hosted: boolean;
}

/** A queue for another thread: post it, and give it to {@link attach} there. Made by {@link Queue.share}. */
export interface QueueHandle {
  readonly heap: HeapHandle;
  /** The address of the queue itself. */
  readonly queue: number;
  readonly capacity: number;
  readonly name: string;
}
