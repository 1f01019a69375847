/** One suite over every build: plain, imported memory, a region of one, shared memory by one module and by two, and unoptimised. */
import { readFileSync } from "node:fs";
import { createSharedHeap, createHeap, type Heap, type HeapOptions } from "../src/index.ts";

export interface Build {
  readonly name: string;
  readonly isShared?: true;
  heap(options?: HeapOptions): Heap;
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 65536) * 65536;

function moduleIn(file: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL(`../build/${file}`, import.meta.url)));
}

/** The coverage builds report each block they run: see scripts/coverage.mjs. */
const counting = process.env["WASM_COVERAGE"] !== undefined;
export const blocksRun = new Set<number>();
if (counting) {
  // The library knows of no such import, so it is added here.
  const { Instance } = WebAssembly;
  const log_execution = (block: number) => void blocksRun.add(block);
  WebAssembly.Instance = function (module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    return new Instance(module, { ...imports, env: { ...imports?.["env"], log_execution } });
  } as unknown as typeof Instance;
}
const own = counting ? { module: moduleIn("coverage/plain.wasm") } : {};
const imported = counting ? { module: moduleIn("coverage/imported.wasm") } : {};
const halves = counting ? {} : { module: moduleIn("core.shared.wasm"), control: moduleIn("control.shared.wasm") };
const unoptimised = counting ? own : { module: moduleIn("core.debug.wasm") };

const debug = { stacks: false };
const debugHeaps: readonly Build[] = [
  { name: "debug heap", heap: (options) => createHeap({ debug, ...options }) },
  {
    name: "shared debug heap",
    isShared: true,
    heap: (options) => createSharedHeap({ maximum: 2 ** 29, debug, ...options }),
  },
];

const shippedHeaps: readonly Build[] = [
  { name: "plain", heap: (options) => createHeap({ ...own, ...options }) },
  {
    name: "imported",
    heap: (options) =>
      createHeap({ ...imported, memory: new WebAssembly.Memory({ initial: 3 }), grows: true, ...options }),
  },
  {
    name: "region",
    heap: (options) => {
      // A region cannot grow: it is as large as the heap may become, if that is told, else 64 MiB.
      const bytes = roundUp(options?.maximum ?? Math.max(options?.initial ?? 0, 2 ** 26));
      const memory = new WebAssembly.Memory({ initial: bytes / 65536 + 2 });
      return createHeap({ ...imported, memory, region: { base: 65536, bytes } });
    },
  },
  { name: "shared", isShared: true, heap: (options) => createSharedHeap({ maximum: 2 ** 29, ...options }) },
  { name: "halves", isShared: true, heap: (options) => createSharedHeap({ maximum: 2 ** 29, ...halves, ...options }) },
  { name: "debug", heap: (options) => createHeap({ ...unoptimised, ...options }) },
];

/** The project debug-heaps runs the contract on debug heaps alone; test/debug-heaps.ts has what differs there. */
export const builds: readonly Build[] = process.env["DEBUG_HEAPS"] ? debugHeaps : shippedHeaps;
