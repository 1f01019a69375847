/** Bytes in use for each byte allocated: exact, no times. */
import { createHeap } from "../../../dist/index.js";
import "../../../dist/inspect.js";
import { exactRow, goalOf } from "../../harness/statistics.mjs";

export const tables = { memory: ["memory"] };

/** 16 B to 64 KiB: every size up to 256, then about 64 to each power of two and the sizes beside it. */
function* sizes(quick) {
  const steps = quick ? 8 : 64;
  let last = 15;
  for (let size = 16; size <= 65536; size = size < 256 && !quick ? size + 1 : Math.ceil(size * 2 ** (1 / steps))) {
    for (const near of [size - 1, size, size + 1]) {
      if (near <= last || near > 65536) continue;
      last = near;
      yield near;
    }
  }
  if (last < 65536) yield 65536;
}

/** Bytes used of the heap, for each byte of `count` live elements. */
function ratio(size, count) {
  const heap = createHeap();
  const pool = heap.create({ size, minNr: 0 });
  for (let i = 0; i < count; i++) {
    if (pool.alloc() === 0) throw new Error(`no memory for ${count} elements of ${size} bytes`);
  }
  const { used, bytes } = heap.stats();
  return { size, used, bytes, ratio: used / (size * count) };
}

const worstOf = (some) => some.reduce((a, b) => (b.ratio > a.ratio ? b : a));

export async function run({ quick, progress }) {
  const million = ratio(64, 1_000_000);
  const all = [];
  const list = [...sizes(quick)];
  for (const [i, size] of list.entries()) {
    // Enough to make the heap's own pages and the last slab small against them.
    all.push(ratio(size, Math.max(256, Math.ceil(2 ** (quick ? 21 : 22) / size))));
    progress?.(i / list.length);
  }
  const worst = worstOf(all);
  const results = [
    { side: "1,000,000 live elements of 64 bytes", goal: 1.03, ...million },
    { side: `worst of ${all.length} sizes from 16 to 65,536 bytes: ${worst.size}`, goal: 1.15, ...worst },
  ];
  for (let from = 16; from < 65536; from *= 2) {
    const some = all.filter(({ size }) => size >= from && (size < 2 * from || (size === 65536 && from === 32768)));
    const top = worstOf(some);
    results.push({ side: `worst from ${from} to ${2 * from}: ${top.size}`, ...top });
  }
  return results;
}

export const tableOf = (name, { memory: results }) => ({
  name,
  title: "Memory for live elements",
  workload: "bytes in use of the heap for each byte allocated",
  unit: "bytes/byte",
  lower: true,
  noise: 0,
  rows: results.map(({ side, ratio: value, used, bytes }) => exactRow(side, value, { used, bytes })),
  goals: results.filter(({ goal }) => goal).map(({ side, goal, ratio: value }) => goalOf(side, { ratio: value }, goal)),
});
