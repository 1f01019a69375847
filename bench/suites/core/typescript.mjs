/** From TypeScript: pool.alloc() and pool.free(), against two calls into wasm that load a word each, and the pair inside wasm. */
import { createHeap, createSharedHeap } from "../../../dist/index.js";
import { instantiate } from "../../guests/modules.mjs";
import { interleave } from "../../harness/measure.mjs";
import { goalOf, median, noiseOf, rowOf } from "../../harness/statistics.mjs";

const OPS = 100_000;
const LIST = "a bare list in wasm, called";
const options = { size: 64, minNr: 4 };

const scenarios = {
  /** The budget. */
  "one pool": { goal: 1.3, pools: () => [createHeap().create(options)] },
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
  "one pool that zeroes": { pools: () => [createHeap().create({ ...options, zero: true })] },
  "one pool of a shared heap": { pools: () => [createSharedHeap().create(options)] },
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
export const guests = ["shipped", "list"];
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
const called = (n) =>
  new Function(
    "alloc",
    "free",
    "handle",
    "n",
    `/* ${n} */ let sum = 0;
     for (let i = 0; i < n; i++) { const element = alloc(handle) >>> 0; sum ^= element ^ free(handle, element); }
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
  const [one, two, three, four] = [make(1), make(2), called(3), called(4)];
  const core = instantiate("shipped");
  const handle = core.mempool_create(64, 16, 4, -1);
  const list = instantiate("list");
  const head = list.listNew();
  // The results are used: an engine may leave out a loop without any.
  let sink = 0;
  const works = [
    () => (sink ^= one(used, OPS)),
    () => (sink ^= two(used, OPS)),
    () => (sink ^= three(core.load1, core.load2, handle, OPS)),
    () => core.pair(handle, OPS),
    () => (sink ^= four(list.listAllocCalled, list.listFreeCalled, head, OPS)),
  ];
  const [ours, same, calls, inside, bare] = await interleave(
    works.map((work) => ({ run: work, ops: OPS })),
    { rounds: quick ? 11 : 31, random, progress },
  );
  return sink === undefined ? {} : { ours, same, calls, inside, bare };
}

export function tableOf(name, samples, random) {
  const of = "two calls that load a word and the pair inside wasm";
  const ran = Object.entries(samples).filter(([, { why }]) => !why);
  const noises = ran.map(([, { ours, same }]) => noiseOf(ours, same, random));
  const against = (side, some, { calls, inside }, noise) =>
    rowOf(side, some, {
      of: { side: of, samples: calls.map((sample, k) => sample + inside[k]) },
      noise,
      random,
      extra: { calls: median(calls), inside: median(inside), against: { calls, inside } },
    });
  const rows = ran.map(([side, its], i) => against(side, its.ours, its, noises[i]));
  const goals = rows
    .filter(({ side }) => scenarios[side].goal)
    .map(({ side, ratio }) => goalOf(side, ratio, scenarios[side].goal));
  if (ran.length > 0) rows.push(against(LIST, ran[0][1].bare, ran[0][1], noises[0]));
  return {
    name,
    title: "From TypeScript",
    workload: `pool.alloc() and pool.free() of 64 bytes, against ${of}`,
    unit: "ns/op",
    lower: true,
    noise: Math.max(...noises),
    rows,
    notRun: Object.entries(samples).flatMap(([side, { why }]) => (why ? [{ side, why }] : [])),
    goals,
  };
}
