/** A heap from TypeScript, with threads or without, in a thread of its own. */
import { createHeap, createSharedHeap } from "../../../../dist/index.js";
import { threadClock } from "../team.mjs";

let pool;

function pairs(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const element = pool.alloc();
    sum ^= element;
    pool.free(element);
  }
  return sum;
}

export function prepare({ shared, size, minNr }) {
  pool = (shared ? createSharedHeap({ maximum: 2 ** 26 }) : createHeap()).create({ size, minNr });
  for (let i = 0; i < 20; i++) pairs(20_000);
}

/** ns per operation. */
export function sample(ops) {
  const start = threadClock();
  pairs(ops);
  return ((threadClock() - start) * 1e6) / ops;
}
