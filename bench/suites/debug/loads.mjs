/** Four applications on heaps of each kind. */
import { setTimeout as sleep } from "node:timers/promises";
import { createHeap, createSharedHeap } from "../../../dist/index.js";
import "../../../dist/debug.js";
import "../../../dist/inspect.js";
import { clock } from "../../harness/measure.mjs";
import { noiseOf, rowOf, shuffled } from "../../harness/statistics.mjs";
import { particles } from "./particles.mjs";
import { service } from "./service.mjs";
import { synth } from "./synth.mjs";
import { tiles } from "./tiles.mjs";

const loads = { particles, tiles, synth, service };

/** The kinds of heaps: what they add to the options of an application. */
const RELEASE = "release";
const AGAIN = "release again";
const kinds = {
  [RELEASE]: {},
  [AGAIN]: {},
  debug: { debug: true },
  "debug without stacks": { debug: { stacks: false } },
};

export const tables = Object.fromEntries(Object.keys(loads).map((name) => [name, [name]]));
export const processes = 3;
const ROUNDS = 15;

export async function run({ workload, quick, random, progress }) {
  const { start, ops } = loads[workload];
  const sides = [];
  for (const [side, options] of Object.entries(kinds)) {
    const heap = (loads[workload].isShared ? createSharedHeap : createHeap)({ maximum: 2 ** 26, ...options });
    sides.push({ side, heap, samples: [], ...(await start(heap)) });
  }
  // Engines compile hot code in the background and switch over at a later call.
  for (let i = 0; i < (quick ? 1 : 6); i++) {
    for (const each of sides) await each.run();
    await sleep(20);
  }
  const rounds = quick ? 3 : ROUNDS;
  for (let round = 0; round < rounds; round++) {
    for (const each of shuffled(sides, random)) {
      const begin = clock();
      await each.run();
      each.samples.push(((clock() - begin) * 1000) / ops);
    }
    progress(round / rounds);
  }
  const used = Object.fromEntries(sides.map(({ side, heap }) => [side, heap.stats().used]));
  await Promise.all(sides.map(({ end }) => end?.()));
  return { ...Object.fromEntries(sides.map(({ side, samples }) => [side, samples])), used };
}

export function tableOf(name, { [name]: results }, random) {
  const { title, workload } = loads[name];
  const noise = noiseOf(results[RELEASE], results[AGAIN], random);
  const base = rowOf(RELEASE, results[RELEASE], { extra: { used: results.used[RELEASE] } });
  const others = Object.keys(kinds).filter((side) => side !== RELEASE);
  const rows = others.map((side) =>
    rowOf(side, results[side], { of: base, noise, random, extra: { used: results.used[side] } }),
  );
  return { name, title, workload, unit: "µs", lower: true, noise, rows: [base, ...rows] };
}
