/**
 * The instance: which heap it serves, as which thread. These globals and `last` (error.ts) are all that an instance keeps
 * outside linear memory.
 */
import { atomicLoad, THREADS, WITH_MALLOC } from "./atomics";
import { Heap, HEAP_THREADS, Thread, THREAD_SHIFT } from "./layout";

/** The heap address of an instance that serves no heap. It is above every handle: see isNone. */
export const NOWHERE: usize = -1;

let heapAddress: usize = -1;
let threadAddress: usize = 0;
/** The address of this thread's handles of malloc's size classes; 0 if it has not used malloc on this heap. */
let classHandles: usize = 0;


@inline
export function heap(): Heap {
  return changetype<Heap>(heapAddress);
}


@inline
export function heapBase(): usize {
  return heapAddress;
}


@inline
export function hasHeap(): bool {
  return heapAddress != NOWHERE;
}

/** The address of the Thread with a number, whether or not a thread has the number. */
@inline
export function threadAt(number: u32): usize {
  return heapAddress + HEAP_THREADS + (number << THREAD_SHIFT);
}

/** One more than the highest number a thread ever had. */
@inline
export function numbersGiven(): u32 {
  return atomicLoad<u32>(heapAddress + offsetof<Heap>("threads"));
}

/** This thread; without threads, the only one. */
@inline
export function self(): Thread {
  return changetype<Thread>(THREADS ? threadAddress : heapAddress + HEAP_THREADS);
}


@inline
export function selfNumber(): u32 {
  return THREADS ? self().number : 0;
}

/** SCRATCH_WORDS words by which a host passes arrays to this thread's calls, and gets numbers back. */
@inline
export function scratch(): usize {
  return self().scratch;
}

/** Has the instance serve a heap as a thread; NOWHERE and 0: none. */
export function serveHeap(address: usize, thread: usize): void {
  heapAddress = address;
  threadAddress = thread;
  if (WITH_MALLOC) classHandles = 0;
}

/** What an instance served before its inspector's call. */
let homeHeap: usize = 0;
let homeThread: usize = 0;

/** Begins an inspector's call on a heap: any that lies in the memory, as the module may serve one itself. */
export function beginVisit(address: usize): void {
  homeHeap = heapAddress;
  homeThread = threadAddress;
  serveHeap(address, address + HEAP_THREADS);
}

/** Ends it: the instance serves its heap again, as the thread that it was; one without a thread keeps the heap in sight. */
export function endVisit(): void {
  serveHeap(homeThread ? homeHeap : heapAddress, homeThread);
}


@inline
export function handlesAt(): usize {
  return classHandles;
}

export function useHandles(at: usize): void {
  classHandles = at;
}
