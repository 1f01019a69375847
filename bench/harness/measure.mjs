/** Samples of times. */
import { setTimeout as sleep } from "node:timers/promises";
import { shuffled } from "./statistics.mjs";

/** Processor time of this process in ms: the work of other processes is not in it, as it is in the time of day. */
export function clock() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Times subjects by turns, in a new random order each round. A subject's `run()` does `ops` operations. Returns each
 * one's samples, ns per operation; the samples k are of the same round, so that ratios are of pairs. With `primed` each
 * subject runs untimed first: the sample leaves out what the others left in the processor's caches.
 */
export async function interleave(subjects, { rounds, random, progress, primed = false }) {
  // Engines compile hot code in the background and switch over at a later call.
  for (let i = 0; i < 6; i++) {
    for (const { run } of subjects) run();
    await sleep(20);
  }
  const samples = subjects.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const i of shuffled([...subjects.keys()], random)) {
      const { run, ops } = subjects[i];
      if (primed) run();
      const start = clock();
      run();
      samples[i].push(((clock() - start) * 1e6) / ops);
    }
    progress?.(round / rounds);
  }
  return samples;
}
