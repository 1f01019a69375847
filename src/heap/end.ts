/** The ends of heaps; and which parts of a memory belong to heaps that have not ended. */
import type { HeapContext } from "../core/context.ts";
import { forEachThenThrow } from "../core/errors.ts";
import type { WasmMemory } from "../core/types.ts";
import { hex, invalid } from "../core/validate.ts";

/** Bytes of a memory: [from, to). */
export type Extent = readonly [from: number, to: number];

/** Where the living heaps of each memory are, as far as this thread has made them or has attached to them. */
const extents = new WeakMap<WasmMemory, Set<Extent>>();

/** Refuses a heap over bytes that a living heap of this thread began with. */
export function refuseOverlap(apiName: string, memory: WasmMemory, [from, to]: Extent): void {
  for (const [otherFrom, otherTo] of extents.get(memory) ?? []) {
    if (from < otherTo && otherFrom < to) {
      const living = `[${hex(otherFrom)}, ${hex(otherTo)}), which belongs to a heap that has not ended: see heap.exit()`;
      invalid(`${apiName}: region [${hex(from)}, ${hex(to)}) overlaps ${living}`);
    }
  }
}

/** The extent is a heap's; returns a function that gives it back. */
export function claimExtent(memory: WasmMemory, extent: Extent): () => void {
  let all = extents.get(memory);
  if (!all) extents.set(memory, (all = new Set()));
  all.add(extent);
  return () => all.delete(extent);
}

/** Ends a heap that no other thread is in. */
export function endHeap(context: HeapContext): void {
  if (context.hasEnded) return;
  try {
    forEachThenThrow([...context.pools], (pool) => {
      try {
        pool.exit();
      } finally {
        pool.leave();
      }
    });
  } finally {
    // A backend of the caller's own may have ended the heap itself.
    if (!context.hasEnded) {
      context.core.heap_exit();
      context.end();
    }
  }
}
