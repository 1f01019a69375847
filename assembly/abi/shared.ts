/** The ABI of the build with threads: all of core.ts, and the calls that only threads need. */
import { isNone, none, noneCode } from "../base/error";
import { hasHeap, self, selfNumber } from "../base/instance";
import { Magazine, Thread } from "../base/layout";
import { adoptElement } from "../pool/free";
import { hasEnded, isNull, poolOf, shareOf } from "../pool/pool";
import { attachPool, detachPool, settleThread } from "../threads/handles";
import { detachHeap } from "../threads/heaps";
import { countThreads, findThread, labelThread } from "../threads/life";
import { beginWait, endWait } from "../threads/queue";
import { finishLeavers, nextLive, reapThread } from "../threads/reap";
import { allocWait, heap_sleep } from "../threads/wait";

export * from "./core";
export { heap_sleep };

/* Threads. */

export function heap_detach(): bool {
  return hasHeap() ? detachHeap() : <bool>none();
}

/** -1: this instance serves no heap. */
export function heap_thread(): u32 {
  return hasHeap() ? selfNumber() : none() - 1;
}

export function heap_label(label: u32): void {
  if (hasHeap()) labelThread(label);
  else none();
}

export function heap_find_thread(label: u32): i32 {
  return hasHeap() ? findThread(label) : none() - 1;
}

export function heap_thread_count(): u32 {
  return hasHeap() ? countThreads() : none();
}

export function heap_nudge(): usize {
  return hasHeap() ? changetype<usize>(self()) + offsetof<Thread>("nudge") : none();
}

export function heap_idle(): bool {
  return hasHeap() ? settleThread() && finishLeavers() : <bool>none();
}

export function heap_reap(number: u32, label: u32): i32 {
  return hasHeap() ? reapThread(number, label) : none();
}

/* Pools of several threads. */

export function mempool_share(m: Magazine): usize {
  return isNull(m) ? none() : shareOf(m);
}

export function mempool_serial(m: Magazine): u32 {
  return isNull(m) ? none() : poolOf(m).serial;
}

export function mempool_attach(address: usize, serial: u32): usize {
  return hasHeap() ? attachPool(address, serial) : none();
}

export function mempool_detach(m: Magazine): bool {
  return isNull(m) ? <bool>none() : detachPool(m);
}

export function mempool_ended(m: Magazine): bool {
  return isNull(m) ? <bool>none() : hasEnded(poolOf(m));
}

export function mempool_adopt(m: Magazine, element: usize): i32 {
  return isNull(m) ? noneCode() : adoptElement(m, element);
}

export function mempool_next_live(m: Magazine, after: usize, thread: u32): usize {
  return isNull(m) ? none() : nextLive(m, after, thread);
}

/* Waiting. */

export function mempool_alloc_wait(m: Magazine, timeout: f64): usize {
  return isNull(m) ? none() : allocWait(m, timeout);
}

export function mempool_wait_begin(m: Magazine, sequence: u32): usize {
  return isNull(m) ? none() : beginWait(m, sequence);
}

export function mempool_wait_end(m: Magazine, waiter: usize): usize {
  return isNull(m) || isNone(waiter) ? none() : endWait(m, waiter);
}
