/** The malloc builds, with an inspector over the same memory. */
import { readFileSync } from "node:fs";
import { layout } from "../layout/layout.ts";

type Call = (...args: number[]) => number;
/** What assembly/abi/malloc.ts exports. */
export type Malloc = Record<
  // Of the shared build alone.
  | "heap_find_thread"
  | "heap_reap"
  | "malloc"
  | "free"
  | "calloc"
  | "realloc"
  | "reallocarray"
  | "aligned_alloc"
  | "memalign"
  | "posix_memalign"
  | "malloc_usable_size"
  | "cabi_realloc"
  | "malloc_reserve"
  | "malloc_heap"
  | "malloc_attach"
  | "malloc_thread_exit",
  Call
>;

export interface Guest {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly core: Malloc;
  /** Another instance in the same memory. */
  another(): Malloc;
  /** How many inconsistencies the inspector finds. */
  check(): number;
  /** What the inspector's mempool_owner returns, and its five words. */
  owner(address: number): readonly [kind: number, words: number[]];
}

const moduleIn = (file: string): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL(`../../build/${file}`, import.meta.url)));

const guestOf =
  (isShared: boolean) =>
  (pages: number, maximum: number): Guest => {
    const memory = new WebAssembly.Memory({ initial: pages, maximum, shared: isShared });
    const module = moduleIn(isShared ? "malloc.shared.wasm" : "malloc.wasm");
    const inspector = moduleIn(isShared ? "inspect.shared.wasm" : "inspect.imported.wasm");
    const another = (): Malloc => new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Malloc;
    const core = another();
    const scratch = (): number => core.malloc_heap() + layout("HEAP_SCRATCH");
    const inspect = (): Record<string, Call> =>
      new WebAssembly.Instance(inspector, { env: { memory } }).exports as Record<string, Call>;
    return {
      memory,
      module,
      core,
      another,
      check: () => inspect()["heap_check"]!(core.malloc_heap(), scratch()),
      owner(address) {
        const kind = inspect()["mempool_owner"]!(core.malloc_heap(), address, scratch());
        return [kind, [...new Uint32Array(memory.buffer, scratch(), 5)]];
      },
    };
  };

export const builds = [
  { name: "plain", guest: guestOf(false) },
  { name: "shared", guest: guestOf(true) },
];
