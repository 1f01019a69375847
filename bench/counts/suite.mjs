/** The counts, and what is shipped in bytes, as tables. Nothing here is a time: no noise, no samples but one. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { tsImport } from "tsx/esm/api";
import { differences, measure, recorded } from "./counts.mjs";
import { machineCounts } from "./machine.mjs";

const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length;
const exact = (side, value, extra) => ({ side, samples: [value], stats: { median: value }, extra });
const built = (name) => readFileSync(new URL(`../../build/${name}`, import.meta.url));

function countTables(notes) {
  return Object.entries(measure()).map(([module, counts]) => ({
    name: `counts-${module.replaceAll(".", "-")}`,
    title: `Instructions executed: ${module}`,
    workload:
      "Each named call of the module that is shipped, its wasm instructions counted one by one; per call, or pair.",
    unit: "instructions",
    lower: true,
    rows: Object.entries(counts).map(([side, { calls, instructions, accesses, locked }]) =>
      exact(side, instructions / calls, { accesses: accesses / calls, locked: locked / calls, calls }),
    ),
    noise: 0,
    notes: [
      "accesses: loads and stores of memory; locked: atomic operations but loads.",
      "memory.fill and memory.grow are one instruction each, however much they do.",
      ...notes,
    ],
  }));
}

async function sizeTable() {
  const { budgets, sizes } = await tsImport("../../test/golden/sizes.ts", import.meta.url);
  const all = await sizes();
  return {
    name: "sizes",
    title: "Bytes shipped",
    workload: "Each wasm module, and the JavaScript entry with all of them in it, bundled and minified.",
    unit: "bytes",
    lower: true,
    rows: [
      ...Object.keys(all)
        .filter((name) => name.endsWith(".wasm"))
        .map((name) => exact(name, all[name], { gzip: gzip(built(name)), budget: budgets[name] })),
      exact("entry.min.js", all["entry.min.js"], { gzip: all["entry.min.js.gz"] }),
    ],
    noise: 0,
    goals: Object.entries(budgets).map(([name, goal]) => ({
      text: `${name} has at most ${goal.toLocaleString("en-US")} bytes`,
      value: all[name],
      goal,
      verdict: all[name] <= goal ? "met" : "missed",
    })),
  };
}

export const suite = {
  name: "counts",
  title: "What the core executes, and what is shipped",
  seconds: 20,
  async run({ progress = () => {}, only } = {}) {
    const wanted = (name) => only === undefined || only.includes(name);
    execFileSync(process.execPath, [fileURLToPath(new URL("../../scripts/build.mjs", import.meta.url)), "--quiet"]);
    progress(0, "counting instructions");
    const changed = differences(recorded(), measure());
    const notes = changed.length > 0 ? [`Not as in bench/counts/counts.json: ${changed.join("; ")}`] : [];
    const tables = countTables(notes);
    progress(0.2, "counting machine instructions");
    if (wanted("counts-machine")) tables.push(machineCounts());
    progress(0.8, "sizes");
    if (wanted("sizes")) tables.push(await sizeTable());
    return tables.filter(({ name }) => wanted(name));
  },
};
