/** Two threads, each with its own load, on one pool: the throughput of both against that of one alone. */
import { createSharedHeap } from "../../../dist/index.js";
import "../../../dist/inspect.js";
import { createShared } from "../../guests/modules.mjs";
import { confidence, goalOf, median, noiseOf, shuffled } from "../../harness/statistics.mjs";
import { calmest, hire, meetingPlace } from "./team.mjs";

const GOAL = 1.8;
const SIZE = 64;
const loads = { pair: "pair", wave: "1000 up, then down", churn: "churn, 64k live each" };
const kinds = ["wasm", "TypeScript"];

export const tables = {
  scaling: kinds.flatMap((kind) => Object.keys(loads).map((load) => `${kind}: ${load}`)),
};
export const execArgv = ["--no-liftoff"];
export const guests = ["threads.fast"];
export const processes = 3;

/** Milliseconds so short that two threads often run undisturbed, and the number of tries. */
const MS = 1.5;
const TRIES = 12;
/** Fewer undisturbed rounds say nothing. */
const ENOUGH = 9;

/** A pool of that kind, as the workers take it. */
function open(kind) {
  if (kind === "TypeScript") {
    const heap = createSharedHeap({ initial: 2 ** 26, maximum: 2 ** 26 });
    return { heap, pool: heap.create({ size: SIZE, minNr: 4 }).share() };
  }
  const { core, shared } = createShared("fast");
  const handle = core.mempool_create(SIZE, 16, 4, -1);
  return { core, pool: { ...shared, pool: core.mempool_share(handle) } };
}

export async function run({ workload: name, quick, random, progress }) {
  const [kind, load] = name.split(": ");
  const together = open(kind);
  const apart = [open(kind), open(kind)];
  const team = [hire("scaling.mjs"), hire("scaling.mjs")];
  // Always in this order: the first thread finds more free memory than the second.
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
    const round = {};
    for (const key of shuffled(Object.keys(subjects), random)) {
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

/** The throughput of both, as a multiple of that of one, for each round. */
const scalings = (alone, both) => alone.map(([a, b], i) => a / both[i][0] + b / both[i][1]);

function rowOf(workload, of, random) {
  const [kind, load] = workload.split(": ");
  const side = `${kind}: ${loads[load]}`;
  const tried = of.tried.reduce((sum, n) => sum + n);
  const rounds = { "calm rounds": of.both.length, "of rounds": tried };
  if (of.both.length < ENOUGH) return { side, samples: [], stats: {}, noise: 0, extra: rounds };
  const ours = scalings(of.alone, of.both);
  return {
    side,
    samples: ours,
    stats: { median: median(ours) },
    noise: noiseOf(of.alone.flat(), of.again.flat(), random),
    extra: {
      "ns alone": median(of.alone.flat()),
      "ns both": median(of.both.flat()),
      "x, a pool each": median(scalings(of.ownAlone, of.ownBoth)),
      interval: confidence(ours, random),
      ...rounds,
      against: of,
    },
  };
}

export function tableOf(name, samples, random) {
  const rows = Object.entries(samples).map(([workload, of]) => rowOf(workload, of, random));
  return {
    name,
    title: "Two threads on one pool",
    workload: "how much more two threads get done together, each on a core, than one of them alone",
    unit: "x",
    lower: false,
    noise: Math.max(...rows.map(({ noise }) => noise)),
    rows,
    goals: rows.map(({ side, stats, extra }) =>
      stats.median === undefined
        ? { text: `${side}: at least`, goal: GOAL, verdict: "cannot tell" }
        : goalOf(`${side}: at least`, { ratio: stats.median, ci: extra.interval }, GOAL, { atLeast: true }),
    ),
  };
}
