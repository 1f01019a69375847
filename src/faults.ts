/** Faults to order: what a test has refused although it could be served. The front of assembly/faults.ts. */
import { boolean, checkOptions, integer, invalid, show } from "./options.ts";

/** What {@link Pool.faults} takes. The same requests in the same order are refused again. */
export interface FaultOptions {
  /** Refuse all. */
  readonly refuse?: boolean;
  /** Refuse this one, counted from 1 from now on. */
  readonly nth?: number;
  /** Refuse one with this probability, 0 to 1, by the seed. */
  readonly probability?: number;
  /** Which ones: an integer from 0 to 2^32 - 1. Default 0. */
  readonly seed?: number;
}

/** What {@link Heap.faults} takes. */
export interface HeapFaultOptions extends FaultOptions {
  /** Refuse to grow the memory beyond so many more Wasm pages of 64 KiB, from now on. */
  readonly growth?: number;
}

const RATE_ALL = 2 ** 32 - 1;
const PAGES_PER_WASM_PAGE = 16;

/** Words of assembly/layout.ts's Faults: on, calls, nth, rate, seed, pages. */
export function faultWords(options: HeapFaultOptions | undefined, isHeap: boolean, pages: number): number[] {
  const call = "faults";
  if (options === undefined) return [0, 0, 0, 0, 0, 0];
  const known = ["refuse", "nth", "probability", "seed", ...(isHeap ? (["growth"] as const) : [])] as const;
  const { refuse = false, nth, probability = 0, seed = 0, growth } = checkOptions(call, options, known);
  boolean(call, "refuse", refuse);
  if (nth !== undefined) integer(call, "nth", nth, 1, RATE_ALL);
  if (typeof probability !== "number" || !(probability >= 0 && probability <= 1)) {
    invalid(`${call}: probability must be a number from 0 to 1, got ${show(probability)}`);
  }
  integer(call, "seed", seed, 0, RATE_ALL);
  if (growth !== undefined) integer(call, "growth", growth, 0, 65536);
  const rate = refuse ? RATE_ALL : Math.min(RATE_ALL, Math.floor(probability * 2 ** 32));
  return [1, 0, nth ?? 0, rate, seed, growth === undefined ? 0 : pages + growth * PAGES_PER_WASM_PAGE];
}

/** Writes them; returns how many requests were counted since the last time. */
export function setFaults(words: Uint32Array, at: number, faults: readonly number[]): number {
  const calls = words[at + 1]!;
  words.set(faults, at);
  return calls;
}
