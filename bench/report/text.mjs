/** Tables for people: on a terminal, and in Markdown. */

const thousands = (value, digits = 0) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** A number with about three significant digits. */
export function number(value, measured = false) {
  if (value === undefined || value === null || Number.isNaN(value)) return "";
  const size = Math.abs(value);
  if ((Number.isInteger(value) && !measured) || size >= 100) return thousands(value);
  return size >= 10 ? thousands(value, 1) : size >= 1 ? thousands(value, 2) : value.toFixed(3);
}

/** A number of bytes, with a unit from six digits on. */
export function bytes(value) {
  if (Math.abs(value) < 100_000) return thousands(value);
  return Math.abs(value) < 10_000_000 ? `${thousands(value / 1024)} KiB` : `${thousands(value / 2 ** 20, 1)} MiB`;
}

const inBytes = new Set(["built", "resident", "peak", "payload", "memory", "range", "used", "bytes", "gzip"]);
/** Formats values of a unit. */
export const valueOf = (unit) => (value) => {
  if (value === undefined || value === null) return "";
  return unit === "bytes" ? bytes(value) : number(value, ["ns/op", "ms", "µs"].includes(unit));
};

const OURS = "wasm-mempool";

/** The ratio of a row to another side. Older results name the row itself as the other side: they have ours to theirs. */
export function ratioOf(row) {
  const { ratio } = row;
  if (!ratio) return undefined;
  if (ratio.of !== row.side) return ratio;
  return { ...ratio, of: OURS, ratio: 1 / ratio.ratio, ci: ratio.ci && [1 / ratio.ci[1], 1 / ratio.ci[0]] };
}

/** A ratio, with two decimals at most places. */
export const times = (value) =>
  value >= 100 ? thousands(value) : value.toFixed(value >= 10 ? 1 : value >= 0.1 ? 2 : 3);

function ratioCell(row, withOf) {
  const ratio = ratioOf(row);
  if (!ratio) return "";
  const { ratio: value, ci, of } = ratio;
  const interval = ci ? ` (${times(ci[0])} to ${times(ci[1])})` : "";
  return `${times(value)} x${interval}${withOf ? ` ${of}` : ""}`;
}

/** Whether a fact fits into a cell. */
const plain = (value) => ["number", "string"].includes(typeof value) && String(value).length <= 60;

/** The facts, with those in objects beside the others. */
const flat = (extra) =>
  Object.fromEntries(
    Object.entries(extra).flatMap(([key, fact]) =>
      fact && typeof fact === "object" && !Array.isArray(fact)
        ? Object.entries(fact).map(([inner, value]) => [`${key}, ${inner}`, value])
        : [[key, fact]],
    ),
  );

/** The columns of a table, as [title, align, cells]. */
export function columnsOf(table) {
  const { rows, unit } = table;
  const value = valueOf(unit);
  const columns = [
    ["", "left", rows.map(({ side }) => side)],
    [unit, "right", rows.map(({ stats }) => value(stats.median))],
  ];
  for (const key of ["p50", "p90", "p99", "p999", "max"]) {
    if (!rows.some(({ stats }) => stats[key] !== undefined && stats[key] !== stats.median)) continue;
    if (key === "p50" && rows.every(({ stats }) => stats.p50 === stats.median)) continue;
    const name = table.spanUnit ? `${key}, ${table.spanUnit}` : key;
    columns.push([name, "right", rows.map(({ stats }) => value(stats[key]))]);
  }
  const others = new Set(rows.map((row) => ratioOf(row)?.of).filter(Boolean));
  if (others.size > 0) {
    const one = others.size === 1 ? [...others][0] : undefined;
    const title = one ? `against ${one} (95 %)` : "against (95 %)";
    columns.push([title, "right", rows.map((row) => ratioCell(row, !one))]);
    columns.push([
      "",
      "left",
      rows.map(({ ratio }) => (["no difference", "met", "missed"].includes(ratio?.verdict) ? ratio.verdict : "")),
    ]);
    if (columns.at(-1)[2].every((cell) => cell === "")) columns.pop();
  }
  // Facts for readers of the raw results.
  const raw = new Set(["clockNs", "collections, part"]);
  const facts = rows.map(({ extra }) => flat(extra ?? {}));
  for (const key of new Set(facts.flatMap((all) => Object.keys(all)))) {
    const cells = facts.map((all) => {
      const fact = all[key];
      if (fact === undefined || raw.has(key) || !plain(fact)) return "";
      if (typeof fact === "string") return fact;
      return inBytes.has(key) ? bytes(fact) : number(fact);
    });
    if (cells.some((cell) => cell !== "")) {
      const text = facts.some((all) => typeof all[key] === "string");
      columns.push([key, text ? "left" : "right", cells]);
    }
  }
  return columns;
}

const percent = (part) => `${(100 * part).toFixed(1)} %`;

/** The lines below the rows of a table. */
export function footOf(table) {
  const lines = [];
  if (table.noise > 0) lines.push(`Noise: ${percent(table.noise)}.`);
  const value = valueOf(table.unit === "bytes" ? "bytes" : "");
  for (const goal of table.goals ?? []) {
    const interval = goal.ci ? ` (${times(goal.ci[0])} to ${times(goal.ci[1])})` : "";
    const limit = goal.goal === undefined ? "" : `, goal ${value(goal.goal)}`;
    const is =
      goal.value === undefined ? "" : `: ${goal.ci ? times(goal.value) : value(goal.value)}${interval}${limit}`;
    lines.push(`Goal ${goal.verdict}: ${goal.text}${is}.`);
  }
  return [...lines, ...(table.notes ?? [])];
}

const colours = { met: 32, missed: 31, "cannot tell": 33, "no difference": 36 };

/** One table for a terminal. */
export function terminalTable(table, colour) {
  const columns = columnsOf(table).map(([title, align, cells]) => {
    const width = Math.max(title.length, ...cells.map((cell) => cell.length));
    const pad = (text) => (align === "left" ? text.padEnd(width) : text.padStart(width));
    return [title, ...cells].map((cell) =>
      colour && colours[cell] ? `\x1b[${colours[cell]}m${pad(cell)}\x1b[0m` : pad(cell),
    );
  });
  const lines = columns[0].map((_, i) =>
    columns
      .map((cells) => cells[i])
      .join("  ")
      .trimEnd(),
  );
  const bold = (text) => (colour ? `\x1b[1m${text}\x1b[0m` : text);
  const head = `${bold(table.title)} [${table.name}]`;
  return [head, table.workload, ...lines, ...footOf(table)].filter(Boolean).join("\n");
}

const escaped = (cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;");

/** Rows of cells as Markdown. */
export function markdownRows(columns) {
  const widths = columns.map(([title, , cells]) =>
    Math.max(3, escaped(title).length, ...cells.map((cell) => escaped(cell).length)),
  );
  const line = (cells) =>
    `| ${cells.map((cell, i) => (columns[i][1] === "left" ? escaped(cell).padEnd(widths[i]) : escaped(cell).padStart(widths[i]))).join(" | ")} |`;
  return [
    line(columns.map(([title]) => title)),
    `| ${columns.map(([, align], i) => (align === "left" ? "-".repeat(widths[i]) : `${"-".repeat(widths[i] - 1)}:`)).join(" | ")} |`,
    ...columns[0][2].map((_, i) => line(columns.map(([, , cells]) => cells[i]))),
  ].join("\n");
}
