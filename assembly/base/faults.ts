/**
 * Faults to order: tests have requests refused that could be served. A request is refused by its number, by chance from
 * a seed, or always; nothing else decides. So the same requests in the same order are refused again.
 */
import { atomicAdd, MALLOC_ALONE } from "./atomics";
import { Faults } from "./layout";

const ALL: u32 = -1;

/** Counts a request, and tells whether it is refused. */
@inline
export function isRefused(faults: Faults): bool {
  return !MALLOC_ALONE && faults.on && refuses(faults);
}

function refuses(faults: Faults): bool {
  const n = atomicAdd<u32>(changetype<usize>(faults) + offsetof<Faults>("calls"), 1) + 1;
  if (n == faults.nth) return true;
  // A Weyl sequence, mixed as MurmurHash3 does.
  let x = faults.seed + n * 0x9e3779b9;
  x = (x ^ (x >>> 16)) * 0x85ebca6b;
  x = (x ^ (x >>> 13)) * 0xc2b2ae35;
  return (x ^ (x >>> 16)) < faults.rate || faults.rate == ALL;
}
