/** Runs in a worker: calls the functions of a module on request. */
import { parentPort, workerData } from "node:worker_threads";

const functions = await import(workerData);
parentPort.on("message", async ({ id, name, args }) => {
  try {
    parentPort.postMessage({ id, result: await functions[name](...args) });
  } catch (error) {
    parentPort.postMessage({ id, error: error.stack });
  }
});
