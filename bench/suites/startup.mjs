/** From a cold process to the first element, bytes to load, and memory at rest. */
import { fileURLToPath } from "node:url";
import { outputOf } from "../harness/children.mjs";
import { exactRow, median, noiseOf, quantile, rowOf, shuffled } from "../harness/statistics.mjs";
import { prepare } from "./startup/subjects.mjs";

const OURS = "wasm-mempool";
const SAME = "wasm-mempool, again";
const child = fileURLToPath(new URL("startup/child.mjs", import.meta.url));

const stats = (samples) => ({ p99: quantile(samples, 0.99), max: Math.max(...samples) });

/** The samples of each side, of `rounds` processes by turns in random order. */
async function sample(sides, rounds, { random, flags = [], progress }) {
  const samples = new Map(sides.map(({ side }) => [side, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { side, ...subject } of shuffled(sides, random)) {
      const args = [...flags, child, JSON.stringify(subject)];
      samples.get(side).push(JSON.parse(await outputOf(process.execPath, args, { seconds: 30 })));
    }
    progress((round + 1) / rounds);
  }
  return samples;
}

/** Rows of a table, each side against ours; the noise is ours against ours. */
function against(samples, pick, random, extraOf = () => undefined) {
  const values = new Map([...samples].map(([side, all]) => [side, all.map(pick)]));
  const of = { side: OURS, samples: values.get(OURS) };
  const noise = noiseOf(of.samples, values.get(SAME), random);
  const rows = [...values]
    .filter(([side]) => side !== SAME)
    .map(([side, its]) =>
      rowOf(side, its, { ...(side !== OURS && { of, noise, random }), stats: stats(its), extra: extraOf(side) }),
    );
  return { rows, noise };
}

function times(samples, versions, random) {
  const phases = Object.keys(samples.get(OURS)[0].phases);
  const of = (side, phase) => samples.get(side).map((one) => one.phases[phase]);
  const whole = {
    name: "startup-total",
    title: "Cold process to first allocation",
    workload:
      "In a new process that has its JavaScript engine up: load the file, compile, instantiate, create a heap and a pool with 4 elements of 32 bytes in reserve, allocate one. An allocator without heaps or pools has nothing to do for them.",
    unit: "ms",
    lower: true,
    ...against(
      samples,
      ({ total }) => total,
      random,
      (side) => ({
        version: versions.get(side),
        ...Object.fromEntries(phases.map((phase) => [phase, median(of(side, phase))])),
      }),
    ),
  };
  const sides = [...samples.keys()].filter((side) => side !== SAME);
  const rows = sides
    .flatMap((side) => phases.map((phase) => [`${side}: ${phase}`, of(side, phase)]))
    .concat([[`${OURS}: a second heap, pool and element`, samples.get(OURS).map(({ again }) => again)]])
    .filter(([, its]) => Math.max(...its) > 0)
    .map(([side, its]) => rowOf(side, its, { stats: stats(its) }));
  const split = {
    ...whole,
    name: "startup-phases",
    title: "Cold process to first allocation, phase by phase",
    rows,
    notes: [
      "load: import of the bundle, or reading of the wasm file.",
      "heap: without compile and instantiate; of the package it includes decoding the wasm from text.",
      "Engines compile functions at their first call: heap, pool and alloc have that in them.",
    ],
  };
  return [whole, split];
}

/** A table of bytes that have no spread. */
const bytesTable = (name, title, workload, rows, notes) => ({
  name,
  title,
  workload,
  unit: "bytes",
  lower: true,
  rows,
  noise: 0,
  ...(notes && { notes }),
});

const fileNames = {
  "ours.mjs": "wasm-mempool: JavaScript with all wasm in it",
  "thing.mjs": "@thi.ng/malloc: JavaScript",
  "tlsf.wasm": "AssemblyScript's TLSF: wasm",
};

const bytesOf = (sides) =>
  bytesTable(
    "startup-bytes",
    "Bytes to load",
    "JavaScript bundled and minified with all it exports; wasm as it is.",
    [...new Map(sides.map((side) => [side.file, side])).values()].map(({ file, bytes, gzip }) =>
      exactRow(fileNames[file] ?? file, bytes, { gzip }),
    ),
  );

/** Rows of the bytes that a fresh heap uses, and its first two pools. */
function rowsOfUse(name, make) {
  const heap = make();
  let last = 0;
  const more = () => {
    const { used: now } = heap.stats();
    const grown = now - last;
    last = now;
    return grown;
  };
  const fresh = more();
  heap.create({ size: 32, minNr: 4 });
  const first = more();
  heap.create({ size: 32, minNr: 4 });
  return [
    exactRow(`${name}: a fresh heap`, fresh),
    exactRow(`${name}: the first pool of 4 x 32 bytes`, first),
    exactRow(`${name}: the second`, more()),
  ];
}

async function used() {
  const { createHeap, createSharedHeap } = await import("../../dist/index.js");
  await import("../../dist/inspect.js");
  return bytesTable(
    "memory-used",
    "Bytes used at rest",
    "Bytes of a heap that are in use: when it is made, and by each pool with 4 elements of 32 bytes in reserve.",
    [...rowsOfUse("plain", createHeap), ...rowsOfUse("shared", createSharedHeap)],
    ["Memory is taken by pages of 4 KiB: the second pool has its records in pages that the first one has taken."],
  );
}

const memory = (samples, random) => [
  {
    ...bytesTable(
      "memory-rss",
      "Resident memory at rest",
      "How much a process has grown, from before a side is loaded to after its first allocation and a collection.",
    ),
    ...against(samples, ({ rss }) => rss, random),
  },
  bytesTable(
    "memory-reserved",
    "Bytes of the allocator's memory at rest",
    "The size of the buffer that the side allocates from, after its first allocation.",
    [...samples].filter(([side]) => side !== SAME).map(([side, all]) => exactRow(side, all[0].memory)),
    ["A wasm memory is address space: only pages that were touched are resident. @thi.ng/malloc is given its size."],
  ),
];

export const suite = {
  title: "Startup and size",
  seconds: 36,
  packages: true,
  async run({ quick, random, progress, wanted }) {
    const { there, notRun } = await prepare();
    const sides = [...there, { ...there.find(({ side }) => side === OURS), side: SAME }];
    const versions = new Map(there.map(({ side, version }) => [side, version]));
    const isWanted = (...names) => names.some(wanted);
    const tables = [];
    if (isWanted("startup-total", "startup-phases")) {
      const samples = await sample(sides, quick ? 5 : 41, {
        random,
        progress: (part) => progress(0.7 * part, "cold processes"),
      });
      tables.push(...times(samples, versions, random));
    }
    if (isWanted("memory-rss", "memory-reserved")) {
      const samples = await sample(sides, quick ? 3 : 15, {
        random,
        flags: ["--expose-gc"],
        progress: (part) => progress(0.7 + 0.28 * part, "memory at rest"),
      });
      tables.push(...memory(samples, random));
    }
    tables.push(bytesOf(there));
    if (wanted("memory-used")) tables.push(await used());
    for (const table of tables) if (table.name !== "memory-used") table.notRun = notRun;
    return { tables: tables.filter(({ name }) => wanted(name)) };
  },
};
