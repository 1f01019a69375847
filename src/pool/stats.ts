/** The statistics of a pool. */
import type { HeapContext } from "../core/context.ts";
import type { Waits } from "../wait/tally.ts";

/** What {@link Pool.stats} gives. Numbers of elements, unless a comment names another unit. */
export interface PoolStats {
  /** The pool's name. */
  readonly name: string;
  /** Bytes in an element. */
  readonly elementSize: number;
  /** The address of each element is a multiple of this. */
  readonly align: number;
  /** Elements set aside in advance. */
  readonly minNr: number;
  /** The most in reserve and outstanding together; Infinity if there is no cap. */
  readonly maxNr: number;
  /** Elements in the reserve now. */
  readonly currNr: number;
  /** The fewest that there ever were in the reserve. */
  readonly lowestCurrNr: number;
  /** Elements allocated and not yet freed. */
  readonly outstanding: number;
  /** The most that were ever outstanding; sampled at each magazine refill, so it may be too low by a batch of 32. */
  readonly peakOutstanding: number;
  /** Sizes of which there are elements: more than 1 after `reshape`, until the last element of the old size is freed. */
  readonly epochs: number;
  /** Free elements in this thread's magazine. */
  readonly cached: number;
  /** Successful allocations. */
  readonly allocs: number;
  /** Elements freed. */
  readonly frees: number;
  /** Of `allocs`, those served by magazine and slabs. */
  readonly slabHits: number;
  /** Of `allocs`, those served by the reserve, because there was nothing else. */
  readonly reserveHits: number;
  /** Of `allocs`, those by `allocPreallocated`. */
  readonly preallocated: number;
  /** Calls that returned 0, false or undefined; a call that then waited is not counted. */
  readonly failures: number;
  /** Allocations that took back unused memory, because nothing else was left. */
  readonly reclaims: number;
  /** Calls that have waited in this thread, through this Pool: the figures above are those of all threads. */
  readonly waits: number;
  /** Of `waits`, those that ended with ERR_TIMEOUT. */
  readonly timeouts: number;
  /** Of `waits`, those whose signal was aborted. */
  readonly aborts: number;
  /** Milliseconds that all these calls have waited. */
  readonly waitedMs: number;
  /** Entry i counts the waits of 2^i to 2^(i+1) microseconds; entry 0 also shorter ones. */
  readonly waitTimes: readonly number[];
  /** Slabs of the pool, in all its sizes. */
  readonly slabs: number;
  /** Bytes of memory in the slabs. */
  readonly slabBytes: number;
}

/** What the statistics take from the pool itself. */
export interface StatsSource {
  readonly name: string;
  readonly handle: number;
  readonly heap: Pick<HeapContext, "statistics">;
  readonly align: number;
  readonly maxNr: number;
  /** The size that a backend of the caller's own is asked for; undefined for the core's own elements. */
  readonly hostedSize: number | undefined;
}

export function statsOf(pool: StatsSource, waits: Waits): PoolStats {
  const n = pool.heap.statistics("mempool_stats", pool.handle);
  const slabHits = n(4);
  const reserveHits = n(5);
  const preallocated = n(6);
  const allocs = slabHits + reserveHits + preallocated;
  const outstanding = n(1);
  return {
    name: pool.name,
    elementSize: pool.hostedSize ?? n(11),
    align: pool.align,
    minNr: n(10),
    maxNr: pool.maxNr,
    currNr: n(0),
    lowestCurrNr: n(3),
    outstanding,
    peakOutstanding: n(13),
    epochs: n(12),
    cached: n(2),
    allocs,
    frees: allocs - outstanding,
    slabHits,
    reserveHits,
    preallocated,
    failures: n(7),
    reclaims: n(14),
    ...waits,
    slabs: n(8),
    slabBytes: n(9),
  };
}

/** The statistics after the end: the last ones, with nothing left. */
export function statsAtEnd(last: PoolStats, waits: Waits): PoolStats {
  const none = { currNr: 0, outstanding: 0, cached: 0, slabs: 0, slabBytes: 0, epochs: 0 };
  return { ...last, ...none, ...waits, frees: last.allocs };
}
