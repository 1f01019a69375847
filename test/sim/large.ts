/** Cases of growth across a multiple of 4 MiB, where the new memory needs tables first. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import type { Exports } from "./script.ts";
import { layout } from "../layout/layout.ts";
import {
  alloc,
  allocAndFree,
  heir,
  need,
  results,
  usual,
  type Context,
  type CoreCase,
  type Part,
  type View,
} from "./parts.ts";

const WASM_PAGE = 65536;
const HEAP_BITS_ROOT = layout("HEAP_BITS_ROOT");
const PAGE = 4096;
/** The heap's first page, its size, and the pages by which it grows; in Wasm pages. The first 64 have one table. */
const BASE = 62;
const SIZE = 2;
const GROWS = 4;
/** An element has a slab of its own. */
const ELEMENT = 70_000;

/** `full`: no page is free, so the tables come from the new memory. */
const setup =
  (count: number, full: boolean) =>
  (cores: readonly Exports[], memory: DataView): Context => {
    // The size and the maximum of the memory, which base/atomics.ts reads here.
    memory.setUint32(8, BASE + SIZE, true);
    memory.setUint32(12, BASE + SIZE + GROWS, true);
    const core = cores[0]!;
    const heap = core["heap_create"]!(BASE * WASM_PAGE, SIZE * WASM_PAGE, (SIZE + GROWS) * 16, 1);
    for (let t = 1; t < count; t++) need(cores[t]!["heap_attach"]!(heap, t + 1), "heap_attach");
    const handles = [need(core["mempool_create"]!(ELEMENT, 8, 0, -1, 0), "mempool_create")];
    const pool = core["mempool_share"]!(handles[0]!);
    for (let t = 1; t < count; t++) handles.push(need(cores[t]!["mempool_attach"]!(pool), "mempool_attach"));
    const kept = [need(core["mempool_alloc"]!(handles[0]!), "mempool_alloc")];
    // Arenas of whole pages, until the next one would grow the memory.
    for (let pages = full ? free(heap, memory) : 0; pages > 0; pages = free(heap, memory)) {
      need(core["arena_create"]!(PAGE - 16), "arena_create");
    }
    if (memory.getUint32(8, true) !== BASE + SIZE) throw new Error("the setup has grown the memory");
    return { heap, pool, handles, elements: [], kept, maxNr: -1 };
  };

/** Free pages, by the bits of the heap: see assembly/base/layout.ts. */
function free(heap: number, memory: DataView): number {
  const bits = memory.getUint32(heap + HEAP_BITS_ROOT, true);
  let pages = 0;
  for (let page = BASE * 16; page < (BASE + SIZE) * 16; page++) {
    pages += (memory.getUint8(bits + (page >>> 3)) >>> (page & 7)) & 1;
  }
  return pages;
}

const across = (
  name: string,
  full: boolean,
  threads: ((view: View) => Part)[],
  more: Partial<CoreCase> = {},
): CoreCase => ({
  ...usual(`${full ? "new" : "old"} tables, ${name}`, {}, threads, more),
  pages: BASE + SIZE + GROWS,
  // A walk over the page map has many steps.
  limit: 100_000,
  setup: setup(threads.length, full),
});

export const large: readonly CoreCase[] = [false, true].flatMap((full) => [
  across(
    "two need more memory",
    full,
    [(a) => allocAndFree(a, 0), (b) => alloc(b, 1)],
    // While the first thread is growing the memory by all it may have, the second may find nothing.
    results((a, b) => a === 0 || b !== 0),
  ),
  across("death in growing the memory", full, [(a) => alloc(a, 0), heir], { fatal: 0 }),
]);
