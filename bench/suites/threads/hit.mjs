/** The hit path: the core with threads against the plain core, both with one thread. */
import { createShared, filled, instantiate, wordsIn } from "../../guests/modules.mjs";
import { interleave } from "../../harness/measure.mjs";
import { goalOf, median, noiseOf, rowOf, shuffled } from "../../harness/statistics.mjs";
import { hire } from "./team.mjs";

const SIZE = 64;

/** `loop`: a loop of the guest; `prepare` makes its arguments beside pool and count of operations. */
const workloads = {
  pair: { goal: 1.3, ops: 100_000, prepare: () => [] },
  "1000 up, then down": { loop: "wave", per: 1000, ops: 100_000, prepare: (room) => [room.words(1000), 1000] },
  "churn, 64k live": { loop: "churn", ops: 200_000, prepare: (room) => [room.filled(65536), 65536, 1] },
  "pair, from TypeScript": { ops: 500_000 },
};

export const tables = { hit: Object.keys(workloads) };
export const execArgv = ["--no-liftoff"];
export const guests = ["fast", "shipped", "threads.fast", "threads.shipped"];
/** Several, because the engine's code and the place of its memory differ from process to process. */
export const processes = 5;

const variants = {
  "-O3, inlined": ["fast", ""],
  "shipped flags, inlined": ["shipped", ""],
  "-O3, called": ["fast", "Called"],
  "shipped flags, called": ["shipped", "Called"],
};

/** A plain core, and how to get room in it. */
function openPlain(module, minNr) {
  const core = instantiate(module);
  const pool = core.mempool_create(SIZE, 16, minNr, -1);
  return { core, pool, words: (count) => wordsIn(core, count), filled: (count) => filled(core, pool, count) };
}

function openShared(module, minNr) {
  const { core, shared } = createShared(module);
  const pool = core.mempool_create(SIZE, 16, minNr, -1);
  const [slots] = shared.slots;
  return { core, pool, words: () => slots, filled: (count) => filled(core, pool, count, slots) };
}

/** Each heap in a thread of its own: an engine applies to all heaps of a thread what it learns of one. */
async function typescript(ops, rounds, random, progress) {
  const minNr = 4 + Math.floor(random() * 64);
  const subjects = [];
  for (const key of ["plain", "shared", "same"]) {
    const member = hire("hit.mjs");
    await member.call("prepare", [{ shared: key !== "plain", size: SIZE, minNr }]);
    subjects.push({ key, member, samples: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { member, samples } of shuffled(subjects, random)) samples.push(await member.call("sample", [ops]));
    progress(round / rounds);
  }
  for (const { member } of subjects) await member.end();
  return Object.fromEntries(subjects.map(({ key, samples }) => [key, samples]));
}

function wasm(name, ops, random) {
  const { loop = name, per = 1, prepare } = workloads[name];
  // As in core/wasm.mjs.
  const minNr = Math.floor(random() * 64);
  const opened = {};
  const work = (key, module, variant, open) => {
    const room = (opened[key] ??= open(module, minNr));
    const args = (room.args ??= prepare(room));
    return { run: () => room.core[`${loop}${variant}`](room.pool, ops / per, ...args), ops };
  };
  return Object.entries(variants)
    .flatMap(([key, [module, variant]]) => [
      { key: `plain ${key}`, ...work(`plain ${module}`, module, variant, openPlain) },
      { key: `shared ${key}`, ...work(`shared ${module}`, module, variant, openShared) },
    ])
    .concat({ key: "same", ...work("same", "fast", "", openShared) });
}

/** One workload: the samples of each subject. */
export async function run({ workload: name, quick, random, progress }) {
  const { ops, prepare } = workloads[name];
  const rounds = quick ? 7 : 15;
  if (!prepare) return typescript(ops, rounds, random, progress);
  const subjects = wasm(name, ops, random);
  const samples = await interleave(subjects, { rounds, random, progress });
  return Object.fromEntries(subjects.map(({ key }, i) => [key, samples[i]]));
}

function goalsOf({ side, ratio }) {
  const { goal } = workloads[side.split(": ")[0]];
  return goal && ratio.of === "the plain build" ? [goalOf(`${side}, against the plain build`, ratio, goal)] : [];
}

export function tableOf(name, samples, random) {
  const noises = [];
  const rowsOf = ([workload, of]) => {
    const pairs = workloads[workload].prepare
      ? Object.keys(variants).map((key) => [`: ${key}`, of[`shared ${key}`], of[`plain ${key}`]])
      : [["", of.shared, of.plain]];
    const [[, ours]] = pairs;
    const noise = noiseOf(ours, of.same, random);
    noises.push(noise);
    const row = (label, its, other, build) =>
      rowOf(`${workload}${label}`, its, {
        of: { side: build, samples: other },
        noise,
        random,
        extra: { "what it is against": median(other), against: other },
      });
    return [
      ...pairs.map(([label, shared, plain]) => row(label, shared, plain, "the plain build")),
      row(": ours against ours", of.same, ours, "the shared build"),
    ];
  };
  const rows = Object.entries(samples).flatMap(rowsOf);
  return {
    name,
    title: "One thread, with threads compiled in",
    workload: "the workloads of the core's benchmark, elements of 64 bytes, of the shared build against the plain one",
    unit: "ns/op",
    lower: true,
    noise: Math.max(...noises),
    rows,
    goals: rows.flatMap(goalsOf),
  };
}
