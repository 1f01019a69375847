/** The guests that are compiled together with the core, and heaps in their instances. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import binaryen from "binaryen";
import { compileGuest, root } from "../harness/machine.mjs";

const { options } = JSON.parse(readFileSync(join(root, "asconfig.json"), "utf8"));
/** The flags of the core that is shipped; `fast` has those of a guest for speed alone. */
export const shipped = [
  "--optimizeLevel",
  String(options.optimizeLevel),
  "--shrinkLevel",
  String(options.shrinkLevel),
  ...(options.converge ? ["--converge"] : []),
];
const fast = ["-O3"];
export const common = "--runtime stub --use abort= --memoryBase 0 --disableWarning 201".split(" ");
const alone = ["--initialMemory", "1"];
const shared = "--importMemory --initialMemory 0 --maximumMemory 65536 --sharedMemory --enable threads".split(" ");

/** All checks are on: nothing is switched off for a benchmark. */
const modules = {
  fast: ["plain", ...common, ...alone, ...fast],
  shipped: ["plain", ...common, ...alone, ...shipped],
  "threads.fast": ["threads", ...common, ...shared, ...fast],
  "threads.shipped": ["threads", ...common, ...shared, ...shipped],
  /** AssemblyScript's own allocator, TLSF, at its fastest. */
  /** A bare list: the floor. */
  list: ["list", ...common, "--use", "LIST=1", ...fast],
  tlsf: ["tlsf", "--runtime", "minimal", "--use", "abort=", "--use", "TLSF=1", ...fast],
};

export const fileOf = (name) => join(root, "build/bench", `${name}.wasm`);

/** Compiles those of the modules whose sources have changed. */
export async function compile(names, say) {
  for (const name of names) {
    const [entry, ...args] = modules[name];
    await compileGuest(entry, args, fileOf(name), say);
  }
}

const compiled = {};
const moduleOf = (name) => (compiled[name] ??= new WebAssembly.Module(readFileSync(fileOf(name))));

/** A new instance of a module without threads, with a heap in it if it is ours. */
export function instantiate(name) {
  const core = new WebAssembly.Instance(moduleOf(name)).exports;
  if (core.heap_create) {
    core.memory.grow(3);
    if (!core.heap_create(0, 4 * 65536, 2 ** 20, 1)) throw new Error(`${name}: no heap`);
  }
  return core;
}

let bare;
/**
 * A loop in wasm that calls two functions, each of which loads a word: what calls cost there. Written by hand, for a compiler
 * would inline them.
 */
export function bareCalls(n) {
  bare ??= new WebAssembly.Instance(
    new WebAssembly.Module(
      binaryen
        .parseText(
          `(module (memory 1)
            (func $load1 (param i32) (result i32) (i32.load (local.get 0)))
            (func $load2 (param i32 i32) (result i32) (i32.load offset=4 (local.get 0)))
            (func (export "calls") (param $n i32) (local $i i32) (local $element i32)
              (loop $next
                (local.set $element (call $load1 (i32.const 1024)))
                (i32.store (local.get $element) (local.get $i))
                (drop (call $load2 (i32.const 1024) (local.get $element)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (local.get $n))))))`,
        )
        .emitBinary(),
    ),
  ).exports.calls;
  return bare(n);
}

/** Room for `count` words. */
export function wordsIn(core, count) {
  const address = core.slotsNew(Math.ceil((count * 4) / 65536)) >>> 0;
  if (address === 0) throw new Error(`no memory for ${count} slots`);
  return address;
}

/** `count` slots, each with an element of `pool`. */
export function filled(core, pool, count, slots = wordsIn(core, count)) {
  if (core.fill(pool, slots, count) !== count) throw new Error(`no memory for ${count} elements`);
  return slots;
}

const MiB = 2 ** 20;
const HEAP = 64 * MiB;
const BESIDE = 8 * MiB;

/**
 * Shared memory with a heap of a fixed size, of which this instance is thread 0, and room beside the heap: slots for
 * each of two threads, then two rings.
 */
export function createShared(name) {
  const module = moduleOf(`threads.${name}`);
  const pages = (HEAP + BESIDE) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
  const heap = core.heap_create(0, HEAP, HEAP / 4096, 0) >>> 0;
  if (heap === 0) throw new Error("no heap");
  const slots = [HEAP, HEAP + MiB];
  return { core, shared: { module, memory, heap, slots, ring: HEAP + 2 * MiB, ring2: HEAP + 3 * MiB } };
}

/** Joins such a heap as a thread of its own. */
export function joinShared({ module, memory, heap }) {
  const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
  if (!core.heap_attach(heap, 0)) throw new Error("heap_attach failed");
  return core;
}
