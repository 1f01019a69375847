/** A step of a fault in another thread: see Rig. */
import { parentPort } from "node:worker_threads";
import { attach } from "../../build/library.mjs";

/** Runs a step, whose line is the caller's. */
function step(run) {
  const place = /([\w.]+:\d+):\d+\)?$/.exec(new Error("here").stack.split("\n")[2])[1];
  try {
    run();
  } catch ({ code, stack }) {
    return { place, error: { code, stack } };
  }
  return { place };
}

const tasks = {
  alloc: (pool) => step(() => pool.alloc()),
  free: (pool, element) => step(() => pool.free(element)),
};

/** The other side of Rig.race. */
function race(pool, words) {
  Error.stackTraceLimit = 0;
  for (let last = 0; ;) {
    const round = Atomics.load(words, 0);
    if (round === 2 ** 31 - 1) return;
    if (round <= last) continue;
    last = round;
    const element = Atomics.load(words, 1);
    Atomics.store(words, 3, 0);
    Atomics.store(words, 2, round);
    while (Atomics.load(words, 0) !== -round);
    try {
      pool.free(element);
    } catch {
      Atomics.store(words, 3, 1);
    }
    Atomics.store(words, 2, -round);
  }
}

parentPort.on("message", ({ shared, task, element, words }) => {
  const pool = attach(shared);
  parentPort.postMessage(task === "race" ? "ready" : tasks[task](pool, element));
  if (task === "race") race(pool, words);
});
