/** What lies in memory at all: for readers of heaps that other threads change, or that are damaged. */
import { memorySize } from "../base/atomics";
import { RECORD, WASM_PAGE_SHIFT } from "../base/layout";

/** Whether `bytes` at an address are in the memory. */
@inline
export function fits(address: usize, bytes: u32): bool {
  return address != 0 && <u64>address + <u64>bytes <= (<u64>memorySize()) << WASM_PAGE_SHIFT;
}

/** Whether a record may lie at an address. */
export function isRecordIn(address: usize): bool {
  return !(address & 7) && fits(address, RECORD);
}
