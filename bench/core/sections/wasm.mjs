/** Inside wasm: a guest compiled together with the core, against the same guest with AssemblyScript's allocator. */
import { filled, instantiate, wordsIn } from "../compile.mjs";
import { compare, interleave, median, noiseOf, verdict } from "../measure.mjs";

const SIZE = 64;

/** `prepare` makes whatever a loop works on, and gives the loop. */
const workloads = {
  pair: {
    goal: 0.16,
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

export const names = Object.keys(workloads);

/** An engine compiles, and a system places memory, differently from process to process: so there are several. */
export const processes = 5;

const subjects = {
  theirs: ["theirs"],
  "-O3, inlined": ["fast"],
  same: ["fast"],
  "shipped flags, inlined": ["shipped"],
  "-O3, called": ["fast", "Called"],
  "shipped flags, called": ["shipped", "Called"],
};

/** One workload: the samples of each subject. */
export async function run({ name, quick, random, progress }) {
  const { loop = name, only, prepare, ops: most } = workloads[name];
  // A whole number of waves.
  const ops = quick ? Math.max(most / 4, 50_000) : most;
  // Which element comes first decides which addresses of different things are alike in their low bits, and so what a
  // processor takes for the same: up to a fifth of the time of a pair. A reserve of another size has another come first.
  const minNr = Math.floor(random() * 64);
  const open = (module) => {
    const core = instantiate(module);
    return prepare(core, core.mempool_create?.(SIZE, 16, minNr, -1) ?? 0);
  };
  const opened = { theirs: open("theirs"), shipped: open("shipped"), fast: open("fast") };
  const same = open("fast");
  const used = Object.entries(subjects).filter(([, [, called]]) => !called || !only);
  const samples = await interleave(
    used.map(([key, [module, called = ""]]) => {
      const work = key === "same" ? same : opened[module];
      return { run: () => work(`${loop}${called}`, ops), ops };
    }),
    { rounds: quick ? 9 : 15, random, progress },
  );
  return Object.fromEntries(used.map(([key], i) => [key, samples[i]]));
}

/** The rows of one workload, from the samples of all its processes. */
export function rowsOf(name, of, random) {
  const noise = noiseOf(of["-O3, inlined"], of.same, random);
  const row = (ours, theirs, label, goal) => {
    const result = compare(of[ours], of[theirs], random);
    return {
      name: `${name}: ${label}`,
      ours: median(of[ours]),
      theirs: median(of[theirs]),
      ...result,
      noise,
      goal,
      verdict: verdict(result, noise, goal),
      samples: { ours: of[ours], theirs: of[theirs] },
    };
  };
  const rows = Object.keys(of)
    .filter((key) => key !== "theirs" && key !== "same")
    .map((key) => row(key, "theirs", key, key.endsWith("inlined") ? workloads[name].goal : undefined));
  // Another instance of the same module.
  return [...rows, row("same", "-O3, inlined", "ours against ours")];
}
