/** Faults on request: a test has requests refused that the core could serve. `import "wasm-mempool/testing"`. */
import { PAGE } from "../core/abi.ts";
import { boolean, checkOptions, integer, invalid, show } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";
import type { PoolContext } from "../pool/context.ts";
import { closedError } from "../pool/errors.ts";
import type { Pool } from "../pool/pool.ts";

/** What {@link faults} takes. The same requests in the same order are refused again. */
export interface FaultOptions {
  /**
   * Refuse every request.
   *
   * @default false
   */
  readonly refuse?: boolean;
  /** Refuse this request, counted from 1 from now on. */
  readonly nth?: number;
  /**
   * Refuse each request with this probability, 0 to 1, by the seed.
   *
   * @default 0
   */
  readonly probability?: number;
  /**
   * Decides which requests `probability` refuses: an integer from 0 to 2^32 - 1.
   *
   * @default 0
   */
  readonly seed?: number;
}

/** What {@link faults} takes for a heap. */
export interface HeapFaultOptions extends FaultOptions {
  /** Refuse to grow the memory by more than this number of Wasm pages of 64 KiB, from now on. */
  readonly growth?: number;
}

const RATE_ALL = 2 ** 32 - 1;
const PAGES_PER_WASM_PAGE = 16;

/**
 * From now on the pool refuses requests to its backend, or the heap requests for pages or growth, that could be served, in all
 * threads; without options, no longer. Meanwhile every alloc of the pool is such a request, as no thread caches elements. The
 * reserve still serves. Returns the requests counted since the last call.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`; `growth` also what `stats` throws.
 * @example
 * faults(pool, { refuse: true });
 * expect(pool.alloc()).not.toBe(0); // of the reserve
 * faults(pool);
 */
export function faults(pool: Pool, options?: FaultOptions): number;
export function faults(heap: Heap, options?: HeapFaultOptions): number;
export function faults(target: Pool | Heap, options?: HeapFaultOptions): number {
  const apiName = "faults";
  if (typeof target !== "object" || target === null) invalid(`${apiName}: needs a Pool or a Heap, got ${show(target)}`);
  if ("context" in target) {
    const { core } = target;
    const words = faultWords(options, true, options?.growth === undefined ? 0 : target.stats().bytes / PAGE);
    return setFaults(target, core.heap_faults(), words);
  }
  const words = faultWords(options, false, 0);
  const { heap } = target;
  if (!heap?.context) invalid(`${apiName}: needs a Pool or a Heap, got ${show(target)}`);
  const pool = [...heap.context.pools].find(({ front }) => front === target) as PoolContext | undefined;
  if (!pool) throw closedError(apiName, target.name);
  pool.syncState();
  pool.refuseClosed(apiName);
  const calls = setFaults(heap, heap.core.mempool_faults(pool.handle), words);
  heap.core.mempool_refresh(pool.handle);
  pool.afterFree(Infinity);
  return calls;
}

/** The words of the core's `Faults`: on, calls, nth, rate, seed, pages. `pages`: how many the heap has. */
function faultWords(options: HeapFaultOptions | undefined, isHeap: boolean, pages: number): number[] {
  const apiName = "faults";
  if (options === undefined) return [0, 0, 0, 0, 0, 0];
  const known = ["refuse", "nth", "probability", "seed", ...(isHeap ? (["growth"] as const) : [])] as const;
  const { refuse = false, nth, probability = 0, seed = 0, growth } = checkOptions(apiName, options, known);
  boolean(apiName, "refuse", refuse);
  if (nth !== undefined) integer(apiName, "nth", nth, 1, RATE_ALL);
  if (typeof probability !== "number" || !(probability >= 0 && probability <= 1)) {
    invalid(`${apiName}: probability must be a number from 0 to 1, got ${show(probability)}`);
  }
  integer(apiName, "seed", seed, 0, RATE_ALL);
  if (growth !== undefined) integer(apiName, "growth", growth, 0, 65536);
  const rate = refuse ? RATE_ALL : Math.min(RATE_ALL, Math.floor(probability * 2 ** 32));
  return [1, 0, nth ?? 0, rate, seed, growth === undefined ? 0 : pages + growth * PAGES_PER_WASM_PAGE];
}

/** Writes the words to an address; returns the requests counted since the last time. */
function setFaults({ context }: Heap, address: number, words: readonly number[]): number {
  const { u32 } = context.views.refresh();
  const at = address >>> 2;
  const calls = u32[at + 1]!;
  u32.set(words, at);
  context.scheduleRetry();
  return calls;
}
