/** The allocators, by their names in tables. */
import { readFileSync } from "node:fs";
import { createHeap } from "../../../dist/index.js";
import { fileOf } from "./build.mjs";

export const OURS = "wasm-mempool";
export const SAME = "wasm-mempool again";

/** `module`: as in build.mjs; `says`: a description for tables. */
export const subjects = {
  [OURS]: { module: "ours", says: "pools compiled into the guest, -O3, all checks on" },
  [SAME]: { module: "ours", says: "the same in another instance: the noise" },
  "wasm-mempool, called": { module: "called", says: "with the flags of the core that is shipped, called as functions" },
  "wasm-mempool's malloc": { module: "malloc", says: "libwasm_mempool_malloc.a, linked: size classes, all checks on" },
  "AssemblyScript TLSF": { module: "tlsf", says: "`--runtime minimal`, its fastest with free" },
  "bare lists (C)": {
    module: "lists",
    floor: true,
    says: "a list of free blocks for each class of sizes, unchecked, never merged or returned: a floor, no rival",
  },
  "bump (AssemblyScript stub)": {
    module: "stub",
    floor: true,
    bump: true,
    says: "bumps a pointer, and reuses nothing: a floor, no rival",
  },
  "dlmalloc (wasi-libc)": { module: "wasi-dlmalloc", says: "malloc of the C library for WASI" },
  "dlmalloc (emscripten)": { module: "emscripten-dlmalloc", says: "emscripten's default malloc" },
  "emmalloc (emscripten)": { module: "emmalloc", says: "emscripten's small malloc" },
  "mimalloc (wasi-libc)": {
    module: "mimalloc-v2",
    says: "version 2; made for many threads and much memory, here without threads",
  },
  "mimalloc 3 (wasi-libc)": { module: "mimalloc-v3", says: "version 3, of the same crate; here without threads" },
  "Zig's wasm_allocator": {
    module: "zig",
    sized: true,
    says: "std.heap.wasm_allocator, powers of two; Zig's SmpAllocator does not compile for WebAssembly",
  },
  "mimalloc (emscripten)": { module: "emscripten-mimalloc", says: "emscripten's malloc for many threads" },
  "dlmalloc (Rust)": {
    module: "dlmalloc-rs",
    sized: true,
    says: "what Rust has by default for wasm32-unknown-unknown",
  },
  rlsf: { module: "rlsf", sized: true, says: "TLSF in Rust" },
  talc: { module: "talc", sized: true, says: "Rust; its allocator for WebAssembly that grows" },
  lol_alloc: { module: "lol_alloc", sized: true, says: "Rust; a free list, searched from its start" },
};

const compiled = {};

/** The imports of a C library: there is no environment and no file, and time stands still. */
const surroundings = (memoryOf) => ({
  environ_sizes_get(count, bytes) {
    const view = new DataView(memoryOf().buffer);
    view.setUint32(count, 0, true);
    view.setUint32(bytes, 0, true);
    return 0;
  },
  environ_get: () => 0,
  clock_time_get(_clock, _precision, time) {
    new DataView(memoryOf().buffer).setBigUint64(time, 0n, true);
    return 0;
  },
});

/** WASI's ENOSYS. */
const UNSUPPORTED = 52;

/** A new instance with its loops ready, and the seed of its random numbers. */
export function open(name, seed) {
  const { module } = subjects[name];
  compiled[module] ??= new WebAssembly.Module(readFileSync(fileOf(module)));
  const imports = {};
  let core;
  const known = surroundings(() => core.memory);
  for (const { module: from, name: what } of WebAssembly.Module.imports(compiled[module])) {
    imports[from] ??= {};
    imports[from][what] = known[what] ?? (() => UNSUPPORTED);
  }
  core = new WebAssembly.Instance(compiled[module], imports).exports;
  core["_initialize"]?.();
  core.setup(seed);
  return core;
}

/** The size class of a pool, as in guests/assembly/allocators.ts. */
function classOf(size) {
  if (size <= 256) return (size + 15) & ~15;
  const step = 1 << (32 - Math.clz32(size - 1) - 4);
  return (size + step - 1) & ~(step - 1);
}

const BYTES = 32 * 2 ** 20;

/**
 * The subjects called from JavaScript: texts that allocate and free, with `p` an address and `size` its bytes, and the names
 * that these texts use. Each has enough memory from the start, so that views of it stay valid.
 */
export const javaScript = {
  async [OURS]() {
    const heap = createHeap({ initial: BYTES });
    const pools = [];
    for (let size = 16; size <= 1056; size += 16) {
      const bytes = classOf(size);
      const last = pools.at(-1);
      pools[size >> 4] = last?.elementSize === bytes ? last : heap.create({ size: bytes, minNr: 0, align: 16 });
    }
    return {
      used: { pools, pool: pools[4] },
      memory: heap.memory,
      alloc64: "pool.alloc()",
      free64: "pool.free(p)",
      alloc: "pools[(size + 15) >> 4].alloc()",
      free: "pools[(size + 15) >> 4].free(p)",
    };
  },
  [SAME]: () => javaScript[OURS](),
  async "@thi.ng/malloc"() {
    const { MemPool } = await import("@thi.ng/malloc");
    const used = { pool: new MemPool({ size: BYTES, align: 16 }) };
    const texts = { alloc: "pool.malloc(size)", free: "pool.free(p)" };
    return { used, memory: used.pool, ...texts, alloc64: "pool.malloc(64)", free64: "pool.free(p)" };
  },
};
for (const [name, { module, sized, floor }] of Object.entries(subjects)) {
  if (module === "ours" || module === "called" || floor) continue;
  javaScript[name] = async () => {
    const core = open(name, 1);
    const large = core.allocate(BYTES);
    core.release(large, BYTES);
    // An allocator that keeps small blocks apart from large ones gets memory for the small ones too.
    const blocks = Array.from({ length: 12_000 }, (_, i) => core.allocate(16 + (i % 1024)));
    for (const [i, block] of blocks.entries()) core.release(block, 16 + (i % 1024));
    return {
      used: { malloc: core.allocate, free: core.release },
      memory: core.memory,
      alloc: "malloc(size) >>> 0",
      free: sized ? "free(p, size)" : "free(p)",
      alloc64: "malloc(64) >>> 0",
      free64: sized ? "free(p, 64)" : "free(p)",
    };
  };
}
