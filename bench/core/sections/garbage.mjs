/** 10 million pairs from TypeScript: garbage collections, and growth of the JavaScript heap. Needs --expose-gc. */
/** 10 million pairs from TypeScript: garbage collections, and growth of the JavaScript heap. Needs --expose-gc. */
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createHeap } from "../../../dist/index.js";
import { median } from "../measure.mjs";
import { heapAbove2GiB } from "./typescript.mjs";

const PAIRS = 10_000_000;
const OBJECTS = 1_000_000;
/** More than a look at the heap costs by itself, and less than a byte for a thousand pairs. */
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

export const names = Object.keys(scenarios);

// Bun and Deno take an observer of "gc" and then never call it: a 0 from them would mean nothing.
const observes = !("Bun" in globalThis) && !("Deno" in globalThis);
const collections = [];

async function measured(work) {
  globalThis.gc();
  globalThis.gc();
  const start = performance.now();
  const before = process.memoryUsage().heapUsed;
  work();
  const bytes = process.memoryUsage().heapUsed - before;
  const end = performance.now();
  // The observer is told later.
  await sleep(20);
  const events = collections.filter((time) => time >= start && time <= end).length;
  return { bytes, events: observes ? events : undefined };
}

async function repeated(name, work, times) {
  // Compiling the loop makes objects too: let that be over.
  for (let i = 0; i < 2; i++) {
    work();
    await sleep(50);
  }
  const samples = [];
  for (let i = 0; i < times; i++) samples.push(await measured(work));
  return {
    name,
    bytes: median(samples.map(({ bytes }) => bytes)),
    events: observes ? samples.reduce((sum, { events }) => sum + events, 0) : undefined,
    samples,
  };
}

export async function run({ name, quick, progress }) {
  if (observes) {
    new PerformanceObserver((list) => {
      for (const { startTime } of list.getEntries()) collections.push(startTime);
    }).observe({ entryTypes: ["gc"] });
  }
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
      { ...(await repeated("an empty loop", emptyLoop, times)), verdict: "" },
      { ...(await repeated("1 million objects of 2 fields instead", objects, times)), verdict: "" },
    ];
  }
  let pool;
  try {
    pool = use(scenarios[name]());
  } catch (error) {
    return [{ name, verdict: "n/a", why: error.message }];
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
  return [{ ...row, empty: empty.bytes, verdict: clean ? "met" : "missed" }];
}
