/** The time from a free in one thread to the return of a waiter in another. */
import { attach } from "../../../dist/index.js";
import { createShared } from "../../guests/modules.mjs";
import { compare, median, noiseOf, quantile, shuffled, verdictOf } from "../../harness/statistics.mjs";
import { hire } from "./team.mjs";

const SIZE = 64;
/** The base of each ratio. */
const kinds = {
  "Atomics.wait": {},
  mempool_alloc_wait: { against: "Atomics.wait" },
  allocWait: { against: "Atomics.wait" },
  "allocWait, an idle third thread": { against: "Atomics.wait" },
  "Atomics.waitAsync": {},
  allocAsync: { against: "Atomics.waitAsync" },
  "allocAsync, an idle third thread": { against: "Atomics.waitAsync" },
};
const again = ["Atomics.wait", "Atomics.waitAsync"];

export const tables = { latency: ["latency"] };
export const execArgv = ["--no-liftoff"];
export const guests = ["threads.shipped"];
export const processes = 5;

export async function run({ quick, random, progress }) {
  // The pool has exactly one element: only one thread can have it.
  const { core, shared } = createShared("shipped");
  const handle = core.mempool_create(SIZE, 16, 1, 1);
  const what = {
    words: new SharedArrayBuffer(512),
    when: new SharedArrayBuffer(64),
    shared: { ...shared, pool: core.mempool_share(handle) },
  };
  const team = [hire("latency.mjs"), hire("latency.mjs")];
  const [pool, watched] = await team[0].call("create", [SIZE]);
  // This thread joins one of their heaps: a waiter there asks it to flush its magazine.
  attach(watched);
  for (const member of team) await member.call("prepare", [{ ...what, pool, watched }]);
  let from = 0;
  const block = async (kind, count) => {
    // Long enough for the waiter to be asleep.
    const pauses = Array.from({ length: count }, () => 0.15 + 0.1 * random());
    const [, latencies] = await Promise.all([
      team[1].call("wait", [kind, from, count]),
      team[0].call("wake", [kind, from, pauses]),
    ]);
    from += count;
    return latencies;
  };
  const subjects = [
    ...Object.keys(kinds).map((kind) => ({ key: kind, kind })),
    ...again.map((kind) => ({ key: `again: ${kind}`, kind })),
  ];
  for (const { kind } of subjects) await block(kind, 100);
  const samples = Object.fromEntries(subjects.map(({ key }) => [key, []]));
  const rounds = quick ? 8 : 40;
  for (let round = 0; round < rounds; round++) {
    for (const { key, kind } of shuffled(subjects, random)) samples[key].push(await block(kind, 25));
    progress(round / rounds);
  }
  for (const member of team) await member.end();
  return samples;
}

export function tableOf(name, { latency: of }, random) {
  const medians = (key) => of[key].map(median);
  const noise = Object.fromEntries(
    again.map((kind) => [kind, noiseOf(medians(kind), medians(`again: ${kind}`), random)]),
  );
  const row = (side, key, against) => {
    const samples = of[key].flat();
    const stats = { median: median(samples), p90: quantile(samples, 0.9), p99: quantile(samples, 0.99) };
    if (!against) return { side, samples, stats };
    // Ratios are of the medians of blocks.
    const result = compare(medians(key), medians(against), random);
    return { side, samples, stats, ratio: { of: against, ...result, verdict: verdictOf(result, noise[against]) } };
  };
  return {
    name,
    title: "Waking a thread that waits for an element",
    workload:
      "from the free, or the notify, on one thread to the instant that another, which waited, goes on; an idle third thread has a handle too, and is woken whenever a thread waits",
    unit: "µs",
    lower: true,
    noise: Math.max(...Object.values(noise)),
    rows: [
      ...Object.entries(kinds).map(([kind, { against }]) => row(kind, kind, against)),
      ...again.map((kind) => row(`${kind} against itself`, `again: ${kind}`, kind)),
    ],
  };
}
