/** The calls that only a debug heap has. */
import { none } from "../base/error";
import { hasHeap } from "../base/instance";
import { Magazine } from "../base/layout";
import { nextReport } from "../debug/report";
import { sampleOne, setClock, siteOf, useSite } from "../debug/sites";
import { checkHeap, describe } from "../debug/trace";
import { isNull, poolOf } from "../pool/pool";
import { untilSample } from "../pool/sample";

/** The site with a text of so many bytes. */
export function debug_site(text: usize, bytes: u32): usize {
  return hasHeap() ? siteOf(text, bytes) : none();
}

/** Has this thread allocate and free at a site from now on; 0: at no known one. */
export function debug_use(site: usize): void {
  if (hasHeap()) useSite(site);
  else none();
}

/** Tells what time it is, in milliseconds. */
export function debug_clock(milliseconds: f64): void {
  if (hasHeap()) setClock(milliseconds);
  else none();
}

/** Has pools made from now on guard one element in n. */
export function debug_sample(n: u32): u32 {
  return hasHeap() ? sampleOne(n) : none();
}

/** Whether one of this thread's next `count` allocs in a pool is to get a guarded element, of a pool that samples. */
export function debug_due(m: Magazine, count: u32): bool {
  return isNull(m) ? <bool>none() : untilSample(m) < count;
}

/** Twelve words about the element that has an address, or in whose zones it is. */
export function debug_trace(address: usize, array: usize): bool {
  return hasHeap() ? describe(address, array) : <bool>none();
}

/** Checks all elements; the damage is reported. Returns how many are damaged. */
export function debug_check(): u32 {
  return hasHeap() ? checkHeap() : none();
}

/** Takes the oldest report out: 18 words. False: there is none. */
export function debug_report(array: usize): bool {
  return hasHeap() ? nextReport(array) : <bool>none();
}

/** The address by which reports name a pool. */
export function debug_pool(m: Magazine): usize {
  return isNull(m) ? none() : changetype<usize>(poolOf(m));
}
