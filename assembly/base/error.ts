/**
 * The codes of refusals, and the reason of this instance's last one. As C's errno it is set by a call that returns 0 or
 * null, and meaningless after a call that succeeds. It is a global, since it belongs to the instance and not to the
 * heap.
 *
 * A host may pass a null handle, or call before there is a heap: each exported function first asks isNone or hasHeap,
 * and then touches no memory.
 */
import { hasHeap, heapBase } from "./instance";

/* Codes are negative and part of the ABI. */

/** The pool is closed, or no longer exists. */
export const CLOSED: i32 = -6;

/** Another thread is in the way: the call may succeed later. */
export const BUSY: i32 = -7;

export const NO_MEMORY: i32 = -8;

/** An argument is out of range, or a handle is 0. */
export const BAD_ARGUMENT: i32 = -9;

/** This instance serves no heap, or no heap is at that address. */
export const NO_HEAP: i32 = -10;

/** Every thread number is in use. */
export const NO_THREAD: i32 = -11;

let last: i32 = 0;

/** The code of the last refusal. */
export function heap_error(): i32 {
  return last;
}

/** Records a refusal; returns 0. */
export function fail(code: i32): u32 {
  last = code;
  return 0;
}

/** Whether a handle is null, or there is no heap: one comparison, since records lie above their heap. */
@inline
export function isNone(handle: usize): bool {
  return handle <= heapBase();
}

/** Records which of the two it is; returns the code. */
export function noneCode(): i32 {
  return (last = hasHeap() ? BAD_ARGUMENT : NO_HEAP);
}

/** As noneCode, but returns 0. */
export function none(): u32 {
  noneCode();
  return 0;
}
