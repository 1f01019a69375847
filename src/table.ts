/** A table of a heap's pools for people, after the kernel's /proc/slabinfo. */
import type { Heap } from "./heap.ts";
import type { Pool } from "./pool.ts";

const columns = [
  ["name", "name"],
  ["size", "elementSize"],
  ["active", "outstanding"],
  ["peak", "peakOutstanding"],
  ["reserve", "currNr"],
  ["lowest", "lowestCurrNr"],
  ["minNr", "minNr"],
  ["maxNr", "maxNr"],
  ["cached", "cached"],
  ["slabs", "slabs"],
  ["bytes", "slabBytes"],
  ["epochs", "epochs"],
  ["allocs", "allocs"],
  ["saved", "reserveHits"],
  ["reclaims", "reclaims"],
  ["failures", "failures"],
  ["waits", "waits"],
  ["timeouts", "timeouts"],
] as const;

export function table(heap: Heap, pools: Iterable<Pool>): string {
  const { used, bytes, maximum } = heap.stats();
  const rows = [columns.map(([title]) => title as string)];
  for (const pool of pools) {
    const stats = pool.stats();
    rows.push(columns.map(([, key]) => (stats[key] === Infinity ? "-" : String(stats[key]))));
  }
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "),
  );
  return [`heap: ${used} of ${bytes} bytes used, at most ${maximum}`, ...lines, ""].join("\n");
}
