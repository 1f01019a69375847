/**
 * Reports: what a debug heap has found, in a ring in the heap, for whichever thread asks first. A full ring loses new
 * reports, and counts them. Waits for no thread.
 */
import { atomicAdd, atomicLoad, atomicStore, compareExchange } from "../base/atomics";
import { heapBase, selfNumber } from "../base/instance";
import {
  Debug,
  DEBUG_REPORTS,
  Report,
  REPORT_EMPTY,
  REPORT_FULL,
  REPORT_WRITING,
  REPORTS,
  Trace,
} from "../base/guarded";
import { HEAP_DEBUG } from "../base/layout";

/* Kinds, part of the ABI. */
/** Written in front of the element. */
export const BEFORE: u32 = 1;
/** Written behind the element's end. */
export const BEHIND: u32 = 2;
/** Written to the element while it was not outstanding. */
export const FREED: u32 = 3;
/** The element's trace is overwritten. */
export const DAMAGED: u32 = 4;

/** A build without threads compares nothing in a compare-exchange. */
function change(state: usize, from: u32, to: u32): bool {
  return atomicLoad<u32>(state) == from && compareExchange<u32>(state, from, to);
}

/** Trace null: it is not to be trusted. */
export function writeReport(
  kind: u32,
  pool: usize,
  element: usize,
  size: u32,
  offset: i32,
  n: u32,
  trace: Trace,
): void {
  const debug = <usize>load<u32>(heapBase() + HEAP_DEBUG);
  if (!debug) return;
  const number = atomicAdd<u32>(debug + offsetof<Debug>("written"), 1);
  const report = changetype<Report>(debug + DEBUG_REPORTS + (number % REPORTS) * offsetof<Report>());
  if (!change(changetype<usize>(report), REPORT_EMPTY, REPORT_WRITING)) {
    atomicAdd<u32>(debug + offsetof<Debug>("lost"), 1);
    return;
  }
  report.kind = kind;
  report.pool = pool;
  report.element = element;
  report.size = size;
  report.offset = offset;
  report.damaged = n;
  report.thread = selfNumber();
  report.bytes = 0;
  report.more = 0;
  memory.copy(changetype<usize>(report) + offsetof<Report>("bytes"), element + offset, min<u32>(n, 16));
  const known = changetype<usize>(trace) != 0;
  const to = changetype<usize>(report) + offsetof<Report>("allocSite");
  const bytes = offsetof<Report>() - offsetof<Report>("allocSite");
  if (known && trace.check != 0xdddddddd) {
    memory.copy(to, changetype<usize>(trace), bytes);
    report.threads &= 0xffff;
  } else memory.fill(to, 0, bytes);
  atomicStore<u32>(changetype<usize>(report), REPORT_FULL);
}

/** Copies the oldest report, 18 words, to `at`, and takes it out. False: there is none. */
export function nextReport(at: usize): bool {
  const debug = <usize>load<u32>(heapBase() + HEAP_DEBUG);
  if (!debug) return false;
  const written = atomicLoad<u32>(debug + offsetof<Debug>("written"));
  const lost = atomicLoad<u32>(debug + offsetof<Debug>("lost"));
  if (written == lost + atomicLoad<u32>(debug + offsetof<Debug>("read"))) return false;
  for (let i: u32 = 0; i < REPORTS; i++) {
    const report = debug + DEBUG_REPORTS + ((written + i) % REPORTS) * offsetof<Report>();
    if (!change(report, REPORT_FULL, REPORT_WRITING)) continue;
    memory.copy(at, report, offsetof<Report>());
    atomicAdd<u32>(debug + offsetof<Debug>("read"), 1);
    atomicStore<u32>(report, REPORT_EMPTY);
    return true;
  }
  return false;
}
