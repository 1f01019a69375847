/** One way to update particles, in this process: times of a frame, and collections of garbage meanwhile. */
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { answer } from "../../harness/children.mjs";
import { clock } from "../../harness/measure.mjs";
import { ways } from "./particles.mjs";

const FRAMES = 200;

await answer(async ({ way, quick }, progress) => {
  const rounds = quick ? 3 : 9;
  let collections = 0;
  new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ entryTypes: ["gc"] });
  const step = ways[way]();
  let result = 0;
  for (let i = 0; i < FRAMES; i++) result = step();
  await sleep(50);
  collections = 0;
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    const start = clock();
    for (let i = 0; i < FRAMES; i++) result = step();
    samples.push((clock() - start) / FRAMES);
    progress(round / rounds);
  }
  await sleep(50);
  return { samples, collections: collections / rounds / FRAMES, result };
});
