/** A worker that owns something of the page's heap, and ends as it is told. */
import { attach } from "wasm-mempool";
import { beOwner } from "../outside/endings-table.ts";

postMessage("loaded");
addEventListener("message", async ({ data }) => {
  const { threadId } = attach(data.pool).heap;
  // Until the worker has its lock, which takes a few turns, no thread could see its end; and the owner blocks.
  const words = new Int32Array(data.pool.heap.lives);
  while ((Atomics.load(words, 1 + threadId) & 1) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  beOwner(data, postMessage, (ending) => {
    if (ending === "close") close();
  });
});
