/**
 * Sampling: a debug heap that guards one element in n. The pool's elements are those of a release build, on the release
 * build's hit path, which asks one thing more: whether a sample is due. Then an alloc gets a guarded element from an epoch
 * of its own (Epoch.sampled), of the same size. To a free that is an element of another epoch, so it takes the slow path,
 * and from there on all is as in a heap whose elements are all guarded.
 *
 * A sampled element is one more than the pool has otherwise. It is never in the reserve, so the reserve's promise holds
 * without it; and a pool with a maxNr has none.
 *
 * The interval is random, from 1 to 2n - 1: so also a program that repeats itself is sampled everywhere. A host may want to
 * hear of a sample before it is taken (asks in debug/trace.ts): then that alloc returns 0, and the host calls again.
 *
 * Costs a load and a comparison on the hit path. Waits for no thread.
 */
import { DEBUG } from "../base/atomics";
import { Debug } from "../base/guarded";
import { selfNumber } from "../base/instance";
import { BACKEND_EXTERNAL, Epoch, Magazine, SAMPLE_AT } from "../base/layout";
import { debugAt } from "../debug/trace";
import { poolOf } from "./pool";

/** One in so many allocs is sampled; 0: all elements are guarded. */
export function sampleRate(): u32 {
  return debugAt() ? load<u32>(debugAt() + offsetof<Debug>("sample")) : 0;
}


@inline
function sampleAt(m: Magazine): usize {
  return changetype<usize>(m) + SAMPLE_AT;
}

/** Whether this thread's next alloc is to be sampled. */
@inline
export function isDue(m: Magazine): bool {
  return DEBUG && m.allocs >= load<u64>(sampleAt(m));
}

/** How many allocs there are until the next that is sampled. */
export function untilSample(m: Magazine): u32 {
  const at = load<u64>(sampleAt(m));
  return at > m.allocs ? <u32>min<u64>(at - m.allocs, 0xffffffff) : 0;
}

/** Chooses which of this thread's allocs is sampled next. */
export function planSample(m: Magazine): void {
  const epoch = changetype<Epoch>(m.epoch);
  const n = sampleRate();
  // Sampled elements would count beside the others: a pool with a limit has none.
  if (!n || epoch.maxNr != -1 || epoch.backend == BACKEND_EXTERNAL) return store<u64>(sampleAt(m), -1);
  let random: u32 = ((<u32>m.allocs) ^ (poolOf(m).serial << 20) ^ (selfNumber() << 14)) * 0x9e3779b1;
  random = (random ^ (random >>> 16)) * 0x85ebca6b;
  random ^= random >>> 13;
  const choices = <u64>n * 2 - 1;
  store<u64>(sampleAt(m), m.allocs + ((<u64>random * choices) >> 32));
}
