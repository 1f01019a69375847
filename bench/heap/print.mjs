/** The suite's tables as text. */
import { cpus, loadavg } from "node:os";

const colours = {
  met: 32,
  missed: 31,
  "cannot tell": 33,
  slower: 32,
  faster: 31,
  "no difference": 36,
};

/** Three digits are about what is true. */
function digits(value) {
  if (value === undefined) return "";
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(value >= 10 ? 1 : 2);
}
const mega = (bytes) => (bytes === undefined ? "" : (bytes / 1e6).toFixed(1));
const interval = (ci) => (ci ? `${digits(ci[0])}..${digits(ci[1])}` : "");

const columns = [
  ["", (row) => row.side],
  ["ns/op", (row) => digits(row.stats.median)],
  ["x ours", (row) => digits(row.ratio?.ratio)],
  ["95 % of it", (row) => interval(row.ratio?.ci)],
  ["cpu ns", (row) => digits(row.extra.cpuNs)],
  ["p50 µs", (row) => digits(row.stats.p50)],
  ["p99", (row) => digits(row.stats.p99)],
  ["p99.9", (row) => digits(row.stats.p999)],
  ["max", (row) => digits(row.stats.max)],
  ["gcs", (row) => row.extra.collections?.count ?? ""],
  ["gc ms", (row) => digits(row.extra.collections?.ms)],
  ["MB", (row) => mega(row.extra.resident)],
  ["peak MB", (row) => mega(row.extra.peak)],
  ["B/object", (row) => (row.extra.bytesPerObject === undefined ? "" : Math.round(row.extra.bytesPerObject))],
  ["", (row) => row.ratio?.verdict ?? ""],
];

function lines(rows, colour) {
  const shown = columns.filter(([title, cell], i) => i === 0 || title === "" || rows.some((row) => cell(row) !== ""));
  const cells = [shown.map(([title]) => title), ...rows.map((row) => shown.map(([, cell]) => String(cell(row))))];
  const widths = shown.map((_, i) => Math.max(...cells.map((line) => line[i].length)));
  return cells.map((line) =>
    line
      .map((text, i) => {
        const last = i === shown.length - 1;
        const padded = i === 0 ? text.padEnd(widths[i]) : last ? text : text.padStart(widths[i]);
        return colour && colours[text] ? `\x1b[${colours[text]}m${padded}\x1b[0m` : padded;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** At most 120 characters a line. */
function folded(text, indent) {
  const out = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > 118 - indent) {
      out.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...out, line].join(`\n${" ".repeat(indent)}`);
}

export function print({ title, notes }, tables, { seed, quick, colour }) {
  const parts = tables.map((table) => {
    const { name, rows, workload, noise, goals = [], notes: its = [], notRun = [] } = table;
    const paint = (text) => (colour ? `\x1b[${colours[text]}m${text}\x1b[0m` : text);
    return [
      `${table.title} (${name})`,
      folded(workload, 0),
      ...lines(rows, colour),
      `  noise: ours against ourselves within ${(100 * noise).toFixed(1)} % of 1${table.busy === undefined ? "" : `; others had the core for ${(100 * table.busy).toFixed(1)} % of the time`}`,
      ...goals.map(
        ({ text, value, ci, byHand, verdict }) =>
          `  goal: ${text}: ${value.toFixed(2)}${ci ? ` (${interval(ci)})` : ""}: ${paint(verdict)}${byHand ? `; one array, by hand: ${byHand.toFixed(2)}` : ""}`,
      ),
      ...its.map((note) => `  ${note}`),
      ...notRun.map(({ side, why }) => `  not run: ${side}: ${why}`),
    ].join("\n");
  });
  const head = [
    title,
    `${cpus()[0]?.model ?? "unknown"}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}; node ${process.version}, V8 ${process.versions.v8}; seed ${seed}${quick ? "; quick: too few samples to judge by" : ""}`,
    ...notes.map((note) => folded(note, 0)),
  ];
  return [head.join("\n"), ...parts].join("\n\n");
}
