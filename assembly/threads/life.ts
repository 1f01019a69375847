/**
 * A thread's life: one word of its Thread, so that state, generation and label change together.
 *
 *   0 -> ALIVE              join (heaps.ts), with JOINING while earlier bearers' elements still bear the number
 *   ALIVE -> 0              leaveNumber: the thread has left
 *   ALIVE -> LEFT           announceLeft: it has left without the lock; another thread finishes that
 *   LEFT -> DEAD or ALIVE   finishLeavers (back to LEFT if it is disturbed); join, which finishes it itself
 *   ALIVE, LEFT -> DEAD     reapThread: from now on no thread waits for it
 *   DEAD -> 0               endLife: reaped
 *
 * Every 0 is of a new generation, so a compare-exchange from an older life fails. Waits for no thread. Costs a load for
 * each number.
 */
import { atomicLoad, compareExchange, THREADS } from "../base/atomics";
import { numbersGiven, self, selfNumber, threadAt } from "../base/instance";
import {
  Heap,
  HEAP_MAGIC,
  LEFT_NUMBER,
  LIFE_ALIVE,
  LIFE_MASK,
  LIFE_SHIFT,
  Thread,
  WASM_PAGE_SHIFT,
} from "../base/layout";
import { nudge } from "../pool/gate";

/** The same bearer's life, in another state and with another label. */
@inline
export function lifeOf(life: u64, state: u32, label: u32): u64 {
  return (life & (<u64>(<u32>~LIFE_MASK))) | (<u64>state) | ((<u64>label) << 32);
}


@inline
export function lifeAt(number: u32): usize {
  return threadAt(number) + offsetof<Thread>("life");
}

/** Frees a number, if its bearer's life is still `life`. */
export function endLife(at: usize, life: u64): void {
  compareExchange<u64>(at, life, <u64>((((<u32>life) >>> LIFE_SHIFT) + 1) << LIFE_SHIFT));
}

/** Frees this thread's number; but a thread that was declared dead meanwhile leaves that to its reaper. */
export function leaveNumber(): void {
  const at = changetype<usize>(self()) + offsetof<Thread>("life");
  const life = atomicLoad<u64>(at);
  if (((<u32>life) & LIFE_MASK) == LIFE_ALIVE) endLife(at, life);
}

/** Sets the label by which the host finds this thread. */
export function labelThread(label: u32): void {
  const at = changetype<usize>(self()) + offsetof<Thread>("life");
  const life = atomicLoad<u64>(at);
  // Not if a reaper has taken this thread for dead: then its life is the reaper's.
  if (((<u32>life) & LIFE_MASK) == LIFE_ALIVE) compareExchange<u64>(at, life, lifeOf(life, LIFE_ALIVE, label));
}

/** The number of a thread with this label that is alive, or dead and not reaped; -1 if there is none. */
export function findThread(label: u32): i32 {
  for (let number: u32 = 0; number < numbersGiven(); number++) {
    const life = atomicLoad<u64>(threadAt(number) + offsetof<Thread>("life"));
    if ((<u32>life) & LIFE_MASK && <u32>(life >> 32) == label) return number;
  }
  return -1;
}

/** The number of threads that are alive, as far as is known. */
export function countThreads(): u32 {
  let n: u32 = 0;
  for (let number: u32 = 0; number < numbersGiven(); number++) {
    if (((<u32>atomicLoad<u64>(threadAt(number) + offsetof<Thread>("life"))) & LIFE_MASK) == LIFE_ALIVE) n++;
  }
  return n;
}

/** Whether no other number has a bearer. */
export function isAlone(): bool {
  for (let number: u32 = 0; THREADS && number < LEFT_NUMBER; number++) {
    if (number != selfNumber() && (<u32>atomicLoad<u64>(threadAt(number) + offsetof<Thread>("life"))) & LIFE_MASK)
      return false;
  }
  return true;
}

/** Makes every thread call settleThread as soon as it is idle. */
export function nudgeThreads(): void {
  for (let number: u32 = 0; number < numbersGiven(); number++) nudge(number);
}

export function isHeap(address: usize): bool {
  if (!address || address & 3 || address >>> WASM_PAGE_SHIFT >= <usize>memory.size()) return false;
  return atomicLoad<u32>(address + offsetof<Heap>("magic")) == HEAP_MAGIC;
}
