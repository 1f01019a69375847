/**
 * The page: runs the smoke test here, in a worker and in an audio worklet, then all of them as threads of one heap, and
 * posts what came of it to the server.
 */
import { smokeAsync } from "../smoke.mjs";

const scopes = {
  async page() {
    return { elements: await smokeAsync(), isolated: crossOriginIsolated };
  },

  worker() {
    const worker = new Worker("/worker.js", { type: "module" });
    return new Promise((resolve, reject) => {
      worker.addEventListener("message", ({ data }) => resolve(data));
      worker.addEventListener("error", (event) => reject(new Error(event.message || "the worker did not load")));
    });
  },

  async worklet() {
    // An offline context needs neither a sound device nor a click.
    const context = new OfflineAudioContext(1, 1280, 44100);
    await context.audioWorklet.addModule("/worklet.js");
    const node = new AudioWorkletNode(context, "smoke");
    const answer = new Promise((resolve, reject) => {
      node.port.addEventListener("message", ({ data }) => resolve(data));
      node.port.start();
      node.addEventListener("processorerror", () => reject(new Error("the processor threw")));
    });
    node.connect(context.destination);
    await context.startRendering();
    return answer;
  },

  threads: () => runThreads(""),

  // The server's answer takes it away from this page too: the last to run.
  withoutWaitAsync: () => runThreads("?without=waitAsync"),
};

async function runThreads(query) {
  // Each time a copy of its own of the library.
  const { threads } = await import(`/threads.js${query}`);
  return threads(query);
}

const report = { agent: navigator.userAgent };
for (const [name, run] of Object.entries(scopes)) {
  const tooLate = new Promise((resolve) => setTimeout(resolve, 20_000, { error: "no answer in 20 s" }));
  report[name] = await Promise.race([run().catch((error) => ({ error: String(error) })), tooLate]);
}
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
