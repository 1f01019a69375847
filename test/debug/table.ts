/** The table of planted faults in docs/debug.md: a row for each fault, a column for each build or tool that it is planted under. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { faults } from "./faults.ts";

const file = new URL("../../docs/debug.md", import.meta.url);
const HEADING = "fault";

/** The columns, in their order. Each is run by a test of its own. */
export const columns = ["release", "checked", "debug", "debug, sample: 1", "ASan", "Zig"] as const;
export type Column = (typeof columns)[number];

const cellsOf = (line: string): string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The table's first line and the line after its last, and its cells by fault and column. */
function read(text: string): { from: number; to: number; cells: Map<string, Map<string, string>> } {
  const lines = text.split("\n");
  const from = lines.findIndex((line) => cellsOf(line)[0] === HEADING);
  let to = from;
  while (lines[to]?.startsWith("|")) to++;
  const [head = [], , ...rows] = lines.slice(from, to).map(cellsOf);
  const cells = rows.map(([fault, ...row]) => [fault!, new Map(row.map((cell, i) => [head[i + 1]!, cell]))] as const);
  return { from, to, cells: new Map(cells) };
}

function write(text: string, { from, to, cells }: ReturnType<typeof read>): string {
  const rows = [
    [HEADING, ...columns],
    ...faults.map(({ title }) => [title, ...columns.map((column) => cells.get(title)?.get(column) ?? "")]),
  ];
  const widths = rows[0]!.map((_, i) => Math.max(3, ...rows.map((row) => row[i]!.length)));
  const lineOf = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const dashes = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const [head, ...body] = rows.map(lineOf);
  return text
    .split("\n")
    .toSpliced(from, to - from, head!, dashes, ...body)
    .join("\n");
}

/** Compares a column with what was found, by the faults' titles. With FAULTS=update writes what was found into the table. */
export function expectColumn(column: Column, found: ReadonlyMap<string, string>): void {
  const text = readFileSync(file, "utf8");
  const table = read(text);
  if (process.env["FAULTS"] === "update") {
    for (const [title, cell] of found) {
      if (!table.cells.has(title)) table.cells.set(title, new Map());
      table.cells.get(title)!.set(column, cell);
    }
    writeFileSync(file, write(text, table));
    return;
  }
  expect([...table.cells.keys()], "the faults of the table").toEqual(faults.map(({ title }) => title));
  expect(Object.fromEntries(Array.from(table.cells, ([title, row]) => [title, row.get(column)]))).toEqual(
    Object.fromEntries(found),
  );
}

/** One cell for a fault of several sizes: one outcome if they agree. */
export function together(outcomes: ReadonlyMap<number, string>): string {
  const sizes = new Map<string, number[]>();
  for (const [by, outcome] of outcomes) sizes.set(outcome, [...(sizes.get(outcome) ?? []), by]);
  if (sizes.size === 1) return [...sizes.keys()][0]!;
  return Array.from(sizes, ([outcome, all]) => `${all.join(", ")}: ${outcome}`).join("; ");
}

/** The cell of a fault that a column cannot have. */
export const NONE = "–";

/** A cell: what is said, at which step of the program if that matters, and the steps whose lines it names. */
export function cellOf(kind: string | undefined, step = "", lines: Iterable<string> = []): string {
  if (kind === undefined) return "nothing";
  const named = [...lines].join(", ");
  return `\`${kind}\`${step === "" ? "" : ` at ${step}`}${named === "" ? "" : ` (${named})`}`;
}
