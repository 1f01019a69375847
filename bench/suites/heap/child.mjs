/** One side of one workload in this process: no side inherits objects, shapes or compiled code of another one. */
import { openSync, readFileSync, readSync } from "node:fs";
import { PerformanceObserver, performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { answer } from "../../harness/children.mjs";
import { clock } from "../../harness/measure.mjs";

/** The parts of a run that show how much it varies. */
const PIECES = 10;
/** The parts of the warm-up: between them the engine finishes what it compiles in the background. */
const PARTS = 6;

/** The resident bytes, and their peak. getrusage would tell the parent's peak. */
function resident() {
  try {
    const text = readFileSync("/proc/self/status", "latin1");
    const of = (key) => Number(new RegExp(`^${key}:\\s*(\\d+) kB`, "m").exec(text)[1]) * 1024;
    return { now: of("VmRSS"), peak: of("VmHWM") };
  } catch {
    return { now: process.memoryUsage().rss, peak: undefined };
  }
}

/** The stretches of collecting garbage in which this thread stood still. */
function collections() {
  const list = [];
  new PerformanceObserver((entries) => list.push(...entries.getEntries())).observe({ entryTypes: ["gc"] });
  return list;
}

/** A function that returns how long this thread has waited for a core, in ms; 0 on systems other than Linux. */
function waiting() {
  const bytes = new Uint8Array(64);
  try {
    const file = openSync("/proc/thread-self/schedstat");
    return () => {
      const length = readSync(file, bytes, 0, 64, 0);
      // Three numbers: ns run, ns waited, times run. Reading bytes makes hardly any garbage.
      let ns = 0;
      for (let i = 0, spaces = 0; i < length && spaces < 2; i++) {
        if (bytes[i] === 32) spaces++;
        else if (spaces === 1) ns = ns * 10 + bytes[i] - 48;
      }
      return ns / 1e6;
    };
  } catch {
    return () => 0;
  }
}

const sum = (list) => list.reduce((all, one) => all + one, 0);

async function measure({ file, side, params, warm, batches, perBatch }) {
  const { create } = await import(`./workloads/${file}.mjs`);
  const pauses = collections();
  const waited = waiting();
  const subject = create(side, params);
  const built = resident().now;
  let usual = Infinity;
  for (let part = 0; part < PARTS; part++) {
    const begin = performance.now();
    for (let i = 0; i < warm / PARTS; i++) subject.batch();
    usual = Math.min(usual, (performance.now() - begin) / Math.ceil(warm / PARTS));
    waited();
    await sleep(10);
  }
  const times = new Float64Array(batches);
  const start = performance.now();
  const first = waited();
  let before = first;
  // The processor time at the end of each piece.
  const marks = [clock()];
  for (let i = 0; i < batches; i++) {
    const begin = performance.now();
    subject.batch();
    const time = performance.now() - begin;
    // Only unusually long batches are looked up.
    if (time > 2 * usual) {
      const now = waited();
      times[i] = Math.max(time - (now - before), Math.min(time, usual));
      before = now;
    } else times[i] = time;
    if (Math.floor(((i + 1) * PIECES) / batches) === marks.length) marks.push(clock());
  }
  const end = performance.now();
  const { now: after, peak } = resident();
  const checksum = subject.checksum();
  // The observer is called later.
  await sleep(20);
  const within = pauses.filter(({ startTime }) => startTime >= start && startTime <= end);
  const sorted = times.toSorted();
  // Fewer than a thousand batches have no 99.9th percentile.
  const rank = (p) => (batches * (1 - p) < 0.6 ? undefined : sorted[Math.ceil(p * batches) - 1] * 1e3);
  const ops = batches * perBatch;
  const pieces = marks.slice(1).map((mark, k) => ((mark - marks[k]) * 1e6 * PIECES) / ops);
  return {
    checksum,
    ns: ((marks.at(-1) - marks[0]) * 1e6) / ops,
    pieces,
    clockNs: (sum(times) * 1e6) / ops,
    p50: rank(0.5),
    p99: rank(0.99),
    p999: rank(0.999),
    max: sorted[batches - 1] * 1e3,
    gcCount: within.length,
    gcMs: sum(within.map(({ duration }) => duration)),
    ms: end - start,
    waited: before - first,
    built,
    after,
    peak,
  };
}

/** The same process with nothing in it. */
async function nothing({ file }) {
  await import(`./workloads/${file}.mjs`);
  collections();
  await sleep(50);
  const { now, peak } = resident();
  return { built: now, peak };
}

await answer((task) => (task.side ? measure(task) : nothing(task)));
