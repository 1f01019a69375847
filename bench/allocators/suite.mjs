/** Against other allocators: inside wasm, from JavaScript, and by weight. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { inChild } from "../lib/child.mjs";
import { root } from "../lib/machine.mjs";
import { compare, median, noiseOf, quantile, randomFrom } from "../lib/measure.mjs";
import { build, fileOf } from "./build.mjs";
import { OURS, SAME, javaScript, subjects } from "./subjects.mjs";
import { fromJavaScript, workloads } from "./workloads.mjs";

const WALLOC = {
  side: "walloc",
  why: "its source is in no package registry; npm's package of that name is another thing, emscripten's malloc of 2018",
};

/** The like of it has been run, or it is not to be had. */
const neverRun = new Set([WALLOC.side, "mimalloc (emscripten)"]);

/** What an interval says of a ratio of times. */
export function comparison({ ratio, ci }, noise) {
  if (ratio * (1 + noise) < 1 && ci[1] < 1) return "ours is faster";
  return ratio > 1 + noise && ci[0] > 1 ? "ours is slower" : "no difference";
}

/** The joined samples of several processes as a table's rows. */
function rowsOf(samples, random) {
  const ours = samples[OURS];
  const noise = noiseOf(ours, samples[SAME], random);
  const rows = Object.entries(samples).map(([side, times]) => {
    const stats = { median: median(times), p5: quantile(times, 0.05), p95: quantile(times, 0.95) };
    if (side === OURS) return { side, samples: times, stats };
    const { ratio, ci } = compare(ours, times, random);
    return { side, samples: times, stats, ratio: { of: side, ratio, ci, verdict: comparison({ ratio, ci }, noise) } };
  });
  return { rows, noise };
}

/** The fastest that is neither ours nor a floor. */
const fastest = (rows) =>
  rows
    .filter(({ side }) => !side.startsWith(OURS) && !subjects[side]?.floor)
    .toSorted((a, b) => a.stats.median - b.stats.median)[0];

function goalOf({ rows, noise, notRun }, goal) {
  const rival = fastest(rows);
  if (!rival) return undefined;
  const { ratio, ci } = rival.ratio;
  const text =
    goal === 1
      ? `faster than all others (fastest: ${rival.side})`
      : `at most ${goal} of the fastest other (${rival.side})`;
  const limit = goal === 1 ? 1 / (1 + noise) : goal;
  // Who was not run may be faster; there are some that never are.
  const whole = notRun.every(({ side }) => neverRun.has(side) || subjects[side]?.floor);
  const verdict = ci[0] > goal ? "missed" : whole && ci[1] <= limit ? "met" : "cannot tell";
  return { text, value: ratio, ci, goal, verdict };
}

function timesTable(id, side, all, notRun, random) {
  const { title, workload, goal } = workloads[id];
  const samples = {};
  for (const { samples: some } of all)
    for (const [name, times] of Object.entries(some)) (samples[name] ??= []).push(...times);
  const { rows, noise } = rowsOf(samples, random);
  const table = {
    name: side === "javascript" ? `javascript-${id}` : id,
    title: side === "javascript" ? `${title}, from JavaScript` : title,
    workload,
    unit: "ns/op",
    lower: true,
    rows,
    noise,
    notRun: [...notRun],
  };
  if (goal !== undefined && side === "wasm") {
    const reached = goalOf(table, goal);
    if (reached) table.goals = [reached];
  }
  if (side === "wasm" && samples["bump (AssemblyScript stub)"] === undefined)
    table.notRun.push({ side: "bump (AssemblyScript stub)", why: "it would run out of memory: it reuses nothing" });
  return table;
}

function memoryTable(id, memory, notRun) {
  return {
    name: `memory-${id}`,
    title: `Memory, ${workloads[id].title.toLowerCase()}`,
    workload: `the workload of that name for a while: of the memory that the allocator holds, how much its user asked for, at the peak`,
    unit: "fraction",
    lower: false,
    noise: 0,
    rows: Object.entries(memory).map(([side, { payload, span, memory: bytes }]) => ({
      side,
      samples: [payload / bytes],
      stats: { median: payload / bytes },
      extra: { "of its address range": payload / span, payload, memory: bytes, range: span },
    })),
    notRun,
    notes: [
      "Of all linear memory behind the program's own, in whole Wasm pages of 64 KiB; and of the range from the lowest to the highest byte handed out.",
    ],
  };
}

function weighed(side, path, what) {
  const bytes = readFileSync(path);
  const gzip = gzipSync(bytes, { level: 9 }).length;
  return { side, samples: [bytes.length], stats: { median: bytes.length }, extra: { gzip, what } };
}

function sizes(notRun) {
  const missing = new Set(notRun.map(({ side }) => side));
  const others = Object.entries(subjects).filter(
    ([side, { module }]) => module !== "ours" && module !== "called" && !missing.has(side),
  );
  return {
    name: "size",
    title: "Bytes of WebAssembly",
    workload:
      "a module that exports an allocation and a free, and nothing else, optimised for speed like the ones above",
    unit: "bytes",
    lower: true,
    noise: 0,
    rows: [
      weighed(OURS, fileOf("ours.bare"), "heap_create, mempool_create, mempool_alloc, mempool_free; -O3"),
      weighed("wasm-mempool, core.wasm", `${root}build/core.wasm`, "the whole core, as it is shipped"),
      ...others.map(([side, { module, says }]) => weighed(side, fileOf(`${module}.bare`), says)),
      ...["c", "rust"]
        .filter((language) => !missing.has(language === "c" ? "dlmalloc (wasi-libc)" : "rlsf"))
        .map((language) =>
          weighed(
            `bump (${language === "c" ? "C" : "Rust"})`,
            fileOf(`${language}-bump.bare`),
            "a pointer that only goes up",
          ),
        ),
    ],
    notRun,
    notes: ["What a bump allocator of the same language takes is the module's own share."],
  };
}

async function run({ quick, random, progress, only, say }) {
  const { missing, versions } = await build((text) => progress(0, text));
  const notRun = Object.entries(subjects)
    .filter(([, { module }]) => missing[module])
    .map(([side, { module }]) => ({ side, why: missing[module] }));
  for (const { side, why } of notRun) say(`allocators: ${side} not run: ${why}`);
  notRun.push(WALLOC);
  try {
    import.meta.resolve("@thi.ng/malloc");
  } catch {
    notRun.push({ side: "@thi.ng/malloc", why: "it is not installed" });
  }
  const absent = new Set(notRun.map(({ side }) => side));
  const wanted = (name) => only === undefined || only.includes(name);
  const jobs = [
    ...Object.keys(workloads)
      .filter((id) => wanted(id) || wanted(`memory-${id}`))
      .map((id) => ({
        id,
        side: "wasm",
        names: Object.keys(subjects).filter(
          (name) => !absent.has(name) && (!subjects[name].floor || workloads[id].bump),
        ),
      })),
    ...fromJavaScript
      .filter((id) => wanted(`javascript-${id}`))
      .map((id) => ({ id, side: "javascript", names: Object.keys(javaScript).filter((name) => !absent.has(name)) })),
  ];
  const answers = new Map(jobs.map((job) => [job, []]));
  const processes = quick ? 1 : 3;
  let done = 0;
  // Round by round, so that what the machine does for a while befalls all of them.
  for (let i = 0; i < processes; i++) {
    for (const job of jobs) {
      const { id, side, names } = job;
      const label = side === "wasm" ? id : `${id} from JavaScript`;
      const at = (part) => progress((done + part) / (jobs.length * processes), label);
      at(0);
      const seed = Math.floor(random() * 2 ** 32);
      // Optimised code from the first call: when the engine would get round to it is not what is asked.
      const execArgv = ["--no-liftoff"];
      answers
        .get(job)
        .push(
          await inChild(
            new URL("child.mjs", import.meta.url),
            { workload: id, side, names, quick, seed },
            { execArgv, onPart: at },
          ),
        );
      done++;
    }
  }
  const bootstrap = randomFrom(Math.floor(random() * 2 ** 32));
  const tables = jobs
    .filter(({ id, side }) => wanted(side === "wasm" ? id : `javascript-${id}`))
    .map((job) => timesTable(job.id, job.side, answers.get(job), notRun, bootstrap));
  for (const [{ id }, [{ memory }]] of answers)
    if (memory && wanted(`memory-${id}`)) tables.push(memoryTable(id, memory, notRun));
  if (wanted("size")) tables.push(sizes(notRun));
  return { tables, versions };
}

export const suite = {
  name: "allocators",
  title: "Against other allocators",
  seconds: 150,
  method: [
    "Each allocator has the same loops compiled in with it: in C (clang, emcc), Rust or AssemblyScript, all then optimised by wasm-opt -O3; they read and write the first and the last word of each block, and are checked to have read the same.",
    "wasm-mempool has a pool for each class of sizes, as a user would: each 16 bytes up to 256, then eight to a power of two, aligned to 16; where there is one size, one pool. Its free is told the size, as Rust's is.",
    "Subjects run by turns in one process, in random order, about 3 ms each after as long untimed, in three processes for each workload, all of it optimised code. Times are processor time. Ratios are medians of the ratios of a turn, ours to theirs, with a 95 % bootstrap interval. noise: how far wasm-mempool against itself seems to be from 1.",
    "The workloads named after benchmarks of other allocators are our own of the same kind, on one thread.",
  ],
  about: Object.fromEntries(Object.entries(subjects).map(([name, { says }]) => [name, says])),
  run,
};
