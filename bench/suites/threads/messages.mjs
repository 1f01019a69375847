/** Messages of 256 bytes, 32 numbers, from one thread to another, which reads them all: the pool against other ways. */
import { MessageChannel } from "node:worker_threads";
import { createArena, createSharedHeap } from "../../../dist/index.js";
import "../../../dist/inspect.js";
import { createShared } from "../../guests/modules.mjs";
import { noiseOf, rowOf, shuffled } from "../../harness/statistics.mjs";
import { calmest, hire, meetingPlace } from "./team.mjs";

const SIZE = 256;
const WASM = 20_000;
const JAVASCRIPT = 20_000;
const POSTED = 2_000;
const TRIES = 12;

/** Messages in a sample, and the base of the ratio. */
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

export const tables = { messages: ["messages"] };
export const execArgv = ["--no-liftoff"];
export const guests = ["threads.fast"];
export const processes = 5;

export async function run({ quick, random, progress }) {
  const { core, shared } = createShared("fast");
  const handle = core.mempool_create(SIZE, 16, 4, -1);
  const heap = createSharedHeap({ initial: 2 ** 26, maximum: 2 ** 26 });
  const pool = heap.create({ size: SIZE, minNr: 4, name: "messages" });
  // Rings have a run of pages of their own.
  const rings = createArena({ heap, bytes: 2 ** 19 });
  const ring = rings.alloc(2 ** 13, 4096);
  const ring2 = rings.alloc(2 ** 18 + 2 ** 13, 4096);
  const { u8 } = heap.views.refresh();
  u8.fill(0, ring, ring + 2 ** 13);
  u8.fill(0, ring2, ring2 + 2 ** 18 + 2 ** 13);
  const { port1, port2 } = new MessageChannel();
  const team = [hire("messages.mjs"), hire("messages.mjs")];
  const pools = { shared: { ...shared, pool: core.mempool_share(handle) }, pool: pool.share(), ring, ring2 };
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
    for (const { key, kind, n } of shuffled(subjects, random))
      samples[key].push(await calmest(TRIES, () => sample(kind, n)));
    progress(round / rounds);
  }
  for (const member of team) await member.end();
  const problems = heap.check();
  if (problems.length) throw new Error(`the heap is inconsistent: ${problems.join("; ")}`);
  return samples;
}

const times = (samples) => samples.map(({ ns }) => ns);
const calm = (samples) => samples.filter(({ disturbed }) => disturbed === 0).length / samples.length;

export function tableOf(name, { messages: of }, random) {
  const noise = Object.fromEntries(
    Object.entries(again).map(([key, kind]) => [kind, noiseOf(times(of[kind]), times(of[`again: ${key}`]), random)]),
  );
  const row = (side, key, against) =>
    rowOf(side, times(of[key]), {
      ...(against && { of: { side: against, samples: times(of[against]) }, noise: noise[against], random }),
      extra: { calm: calm(of[key]) },
    });
  return {
    name,
    title: "Messages of 256 bytes from one thread to another",
    workload:
      "one thread makes messages, the other reads and drops them; pool: a ring of 1,024 addresses; slots: a ring of 1,024 messages, no allocator",
    unit: "ns/op",
    lower: true,
    noise: Math.max(...Object.values(noise)),
    rows: [
      ...Object.entries(kinds).map(([kind, { against }]) => row(kind, kind, against)),
      ...Object.entries(again).map(([key, kind]) => row(`${kind}: ours against ours`, `again: ${key}`, kind)),
    ],
  };
}
