/** From a cold process to the first element, bytes shipped, and memory at rest. */
import { execFile, execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { compare, median, noiseOf, quantile, verdict } from "../core/measure.mjs";
import { prepare } from "./subjects.mjs";

const run = promisify(execFile);
const child = fileURLToPath(new URL("child.mjs", import.meta.url));
const OURS = "wasm-mempool";
const SAME = "wasm-mempool, again";

const stats = (samples) => ({
  median: median(samples),
  p50: median(samples),
  p99: quantile(samples, 0.99),
  max: Math.max(...samples),
});
const exact = (side, value, extra) => ({ side, samples: [value], stats: { median: value }, extra });

function shuffled(list, random) {
  const keys = list.map((value) => ({ value, key: random() }));
  return keys.toSorted((a, b) => a.key - b.key).map(({ value }) => value);
}

/** Every side's samples of `rounds` processes, by turns in random order. */
async function sample(sides, rounds, { random, flags, progress }) {
  const samples = new Map(sides.map(({ side }) => [side, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { side, ...subject } of shuffled(sides, random)) {
      const { stdout } = await run(process.execPath, [...flags, child, JSON.stringify(subject)], { timeout: 30_000 });
      samples.get(side).push(JSON.parse(stdout));
    }
    progress((round + 1) / rounds);
  }
  return samples;
}

/** Rows of a table, ours against each of the others, and the noise: ours against ourselves. */
function against(samples, pick, random, extra = () => ({})) {
  const values = new Map([...samples].map(([side, all]) => [side, all.map(pick)]));
  const ours = values.get(OURS);
  const noise = noiseOf(ours, values.get(SAME), random);
  const rows = [...values]
    .filter(([side]) => side !== SAME)
    .map(([side, its]) => {
      const row = Object.assign({ side, samples: its, stats: stats(its) }, extra(side));
      if (side === OURS) return row;
      const { ratio, ci } = compare(ours, its, random);
      return Object.assign(row, { ratio: { of: side, ratio, ci, verdict: verdict({ ratio, ci }, noise) } });
    });
  return { rows, noise };
}

function times(samples, versions, random) {
  const phases = Object.keys(samples.get(OURS)[0].phases);
  const medians = (side) =>
    Object.fromEntries(phases.map((phase) => [phase, median(samples.get(side).map((one) => one.phases[phase]))]));
  const whole = {
    name: "startup-total",
    title: "Cold process to first allocation",
    workload:
      "In a new process that has its JavaScript engine up: load the file, compile, instantiate, create a heap and a pool " +
      "with 4 elements of 32 bytes in reserve, allocate one. Who has no heap, or no pool, has nothing to do for it.",
    unit: "ms",
    lower: true,
    ...against(
      samples,
      ({ total }) => total,
      random,
      (side) => ({ extra: { ...versions(side), ...medians(side) } }),
    ),
    notes: ["extra has the medians of the phases; their samples are in startup-phases."],
  };
  const rows = [...samples.keys()]
    .filter((side) => side !== SAME)
    .flatMap((side) =>
      phases
        .map((phase) => ({ phase, its: samples.get(side).map((one) => one.phases[phase]) }))
        .filter(({ its }) => Math.max(...its) > 0)
        .map(({ phase, its }) => ({ side: `${side}: ${phase}`, samples: its, stats: stats(its) })),
    );
  const split = {
    name: "startup-phases",
    title: "Cold process to first allocation, phase by phase",
    workload: whole.workload,
    unit: "ms",
    lower: true,
    rows,
    noise: whole.noise,
    notes: [
      "load: import of the bundle, or reading of the wasm file.",
      "heap: without compile and instantiate; of the package it includes decoding the wasm from text.",
      "Engines compile functions at their first call: heap, pool and alloc have that in them.",
    ],
  };
  return [whole, split];
}

function bytesOf(there) {
  const files = new Map(there.map((side) => [side.file, side]));
  const names = {
    "ours.mjs": "wasm-mempool: JavaScript with all wasm in it",
    "thing.mjs": "@thi.ng/malloc: JavaScript",
    "tlsf.wasm": "AssemblyScript's TLSF: wasm",
  };
  return {
    name: "startup-bytes",
    title: "Bytes to load",
    workload: "JavaScript bundled and minified with all it exports; wasm as it is.",
    unit: "bytes",
    lower: true,
    rows: [...files.values()].map(({ file, bytes, gzip }) => exact(names[file] ?? file, bytes, { gzip })),
    noise: 0,
  };
}

async function used() {
  const { createHeap } = await import("../../dist/index.js");
  const row = (name, options) => {
    const heap = createHeap(options);
    const fresh = heap.stats().used;
    heap.create({ size: 32, minNr: 4 });
    const one = heap.stats().used - fresh;
    heap.create({ size: 32, minNr: 4 });
    const more = heap.stats().used - fresh - one;
    return [
      exact(`${name}: a fresh heap`, fresh),
      exact(`${name}: the first pool of 4 x 32 bytes`, one),
      exact(`${name}: the second`, more),
    ];
  };
  return {
    name: "memory-used",
    title: "Bytes used at rest",
    workload:
      "Bytes of a heap that are in use: when it is made, and by each pool with 4 elements of 32 bytes in reserve.",
    unit: "bytes",
    lower: true,
    rows: [...row("plain", {}), ...row("shared", { shared: true })],
    noise: 0,
    notes: [
      "Memory is taken by pages of 4 KiB: the second pool has its records in pages that the first one has taken.",
    ],
  };
}

function memory(samples, random) {
  return [
    {
      name: "memory-rss",
      title: "Resident memory at rest",
      workload:
        "How much a process has grown, from before a side is loaded to after its first allocation and a collection.",
      unit: "bytes",
      lower: true,
      ...against(samples, ({ rss }) => rss, random),
    },
    {
      name: "memory-reserved",
      title: "Bytes of the allocator's memory at rest",
      workload: "The size of the buffer the side allocates from, after its first allocation.",
      unit: "bytes",
      lower: true,
      rows: [...samples].filter(([side]) => side !== SAME).map(([side, all]) => exact(side, all[0].memory)),
      noise: 0,
      notes: [
        "A wasm memory is address space: only pages that were touched are resident. @thi.ng/malloc is given its size.",
      ],
    },
  ];
}

export const suite = {
  name: "startup",
  title: "Startup and size",
  seconds: 60,
  async run({ quick = false, random = Math.random, progress = () => {}, only } = {}) {
    const wanted = (...names) => only === undefined || names.some((name) => only.includes(name));
    execFileSync(process.execPath, [fileURLToPath(new URL("../../scripts/build.mjs", import.meta.url)), "--quiet"]);
    progress(0, "building the sides");
    const alone = only !== undefined && only.every((name) => name === "memory-used");
    const { there, notRun } = alone ? { there: [], notRun: [] } : await prepare();
    const ours = there.find(({ side }) => side === OURS);
    const sides = [...there, { ...ours, side: SAME }];
    const versions = (side) => {
      const version = there.find((one) => one.side === side)?.version;
      return version ? { version } : {};
    };
    const tables = [];
    if (wanted("startup-total", "startup-phases")) {
      const samples = await sample(sides, quick ? 5 : 41, {
        random,
        flags: [],
        progress: (part) => progress(0.05 + 0.65 * part, "cold processes"),
      });
      tables.push(...times(samples, versions, random));
    }
    if (wanted("memory-rss", "memory-reserved")) {
      const samples = await sample(sides, quick ? 3 : 15, {
        random,
        flags: ["--expose-gc"],
        progress: (part) => progress(0.7 + 0.28 * part, "memory at rest"),
      });
      tables.push(...memory(samples, random));
    }
    if (wanted("startup-bytes")) tables.push(bytesOf(there));
    if (wanted("memory-used")) tables.push(await used());
    return tables
      .filter(({ name }) => wanted(name))
      .map((table) => (notRun.length > 0 && table.name !== "memory-used" ? Object.assign(table, { notRun }) : table));
  },
};
