/** One side in a process of its own: its first element of 32 bytes, phase by phase, in ms; and the memory it then has. */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { kind, path, shared } = JSON.parse(process.argv[2]);
const SIZE = 32;
const MIN_NR = 4;
const WASM_PAGE = 65536;

const phases = { load: 0, compile: 0, instantiate: 0, heap: 0, pool: 0, alloc: 0 };
const timed = (phase, work) => {
  const start = performance.now();
  const result = work();
  phases[phase] += performance.now() - start;
  return result;
};

/** Times the constructors, wherever they are called. */
function watch() {
  for (const [name, phase] of [
    ["Module", "compile"],
    ["Instance", "instantiate"],
  ]) {
    WebAssembly[name] = new Proxy(WebAssembly[name], {
      construct: (target, args) => timed(phase, () => Reflect.construct(target, args)),
    });
  }
}

async function load() {
  const start = performance.now();
  const module = await import(pathToFileURL(path).href);
  phases.load = performance.now() - start;
  return module;
}

/** Each gives its first element, an address or offset, and how to read the bytes of its memory. */
const kinds = {
  async package() {
    const { createHeap, createSharedHeap } = await load();
    watch();
    const heap = timed("heap", () => (shared ? createSharedHeap : createHeap)());
    phases.heap -= phases.compile + phases.instantiate;
    const pool = timed("pool", () => heap.create({ size: SIZE, minNr: MIN_NR }));
    const element = timed("alloc", () => pool.alloc());
    const again = () => (shared ? createSharedHeap : createHeap)().create({ size: SIZE, minNr: MIN_NR }).alloc();
    return { element, memory: () => heap.memory.buffer.byteLength, again, keep: [heap, pool] };
  },
  async core() {
    const bytes = timed("load", () => readFileSync(path));
    const module = timed("compile", () => new WebAssembly.Module(bytes));
    const memory = shared ? new WebAssembly.Memory({ initial: 4, maximum: 16384, shared: true }) : undefined;
    const { exports: core } = timed(
      "instantiate",
      () => new WebAssembly.Instance(module, memory ? { env: { memory } } : {}),
    );
    timed("heap", () => {
      if (!memory) core.memory.grow(3);
      if (!core.heap_create(0, 4 * WASM_PAGE, shared ? 2 ** 18 : 2 ** 20, 1)) throw new Error("no heap");
    });
    const pool = timed("pool", () => core.mempool_create(SIZE, 16, MIN_NR, -1));
    const element = timed("alloc", () => core.mempool_alloc(pool));
    return { element, memory: () => (memory ?? core.memory).buffer.byteLength, keep: core };
  },
  async tlsf() {
    const bytes = timed("load", () => readFileSync(path));
    const module = timed("compile", () => new WebAssembly.Module(bytes));
    const { exports } = timed("instantiate", () => new WebAssembly.Instance(module));
    const element = timed("alloc", () => exports.alloc(SIZE));
    return { element, memory: () => exports.memory.buffer.byteLength, keep: exports };
  },
  async thing() {
    const { MemPool } = await load();
    // As large as the others' memory.
    const heap = timed("heap", () => new MemPool({ size: 4 * WASM_PAGE }));
    const element = timed("alloc", () => heap.malloc(SIZE));
    return { element, memory: () => heap.buf.byteLength, keep: heap };
  },
};

const collect = globalThis.gc;
collect?.();
const before = process.memoryUsage.rss();
const { element, memory, keep, again } = await kinds[kind]();
if (!element) throw new Error("no memory");
const total = Object.values(phases).reduce((a, b) => a + b);
collect?.();
const rss = process.memoryUsage.rss() - before;
const bytes = memory();
const start = performance.now();
again?.();
const secondTime = performance.now() - start;
// `keep` is used last: nothing of it may be collected before.
console.log(JSON.stringify({ phases, total, rss, memory: bytes, again: secondTime, kept: keep !== undefined }));
