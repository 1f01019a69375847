/** From TypeScript: pool.alloc() and pool.free(), against two empty calls into wasm and the pair inside wasm. */
import { instantiate } from "../compile.mjs";
import { compare, interleave, median, noiseOf, verdict } from "../measure.mjs";
import { createHeap } from "../../../dist/index.js";

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
  // What an engine learns about a call site it learns from everybody who uses it.
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

export const names = Object.keys(scenarios);

// Functions made from texts that differ: else the engine would share between loops what it learnt about one of them.
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

/** As in wasm.mjs. */
export const processes = 3;

export async function run({ name, quick, random, progress }) {
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
  // What the loops compute is used, or an engine might leave it out.
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

/** The row of one scenario, from the samples of all its processes. */
export function rowsOf(name, samples, random) {
  const { ours, same, calls, inside, why } = samples;
  if (why) return [{ name, verdict: "n/a", why }];
  const { goal } = scenarios[name];
  const base = calls.map((sample, i) => sample + inside[i]);
  const result = compare(ours, base, random);
  const noise = noiseOf(ours, same, random);
  return [
    {
      name,
      ours: median(ours),
      theirs: median(base),
      ...result,
      noise,
      goal,
      verdict: verdict(result, noise, goal),
      calls: median(calls),
      inside: median(inside),
      samples,
    },
  ];
}
