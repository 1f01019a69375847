/** Creating a pool with a backend of the caller's own, against as many calls of that backend. */
import { createHeap } from "../../../dist/index.js";
import "../../../dist/backend.js";
import { interleave } from "../../harness/measure.mjs";
import { noiseOf, rowOf } from "../../harness/statistics.mjs";

const MIN_NR = 1000;
const CALLS = "1,000 calls of alloc and of free";

export const tables = { backend: ["reserve"] };
export const processes = 3;

/** A backend as a program has one: a free list of numbers. */
function backend() {
  const list = Array.from({ length: 2 * MIN_NR }, (_, i) => i + 1);
  return { alloc: () => list.pop() ?? 0, free: (element) => void list.push(element) };
}

const times = (work, n) => ({
  ops: n,
  run() {
    for (let i = 0; i < n; i++) work();
  },
});

export async function run({ quick, random, progress }) {
  const heap = createHeap();
  const own = backend();
  const fill = () => heap.create({ size: 64, minNr: MIN_NR, backend: own }).exit();
  const elements = [];
  const calls = () => {
    for (let i = 0; i < MIN_NR; i++) elements.push(own.alloc());
    for (let i = 0; i < MIN_NR; i++) own.free(elements.pop());
  };
  const subjects = [times(fill, 20), times(fill, 20), times(calls, 200)];
  const [ours, same, theirs] = await interleave(subjects, { rounds: quick ? 7 : 31, random, progress });
  return { ours, same, calls: theirs };
}

export function tableOf(name, { reserve: { ours, same, calls } }, random) {
  const noise = noiseOf(ours, same, random);
  const of = { side: CALLS, samples: calls };
  return {
    name,
    title: "A reserve from a backend of your own",
    workload: `create() with minNr ${MIN_NR}, then exit(); against ${CALLS}, which takes numbers off a list`,
    unit: "ns/op",
    lower: true,
    noise,
    rows: [rowOf("create and exit", ours, { of, noise, random }), rowOf(CALLS, calls)],
  };
}
