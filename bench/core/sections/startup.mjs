/** The first allocation of a process. main.mjs runs this many times, each in a process of its own. */
export const names = ["startup"];

export async function run() {
  const start = performance.now();
  const { createHeap } = await import("../../../dist/index.js");
  const imported = performance.now();
  const heap = createHeap();
  const created = performance.now();
  const pool = heap.create({ size: 64, minNr: 4 });
  const address = pool.alloc();
  const done = performance.now();
  createHeap().create({ size: 64, minNr: 4 }).alloc();
  const again = performance.now();
  if (address === 0) throw new Error("no memory");
  return [{ import: imported - start, heap: created - imported, pool: done - created, again: again - done }];
}
