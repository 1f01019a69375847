/**
 * Every error this package throws carries one of these codes.
 *
 * | code | thrown by | meaning |
 * | --- | --- | --- |
 * | `ERR_INVALID_ARGUMENT` | any call | an argument is wrong; nothing was changed |
 * | `ERR_NO_MEMORY` | create, createHeap, createArena, resize, reshape | the memory asked for in advance is not to be had; nothing was changed |
 * | `ERR_CLOSED` | any call on a pool or arena after `exit`, on a heap after `detach` | it no longer serves |
 * | `ERR_FOREIGN_FREE` | free | the address belongs to another pool |
 * | `ERR_DOUBLE_FREE` | free | the element is free already |
 * | `ERR_INTERIOR_FREE` | free | the address is inside an element, not at its start |
 * | `ERR_MISALIGNED_FREE` | free | the address is no multiple of the pool's alignment |
 * | `ERR_INVALID_ADDRESS` | free | no pool ever handed that address out, or it is not an address at all |
 * | `ERR_TIMEOUT` | allocWait, allocAsync, and of bulk | no element came in time |
 * | `ERR_ABORTED` | allocAsync, allocBulkAsync | the signal was aborted; its reason is the cause |
 * | `ERR_BACKEND` | any call that asks the host's own backend | it gave no uint32, or an element twice |
 * | `ERR_WOULD_BLOCK` | resize, reshape | another thread is just resizing or reshaping the pool |
 * | | allocWait, allocBulkWait | none is there now, and this thread cannot be blocked, or no other could free one |
 * | | allocAsync, allocBulkAsync | a timeout is given, but there are no timers here |
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
  | "ERR_TIMEOUT"
  | "ERR_ABORTED"
  | "ERR_BACKEND"
  | "ERR_WOULD_BLOCK";

/** Every error this package throws. `code` is stable; the message names the argument and the value, for people. */
export class MempoolError extends Error {
  override readonly name: string = "MempoolError";
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
