/** One workload on all subjects, in this process. */
import { answer } from "../../harness/children.mjs";
import { interleave } from "../../harness/measure.mjs";
import { randomFrom } from "../../harness/statistics.mjs";
import { loopOf } from "./javascript.mjs";
import { OURS, SAME, javaScript, open } from "./subjects.mjs";
import { workloads } from "./workloads.mjs";

/** Long enough that the clock's steps do not matter, in ms. */
const SAMPLE = 3;

/** The number of steps that take about that long when nothing interrupts them. */
function stepsFor(run, warm) {
  // An engine compiles a JavaScript function after some calls, in the background.
  for (const start = performance.now(); performance.now() - start < warm;) run(20);
  let steps = 1;
  for (;;) {
    let best = Infinity;
    // An interrupted run says nothing: the best one counts.
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      run(steps);
      best = Math.min(best, performance.now() - start);
      if (best < SAMPLE / 4) break;
    }
    if (best >= SAMPLE / 4) return Math.max(1, Math.round((steps * SAMPLE) / best));
    steps *= 2;
  }
}

/** A subject's memory after some work: the bytes that its user asked for, and those that it holds. */
function memoryOf(name, { prepare, step, slots, ops }, seed, quick) {
  const core = open(name, seed);
  prepare?.(core);
  const run = step(core);
  let payload = 0;
  let from = Infinity;
  let to = 0;
  for (let i = 0; i < 20; i++) {
    run(Math.ceil((quick ? 500 : 2000) / ops));
    payload = Math.max(payload, core.payload(...slots) >>> 0);
    from = Math.min(from, core.lowest() >>> 0);
    to = Math.max(to, core.highest() >>> 0);
  }
  return { payload, span: to - from, memory: core.memory.buffer.byteLength - (core.base() >>> 0) };
}

await answer(async ({ workload: id, side, names, quick, seed }, progress) => {
  const workload = workloads[id];
  const random = randomFrom(seed);
  const first = (seed % 0xfffffffe) + 1;
  const loops = {};
  for (const name of names) {
    if (side === "javascript") loops[name] = loopOf(id, await javaScript[name](), first);
    else {
      const core = open(name, first);
      workload.prepare?.(core);
      loops[name] = workload.step(core);
    }
  }
  // Equal sums of what they read show that all do the same work.
  const steps = Math.ceil((quick ? 250 : 1000) / workload.ops);
  const sums = names.map((name) => loops[name](steps) >>> 0);
  const wrong = names.filter((_, i) => sums[i] !== sums[0]);
  if (wrong.length) throw new Error(`${id}: ${wrong.join(", ")}: another sum than ${names[0]}'s`);
  const counts = {};
  const subjects = names.map((name) => {
    // The noise compares equal work.
    const n = name === SAME ? counts[OURS] : stepsFor(loops[name], side === "javascript" ? (quick ? 40 : 100) : 0);
    counts[name] = n;
    return { run: () => loops[name](n), ops: n * workload.ops };
  });
  const samples = await interleave(subjects, { rounds: quick ? 5 : 17, random, progress, primed: true });
  const result = { samples: Object.fromEntries(names.map((name, i) => [name, samples[i]])) };
  if (side === "wasm" && workload.slots) {
    const weighed = names.filter((name) => name !== SAME && !name.endsWith(", called"));
    result.memory = Object.fromEntries(weighed.map((name) => [name, memoryOf(name, workload, first, quick)]));
  }
  return result;
});
