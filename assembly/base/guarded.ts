/** Drawings of what a debug heap has besides: guarded elements, sites, quarantines and reports. See layout.ts for the rest. */

/* ------------------------------------------------------------------------------------------------------------------ *
 * A guarded element, of a debug heap. Epoch.size is what the caller asked for, and Epoch.guard all that is behind it:
 *
 *   | zone | element | padding | zone  | Trace | zone | next element | ...
 *     64     size      to a      64      32      64
 *                      multiple of 8
 *
 * Zones, padding, and the elements that are not outstanding hold the byte DEAD: so a new slab is filled with one byte. A
 * zone belongs to one element, so that no thread reads what another writes. The element is filled with FRESH as it is
 * allocated.
 * ------------------------------------------------------------------------------------------------------------------ */
@unmanaged
export class Trace {
  allocSite: u32; // a Site; 0: not known
  freeSite: u32;
  threads: u16; // that allocated | that freed << 8
  timeHigh: u16; // of Debug.clock at the alloc, the upper bits; see timeLow
  generation: u32; // how often the element has been allocated
  allocated: u32; // Debug.sequence at the alloc
  freed: u32; // and at the free; 0: the element is outstanding
  timeLow: u32; // both 0: nobody told the time
  check: u32; // a sum of the others: see isSound; DEAD in each byte: never allocated
}

export const DEAD: u8 = 0xdd;
export const FRESH: u8 = 0xa5;
export const DEADS: u32 = 0xdddddddd;

/** In place of a site: the host is to be asked. */
export const ASK: u32 = 1;

/** The place where a program allocates or frees, as text: a call stack, a file and line. Never freed. */
@unmanaged
export class Site {
  next: usize; // with the same hash
  hash: u32;
  length: u32; // bytes of the text, which follows
}

/**
 * A quarantine: freed elements of a pool, in slots by age. The state byte is the truth: a slot only says where to look. A
 * slot, 8 bytes: an element | a number that changes with every change << 32.
 */
@unmanaged
export class Quarantine {
  cursor: u32; // the slot after the newest, modulo `slots`
  slots: u32;
}

/** What a debug heap has found. */
@unmanaged
export class Report {
  state: u32; // REPORT_*
  kind: u32; // see debug/report.ts
  pool: usize;
  element: usize;
  size: u32; // of the element
  offset: i32; // of the first damaged byte, from the element
  damaged: u32; // bytes from the first to the last that is damaged
  thread: u32; // that found it
  bytes: u64; // of what was written, the first 16
  more: u64;
  // The element's Trace.
  allocSite: u32;
  freeSite: u32;
  threads: u32;
  generation: u32;
  allocated: u32;
  freed: u32;
}

export const REPORT_EMPTY: u32 = 0;
export const REPORT_WRITING: u32 = 1;
export const REPORT_FULL: u32 = 2;

export const REPORTS: u32 = 32;
export const SITE_LISTS: u32 = 256;

/** What a debug heap keeps: this header, a list of sites for each hash, each thread's current site, and the reports. */
@unmanaged
export class Debug {
  bump: u64; // room for sites: from | to << 32
  clock: u64; // milliseconds, of 48 bits, that a host told last; 0: none has
  sequence: u32; // counts allocs and frees
  written: u32; // reports ever
  lost: u32; // reports for which there was no room
  read: u32; // reports that a host has got
  sample: u32; // one in so many allocs gets a guarded element; 0: all do
}

export const DEBUG_LISTS: u32 = 40;
export const DEBUG_THREADS: u32 = DEBUG_LISTS + 4 * SITE_LISTS;
export const DEBUG_REPORTS: u32 = DEBUG_THREADS + 4 * 64;
export const DEBUG_BYTES: u32 = DEBUG_REPORTS + REPORTS * 80;
