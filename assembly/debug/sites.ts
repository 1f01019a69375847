/**
 * Sites: the places where a program allocates and frees, as text in the heap's own memory, so that every thread and every
 * dump can read them. Each text is kept once, and for ever. Waits for no thread.
 */
import { atomicLoad, atomicStore, compareExchange } from "../base/atomics";
import { heapBase } from "../base/instance";
import { Debug, DEBUG_BYTES, DEBUG_LISTS, Site, SITE_LISTS } from "../base/guarded";
import { alignUp, HEAP_DEBUG, PAGE, PAGE_SHIFT } from "../base/layout";
import { rawAlloc } from "../memory/growth";
import { rawFree } from "../memory/runs";
import { debugAt, siteAt } from "./trace";

/** Sites of the longest texts are cut to this many bytes. */
const MAX_TEXT: u32 = 2048;

/** Pages that sites take at once. */
const SITE_PAGES: u32 = 2;

/** For a new heap. Without memory it has no sites and no reports. */
export function beginDebug(): void {
  const pages = (DEBUG_BYTES + PAGE - 1) >>> PAGE_SHIFT;
  store<u32>(heapBase() + HEAP_DEBUG, 0);
  const debug = rawAlloc(pages);
  if (debug) memory.fill(debug, 0, pages << PAGE_SHIFT);
  store<u32>(heapBase() + HEAP_DEBUG, <u32>debug);
}

function hashOf(text: usize, bytes: u32): u32 {
  let hash: u32 = 0x811c9dc5;
  for (let i: u32 = 0; i < bytes; i++) hash = (hash ^ load<u8>(text + i)) * 0x01000193;
  return hash;
}

/** The site with this text: its address; 0 if there is no memory for it. */
export function siteOf(text: usize, bytes: u32): usize {
  if (!debugAt()) return 0;
  bytes = min(bytes, MAX_TEXT);
  const hash = hashOf(text, bytes);
  const list = debugAt() + DEBUG_LISTS + ((hash % SITE_LISTS) << 2);
  let made: usize = 0;
  while (true) {
    const head = atomicLoad<u32>(list);
    for (let at = <usize>head; at; at = changetype<Site>(at).next) {
      const site = changetype<Site>(at);
      if (site.hash != hash || site.length != bytes) continue;
      if (!memory.compare(at + offsetof<Site>(), text, bytes)) return at;
    }
    if (!made) {
      made = takeRoom(offsetof<Site>() + bytes);
      if (!made) return 0;
      changetype<Site>(made).hash = hash;
      changetype<Site>(made).length = bytes;
      memory.copy(made + offsetof<Site>(), text, bytes);
    }
    changetype<Site>(made).next = head;
    // Ordering: publishes the site.
    if (compareExchange<u32>(list, head, <u32>made)) return made;
  }
}

/** Has this thread's next allocs and frees be at a site, or ASK, until another is set. */
export function useSite(site: usize): void {
  if (debugAt()) store<u32>(siteAt(), <u32>site);
}

/** Tells the time of all threads' allocs from now on: milliseconds since a fixed moment, from 1 to 2^48. */
export function setClock(milliseconds: f64): void {
  // A sum from 2^52 on is a whole number, its lowest bits: not every host converts numbers without a trap.
  const whole = reinterpret<u64>(milliseconds + 4503599627370496.0) & 0xffffffffffff;
  const time: u64 = milliseconds >= 1 && milliseconds < 281474976710656.0 ? whole : 0;
  if (debugAt()) atomicStore<u64>(debugAt() + offsetof<Debug>("clock"), time);
}

/** Has pools made from now on guard one element in `n`; 0: no change. Returns the n of the heap; 0: all are guarded. */
export function sampleOne(n: u32): u32 {
  if (!debugAt()) return 0;
  if (n) store<u32>(debugAt() + offsetof<Debug>("sample"), n);
  return load<u32>(debugAt() + offsetof<Debug>("sample"));
}

function takeRoom(bytes: u32): usize {
  const room = debugAt() + offsetof<Debug>("bump");
  bytes = alignUp(bytes, 8);
  while (true) {
    const word = atomicLoad<u64>(room);
    const from = <u32>word;
    if (<u32>(word >> 32) - from >= bytes) {
      if (compareExchange<u64>(room, word, word + bytes)) return from;
      continue;
    }
    const more = rawAlloc(SITE_PAGES);
    if (!more) return 0;
    const now = (<u64>more) | ((<u64>(more + (SITE_PAGES << PAGE_SHIFT))) << 32);
    if (!compareExchange<u64>(room, word, now)) rawFree(more);
  }
}
