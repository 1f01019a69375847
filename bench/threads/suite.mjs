/** `npm run bench:threads` as a suite of `npm run bench`. */
import { cpus } from "node:os";
import { goalsOf, resultOf } from "../lib/adapt.mjs";

const noiseOf = (rows) => Math.max(0, ...rows.map(({ noise }) => noise ?? 0));

const hit = (rows) => ({
  name: "hit",
  title: "One thread, with threads compiled in",
  workload: "the workloads of the core's benchmark, elements of 64 bytes, of the shared build against the plain one",
  unit: "ns/op",
  lower: true,
  noise: noiseOf(rows),
  rows: rows.map(({ name, ours, plain, ratio, ci, verdict, samples }) => ({
    side: name,
    samples: samples.ours,
    stats: { median: ours },
    ratio: { of: name.endsWith("ours against ours") ? "the shared build" : "the plain build", ratio, ci, verdict },
    extra: { "what it is against": plain, against: samples },
  })),
  goals: goalsOf(rows, ({ name }) => `${name}, against the plain build`),
});

const scaling = (rows) => ({
  name: "scaling",
  title: "Two threads on one pool",
  workload: "how much more two threads get done together, each on a core, than one of them alone",
  unit: "x",
  lower: false,
  noise: noiseOf(rows),
  rows: rows.map(({ name, scaling: value, ci, alone, both, own, samples }) => ({
    side: name,
    stats: { median: value },
    extra: { "ns alone": alone, "ns both": both, "x, a pool each": own, interval: ci, against: samples },
  })),
  goals: rows
    .filter(({ goal }) => goal !== undefined)
    .map(({ name, scaling: value, ci, goal, verdict }) => ({ text: `${name}: at least`, value, ci, goal, verdict })),
});

const messages = (rows) => ({
  name: "messages",
  title: "Messages of 256 bytes from one thread to another",
  workload: "one thread makes messages, the other reads and drops them",
  unit: "ns/op",
  lower: true,
  noise: noiseOf(rows),
  rows: rows.map(({ name, ns, ratio, ci, verdict, samples, calm }) => ({
    side: name,
    samples: samples.map((sample) => sample.ns ?? sample),
    stats: { median: ns },
    ...(ratio && {
      ratio: { of: name.includes("wasm") ? "pool, wasm" : "pool, JavaScript", ratio, ci, verdict },
    }),
    extra: { calm },
  })),
  goals: goalsOf(rows),
});

const latency = (rows) => ({
  name: "latency",
  title: "Waking a thread that waits for an element",
  workload: "from the free on one thread to the instant that another, which waited, goes on",
  unit: "µs",
  lower: true,
  noise: noiseOf(rows),
  rows: rows.map(({ name, p50, p90, p99, ratio, ci, verdict, samples }) => ({
    side: name,
    samples: samples.flat(),
    stats: { median: p50, p90, p99 },
    ...(ratio && {
      ratio: { of: /async/i.test(name) ? "Atomics.waitAsync" : "Atomics.wait", ratio, ci, verdict },
    }),
  })),
  goals: goalsOf(rows),
});

const tables = { hit, scaling, messages, latency };

/** What bench:threads gives as JSON, as tables. */
export const tablesOf = ({ sections }) => Object.entries(sections).map(([name, rows]) => tables[name](rows));

export const suite = {
  name: "threads",
  title: "Threads",
  seconds: 200,
  alone: "npm run bench:threads",
  async run({ quick, random, progress, only }) {
    if (cpus().length < 2) throw new Error("two threads need two cores");
    progress(0, "bench:threads");
    const result = await resultOf("bench/threads/main.mjs", { quick, random, seconds: 600 });
    return {
      tables: tablesOf(result).filter(({ name }) => only === undefined || only.includes(name)),
      versions: { asc: result.compiler.asc },
      method: [result.method.join(" ")],
    };
  },
};
