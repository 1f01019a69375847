/** How long it takes from a free in one thread to the return of who waits for an element in another. */
import { compare, median, noiseOf, quantile, verdict } from "../../core/measure.mjs";
import { attach } from "../../../dist/index.js";
import { createShared, moduleOf } from "../compile.mjs";
import { hire } from "../team.mjs";

const SIZE = 64;
/** What each is compared with. */
const kinds = {
  "Atomics.wait": {},
  mempool_alloc_wait: { against: "Atomics.wait" },
  allocWait: { against: "Atomics.wait" },
  "allocWait, an idle third thread": { against: "Atomics.wait" },
  "Atomics.waitAsync": {},
  allocAsync: { against: "Atomics.waitAsync" },
  "allocAsync, an idle third thread": { against: "Atomics.waitAsync" },
};
const again = ["Atomics.wait", "Atomics.waitAsync"];

export const title = `From the free, or the notify, in one thread to the return of who waits in another, microseconds. Ratios are of medians
of a block of waits. An idle third thread has a handle too: it is woken whenever somebody waits`;
export const names = ["latency"];
export const processes = 5;

export async function run({ quick, random, progress }) {
  // Of exactly one element: whoever has it, nobody else has.
  const { core, shared } = createShared(moduleOf("shipped"));
  const handle = core.mempool_create(SIZE, 16, 1, 1);
  const what = {
    words: new SharedArrayBuffer(512),
    when: new SharedArrayBuffer(64),
    shared: { ...shared, pool: core.mempool_pool(handle) },
  };
  const team = [hire("latency.mjs"), hire("latency.mjs")];
  const [pool, watched] = await team[0].call("create", [SIZE]);
  // This thread joins one of their heaps: there it is called, whenever somebody waits, for what it has cached.
  attach(watched);
  for (const member of team) await member.call("prepare", [{ ...what, pool, watched }]);
  let from = 0;
  const block = async (kind, count) => {
    // Long enough for the other one to be asleep by then.
    const pauses = Array.from({ length: count }, () => 0.15 + 0.1 * random());
    const [, latencies] = await Promise.all([
      team[1].call("wait", [kind, from, count]),
      team[0].call("wake", [kind, from, pauses]),
    ]);
    from += count;
    return latencies;
  };
  const subjects = [
    ...Object.keys(kinds).map((kind) => ({ key: kind, kind })),
    ...again.map((kind) => ({ key: `again: ${kind}`, kind })),
  ];
  for (const { kind } of subjects) await block(kind, 100);
  const samples = Object.fromEntries(subjects.map(({ key }) => [key, []]));
  const rounds = quick ? 8 : 40;
  for (let round = 0; round < rounds; round++) {
    const order = subjects.map((subject) => [random(), subject]).toSorted(([a], [b]) => a - b);
    for (const [, { key, kind }] of order) samples[key].push(await block(kind, 25));
    progress(round / rounds);
  }
  for (const member of team) await member.end();
  return samples;
}

export function rowsOf(_name, of, random) {
  const medians = (key) => of[key].map(median);
  const row = (name, key, against, noise) => {
    const all = of[key].flat();
    const result = against ? compare(medians(key), medians(against), random) : {};
    return {
      name,
      p50: median(all),
      p90: quantile(all, 0.9),
      p99: quantile(all, 0.99),
      over: against && median(all) - median(of[against].flat()),
      ...result,
      noise,
      verdict: against ? verdict(result, noise) : "",
      samples: of[key],
    };
  };
  const noise = Object.fromEntries(
    again.map((kind) => [kind, noiseOf(medians(kind), medians(`again: ${kind}`), random)]),
  );
  return [
    ...Object.entries(kinds).map(([kind, { against }]) => row(kind, kind, against, noise[against ?? kind])),
    ...again.map((kind) => row(`${kind} against itself`, `again: ${kind}`, kind, noise[kind])),
  ];
}

export const columns = ({ ns, ratio, interval, percent }) => [
  ["", (row) => row.name],
  ["p50", (row) => ns(row.p50)],
  ["p90", (row) => ns(row.p90)],
  ["p99", (row) => ns(row.p99)],
  ["over bare", (row) => ns(row.over)],
  ["ratio", (row) => ratio(row.ratio)],
  ["95 % of it", (row) => interval(row.ci)],
  ["noise", (row) => percent(row.noise)],
  ["", (row) => row.verdict],
];
