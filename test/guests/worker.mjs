// Calls a function of a freestanding program as one of its threads: each instance's stack is at another place.
import { parentPort, workerData } from "node:worker_threads";

const { module, memory, call, args } = workerData;
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
exports["__stack_pointer"].value = exports.stackTop(args[0]);
parentPort.postMessage(exports[call](...args));
