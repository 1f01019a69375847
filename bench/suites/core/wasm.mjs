/** Inside wasm: a guest compiled together with the core, against the same guest with AssemblyScript's allocator. */
import { bareCalls, filled, instantiate, wordsIn } from "../../guests/modules.mjs";
import { interleave } from "../../harness/measure.mjs";
import { compare, goalOf, noiseOf, rowOf } from "../../harness/statistics.mjs";

const SIZE = 64;
const TLSF = "AssemblyScript TLSF";
const LIST = "a bare list, inlined: the floor";
const BARE = "two calls that load a word";

/** `prepare` makes the objects of a loop, and returns the loop. */
const workloads = {
  pair: {
    goal: 0.16,
    called: 1.1,
    ops: 100_000,
    prepare: (core, pool) => (loop, n) => core[loop](pool, n),
  },
  "1000 up, then down": {
    loop: "wave",
    goal: 0.18,
    ops: 100_000,
    prepare: waveOf(1000),
  },
  "10,000 up, then down": { loop: "wave", ops: 100_000, prepare: waveOf(10_000) },
  "churn, 64k live": { loop: "churn", goal: 0.2, ops: 400_000, prepare: churnOf(65536) },
  "churn, 1M live": { loop: "churn", goal: 0.4, ops: 200_000, prepare: churnOf(1_000_000) },
  "churn by 1000, 64k live": {
    loop: "shuffle",
    only: "inlined",
    ops: 400_000,
    prepare: (core, pool) => {
      const slots = filled(core, pool, 65536);
      let random = 1;
      return (loop, n) => (random = core[loop](pool, n / 1000, slots, 65536, random, 1000));
    },
  },
};

function waveOf(count) {
  return (core, pool) => {
    const slots = wordsIn(core, count);
    return (loop, n) => core[loop](pool, Math.ceil(n / count), slots, count);
  };
}

function churnOf(count) {
  return (core, pool) => {
    const slots = filled(core, pool, count);
    let random = 1;
    return (loop, n) => (random = core[loop](pool, n, slots, count, random));
  };
}

const slug = (text) => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
export const tables = Object.fromEntries(Object.keys(workloads).map((name) => [`wasm-${slug(name)}`, [name]]));
export const execArgv = ["--no-liftoff"];
export const guests = ["fast", "shipped", "tlsf", "list"];
/** Several, because the engine's code and the place of its memory differ from process to process. */
export const processes = 5;

const subjects = {
  [TLSF]: ["tlsf"],
  "-O3, inlined": ["fast"],
  "ours against ours": ["fast"],
  "shipped flags, inlined": ["shipped"],
  "-O3, called": ["fast", "Called"],
  "shipped flags, called": ["shipped", "Called"],
  [LIST]: ["list"],
};

/** One workload: the samples of each subject. */
export async function run({ workload: name, quick, random, progress }) {
  const { loop = name, only, prepare, ops: most } = workloads[name];
  // A whole number of waves.
  const ops = quick ? Math.max(most / 4, 50_000) : most;
  // The first element's address decides which addresses are alike in their low bits, which a processor may take for the
  // same: up to a fifth of the time of a pair. Another size of the reserve makes another element the first.
  const minNr = Math.floor(random() * 64);
  const open = (module) => {
    const core = instantiate(module);
    return prepare(core, core.mempool_create?.(SIZE, 16, minNr, -1) ?? core.listNew?.() ?? 0);
  };
  const opened = { tlsf: open("tlsf"), shipped: open("shipped"), fast: open("fast"), list: open("list") };
  const same = open("fast");
  const used = Object.entries(subjects).filter(([, [, called]]) => !called || !only);
  const works = used.map(([key, [module, called = ""]]) => {
    const work = key === "ours against ours" ? same : opened[module];
    return [key, () => work(`${loop}${called}`, ops)];
  });
  if (workloads[name].called) works.push([BARE, () => bareCalls(ops)]);
  const samples = await interleave(
    works.map(([, work]) => ({ run: work, ops })),
    { rounds: quick ? 9 : 15, random, progress },
  );
  return Object.fromEntries(works.map(([key], i) => [key, samples[i]]));
}

/** The core called as functions, against the same inlined and two calls that load a word. */
function calledGoal(of, goal, random) {
  const base = of["shipped flags, inlined"].map((sample, i) => sample + of[BARE][i]);
  return goalOf(`called, against inlined and ${BARE}`, compare(of["shipped flags, called"], base, random), goal);
}

export function tableOf(name, samples, random) {
  const [[workload, of]] = Object.entries(samples);
  const { goal, called } = workloads[workload];
  const noise = noiseOf(of["-O3, inlined"], of["ours against ours"], random);
  const rows = Object.keys(of).map((side) => {
    const other = side === "ours against ours" ? "-O3, inlined" : TLSF;
    return rowOf(side, of[side], side === TLSF ? {} : { of: { side: other, samples: of[other] }, noise, random });
  });
  const inlined = goal === undefined ? [] : rows.filter(({ side }) => side.endsWith("inlined"));
  return {
    name,
    title: `Inside wasm: ${workload}`,
    workload: "elements of 64 bytes, each written once after it is allocated; against AssemblyScript's own allocator",
    unit: "ns/op",
    lower: true,
    noise,
    rows,
    goals: [
      ...inlined.map(({ side, ratio }) => goalOf(`${side}, against ${TLSF}`, ratio, goal)),
      ...(called ? [calledGoal(of, called, random)] : []),
    ],
  };
}
