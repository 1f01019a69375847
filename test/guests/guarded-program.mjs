// A guest that writes everywhere, beside core.guarded.wasm; prints as JSON what became of the allocator.
import { readFileSync } from "node:fs";

const WASM_PAGE = 65536;
const moduleIn = (name) => new WebAssembly.Module(readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url)));

const memory = new WebAssembly.Memory({ initial: 2, maximum: 64 });
const core = new WebAssembly.Instance(moduleIn("core.guarded"), { env: { memory } }).exports;
const heap = core.heap_create(0, 2 * WASM_PAGE, 64 * 16, 1);
const inspector = new WebAssembly.Instance(moduleIn("inspect.imported"), { env: { memory: core.guarded } }).exports;

const pool = core.mempool_create(200, 8, 10, 2 ** 32 - 1, 0);
const elements = new Set();
const blocks = new Set();
let refused = 0;
let problems = 0;
let seed = 1;
const next = (n) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % n;
const pick = (set) => [...set][next(set.size)];

for (let round = 0; round < 300; round++) {
  for (let i = 0; i < 30; i++) {
    const element = core.mempool_alloc(pool);
    if (element !== 0) elements.add(element);
    const block = core.malloc(next(20_000));
    if (block !== 0) blocks.add(block);
  }
  // The guest's stray write: all of its memory, the heap's header and page map included.
  new Uint8Array(memory.buffer).fill(next(256));
  for (let i = 0; i < 28 && elements.size > 0; i++) {
    const element = pick(elements);
    elements.delete(element);
    if (core.mempool_free(pool, element) !== 0) refused++;
    const block = pick(blocks);
    if (block === undefined) continue;
    blocks.delete(block);
    core.free(block);
  }
  // Bad frees are told as ever.
  const freed = core.mempool_alloc(pool);
  core.mempool_free(pool, freed);
  if (core.mempool_free(pool, freed) !== -2) refused++;
  problems += inspector.heap_check(heap, core.heap_scratch());
}
for (const element of elements) if (core.mempool_free(pool, element) !== 0) refused++;
for (const block of blocks) core.free(block);
const zeroed = core.mempool_zalloc(pool);
const isZeroed = new Uint8Array(memory.buffer, zeroed, 200).every((byte) => byte === 0);
core.mempool_free(pool, zeroed);
const array = 16;
const isBulk = core.mempool_alloc_bulk(pool, array, 5);
const bulk = [...new Uint32Array(memory.buffer, array, 5)];
const marked = core.mempool_mark(pool, array, 5, 1);
core.mempool_free_bulk(pool, array, 5);
console.log(
  JSON.stringify({
    refused,
    problems,
    isZeroed,
    isBulk,
    distinct: new Set(bulk).size,
    marked,
    left: core.mempool_exit(pool),
    sizes: core.guarded.buffer.byteLength === memory.buffer.byteLength,
  }),
);
