/** The window: makes the heap, starts the worker, and sends it particles again and again. */
import { createSharedHeap } from "wasm-mempool";
import { Particle } from "./particle.ts";
import type { Handles } from "./worker.ts";

const words = document.querySelector<HTMLOutputElement>("#words")!;
if (!crossOriginIsolated) words.value = "This page is not isolated: see the headers in vite.config.ts.";

const heap = createSharedHeap({ maximum: 2 ** 26 });
const particles = heap.create({ size: Particle, minNr: 16, zero: true, name: "particles" });
const todo = heap.createQueue<typeof Particle>({ capacity: 64 });
const moved = heap.createQueue<typeof Particle>({ capacity: 64 });

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const handles: Handles = { particles: particles.share(worker), todo: todo.share(), moved: moved.share() };
worker.postMessage(handles);
heap.watch(worker, {
  onReap: (lost) => console.warn(`the worker ended with ${lost.length} particles, which are still there`),
});

const particle = Particle.cursor(heap);
for (let i = 0; i < 16; i++) {
  const at = particles.alloc();
  if (at === 0) throw new Error("out of memory");
  particle.move(at).vx = 1;
  particle.vy = i;
  await todo.pushAsync(at);
}
for (let moves = 1; ; moves++) {
  const at = await moved.popAsync();
  words.value = `${moves} moves; the last to ${particle.move(at).x}, ${particle.y}`;
  await todo.pushAsync(at);
}
