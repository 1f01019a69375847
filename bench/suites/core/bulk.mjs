/** allocBulk and freeBulk from TypeScript, against a call for each element of the same pool. */
import { createHeap, createSharedHeap } from "../../../dist/index.js";
import { interleave } from "../../harness/measure.mjs";
import { goalOf, median, noiseOf, rowOf } from "../../harness/statistics.mjs";

const OPS = 100_000;
const SINGLE = "a call for each element";

const scenarios = {
  "32 elements": { count: 32, goal: 0.35 },
  "1,000 elements": { count: 1000, goal: 0.35 },
  "10,000 elements": { count: 10_000 },
  "32 elements of a shared heap": { count: 32, open: createSharedHeap },
  "1,000 elements of a shared heap": { count: 1000, open: createSharedHeap },
  "a prefill of 32": { count: 32, goal: 0.35, prefill: true },
};

export const tables = { bulk: Object.keys(scenarios) };
export const execArgv = ["--no-liftoff"];
export const processes = 3;

// The texts differ: an engine shares what it learns between functions of one text.
const single = `for (let i = 0; i < out.length; i++) out[i] = pool.alloc();
                for (let i = 0; i < out.length; i++) pool.free(out[i]);`;
const bulk = "pool.allocBulk(out); pool.freeBulk(out);";
const loop = (text, mark) => new Function("pool", "out", "n", `/* ${mark} */ for (let k = 0; k < n; k++) { ${text} }`);

export async function run({ workload: name, quick, random, progress }) {
  const { count, open = createHeap, prefill } = scenarios[name];
  const pool = open().create({ size: 64, minNr: 4 });
  const out = new Uint32Array(count);
  const n = Math.ceil(OPS / count);
  const text = prefill ? `const prefill = pool.prefill(${count}); prefill.exit();` : bulk;
  const subjects = [loop(text, 1), loop(text, 2), loop(single, 3)].map((work) => ({
    run: () => work(pool, out, n),
    ops: n * count,
  }));
  const [ours, same, calls] = await interleave(subjects, { rounds: quick ? 7 : 31, random, progress });
  return { ours, same, calls };
}

export function tableOf(name, samples, random) {
  const noises = Object.values(samples).map(({ ours, same }) => noiseOf(ours, same, random));
  const rows = Object.entries(samples).map(([side, { ours, calls }], i) =>
    rowOf(side, ours, {
      of: { side: SINGLE, samples: calls },
      noise: noises[i],
      random,
      extra: { "ns, single": median(calls), against: { calls } },
    }),
  );
  return {
    name,
    title: "In bulk, from TypeScript",
    workload: `allocates elements of 64 bytes, then frees them, all or none; a pair's time, against ${SINGLE}`,
    unit: "ns/op",
    lower: true,
    noise: Math.max(...noises),
    rows,
    goals: rows
      .filter(({ side }) => scenarios[side].goal)
      .map(({ side, ratio }) => goalOf(side, ratio, scenarios[side].goal)),
  };
}
