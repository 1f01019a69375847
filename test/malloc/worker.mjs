// A worker that allocates blocks, exchanges them for other workers' through words of the memory, and frees what it gets.
import { parentPort, workerData } from "node:worker_threads";

const { module, memory, heap, label, words, count, stop } = workerData;
const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
if (!core.malloc_attach(heap, label)) throw new Error("malloc_attach");
const MARK = 0x5bd1e995;
let view = new Int32Array(memory.buffer);
let seed = label;
const next = (n) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % n;

/** First and last word of a block say where it is and how long. */
function write(block, bytes) {
  if (view.buffer !== memory.buffer) view = new Int32Array(memory.buffer);
  view[block >> 2] = block ^ MARK;
  view[(block >> 2) + 1] = bytes;
  view[(block + bytes - 4) >> 2] = ~block;
}

function look(block) {
  if (view.buffer !== memory.buffer) view = new Int32Array(memory.buffer);
  const bytes = view[(block >> 2) + 1];
  if (view[block >> 2] !== (block ^ MARK) || view[(block + bytes - 4) >> 2] !== ~block) {
    throw new Error(`the block at ${block} was overwritten`);
  }
}

let steps = 0;
while (Atomics.load(view, stop >> 2) === 0) {
  const bytes = (next(20) === 0 ? 12_000 + next(60_000) : 12 + next(2000)) & ~3;
  let block = core.malloc(bytes);
  if (block !== 0) {
    write(block, bytes);
    if (next(8) === 0) {
      const longer = (bytes + next(3000)) & ~3;
      const moved = core.realloc(block, longer);
      if (moved !== 0) write((block = moved), longer);
    }
  }
  const other = Atomics.exchange(view, (words >> 2) + next(count), block);
  if (other !== 0) {
    look(other);
    core.free(other);
  }
  if (++steps % 1000 === 0) parentPort.postMessage(steps);
}
core.malloc_thread_exit();
