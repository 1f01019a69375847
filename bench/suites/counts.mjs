/**
 * Instructions executed, and bytes shipped: exact, the same on every machine. The suite fails if the instructions differ from
 * bench/counts/counts.json; with `update` it writes them there.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tsImport } from "tsx/esm/api";
import { differences, file, format, measure, message, recorded } from "../counts/counts.mjs";
import { machineCounts } from "../counts/machine.mjs";
import { root } from "../harness/machine.mjs";
import { exactRow, goalOf } from "../harness/statistics.mjs";

const gzip = (name) => gzipSync(readFileSync(join(root, "build", name)), { level: 9 }).length;
const tableName = (module) => `counts-${module.replaceAll(".", "-")}`;

const countTable = ([module, counts]) => ({
  name: tableName(module),
  title: `Instructions executed: ${module}`,
  workload:
    "Each named call of the module that is shipped, its wasm instructions counted one by one; per call, or pair.",
  unit: "instructions",
  lower: true,
  rows: Object.entries(counts).map(([side, { calls, instructions, accesses, locked }]) =>
    exactRow(side, instructions / calls, { accesses: accesses / calls, locked: locked / calls, calls }),
  ),
  noise: 0,
  notes: [
    "accesses: loads and stores of memory; locked: atomic operations except loads.",
    "memory.fill and memory.grow are one instruction each, however much they do.",
  ],
});

async function sizeTable() {
  const { budgets, sizes } = await tsImport("../../test/golden/sizes.ts", import.meta.url);
  const all = await sizes();
  const modules = Object.keys(all).filter((name) => name.endsWith(".wasm"));
  return {
    name: "sizes",
    title: "Bytes shipped",
    workload: "Each wasm module, and the JavaScript entry with all of them in it, bundled and minified.",
    unit: "bytes",
    lower: true,
    rows: [
      ...modules.map((name) => exactRow(name, all[name], { gzip: gzip(name), budget: budgets[name] })),
      exactRow("entry.min.js", all["entry.min.js"], { gzip: all["entry.min.js.gz"] }),
    ],
    noise: 0,
    goals: Object.entries(budgets).map(([name, budget]) =>
      goalOf(`${name} has at most ${budget.toLocaleString("en-US")} bytes`, { ratio: all[name] }, budget),
    ),
  };
}

export const suite = {
  title: "Instructions executed, and bytes shipped",
  seconds: 5,
  async run({ progress, wanted, update }) {
    progress(0, "counting instructions");
    const counted = measure();
    const changed = differences(recorded(), counted);
    if (update) writeFileSync(file, format(counted));
    const tables = Object.entries(counted).map(countTable);
    progress(0.2, "counting machine instructions");
    if (wanted("counts-machine")) tables.push(machineCounts());
    progress(0.8, "sizes");
    if (wanted("sizes")) tables.push(await sizeTable());
    return {
      tables: tables.filter(({ name }) => wanted(name)),
      ...(changed.length > 0 && (update ? { says: changed.join("\n") } : { fails: message(changed) })),
    };
  },
};
