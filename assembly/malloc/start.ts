/**
 * The heap behind malloc: made by the first call, joined by the first call of each other thread.
 *
 * The heap begins where the guest's own data ends, and grows with the memory. With threads, the guest's threads find it by
 * a word in their memory: 0 at first, then its address; while one makes it, what the word was before, with BEGUN. A thread that
 * finds BEGUN looks again for a bounded time, since the other needs some microseconds. If that one has died or stopped, it makes
 * a heap in memory that it grows. The heap that gets into the word first is the guest's; a thread that comes too late ends its
 * own, and the memory of that is lost.
 *
 * What the word was before says where a maker's heap begins, so no two makers at once have the same word: one that stopped, and
 * goes on after others have made a heap and ended it, does not take the word of the next maker for its own.
 */
import { atomicLoad, atomicStore, compareExchange, THREADS } from "../base/atomics";
import { BUSY, fail, heap_error, NO_HEAP, NO_MEMORY } from "../base/error";
import { hasHeap, heapBase } from "../base/instance";
import { HEAP_BYTES, PAGE, PAGE_NUMBERS, WASM_PAGE_SHIFT } from "../base/layout";
import { userGrow, userSize } from "../base/user";
import { attachHeap, createHeap, detachHeap, exitHeap } from "../threads/heaps";
import { hasClasses, useClasses } from "./classes";
import { heapStart, heapWord } from "./host";

/** In the heap's word while a thread makes the heap; no heap's address has it. */
const BEGUN: u32 = 1;

/** Bytes that a new heap needs: its own pages, its tables, and some to give. */
const LEAST_BYTES: u32 = HEAP_BYTES + 8 * PAGE;

/** How often a thread looks whether another has made the heap, before it makes one itself. */
const LOOKS: u32 = isDefined(SIM) ? 2 : 1 << 22;

/** The heap that this thread has left, where the host tells the threads of their heap. */
let left: usize = 0;

/** Whether this thread has a heap; makes or joins it. False, and heap_error says why: memory is gone, or 63 threads have joined. */
export function hasOwnHeap(): bool {
  return hasHeap() || (THREADS ? join() : makeFirst()) != 0;
}

/** The heap's address; makes or joins it, as hasOwnHeap does. 0: there is none. */
export function startHeap(): usize {
  if (!hasOwnHeap()) return 0;
  if (!hasClasses()) useClasses();
  return heapBase();
}

/** The end of memory; 0: that of 4 GiB. */
@inline
function memoryEnd(): usize {
  return (<usize>userSize()) << WASM_PAGE_SHIFT;
}

/** Makes a heap in the memory from `base` (0: none) to `end`, or if that is too little, in new memory, too. */
function make(base: usize, end: usize): usize {
  base = base || end;
  // The end of 4 GiB is 0, and so is its distance right, modulo 2^32.
  if ((end && end < base) || end - base < LEAST_BYTES) {
    const page = userGrow(1);
    if (page < 0) return fail(NO_MEMORY);
    // Other code may have grown the memory since.
    if ((<usize>page) << WASM_PAGE_SHIFT != end) base = (<usize>page) << WASM_PAGE_SHIFT;
    end = (<usize>page + 1) << WASM_PAGE_SHIFT;
  }
  return createHeap(<u32>base, <u32>(end - base), PAGE_NUMBERS, true);
}

/** Makes a heap in all memory from the guest's end on. */
function makeFirst(): usize {
  return make(heapStart(), memoryEnd());
}

/** The same once for all threads of the guest. */
function join(): usize {
  const word = heapWord();
  if (!word) return left ? (attachHeap(left, 0) ? left : 0) : makeFirst();
  let looks = LOOKS;
  while (true) {
    // Ordering: read before the word says BEGUN. Memory that grows from then on may be another maker's.
    const end = memoryEnd();
    const seen = atomicLoad<u32>(word);
    const isBegun = (seen & BEGUN) != 0;
    if (seen && !isBegun) {
      if (attachHeap(<usize>seen, 0)) return <usize>seen;
      // It may have ended (heap_exit): then the next one begins there.
      if (heap_error() != NO_HEAP) return 0;
    }
    const begun = seen | BEGUN;
    if (isBegun ? --looks != 0 : !compareExchange<u32>(word, seen, begun)) continue;
    const heap = make(isBegun ? end : seen || heapStart(), end);
    // The memory where the other one makes its heap is still that one's: the word stays.
    if (!heap && isBegun) return 0;
    if (compareExchange<u32>(word, begun, heap ? <u32>heap : seen) || !heap) return heap;
    exitHeap();
  }
  return fail(BUSY);
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
