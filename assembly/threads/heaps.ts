/**
 * Heaps and their threads: create and exit, attach and detach.
 *
 * A thread's number is in the state bytes of its elements. So a thread that joins with a number that others bore before
 * first marks the outstanding elements of those as no thread's (LEFT_NUMBER); until then JOINING hides them from
 * nextLive.
 *
 * attachHeap and detachHeap may wait for the lock of the heap's lists, for a bounded time; then attach refuses with
 * BUSY, and detach leaves the rest to another thread (announceLeft, finishLeavers). Attach with a used number costs a
 * look at all state bytes, detach a look at each pool.
 */
import { atomicAnd, atomicLoad, atomicStore, compareExchange, DEBUG, THREADS } from "../base/atomics";
import { BAD_ARGUMENT, BUSY, fail, NO_HEAP, NO_MEMORY, NO_THREAD } from "../base/error";
import { hasHeap, heapBase, NOWHERE, self, selfNumber, serveHeap, threadAt } from "../base/instance";
import {
  Heap,
  HEAP_MAGIC,
  HEAP_THREADS,
  LEFT_NUMBER,
  LIFE_ALIVE,
  LIFE_JOINING,
  LIFE_LEFT,
  LIFE_MASK,
  LIFE_SHIFT,
  PAGE,
  RECORD,
  SCRATCH_BYTES,
  STATE_LIVE,
  STATE_MARK,
  Thread,
} from "../base/layout";
import { lock, unlock } from "../base/list";
import { beginDebug } from "../debug/sites";
import { cacheInit, records, stateAt } from "../memory/geometry";
import { pagesInit, rawAlloc } from "../memory/growth";
import { nextElement } from "../memory/walk";
import { reclaim } from "../pool/reclaim";
import { leaveAll, settlePools } from "./handles";
import { isAlone, isHeap, leaveNumber, lifeOf, nudgeThreads } from "./life";
import { finishLeavers } from "./reap";

/**
 * Makes a heap of `bytes` bytes at `base`, and has this instance serve it. With base 0 the heap owns the whole memory
 * (bytes 0: all 4 GiB). It may have `maxPages` pages of 4 KiB; `grows`: it calls memory.grow itself. Returns the heap's
 * address; 0 if there is no such memory, or too little for the heap's own structures, or this instance serves a heap
 * already.
 */
export function createHeap(base: u32, bytes: u32, maxPages: u32, grows: bool): usize {
  if (hasHeap()) return fail(BUSY);
  const address = pagesInit(base, bytes, maxPages, grows);
  if (!address) return fail(BAD_ARGUMENT);
  cacheInit(records(), RECORD, 16);
  if (DEBUG) beginDebug();
  atomicStore<u32>(address + offsetof<Heap>("magic"), HEAP_MAGIC);
  return address;
}

/**
 * Ends the heap that this instance serves, whatever is in it: its memory is the caller's again. False: another thread
 * is attached. In a build without threads, other instances that serve the heap must not be used any more.
 */
export function exitHeap(): bool {
  const magic = heapBase() + offsetof<Heap>("magic");
  if (!isAlone()) return <bool>fail(BUSY);
  // Ordering: `magic` is stored, then the numbers are read; a thread that attaches takes a number, then reads `magic`.
  // At least one of them sees the other.
  atomicStore<u32>(magic, 0);
  if (!isAlone()) {
    atomicStore<u32>(magic, HEAP_MAGIC);
    return <bool>fail(BUSY);
  }
  serveHeap(NOWHERE, 0);
  return true;
}

/**
 * Has this instance serve a heap that another instance made in the same memory; in a build with threads as a thread of
 * its own, which the host finds by `label`. False: no heap is at `address`, all numbers are taken, the lock is not to
 * be had, or memory is gone.
 */
export function attachHeap(address: usize, label: u32): bool {
  if (hasHeap()) return <bool>fail(BUSY);
  if (!isHeap(address)) return <bool>fail(NO_HEAP);
  serveHeap(address, address + HEAP_THREADS);
  if (!THREADS) return true;
  if (join(label)) {
    finishLeavers();
    if (isHeap(address)) return true;
    // The heap has ended meanwhile.
    leaveNumber();
    fail(NO_HEAP);
  }
  serveHeap(NOWHERE, 0);
  return false;
}

/** Makes this instance the bearer of a free number, or of one whose bearer has left; then it finishes that. */
function join(label: u32): bool {
  for (let number: u32 = 1; number < LEFT_NUMBER; number++) {
    const thread = threadAt(number);
    const life = atomicLoad<u64>(thread + offsetof<Thread>("life"));
    const state = (<u32>life) & LIFE_MASK;
    if (state && state != LIFE_LEFT) continue;
    const isFirst = !((<u32>life) >>> LIFE_SHIFT || state);
    const joining = lifeOf(life, LIFE_ALIVE, label) | (isFirst ? 0 : LIFE_JOINING);
    if (!compareExchange<u64>(thread + offsetof<Thread>("life"), life, joining)) continue;
    serveHeap(heapBase(), thread);
    const t = self();
    t.number = number;
    t.transit = 0;
    const givenAt = heapBase() + offsetof<Heap>("threads");
    let given: u32;
    do {
      given = atomicLoad<u32>(givenAt);
    } while (given <= number && !compareExchange<u32>(givenAt, given, number + 1));
    if (state && !leaveAll()) {
      announceLeft();
      return <bool>fail(BUSY);
    }
    if (!t.scratch) {
      const scratch = scratchAlloc() || (reclaim() ? scratchAlloc() : 0);
      atomicStore<u32>(changetype<usize>(t) + offsetof<Thread>("scratch"), <u32>scratch);
    }
    if (t.scratch && (isFirst || disownPredecessors())) return true;
    leaveNumber();
    return <bool>fail(t.scratch ? BUSY : NO_MEMORY);
  }
  return <bool>fail(NO_THREAD);
}

function scratchAlloc(): usize {
  const at = rawAlloc((SCRATCH_BYTES + PAGE - 1) / PAGE);
  if (at) memory.fill(at, 0, SCRATCH_BYTES);
  return at;
}

/**
 * Marks the outstanding elements of earlier bearers of this thread's number as no thread's, so that they are not listed
 * as this thread's when it dies. False: the lock is not to be had.
 */
function disownPredecessors(): bool {
  if (!lock()) return false;
  const walker = heapBase() + offsetof<Heap>("walker");
  // Ordering: `walker` is stored, then slabs are read; a thread that retires a slab stores SLAB_RETIRED, then reads
  // `walker` (sweep). So no slab in which this walk finds an element goes back to pages before it ends.
  atomicStore<u32>(walker, selfNumber() + 1);
  const live = STATE_LIVE | selfNumber();
  const mask = 0xff & ~STATE_MARK;
  for (
    let element = nextElement(0, mask, live, 0, false);
    element;
    element = nextElement(element, mask, live, 0, false)
  ) {
    const state = stateAt(element);
    let byte: u8;
    // A bulk free may set or clear its mark meanwhile.
    do {
      byte = atomicLoad<u8>(state);
    } while (((<u32>byte) & mask) == live && !compareExchange<u8>(state, byte, <u8>(byte | LEFT_NUMBER)));
  }
  atomicStore<u32>(walker, 0);
  // A pool whose last slab became empty meanwhile could not end.
  settlePools();
  unlock();
  atomicAnd<u64>(changetype<usize>(self()) + offsetof<Thread>("life"), ~(<u64>LIFE_JOINING));
  return true;
}

/**
 * Leaves the heap: returns what this thread has cached, and ends its handles, its arenas, and its pools that no other
 * thread can reach. If another thread has the lock for long, the next thread that is idle or joins finishes this.
 * Returns true.
 */
export function detachHeap(): bool {
  if (leaveAll()) leaveNumber();
  else announceLeft();
  serveHeap(NOWHERE, 0);
  return true;
}

/** Marks this thread as one that has left, for another thread to finish that (finishLeavers). */
function announceLeft(): void {
  const at = changetype<usize>(self()) + offsetof<Thread>("life");
  const life = atomicLoad<u64>(at);
  // Before the life changes, and never cleared: so a thread that dies in between does not go unnoticed.
  atomicStore<u32>(heapBase() + offsetof<Heap>("leavers"), 1);
  // A reaper that has taken this thread for dead does the rest itself.
  if (((<u32>life) & LIFE_MASK) == LIFE_ALIVE && compareExchange<u64>(at, life, lifeOf(life, LIFE_LEFT, 0)))
    nudgeThreads();
}
