/**
 * The reserve of an epoch: a set of slots that any thread fills and empties without waiting for another. While one thread
 * is at it, it is a stack.
 *
 * Owns the state RESERVED, and how many there shall be. An element is put in by counting it, marking it RESERVED, and
 * swapping it into an empty slot; it is taken out by swapping the slot empty, taking the mark off, and counting it off.
 * All the while the thread's `hand` names it: what a dead thread left half-done is found there (reap.ts). So the count is
 * never below what is there, and who has counted its element finds a slot. currNr and minNr are one word, changed by one
 * swap: none comes in beyond minNr, also while that is being changed.
 *
 * Invariants (check.ts walks them, when no thread is in the middle of something):
 * - what is in the slots is RESERVED, nothing else is, and there are currNr of them, at most minNr;
 * - `short` of the pool is set unless its current epoch has minNr of them. Ordering: who takes an element counts it, then
 *   sets `short`, before anybody hears of the element: so its free finds it set. Who finds the reserve full clears `short`
 *   and then looks at the count again: of the two, one sees the other.
 */
import { atomicLoad, atomicStore, atomicSwap, THREADS } from "./atomics";
import { BACKEND_HOST, BATCH, Epoch, scratch, self, Slots, STATE_RESERVED, Thread } from "./layout";
import { elementReturn, ownAlloc, ownFree, slabRefill, slabReturn, stateAt, stateCached } from "./slab";

const SLOTS_HEADER: u32 = offsetof<Slots>();
/** One element more, in the word of both counts. */
const ONE: u64 = 1;


@inline
function announce(element: usize): void {
  if (THREADS) atomicStore<u32>(changetype<usize>(self()) + offsetof<Thread>("hand"), <u32>element);
}


@inline
function countsAt(epoch: Epoch): usize {
  return changetype<usize>(epoch) + offsetof<Epoch>("currNr");
}


@inline
export function currNr(epoch: Epoch): u32 {
  return atomicLoad<u32>(countsAt(epoch));
}


@inline
export function minNr(epoch: Epoch): u32 {
  return atomicLoad<u32>(countsAt(epoch) + 4);
}

/** Elements missing in the reserve; not above 0 if it is full. */
@inline
export function missing(epoch: Epoch): i32 {
  const counts = atomicLoad<u64>(countsAt(epoch));
  return <i32>(<u32>(counts >> 32) - <u32>counts);
}

/** From here on there shall be so many. The caller takes out those above it, or fills in those below. */
export function setMinNr(epoch: Epoch, n: u32): void {
  let counts: u64;
  do {
    counts = atomicLoad<u64>(countsAt(epoch));
  } while (!atomicSwap<u64>(countsAt(epoch), counts, (<u64>(<u32>counts)) | ((<u64>n) << 32)));
}


@inline
function newest(epoch: Epoch): Slots {
  return changetype<Slots>(<usize>atomicLoad<u32>(changetype<usize>(epoch) + offsetof<Epoch>("reserve")));
}

/** Slots there are. */
export function slotCount(epoch: Epoch): u32 {
  const slots = newest(epoch);
  return changetype<usize>(slots) ? slots.end : 0;
}

/** The slot with a number below slotCount. Each chunk is as long as all before it: there are few. */
export function slotAt(epoch: Epoch, i: u32): usize {
  let slots = newest(epoch);
  while (i < slots.base) slots = changetype<Slots>(slots.next);
  return changetype<usize>(slots) + SLOTS_HEADER + ((i - slots.base) << 2);
}

/** Makes slots for `n` elements. False if there is no memory. Only who makes, resizes or reshapes the pool. */
export function makeSlots(epoch: Epoch, n: u32): bool {
  const have = slotCount(epoch);
  if (n <= have) return true;
  let more = max(n - have, have);
  let chunk = ownAlloc(SLOTS_HEADER + (more << 2));
  if (!chunk) {
    more = n - have;
    chunk = ownAlloc(SLOTS_HEADER + (more << 2));
    if (!chunk) return false;
  }
  memory.fill(chunk, 0, SLOTS_HEADER + (more << 2));
  const slots = changetype<Slots>(chunk);
  slots.next = epoch.reserve;
  slots.base = have;
  slots.end = have + more;
  // Who sees this sees all of the chunk.
  atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("reserve"), <u32>chunk);
  return true;
}

/** Gives the slots back. Each chunk is forgotten first: who dies in between frees nothing twice. */
export function freeSlots(epoch: Epoch): void {
  for (let at = epoch.reserve; at;) {
    const chunk = at;
    epoch.reserve = at = changetype<Slots>(chunk).next;
    ownFree(chunk);
  }
}

/** Puts an element, in this thread's hands, into the reserve. False if it is full. */
export function reservePut(epoch: Epoch, element: usize, state: usize): bool {
  let counts: u64;
  announce(element);
  do {
    counts = atomicLoad<u64>(countsAt(epoch));
    if (<u32>counts >= <u32>(counts >> 32)) {
      announce(0);
      return false;
    }
  } while (!atomicSwap<u64>(countsAt(epoch), counts, counts + ONE));
  atomicStore<u8>(state, <u8>STATE_RESERVED);
  place(epoch, element, <u32>counts);
  // It was counted before minNr became less, and came after who took out what was above.
  if (missing(epoch) < 0) reserveTrim(epoch);
  return true;
}

/** Puts a counted element, RESERVED, into an empty slot: if no other thread is at it, that of its number. */
function place(epoch: Epoch, element: usize, i: u32): void {
  const slots = slotCount(epoch);
  if (i >= slots) i = 0;
  while (!atomicSwap<u32>(slotAt(epoch, i), 0, <u32>element)) {
    if (++i >= slots) i = 0;
  }
  announce(0);
}

/** What is above minNr goes back to the slabs; but what is in a host's cells, the host takes out. */
export function reserveTrim(epoch: Epoch): void {
  if (epoch.backend == BACKEND_HOST) return;
  while (missing(epoch) < 0) {
    const element = reserveTake(epoch, true);
    // Another has it in hand: who puts it in looks again, and who takes it out is one to trim.
    if (!element) break;
    elementReturn(element, stateAt(element));
  }
}

/**
 * Takes an element out, into this thread's hands; 0 if there is none. The caller sets `short`. `above`: only as long as there
 * are more than minNr, which the swap of the counts decides.
 */
export function reserveTake(epoch: Epoch, above: bool): usize {
  const slots = slotCount(epoch);
  let i = currNr(epoch);
  // The count is never below what is there.
  if (!i) return 0;
  for (let looks: u32 = 0; looks < slots; looks++) {
    i = (i && i <= slots ? i : slots) - 1;
    const slot = slotAt(epoch, i);
    const element = atomicLoad<u32>(slot);
    if (!element) continue;
    announce(element);
    if (!atomicSwap<u32>(slot, element, 0)) continue;
    const taken = atomicSwap<u8>(stateAt(element), <u8>STATE_RESERVED, <u8>stateCached());
    let counts: u64;
    do {
      counts = atomicLoad<u64>(countsAt(epoch));
      // Another has taken what was above.
      if (above && taken && <u32>counts <= <u32>(counts >> 32)) {
        atomicStore<u8>(stateAt(element), <u8>STATE_RESERVED);
        place(epoch, element, i);
        return 0;
      }
    } while (!atomicSwap<u64>(countsAt(epoch), counts, counts - ONE));
    const left = <u32>counts - 1;
    announce(0);
    // Not taken: it was a dead thread's, and is now the one's who reaps it.
    if (!taken) continue;
    if (left < epoch.lowestCurrNr) epoch.lowestCurrNr = left;
    if (left < epoch.dip) epoch.dip = left;
    return element;
  }
  announce(0);
  return 0;
}

/** Fills the reserve from the backend. False if that gives too few. */
export function reserveFill(epoch: Epoch): bool {
  const rounds = scratch();
  let n: i32;
  while ((n = missing(epoch)) > 0) {
    const got = slabRefill(epoch, rounds, min<u32>(BATCH, n));
    if (!got) return false;
    let top = rounds + (got << 3);
    while (top > rounds && reservePut(epoch, load<u32>(top - 8), load<u32>(top - 4))) top -= 8;
    // Others have filled it meanwhile.
    slabReturn(epoch, rounds, top);
  }
  return true;
}
