/** The statistics of a heap. */
import { PAGE } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";

/** What {@link Heap.stats} gives. */
export interface HeapStats {
  /** Bytes of the heap now, and the most that it may have. */
  readonly bytes: number;
  readonly maximum: number;
  /** Bytes in slabs, arenas and the heap's own structures; bytes in free runs; the longest of those. */
  readonly used: number;
  readonly free: number;
  readonly largestFree: number;
  /** Times that the heap has grown the memory. */
  readonly grows: number;
  readonly pools: number;
  readonly arenas: number;
}

export function statsOf(context: Pick<HeapContext, "statistics" | "address">): HeapStats {
  const n = context.statistics("heap_stats", context.address);
  const pages = n(0);
  const freePages = n(2);
  return {
    bytes: pages * PAGE,
    maximum: n(1) * PAGE,
    used: (pages - freePages) * PAGE,
    free: freePages * PAGE,
    largestFree: n(3) * PAGE,
    grows: n(4),
    pools: n(5),
    arenas: n(6),
  };
}
