/**
 * What fixed workloads execute of the cores as they are shipped: instructions, memory accesses, and locked operations
 * (atomic ones but loads). Exact, so that any change of the code that is run shows; counts.json has what they were.
 */
import { readFileSync } from "node:fs";
import { counters, instrument } from "./instrument.mjs";
import { heapOf, workloads } from "./workloads.mjs";

export const file = new URL("counts.json", import.meta.url);
export const update = "npm run counts:update";
const cores = { "core.wasm": false, "core.shared.wasm": true };

const built = (name) => readFileSync(new URL(`../../build/${name}`, import.meta.url));

/** The counters of all instances together. */
const read = (instances) =>
  counters.map((name) => instances.reduce((sum, exports) => sum + Number(exports[name].value), 0));

/** One workload on one module. */
function count(workload, { module, shared }) {
  const heap = heapOf({ module, shared }, workload);
  const run = workload.make(heap);
  const sums = counters.map(() => 0);
  for (let i = 0; i < workload.calls; i++) {
    const before = read(heap.instances);
    const after = run();
    read(heap.instances).forEach((value, k) => (sums[k] += value - before[k]));
    after?.();
  }
  // Of churn and wave: so many pairs.
  const calls = workload.pairs ?? workload.calls;
  return { calls, ...Object.fromEntries(counters.map((name, k) => [name, sums[k]])) };
}

/** Everything counted: module, workload, counts. */
export function measure() {
  return Object.fromEntries(
    Object.entries(cores).map(([name, shared]) => {
      const module = new WebAssembly.Module(instrument(built(name)));
      const rows = workloads
        .filter(({ threads }) => shared || !threads)
        .map((workload) => {
          try {
            return [workload.name, count(workload, { module, shared })];
          } catch (cause) {
            throw new Error(`${name}: ${workload.name}: ${cause.message}`, { cause });
          }
        });
      return [name, Object.fromEntries(rows)];
    }),
  );
}

/** What is written down; nothing if there is no such file. */
export function recorded() {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return {};
    throw error;
  }
}

function lineOf(name, counts) {
  const parts = Object.entries(counts).map(([key, value]) => `"${key}": ${value}`);
  return `    ${JSON.stringify(name)}: { ${parts.join(", ")} }`;
}

/** One line for each workload, so that a difference of two versions is read at once. */
export function format(counted) {
  const modules = Object.entries(counted).map(([name, rows]) => {
    const lines = Object.entries(rows).map(([workload, counts]) => lineOf(workload, counts));
    return `  ${JSON.stringify(name)}: {\n${lines.join(",\n")}\n  }`;
  });
  return `{\n${modules.join(",\n")}\n}\n`;
}

const each = (sum, calls) => (Number.isInteger(sum / calls) ? String(sum / calls) : (sum / calls).toFixed(2));
const keys = (a, b) => [...new Set([...Object.keys(a), ...Object.keys(b)])];

/** What has changed, one line for each counter of a workload, as it is per call; empty if nothing has. */
export function differences(before, now) {
  const lines = [];
  for (const module of keys(before, now)) {
    for (const name of keys(before[module] ?? {}, now[module] ?? {})) {
      const [old, current] = [before[module]?.[name], now[module]?.[name]];
      const title = `${module}: ${name}`;
      if (!old || !current) lines.push(`${title}: ${old ? "is gone" : "is new"}`);
      else if (old.calls !== current.calls) lines.push(`${title}: ${old.calls} -> ${current.calls} calls`);
      else {
        for (const key of counters) {
          const [a, b] = [old[key], current[key]];
          if (a === b) continue;
          const percent = a ? ` (${b > a ? "+" : ""}${((100 * (b - a)) / a).toFixed(1)} %)` : "";
          lines.push(`${title}: ${each(a, old.calls)} -> ${each(b, current.calls)} ${key}${percent}`);
        }
      }
    }
  }
  return lines;
}

/** For people: what has changed, and what to do about it. */
export function message(lines) {
  return [
    "What the cores execute is not what bench/counts/counts.json says. Per call, old -> new:",
    ...lines.map((line) => `  ${line}`),
    `If that is what the change costs or saves: ${update}, and commit both together.`,
  ].join("\n");
}

/** The table, per call. */
export function table(counted) {
  const rows = [];
  for (const [module, counts] of Object.entries(counted)) {
    rows.push([module, ...counters]);
    for (const [name, its] of Object.entries(counts)) {
      rows.push([`  ${name}`].concat(counters.map((key) => each(its[key], its.calls))));
    }
  }
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const pad = (cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]));
  return rows.map((row) => row.map(pad).join("  ")).join("\n");
}
