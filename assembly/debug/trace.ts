/**
 * Guarded elements (Trace in base/guarded.ts): filled and checked as they change hands, with the places that changed them.
 *
 * An element that is not outstanding, and each zone, holds DEAD. So whatever else is there was written past an element's
 * end, before its beginning, or after its free. Damage is reported once and mended. The thread that calls has the element
 * CACHED, except in checkHeap.
 *
 * Costs the bytes of the element. Waits for no thread.
 */
import { atomicAdd, atomicLoad } from "../base/atomics";
import { heapBase, selfNumber } from "../base/instance";
import { ASK, DEAD, DEADS, Debug, DEBUG_THREADS, FRESH, Trace } from "../base/guarded";
import { alignUp, Epoch, HEAP_DEBUG, PAGE_SHIFT, Slab, STATE_CACHED, STATE_LIVE, TAG_MASK, ZONE } from "../base/layout";
import { cacheAt, cacheIn, firstElement, indexOf, slabIn, slabPages, stateOf } from "../memory/geometry";
import { entryAt, entryOfPage, nextSlab } from "../memory/map";
import { BEFORE, BEHIND, DAMAGED, FREED, writeReport } from "./report";

/** Bytes behind an element of so many. */
export function guardFor(size: u32): u32 {
  return alignUp(size, 8) - size + ZONE + offsetof<Trace>() + ZONE;
}


@inline
export function traceOf(epoch: Epoch, element: usize): Trace {
  return changetype<Trace>(element + alignUp(epoch.size, 8) + ZONE);
}

/** The heap's Debug; 0 if there was no memory for it. */
@inline
export function debugAt(): usize {
  return load<u32>(heapBase() + HEAP_DEBUG);
}

/** Where a thread's current site is. */
@inline
export function siteAt(): usize {
  return debugAt() + DEBUG_THREADS + (selfNumber() << 2);
}

/**
 * When an element is allocated; 0: not known. The clock is the heap's: a call that has slept gets its element by the free of
 * a thread that told the time. A thread that is to be asked has not told it for this element.
 */
function timeNow(): u64 {
  return debugAt() && !asks() ? atomicLoad<u64>(debugAt() + offsetof<Debug>("clock")) : 0;
}

function nextSequence(): u32 {
  return debugAt() ? atomicAdd<u32>(debugAt() + offsetof<Debug>("sequence"), 1) + 1 : 0;
}


@inline
function currentSite(): u32 {
  return debugAt() ? load<u32>(siteAt()) & ~ASK : 0;
}

/** Whether this thread's host wants to hear of a guarded element before it is allocated or freed, to say from where. */
export function asks(): bool {
  return debugAt() != 0 && load<u32>(siteAt()) == ASK;
}

function sumOf(trace: Trace): u32 {
  let sum: u32 = changetype<u32>(trace);
  const end = changetype<usize>(trace) + offsetof<Trace>("check");
  for (let at = changetype<usize>(trace); at < end; at += 4) sum = rotl<u32>(sum, 5) ^ (load<u32>(at) * 0x9e3779b1);
  return sum;
}

/** Whether a trace is as it was written. */
export function isSound(trace: Trace): bool {
  if (trace.check != DEADS) return trace.check == sumOf(trace);
  return !firstOther(changetype<usize>(trace), changetype<usize>(trace) + offsetof<Trace>());
}

/** Whether the element was ever allocated, by a sound trace. */
@inline
export function isUsed(trace: Trace): bool {
  return trace.check != DEADS;
}

/** The first byte from `from` to before `to` that is not DEAD; 0 if there is none. */
function firstOther(from: usize, to: usize): usize {
  for (; from + 4 <= to; from += 4) if (load<u32>(from) != DEADS) break;
  for (; from < to; from++) if (load<u8>(from) != DEAD) return from;
  return 0;
}

/** Reports what is in a range that should be DEAD, and mends it. True: it was as it should be. */
function checkRange(epoch: Epoch, element: usize, from: usize, to: usize, kind: u32): bool {
  const first = firstOther(from, to);
  if (!first) return true;
  let last = to - 1;
  while (load<u8>(last) == DEAD) last--;
  const trace = traceOf(epoch, element);
  // An overrun may have reached it.
  const known = isSound(trace) ? trace : changetype<Trace>(0);
  writeReport(kind, epoch.pool, element, epoch.size, <i32>(first - element), last + 1 - first, known);
  memory.fill(first, DEAD, last + 1 - first);
  return false;
}

/** Checks the trace, the zones, and of an element that is not outstanding all its bytes. True: all is well. */
function checkElement(epoch: Epoch, element: usize, isLive: bool): bool {
  const end = element + epoch.size;
  const trace = traceOf(epoch, element);
  const at = changetype<usize>(trace);
  let good = checkRange(epoch, element, element - ZONE, element, BEFORE);
  if (!isLive && !checkRange(epoch, element, element, end, FREED)) good = false;
  if (!checkRange(epoch, element, end, at, BEHIND)) good = false;
  if (isSound(trace)) return good;
  writeReport(DAMAGED, epoch.pool, element, epoch.size, <i32>(at - element), offsetof<Trace>(), changetype<Trace>(0));
  if (isLive) sign(trace);
  else memory.fill(at, DEAD, offsetof<Trace>());
  return false;
}


@inline
function sign(trace: Trace): void {
  trace.check = sumOf(trace);
}

/** An element on its way out: checked, filled with FRESH, and its trace begun. */
export function dress(element: usize): void {
  const epoch = changetype<Epoch>(cacheAt(element));
  if (!epoch.guard) return;
  checkElement(epoch, element, false);
  memory.fill(element, FRESH, epoch.size);
  const trace = traceOf(epoch, element);
  trace.generation = isUsed(trace) ? trace.generation + 1 : 1;
  trace.allocSite = currentSite();
  trace.freeSite = 0;
  trace.threads = <u16>(selfNumber() | 0xff00);
  trace.allocated = nextSequence();
  trace.freed = 0;
  const time = timeNow();
  trace.timeHigh = <u16>(time >> 32);
  trace.timeLow = <u32>time;
  sign(trace);
}

/** An element that was freed: its zones and its trace are checked; it is filled with DEAD, and its trace ended. */
export function strip(element: usize): void {
  const epoch = changetype<Epoch>(cacheAt(element));
  if (!epoch.guard) return;
  checkElement(epoch, element, true);
  memory.fill(element, DEAD, epoch.size);
  const trace = traceOf(epoch, element);
  trace.freeSite = currentSite();
  trace.threads = <u16>((trace.threads & 0xff) | (selfNumber() << 8));
  trace.freed = nextSequence();
  sign(trace);
}

/** An element that leaves the quarantine. */
export function checkFreed(element: usize): void {
  const epoch = changetype<Epoch>(cacheAt(element));
  if (epoch.guard) checkElement(epoch, element, false);
}

/** Makes an element that a dead thread held as good as new: the thread may have died while it filled it. */
export function mend(element: usize): void {
  const epoch = changetype<Epoch>(cacheAt(element));
  if (!epoch.guard) return;
  memory.fill(element - ZONE, DEAD, ZONE + epoch.size + epoch.guard - ZONE);
}

/** Checks all guarded elements that no thread has in hand; returns how many are damaged. Mends them. O(memory). */
export function checkHeap(): u32 {
  let bad: u32 = 0;
  for (let page = nextSlab(0); page; page = nextSlab(page + 1)) {
    const at = entryOfPage(page);
    const entry = atomicLoad<u64>(at);
    const epoch = changetype<Epoch>(<usize>(<u32>entry));
    if (!entry || !epoch.pool) continue;
    const slab = changetype<Slab>(<usize>(entry >> 32));
    const count = min(slab.count, epoch.indexEnd);
    for (let i: u32 = 0; epoch.guard && i < count; i++) {
      const state = <u32>atomicLoad<u8>(stateOf(slab, i));
      if ((state & (STATE_LIVE | STATE_CACHED)) == STATE_CACHED) continue;
      if (!checkElement(epoch, firstElement(slab) + i * epoch.stride, (state & STATE_LIVE) != 0)) bad++;
    }
    if (atomicLoad<u64>(at) == entry) page = (changetype<u32>(slab) - (slab.pages & 0xffff)) >>> PAGE_SHIFT;
    if (atomicLoad<u64>(at) == entry) page += slabPages(slab) - 1;
  }
  return bad;
}

/** Writes twelve words about the guarded element in whose cell an address is: see include/wasm_mempool.h. False: there is none. */
export function describe(address: usize, at: usize): bool {
  const entry = entryAt(address);
  const owner = entry ? load<u32>(entry) : 0;
  if (!owner || owner & TAG_MASK) return false;
  const epoch = changetype<Epoch>(cacheIn(entry));
  const slab = slabIn(entry);
  const first = firstElement(slab) - ZONE;
  if (!epoch.pool || !epoch.guard || address < first) return false;
  const index = <u32>(address - first) / epoch.stride;
  if (index >= slab.count) return false;
  const element = first + ZONE + index * epoch.stride;
  const trace = traceOf(epoch, element);
  const known = isSound(trace) && isUsed(trace);
  store<u32>(at, <u32>element);
  store<u32>(at, epoch.size, 4);
  store<u32>(at, load<u8>(stateOf(slab, indexOf(epoch, slab, element))), 8);
  store<u32>(at, known ? trace.allocSite : 0, 12);
  store<u32>(at, known ? trace.freeSite : 0, 16);
  store<u32>(at, known ? trace.threads : 0xffff, 20);
  store<u32>(at, known ? trace.generation : 0, 24);
  store<u32>(at, known ? trace.allocated : 0, 28);
  store<u32>(at, known ? trace.freed : 0, 32);
  store<u32>(at, <u32>epoch.pool, 36);
  const time = ((<u64>trace.timeHigh) << 32) | trace.timeLow;
  store<f64>(at, known ? <f64>time : 0, 40);
  return true;
}
