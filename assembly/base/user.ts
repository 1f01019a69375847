/**
 * What the core reads and writes of its user's memory: elements, which it fills with 0, and arrays that a caller passes.
 *
 * In the guarded build the allocator's own structures lie in a second memory, at the same addresses, which no other code can
 * write to. So a stray write of a guest damages elements alone, and every bad free is still caught. The build's functions
 * below are imports that scripts/guard.mjs replaces by the instructions on the first memory; all others get the second.
 */
import { memoryGrow, memorySize } from "./atomics";

const GUARDED: bool = isDefined(GUARD);


@external("user", "load")
declare function guardedLoad(address: usize): u32;


@external("user", "store")
declare function guardedStore(address: usize, value: u32): void;


@external("user", "fill")
declare function guardedFill(address: usize, byte: u32, bytes: u32): void;


@external("user", "copy")
declare function guardedCopy(to: usize, from: usize, bytes: u32): void;


@external("user", "size")
declare function guardedSize(): u32;


@external("user", "grow")
declare function guardedGrow(pages: u32): i32;


@inline
export function userLoad(address: usize): u32 {
  return GUARDED ? guardedLoad(address) : load<u32>(address);
}


@inline
export function userStore(address: usize, value: u32): void {
  if (GUARDED) guardedStore(address, value);
  else store<u32>(address, value);
}


@inline
export function userFill(address: usize, byte: u32, bytes: u32): void {
  if (GUARDED) guardedFill(address, byte, bytes);
  else memory.fill(address, <u8>byte, bytes);
}

/** Up to here stores take less time than memory.fill, for which engines call a function of their own. */
const FEW: u32 = 64;

export function userClear(address: usize, bytes: u32): void {
  if (GUARDED || bytes < 16 || bytes > FEW) {
    userFill(address, 0, bytes);
    return;
  }
  // Of 16 bytes each; the last may overlap the one before.
  const last = address + bytes - 16;
  for (; address < last; address += 16) {
    store<u64>(address, 0);
    store<u64>(address, 0, 8);
  }
  store<u64>(last, 0);
  store<u64>(last, 0, 8);
}


@inline
export function userCopy(to: usize, from: usize, bytes: u32): void {
  if (GUARDED) guardedCopy(to, from, bytes);
  else memory.copy(to, from, bytes);
}

/** Wasm pages of the user's memory. */
@inline
export function userSize(): u32 {
  return GUARDED ? guardedSize() : memorySize();
}

/** memory.grow of the user's memory; before it, of the second as far, so that a refusal of that changes nothing. */
export function userGrow(pages: u32): i32 {
  if (!GUARDED) return memoryGrow(pages);
  return coverUser(pages) ? guardedGrow(pages) : -1;
}

/** Grows the second memory to the size of the first, and so many pages more. False: the host refuses. */
export function coverUser(pages: u32): bool {
  if (!GUARDED) return true;
  const more = guardedSize() + pages - memorySize();
  return <i32>more <= 0 || memoryGrow(more) >= 0;
}
