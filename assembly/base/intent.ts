/**
 * Intents: before a thread takes something apart, it announces that in its Thread, so that a reaper can put right what
 * the thread leaves half-done when it dies (threads/reap.ts). Only a living thread writes its own words, so each
 * change is one atomic store. Without threads nothing is announced.
 *
 * Ordering: an intent is stored before the first change to the thing it names, and cleared after the last. Each store
 * counts up the word's number, so a reaper that reads the same numbers before and after it looks at the thing knows
 * that no thread began or ended work on it meanwhile.
 */
import { atomicStore, THREADS } from "./atomics";
import { self } from "./instance";
import { IN_TRANSIT, RUN_GROWS, RUN_OURS, RUN_SHIFT, Thread } from "./layout";

/** Announces a run: page | pages << 20 | RUN_OURS. A growth that was begun goes on. */
export function announceRun(run: u64): void {
  if (THREADS) storeRun(run | (self().run & RUN_GROWS));
}

function storeRun(run: u64): void {
  const at = changetype<usize>(self()) + offsetof<Thread>("run");
  atomicStore<u64>(at, run | (((load<u64>(at) >> RUN_SHIFT) + 1) << RUN_SHIFT));
}

/** Until endGrowth the heap's count of pages may be wrong, whatever run this thread announces meanwhile. */
@inline
export function beginGrowth(): void {
  if (THREADS) storeRun(RUN_GROWS);
}


@inline
export function endGrowth(): void {
  if (THREADS) storeRun(0);
}

/** Announces that a run in use is this thread's to free. */
@inline
export function runClaim(page: u32, pages: u32): void {
  announceRun((<u64>page) | ((<u64>pages) << 20) | RUN_OURS);
}

/** The announced run has its entries in the page map, and is counted: a reaper finds it there. */
@inline
export function announceRunDone(): void {
  announceRun(0);
}

/** Stores an address with the word's next number. */
function storeIntent(at: usize, address: usize): void {
  atomicStore<u64>(at, (<u64>address) | ((<u64>(load<u32>(at, 4) + 1)) << 32));
}

/** Announces the slab that this thread takes from or returns to; 0: none. */
@inline
export function announceSlab(slab: usize): void {
  if (THREADS) storeIntent(changetype<usize>(self()) + offsetof<Thread>("slab"), slab);
}

/** Announces the element that this thread puts into a reserve or takes out; 0: none. */
@inline
export function announceHand(element: usize): void {
  if (THREADS) storeIntent(changetype<usize>(self()) + offsetof<Thread>("hand"), element);
}

/** Announces the cache whose slabs this thread counts up or down; 0: none. Stored first, then numbered: see workOn. */
export function announceCounting(cache: usize): void {
  if (!THREADS) return;
  const thread = changetype<usize>(self());
  atomicStore<u32>(thread + offsetof<Thread>("counting"), cache);
  atomicStore<u32>(thread + offsetof<Thread>("counts"), load<u32>(thread, offsetof<Thread>("counts")) + 1);
}

/**
 * Until endThreadTransit no magazine's `taken` has the elements that this thread has in transit. Returns the state
 * before it, for endThreadTransit: these pairs nest.
 */
@inline
export function beginThreadTransit(): u32 {
  if (!THREADS) return 0;
  const before = self().transit;
  self().transit = before | IN_TRANSIT;
  return before;
}


@inline
export function endThreadTransit(before: u32): void {
  if (THREADS) self().transit = before;
}

/** Counts `n` more elements that this thread may have marked for a bulk free. */
@inline
export function countMarks(n: i32): void {
  if (!THREADS) return;
  const transit = changetype<usize>(self()) + offsetof<Thread>("transit");
  store<u32>(transit, load<u32>(transit) + (n << 1));
}
