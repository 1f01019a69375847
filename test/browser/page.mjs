/**
 * The page: runs the smoke test here, in a worker and in an audio worklet, then all of them as threads of one heap, and
 * posts the results to the server.
 */
import { runCells } from "../outside/endings-run.ts";
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

  async endings() {
    // Fetched once: a hundred workers that are ended while they load starve each other of connections.
    const source = URL.createObjectURL(await (await fetch("/endings-worker.js")).blob());
    return runCells(["detach", "terminate", "close", "page"], (ending) => makeOwner(ending, source));
  },

  threads: () => runThreads(""),

  // The server's answer forbids wasm in this page too, so this runs last.
  withoutWaitAsync: () => runThreads("?without=waitAsync"),
};

/** A worker of this page, or of a frame of its own. */
function makeOwner(ending, source) {
  let frame;
  if (ending === "page") {
    frame = document.createElement("iframe");
    document.body.append(frame);
  }
  const worker = new (frame?.contentWindow ?? globalThis).Worker(source, { type: "module" });
  const ready = new Promise((resolve, reject) => {
    const fail = (event) => reject(new Error(event?.message || "the worker did not load"));
    // A browser may also say nothing of a worker that it does not load.
    const timer = setTimeout(fail, 20_000);
    worker.addEventListener("message", ({ data }) => {
      clearTimeout(timer);
      if (data !== "loaded") resolve(data);
    });
    worker.addEventListener("error", fail);
  });
  return {
    worker,
    order: (what) => worker.postMessage(what),
    ready,
    kill: () => (frame ? frame.remove() : worker.terminate()),
  };
}

async function runThreads(query) {
  // Each time a copy of its own of the library.
  const { threads } = await import(`/threads.js${query}`);
  return threads(query);
}

const report = { agent: navigator.userAgent };
for (const [name, run] of Object.entries(scopes)) {
  const tooLate = new Promise((resolve) => setTimeout(resolve, 150_000, { error: "no answer in time" }));
  report[name] = await Promise.race([run().catch((error) => ({ error: String(error) })), tooLate]);
}
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
