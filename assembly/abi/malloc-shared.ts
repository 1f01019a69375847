/** The ABI of malloc.shared.wasm: malloc's, and the reaping of dead threads. */
import { none } from "../base/error";
import { hasHeap } from "../base/instance";
import { findThread, labelThread } from "../threads/life";
import { reapThread } from "../threads/reap";

export * from "./malloc";

export function heap_label(label: u32): void {
  if (hasHeap()) labelThread(label);
}

export function heap_find_thread(label: u32): i32 {
  return hasHeap() ? findThread(label) : none() - 1;
}

export function heap_reap(number: u32, label: u32): i32 {
  return hasHeap() ? reapThread(number, label) : none();
}
