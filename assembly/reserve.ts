/**
 * The reserve of a pool: a set of slots that any thread fills and empties without waiting for another. While one thread
 * is at it, it is a stack.
 *
 * Owns the state RESERVED. An element is put in by counting it, marking it RESERVED, and swapping it into an empty slot;
 * it is taken out by swapping the slot empty, taking the mark off, and counting it off. All the while the thread's `hand`
 * names it: what a dead thread left half-done is found there (reap.ts). So the count is never below what is there, and
 * who has counted its element finds a slot.
 *
 * Invariants (check.ts walks them, when no thread is in the middle of something):
 * - what is in the slots is RESERVED, nothing else is, and there are currNr of them;
 * - `short` is 1 unless all slots are full. Ordering: who takes an element counts it, then sets `short`, before anybody
 *   hears of the element: so its free finds it set. Who finds the reserve full clears `short` and then looks at the
 *   count again: of the two, one sees the other.
 */
import { atomicAdd, atomicLoad, atomicStore, atomicSwap, THREADS } from "./atomics";
import { Pool, self, STATE_RESERVED, Thread } from "./layout";
import { stateAt, stateCached } from "./slab";


@inline
function announce(element: usize): void {
  if (THREADS) atomicStore<u32>(changetype<usize>(self()) + offsetof<Thread>("hand"), <u32>element);
}


@inline
function currNrAt(pool: Pool): usize {
  return changetype<usize>(pool) + offsetof<Pool>("currNr");
}


@inline
export function currNr(pool: Pool): u32 {
  return atomicLoad<u32>(currNrAt(pool));
}

/** Puts an element, in this thread's hands, into the reserve. False if it is full. */
export function reservePut(pool: Pool, element: usize, state: usize): bool {
  const minNr = pool.minNr;
  let i: u32;
  announce(element);
  do {
    i = currNr(pool);
    if (i >= minNr) {
      announce(0);
      return false;
    }
  } while (!atomicSwap<u32>(currNrAt(pool), i, i + 1));
  atomicStore<u8>(state, <u8>STATE_RESERVED);
  // It is counted, so there is an empty slot: if no other thread is at it, this one.
  while (!atomicSwap<u32>(pool.reserve + (i << 2), 0, <u32>element)) {
    if (++i >= minNr) i = 0;
  }
  announce(0);
  return true;
}

/** Takes an element out, into this thread's hands; 0 if there is none. The caller sets `short`. */
export function reserveTake(pool: Pool): usize {
  const minNr = pool.minNr;
  let i = currNr(pool);
  for (let looks: u32 = 0; looks < minNr; looks++) {
    i = (i && i <= minNr ? i : minNr) - 1;
    const slot = pool.reserve + (i << 2);
    const element = atomicLoad<u32>(slot);
    if (!element) continue;
    announce(element);
    if (!atomicSwap<u32>(slot, element, 0)) continue;
    const taken = atomicSwap<u8>(stateAt(pool, element), <u8>STATE_RESERVED, <u8>stateCached());
    const left = atomicAdd<u32>(currNrAt(pool), -1) - 1;
    announce(0);
    // Not taken: it was a dead thread's, and is now the one's who reaps it.
    if (!taken) continue;
    if (left < pool.lowestCurrNr) pool.lowestCurrNr = left;
    return element;
  }
  announce(0);
  return 0;
}
