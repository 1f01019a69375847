/** Rows and tables of results. */
import { markdownRows, ratioOf, times } from "./text.mjs";

export const OURS = "wasm-mempool";

export const tableOf = (results, suite, name) =>
  results.find((result) => result.suite === suite)?.tables.find((table) => table.name === name);
export const rowOf = (table, side) => table?.rows.find((row) => row.side === side);

/** Floors, no rivals: allocators that check and return nothing. */
const isFloor = (side) => side.startsWith("bump ") || side.startsWith("bare lists ");

/** The rows of other allocators or ways, each with a ratio to ours. */
export const rivals = (table) =>
  table.rows.filter((row) => ratioOf(row)?.of === OURS && !row.side.startsWith(OURS) && !isFloor(row.side));

export const fastest = (table) =>
  rivals(table).toSorted((a, b) => (table.lower ? 1 : -1) * (a.stats.median - b.stats.median))[0];

export const withInterval = ({ ratio, ci }) => `${times(ratio)}${ci ? ` (${times(ci[0])} to ${times(ci[1])})` : ""}`;

/** A Markdown table of rows of cells, with columns of numbers to the right; none without rows. */
export const markdown = (titles, rows) =>
  rows.length === 0
    ? ""
    : markdownRows(
        titles.map((title, i) => {
          const cells = rows.map((row) => row[i] ?? "");
          return [title, cells.every((cell) => /^[\d.,]*(?: |$)/.test(cell)) ? "right" : "left", cells];
        }),
      );

/** The rows that are better than ours beyond the noise, the best first. */
export const lost = (result) =>
  result.tables
    .flatMap((table) => rivals(table).map((row) => ({ table, row, ratio: ratioOf(row) })))
    .filter(({ table, ratio: { ratio, ci, verdict } }) => {
      const isBetter = table.lower ? ratio < 1 && (!ci || ci[1] < 1) : ratio > 1 && (!ci || ci[0] > 1);
      return isBetter && verdict !== "no difference";
    })
    .toSorted((a, b) => a.ratio.ratio - b.ratio.ratio);

const gib = (value) => `${(value / 2 ** 30).toFixed(0)} GiB`;

export const machineOf = ({ machine: { cpu, cores, memory, platform, arch } }) =>
  [cpu, `${cores} cores`, memory && gib(memory), `${platform} ${arch}`].filter(Boolean).join(", ");
