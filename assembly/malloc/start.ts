/**
 * The heap behind malloc: made by the first call, joined by the first call of each other thread.
 *
 * The heap begins where the guest's own data ends, and grows with the memory. With threads, the guest's threads find it by
 * a word in their memory: 0 at first, BEGUN while one makes it, then its address. A thread that finds BEGUN looks again for
 * a bounded time, since the other needs some microseconds.
 */
import { atomicLoad, atomicStore, compareExchange, THREADS } from "../base/atomics";
import { heap_error, NO_HEAP } from "../base/error";
import { hasHeap, heapBase } from "../base/instance";
import { HEAP_BYTES, PAGE, PAGE_NUMBERS, WASM_PAGE_SHIFT } from "../base/layout";
import { userGrow, userSize } from "../base/user";
import { attachHeap, createHeap, detachHeap } from "../threads/heaps";
import { hasClasses, useClasses } from "./classes";
import { heapStart, heapWord } from "./host";

/** The heap's word while a thread makes the heap. */
const BEGUN: u32 = 1;

/** Bytes that a new heap needs: its own pages, its tables, and some to give. */
const LEAST_BYTES: u32 = HEAP_BYTES + 8 * PAGE;

/** How often a thread looks whether another has made the heap, before it gives up for now. */
const LOOKS: u32 = 1 << 22;

/** The heap that this thread has left, where the host tells the threads of their heap. */
let left: usize = 0;

/** The heap's address; makes or joins it. 0 if memory is gone, or all thread numbers are in use. */
export function startHeap(): usize {
  if (!hasHeap() && !(THREADS ? join() : make())) return 0;
  if (!hasClasses()) useClasses();
  return heapBase();
}

/** Makes a heap in all memory from the guest's end on. */
function make(): usize {
  let end = (<usize>userSize()) << WASM_PAGE_SHIFT;
  const base = heapStart() || end;
  // The end of 4 GiB is 0, and so is its distance right, modulo 2^32.
  if ((end && end < base) || end - base < LEAST_BYTES) {
    if (userGrow(1) < 0) return 0;
    end += 1 << WASM_PAGE_SHIFT;
  }
  return createHeap(<u32>base, <u32>(end - base), PAGE_NUMBERS, true);
}

/** The same once for all threads of the guest. */
function join(): usize {
  const word = heapWord();
  if (!word) return left && attachHeap(left, 0) ? left : left ? 0 : make();
  for (let looks = LOOKS; looks; looks--) {
    const seen = atomicLoad<u32>(word);
    if (seen > BEGUN) {
      if (attachHeap(<usize>seen, 0)) return <usize>seen;
      // It may have ended (heap_exit).
      if (heap_error() != NO_HEAP) return 0;
    }
    if (seen != BEGUN && compareExchange<u32>(word, seen, BEGUN)) {
      const heap = make();
      atomicStore<u32>(word, <u32>heap);
      return heap;
    }
  }
  return 0;
}

/** Joins a heap that another instance in the same memory has made. */
export function joinHeap(address: usize, label: u32): bool {
  if (!attachHeap(address, label)) return false;
  useClasses();
  return true;
}

/** Leaves the heap: blocks stay, what this thread has cached returns. The thread joins again with its next call. */
export function leaveHeap(): void {
  if (!hasHeap()) return;
  left = heapBase();
  detachHeap();
}
