/** Two threads, each with its own load, on one pool: what they get done together against what one gets done alone. */
import { confidence, median, noiseOf } from "../../core/measure.mjs";
import { createHeap } from "../../../dist/index.js";
import { createShared, moduleOf } from "../compile.mjs";
import { calmest, hire, meetingPlace } from "../team.mjs";

const GOAL = 1.8;
const SIZE = 64;
const loads = { pair: "pair", wave: "1000 up, then down", churn: "churn, 64k live each" };
const kinds = ["wasm", "TypeScript"];

export const title = `Two threads on one pool, 64-byte elements: throughput of both, each relative to that thread alone (ideal: 2).
own heaps: the same with a heap for each thread, what the machine can do. rounds: those in which neither thread was
preempted, of those begun; only they count`;
export const names = kinds.flatMap((kind) => Object.keys(loads).map((load) => `${kind}: ${load}`));
export const processes = 3;

/** Milliseconds in which two threads have good hopes of not being disturbed, and how often that is tried. */
const MS = 1.5;
const TRIES = 12;
/** With fewer undisturbed rounds there is nothing to tell. */
const ENOUGH = 9;

/** A pool for each of the two ways, as the workers take it. */
function open(kind) {
  if (kind === "TypeScript") {
    const heap = createHeap({ shared: true, initial: 2 ** 26, maximum: 2 ** 26 });
    return { heap, pool: heap.create({ size: SIZE, minNr: 4 }).share() };
  }
  const { core, shared } = createShared(moduleOf("fast"));
  const handle = core.mempool_create(SIZE, 16, 4, -1);
  return { core, pool: { ...shared, pool: core.mempool_pool(handle) } };
}

export async function run({ name, quick, random, progress }) {
  const [kind, load] = name.split(": ");
  const together = open(kind);
  const apart = [open(kind), open(kind)];
  const team = [hire("scaling.mjs"), hire("scaling.mjs")];
  // One after the other: the first finds more free than the second.
  for (const me of [0, 1])
    await team[me].call("prepare", [{ kind, load, me, shared: together.pool, own: apart[me].pool }]);
  const place = meetingPlace();
  let met = 0;
  const work = (whose, members) =>
    calmest(TRIES, async () => {
      met += members.length;
      const all = await Promise.all(members.map((member) => member.call("work", [whose, MS, place, met])));
      // Two that had to share a core ran one after the other, each undisturbed.
      const common = Math.min(...all.map(({ end }) => end)) - Math.max(...all.map(({ start }) => start));
      const tookTurns = common < 0.9 * MS ? 1 : 0;
      return { ns: all.map(({ ns }) => ns), disturbed: tookTurns + Math.max(...all.map(({ preempted }) => preempted)) };
    });
  const both = (whose) => work(whose, team);
  const alone = async (whose) => {
    const samples = [];
    for (const member of random() < 0.5 ? team : team.toReversed())
      samples[team.indexOf(member)] = await work(whose, [member]);
    return { ns: samples.flatMap(({ ns }) => ns), disturbed: Math.max(...samples.map(({ disturbed }) => disturbed)) };
  };
  const subjects = {
    alone: () => alone("shared"),
    again: () => alone("shared"),
    both: () => both("shared"),
    ownAlone: () => alone("own"),
    ownBoth: () => both("own"),
  };
  const samples = Object.fromEntries(Object.keys(subjects).map((key) => [key, []]));
  const rounds = quick ? 10 : 20;
  const limit = quick ? 2500 : 5000;
  const start = performance.now();
  let tried = 0;
  for (let calm = 0; calm < rounds && performance.now() - start < limit; tried++) {
    const order = Object.keys(subjects)
      .map((key) => [random(), key])
      .toSorted(([a], [b]) => a - b);
    const round = {};
    for (const [, key] of order) {
      round[key] = await subjects[key]();
      if (round[key].disturbed) break;
    }
    if (Object.values(round).some(({ disturbed }) => disturbed)) continue;
    for (const key of Object.keys(subjects)) samples[key].push(round[key].ns);
    progress(++calm / rounds);
  }
  for (const member of team) await member.end();
  const { heap } = together;
  const problems = heap ? heap.check() : [];
  if (problems.length) throw new Error(`the heap is inconsistent: ${problems.join("; ")}`);
  return { ...samples, tried: [tried] };
}

/** For each round, what two get done together, as a multiple of what one does alone. */
const scalings = (alone, both) => alone.map(([a, b], i) => a / both[i][0] + b / both[i][1]);

/** The goal is a lower limit. */
const judge = (ci, goal) => (ci[0] >= goal ? "met" : ci[1] < goal ? "missed" : "cannot tell");

export function rowsOf(name, of, random) {
  const [kind, load] = name.split(": ");
  const what = { name: `${kind}: ${loads[load]}`, rounds: of.both.length, goal: GOAL, samples: of };
  if (of.both.length < ENOUGH) return [{ ...what, verdict: "cannot tell" }];
  const ours = scalings(of.alone, of.both);
  const own = scalings(of.ownAlone, of.ownBoth);
  const ci = confidence(ours, random);
  return [
    {
      ...what,
      alone: median(of.alone.flat()),
      both: median(of.both.flat()),
      scaling: median(ours),
      ci,
      own: median(own),
      ownCi: confidence(own, random),
      noise: noiseOf(of.alone.flat(), of.again.flat(), random),
      verdict: judge(ci, GOAL),
    },
  ];
}

export const columns = ({ ns, ratio, interval, percent }) => [
  ["", (row) => row.name],
  ["alone ns", (row) => ns(row.alone)],
  ["both ns", (row) => ns(row.both)],
  ["x one", (row) => ratio(row.scaling)],
  ["95 % of it", (row) => interval(row.ci)],
  ["own heaps", (row) => ratio(row.own)],
  ["95 % of it", (row) => interval(row.ownCi)],
  ["rounds", (row) => `${row.rounds} of ${row.samples.tried.reduce((sum, n) => sum + n)}`],
  ["noise", (row) => percent(row.noise)],
  ["goal", (row) => `>= ${row.goal}`],
  ["", (row) => row.verdict],
];
