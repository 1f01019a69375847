/** The hit path: the core with threads against the plain core, both with one thread. */
import { filled, instantiate, wordsIn } from "../../core/compile.mjs";
import { compare, interleave, median, noiseOf, verdict } from "../../core/measure.mjs";
import { createShared, moduleOf } from "../compile.mjs";
import { hire } from "../team.mjs";

const SIZE = 64;

/** `loop` of bench/core; `prepare` makes what it works on beside pool and count of operations. */
const workloads = {
  pair: { goal: 1.3, ops: 100_000, prepare: () => [] },
  "1000 up, then down": { loop: "wave", per: 1000, ops: 100_000, prepare: (room) => [room.words(1000), 1000] },
  "churn, 64k live": { loop: "churn", ops: 200_000, prepare: (room) => [room.filled(65536), 65536, 1] },
  "pair, from TypeScript": { ops: 500_000 },
};

export const title =
  "Hit path: 64-byte elements, one thread; the core with threads against the plain core, ns per alloc + free";
export const names = Object.keys(workloads);
/** An engine compiles, and a system places memory, differently from process to process: so there are several. */
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
  const { core, shared } = createShared(moduleOf(module));
  const pool = core.mempool_create(SIZE, 16, minNr, -1);
  const words = () => shared.slots[0];
  const fill = (count) => {
    if (core.fill(pool, words(), count) !== count) throw new Error(`no memory for ${count} elements`);
    return words();
  };
  return { core, pool, words, filled: fill };
}

/** Each heap in a thread of its own: what an engine learns of one it would use for all. */
async function typescript(ops, rounds, random, progress) {
  const minNr = 4 + Math.floor(random() * 64);
  const subjects = [];
  for (const key of ["plain", "shared", "same"]) {
    const member = hire("hit.mjs");
    await member.call("prepare", [{ shared: key !== "plain", size: SIZE, minNr }]);
    subjects.push({ key, member, samples: [] });
  }
  for (let round = 0; round < rounds; round++) {
    const order = subjects.map((subject) => [random(), subject]).toSorted(([a], [b]) => a - b);
    for (const [, { member, samples }] of order) samples.push(await member.call("sample", [ops]));
    progress(round / rounds);
  }
  for (const { member } of subjects) await member.end();
  return Object.fromEntries(subjects.map(({ key, samples }) => [key, samples]));
}

function wasm(name, ops, random) {
  const { loop = name, per = 1, prepare } = workloads[name];
  // Which element comes first decides which addresses are alike in their low bits: a reserve of another size, another.
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
export async function run({ name, quick, random, progress }) {
  const { ops, prepare } = workloads[name];
  const rounds = quick ? 7 : 15;
  if (!prepare) return typescript(ops, rounds, random, progress);
  const subjects = wasm(name, ops, random);
  const samples = await interleave(subjects, { rounds, random, progress });
  return Object.fromEntries(subjects.map(({ key }, i) => [key, samples[i]]));
}

/** The rows of one workload, from the samples of all its processes. */
export function rowsOf(name, of, random) {
  const row = (label, ours, plain, goal, noise) => {
    const result = compare(ours, plain, random);
    return {
      name: `${name}${label}`,
      ours: median(ours),
      plain: median(plain),
      ...result,
      noise,
      goal,
      verdict: verdict(result, noise, goal),
      samples: { ours, plain },
    };
  };
  if (!workloads[name].prepare) {
    const noise = noiseOf(of.shared, of.same, random);
    return [
      row("", of.shared, of.plain, undefined, noise),
      row(": ours against ours", of.same, of.shared, undefined, noise),
    ];
  }
  const { goal } = workloads[name];
  const noise = noiseOf(of["shared -O3, inlined"], of.same, random);
  return [
    ...Object.keys(variants).map((key) => row(`: ${key}`, of[`shared ${key}`], of[`plain ${key}`], goal, noise)),
    row(": ours against ours", of.same, of["shared -O3, inlined"], undefined, noise),
  ];
}

export const columns = ({ ns, ratio, interval, percent }) => [
  ["", (row) => row.name],
  ["shared ns", (row) => ns(row.ours)],
  ["plain ns", (row) => ns(row.plain)],
  ["ratio", (row) => ratio(row.ratio)],
  ["95 % of it", (row) => interval(row.ci)],
  ["noise", (row) => percent(row.noise)],
  ["goal", (row) => (row.goal === undefined ? "" : `<= ${row.goal}`)],
  ["", (row) => row.verdict],
];
