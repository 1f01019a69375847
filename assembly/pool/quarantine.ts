/**
 * The quarantine of a pool of a debug heap: elements that were freed stay in it for a while, so that the next alloc does
 * not get one, and a write after the free is found in it.
 *
 * Its slots are hints, and the state byte is the truth: whoever changes QUARANTINED to CACHED by a compare-exchange has
 * the element. An element is put into a slot while it is CACHED, and then becomes QUARANTINED; so a thread that dies
 * anywhere leaves it CACHED, which reap returns, or QUARANTINED in a slot. A slot may name an element that reap has
 * returned: then the element's state is another one, and the slot counts as empty.
 *
 * `taken` leaves out what is QUARANTINED. Whatever looks for memory empties the quarantine first: a quarantine never
 * makes an alloc fail. Costs a look at each slot to empty it. Waits for no thread.
 */
import { atomicAdd, atomicLoad, atomicStore, compareExchange } from "../base/atomics";
import { heap } from "../base/instance";
import { beginThreadTransit, endThreadTransit } from "../base/intent";
import { Quarantine } from "../base/guarded";
import {
  Epoch,
  Magazine,
  PAGE,
  Pool,
  RECORD,
  STATE_CACHED,
  STATE_LIVE,
  STATE_QUARANTINED,
  TAG_MASK,
} from "../base/layout";
import { checkFreed } from "../debug/trace";
import { elementReturn } from "../memory/elements";
import { cacheIn, indexOf, slabIn, stateCached, stateOf } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { ownAlloc } from "../memory/records";
import { beginTransit, endTransit } from "./magazine";
import { isClosed, poolOf } from "./pool";
import { reservePut } from "./reserve";

/** A quarantine keeps no more bytes of elements than this, but always one element. */
const MOST_BYTES: u32 = 1 << 20;

/** A heap of fewer pages has small quarantines. */
const LARGE_HEAP: u32 = 1 << 10;

/** Slots that a free tries, where other threads are at work on the first ones. */
const TRIES: u32 = 4;

/** Makes a pool's quarantine, for elements of such an epoch: a small one if they are few. If memory is gone, it has none. */
export function makeQuarantine(pool: Pool, epoch: Epoch, few: bool): void {
  const bytes = few || heap().maxPages < LARGE_HEAP ? RECORD : PAGE;
  const at = ownAlloc(bytes);
  if (!at) return;
  memory.fill(at, 0, bytes);
  changetype<Quarantine>(at).slots = min(
    (bytes - offsetof<Quarantine>()) >>> 3,
    max<u32>(1, MOST_BYTES / epoch.stride),
  );
  // Ordering: complete before other threads put elements into it.
  atomicStore<u32>(changetype<usize>(pool) + offsetof<Pool>("quarantine"), <u32>at);
}


@inline
function quarantineOf(pool: Pool): Quarantine {
  return changetype<Quarantine>(<usize>atomicLoad<u32>(changetype<usize>(pool) + offsetof<Pool>("quarantine")));
}


@inline
function slotOf(quarantine: Quarantine, i: u32): usize {
  return changetype<usize>(quarantine) + offsetof<Quarantine>() + (i << 3);
}

/** The address of the state byte of an element that a slot names; 0 if the pool has no such element now. */
function stateIfOwn(pool: Pool, element: usize): usize {
  const entry = entryAt(element);
  const owner = entry ? load<u32>(entry) : 0;
  if (!owner || owner & TAG_MASK) return 0;
  const epoch = changetype<Epoch>(cacheIn(entry));
  if (epoch.pool != changetype<usize>(pool)) return 0;
  const slab = slabIn(entry);
  const index = indexOf(epoch, slab, element);
  return index < slab.count ? stateOf(slab, index) : 0;
}

/**
 * Puts an element that this thread holds, and whose state byte is at `state`, into the quarantine. Returns the oldest of
 * those in it, which this thread holds now; 0 if there was room; or the element itself, still held.
 */
export function holdBack(m: Magazine, element: usize, state: usize): usize {
  const pool = poolOf(m);
  const quarantine = quarantineOf(pool);
  if (!changetype<usize>(quarantine)) return element;
  beginTransit(m, -1);
  for (let tries = TRIES; tries; tries--) {
    const i = atomicAdd<u32>(changetype<usize>(quarantine) + offsetof<Quarantine>("cursor"), 1) % quarantine.slots;
    const slot = slotOf(quarantine, i);
    const word = atomicLoad<u64>(slot);
    let oldest = <usize>(<u32>word);
    const oldState = oldest ? stateIfOwn(pool, oldest) : 0;
    const byte: u32 = oldState ? atomicLoad<u8>(oldState) : 0;
    // Another thread has it in hand: it puts it here, or takes it from here.
    if ((byte & (STATE_LIVE | STATE_CACHED)) == STATE_CACHED) continue;
    if (byte != STATE_QUARANTINED) oldest = 0;
    else if (!compareExchange<u8>(oldState, <u8>STATE_QUARANTINED, <u8>stateCached())) continue;
    if (compareExchange<u64>(slot, word, nextWord(word, element))) {
      // Ordering: the slot names the element, then the element is QUARANTINED.
      compareExchange<u8>(state, <u8>stateCached(), <u8>STATE_QUARANTINED);
      endTransit(m, oldest ? 1 : 0);
      if (oldest) checkFreed(oldest);
      return oldest;
    }
    if (oldest) elementReturn(entryAt(oldest), oldState);
  }
  endTransit(m, 1);
  return element;
}


@inline
function nextWord(word: u64, element: usize): u64 {
  return (((word >> 32) + 1) << 32) | (<u64>element);
}

/** Empties the quarantine, into the reserve or the slabs. True if there was something in it. */
export function drain(pool: Pool): bool {
  const quarantine = quarantineOf(pool);
  if (!changetype<usize>(quarantine)) return false;
  const transit = beginThreadTransit();
  let moved = false;
  for (let i: u32 = 0; i < quarantine.slots; i++) {
    const slot = slotOf(quarantine, i);
    const word = atomicLoad<u64>(slot);
    const element = <usize>(<u32>word);
    const state = element ? stateIfOwn(pool, element) : 0;
    if (!state || <u32>atomicLoad<u8>(state) != STATE_QUARANTINED) continue;
    if (!compareExchange<u8>(state, <u8>STATE_QUARANTINED, <u8>stateCached())) continue;
    compareExchange<u64>(slot, word, nextWord(word, 0));
    checkFreed(element);
    const entry = entryAt(element);
    if (isClosed(pool) || !reservePut(changetype<Epoch>(cacheIn(entry)), element, state)) elementReturn(entry, state);
    moved = true;
  }
  endThreadTransit(transit);
  return moved;
}
