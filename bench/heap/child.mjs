/** Runs one workload in one way in this process, so that none inherits another's objects, shapes or compiled code. */
import { openSync, readFileSync, readSync } from "node:fs";
import { PerformanceObserver, performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

/** A run is looked at in so many parts, to see how much it varies. */
const PIECES = 10;
/** Warming up is done in so many parts: between them the engine gets to what it compiles in the background. */
const PARTS = 6;

/** What is resident, and the most that ever was, in bytes. Of the latter, getrusage would tell the parent's. */
function resident() {
  try {
    const text = readFileSync("/proc/self/status", "latin1");
    const of = (key) => Number(new RegExp(`^${key}:\\s*(\\d+) kB`, "m").exec(text)[1]) * 1024;
    return { now: of("VmRSS"), peak: of("VmHWM") };
  } catch {
    return { now: process.memoryUsage().rss, peak: undefined };
  }
}

/** Stretches of collecting garbage in which this thread stood still; undefined where the runtime does not tell. */
function collections() {
  // Bun and Deno take an observer of "gc" and then never call it: a 0 from them would mean nothing.
  if ("Bun" in globalThis || "Deno" in globalThis) return undefined;
  const list = [];
  new PerformanceObserver((entries) => list.push(...entries.getEntries())).observe({ entryTypes: ["gc"] });
  return list;
}

/**
 * How long this thread has had to wait for a core so far, in ms, because others had it: a function. What it gives is in
 * no way due to the work. 0 where the system does not tell; it is Linux that does.
 */
function waiting() {
  const bytes = new Uint8Array(64);
  try {
    const file = openSync("/proc/thread-self/schedstat");
    return () => {
      const length = readSync(file, bytes, 0, 64, 0);
      // Three numbers: it ran for so many ns, waited for so many, how often. Making no text makes hardly any garbage.
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
  const cpu = process.cpuUsage();
  const start = performance.now();
  const first = waited();
  let before = first;
  for (let i = 0; i < batches; i++) {
    const begin = performance.now();
    subject.batch();
    const time = performance.now() - begin;
    // Only what took unusually long is worth a look.
    if (time > 2 * usual) {
      const now = waited();
      times[i] = Math.max(time - (now - before), Math.min(time, usual));
      before = now;
    } else times[i] = time;
  }
  const end = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  const { now: after, peak } = resident();
  const checksum = subject.checksum();
  // The observer is told later.
  await sleep(20);
  const within = pauses?.filter(({ startTime }) => startTime >= start && startTime <= end);
  const sorted = times.toSorted();
  // Of fewer than a thousand nobody can tell what one in a thousand takes.
  const rank = (p) => (batches * (1 - p) < 0.6 ? undefined : sorted[Math.ceil(p * batches) - 1] * 1e3);
  const ops = batches * perBatch;
  const pieces = Array.from({ length: PIECES }, (_, k) => {
    const piece = times.subarray((k * batches) / PIECES, ((k + 1) * batches) / PIECES);
    return (sum(piece) * 1e6) / piece.length / perBatch;
  });
  return {
    checksum,
    ns: (sum(times) * 1e6) / ops,
    pieces,
    cpuNs: ((user + system) * 1e3) / ops,
    p50: rank(0.5),
    p99: rank(0.99),
    p999: rank(0.999),
    max: sorted[batches - 1] * 1e3,
    gcCount: within?.length,
    gcMs: within && sum(within.map(({ duration }) => duration)),
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

const task = JSON.parse(process.argv[2]);
try {
  process.send({ result: await (task.side ? measure(task) : nothing(task)) }, () => process.exit(0));
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
