// 50,000 particles, of which some 400 end and begin in a frame: in a pool, or as plain objects.
import { createHeap, f32, struct, u32 } from "wasm-mempool";

const MOST = 50_000;
const [canvas, plain, times] = ["sky", "plain", "times"].map((id) => document.getElementById(id));
const { width, height } = canvas;
const context = canvas.getContext("2d");
const image = context.createImageData(width, height);
const pixels = new Uint32Array(image.data.buffer);

function inPool() {
  const Particle = struct({ x: f32, y: f32, vx: f32, vy: f32, left: f32, color: u32 });
  const { x, y, vx, vy, left } = Particle.f32; // where the fields are in heap.f32, from a particle's address / 4 on
  const { color } = Particle.u32;
  const heap = createHeap();
  const pool = heap.create({ size: Particle, minNr: 0, maxNr: MOST });
  return {
    count: () => pool.outstanding,
    add(px, py, pvx, pvy, seconds, rgba) {
      const [i, f] = [pool.alloc() >>> 2, heap.f32];
      f[i + x] = px;
      f[i + y] = py;
      f[i + vx] = pvx;
      f[i + vy] = pvy;
      f[i + left] = seconds;
      heap.u32[i + color] = rgba;
    },
    step(dt) {
      const [f, u] = [heap.f32, heap.u32];
      for (const at of pool.live()) {
        const i = at >>> 2;
        if ((f[i + left] -= dt) < 0) pool.free(at);
        else plot((f[i + x] += f[i + vx] * dt), (f[i + y] += (f[i + vy] += 90 * dt) * dt), u[i + color]);
      }
    },
  };
}

function asObjects() {
  let all = [];
  return {
    count: () => all.length,
    add: (x, y, vx, vy, left, color) => all.push({ x, y, vx, vy, left, color }),
    step(dt) {
      all = all.filter((p) => (p.left -= dt) >= 0);
      for (const p of all) plot((p.x += p.vx * dt), (p.y += (p.vy += 90 * dt) * dt), p.color);
    },
  };
}

function plot(x, y, color) {
  if (x >= 0 && x < width && y >= 0 && y < height) pixels[(y | 0) * width + (x | 0)] = color;
}

function explode({ add }) {
  const [x, y, color] = [width * Math.random(), 0.6 * height * Math.random(), 0xff404040 | (Math.random() * 0xffffff)];
  for (let i = 0; i < 250; i++) {
    const [angle, speed] = [2 * Math.PI * Math.random(), 120 * Math.sqrt(Math.random())];
    add(x, y, speed * Math.cos(angle), speed * Math.sin(angle), 1 + 2 * Math.random(), color);
  }
}

let sky, frames, before; // frames: milliseconds from frame to frame, and of our own work in it
const begin = () => ([sky, frames] = [plain.checked ? asObjects() : inPool(), []]);
plain.addEventListener("change", begin);
begin();
requestAnimationFrame(function draw(now) {
  const start = performance.now();
  pixels.fill(0xff000000);
  sky.step(Math.min(0.05, (now - (before ?? now)) / 1000));
  while (sky.count() <= MOST - 250) explode(sky);
  context.putImageData(image, 0, 0);
  frames = [...frames, [now - (before ?? now), performance.now() - start]].slice(-100);
  const worst = (i) => Math.max(...frames.map((ms) => ms[i])).toFixed(1);
  const mean = (i) => (frames.reduce((sum, ms) => sum + ms[i], 0) / frames.length).toFixed(1);
  times.value = `${sky.count()} particles, ms: frame ${mean(0)}, at worst ${worst(0)}; work ${mean(1)}, at worst ${worst(1)}`;
  before = now;
  requestAnimationFrame(draw);
});
