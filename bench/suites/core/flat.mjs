/** The cost of an operation against how much is live, and how many pools there are; next to it, without an allocator. */
import { filled, instantiate, wordsIn } from "../../guests/modules.mjs";
import { interleave } from "../../harness/measure.mjs";
import { median, rowOf } from "../../harness/statistics.mjs";

const SIZE = 16;
const LIVE = [1e3, 1e5, 1e6, 1e7];
const POOLS = [1, 100, 10_000];
const BATCH = 1000;

const patterns = {
  "random, one at a time": {
    ours: (core, pool, n, slots, count, random) => core.churn(pool, n, slots, count, random),
    none: (core, n, slots, count, random) => core.churnNone(n, slots, count, random),
    beside: (core, n, slots, count, random, bytes) => core.churnBeside(n, slots, count, random, bytes),
  },
  "random, 1000 at a time": {
    ours: (core, pool, n, slots, count, random) => core.shuffle(pool, n / BATCH, slots, count, random, BATCH),
    none: (core, n, slots, count, random) => core.shuffleNone(n / BATCH, slots, count, random, BATCH),
  },
  "in order, one at a time": {
    ours: (core, pool, n, slots, count, at) => core.walk(pool, n, slots, count, at),
    none: (core, n, slots, count, at) => core.walkNone(n, slots, count, at),
  },
  "last in, first out, 1000 at a time": {
    ours: (core, pool, n, slots, count, random) => (core.stack(pool, n / BATCH, slots, count, BATCH), random),
    none: (core, n, slots, count, random) => (core.stackNone(n / BATCH, slots, count, BATCH), random),
  },
};

export const tables = { flat: ["live elements", "pools"] };
export const execArgv = ["--no-liftoff"];
export const guests = ["shipped"];

export async function run({ workload, quick, random, progress }) {
  const rounds = quick ? 5 : 21;
  if (workload === "pools") return pools(rounds, random, progress);
  const live = LIVE.map((count) => {
    const core = instantiate("shipped");
    const pool = core.mempool_create(SIZE, SIZE, 4, -1);
    return { count, core, pool, slots: filled(core, pool, count), bytes: wordsIn(core, count / 4) };
  });
  const results = [];
  const ops = quick ? 50_000 : 200_000;
  let done = 0;
  for (const [pattern, { ours, none, beside }] of Object.entries(patterns)) {
    const subjects = live.flatMap(({ core, pool, slots, count, bytes }) => {
      let a = 0;
      let b = 0;
      let c = 0;
      return [
        { ops, run: () => (a = ours(core, pool, ops, slots, count, a)) },
        { ops, run: () => (b = none(core, ops, slots, count, b)) },
        { ops, run: () => beside && (c = beside(core, ops, slots, count, c, bytes)) },
      ];
    });
    const all = await interleave(subjects, { rounds, random, progress: (part) => progress?.((done + part) / 4) });
    done++;
    results.push(...resultsOf(pattern, LIVE, all, beside !== undefined));
  }
  return results;
}

async function pools(rounds, random, progress) {
  const live = POOLS.map((count) => {
    const core = instantiate("shipped");
    const handles = wordsIn(core, count);
    const slots = wordsIn(core, count);
    for (let i = 0; i < count; i++) {
      const pool = core.mempool_create(SIZE, SIZE, 4, -1);
      if (!pool || core.fill(pool, slots + 4 * i, 1) !== 1) throw new Error(`no memory for ${count} pools`);
      new DataView(core.memory.buffer).setUint32(handles + 4 * i, pool, true);
    }
    return { count, core, handles, slots };
  });
  const ops = 100_000;
  const subjects = live.flatMap(({ core, handles, slots, count }) => [
    { ops, run: () => core.roundRobin(handles, ops, slots, count) },
    { ops, run: () => core.walkNone(ops, slots, count, 0) },
    { ops, run: () => {} },
  ]);
  const all = await interleave(subjects, { rounds, random, progress });
  return resultsOf("a pool after the other", POOLS, all, false);
}

/** `all` has samples of ours, none and beside, for each count. */
const resultsOf = (pattern, counts, all, hasBeside) =>
  counts.map((count, i) => {
    const [ours, none, beside] = all.slice(3 * i, 3 * i + 3);
    return { side: `${pattern}: ${count.toLocaleString("en-US")}`, ours, none, ...(hasBeside && { beside }) };
  });

export const tableOf = (name, samples) => ({
  name,
  title: "Flat cost",
  workload:
    "one element of so many live ones is freed and another allocated, in several orders, against the bare memory accesses",
  unit: "ns/op",
  lower: true,
  noise: 0,
  rows: Object.values(samples)
    .flat()
    .map(({ side, ours, none, beside }) =>
      rowOf(side, ours, {
        extra: {
          "without an allocator": median(none),
          ...(beside && { "and a byte beside it": median(beside) }),
          against: { none, beside },
        },
      }),
    ),
});
