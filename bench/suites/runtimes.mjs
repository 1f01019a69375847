/** The pool on every runtime there is: one program, bundled from what is shipped, run in processes of its own. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { compile, fileOf } from "../guests/modules.mjs";
import { root } from "../harness/machine.mjs";
import { joined } from "../harness/sections.mjs";
import { compare, goalOf, median, noiseOf, quantile, rowOf } from "../harness/statistics.mjs";
import { hosts, nativeHosts } from "./runtimes/hosts.mjs";

const GOAL = 1.3;
const calls = "two calls into wasm that load a word";
const like =
  "The base is the same loop around two calls into wasm that load a word: empty ones are inlined by newer V8.";
/** Hosts that have no JavaScript. */
const natives = new Set(["wasmtime", "wazero"]);
const fromJavaScript = (table) => !["pair-in-wasm", "pair-from-host"].includes(table);

const titles = {
  pair: [
    "alloc and free, from JavaScript",
    `pool.alloc() and pool.free() of 32 bytes, one pair after the other. ${like}`,
  ],
  "pair-called": [
    "mempool_alloc and mempool_free, from JavaScript",
    "The same by the core's exports, without the bindings.",
  ],
  "pair-16-pools": ["alloc and free, of 16 pools in turn", "The same loop, from one pool after the other."],
  "pair-5-heaps": ["alloc and free, of 5 heaps in turn", "The same loop, from a pool of one heap after the other."],
  "pair-zeroed": ["alloc and free, of a pool that zeroes", "The same loop, of a pool with zero: true."],
  "pair-shared": ["alloc and free, of a shared heap", "The same loop, of a pool of a shared heap."],
  "wave-1k": [
    "A wave of 1,000, from JavaScript",
    `1,000 allocs of 32 bytes, then their frees in the same order. ${like}`,
  ],
  "churn-1k": ["Churn of 1,024 live, from JavaScript", `Frees a random one of 1,024 and allocates another. ${like}`],
  "churn-64k": ["Churn of 65,536 live, from JavaScript", `Frees a random one of 65,536 and allocates another. ${like}`],
  particles: [
    "50,000 particles, by field indices",
    "Updates a particle: 12 accesses; some are freed and allocated anew.",
  ],
  "particles-cursor": ["50,000 particles, by a cursor", "The same, through a cursor."],
  "particles-objects": ["50,000 particles, as objects", "The same, with objects of JavaScript."],
  "pair-in-wasm": [
    "alloc and free, inside wasm",
    "The hit path, inlined into a loop of wasm as a guest compiled with the core has it: allocates 32 bytes, writes a word, frees.",
  ],
  "pair-from-host": [
    "alloc and free, from Go",
    `A program in Go calls mempool_alloc and mempool_free of 32 bytes, one pair after the other. ${like}`,
  ],
};

async function bundle(quick) {
  const options = quick ? { ROUNDS: 5, SAMPLE_MS: 4, WARM_MS: 40 } : { ROUNDS: 11, SAMPLE_MS: 5, WARM_MS: 80 };
  const { outputFiles } = await build({
    entryPoints: [join(root, "bench/suites/runtimes/program.mjs")],
    bundle: true,
    format: "esm",
    target: "es2022",
    loader: { ".wasm": "binary" },
    define: { BENCH_OPTIONS: JSON.stringify(options) },
    write: false,
    logLevel: "silent",
  });
  return outputFiles[0].text;
}

/** The limit of a pair from JavaScript, as a multiple of two calls that load and the pair inside wasm: on each runtime. */
const goalsOf = (runs, random) =>
  runs.map(({ host, tables }) => {
    const text = `${host.name}: two calls that load and the pair inside wasm, ours against both together`;
    return goalOf(text, compare(tables.pair.ours, baseOf(tables), random), GOAL);
  });

const baseOf = (tables) => tables.pair.calls.map((sample, i) => sample + tables["pair-in-wasm"].ours[i]);

/** One table: a row for each runtime. */
function tableOf(name, runs, notRun, random) {
  const [title, workload] = titles[name];
  const noises = [];
  const having = runs.filter(({ tables }) => tables[name]);
  const rows = having.map(({ host, tables, processes }) => {
    const { ours, same, calls: empty } = tables[name];
    const noise = noiseOf(ours, same, random);
    noises.push(noise);
    const base = name === "particles" ? "views by hand" : calls;
    return rowOf(host.name, ours, {
      ...(empty && { of: { side: base, samples: empty }, noise, random }),
      stats: { p99: quantile(ours, 0.99), max: Math.max(...ours) },
      extra: {
        version: host.version,
        noise,
        processes: processes.map((its) => median(its[name].ours)),
        ...(name === "pair" && { "against both": compare(ours, baseOf(tables), random).ratio }),
        ...(empty && { calls: median(empty), samplesOfCalls: empty }),
      },
    });
  });
  return {
    name: `runtimes-${name}`,
    title,
    workload,
    unit: "ns/op",
    lower: true,
    rows,
    noise: Math.max(0, ...noises),
    notes: [
      "One op is one alloc and one free. Processor time, in browsers time of day; each runtime with its default flags, code warmed up.",
      "The noise is that of the noisiest runtime; extra has each one's.",
      "What an engine makes of the same code may differ from process to process: extra has the median of each.",
    ],
    notRun: notRun.filter(({ side }) => (natives.has(side) ? !fromJavaScript(name) : name !== "pair-from-host")),
    ...(name === "pair" ? { goals: goalsOf(having, random) } : {}),
  };
}

/** The tables of several processes as one: each list of samples is continued. */
const joinedTables = (all) =>
  Object.fromEntries(Object.keys(all[0]).map((name) => [name, joined(all.map((tables) => tables[name]))]));

export const suite = {
  title: "Runtimes",
  seconds: 90,
  async run({ quick, random, progress, wanted }) {
    await compile(["shipped"], (text) => progress(0, text));
    const text = await bundle(quick);
    const file = join(root, "build/bench/runtimes.mjs");
    mkdirSync(join(root, "build/bench"), { recursive: true });
    writeFileSync(file, text);
    const { there, notRun } = hosts();
    const native = nativeHosts(fileOf("shipped"), {
      rounds: quick ? 7 : 11,
      ms: quick ? 4 : 6,
      wait: !quick,
    });
    there.push(...native.there);
    notRun.push(...native.notRun);
    const reports = new Map();
    // By turns: a disturbance of the machine meets all runtimes.
    const tasks = Array.from({ length: quick ? 1 : 3 }).flatMap(() => there);
    const failed = new Set();
    for (const [i, host] of tasks.entries()) {
      progress(i / tasks.length, host.name);
      if (failed.has(host)) continue;
      try {
        const report = await host.run(file, text);
        if (report.error) throw new Error(report.error);
        host.version ??= report.version;
        reports.set(host, [...(reports.get(host) ?? []), report.tables]);
      } catch (error) {
        failed.add(host);
        reports.delete(host);
        notRun.push({ side: host.name, why: error.message.split("\n")[0] });
      }
    }
    const runs = [...reports].map(([host, all]) => ({ host, tables: joinedTables(all), processes: all }));
    const names = Object.keys(titles).filter((name) => wanted(`runtimes-${name}`));
    return { tables: names.map((name) => tableOf(name, runs, notRun, random)) };
  },
};
