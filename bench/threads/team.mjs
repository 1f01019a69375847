/** Workers that a benchmark calls functions in, and that can begin at the same instant. */
import { spawnSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { cpus } from "node:os";
import { Worker } from "node:worker_threads";

/** A worker with one of workers/ in it. */
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
    /** What the function of that name returns there. */
    call: (name, args = [], transfer = []) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken);
        calls.set(++id, { resolve, reject });
        worker.postMessage({ id, name, args }, transfer);
      }),
    end: () => worker.terminate(),
  };
}

/** A place where threads meet: the nth meeting is over when all who take part have come n times. */
export const meetingPlace = () => new Int32Array(new SharedArrayBuffer(8));

/** Waits, awake, until `count` have come to the place in all. */
export function meet(place, count) {
  Atomics.add(place, 0, 1);
  const start = performance.now();
  while (Atomics.load(place, 0) < count) {
    if (performance.now() - start > 10_000) throw new Error("the other thread has not come");
  }
}

/**
 * Keeps this thread on a core, where there are just two and the system has the means: else two threads may well take
 * turns on one, while others have the other. With more cores, which two are a pair of the same one is not for us to say.
 */
export function keepTo(core) {
  if (process.platform !== "linux" || cpus().length !== 2) return;
  const thread = readlinkSync("/proc/thread-self").split("/").at(-1);
  spawnSync("taskset", ["-pc", String(core), thread], { stdio: "ignore" });
}

const nap = new Int32Array(new SharedArrayBuffer(4));

/**
 * Processor time of this thread in ms: what others do on the machine meanwhile is not in it. Where the system does not
 * tell (it is Linux that does), the time of day.
 */
export function threadClock() {
  // The system adds to the account of a thread that runs when it likes, and of one that sleeps at once.
  Atomics.wait(nap, 0, 0, 0.01);
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]) / 1e6;
  } catch {
    return now();
  }
}

/**
 * How often this thread had to leave its core to others, since it began; 0 where the system does not tell. If it did not in
 * some stretch of time, the clock has measured that stretch well.
 */
export function preemptions() {
  try {
    return Number(/^nonvoluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync("/proc/thread-self/status", "latin1"))[1]);
  } catch {
    return 0;
  }
}

/** Of up to `tries` results of an async function, the first that was not disturbed, or the one that was least. */
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
