/** 10 million pairs from TypeScript: garbage collections, and growth of the JavaScript heap. Needs --expose-gc. */
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createHeap } from "../../../dist/index.js";
import { median } from "../../harness/statistics.mjs";
import { heapAbove2GiB } from "./typescript.mjs";

const PAIRS = 10_000_000;
const OBJECTS = 1_000_000;
/** More than reading the size of the heap costs, and less than a byte for a thousand pairs. */
const SLACK = 8192;

const options = { size: 64, minNr: 4 };
const use = (pool) => {
  for (let i = 0; i < 20_000; i++) pool.free(pool.alloc());
  return pool;
};

const scenarios = {
  controls: undefined,
  "10 million pairs": () => createHeap().create(options),
  "10 million pairs, 4 other heaps in use": () => {
    for (let i = 0; i < 4; i++) use(createHeap().create(options));
    return createHeap().create(options);
  },
  "10 million pairs above 2 GiB": () => heapAbove2GiB().create(options),
  "10 million pairs above 2 GiB, 4 other heaps in use": () => {
    for (let i = 0; i < 4; i++) use(createHeap().create(options));
    return heapAbove2GiB().create(options);
  },
};

export const tables = { garbage: Object.keys(scenarios) };
export const execArgv = ["--expose-gc"];

const collections = [];

async function measured(work) {
  globalThis.gc();
  globalThis.gc();
  const start = performance.now();
  const before = process.memoryUsage().heapUsed;
  work();
  const bytes = process.memoryUsage().heapUsed - before;
  const end = performance.now();
  // The observer is called later.
  await sleep(20);
  const events = collections.filter((time) => time >= start && time <= end).length;
  return { bytes, events };
}

async function repeated(name, work, times) {
  // Compiling the loop makes objects too: it must be over.
  for (let i = 0; i < 2; i++) {
    work();
    await sleep(50);
  }
  const samples = [];
  for (let i = 0; i < times; i++) samples.push(await measured(work));
  return {
    name,
    bytes: median(samples.map(({ bytes }) => bytes)),
    events: samples.reduce((sum, { events }) => sum + events, 0),
    samples,
  };
}

export async function run({ workload: name, quick, progress }) {
  new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntries()) collections.push(startTime);
  }).observe({ entryTypes: ["gc"] });
  const times = quick ? 3 : 5;
  let sink = 0;
  const emptyLoop = () => {
    for (let i = 0; i < PAIRS; i++) sink ^= i;
  };
  progress?.(0);
  if (name === "controls") {
    const kept = Array.from({ length: 100 });
    const objects = () => {
      for (let i = 0; i < OBJECTS; i++) kept[i % 100] = { i, sink };
    };
    return [
      await repeated("an empty loop", emptyLoop, times),
      await repeated("1 million objects of 2 fields instead", objects, times),
    ];
  }
  let pool;
  try {
    pool = use(scenarios[name]());
  } catch (error) {
    return [{ name, why: error.message }];
  }
  const pairs = () => {
    for (let i = 0; i < PAIRS; i++) {
      const element = pool.alloc();
      sink ^= element;
      pool.free(element);
    }
  };
  const empty = await repeated(name, emptyLoop, times);
  const row = await repeated(name, pairs, times);
  const clean = !row.events && row.bytes <= empty.bytes + SLACK;
  return [{ ...row, verdict: clean ? "met" : "missed" }];
}

export function tableOf(name, results) {
  const rows = Object.values(results).flat();
  return {
    name,
    title: "Garbage",
    workload: "10 million pairs of pool.alloc() and pool.free(): by how much the JS heap has grown after them",
    unit: "bytes",
    lower: true,
    noise: 0,
    rows: rows
      .filter(({ samples }) => samples)
      .map(({ name: side, bytes, events, samples }) => ({
        side,
        samples: samples.map((sample) => sample.bytes),
        stats: { median: bytes },
        extra: { collections: events },
      })),
    notRun: rows.flatMap(({ name: side, why }) => (why ? [{ side, why }] : [])),
    goals: rows
      .filter(({ verdict }) => verdict)
      .map(({ name: side, bytes, verdict }) => ({
        text: `${side}: no more than an empty loop`,
        value: bytes,
        verdict,
      })),
  };
}
