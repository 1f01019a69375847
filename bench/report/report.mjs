/** Writes the figures of bench/results into the docs, and all tables to build/bench/report. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { root } from "../harness/machine.mjs";
import { filled } from "./blocks.mjs";
import { fullPage } from "./full.mjs";
import { plotsOf } from "./plotted.mjs";

const documents = ["docs/speed.md", "docs/benchmarks.md", "docs/when-not.md", "docs/debug.md"];
/** The plots that documents show. */
const shown = new Set(["allocators.svg"]);
const order = ["allocators", "heap", "threads", "startup", "runtimes", "core", "struct", "debug", "counts"];

const read = (path) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined);

export const load = () =>
  readdirSync(join(root, "bench/results"))
    .filter((file) => file.endsWith(".json"))
    .map((file) => JSON.parse(read(`bench/results/${file}`)))
    .toSorted((a, b) => order.indexOf(a.suite) - order.indexOf(b.suite));

/** The documents and their plots, by path: a function of the results, and of the documents' other text. */
export async function pages(results, texts, options) {
  const all = new Map();
  for (const [path, text] of Object.entries(texts))
    all.set(path, await format(filled(text, results), { ...options, filepath: path }));
  for (const { file, text } of results.flatMap(plotsOf)) if (shown.has(file)) all.set(`docs/bench/${file}`, text);
  return all;
}

function writeFull(results) {
  const folder = join(root, "build/bench/report");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const plots = new Map(results.map((result) => [result.suite, plotsOf(result)]));
  writeFileSync(join(folder, "benchmarks.md"), `${fullPage(results, plots)}\n`);
  for (const { file, text } of [...plots.values()].flat()) writeFileSync(join(folder, file), text);
  console.log("build/bench/report/benchmarks.md: written");
}

/** Returns whether the docs are as bench/results has it; writes nothing if `isCheck`. */
export async function report(isCheck) {
  const results = load();
  const texts = Object.fromEntries(documents.map((path) => [path, read(path)]));
  const all = await pages(results, texts, (await resolveConfig(join(root, "README.md"))) ?? {});
  const changed = [...all].filter(([path, text]) => read(path) !== text);
  for (const [path, text] of changed) {
    if (isCheck) console.error(`${path}: differs from bench/results; npm run bench -- --report`);
    else writeFileSync(join(root, path), text);
    if (!isCheck) console.log(`${path}: written`);
  }
  if (!isCheck) writeFull(results);
  return changed.length === 0 || !isCheck;
}
