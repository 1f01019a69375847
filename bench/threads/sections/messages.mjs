/** Messages of 256 bytes, 32 numbers, from one thread to another, which reads them all: the pool against other ways. */
import { MessageChannel } from "node:worker_threads";
import { compare, median, noiseOf, verdict } from "../../core/measure.mjs";
import { createHeap } from "../../../dist/index.js";
import { createShared, moduleOf } from "../compile.mjs";
import { calmest, hire, meetingPlace } from "../team.mjs";

const SIZE = 256;
const WASM = 20_000;
const JAVASCRIPT = 20_000;
const POSTED = 2_000;
const TRIES = 12;

/** Messages in a sample, and what of ours it is compared with. */
const kinds = {
  "pool, wasm": { n: WASM },
  "slots, wasm": { n: WASM, against: "pool, wasm" },
  "pool, JavaScript": { n: JAVASCRIPT },
  "slots, JavaScript": { n: JAVASCRIPT, against: "pool, JavaScript" },
  "postMessage, Uint8Array": { n: POSTED, against: "pool, JavaScript" },
  "postMessage, object": { n: POSTED, against: "pool, JavaScript" },
  "postMessage, transfer": { n: POSTED, against: "pool, JavaScript" },
};
const again = { wasm: "pool, wasm", JavaScript: "pool, JavaScript" };

export const title = `One thread allocates and writes messages of 256 bytes, another reads and frees them. ns per message, by the clock
slots: a ring of 1024 messages in shared memory, no allocator; pool: a ring of 1024 addresses.
x pool: how many times as long as with the pool`;
export const names = ["messages"];
export const processes = 5;

export async function run({ quick, random, progress }) {
  const { core, shared } = createShared(moduleOf("fast"));
  const handle = core.mempool_create(SIZE, 16, 4, -1);
  const heap = createHeap({ shared: true, initial: 2 ** 26, maximum: 2 ** 26 });
  const pool = heap.create({ size: SIZE, minNr: 4, name: "messages" });
  // Rings have a run of pages of their own.
  const rings = heap.createArena({ bytes: 2 ** 19 });
  const ring = rings.alloc(2 ** 13, 4096);
  const ring2 = rings.alloc(2 ** 18 + 2 ** 13, 4096);
  const { u8 } = heap.views.refresh();
  u8.fill(0, ring, ring + 2 ** 13);
  u8.fill(0, ring2, ring2 + 2 ** 18 + 2 ** 13);
  const { port1, port2 } = new MessageChannel();
  const team = [hire("messages.mjs"), hire("messages.mjs")];
  const pools = { shared: { ...shared, pool: core.mempool_pool(handle) }, pool: pool.share(), ring, ring2 };
  for (const [me, port] of [port1, port2].entries()) await team[me].call("prepare", [{ me, ...pools, port }], [port]);
  const place = meetingPlace();
  let met = 0;
  const sample = async (kind, n) => {
    met += 2;
    const [from, to] = await Promise.all([
      team[0].call("send", [kind, n, place, met]),
      team[1].call("receive", [kind, n, place, met]),
    ]);
    const sum = (32 * n * (n - 1)) / 2;
    if (to.sum !== sum) throw new Error(`${kind}: the sum of what came is ${to.sum}, not ${sum}`);
    return { ns: ((to.end - from.start) * 1e6) / n, disturbed: from.preempted + to.preempted };
  };
  const subjects = [
    ...Object.entries(kinds).map(([kind, { n }]) => ({ key: kind, kind, n })),
    ...Object.entries(again).map(([key, kind]) => ({ key: `again: ${key}`, kind, n: kinds[kind].n })),
  ];
  for (let i = 0; i < 8; i++) for (const { kind, n } of subjects) await sample(kind, n);
  const samples = Object.fromEntries(subjects.map(({ key }) => [key, []]));
  const rounds = quick ? 7 : 20;
  for (let round = 0; round < rounds; round++) {
    const order = subjects.map((subject) => [random(), subject]).toSorted(([a], [b]) => a - b);
    for (const [, { key, kind, n }] of order) samples[key].push(await calmest(TRIES, () => sample(kind, n)));
    progress(round / rounds);
  }
  for (const member of team) await member.end();
  const problems = heap.check();
  if (problems.length) throw new Error(`the heap is inconsistent: ${problems.join("; ")}`);
  return samples;
}

const times = (samples) => samples.map(({ ns }) => ns);

export function rowsOf(_name, of, random) {
  const row = (name, samples, theirs, noise) => {
    const result = theirs ? compare(times(samples), times(theirs), random) : {};
    return {
      name,
      ns: median(times(samples)),
      rate: 1e3 / median(times(samples)),
      calm: samples.filter(({ disturbed }) => disturbed === 0).length / samples.length,
      ...result,
      noise,
      verdict: theirs ? verdict(result, noise) : "",
      samples,
    };
  };
  const noise = Object.fromEntries(
    Object.entries(again).map(([key, kind]) => [kind, noiseOf(times(of[kind]), times(of[`again: ${key}`]), random)]),
  );
  return [
    ...Object.entries(kinds).map(([kind, { against }]) => row(kind, of[kind], of[against], noise[against ?? kind])),
    ...Object.entries(again).map(([key, kind]) =>
      row(`${kind}: ours against ours`, of[`again: ${key}`], of[kind], noise[kind]),
    ),
  ];
}

export const columns = ({ ns, ratio, interval, percent, fixed }) => [
  ["", (row) => row.name],
  ["ns", (row) => ns(row.ns)],
  ["million a second", (row) => fixed(2)(row.rate)],
  ["x pool", (row) => ratio(row.ratio)],
  ["95 % of it", (row) => interval(row.ci)],
  ["calm", (row) => percent(row.calm)],
  ["noise", (row) => percent(row.noise)],
  ["", (row) => row.verdict],
];
