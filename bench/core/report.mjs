/** Rows as text. */

const colours = { met: 32, missed: 31, "cannot tell": 33, "no difference": 36, "n/a": 36 };

/** A table: columns are [title, cell(row)], the first to the left, the others to the right. */
function table(rows, columns, colour) {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, cell]) => cell(row) ?? ""))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i].length)));
  return cells
    .map((line) =>
      line
        .map((text, i) => {
          const last = i === line.length - 1;
          const padded = i === 0 ? text.padEnd(widths[i]) : last ? text : text.padStart(widths[i]);
          return colour && colours[text] ? `\x1b[${colours[text]}m${padded}\x1b[0m` : padded;
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const fixed = (digits) => (value) => (value === undefined ? "" : value.toFixed(digits));
const ns = fixed(1);
const ratio = fixed(3);
const whole = (value) => (value === undefined ? "" : Math.round(value).toLocaleString("en-US"));
const percent = (value) => (value === undefined ? "" : `${(100 * value).toFixed(1)} %`);
const interval = (ci) => (ci ? `${ratio(ci[0])}..${ratio(ci[1])}` : "");

const pairs = (theirs) => [
  ["", (row) => row.name],
  ["ours ns", (row) => ns(row.ours)],
  [theirs, (row) => ns(row.theirs)],
  ["ratio", (row) => ratio(row.ratio)],
  ["95 % of it", (row) => interval(row.ci)],
  ["noise", (row) => percent(row.noise)],
  ["goal", (row) => (row.goal === undefined ? "" : `<= ${row.goal}`)],
  ["", (row) => row.verdict],
];

const sections = {
  wasm: {
    title: "Inside wasm, 64-byte elements, all checks on; theirs is AssemblyScript's TLSF, -O3. ns per alloc + free",
    columns: pairs("theirs ns"),
  },
  typescript: {
    title: "From TypeScript, ns per alloc + free; the base is two empty calls into wasm and the pair inside wasm",
    columns: [
      ...pairs("base ns").slice(0, 3),
      ["calls", (row) => ns(row.calls)],
      ["inside", (row) => ns(row.inside)],
      ...pairs("").slice(3),
    ],
  },
  garbage: {
    title: "Garbage: collections in all repetitions, and growth of the JavaScript heap in one",
    columns: [
      ["", (row) => row.name],
      ["collections", (row) => (row.events === undefined ? "n/a" : String(row.events))],
      ["bytes", (row) => whole(row.bytes)],
      ["empty loop", (row) => whole(row.empty)],
      ["", (row) => row.verdict],
    ],
  },
  flat: {
    title:
      "Cost against what is live, 16-byte elements, ns per alloc + free. without: the same reads and writes but no allocator;\na byte beside: the same and one byte for each element in another place, as whoever is to notice double frees must have",
    columns: [
      ["", (row) => row.pattern],
      ["live or pools", (row) => whole(row.count)],
      ["ours ns", (row) => ns(row.ours)],
      ["without", (row) => ns(row.none)],
      ["a byte beside", (row) => ns(row.beside)],
      ["x first", (row) => fixed(2)(row.growth)],
    ],
  },
  memory: {
    title: "Memory: bytes used of the heap, for each byte handed out; and bytes of the memory",
    columns: [
      ["", (row) => row.name],
      ["used", (row) => whole(row.used)],
      ["memory", (row) => whole(row.bytes)],
      ["ratio", (row) => ratio(row.ratio)],
      ["goal", (row) => (row.goal === undefined ? "" : `<= ${row.goal}`)],
      ["", (row) => row.verdict],
    ],
    shown: (row) => row.ratio !== undefined,
  },
  startup: {
    title: "Startup, a fresh process each time, and size",
    columns: [
      ["", (row) => row.name],
      ["", (row) => row.text],
      ["goal", (row) => row.goal ?? ""],
      ["", (row) => row.verdict],
    ],
  },
};

export function report(result, colour) {
  const { machine, node, date, seed, quick, method, compiler } = result;
  const head = [
    `${machine.cpu}, ${machine.cores} cores, load ${machine.load}; ${node}; asc ${compiler.asc}; ${date}`,
    `seed ${seed}${quick ? "; quick: too few samples to judge by" : ""}`,
    ...method,
  ];
  const parts = Object.entries(result.sections).map(([name, rows]) => {
    const { title, columns, shown = () => true } = sections[name];
    return `${title}\n${table(rows.filter(shown), columns, colour)}`;
  });
  return [head.join("\n"), ...parts].join("\n\n");
}
