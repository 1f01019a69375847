/** What the results say, as pages: a function of the results and of the hand-written text around it alone. */
import { format } from "prettier";
import { columnsOf, footOf, markdownRows, number, ratioOf, times, valueOf } from "../lib/text.mjs";
import { bars, field } from "./plots.mjs";

const OURS = "wasm-mempool";

const tableOf = (results, suite, name) =>
  results.find((result) => result.suite === suite)?.tables.find((table) => table.name === name);
const rowOf = (table, side) => table?.rows.find((row) => row.side === side);

/** The rows that are held against ours, and are no kin of ours, nor a mere floor. */
const rivals = (table) =>
  table.rows.filter((row) => ratioOf(row)?.of === OURS && !row.side.startsWith(OURS) && !row.side.startsWith("bump "));

const fastest = (table) =>
  rivals(table).toSorted((a, b) => (table.lower ? 1 : -1) * (a.stats.median - b.stats.median))[0];

const withInterval = ({ ratio, ci }) => `${times(ratio)}${ci ? ` (${times(ci[0])} to ${times(ci[1])})` : ""}`;

/** Markdown's table from rows of cells; numbers to the right. */
const markdown = (titles, rows) =>
  markdownRows(
    titles.map((title, i) => {
      const cells = rows.map((row) => row[i]);
      return [title, cells.every((cell) => /^[\d.,]*(?: |$)/.test(cell)) ? "right" : "left", cells];
    }),
  );

// ---------------------------------------------------------------------------------------------------------------------
// Plots

/** By suite: what is drawn, of the tables that there are. */
const barsOf = {
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
      title: "How much of the memory an allocator holds is its user's",
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
      subtitle: "of a batch of 200 replacements one in a thousand takes longer, and of the frames one in a hundred",
      tables: ["churn-1m-64", "frames-200k"],
      stats: { "churn-1m-64": "p999", "frames-200k": "p99" },
    },
  ],
  runtimes: [
    {
      file: "runtimes.svg",
      title: "The same package on other runtimes",
      subtitle: "time for an allocation and its free",
      count: 4,
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

const fieldsOf = {
  allocators: {
    file: "allocators-all.svg",
    title: "How many times as long as wasm-mempool",
    subtitle: "all workloads inside WebAssembly; more than 1: wasm-mempool is faster",
    pick: ({ name, unit }) => unit === "ns/op" && !name.startsWith("javascript-"),
  },
  heap: {
    file: "heap-all.svg",
    title: "How many times as long as wasm-mempool",
    subtitle: "more than 1: wasm-mempool is faster",
    pick: ({ unit }) => unit === "ns/op",
  },
};

function panelOf(table, stat = "median") {
  const all = table.rows
    .filter(({ side, stats }) => stats[stat] > 0 && !/again$|against ourselves$/.test(side))
    .map(({ side, stats }) => ({ side, value: stats[stat] }));
  const sign = table.lower ? 1 : -1;
  return {
    title: table.title,
    unit: stat === "median" ? table.unit : `${stat}, ${table.spanUnit ?? table.unit}`,
    lower: table.lower,
    bars: all.toSorted((a, b) => sign * (a.value - b.value)),
  };
}

/** The plots of one suite: file name and SVG. */
function plotsOf(result) {
  const plots = [];
  for (const { file, title, subtitle, tables: names, count, stats = {} } of barsOf[result.suite] ?? []) {
    const tables = names
      ? names.map((name) => result.tables.find((table) => table.name === name)).filter(Boolean)
      : result.tables.filter(({ rows }) => rows.length > 1).slice(0, count);
    if (tables.length > 0)
      plots.push({
        file,
        title,
        text: bars(
          title,
          subtitle,
          tables.map((table) => panelOf(table, stats[table.name])),
        ),
      });
  }
  const whole = fieldsOf[result.suite];
  if (whole) {
    const tables = result.tables.filter((table) => whole.pick(table) && rivals(table).length > 0);
    if (tables.length > 1)
      plots.push({ file: whole.file, title: whole.title, text: field(whole.title, whole.subtitle, tables) });
  }
  return plots;
}

// ---------------------------------------------------------------------------------------------------------------------
// docs/benchmarks.md

const gib = (value) => `${(value / 2 ** 30).toFixed(0)} GiB`;

function machineOf({ machine, versions = {}, date, seed, seconds, quick }) {
  const { cpu, cores, memory, load, platform, arch } = machine;
  const on = [cpu, `${cores} cores`, memory && gib(memory), `${platform} ${arch}`, `load ${load}`]
    .filter(Boolean)
    .join(", ");
  const by = Object.entries(versions)
    .filter(([, version]) => version)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  const lines = [`${on}.`, `${by}.`, `${date.slice(0, 10)}, seed ${seed}${seconds ? `, ${seconds} s` : ""}.`];
  if (quick) lines.push("**A quick run: too few samples to judge by.**");
  return lines.join(" ");
}

/** Where somebody else is ahead, beyond noise: most of it first. */
function lost(result) {
  const all = [];
  for (const table of result.tables) {
    for (const row of rivals(table)) {
      const { ratio, ci, verdict } = ratioOf(row);
      const better = table.lower ? ratio < 1 && (!ci || ci[1] < 1) : ratio > 1 && (!ci || ci[0] > 1);
      if (better && verdict !== "no difference") all.push({ table, row, ratio: ratioOf(row) });
    }
  }
  return all.toSorted((a, b) => a.ratio.ratio - b.ratio.ratio);
}

function section(result, plots) {
  const parts = [`## ${result.title}`, machineOf(result), ...(result.method ?? []).map((text) => `- ${text}`)];
  // A list's lines belong together.
  const head = [parts[0], parts[1], parts.slice(2).join("\n")];
  const pictures = plots.map(({ file, title }) => `![${title}](bench/${file})`);
  const behind = lost(result);
  const lines = behind
    .slice(0, 12)
    .map(({ table, row, ratio }) => `- ${table.title}: ${row.side} takes ${withInterval(ratio)} of our time.`);
  if (behind.length > 12) lines.push(`- ${behind.length - 12} more, in the tables.`);
  const why = behind.length
    ? [`**Where others are ahead**, beyond the noise (see [when not to use this](when-not.md)):`, lines.join("\n")]
    : [];
  const about = Object.entries(result.about ?? {});
  const sides = about.length ? [markdown(["side", "what it is"], about)] : [];
  const tables = result.tables.flatMap((table) => [
    `### ${table.title}`,
    `${table.workload ? `${table.workload[0].toUpperCase()}${table.workload.slice(1)}` : ""}${/[.]$/.test(table.workload ?? ".") ? "" : "."}`,
    markdownRows(columnsOf(table)),
    footOf(table)
      .map((line) => `- ${line}`)
      .join("\n"),
  ]);
  const notRun = new Map(
    result.tables.flatMap((table) =>
      (table.notRun ?? []).map(({ side, why: reason }) => [`${side}\0${reason}`, table.name]),
    ),
  );
  const missing = notRun.size
    ? ["### Not run", [...notRun.keys()].map((key) => `- ${key.replace("\0", ": ")}`).join("\n")]
    : [];
  const raw = `Every sample: [bench/results/${result.suite}.json](../bench/results/${result.suite}.json).`;
  return [...head, ...pictures, ...sides, ...why, ...tables, ...missing, raw].filter(Boolean);
}

function goalsTable(results) {
  const rows = [];
  for (const { title, tables } of results) {
    for (const table of tables) {
      for (const { text, value, ci, goal, verdict } of table.goals ?? []) {
        const show = ci ? times : valueOf(table.unit === "bytes" ? "bytes" : "");
        const is = value === undefined ? "" : ci ? withInterval({ ratio: value, ci }) : show(value);
        rows.push([title, `${table.title}: ${text}`, is, goal === undefined ? "" : show(goal), verdict]);
      }
    }
  }
  const of = (verdict) => rows.filter((row) => row[4] === verdict).length;
  const count = `${rows.length} goals: ${of("met")} met, ${of("missed")} missed, ${of("cannot tell")} that cannot be told.`;
  return rows.length ? [count, markdown(["suite", "goal", "value", "at", "verdict"], rows)] : [];
}

function page(results, plots) {
  const list = results.map(
    ({ title }) =>
      `- [${title}](#${title
        .toLowerCase()
        .replaceAll(/[^a-z0-9 -]/g, "")
        .replaceAll(" ", "-")})`,
  );
  return [
    "# Benchmarks",
    "`npm run bench` measures, `npm run bench -- --save` writes every sample to [bench/results](../bench/results), and `npm run bench:report` writes this page from there: edit neither by hand. The machine is a shared one, so read ratios, not nanoseconds.",
    [
      "- Ratios are of pairs of samples taken by turns in one run, with a 95 % bootstrap interval. _against wasm-mempool_: how many times as long as wasm-mempool that side takes; more than 1: wasm-mempool is faster.",
      "- The noise of a table is how far wasm-mempool seems to be from itself in the same run. What is inside it is called _no difference_.",
      "- A goal is met, or missed, if all of the interval says so.",
    ].join("\n"),
    list.join("\n"),
    "## Goals",
    ...goalsTable(results),
    ...results.flatMap((result) => section(result, plots.get(result.suite))),
  ].join("\n\n");
}

// ---------------------------------------------------------------------------------------------------------------------
// What is put between markers

/** In README: a few lines of each suite. [suite, table, side; undefined: the fastest other] */
const picked = [
  ["allocators", "pair"],
  ["allocators", "pair", "dlmalloc (emscripten)"],
  ["allocators", "waves"],
  ["allocators", "waves", "dlmalloc (emscripten)"],
  ["allocators", "churn-1k"],
  ["allocators", "churn-10k"],
  ["allocators", "churn-10k", "AssemblyScript TLSF"],
  ["allocators", "javascript-churn-1k"],
  ["allocators", "javascript-churn-1k", "@thi.ng/malloc"],
  ["heap", "churn-1m-64", "classes"],
  ["heap", "frames-200k", "classes"],
  ["heap", "messages-256", "structured clone of an object"],
];

function readmeBlock(results, plots) {
  const rows = [];
  for (const [suite, name, side] of picked) {
    const table = tableOf(results, suite, name);
    const row = table && (side === undefined ? fastest(table) : rowOf(table, side));
    const mine = rowOf(table, OURS);
    const ratio = row && ratioOf(row);
    if (!ratio || ratio.of !== OURS || !mine) continue;
    if (rows.some((other) => other[0] === table.title && other[1] === row.side)) continue;
    const verdict = ratio.verdict === "no difference" ? ", no difference" : "";
    rows.push([
      table.title,
      row.side,
      `${number(mine.stats.median)} ${table.unit}`,
      `${withInterval(ratio)}${verdict}`,
    ]);
  }
  const plot = plots.get("allocators")?.[0] ?? [...plots.values()].flat()[0];
  return [
    rows.length ? markdown(["", "against", "wasm-mempool", "takes so many times as long (95 %)"], rows) : "",
    plot ? `![${plot.title}](docs/bench/${plot.file})` : "",
    "All tables, the method, and what was not run: [docs/benchmarks.md](docs/benchmarks.md).",
  ]
    .filter(Boolean)
    .join("\n\n");
}

/** In docs/when-not.md, by the name in the marker: lines of figures, or none. */
const figures = {
  fastest(results) {
    const rows = [];
    for (const name of ["pair", "waves", "churn-1k", "sh6", "sh8", "scratch", "javascript-pair", "javascript-waves"]) {
      const table = tableOf(results, "allocators", name);
      const row = table && fastest(table);
      if (row) rows.push([table.title, row.side, withInterval(ratioOf(row))]);
    }
    return rows.length ? markdown(["", "the fastest other", "takes so many times as long"], rows) : "";
  },
  memory(results) {
    const rows = [];
    for (const name of ["memory-churn-1k", "memory-churn-10k", "memory-larson", "memory-sh8", "memory-mstress"]) {
      const table = tableOf(results, "allocators", name);
      if (!table) continue;
      const part = (side) => {
        const row = rowOf(table, side);
        return row ? `${(100 * row.stats.median).toFixed(0)} %` : "";
      };
      rows.push([table.title, part(OURS), part("dlmalloc (wasi-libc)"), part("AssemblyScript TLSF")]);
    }
    return rows.length ? markdown(["", OURS, "dlmalloc (wasi-libc)", "AssemblyScript TLSF"], rows) : "";
  },
  size(results) {
    const table = tableOf(results, "allocators", "size");
    const rows = (table?.rows ?? []).map(({ side, stats, extra }) => [side, number(stats.median), number(extra.gzip)]);
    return rows.length ? markdown(["", "bytes", "gzipped"], rows) : "";
  },
  /** Where objects are faster than we are. */
  heap(results) {
    const result = results.find(({ suite }) => suite === "heap");
    const rows = (result ? lost(result) : []).map(({ table, row, ratio }) => [
      table.title,
      row.side,
      withInterval(ratio),
    ]);
    return rows.length ? markdown(["", "what is faster", "takes so many times as long"], rows) : "";
  },
  messages(results) {
    const table = tableOf(results, "threads", "messages");
    const rows = (table?.rows ?? [])
      .filter((row) => row.side.startsWith("slots") && row.ratio)
      .map((row) => [row.side, `${number(row.stats.median)} ${table.unit}`, withInterval(row.ratio), row.ratio.of]);
    return rows.length ? markdown(["", "", "takes so many times as long", "as"], rows) : "";
  },
};

/** `text` with what is between the markers `begin NAME` and `end` written anew. */
function filled(text, blocks) {
  return text.replaceAll(/(<!-- bench:begin ?(\S*) -->)[\s\S]*?(<!-- bench:end -->)/g, (_all, begin, name, end) => {
    if (!(name in blocks))
      throw new Error(`bench:begin ${name}: there is no such block; there are ${Object.keys(blocks).join(", ")}`);
    const inside = blocks[name]();
    return inside ? `${begin}\n\n${inside}\n\n${end}` : `${begin}\n${end}`;
  });
}

/**
 * All pages, by path: of the results as load() gives them, and of the pages that are half written by hand, by path too.
 */
export async function pages(results, written, options) {
  const plots = new Map(results.map((result) => [result.suite, plotsOf(result)]));
  const blocks = {
    "": () => readmeBlock(results, plots),
    ...Object.fromEntries(Object.entries(figures).map(([name, make]) => [name, () => make(results)])),
  };
  const all = new Map();
  const add = async (path, text) => all.set(path, await format(text, { ...options, filepath: path }));
  await add("docs/benchmarks.md", page(results, plots));
  for (const [path, text] of Object.entries(written)) await add(path, filled(text, blocks));
  for (const { file, text } of [...plots.values()].flat()) all.set(`docs/bench/${file}`, text);
  return all;
}
