/**
 * Every error this package throws carries one of these codes.
 *
 * | code | thrown by | meaning |
 * | --- | --- | --- |
 * | `ERR_INVALID_ARGUMENT` | any call | an argument is wrong; nothing was changed |
 * | `ERR_NO_MEMORY` | create, createHeap, createArena, createQueue, attach, watch, resize, reshape; use | there is no memory for what the call sets aside, or no element; nothing was changed |
 * | `ERR_CLOSED` | any call on a pool or arena after `exit`, on a heap after `detach` | the pool, arena or heap no longer serves |
 * | `ERR_FOREIGN_FREE` | free | the address belongs to another pool |
 * | `ERR_DOUBLE_FREE` | free | the element is free already |
 * | `ERR_INTERIOR_FREE` | free | the address is inside an element, not at its start |
 * | `ERR_MISALIGNED_FREE` | free | the address is no multiple of the pool's alignment |
 * | `ERR_INVALID_ADDRESS` | free | no pool ever allocated that address, or the value is no address |
 * | `ERR_USE_AFTER_FREE` | a cursor on an element of a debug heap | the element was freed, or is another one by now |
 * | `ERR_TIMEOUT` | allocWait, allocAsync, and those of bulk, prefill and queues | no element came in time; no address, or no room |
 * | `ERR_TOO_MANY_WAITERS` | allocAsync, and those of bulk and prefill | `maxWaiters` calls of this thread wait already |
 * | `ERR_NO_WASM` | createHeap, createHeapAsync | there is no WebAssembly here, or the host lets no module be compiled: see `module` |
 * | | stats, check, table of a pool, heap or arena; what `wasm-mempool/inspect` exports | the host does not compile the inspector: see `inspector` |
 * | `ERR_NOT_IMPORTED` | stats, check, table; create, attach with a backend of your own | the program lacks an import, which the message names |
 * | `ERR_NOT_ISOLATED` | share | this page is not cross-origin isolated, so its shared memory cannot be posted |
 * | `ERR_BACKEND` | any call that asks the pool's own backend | the backend gave no uint32, or gave an element twice |
 * | `ERR_WOULD_BLOCK` | resize, reshape | another thread is resizing or reshaping the pool |
 * | | create, createArena, attach | another thread has held the lock of the heap's lists for a second: try again, or reap it |
 * | | allocWait, allocBulkWait | there is no element, and this thread must not block, or no other thread could free one |
 * | | reap | the thread may still run, or another thread that has stopped or died is in the way |
 * | | allocAsync, allocBulkAsync | the call has a timeout, but there are no timers here |
 */
export type ErrorCode =
  | "ERR_INVALID_ARGUMENT"
  | "ERR_NO_MEMORY"
  | "ERR_CLOSED"
  | "ERR_FOREIGN_FREE"
  | "ERR_DOUBLE_FREE"
  | "ERR_INTERIOR_FREE"
  | "ERR_MISALIGNED_FREE"
  | "ERR_INVALID_ADDRESS"
  | "ERR_USE_AFTER_FREE"
  | "ERR_TIMEOUT"
  | "ERR_TOO_MANY_WAITERS"
  | "ERR_NO_WASM"
  | "ERR_NOT_IMPORTED"
  | "ERR_NOT_ISOLATED"
  | "ERR_BACKEND"
  | "ERR_WOULD_BLOCK";

/** What an error is about, as far as it is about that. */
export interface ErrorDetails {
  /** What another function threw, or why a signal was aborted. */
  readonly cause?: unknown;
  readonly pool?: string | undefined;
  readonly address?: number | undefined;
  readonly index?: number | undefined;
}

/**
 * Every error this package throws. `code` is stable. The message begins with the code, so that a message shows it also after
 * the error has been posted to another thread; then come the call, the argument and the value. Where two copies of this
 * package, or two realms, make `instanceof` fail, `name` and `code` identify the error.
 *
 * @example
 * try {
 *   pool.free(address);
 * } catch (error) {
 *   if (!(error instanceof MempoolError) || error.code !== "ERR_DOUBLE_FREE") throw error;
 *   console.warn(`${error.pool}: element ${error.address} is free already`);
 * }
 */
export class MempoolError extends Error {
  static {
    // On the prototype, where the engine finds it for the first line of `stack`. An assignment would throw where
    // Error.prototype is frozen.
    Object.defineProperty(this.prototype, "name", { value: "MempoolError", writable: true, configurable: true });
  }
  /** Why the call failed. */
  readonly code: ErrorCode;
  /** The name of the pool; undefined if the error is not about a pool. */
  declare readonly pool: string | undefined;
  /** The address that the pool refused; undefined if the error is not about an address, or if the value was none. */
  declare readonly address: number | undefined;
  /** The place of `address` in the array of a bulk call; undefined without one. */
  declare readonly index: number | undefined;

  constructor(code: ErrorCode, message: string, { cause, ...about }: ErrorDetails = {}) {
    super(`${code}: ${message}`, cause === undefined ? undefined : { cause });
    this.code = code;
    // A printed error shows what it is about, and no fields that are undefined.
    for (const [key, value] of Object.entries(about)) if (value !== undefined) Object.assign(this, { [key]: value });
  }
}

/** Calls `action` for each item, also after one call has thrown; then throws the first error. */
export function forEachThenThrow<T>(items: Iterable<T>, action: (item: T) => void): void {
  const thrown: unknown[] = [];
  for (const item of items) {
    try {
      action(item);
    } catch (error) {
      thrown.push(error);
    }
  }
  if (thrown.length > 0) throw thrown[0];
}
