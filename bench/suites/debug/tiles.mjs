/** A pipeline: tiles of an image go to a worker, and come back. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

const TILES = 64;
const AT_ONCE = 8;
export const TILE = 64 * 64 * 4;

export const tiles = {
  title: "Tile pipeline",
  workload: "a tile of 16 KiB: allocated and filled here, changed by a worker, read and freed here",
  isShared: true,
  ops: TILES,
  async start(heap) {
    const pool = heap.create({ size: TILE, minNr: AT_ONCE, name: "tiles" });
    const worker = new Worker(new URL("tiles-worker.mjs", import.meta.url));
    worker.postMessage(pool.share(worker));
    await once(worker, "message");
    let sum = 0;
    let sent = 0;
    const send = () => {
      const at = pool.alloc();
      if (at === 0) throw new Error("no tile left");
      heap.u8.fill(++sent & 63, at, at + TILE);
      worker.postMessage(at);
    };
    return {
      run: () =>
        new Promise((resolve) => {
          let left = TILES;
          const take = (at) => {
            for (const bytes = heap.u8, end = at + TILE; at < end; at += 64) sum += bytes[at];
            pool.free(at - TILE);
            if (--left >= AT_ONCE) send();
            if (left > 0) return;
            worker.off("message", take);
            resolve(sum);
          };
          worker.on("message", take);
          for (let i = 0; i < AT_ONCE; i++) send();
        }),
      end: () => worker.terminate(),
    };
  },
};
