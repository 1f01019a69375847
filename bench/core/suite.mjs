/** `npm run bench:core` as a suite of `npm run bench`. */
import { goalsOf, halves, resultOf, slug } from "../lib/adapt.mjs";
import { median } from "../lib/measure.mjs";

const TLSF = "AssemblyScript TLSF";
const exact = (side, value, extra) => ({ side, samples: [value], stats: { median: value }, ...(extra && { extra }) });

function inWasm(rows) {
  const workloads = grouped(rows);
  return [...workloads].map(([workload, all]) => ({
    name: `wasm-${slug(workload)}`,
    title: `Inside wasm: ${workload}`,
    workload: "elements of 64 bytes, each written once after it is allocated; against AssemblyScript's own allocator",
    unit: "ns/op",
    lower: true,
    noise: all[0].noise,
    rows: [
      { side: TLSF, samples: all[0].samples.theirs, stats: { median: all[0].theirs } },
      ...all.map(({ name, ours, ratio, ci, verdict, samples }) => {
        const side = halves(name)[1];
        const of = side === "ours against ours" ? "-O3, inlined" : TLSF;
        return { side, samples: samples.ours, stats: { median: ours }, ratio: { of, ratio, ci, verdict } };
      }),
    ],
    goals: goalsOf(all, ({ name }) => `${halves(name)[1]}, against ${TLSF}`),
  }));
}

function grouped(rows) {
  const all = new Map();
  for (const row of rows) {
    const [workload] = halves(row.name);
    all.set(workload, [...(all.get(workload) ?? []), row]);
  }
  return all;
}

function fromTypeScript(rows) {
  const of = "two empty calls and the pair inside wasm";
  return {
    name: "typescript",
    title: "From TypeScript",
    workload: "pool.alloc() and pool.free() of 64 bytes, against two empty calls into wasm and the pair inside wasm",
    unit: "ns/op",
    lower: true,
    noise: Math.max(...rows.map(({ noise }) => noise ?? 0)),
    rows: rows
      .filter(({ ours }) => ours !== undefined)
      .map(({ name, ours, ratio, ci, verdict, samples, calls, inside }) => ({
        side: name,
        samples: samples.ours,
        stats: { median: ours },
        ratio: { of, ratio, ci, verdict },
        extra: { calls, inside, against: samples },
      })),
    notRun: rows.filter(({ why }) => why).map(({ name, why }) => ({ side: name, why })),
    goals: goalsOf(rows),
  };
}

const garbage = (rows) => ({
  name: "garbage",
  title: "Garbage",
  workload: "10 million pairs of pool.alloc() and pool.free(): by how much the JS heap has grown after them",
  unit: "bytes",
  lower: true,
  noise: 0,
  rows: rows
    .filter(({ samples }) => samples)
    .map(({ name, bytes, events, samples }) => ({
      side: name,
      samples: samples.map((sample) => sample.bytes),
      stats: { median: bytes },
      extra: { collections: events },
    })),
  goals: rows
    .filter(({ verdict }) => verdict)
    .map(({ name, bytes, verdict }) => ({ text: `${name}: no more than an empty loop`, value: bytes, verdict })),
});

const flat = (rows) => ({
  name: "flat",
  title: "Flat cost",
  workload:
    "one element of so many live ones is freed and another allocated, in several orders, against the bare memory accesses",
  unit: "ns/op",
  lower: true,
  noise: 0,
  rows: rows.map(({ name, pattern, count, ours, none, beside, samples }) => ({
    side: name ?? `${pattern}: ${count?.toLocaleString("en-US")}`,
    samples: samples?.ours,
    stats: { median: ours },
    extra: { "without an allocator": none, "and a byte beside it": beside, against: samples },
  })),
});

const memory = (rows) => ({
  name: "memory",
  title: "Memory for live elements",
  workload: "bytes in use of the heap for each byte handed out",
  unit: "bytes/byte",
  lower: true,
  noise: 0,
  rows: rows
    .filter(({ ratio }) => ratio !== undefined)
    .map(({ name, ratio, used, bytes }) => exact(name, ratio, { used, bytes })),
  goals: goalsOf(rows),
  notes: [],
});

function startup(rows) {
  const times = rows.filter(({ ms }) => ms !== undefined);
  const bytes = rows.filter((row) => row.bytes !== undefined);
  return [
    {
      name: "first",
      title: "The first allocation of a process",
      workload: "the package is imported, a heap and a pool made and an element allocated, in a new process each time",
      unit: "ms",
      lower: true,
      noise: 0,
      rows: times.map(({ name, samples }) => ({ side: name, samples, stats: { median: median(samples) } })),
    },
    {
      name: "bytes",
      title: "Bytes shipped",
      workload: "the modules as they are, and all of the package bundled",
      unit: "bytes",
      lower: true,
      noise: 0,
      rows: bytes.map((row) => exact(row.name, row.bytes)),
      goals: bytes
        .filter(({ goal }) => goal)
        .map(({ name, bytes: value, goal, verdict }) => ({
          text: name,
          value,
          goal: Number(goal.replaceAll(/[^0-9]/g, "")),
          verdict,
        })),
    },
  ];
}

/** What bench:core gives as JSON, as tables. */
export function tablesOf({ sections }) {
  const { wasm, typescript } = sections;
  return [
    ...(wasm ? inWasm(wasm) : []),
    ...(typescript ? [fromTypeScript(typescript)] : []),
    ...(sections.garbage ? [garbage(sections.garbage)] : []),
    ...(sections.flat ? [flat(sections.flat)] : []),
    ...(sections.memory ? [memory(sections.memory)] : []),
    ...(sections.startup ? startup(sections.startup) : []),
  ];
}

export const suite = {
  name: "core",
  title: "The core",
  seconds: 120,
  alone: "npm run bench:core",
  async run({ quick, random, progress, only }) {
    progress(0, "bench:core");
    const result = await resultOf("bench/core/main.mjs", { quick, random, seconds: 400 });
    const tables = tablesOf(result).filter(({ name }) => only === undefined || only.includes(name));
    return { tables, versions: { asc: result.compiler.asc }, method: [result.method.join(" ")] };
  },
};
