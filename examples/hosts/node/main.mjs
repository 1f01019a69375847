/** The core in Node. What it is given and what it prints: see hosts.mjs. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Worker, isMainThread, parentPort } from "node:worker_threads";

const [shared, initial, maximum, ...files] = process.argv.slice(2);

/** The exports of one instance. The second half of a core in two halves imports those of the first. */
function instantiate(memory) {
  const exports = {};
  for (const file of files) {
    const module = new WebAssembly.Module(readFileSync(file));
    Object.assign(exports, new WebAssembly.Instance(module, { env: { memory }, core: { ...exports } }).exports);
  }
  return exports;
}

function call(exports, name, args) {
  // After memory has grown, older views are of no use.
  const words = new Int32Array(exports.memory.buffer);
  if (name === "memory.load") return words[args[0] >>> 2];
  if (name === "memory.store") return void (words[args[0] >>> 2] = args[1]);
  try {
    return exports[name](...args);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return "trap";
    throw error;
  }
}

const serve = (exports, line) => {
  const [, name, ...args] = line.split(" ");
  return `${line} = ${call(exports, name, args.map(Number)) ?? "none"}`;
};

function startWorker(memory) {
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  worker.postMessage(memory);
  return worker.on("message", (line) => console.log(line));
}

if (!isMainThread) {
  parentPort.once("message", (memory) => {
    const exports = instantiate(memory);
    parentPort.on("message", (line) => parentPort.postMessage(serve(exports, line)));
  });
} else {
  const pages = { initial: Number(initial), maximum: Number(maximum), shared: shared === "1" };
  const memory = pages.initial ? new WebAssembly.Memory(pages) : undefined;
  const instances = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const [at, name] = line.split(" ");
    if (!instances.has(at)) instances.set(at, pages.shared ? startWorker(memory) : instantiate(memory));
    const instance = instances.get(at);
    if (!pages.shared) console.log(serve(instance, line));
    else if (name !== "end") instance.postMessage(line);
    else instance.terminate().then(() => console.log(`${line} = none`));
  }
}
