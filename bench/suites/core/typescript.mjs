/** From TypeScript: pool.alloc() and pool.free(), against two empty calls into wasm and the pair inside wasm. */
import { createHeap } from "../../../dist/index.js";
import { instantiate } from "../../guests/modules.mjs";
import { interleave } from "../../harness/measure.mjs";
import { goalOf, median, noiseOf, rowOf } from "../../harness/statistics.mjs";

const OPS = 100_000;
const options = { size: 64, minNr: 4 };

const scenarios = {
  /** The budget. */
  "one pool": { goal: 1.5, pools: () => [createHeap().create(options)] },
  "16 pools in turn": {
    pools: () => {
      const heap = createHeap();
      return Array.from({ length: 16 }, () => heap.create(options));
    },
  },
  // An engine learns about a call site from all pools that pass it.
  "one pool, while another zeroes": {
    pools: () => {
      const heap = createHeap();
      return [heap.create(options), heap.create({ ...options, zero: true })];
    },
    use: 1,
  },
  "one pool, while 4 other heaps are in use": {
    pools: () => Array.from({ length: 5 }, () => createHeap().create(options)),
    use: 1,
  },
  "one pool, above 2 GiB": { pools: () => [heapAbove2GiB().create(options)] },
};

/** A heap whose addresses are beyond what an i32 holds. Its memory below is never touched. */
export function heapAbove2GiB() {
  const memory = new WebAssembly.Memory({ initial: 2 ** 15 + 64 });
  return createHeap({ memory, region: { base: 2 ** 31, bytes: 64 * 65536 } });
}

export const tables = { typescript: Object.keys(scenarios) };
export const execArgv = ["--no-liftoff"];
export const guests = ["shipped"];
export const processes = 3;

// The texts differ: an engine shares what it learns between functions of one text.
const pairs = (n) =>
  new Function(
    "pools",
    "n",
    `/* ${n} */ const pool = pools[0]; let sum = 0;
     for (let i = 0; i < n; i++) { const element = pool.alloc(); sum ^= element; pool.free(element); }
     return sum;`,
  );
const inTurn = (n) =>
  new Function(
    "pools",
    "n",
    `/* ${n} */ let sum = 0;
     for (let i = 0, k = 0; i < n; i++) {
       const pool = pools[k];
       if (++k === pools.length) k = 0;
       const element = pool.alloc(); sum ^= element; pool.free(element);
     }
     return sum;`,
  );

export async function run({ workload: name, quick, random, progress }) {
  const { pools: open, use } = scenarios[name];
  let pools;
  try {
    pools = open();
  } catch (error) {
    return { why: error.message };
  }
  for (let i = 0; i < 20_000; i++) for (const pool of pools) pool.free(pool.alloc());
  const used = pools.slice(0, use);
  const make = used.length > 1 ? inTurn : pairs;
  const [one, two] = [make(1), make(2)];
  const core = instantiate("shipped");
  const handle = core.mempool_create(64, 16, 4, -1);
  const { empty1, empty2 } = core;
  // The results are used: an engine may leave out a loop without any.
  let sink = 0;
  const empty = (n) => {
    for (let i = 0; i < n; i++) {
      const a = empty1(handle) >>> 0;
      sink ^= a ^ empty2(handle, a);
    }
  };
  const works = [
    () => (sink ^= one(used, OPS)),
    () => (sink ^= two(used, OPS)),
    () => empty(OPS),
    () => core.pair(handle, OPS),
  ];
  const [ours, same, calls, inside] = await interleave(
    works.map((work) => ({ run: work, ops: OPS })),
    { rounds: quick ? 11 : 31, random, progress },
  );
  return sink === undefined ? {} : { ours, same, calls, inside };
}

export function tableOf(name, samples, random) {
  const of = "two empty calls and the pair inside wasm";
  const ran = Object.entries(samples).filter(([, { why }]) => !why);
  const noises = ran.map(([, { ours, same }]) => noiseOf(ours, same, random));
  const rows = ran.map(([side, { ours, calls, inside }], i) =>
    rowOf(side, ours, {
      of: { side: of, samples: calls.map((sample, k) => sample + inside[k]) },
      noise: noises[i],
      random,
      extra: { calls: median(calls), inside: median(inside), against: { calls, inside } },
    }),
  );
  return {
    name,
    title: "From TypeScript",
    workload: `pool.alloc() and pool.free() of 64 bytes, against ${of}`,
    unit: "ns/op",
    lower: true,
    noise: Math.max(...noises),
    rows,
    notRun: Object.entries(samples).flatMap(([side, { why }]) => (why ? [{ side, why }] : [])),
    goals: rows
      .filter(({ side }) => scenarios[side].goal)
      .map(({ side, ratio }) => goalOf(side, ratio, scenarios[side].goal)),
  };
}
