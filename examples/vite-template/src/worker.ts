/** The worker moves what the window sends it, and sends it back: addresses only, no copies. */
import { attach, type PoolHandle, type QueueHandle } from "wasm-mempool";
import { Particle } from "./particle.ts";

export interface Handles {
  readonly particles: PoolHandle;
  readonly todo: QueueHandle;
  readonly moved: QueueHandle;
}

addEventListener("message", async ({ data }: MessageEvent<Handles>) => {
  // So that attach gets this thread's lock at once, by which the window sees its end.
  await navigator.locks.query();
  const particles = attach(data.particles, { size: Particle });
  const todo = attach<typeof Particle>(data.todo);
  const moved = attach<typeof Particle>(data.moved);
  const particle = Particle.cursor(particles.heap);
  for (;;) {
    const at = await todo.popAsync();
    particles.adopt(at); // so that it comes back if this worker ends in the middle
    particle.move(at).x += particle.vx;
    particle.y += particle.vy;
    await moved.pushAsync(at);
  }
});
