/** Runs what helpers.ts sends: a function's text, with the library and arguments. */
import { parentPort, workerData } from "node:worker_threads";

if (workerData?.withoutWaitAsync) delete Atomics.waitAsync;
const library = await import("../../build/library.mjs");
// What a test has in a file, where its lines have numbers.
if (workerData?.file) globalThis.file = await import(workerData.file);

parentPort.on("message", async ({ id, code, args }) => {
  if (id === undefined) return parentPort.close();
  const answer = { id };
  try {
    const { default: call } = await import(`data:text/javascript,${encodeURIComponent(`export default ${code}`)}`);
    answer.value = await call(library, ...args);
  } catch (error) {
    answer.error = error.code ?? String(error);
  }
  parentPort.postMessage(answer);
});
