/** Makes each tile brighter. */
import { parentPort } from "node:worker_threads";
import { attach } from "../../../dist/index.js";
import "../../../dist/debug.js";

let pool;
parentPort.on("message", (message) => {
  if (!pool) {
    pool = attach(message);
    return parentPort.postMessage("ready");
  }
  const bytes = pool.heap.u8;
  for (let at = message; at < message + pool.elementSize; at++) bytes[at] += 16;
  parentPort.postMessage(message);
});
