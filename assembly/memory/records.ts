/**
 * Memory for the allocator itself: records, elements of RECORD bytes in a cache of their own; and raw runs for what is
 * larger. Calls elements and pages. Never waits.
 */
import { PAGE, PAGE_SHIFT, RECORD, STATE_LIVE } from "../base/layout";
import { elementReturn, elementTake } from "./elements";
import { records, stateAt, stateIn } from "./geometry";
import { rawAlloc } from "./growth";
import { entryAt, isRaw } from "./map";
import { rawFree } from "./runs";

/** A zeroed record; 0 if there is no memory. */
export function recordAlloc(): usize {
  const record = elementTake(records());
  if (!record) return 0;
  store<u8>(stateAt(record), STATE_LIVE);
  memory.fill(record, 0, RECORD);
  return record;
}

export function recordFree(record: usize): void {
  const entry = entryAt(record);
  elementReturn(entry, stateIn(entry, record));
}

/** Memory for the allocator itself, zeroed only if it fits a record; 0 if there is none. */
export function ownAlloc(bytes: u32): usize {
  return bytes > RECORD ? rawAlloc((bytes + PAGE - 1) >>> PAGE_SHIFT) : recordAlloc();
}

export function ownFree(address: usize): void {
  if (isRaw(address)) rawFree(address);
  else recordFree(address);
}
