/** One suite over every build: plain, imported memory, a region of one, shared memory, and the unoptimised core. */
import { readFileSync } from "node:fs";
import { createHeap, type Heap, type HeapOptions } from "../src/index.ts";

export interface Build {
  readonly name: string;
  heap(options?: HeapOptions): Heap;
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 65536) * 65536;

function moduleIn(file: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL(`../build/${file}`, import.meta.url)));
}

const debug = moduleIn("core.debug.wasm");
const coverage = process.env["WASM_COVERAGE"] ? moduleIn("core.coverage.wasm") : undefined;
export const blocksRun = new Set<number>();
if (coverage) {
  // The coverage build reports each block it runs; the library knows of no such import, so it is added here.
  const { Instance } = WebAssembly;
  const log_execution = (block: number) => void blocksRun.add(block);
  WebAssembly.Instance = function (module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    return new Instance(module, { ...imports, env: { ...imports?.["env"], log_execution } });
  } as unknown as typeof Instance;
}

const all: readonly Build[] = [
  { name: "plain", heap: (options) => createHeap(options) },
  {
    name: "imported",
    heap: (options) => createHeap({ memory: new WebAssembly.Memory({ initial: 3 }), ...options }),
  },
  {
    name: "region",
    heap: (options) => {
      // A region cannot grow: it is as large as the heap may become, if that is told, else 64 MiB.
      const bytes = roundUp(options?.maximum ?? Math.max(options?.initial ?? 0, 2 ** 26));
      const memory = new WebAssembly.Memory({ initial: bytes / 65536 + 2 });
      return createHeap({ memory, region: { base: 65536, bytes } });
    },
  },
  { name: "shared", heap: (options) => createHeap({ shared: true, maximum: 2 ** 29, ...options }) },
  { name: "debug", heap: (options) => createHeap({ module: debug, ...options }) },
];

/** With WASM_COVERAGE set, the coverage build alone, which counts the blocks it runs. */
export const builds: readonly Build[] = coverage
  ? [{ name: "coverage", heap: (options) => createHeap({ module: coverage, ...options }) }]
  : all;
