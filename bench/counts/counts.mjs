/**
 * The instructions, memory accesses and locked operations (atomic ones except loads) of fixed workloads, on the cores that
 * are shipped. They are exact: any change of the executed code shows as a difference from counts.json.
 */
import { readFileSync } from "node:fs";
import { counters, instrument } from "./instrument.mjs";
import { heapOf, workloads } from "./workloads.mjs";

export const file = new URL("counts.json", import.meta.url);
export const update = "npm run counts:update";
/** By name: how a heap is made on it, and the rate of a debug heap that samples. */
const cores = {
  "core.wasm": {},
  "core.shared.wasm": { shared: true },
  "debug.imported.wasm": { imported: true, sample: 1000 },
};
/** A shared heap's core is shipped in two halves of the same functions, which this file counts as one. */
const fileOf = { "core.shared.wasm": "core.shared.whole.wasm" };

const built = (name) => readFileSync(new URL(`../../build/${name}`, import.meta.url));

/** The counters of all instances together. */
const read = (instances) =>
  counters.map((name) => instances.reduce((sum, exports) => sum + Number(exports[name].value), 0));

/** One workload on one module. */
function count(workload, core) {
  const heap = heapOf(core, workload);
  const run = workload.make(heap);
  const sums = counters.map(() => 0);
  for (let i = 0; i < workload.calls; i++) {
    const before = read(heap.instances);
    const after = run();
    read(heap.instances).forEach((value, k) => (sums[k] += value - before[k]));
    after?.();
  }
  const calls = workload.pairs ?? workload.calls;
  return { calls, ...Object.fromEntries(counters.map((name, k) => [name, sums[k]])) };
}

/** The counts, by module and workload. */
export function measure() {
  return Object.fromEntries(
    Object.entries(cores).map(([name, { shared, ...how }]) => {
      const module = new WebAssembly.Module(instrument(built(fileOf[name] ?? name)));
      const rows = workloads
        .filter(({ threads, hit }) => (shared || !threads) && (hit || !how.sample))
        .map((workload) => {
          try {
            return [workload.name, count(workload, { module, shared, ...how })];
          } catch (cause) {
            throw new Error(`${name}: ${workload.name}: ${cause.message}`, { cause });
          }
        });
      return [name, Object.fromEntries(rows)];
    }),
  );
}

/** The counts in counts.json; none if there is no such file. */
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

/** One line for each workload, for diffs that are easy to read. */
export function format(counted) {
  const modules = Object.entries(counted).map(([name, rows]) => {
    const lines = Object.entries(rows).map(([workload, counts]) => lineOf(workload, counts));
    return `  ${JSON.stringify(name)}: {\n${lines.join(",\n")}\n  }`;
  });
  return `{\n${modules.join(",\n")}\n}\n`;
}

const each = (sum, calls) => (Number.isInteger(sum / calls) ? String(sum / calls) : (sum / calls).toFixed(2));
const keys = (a, b) => [...new Set([...Object.keys(a), ...Object.keys(b)])];

/** The changes per call, one line for each counter of a workload. */
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

/** The changes and their remedy, for people. */
export function message(lines) {
  return [
    "The cores execute other instructions than bench/counts/counts.json says. Per call, old -> new:",
    ...lines.map((line) => `  ${line}`),
    `If the change intends that: ${update}, and commit both together.`,
  ].join("\n");
}
