/** The pool on every runtime there is: one program, bundled from what is shipped, run in processes of its own. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { compile } from "../core/compile.mjs";
import { compare, median, noiseOf, quantile, verdict } from "../core/measure.mjs";
import { hosts, nativeHosts } from "./hosts.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const GOAL = 1.5;
const calls = "two calls into wasm that do nothing";
const like = "The same loop around two calls into wasm that do nothing is what it is held against.";
const inlines =
  "Newer V8 compiles small wasm functions into the JavaScript that calls them: there, empty calls cost next to nothing.";
/** Hosts that have no JavaScript. */
const natives = new Set(["wasmtime", "wazero"]);
const fromJavaScript = (table) => !table.startsWith("pair-");

const titles = {
  pair: [
    "alloc and free, from JavaScript",
    `pool.alloc() and pool.free() of 32 bytes, one pair after the other. ${like}`,
  ],
  "wave-1k": [
    "A wave of 1,000, from JavaScript",
    `1,000 allocs of 32 bytes, then their frees in the same order. ${like}`,
  ],
  "churn-1k": ["Churn of 1,024 live, from JavaScript", `Frees a random one of 1,024 and allocates another. ${like}`],
  "churn-64k": ["Churn of 65,536 live, from JavaScript", `Frees a random one of 65,536 and allocates another. ${like}`],
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
    entryPoints: [join(root, "bench/runtimes/program.mjs")],
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

/** What a pair from JavaScript may cost at most, of two empty calls and the pair inside wasm: on each runtime. */
function goalsOf(runs, random) {
  return runs.map(({ host, tables }) => {
    const { ours, same, calls: empty } = tables.pair;
    const inside = tables["pair-in-wasm"].ours;
    const result = compare(
      ours,
      empty.map((sample, i) => sample + inside[i]),
      random,
    );
    return {
      text: `${host.name}: two empty calls and the pair inside wasm, ours against both together`,
      value: result.ratio,
      ci: result.ci,
      goal: GOAL,
      verdict: verdict(result, noiseOf(ours, same, random), GOAL),
    };
  });
}

/** One table: a row for each runtime. */
function tableOf(name, runs, notRun, random) {
  const [title, workload] = titles[name];
  const noises = [];
  const having = runs.filter(({ tables }) => tables[name]);
  const rows = having.map(({ host, tables, processes }) => {
    const { ours, same, calls: empty } = tables[name];
    const noise = noiseOf(ours, same, random);
    noises.push(noise);
    const row = {
      side: host.name,
      samples: ours,
      stats: { median: median(ours), p50: median(ours), p99: quantile(ours, 0.99), max: Math.max(...ours) },
      extra: { version: host.version, noise, processes: processes.map((its) => median(its[name].ours)) },
    };
    if (empty) {
      const { ratio, ci } = compare(ours, empty, random);
      row.ratio = { of: calls, ratio, ci, verdict: verdict({ ratio, ci }, noise) };
      Object.assign(row.extra, { calls: median(empty), samplesOfCalls: empty });
    }
    return row;
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
      "One op is one alloc and one free. Time of day, each runtime with its default flags, code warmed up.",
      "The noise is that of the noisiest runtime; extra has each one's.",
      "What an engine makes of the same code may differ from process to process: extra has the median of each.",
      ...(fromJavaScript(name) ? [inlines] : []),
    ],
    notRun: notRun.filter(({ side }) => (natives.has(side) ? !fromJavaScript(name) : name !== "pair-from-host")),
    ...(name === "pair" ? { goals: goalsOf(having, random) } : {}),
  };
}

export const suite = {
  name: "runtimes",
  title: "Runtimes",
  seconds: 90,
  async run({ quick = false, random = Math.random, progress = () => {}, say = () => {}, only } = {}) {
    execFileSync(process.execPath, [join(root, "scripts/build.mjs"), "--quiet"]);
    progress(0, "building the program");
    await compile(new Set(["shipped"]), say);
    const text = await bundle(quick);
    mkdirSync(join(root, "build/bench"), { recursive: true });
    const file = join(root, "build/bench/runtimes.mjs");
    writeFileSync(file, text);
    const { there, notRun } = hosts();
    const native = nativeHosts(join(root, "build/bench/shipped.wasm"), {
      rounds: quick ? 7 : 11,
      ms: quick ? 4 : 6,
      wait: !quick,
    });
    there.push(...native.there);
    notRun.push(...native.notRun);
    const reports = new Map();
    // Each in as many processes, by turns: what the machine does meanwhile does not meet one alone.
    const processes = quick ? 1 : 3;
    const failed = new Set();
    for (let i = 0; i < processes * there.length; i++) {
      const host = there[i % there.length];
      progress(i / (processes * there.length), host.name);
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
    const runs = [...reports].map(([host, all]) => ({ host, tables: joined(all), processes: all }));
    return Object.keys(titles)
      .filter((name) => only === undefined || only.includes(`runtimes-${name}`))
      .map((name) => tableOf(name, runs, notRun, random));
  },
};

/** The samples of several processes, one after the other. */
function joined(all) {
  const [first] = all;
  return Object.fromEntries(
    Object.entries(first).map(([name, samples]) => [
      name,
      Object.fromEntries(Object.keys(samples).map((key) => [key, all.flatMap((tables) => tables[name][key])])),
    ]),
  );
}
