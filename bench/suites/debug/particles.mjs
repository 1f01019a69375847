/** A game's loop: particles are spawned, moved and removed. */
import { f32, struct } from "../../../dist/index.js";

const Particle = struct({ x: f32, y: f32, vx: f32, vy: f32, life: f32 });
const FRAMES = 120;
const SPAWNED = 40;

export const particles = {
  title: "Game loop",
  workload: "a frame: 40 particles are spawned through a cursor, some 1,200 are moved through views, 40 are freed",
  ops: FRAMES,
  start(heap) {
    const pool = heap.create({ size: Particle, minNr: 64, name: "particles" });
    const cursor = Particle.cursor(heap);
    const { x, y, vx, vy, life } = Particle.f32;
    const frame = () => {
      for (let i = 0; i < SPAWNED; i++) {
        const at = pool.alloc();
        if (at === 0) throw new Error("no particle left");
        const it = cursor.move(at);
        it.x = it.y = i;
        it.vx = it.vy = 1 + i / 8;
        it.life = 30;
      }
      const f = heap.f32;
      for (const at of pool.live()) {
        const k = at >> 2;
        f[k + x] += f[k + vx] / 60;
        f[k + y] += f[k + vy] / 60;
        if (--f[k + life] <= 0) pool.free(at);
      }
    };
    return {
      run() {
        for (let i = 0; i < FRAMES; i++) frame();
      },
    };
  },
};
