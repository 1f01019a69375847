/** The figures in the docs, between `<!-- bench:begin NAME -->` and `<!-- bench:end -->`, from the results alone. */
import { goalCount, goalRows } from "./full.mjs";
import { OURS, fastest, lost, machineOf, markdown, rowOf, tableOf, withInterval } from "./rows.mjs";
import { bytes, number, ratioOf, times } from "./text.mjs";

const MALLOC = "wasm-mempool's malloc";
const ZIG = "Zig's wasm_allocator";

const withUnit = ({ stats }, unit) => `${number(stats.median, true)} ${unit}`;
const share = (part) => `${(100 * part).toFixed(0)} %`;
const percent = (part) => `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`;
const noiseOf = (table) => (table.noise > 0 ? percent(table.noise) : "");
const noiseIn = (table) => (table?.noise > 0 ? ` (noise ${percent(table.noise)})` : "");
const ratioText = (row) => {
  const ratio = row && ratioOf(row);
  if (!ratio) return "";
  return `${times(ratio.ratio)}${ratio.verdict === "no difference" ? ", no difference" : ""}`;
};

/** Rows for the tables of a suite that there are. */
const each = (results, suite, names, cells) =>
  names
    .map((name) => tableOf(results, suite, name))
    .filter(Boolean)
    .map(cells);

/** Against other allocators: our time, and how many times as long the others take. */
function allocators(results, names) {
  const sides = ["AssemblyScript TLSF", "dlmalloc (wasi-libc)", "dlmalloc (emscripten)", "mimalloc (wasi-libc)"];
  return markdown(
    ["", OURS, "the fastest other", ...sides, "noise"],
    each(results, "allocators", names, (table) => {
      const best = fastest(table);
      return [
        table.title,
        withUnit(rowOf(table, OURS), "ns"),
        `${best.side}: ${ratioText(best)}`,
        ...sides.map((side) => ratioText(rowOf(table, side))),
        noiseOf(table),
      ];
    }),
  );
}

/** The rows of a table of threads, without the noise and without the third thread. */
const plainRows = (table) => (table?.rows ?? []).filter(({ side }) => !/ours against ours|itself$|idle/.test(side));
const against = ({ ratio }) => (ratio ? times(ratio.ratio) : "");

/** docs/speed.md: [suite, table, side; undefined: the fastest other]. */
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

function readme(results) {
  const rows = [];
  for (const [suite, name, side] of picked) {
    const table = tableOf(results, suite, name);
    const row = table && (side === undefined ? fastest(table) : rowOf(table, side));
    const mine = rowOf(table, OURS);
    const ratio = row && ratioOf(row);
    if (!ratio || ratio.of !== OURS || !mine) continue;
    if (rows.some((other) => other[0] === table.title && other[1] === row.side)) continue;
    const verdict = ratio.verdict === "no difference" ? ", no difference" : "";
    rows.push([table.title, row.side, withUnit(mine, table.unit), `${withInterval(ratio)}${verdict}`]);
  }
  return [
    markdown(["", "against", OURS, "takes so many times as long (95 %)"], rows),
    "![Allocators inside WebAssembly, one thread](bench/allocators.svg)",
    "More figures, the method, and how to run it: [Benchmarks](benchmarks.md).",
  ].join("\n\n");
}

export const blocks = {
  "": readme,

  machine(results) {
    const dates = [...new Set(results.map(({ date }) => date.slice(0, 10)))].toSorted().join(" and ");
    const of = (key) => [...new Set(results.map(({ versions }) => versions[key]))].join(" and ");
    const on = [...new Set(results.map(machineOf))].join("; ");
    return `${on}; Node ${of("node")}, V8 ${of("v8")}, AssemblyScript ${of("assemblyscript")}. Measured on ${dates}.`;
  },

  allocators(results) {
    const calls = tableOf(results, "core", "typescript");
    const bulk = tableOf(results, "core", "bulk");
    const inside = tableOf(results, "core", "wasm-pair");
    return [
      allocators(results, [
        "pair",
        "waves",
        "churn-1k",
        "churn-10k",
        "larson",
        "sh6",
        "mstress",
        "javascript-pair",
        "javascript-waves",
        "javascript-churn-1k",
        "javascript-churn-10k",
      ]),
      markdown(
        [`From JavaScript${noiseIn(calls)}`, "", `against ${calls?.rows[0]?.ratio.of}`],
        (calls?.rows ?? []).map((row) => [row.side, withUnit(row, "ns"), withInterval(row.ratio)]),
      ),
      markdown(
        [`In bulk, from JavaScript${noiseIn(bulk)}`, "a pair", "a call for each element", "bulk against that"],
        (bulk?.rows ?? []).map((row) => [
          row.side,
          withUnit(row, "ns"),
          `${number(row.extra["ns, single"], true)} ns`,
          withInterval(row.ratio),
        ]),
      ),
      markdown(
        ["Inside wasm, a pair", "", "against AssemblyScript TLSF"],
        (inside?.rows ?? [])
          .filter(({ side }) => side !== "ours against ours")
          .map((row) => [row.side, withUnit(row, "ns"), row.ratio ? withInterval(row.ratio) : ""]),
      ),
    ]
      .filter(Boolean)
      .join("\n\n");
  },

  objects(results) {
    const sides = ["classes", "object pool in an array", "structure of arrays"];
    const names = ["churn-1k-64", "churn-1m-64", "frames-200k", "garbage-10k", "queue-time-10k", "lru-100k"];
    return markdown(
      ["", OURS, ...sides, "p99.9: ours", "p99.9: classes", "noise"],
      each(results, "heap", names, (table) => {
        const slow = (side) => {
          const p999 = rowOf(table, side)?.stats.p999;
          return p999 === undefined ? "" : `${number(p999, true)} µs`;
        };
        return [
          table.title,
          withUnit(rowOf(table, OURS), "ns"),
          ...sides.map((side) => ratioText(rowOf(table, side))),
          slow(OURS),
          slow("classes"),
          noiseOf(table),
        ];
      }),
    );
  },

  fields(results) {
    const table = tableOf(results, "struct", "struct-particles");
    return markdown(
      [`${table?.title}${noiseIn(table)}`, "", "against views by hand", "collections a frame"],
      (table?.rows ?? [])
        .filter(({ side }) => !side.endsWith("again"))
        .map((row) => [
          row.side,
          withUnit(row, "ms"),
          row.ratio ? withInterval(row.ratio) : "",
          number(row.extra["collections a frame"]),
        ]),
    );
  },

  live(results) {
    const garbage = tableOf(results, "core", "garbage");
    const memory = tableOf(results, "core", "memory");
    return [
      markdown(
        ["", "collections", "bytes by which the JS heap grew"],
        (garbage?.rows ?? [])
          .slice(0, 3)
          .map(({ side, stats, extra }) => [side, number(extra.collections), number(Math.round(stats.median))]),
      ),
      markdown(
        ["", "bytes in use for each byte allocated"],
        (memory?.rows ?? []).slice(0, 2).map(({ side, stats }) => [side, stats.median.toFixed(3)]),
      ),
    ]
      .filter(Boolean)
      .join("\n\n");
  },

  threads(results) {
    const [scaling, sent, latency] = ["scaling", "messages", "latency"].map((name) =>
      tableOf(results, "threads", name),
    );
    return [
      markdown(
        [`two threads on one pool${noiseIn(scaling)}`, "times the throughput of one", "with a pool each"],
        plainRows(scaling).map(({ side, stats, extra }) => [side, times(stats.median), times(extra["x, a pool each"])]),
      ),
      markdown(
        [`messages of 256 bytes to another thread${noiseIn(sent)}`, "each", "times as long as the pool"],
        plainRows(sent).map((row) => [row.side, withUnit(row, "ns"), against(row)]),
      ),
      markdown(
        [`waking a thread that waits${noiseIn(latency)}`, "median", "p99", "times as long as the bare wait"],
        plainRows(latency).map((row) => [
          row.side,
          withUnit(row, "µs"),
          `${number(row.stats.p99, true)} µs`,
          against(row),
        ]),
      ),
    ]
      .filter(Boolean)
      .join("\n\n");
  },

  startup(results) {
    const total = tableOf(results, "startup", "startup-total");
    const rss = tableOf(results, "startup", "memory-rss");
    return markdown(
      ["", "to the first element", "resident memory"],
      (total?.rows ?? []).map((row) => [row.side, withUnit(row, "ms"), bytes(rowOf(rss, row.side)?.stats.median ?? 0)]),
    );
  },

  /** The loads on a debug heap: times as long as on a release heap, and times its memory. */
  debug(results) {
    const sides = ["debug", "debug without stacks"];
    return markdown(
      ["", "release", "debug: times as long", "without stacks", "noise", "bytes: release", "debug", "without stacks"],
      each(results, "debug", ["particles", "tiles", "synth", "service"], (table) => {
        const used = (side) => bytes(rowOf(table, side)?.extra.used ?? 0);
        return [
          `${table.title}, ${table.workload.split(":")[0]}`,
          withUnit(rowOf(table, "release"), "µs"),
          ...sides.map((side) => ratioText(rowOf(table, side))),
          noiseOf(table),
          used("release"),
          ...sides.map(used),
        ];
      }),
    );
  },

  runtimes(results) {
    const pair = tableOf(results, "runtimes", "runtimes-pair");
    const inside = tableOf(results, "runtimes", "runtimes-pair-in-wasm");
    const others = {
      "the core's exports": "pair-called",
      "16 pools in turn": "pair-16-pools",
      "5 heaps in turn": "pair-5-heaps",
      "a pool that zeroes": "pair-zeroed",
      "a shared heap": "pair-shared",
      "a particle, by indices": "particles",
      "by a cursor": "particles-cursor",
    };
    const cell = (name, side) => {
      const row = rowOf(tableOf(results, "runtimes", `runtimes-${name}`), side);
      return row ? `${number(row.stats.median, true)} ns` : "";
    };
    return [
      markdown(
        [
          "",
          "version",
          "alloc and free from JavaScript",
          "against both",
          "two calls that load",
          "inside wasm",
          "noise",
        ],
        (inside?.rows ?? []).map((row) => {
          const from = rowOf(pair, row.side);
          const { extra } = from ?? row;
          return [
            row.side,
            /\d+(\.\d+)*/.exec(extra.version ?? "")?.[0] ?? "",
            from ? withUnit(from, "ns") : "",
            extra["against both"] ? times(extra["against both"]) : "",
            from ? `${number(extra.calls, true)} ns` : "",
            withUnit(row, "ns"),
            percent(extra.noise),
          ];
        }),
      ),
      markdown(
        ["a pair", ...Object.keys(others), "indices against by hand"],
        (pair?.rows ?? []).map(({ side }) =>
          [side].concat(
            Object.values(others).map((name) => cell(name, side)),
            against(rowOf(tableOf(results, "runtimes", "runtimes-particles"), side) ?? {}),
          ),
        ),
      ),
    ]
      .filter(Boolean)
      .join("\n\n");
  },

  backend(results) {
    const table = tableOf(results, "core", "backend");
    return markdown(
      [`${table?.title}, 1,000 elements${noiseIn(table)}`, "", "against the calls"],
      (table?.rows ?? []).map((row) => [
        row.side,
        `${number(row.stats.median / 1000, true)} µs`,
        row.ratio ? withInterval(row.ratio) : "",
      ]),
    );
  },

  /** One row for each table with missed goals. */
  goals(results) {
    const rows = goalRows(results);
    const missed = new Map();
    for (const [suite, text, is, goal, verdict] of rows) {
      if (verdict !== "missed") continue;
      const key = `${suite}${text.split(":")[0]}`;
      const row = missed.get(key);
      if (row) row.more++;
      else missed.set(key, { text, is, goal, more: 0 });
    }
    const lines = [...missed.values()].map(({ text, is, goal, more }) => [
      more ? `${text}; and ${more} more like it` : text,
      is,
      goal,
    ]);
    return rows.length ? `${goalCount(rows)}\n\n${markdown(["missed", "value", "goal"], lines)}` : "";
  },

  fastest(results) {
    const names = ["pair", "waves", "churn-1k", "sh6", "sh8", "scratch", "javascript-pair", "javascript-waves"];
    return markdown(
      ["", "the fastest other", "takes so many times as long"],
      each(results, "allocators", names, (table) => {
        const row = fastest(table);
        return [table.title, row.side, withInterval(ratioOf(row))];
      }),
    );
  },

  memory(results) {
    const sides = [OURS, MALLOC, "dlmalloc (wasi-libc)", "mimalloc 3 (wasi-libc)", ZIG, "AssemblyScript TLSF"];
    const names = ["churn-1k", "churn-10k", "fragmented", "larson", "sh8", "mstress"].map((name) => `memory-${name}`);
    return markdown(
      ["", ...sides],
      each(results, "allocators", names, (table) => [
        table.title.replace("Memory, ", ""),
        ...sides.map((side) => {
          const row = rowOf(table, side);
          return row ? `${share(row.stats.median)} (${share(row.extra["of its address range"])})` : "";
        }),
      ]),
    );
  },

  /** Our malloc among others, in ns. */
  malloc(results) {
    const sides = [
      MALLOC,
      "dlmalloc (wasi-libc)",
      "mimalloc (wasi-libc)",
      "mimalloc 3 (wasi-libc)",
      "emmalloc (emscripten)",
      ZIG,
      "talc",
      "bare lists (C)",
    ];
    const names = [
      "pair",
      "waves",
      "churn-1k",
      "churn-10k",
      "fragmented",
      "larson",
      "xmalloc",
      "sh6",
      "sh8",
      "mstress",
    ];
    return markdown(
      ["ns for an allocation and a free", ...sides],
      each(results, "allocators", names, (table) => [
        table.title,
        ...sides.map((side) => {
          const row = rowOf(table, side);
          return row ? number(row.stats.median, true) : "";
        }),
      ]),
    );
  },

  size: (results) =>
    markdown(
      ["", "bytes", "gzipped"],
      (tableOf(results, "allocators", "size")?.rows ?? []).map(({ side, stats, extra }) => [
        side,
        number(stats.median),
        number(extra.gzip),
      ]),
    ),

  /** JavaScript's own means that are faster than ours. */
  heap: (results) =>
    markdown(
      ["", "what is faster", "takes so many times as long"],
      results
        .filter(({ suite }) => suite === "heap")
        .flatMap(lost)
        .map(({ table, row, ratio }) => [table.title, row.side, withInterval(ratio)]),
    ),

  messages: (results) =>
    markdown(
      ["", "", "takes so many times as long", "as"],
      (tableOf(results, "threads", "messages")?.rows ?? [])
        .filter((row) => row.side.startsWith("slots") && row.ratio)
        .map((row) => [row.side, withUnit(row, "ns/op"), withInterval(row.ratio), row.ratio.of]),
    ),
};

/** The text with its blocks written anew. */
export function filled(text, results) {
  return text.replaceAll(/(<!-- bench:begin ?(\S*) -->)[\s\S]*?(<!-- bench:end -->)/g, (_all, begin, name, end) => {
    if (!(name in blocks))
      throw new Error(`bench:begin ${name}: there is no such block; there are ${Object.keys(blocks).join(", ")}`);
    const inside = blocks[name](results);
    return inside ? `${begin}\n\n${inside}\n\n${end}` : `${begin}\n${end}`;
  });
}
