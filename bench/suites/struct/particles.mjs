/**
 * The particles of the README, 50,000 of them, as a program updates them each frame: 12 accesses, and a particle whose time is
 * over is freed and another allocated in its place. One way for each export of `ways`; all compute the same.
 */
import { createHeap, f32, struct, u32 } from "../../../dist/index.js";

export const COUNT = 50_000;
const DT = 1 / 60;
const G = 9.81;

const Particle = struct({ x: f32, y: f32, vx: f32, vy: f32, state: u32 });

/** The frames that the next particle lives: the same sequence for all ways. */
function lives() {
  let random = 1;
  return () => {
    random = (Math.imul(random, 1664525) + 1013904223) | 0;
    return 1 + (random >>> 25);
  };
}

const bytes = 8 * 2 ** 20;

/** A heap that never grows, with a pool and its first particles. */
function open() {
  const heap = createHeap({ initial: bytes, maximum: bytes });
  const pool = heap.create({ size: Particle, minNr: 100, zero: true });
  const next = lives();
  const list = Uint32Array.from({ length: COUNT }, () => pool.alloc());
  for (const at of list) heap.u32[(at >>> 2) + Particle.u32.state] = next();
  return { heap, pool, list, next };
}

function indices() {
  const { heap, pool, list, next } = open();
  return () => {
    // Here, since a bundler makes variables of a module's constants.
    const { x, y, vx, vy } = Particle.f32;
    const { state } = Particle.u32;
    const f = heap.f32;
    const u = heap.u32;
    for (let k = 0; k < COUNT; k++) {
      const i = list[k] >>> 2;
      f[i + vy] -= G * DT;
      f[i + x] += f[i + vx] * DT;
      f[i + y] += f[i + vy] * DT;
      if (f[i + y] < -100) f[i + vy] = -f[i + vy];
      u[i + state]--;
      if (u[i + state] !== 0) continue;
      pool.free(list[k]);
      list[k] = pool.alloc();
      u[(list[k] >>> 2) + state] = next();
    }
    return f[(list[7] >>> 2) + y];
  };
}

/** The same with the indices written as numbers. */
function byHand() {
  const { heap, pool, list, next } = open();
  return () => {
    const f = heap.f32;
    const u = heap.u32;
    for (let k = 0; k < COUNT; k++) {
      const i = list[k] >>> 2;
      f[i + 3] -= G * DT;
      f[i] += f[i + 2] * DT;
      f[i + 1] += f[i + 3] * DT;
      if (f[i + 1] < -100) f[i + 3] = -f[i + 3];
      u[i + 4]--;
      if (u[i + 4] !== 0) continue;
      pool.free(list[k]);
      list[k] = pool.alloc();
      u[(list[k] >>> 2) + 4] = next();
    }
    return f[(list[7] >>> 2) + 1];
  };
}

function cursor() {
  const { heap, pool, list, next } = open();
  const p = Particle.cursor(heap);
  return () => {
    for (let k = 0; k < COUNT; k++) {
      p.move(list[k]);
      p.vy -= G * DT;
      p.x += p.vx * DT;
      p.y += p.vy * DT;
      if (p.y < -100) p.vy = -p.vy;
      p.state--;
      if (p.state !== 0) continue;
      pool.free(list[k]);
      list[k] = pool.alloc();
      p.move(list[k]).state = next();
    }
    return p.move(list[7]).y;
  };
}

/** Through the cursor, but each field is read once, and written once. */
function cursorOnce() {
  const { heap, pool, list, next } = open();
  const p = Particle.cursor(heap);
  return () => {
    for (let k = 0; k < COUNT; k++) {
      p.move(list[k]);
      let speed = Math.fround(p.vy - G * DT);
      const height = Math.fround(p.y + speed * DT);
      const left = p.state - 1;
      if (height < -100) speed = -speed;
      p.x += p.vx * DT;
      p.y = height;
      p.vy = speed;
      p.state = left;
      if (left !== 0) continue;
      pool.free(list[k]);
      list[k] = pool.alloc();
      p.move(list[k]).state = next();
    }
    return p.move(list[7]).y;
  };
}

function objects() {
  class Body {
    x = 0;
    y = 0;
    vx = 0;
    vy = 0;
    state = 0;
    constructor(frames) {
      this.state = frames;
    }
  }
  const next = lives();
  const list = Array.from({ length: COUNT }, () => new Body(next()));
  return () => {
    for (let k = 0; k < COUNT; k++) {
      const p = list[k];
      p.vy = Math.fround(p.vy - G * DT);
      p.x = Math.fround(p.x + p.vx * DT);
      p.y = Math.fround(p.y + p.vy * DT);
      if (p.y < -100) p.vy = -p.vy;
      p.state--;
      if (p.state === 0) list[k] = new Body(next());
    }
    return list[7].y;
  };
}

export const ways = {
  "field indices": indices,
  "views by hand": byHand,
  cursor,
  "cursor, each field once": cursorOnce,
  objects,
};
