// Runs a WASI program with threads: node wasi-threads.mjs program.wasm [argument...]. Each thread is a worker, which the
// main thread starts; the program itself is one, too, since it waits.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { WASI } from "node:wasi";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

/** Pages of 64 KiB. The most is what the program was linked for: --max-memory=134217728. */
const PAGES = { initial: 32, maximum: 2048 };
const self = fileURLToPath(import.meta.url);

if (isMainThread) {
  const [, , file, ...rest] = process.argv;
  const module = new WebAssembly.Module(readFileSync(file));
  const memory = new WebAssembly.Memory({ ...PAGES, shared: true });
  const ids = new Int32Array(new SharedArrayBuffer(4));
  const start = (thread) => {
    const worker = new Worker(self, { workerData: { module, memory, ids, args: [file, ...rest], ...thread } });
    worker.on("message", (next) => (typeof next === "number" ? process.exit(next) : start(next)));
    worker.on("error", (error) => {
      console.log(`thread ${thread.id}: ${error.message}`);
      process.exit(1);
    });
  };
  start({ id: 0, argument: 0 });
} else {
  const { module, memory, ids, args, id, argument } = workerData;
  const wasi = new WASI({ version: "preview1", args, env: {}, returnOnExit: true });
  const { exports } = new WebAssembly.Instance(module, {
    ...wasi.getImportObject(),
    env: { memory },
    wasi: {
      "thread-spawn": (next) => {
        const number = Atomics.add(ids, 0, 1) + 1;
        parentPort.postMessage({ id: number, argument: next });
        return number;
      },
    },
  });
  // A thread is a program to Node, whose WASI has no other way to learn of the memory.
  const start = id === 0 ? exports["_start"] : () => exports.wasi_thread_start(id, argument);
  const code = wasi.start({ exports: { memory, ["_start"]: start } });
  if (id === 0) parentPort.postMessage(code);
}
