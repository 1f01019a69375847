/** Run by Node, Bun and Deno, as one file: the main thread and its workers. Prints the result of each cell. */
import process from "node:process";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { runCells, type Owner } from "./endings-run.ts";
import { beOwner, type Answer, type Ending, type Order } from "./endings-table.ts";

function make(ending: Ending): Owner {
  const resourceLimits = ending === "memory" ? { resourceLimits: { maxOldGenerationSizeMb: 12 } } : {};
  const worker = new Worker(new URL(import.meta.url), resourceLimits);
  worker.on("error", () => {});
  const ready = new Promise<Answer>((resolve) => worker.once("message", resolve));
  return { worker, order: (what) => worker.postMessage(what), ready, kill: () => void worker.terminate() };
}

function end(ending: Ending): void {
  if (ending === "throw") throw new Error("thrown on purpose");
  if (ending === "reject") void Promise.reject(new Error("rejected on purpose"));
  if (ending === "exit") process.exit(3);
  if (ending === "memory") for (const all: unknown[] = []; ;) all.push(Array.from({ length: 1000 }, () => ({ all })));
}

if (isMainThread) {
  console.log(`cells ${JSON.stringify(await runCells(process.argv[2]!.split(",") as Ending[], make))}`);
  process.exit(0);
} else {
  parentPort!.once("message", (order: Order) => beOwner(order, (answer) => parentPort!.postMessage(answer), end));
}
