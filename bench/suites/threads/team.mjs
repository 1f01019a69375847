/** Workers whose functions a benchmark calls, and that can begin at the same instant. */
import { spawnSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { cpus } from "node:os";
import { Worker } from "node:worker_threads";

/** A worker that runs a module of workers/. */
export function hire(file) {
  const worker = new Worker(new URL("worker.mjs", import.meta.url), {
    workerData: new URL(`workers/${file}`, import.meta.url).href,
  });
  const calls = new Map();
  let broken;
  const fail = (error) => {
    broken = error;
    for (const { reject } of calls.values()) reject(error);
  };
  worker.on("message", ({ id, result, error }) => {
    const { resolve, reject } = calls.get(id);
    calls.delete(id);
    if (error) reject(new Error(error));
    else resolve(result);
  });
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error(`${file}: the worker has ended`)));
  let id = 0;
  return {
    /** Resolves to the result of the function of that name. */
    call: (name, args = [], transfer = []) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken);
        calls.set(++id, { resolve, reject });
        worker.postMessage({ id, name, args }, transfer);
      }),
    end: () => worker.terminate(),
  };
}

/** A barrier: the number of arrivals. */
export const meetingPlace = () => new Int32Array(new SharedArrayBuffer(8));

/** Waits, awake, until there were `count` arrivals in all. */
export function meet(place, count) {
  Atomics.add(place, 0, 1);
  const start = performance.now();
  while (Atomics.load(place, 0) < count) {
    if (performance.now() - start > 60_000) throw new Error("the other thread has not come");
  }
}

/**
 * Pins this thread to a core, on Linux with exactly two cores: two threads might otherwise take turns on one of them. With
 * more cores, two of them may be hyperthreads of one, so nothing is pinned.
 */
export function keepTo(core) {
  if (process.platform !== "linux" || cpus().length !== 2) return;
  const thread = readlinkSync("/proc/thread-self").split("/").at(-1);
  spawnSync("taskset", ["-pc", String(core), thread], { stdio: "ignore" });
}

const nap = new Int32Array(new SharedArrayBuffer(4));

/** Processor time of this thread in ms; the time of day on systems other than Linux. */
export function threadClock() {
  // Linux updates the account of a running thread at intervals, and that of a sleeping one at once.
  Atomics.wait(nap, 0, 0, 0.01);
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]) / 1e6;
  } catch {
    return now();
  }
}

/** The preemptions of this thread so far; 0 on systems other than Linux. Times without any are undisturbed. */
export function preemptions() {
  try {
    return Number(/^nonvoluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync("/proc/thread-self/status", "latin1"))[1]);
  } catch {
    return 0;
  }
}

/** The first undisturbed result of an async function in up to `tries` calls, or the least disturbed one. */
export async function calmest(tries, sample) {
  let best;
  for (let i = 0; i < tries && best?.disturbed !== 0; i++) {
    const result = await sample();
    if (!best || result.disturbed < best.disturbed) best = result;
  }
  return best;
}

/** The time of day in ms, the same in all threads. */
export const now = () => Number(process.hrtime.bigint()) / 1e6;
