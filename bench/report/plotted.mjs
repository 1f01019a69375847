/** The plots of each suite. */
import { bars } from "./plots.mjs";

/** By suite: file, title, subtitle, and the tables in the plot, each with the statistic that it shows. */
const plotsOfSuites = {
  allocators: [
    {
      file: "allocators.svg",
      title: "Allocators inside WebAssembly, one thread",
      subtitle: "time for an allocation and its free, both ends of the block touched",
      tables: ["pair", "waves", "churn-1k", "churn-10k"],
    },
    {
      file: "allocators-javascript.svg",
      title: "Allocators called from JavaScript",
      subtitle: "time for an allocation and its free, both ends of the block touched",
      tables: ["javascript-pair", "javascript-waves", "javascript-churn-1k", "javascript-churn-10k"],
    },
    {
      file: "allocators-memory.svg",
      title: "The user's part of the memory that an allocator holds",
      subtitle: "in whole Wasm pages, after a while of each workload",
      tables: ["memory-churn-1k", "memory-churn-10k", "memory-larson", "memory-mstress"],
    },
  ],
  heap: [
    {
      file: "heap.svg",
      title: "Objects in JavaScript's heap, and in linear memory",
      subtitle: "time for one operation, garbage collection in it",
      tables: ["churn-1k-64", "churn-1m-64", "frames-200k", "particles-20k", "lru-1k", "messages-256"],
    },
    {
      file: "heap-slowest.svg",
      title: "The slowest batches and frames",
      subtitle: "one batch of 200 replacements in a thousand takes longer, and one frame in a hundred",
      tables: ["churn-1m-64", "frames-200k"],
      stats: ["p999", "p99"],
    },
  ],
  runtimes: [
    {
      file: "runtimes.svg",
      title: "The same package on other runtimes",
      subtitle: "time for an allocation and its free",
      tables: ["runtimes-pair", "runtimes-wave-1k", "runtimes-churn-1k", "runtimes-churn-64k"],
    },
  ],
  startup: [
    {
      file: "startup.svg",
      title: "Before the first element",
      subtitle: "in a new process",
      tables: ["startup-total", "startup-bytes"],
    },
  ],
};

function panelOf(table, stat = "median") {
  const sign = table.lower ? 1 : -1;
  return {
    title: table.title,
    unit: stat === "median" ? table.unit : `${stat}, ${table.spanUnit ?? table.unit}`,
    lower: table.lower,
    bars: table.rows
      .filter(({ side, stats }) => stats[stat] > 0 && !side.endsWith("again"))
      .map(({ side, stats }) => ({ side, value: stats[stat] }))
      .toSorted((a, b) => sign * (a.value - b.value)),
  };
}

/** The plots of one suite: file, title and SVG. */
export const plotsOf = (result) =>
  (plotsOfSuites[result.suite] ?? []).flatMap(({ file, title, subtitle, tables: names, stats = [] }) => {
    const panels = names.flatMap((name, i) => {
      const table = result.tables.find((one) => one.name === name);
      return table ? [panelOf(table, stats[i])] : [];
    });
    return panels.length > 0 ? [{ file, title, text: bars(title, subtitle, panels) }] : [];
  });
