/** Shared by the workloads. The functions are small: engines inline them on every side alike. */
import { createHeap } from "../../../dist/index.js";

/** The names in tables of the ways to keep objects. */
export const names = {
  views: "wasm-mempool",
  again: "wasm-mempool, again",
  cursors: "wasm-mempool, cursors",
  bulk: "wasm-mempool, in bulk",
  arena: "wasm-mempool, arena",
  classes: "classes",
  literals: "object literals",
  map: "classes, a Map's own order",
  pool: "object pool in an array",
  typed: "typed array each",
  columns: "structure of arrays",
  records: "one array, by hand",
};

/** The next number of a sequence that is the same on every side: xorshift. Never 0. */
export function next(x) {
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}

/** An index below n from such a number. */
export const pick = (x, n) => ((x >>> 0) * (n / 2 ** 32)) | 0;

/** Where each sequence begins. */
export const SEED = 0x2545f491;

/** A heap that never grows, so that its views stay valid, with room for the lots. Unused memory costs address space alone. */
export function heapFor(...lots) {
  const bytes = lots.reduce((sum, [count, size]) => sum + count * size, 0);
  const room = Math.ceil((bytes * 1.15) / 65536) * 65536 + 2 ** 18;
  return createHeap({ initial: room, maximum: room });
}

/** An element of a pool or an arena that is known to have room. */
export function must(address) {
  if (address === 0) throw new Error("out of memory");
  return address;
}
