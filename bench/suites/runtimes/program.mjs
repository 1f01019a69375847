/**
 * The program of every runtime, bundled to one file: the pool from JavaScript, and its pair inside wasm. Its host APIs are
 * clocks, a timer, and a way to report: a POST where there is a server, else standard output.
 */
import { createHeap, createSharedHeap } from "../../../dist/index.js";
import "../../../dist/inspect.js";
import { COUNT, ways } from "../struct/particles.mjs";
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
const { load1, load2 } = core;

// The results are used: an engine may leave out a loop without any.
let sink = 0;

// An engine shares what it learns between functions of one text, so each loop is a function of its own.
const loop = (text, ...names) => new Function(...names, "n", `let sum = 0; ${text} return sum;`);
const pairs = (pools, mark) => {
  const one = `/* ${mark} */ for (let i = 0; i < n; i++) {
    const element = pools.alloc(); sum ^= element; pools.free(element);
  }`;
  const inTurn = `/* ${mark} */ for (let i = 0, k = 0; i < n; i++) {
    const pool = pools[k]; if (++k === pools.length) k = 0;
    const element = pool.alloc(); sum ^= element; pool.free(element);
  }`;
  const work = loop(Array.isArray(pools) ? inTurn : one, "pools");
  return (n) => (sink ^= work(pools, n));
};
const pairsCalled = (alloc, free, at, mark) => {
  const work = loop(
    `/* ${mark} */ for (let i = 0; i < n; i++) { const element = alloc(at) >>> 0; sum ^= element ^ free(at, element); }`,
    "alloc",
    "free",
    "at",
  );
  return (n) => (sink ^= work(alloc, free, at, n));
};
const options = { size: SIZE, minNr: 4 };
const others = () => Array.from({ length: 4 }, () => createHeap().create(options));

const slots = new Uint32Array(WAVE);
function wave(n) {
  for (; n > 0; n -= WAVE) {
    for (let i = 0; i < WAVE; i++) slots[i] = pool.alloc();
    for (let i = 0; i < WAVE; i++) pool.free(slots[i]);
  }
}
function waveOfCalls(n) {
  for (; n > 0; n -= WAVE) {
    for (let i = 0; i < WAVE; i++) slots[i] = load1(handle);
    for (let i = 0; i < WAVE; i++) sink ^= load2(handle, slots[i]);
  }
}

/** Frames of particles; an op is a particle of a frame. */
function particles(way) {
  const step = ways[way]();
  return (n) => {
    for (; n > 0; n -= COUNT) sink ^= step() | 0;
  };
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
        sink ^= load2(handle, other[at]);
        other[at] = load1(handle);
      }
    },
  };
}

/**
 * The tables: ours, and the same loop around calls into wasm that load a word. Each is made when its turn comes: an engine
 * learns about a call site from all heaps and pools that pass it, so those of several heaps come last.
 */
const tables = {
  "pair-in-wasm": () => ({ ours: (n) => core.pair(handle, n) }),
  pair: () => ({ ours: pairs(pool, "pool"), calls: pairsCalled(load1, load2, handle, "calls") }),
  "wave-1k": () => ({ ours: wave, calls: waveOfCalls }),
  "churn-1k": () => churns(1024),
  "churn-64k": () => churns(65536),
  particles: () => ({ ours: particles("field indices"), calls: particles("views by hand"), per: COUNT }),
  "particles-cursor": () => ({ ours: particles("cursor"), per: COUNT }),
  "particles-objects": () => ({ ours: particles("objects"), per: COUNT }),
  "pair-called": () => ({ ours: pairsCalled(core.mempool_alloc, core.mempool_free, handle, "core") }),
  "pair-16-pools": () => ({
    ours: pairs(
      Array.from({ length: 16 }, () => heap.create(options)),
      "16 pools",
    ),
  }),
  "pair-zeroed": () => ({ ours: pairs(heap.create({ ...options, zero: true }), "zeroed") }),
  "pair-shared": () => ({ ours: pairs(createSharedHeap().create(options), "shared") }),
  "pair-5-heaps": () => ({ ours: pairs([pool, ...others()], "5 heaps") }),
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Processor time where there is a process, in ms: the work of other processes is not in it. */
function clock() {
  if (!globalThis.process?.cpuUsage) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
function time(work, n) {
  const start = clock();
  work(n);
  return clock() - start;
}

/** The operations that take SAMPLE_MS after the engine has compiled the hot code. */
async function warm(work, per) {
  let n = per;
  for (let spent = 0, i = 0; spent < WARM_MS || i < 6; i++) {
    const ms = time(work, n);
    spent += ms;
    if (ms < SAMPLE_MS) n = Math.min(2 * n, 2 ** 24);
    // Engines compile in the background and switch over at a later call.
    if (i % 4 === 0) await sleep(5);
  }
  const perOp = Math.min(time(work, n), time(work, n), time(work, n)) / n;
  return Math.max(per, Math.ceil(SAMPLE_MS / perOp / per) * per);
}

async function measure({ ours, calls, per = WAVE }) {
  const subjects = Object.entries({ ours, same: ours, ...(calls ? { calls } : {}) }).map(([key, work]) => ({
    key,
    work,
  }));
  const samples = Object.fromEntries(subjects.map(({ key }) => [key, []]));
  for (const subject of subjects) subject.n = await warm(subject.work, per);
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
  for (const [name, make] of Object.entries(tables)) result[name] = await measure(make());
  const problems = heap.check();
  if (problems.length > 0) throw new Error(problems.join("; "));
  return { agent: globalThis.navigator?.userAgent, used: sink !== undefined, tables: result };
}

const report = await main().catch((error) => ({ error: String(error?.stack ?? error) }));
const text = JSON.stringify(report);
if (typeof document === "undefined") console.log(text);
else await fetch("/report", { method: "POST", body: text });
