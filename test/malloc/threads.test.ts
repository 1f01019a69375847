/** malloc.shared.wasm under workers that free each other's blocks, and of which some are terminated at any moment. */
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { builds } from "./builds.ts";

const SECONDS = Number(process.env["STRESS_SECONDS"] ?? 4) / 2;
const WORDS = 1024;
const COUNT = 256;
const STOP = 64;

const shared = builds.find(({ name }) => name === "shared")!;

test.each([0, 20])("blocks pass from worker to worker, %i of which are terminated", async (kills) => {
  const g = shared.guest(2, 1024);
  const heap = g.core.malloc_heap();
  let label = 0;
  let steps = 0;
  const faults: unknown[] = [];

  function start(): { worker: Worker; label: number; ended: Promise<number> } {
    const workerData = {
      module: g.module,
      memory: g.memory,
      heap,
      label: ++label,
      words: WORDS,
      count: COUNT,
      stop: STOP,
    };
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData });
    worker.on("message", () => (steps += 1000));
    worker.on("error", (error) => faults.push(error));
    const ended = new Promise<number>((resolve) => worker.on("exit", resolve));
    return { worker, label, ended };
  }

  const workers = [start(), start(), start()];
  const began = performance.now();
  for (let i = 0; i < kills || steps <= 1000 || performance.now() - began < 1000 * SECONDS; i++) {
    await new Promise((resolve) => setTimeout(resolve, 60 + ((i * 37) % 50)));
    if (i >= kills) continue;
    const { worker, label: dead, ended } = workers.shift()!;
    await worker.terminate();
    await ended;
    const number = g.core.heap_find_thread(dead);
    if (number >= 0) {
      let reaped: number;
      while ((reaped = g.core.heap_reap(number, dead)) < 0);
      expect(reaped).toBe(1);
    }
    workers.push(start());
  }
  const view = new Int32Array(g.memory.buffer);
  Atomics.store(view, STOP >> 2, 1);
  expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual([0, 0, 0]);
  expect(faults).toEqual([]);
  for (let i = 0; i < COUNT; i++) g.core.free(Atomics.exchange(view, WORDS / 4 + i, 0));
  expect(g.check()).toBe(0);
  // At most the blocks in hand are lost with a worker: two of 75,000 bytes.
  const rest = g.core.malloc(30 * 2 ** 20);
  expect(rest).not.toBe(0);
});
