/** Against other allocators: inside wasm, from JavaScript, and by weight. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { inChild } from "../harness/children.mjs";
import { root } from "../harness/machine.mjs";
import { compare, exactRow, goalOf, noiseOf, quantile, rowOf } from "../harness/statistics.mjs";
import { build, fileOf } from "./allocators/build.mjs";
import { OURS, SAME, javaScript, subjects } from "./allocators/subjects.mjs";
import { fromJavaScript, workloads } from "./allocators/workloads.mjs";

const WALLOC = {
  side: "walloc",
  why: "its source is in no package registry; npm's package of that name is another thing, emscripten's malloc of 2018",
};

/** These never run here: a goal that says "all others" does not wait for them. */
const neverRun = new Set([WALLOC.side, "mimalloc (emscripten)"]);
const BUMP = "bump (AssemblyScript stub)";

/** A limit for our time, as a part of that of the fastest other allocator; 1: less, beyond the noise. */
function fastestGoal({ rows, noise, notRun }, limit, random) {
  const rivals = rows.filter(({ side }) => !side.startsWith(OURS) && !subjects[side]?.floor);
  const [rival] = rivals.toSorted((a, b) => a.stats.median - b.stats.median);
  if (!rival) return [];
  const text =
    limit === 1
      ? `faster than all others (fastest: ${rival.side})`
      : `at most ${limit} of the fastest other (${rival.side})`;
  const result = compare(rows.find(({ side }) => side === OURS).samples, rival.samples, random);
  const goal = goalOf(text, result, limit);
  // An allocator that was not run may be faster.
  const isWhole = notRun.every(({ side }) => neverRun.has(side) || subjects[side]?.floor);
  const isBeyondNoise = limit !== 1 || result.ci[1] <= 1 / (1 + noise);
  if (goal.verdict === "met" && !(isWhole && isBeyondNoise)) goal.verdict = "cannot tell";
  return [goal];
}

function timesTable({ id, side, answers }, notRun, random) {
  const { title, workload, goal } = workloads[id];
  const inWasm = side === "wasm";
  const samples = {};
  for (const { samples: some } of answers)
    for (const [name, times] of Object.entries(some)) (samples[name] ??= []).push(...times);
  const noise = noiseOf(samples[OURS], samples[SAME], random);
  const of = { side: OURS, samples: samples[OURS] };
  const rows = Object.entries(samples).map(([name, times]) =>
    rowOf(name, times, {
      ...(name !== OURS && { of, noise, random }),
      stats: { p5: quantile(times, 0.05), p95: quantile(times, 0.95) },
    }),
  );
  const outOfMemory = { side: BUMP, why: "it would run out of memory: it reuses nothing" };
  const table = {
    name: inWasm ? id : `javascript-${id}`,
    title: inWasm ? title : `${title}, from JavaScript`,
    workload,
    unit: "ns/op",
    lower: true,
    rows,
    noise,
    notRun: inWasm && !samples[BUMP] ? [...notRun, outOfMemory] : notRun,
  };
  return goal && inWasm ? { ...table, goals: fastestGoal(table, goal, random) } : table;
}

function memoryTable(id, memory, notRun) {
  return {
    name: `memory-${id}`,
    title: `Memory, ${workloads[id].title.toLowerCase()}`,
    workload: `the workload of that name for a while: of the memory that the allocator holds, how much its user asked for, at the peak`,
    unit: "fraction",
    lower: false,
    noise: 0,
    rows: Object.entries(memory).map(([side, { payload, span, memory: bytes }]) =>
      exactRow(side, payload / bytes, { "of its address range": payload / span, payload, memory: bytes, range: span }),
    ),
    notRun,
    notes: [
      "Of all linear memory behind the program's own, in whole Wasm pages of 64 KiB; and of the range from the lowest to the highest byte handed out.",
    ],
  };
}

function weighed(side, path, what) {
  const bytes = readFileSync(path);
  return exactRow(side, bytes.length, { gzip: gzipSync(bytes, { level: 9 }).length, what });
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

async function run({ quick, random, progress, wanted }) {
  const { missing, versions } = await build((text) => progress(0, text));
  const notRun = Object.entries(subjects)
    .filter(([, { module }]) => missing[module])
    .map(([side, { module }]) => ({ side, why: missing[module] }))
    .concat(WALLOC);
  try {
    import.meta.resolve("@thi.ng/malloc");
  } catch {
    notRun.push({ side: "@thi.ng/malloc", why: "it is not installed: npm ci --prefix bench" });
  }
  const absent = new Set(notRun.map(({ side }) => side));
  const job = (id, side, names) => ({ id, side, names: names.filter((name) => !absent.has(name)), answers: [] });
  const jobs = [
    ...Object.keys(workloads)
      .filter((id) => wanted(id) || wanted(`memory-${id}`))
      .map((id) =>
        job(
          id,
          "wasm",
          Object.keys(subjects).filter((name) => !subjects[name].bump || workloads[id].bump),
        ),
      ),
    ...fromJavaScript
      .filter((id) => wanted(`javascript-${id}`))
      .map((id) => job(id, "javascript", Object.keys(javaScript))),
  ];
  // Round by round: a disturbance of the machine meets all workloads.
  const tasks = Array.from({ length: quick ? 1 : 3 }).flatMap(() => jobs);
  for (const [i, { id, side, names, answers }] of tasks.entries()) {
    const onPart = (part) => progress((i + part) / tasks.length, side === "wasm" ? id : `${id} from JavaScript`);
    onPart(0);
    const payload = { workload: id, side, names, quick, seed: Math.floor(random() * 2 ** 32) };
    // Optimised code from the first call.
    const options = { execArgv: ["--no-liftoff"], onPart };
    answers.push(await inChild(new URL("allocators/child.mjs", import.meta.url), payload, options));
  }
  const times = jobs.filter(({ id, side }) => wanted(side === "wasm" ? id : `javascript-${id}`));
  const memories = jobs.filter(({ id, answers: [{ memory }] }) => memory && wanted(`memory-${id}`));
  return {
    tables: [
      ...times.map((one) => timesTable(one, notRun, random)),
      ...memories.map(({ id, answers: [{ memory }] }) => memoryTable(id, memory, notRun)),
      ...(wanted("size") ? [sizes(notRun)] : []),
    ],
    versions,
  };
}

export const suite = {
  title: "Against other allocators",
  seconds: 180,
  packages: true,
  method: [
    "Each allocator has the same loops compiled in with it: in C (clang, emcc; Zig's allocator is linked to them), Rust or AssemblyScript, all then optimised by wasm-opt -O3; they read and write the first and the last word of each block, and are checked to have read the same.",
    "wasm-mempool has a pool for each class of sizes, as a user would: each 16 bytes up to 256, then eight to a power of two, aligned to 16; where there is one size, one pool. Its free is told the size, as Rust's and Zig's are; that of its malloc is not.",
    "Subjects run by turns in one process, in random order, about 3 ms each after an untimed run, in three processes for each workload, all of it optimised code. Times are processor time. Ratios are medians of the ratios of a turn, theirs to ours, with a 95 % bootstrap interval. The noise is how far wasm-mempool seems to be from itself.",
    "The workloads named after benchmarks of other allocators are our own of the same kind, on one thread.",
  ],
  about: Object.fromEntries(Object.entries(subjects).map(([name, { says }]) => [name, says])),
  run,
};
