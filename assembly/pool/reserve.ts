/**
 * The reserve of an epoch: a set of slots that any thread fills and empties without waiting for another. While one
 * thread works on it, it is a stack.
 *
 * Owns the state RESERVED, currNr and minNr. A put counts the element, marks it RESERVED, and compare-exchanges it into
 * an empty slot. A take compare-exchanges the slot to 0, takes off the mark, and counts the element off. So currNr is
 * never below the number of filled slots, and a thread that has counted its element finds an empty slot. currNr and
 * minNr are one word, changed by one compare-exchange: no element comes in beyond minNr, also while a resize changes
 * it. All the while the thread's `hand` names the element: what a dead thread left half-done is found there (reapHand).
 *
 * Invariants, while no thread is inside a call (checkReserve and checkPool of inspect/check.ts):
 * - the elements in the slots are RESERVED, no others are, and there are currNr of them, at most minNr; but a host may
 *   leave more in an external backend's reserve;
 * - the pool's `short` is set unless its current epoch has minNr of them (markShort and clearShort in gate.ts).
 *
 * Costs one slot a put or take while no other thread works on it; a take that finds no element, a look at all slots.
 * Waits for no thread.
 */
import { atomicAdd, atomicLoad, atomicStore, compareExchange, THREADS } from "../base/atomics";
import { numbersGiven, scratch } from "../base/instance";
import { announceHand, beginThreadTransit, endThreadTransit } from "../base/intent";
import { BACKEND_EXTERNAL, BATCH, Epoch, Slots, STATE_RESERVED } from "../base/layout";
import { elementReturn, slabRefill, slabReturn } from "../memory/elements";
import { stateAt, stateCached, stateIn } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { ownAlloc, ownFree } from "../memory/records";

const SLOTS_HEADER: u32 = offsetof<Slots>();

/** One more in currNr, in the word of both counts. */
const ONE: u64 = 1;


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

/** minNr - currNr: not above 0 if the reserve is full. */
@inline
export function missing(epoch: Epoch): i32 {
  const counts = atomicLoad<u64>(countsAt(epoch));
  return <i32>(<u32>(counts >> 32) - <u32>counts);
}

/** Sets the reserve's target size. The caller then trims or fills the reserve. */
export function setMinNr(epoch: Epoch, n: u32): void {
  let counts: u64;
  do {
    counts = atomicLoad<u64>(countsAt(epoch));
  } while (!compareExchange<u64>(countsAt(epoch), counts, (<u64>(<u32>counts)) | ((<u64>n) << 32)));
}


@inline
function newest(epoch: Epoch): Slots {
  return changetype<Slots>(<usize>atomicLoad<u32>(changetype<usize>(epoch) + offsetof<Epoch>("reserve")));
}

export function slotCount(epoch: Epoch): u32 {
  const slots = newest(epoch);
  return changetype<usize>(slots) ? slots.end : 0;
}

/** The slot with a number below slotCount. A later chunk is as long as all before it, so there are few. */
export function slotAt(epoch: Epoch, i: u32): usize {
  let slots = newest(epoch);
  while (i < slots.base) slots = changetype<Slots>(slots.next);
  return changetype<usize>(slots) + SLOTS_HEADER + ((i - slots.base) << 2);
}

/** Makes slots for `n` elements; for the pool's resizer alone. False: memory is gone. */
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
  // Ordering: this store publishes the chunk, which is complete and never moves.
  atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("reserve"), <u32>chunk);
  return true;
}

/** Frees the slots. Each chunk leaves the list first: a thread that dies here leaks it, and nobody frees it twice. */
export function freeSlots(epoch: Epoch): void {
  for (let at = epoch.reserve; at;) {
    const chunk = at;
    epoch.reserve = at = changetype<Slots>(chunk).next;
    ownFree(chunk);
  }
}

/** Puts a held element into the reserve. False: the reserve is full, and the element still held. */
export function reservePut(epoch: Epoch, element: usize, state: usize): bool {
  let counts: u64;
  announceHand(element);
  do {
    counts = atomicLoad<u64>(countsAt(epoch));
    if (<u32>counts >= <u32>(counts >> 32)) {
      announceHand(0);
      return false;
    }
  } while (!compareExchange<u64>(countsAt(epoch), counts, counts + ONE));
  atomicStore<u8>(state, <u8>STATE_RESERVED);
  fillSlot(epoch, element, <u32>counts);
  // minNr fell after this element was counted, and the resizer may have trimmed before it was in its slot.
  if (missing(epoch) < 0) reserveTrim(epoch);
  return true;
}

/** Puts a counted element, RESERVED, into an empty slot: slot `i`, unless another thread has filled that. */
function fillSlot(epoch: Epoch, element: usize, i: u32): void {
  const slots = slotCount(epoch);
  if (i >= slots) i = 0;
  // Ordering: counted before the slot is filled: see reserveTake.
  if (THREADS) atomicAdd<u32>(putsAt(epoch), 1);
  while (!compareExchange<u32>(slotAt(epoch, i), 0, <u32>element)) {
    if (++i >= slots) i = 0;
  }
  announceHand(0);
}

/** Returns elements above minNr to the slabs; an external backend's host takes them (drainBoxes). */
export function reserveTrim(epoch: Epoch): void {
  if (epoch.backend == BACKEND_EXTERNAL) return;
  const transit = beginThreadTransit();
  while (missing(epoch) < 0) {
    const element = reserveTake(epoch, true);
    // Another thread has it in hand: a thread that puts it in trims after that, and one that takes it out removes it.
    if (!element) break;
    const entry = entryAt(element);
    elementReturn(entry, stateIn(entry, element));
  }
  endThreadTransit(transit);
}


@inline
function putsAt(epoch: Epoch): usize {
  return changetype<usize>(epoch) + offsetof<Epoch>("puts");
}

/**
 * Takes an element out and holds it; 0 if there is none. The caller calls markShort. `above`: only while the reserve
 * has more than minNr, which the compare-exchange of the counts decides.
 *
 * Ordering: 0 means that the reserve was empty at some instant of the call (or, with `above`, had no surplus). One look
 * over all slots does not show that: another thread may fill a slot that the look has passed, and empty one that it has
 * not reached. That thread counts in `puts` before it fills the slot. So while `puts` stays the same, each look that
 * misses an element uses up one of the threads that had counted before and not yet filled their slots: of one look more
 * than there are threads, one misses nothing.
 */
export function reserveTake(epoch: Epoch, above: bool): usize {
  if (!THREADS) return searchSlots(epoch, above);
  let puts = atomicLoad<u32>(putsAt(epoch));
  let looks: u32 = 0;
  while (currNr(epoch)) {
    const element = searchSlots(epoch, above);
    if (element) return element;
    if (above && missing(epoch) >= 0) break;
    const now = atomicLoad<u32>(putsAt(epoch));
    if (now != puts) {
      puts = now;
      looks = 0;
    } else if (++looks > numbersGiven()) break;
  }
  return 0;
}

/** One look over all slots. */
function searchSlots(epoch: Epoch, above: bool): usize {
  const slots = slotCount(epoch);
  let i = currNr(epoch);
  // currNr is never below the number of filled slots.
  if (!i) return 0;
  for (let looks: u32 = 0; looks < slots; looks++) {
    i = (i && i <= slots ? i : slots) - 1;
    const slot = slotAt(epoch, i);
    const element = atomicLoad<u32>(slot);
    if (!element) continue;
    announceHand(element);
    if (!compareExchange<u32>(slot, element, 0)) continue;
    const taken = compareExchange<u8>(stateAt(element), <u8>STATE_RESERVED, <u8>stateCached());
    let counts: u64;
    do {
      counts = atomicLoad<u64>(countsAt(epoch));
      // Other threads have taken the surplus: this element goes back.
      if (above && taken && <u32>counts <= <u32>(counts >> 32)) {
        atomicStore<u8>(stateAt(element), <u8>STATE_RESERVED);
        fillSlot(epoch, element, i);
        return 0;
      }
    } while (!compareExchange<u64>(countsAt(epoch), counts, counts - ONE));
    const left = <u32>counts - 1;
    announceHand(0);
    // Not taken: a dead thread held it, and the thread that reaps holds it now.
    if (!taken) continue;
    if (left < epoch.lowestCurrNr) epoch.lowestCurrNr = left;
    if (left < epoch.lowWatermark) epoch.lowWatermark = left;
    return element;
  }
  announceHand(0);
  return 0;
}

/** Fills the reserve from the backend. False: the backend gave too few. */
export function reserveFill(epoch: Epoch): bool {
  const rounds = scratch();
  const transit = beginThreadTransit();
  let n: i32;
  while ((n = missing(epoch)) > 0) {
    const got = slabRefill(epoch, rounds, min<u32>(BATCH, n));
    if (!got) break;
    let top = rounds + (got << 3);
    while (top > rounds && reservePut(epoch, load<u32>(top - 8), load<u32>(top - 4))) top -= 8;
    slabReturn(epoch, rounds, top);
  }
  endThreadTransit(transit);
  return n <= 0;
}

/** The fewest elements that the reserve had since the last such call. */
export function takeLowWatermark(epoch: Epoch): u32 {
  const lowest = epoch.lowWatermark;
  epoch.lowWatermark = currNr(epoch);
  return lowest;
}
