/** What a heap says of itself to people: the checker's findings, and a table of its pools. */
import type { Inspector } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { boolean, checkOptions, hex } from "../core/validate.ts";
import type { Views } from "../core/views.ts";
import type { Pool } from "../pool/pool.ts";
import type { PoolStats } from "../pool/stats.ts";
import { statsOf, type HeapStats } from "./stats.ts";

/** The texts of the checker's findings, in the order of its codes: $0, $1 and $2 are their values, $x0 in hexadecimal. */
const problems: readonly string[] = [
  "page $0 has an entry that means nothing: $x1",
  "the free bit of page $0 is $1, but its entry is $x2",
  "the heap says it has $0 pages, but there are $1",
  "the slab at $x0, in pages of $x1, has a damaged header",
  "element $1 of the slab at $x0 has a wrong state: $x2",
  "the slab at $x0 says $1 elements are outstanding, but $2 are",
  "the slab at $x0 does not know that element $1 is free",
  "the stack of slabs is wrong at $x0",
  "the pool at $x0 says it has $1 slabs, but there are $2",
  "the pool at $x0 lists $1 slabs with free elements, but there are $2",
  "the pool at $x0 says $1 elements are taken, but $2 are",
  "round $1 of the magazine at $x0 is no cached element of its pool, or one listed twice: $x2",
  "the magazines of the pool at $x0 have $1 rounds, but $2 elements are cached",
  "slot $1 of the reserve of the pool at $x0 is no reserved element of it, or one listed twice: $x2",
  "the reserve of the pool at $x0 has $1 elements, but $2 are reserved",
  "the pool at $x0 has $1 elements in reserve and outstanding, below its minNr $2",
  "the gate of the magazine at $x0 is wrong: $x1, $x2",
  "the pool at $x0 has room for $1 elements, above its maxNr $2",
  "the heap says it has $0 pools, but there are $1",
  "the arena at $x0 is wrong: at $x1 of $x2",
  "the pool at $x0 says that its slabs hold $1 elements, but they hold $2",
  "the pool at $x0 has a damaged layout: its stride is $1",
  "the list of pools or of arenas is wrong at $x0",
  "a waiter of the pool at $x0 is out of sight, or waits although there are $1 elements in the reserve",
  "the reserve at $x0 has $1 elements, against its minNr $2",
];

/** What is inconsistent in the heap's structures. */
export function check({ core, inspection, address, views }: HeapContext): string[] {
  // Read from the core, so that a heap that has ended throws.
  const scratch = core.heap_scratch() >>> 0;
  return problemsOf(inspection.exports("check"), address, scratch, views);
}

/** The same of any heap that an inspector can see; it writes to `scratch`. */
export function problemsOf(inspector: Inspector, address: number, scratch: number, views: Views): string[] {
  let count: number;
  try {
    count = inspector.heap_check(address, scratch);
  } catch (error) {
    const { name, message } = error as Error;
    if (name !== "RuntimeError") throw error;
    return [`the heap's structures are too damaged to be walked: ${message}`];
  }
  const words = views.refresh().u32.subarray(scratch / 4);
  return Array.from({ length: count }, (_, i) =>
    (problems[words[4 * i]!] ?? "problem $0").replace(/\$(x?)(\d)/g, (_match, x: string, k: string) => {
      const value = words[4 * i + 1 + Number(k)]!;
      return x ? hex(value) : String(value);
    }),
  );
}

/** What {@link Heap.table} takes. */
export interface TableOptions {
  /** Every column, however wide the table gets. Default: the columns that fit into 80 characters. */
  readonly all?: boolean;
}

/** The most important columns first: a table that is too wide lacks the last ones. */
const columns = [
  ["name", "name"],
  ["size", "elementSize"],
  ["active", "outstanding"],
  ["reserve", "currNr"],
  ["minNr", "minNr"],
  ["maxNr", "maxNr"],
  ["lowest", "lowestCurrNr"],
  ["saved", "reserveHits"],
  ["failures", "failures"],
  ["bytes", "slabBytes"],
  ["peak", "peakOutstanding"],
  ["waits", "waits"],
  ["timeouts", "timeouts"],
  ["cached", "cached"],
  ["slabs", "slabs"],
  ["epochs", "epochs"],
  ["allocs", "allocs"],
  ["reclaims", "reclaims"],
] as const;

const WIDTH = 80;
const LONGEST_NAME = 24;

export function tableOf(context: HeapContext, options: TableOptions | undefined): string {
  const { all = false } = checkOptions("table", options, ["all"]);
  boolean("table", "all", all);
  const pools = [...context.pools].map(({ front }) => (front as Pool).stats());
  return tableOfStats(statsOf(context), pools, all);
}

/** The table of these statistics. */
export function tableOfStats({ used, bytes, maximum }: HeapStats, pools: readonly PoolStats[], all: boolean): string {
  const rows = [columns.map(([title]) => title as string)];
  for (const stats of pools) {
    rows.push(columns.map(([, key]) => (stats[key] === Infinity ? "-" : String(stats[key]))));
  }
  if (!all)
    for (const row of rows) if (row[0]!.length > LONGEST_NAME) row[0] = `${row[0]!.slice(0, LONGEST_NAME - 1)}…`;
  const lines = alignColumns(rows, all ? Infinity : WIDTH);
  return [`heap: ${used} of ${bytes} bytes used, at most ${maximum}`, ...lines, ""].join("\n");
}

/** Rows of cells as lines, the first column to the left, without the last columns if they are wider than `most`. */
export function alignColumns(
  rows: readonly (readonly string[])[],
  most: number,
  left: readonly number[] = [0],
): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  let width = -2;
  const isShown = widths.map((each) => (width += each + 2) <= most);
  return rows.map((row) =>
    row
      .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .filter((_, i) => isShown[i])
      .join("  ")
      .trimEnd(),
  );
}
