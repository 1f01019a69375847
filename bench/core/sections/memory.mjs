/** Bytes taken for bytes handed out. Exact: no times here. */
import { createHeap } from "../../../dist/index.js";

export const names = ["memory"];

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
  const empty = heap.stats().used;
  const pool = heap.create({ size, minNr: 0 });
  for (let i = 0; i < count; i++) {
    if (pool.alloc() === 0) throw new Error(`no memory for ${count} elements of ${size} bytes`);
  }
  const { used, bytes } = heap.stats();
  return { size, count, used, bytes, empty, ratio: used / (size * count) };
}

export async function run({ quick, progress }) {
  const million = ratio(64, 1_000_000);
  const all = [];
  const list = [...sizes(quick)];
  for (const [i, size] of list.entries()) {
    // As many as make the heap's own pages, and the slab not yet full, small against them.
    all.push(ratio(size, Math.max(256, Math.ceil(2 ** (quick ? 21 : 22) / size))));
    progress?.(i / list.length);
  }
  const worst = all.reduce((a, b) => (b.ratio > a.ratio ? b : a));
  const rows = [
    {
      name: "1,000,000 live elements of 64 bytes",
      ratio: million.ratio,
      goal: 1.03,
      used: million.used,
      bytes: million.bytes,
    },
    {
      name: `worst of ${all.length} sizes from 16 to 65,536 bytes: ${worst.size}`,
      ratio: worst.ratio,
      goal: 1.15,
      used: worst.used,
      bytes: worst.bytes,
    },
  ];
  // The worst of each power of two.
  for (let from = 16; from < 65536; from *= 2) {
    const some = all.filter(({ size }) => size >= from && (size < 2 * from || (size === 65536 && from === 32768)));
    const top = some.reduce((a, b) => (b.ratio > a.ratio ? b : a));
    rows.push({
      name: `worst from ${from} to ${2 * from}: ${top.size}`,
      ratio: top.ratio,
      used: top.used,
      bytes: top.bytes,
    });
  }
  for (const row of rows) row.verdict = row.goal === undefined ? "" : row.ratio <= row.goal ? "met" : "missed";
  return [...rows, { name: "all sizes", samples: all }];
}
