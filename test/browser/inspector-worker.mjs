/** A program of two threads: one works all the time, the other shows their heap. */
import { attach, createSharedHeap } from "wasm-mempool";
import { expose } from "wasm-mempool/inspector";

if (self.name === "busy") {
  addEventListener("message", ({ data: [handle, lap] }) => {
    const pool = attach(handle);
    const laps = new Int32Array(lap);
    const held = [];
    // Never returns to its event loop.
    for (let i = 0; ; i++) {
      if (held.length > 200 || i % 3 === 0)
        held.splice(i % Math.max(1, held.length), 1).forEach((each) => pool.free(each));
      const element = pool.alloc();
      if (element) held.push(element);
      Atomics.add(laps, 0, 1);
    }
  });
} else {
  const heap = createSharedHeap({ maximum: 2 ** 24 });
  const pool = heap.create({ name: "busy", minNr: 4, size: 64 });
  for (let i = 0; i < 10; i++) pool.alloc();
  const worker = new Worker(self.location.href, { type: "module", name: "busy" });
  const laps = new SharedArrayBuffer(4);
  worker.postMessage([pool.share(worker), laps]);
  const stop = expose(heap, { channel: "test", name: "busy", interval: 20 });
  const timer = setInterval(() => postMessage(Atomics.load(new Int32Array(laps), 0)), 50);
  addEventListener("message", () => {
    stop();
    clearInterval(timer);
    worker.terminate();
  });
}
