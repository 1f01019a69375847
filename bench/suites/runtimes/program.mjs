/**
 * The program of every runtime, bundled to one file: the pool from JavaScript, and its pair inside wasm. Its host APIs are a
 * clock, a timer, and a way to report: a POST where there is a server, else standard output.
 */
import { createHeap } from "../../../dist/index.js";
import "../../../dist/inspect.js";
import wasm from "../../../build/bench/shipped.wasm";

/** Defined by the bundler: the samples, the ms of each, and the ms of the warm-up. */
const { ROUNDS, SAMPLE_MS, WARM_MS } = BENCH_OPTIONS;
const SIZE = 32;
const WAVE = 1000;

const heap = createHeap();
const pool = heap.create({ size: SIZE, minNr: 4 });
const core = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports;
core.memory.grow(3);
if (!core.heap_create(0, 4 * 65536, 2 ** 20, 1)) throw new Error("no heap");
const handle = core.mempool_create(SIZE, 16, 4, -1);
const { empty1, empty2 } = core;

// The results are used: an engine may leave out a loop without any.
let sink = 0;

function pair(n) {
  for (let i = 0; i < n; i++) {
    const element = pool.alloc();
    sink ^= element;
    pool.free(element);
  }
}
function pairOfCalls(n) {
  for (let i = 0; i < n; i++) {
    const element = empty1(i) >>> 0;
    sink ^= element;
    empty2(handle, element);
  }
}

const slots = new Uint32Array(WAVE);
function wave(n) {
  for (; n > 0; n -= WAVE) {
    for (let i = 0; i < WAVE; i++) slots[i] = pool.alloc();
    for (let i = 0; i < WAVE; i++) pool.free(slots[i]);
  }
}
function waveOfCalls(n) {
  for (; n > 0; n -= WAVE) {
    for (let i = 0; i < WAVE; i++) slots[i] = empty1(i);
    for (let i = 0; i < WAVE; i++) empty2(handle, slots[i]);
  }
}

/** Frees the element of a random slot and puts another there; of `count`, a power of two. */
function churns(count) {
  const live = Uint32Array.from({ length: count }, () => pool.alloc());
  const other = Uint32Array.from(live);
  const shift = 32 - Math.log2(count);
  let random = 1;
  return {
    ours(n) {
      for (let i = 0; i < n; i++) {
        random = (Math.imul(random, 1664525) + 1013904223) | 0;
        const at = random >>> shift;
        pool.free(live[at]);
        live[at] = pool.alloc();
      }
    },
    calls(n) {
      for (let i = 0; i < n; i++) {
        random = (Math.imul(random, 1664525) + 1013904223) | 0;
        const at = random >>> shift;
        empty2(handle, other[at]);
        other[at] = empty1(i);
      }
    },
  };
}

/** The tables: ours, and the same loop around calls into wasm that do nothing. */
const tables = {
  pair: { ours: pair, calls: pairOfCalls },
  "wave-1k": { ours: wave, calls: waveOfCalls },
  "churn-1k": churns(1024),
  "churn-64k": churns(65536),
  "pair-in-wasm": { ours: (n) => core.pair(handle, n) },
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
function time(work, n) {
  const start = performance.now();
  work(n);
  return performance.now() - start;
}

/** The operations that take SAMPLE_MS after the engine has compiled the hot code. */
async function warm(work) {
  let n = WAVE;
  for (let spent = 0, i = 0; spent < WARM_MS || i < 6; i++) {
    const ms = time(work, n);
    spent += ms;
    if (ms < SAMPLE_MS) n = Math.min(2 * n, 2 ** 24);
    // Engines compile in the background and switch over at a later call.
    if (i % 4 === 0) await sleep(5);
  }
  const perOp = Math.min(time(work, n), time(work, n), time(work, n)) / n;
  return Math.max(WAVE, Math.ceil(SAMPLE_MS / perOp / WAVE) * WAVE);
}

async function measure({ ours, calls }) {
  const subjects = Object.entries({ ours, same: ours, ...(calls ? { calls } : {}) }).map(([key, work]) => ({
    key,
    work,
  }));
  const samples = Object.fromEntries(subjects.map(({ key }) => [key, []]));
  for (const subject of subjects) subject.n = await warm(subject.work);
  // The first two rounds do not count: each subject must be warm by turns too.
  for (let round = -2; round < ROUNDS; round++) {
    // Each round begins with another subject, and every second one runs backwards.
    const turn = subjects.map((_, i) => subjects[(i + round + 2) % subjects.length]);
    if (round % 2) turn.reverse();
    for (const { key, work, n } of turn) {
      const sample = (time(work, n) * 1e6) / n;
      if (round >= 0) samples[key].push(sample);
    }
    if (round % 8 === 7) await sleep(0);
  }
  return samples;
}

async function main() {
  const result = {};
  for (const [name, table] of Object.entries(tables)) result[name] = await measure(table);
  const problems = heap.check();
  if (problems.length > 0) throw new Error(problems.join("; "));
  return { agent: globalThis.navigator?.userAgent, used: sink !== undefined, tables: result };
}

const report = await main().catch((error) => ({ error: String(error?.stack ?? error) }));
const text = JSON.stringify(report);
if (typeof document === "undefined") console.log(text);
else await fetch("/report", { method: "POST", body: text });
