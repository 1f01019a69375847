/**
 * Faults to order: requests that are refused although they could be served, for tests of what then happens. By number, by
 * chance from a seed, or all. What is refused depends on the seed and on how many requests came before, and on nothing
 * else: the same requests in the same order are refused again.
 */
import { atomicAdd } from "./atomics";
import { Faults } from "./layout";

const ALL: u32 = -1;

/** Counts a request; whether it is refused. */
@inline
export function isRefused(faults: Faults): bool {
  return faults.on && refuses(faults);
}

function refuses(faults: Faults): bool {
  const n = atomicAdd<u32>(changetype<usize>(faults) + offsetof<Faults>("calls"), 1) + 1;
  if (n == faults.nth) return true;
  // A Weyl sequence, mixed as in MurmurHash3.
  let x = faults.seed + n * 0x9e3779b9;
  x = (x ^ (x >>> 16)) * 0x85ebca6b;
  x = (x ^ (x >>> 13)) * 0xc2b2ae35;
  return (x ^ (x >>> 16)) < faults.rate || faults.rate == ALL;
}
