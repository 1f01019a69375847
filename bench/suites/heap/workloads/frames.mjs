/** The frames of a game: contacts that live for one frame, and particles that live for some. */
import * as lib from "../../../../dist/index.js";
import { SEED, heapFor, must, names, next } from "../common.mjs";

// ---------------------------------------------------------------------------------------------------------------------
// Contacts: a frame finds n, visits each once, and drops them. 48 bytes: two bodies, depth, normal, impulse.

const BODIES = 1024;
// Made only where it is used: an object literal with the same names would share its hidden class.
const contactType = () => {
  const { struct, u32, f64 } = lib;
  return struct({ a: u32, b: u32, depth: f64, nx: f64, ny: f64, nz: f64, impulse: f64 });
};
const CONTACT = 48;

/** The state between frames; typed, because an engine boxes plain numbers. */
const lasting = () => ({ state: new Int32Array([SEED]), total: new Float64Array(1), speeds: new Float64Array(BODIES) });

/** The contacts of a side of plain objects: `make` gives an object, `drop` takes it back. */
function contactsOf({ make, drop }, { perBatch }) {
  const { state, total, speeds } = lasting();
  const list = [];
  return {
    batch() {
      let x = state[0];
      for (let i = 0; i < perBatch; i++) {
        x = next(x);
        const a = x & (BODIES - 1);
        const depth = (x >>> 20) / 4096;
        list.push(make(a, (a + i) & (BODIES - 1), depth, depth * 0.5, depth * 0.25, 1 - depth));
      }
      state[0] = x;
      let sum = total[0];
      for (let i = 0; i < list.length; i++) {
        const c = list[i];
        c.impulse = c.depth * (speeds[c.a] * c.nx - speeds[c.b] * c.ny + c.nz);
        speeds[c.a] = speeds[c.a] * 0.5 + c.impulse;
        sum += c.impulse;
      }
      total[0] = sum;
      if (drop) for (let i = 0; i < list.length; i++) drop(list[i]);
      list.length = 0;
    },
    checksum: () => total[0],
  };
}

// oxlint-disable-next-line no-extraneous-class
class ContactObject {
  constructor(a, b, depth, nx, ny, nz) {
    this.a = a;
    this.b = b;
    this.depth = depth;
    this.nx = nx;
    this.ny = ny;
    this.nz = nz;
    this.impulse = 0.5;
  }
}

/** The sources of addresses. */
const takings = {
  [names.views](heap, n) {
    const pool = heap.create({ size: CONTACT, minNr: 0, align: 8 });
    const list = new Uint32Array(n);
    return {
      list,
      take(i) {
        return (list[i] = must(pool.alloc()));
      },
      drop() {
        for (let i = 0; i < n; i++) pool.free(list[i]);
      },
    };
  },
  [names.bulk](heap, n) {
    const pool = heap.create({ size: CONTACT, minNr: 0, align: 8 });
    const list = new Uint32Array(n);
    return {
      list,
      begin() {
        if (!pool.allocBulk(list)) throw new Error("out of memory");
      },
      take: (i) => list[i],
      drop: () => pool.freeBulk(list),
    };
  },
  [names.arena](heap, n) {
    const arena = lib.createArena({ heap, bytes: n * CONTACT });
    const list = new Uint32Array(n);
    return { list, take: (i) => (list[i] = must(arena.alloc(CONTACT))), drop: () => arena.reset() };
  },
};

function contactsInHeap(side, { perBatch }) {
  const { state, total, speeds } = lasting();
  // An arena doubles by one piece.
  const heap = heapFor([perBatch, 3 * CONTACT]);
  const { list, begin, take, drop } = takings[side](heap, perBatch);
  return {
    batch() {
      const { u32, f64 } = heap.views;
      let x = state[0];
      begin?.();
      for (let i = 0; i < perBatch; i++) {
        x = next(x);
        const a = x & (BODIES - 1);
        const depth = (x >>> 20) / 4096;
        const c = take(i);
        u32[c >>> 2] = a;
        u32[(c + 4) >>> 2] = (a + i) & (BODIES - 1);
        f64[(c + 8) >>> 3] = depth;
        f64[(c + 16) >>> 3] = depth * 0.5;
        f64[(c + 24) >>> 3] = depth * 0.25;
        f64[(c + 32) >>> 3] = 1 - depth;
        f64[(c + 40) >>> 3] = 0.5;
      }
      state[0] = x;
      let sum = total[0];
      for (let i = 0; i < perBatch; i++) {
        const c = list[i];
        const a = u32[c >>> 2];
        const b = u32[(c + 4) >>> 2];
        const impulse =
          f64[(c + 8) >>> 3] *
          (speeds[a] * f64[(c + 16) >>> 3] - speeds[b] * f64[(c + 24) >>> 3] + f64[(c + 32) >>> 3]);
        f64[(c + 40) >>> 3] = impulse;
        speeds[a] = speeds[a] * 0.5 + impulse;
        sum += impulse;
      }
      total[0] = sum;
      drop();
    },
    checksum: () => total[0],
  };
}

function contactsByCursor({ perBatch }) {
  const { state, total, speeds } = lasting();
  const heap = heapFor([perBatch, CONTACT]);
  const Contact = contactType();
  const pool = heap.create({ size: Contact, minNr: 0 });
  const list = new Uint32Array(perBatch);
  const first = pool.alloc();
  const c = Contact.at(heap, first);
  pool.free(first);
  // Short functions: an engine stops inlining accessors in long ones.
  function write(a, b, depth) {
    c.a = a;
    c.b = b;
    c.depth = depth;
    c.nx = depth * 0.5;
    c.ny = depth * 0.25;
    c.nz = 1 - depth;
    c.impulse = 0.5;
  }
  function solve() {
    const { a } = c;
    const impulse = c.depth * (speeds[a] * c.nx - speeds[c.b] * c.ny + c.nz);
    c.impulse = impulse;
    speeds[a] = speeds[a] * 0.5 + impulse;
    total[0] += impulse;
  }
  return {
    batch() {
      let x = state[0];
      for (let i = 0; i < perBatch; i++) {
        x = next(x);
        const a = x & (BODIES - 1);
        c.move((list[i] = must(pool.alloc())));
        write(a, (a + i) & (BODIES - 1), (x >>> 20) / 4096);
      }
      state[0] = x;
      for (let i = 0; i < perBatch; i++) {
        c.move(list[i]);
        solve();
      }
      for (let i = 0; i < perBatch; i++) pool.free(list[i]);
    },
    checksum: () => total[0],
  };
}

function contactsInColumns({ perBatch }) {
  const { state, total, speeds } = lasting();
  const as = new Uint32Array(perBatch);
  const bs = new Uint32Array(perBatch);
  const [depths, nx, ny, nz, impulses] = Array.from({ length: 5 }, () => new Float64Array(perBatch));
  return {
    batch() {
      let x = state[0];
      for (let i = 0; i < perBatch; i++) {
        x = next(x);
        const a = x & (BODIES - 1);
        const depth = (x >>> 20) / 4096;
        as[i] = a;
        bs[i] = (a + i) & (BODIES - 1);
        depths[i] = depth;
        nx[i] = depth * 0.5;
        ny[i] = depth * 0.25;
        nz[i] = 1 - depth;
        impulses[i] = 0.5;
      }
      state[0] = x;
      let sum = total[0];
      for (let i = 0; i < perBatch; i++) {
        const a = as[i];
        const impulse = depths[i] * (speeds[a] * nx[i] - speeds[bs[i]] * ny[i] + nz[i]);
        impulses[i] = impulse;
        speeds[a] = speeds[a] * 0.5 + impulse;
        sum += impulse;
      }
      total[0] = sum;
    },
    checksum: () => total[0],
  };
}

const contacts = {
  [names.views]: (params) => contactsInHeap(names.views, params),
  [names.again]: (params) => contactsInHeap(names.views, params),
  [names.bulk]: (params) => contactsInHeap(names.bulk, params),
  [names.arena]: (params) => contactsInHeap(names.arena, params),
  [names.cursors]: contactsByCursor,
  [names.classes]: (params) =>
    contactsOf({ make: (a, b, depth, nx, ny, nz) => new ContactObject(a, b, depth, nx, ny, nz) }, params),
  [names.literals]: (params) =>
    contactsOf({ make: (a, b, depth, nx, ny, nz) => ({ a, b, depth, nx, ny, nz, impulse: 0.5 }) }, params),
  [names.pool](params) {
    const unused = [];
    const make = (a, b, depth, nx, ny, nz) => {
      if (unused.length === 0) return new ContactObject(a, b, depth, nx, ny, nz);
      const c = unused.pop();
      c.a = a;
      c.b = b;
      c.depth = depth;
      c.nx = nx;
      c.ny = ny;
      c.nz = nz;
      c.impulse = 0.5;
      return c;
    };
    return contactsOf({ make, drop: (c) => unused.push(c) }, params);
  },
  [names.columns]: contactsInColumns,
};

// ---------------------------------------------------------------------------------------------------------------------
// Particles: all move in each frame; new ones replace those at the end of their life. 7 doubles.

const STEP = 1 / 60;
const particleType = () => {
  const { struct, f64 } = lib;
  return struct({ x: f64, y: f64, z: f64, vx: f64, vy: f64, vz: f64, life: f64 });
};

/** A new particle, from a random number: position 0, a velocity, and 1 to 3 seconds to live. */
const speed = (x, shift) => ((x >>> shift) & 255) / 64 - 1.75;
const span = (x) => 1 + (x >>> 22) / 512;

class ParticleObject {
  constructor(x) {
    this.set(x);
  }
  set(x) {
    this.x = 0.5;
    this.y = 0.5;
    this.z = 0.5;
    this.vx = speed(x, 0);
    this.vy = speed(x, 7);
    this.vz = speed(x, 14);
    this.life = span(x) + 0.001;
  }
}

const literal = (x) => ({
  x: 0.5,
  y: 0.5,
  z: 0.5,
  vx: speed(x, 0),
  vy: speed(x, 7),
  vz: speed(x, 14),
  life: span(x) + 0.001,
});

function particlesOf({ make, drop }, { live }) {
  const state = new Int32Array([SEED]);
  const list = [];
  const fill = () => {
    let x = state[0];
    while (list.length < live) list.push(make((x = next(x))));
    state[0] = x;
  };
  fill();
  return {
    batch() {
      for (let i = 0; i < list.length;) {
        const p = list[i];
        p.life -= STEP;
        if (p.life > 0) {
          p.vy -= 9.81 * STEP;
          p.x += p.vx * STEP;
          p.y += p.vy * STEP;
          p.z += p.vz * STEP;
          i++;
        } else {
          drop?.(p);
          const end = list.pop();
          if (i < list.length) list[i] = end;
        }
      }
      fill();
    },
    checksum: () => list.reduce((sum, p) => sum + p.x + p.y + p.z + p.life, 0),
  };
}

function particlesInHeap({ live }) {
  const heap = heapFor([live, 56]);
  const pool = heap.create({ size: 56, minNr: 0 });
  const list = new Uint32Array(live);
  const state = new Int32Array([SEED]);
  let count = 0;
  const fill = () => {
    const { f64 } = heap.views;
    let x = state[0];
    while (count < live) {
      x = next(x);
      const address = must(pool.alloc());
      const i = address >>> 3;
      f64[i] = 0.5;
      f64[i + 1] = 0.5;
      f64[i + 2] = 0.5;
      f64[i + 3] = speed(x, 0);
      f64[i + 4] = speed(x, 7);
      f64[i + 5] = speed(x, 14);
      f64[i + 6] = span(x) + 0.001;
      list[count++] = address;
    }
    state[0] = x;
  };
  fill();
  return {
    batch() {
      const { f64 } = heap.views;
      let n = count;
      for (let k = 0; k < n;) {
        const i = list[k] >>> 3;
        const life = (f64[i + 6] -= STEP);
        if (life > 0) {
          f64[i + 4] -= 9.81 * STEP;
          f64[i] += f64[i + 3] * STEP;
          f64[i + 1] += f64[i + 4] * STEP;
          f64[i + 2] += f64[i + 5] * STEP;
          k++;
        } else {
          pool.free(list[k]);
          list[k] = list[--n];
        }
      }
      count = n;
      fill();
    },
    checksum() {
      const { f64 } = heap.views;
      return list.reduce(
        (sum, p) => sum + f64[p >>> 3] + f64[(p >>> 3) + 1] + f64[(p >>> 3) + 2] + f64[(p >>> 3) + 6],
        0,
      );
    },
  };
}

function particlesByCursor({ live }) {
  const heap = heapFor([live, 56]);
  const Particle = particleType();
  const pool = heap.create({ size: Particle, minNr: 0 });
  const list = new Uint32Array(live);
  const state = new Int32Array([SEED]);
  const first = pool.alloc();
  const p = Particle.at(heap, first);
  pool.free(first);
  let count = 0;
  function start(x) {
    p.x = 0.5;
    p.y = 0.5;
    p.z = 0.5;
    p.vx = speed(x, 0);
    p.vy = speed(x, 7);
    p.vz = speed(x, 14);
    p.life = span(x) + 0.001;
  }
  function step() {
    const vy = p.vy - 9.81 * STEP;
    p.vy = vy;
    p.x += p.vx * STEP;
    p.y += vy * STEP;
    p.z += p.vz * STEP;
  }
  const fill = () => {
    let x = state[0];
    while (count < live) {
      p.move((list[count++] = must(pool.alloc())));
      start((x = next(x)));
    }
    state[0] = x;
  };
  fill();
  return {
    batch() {
      let n = count;
      for (let k = 0; k < n;) {
        p.move(list[k]);
        const life = p.life - STEP;
        p.life = life;
        if (life > 0) {
          step();
          k++;
        } else {
          pool.free(list[k]);
          list[k] = list[--n];
        }
      }
      count = n;
      fill();
    },
    checksum: () => list.reduce((sum, at) => (p.move(at), sum + p.x + p.y + p.z + p.life), 0),
  };
}

function particlesInColumns({ live }) {
  const [xs, ys, zs, vxs, vys, vzs, lives] = Array.from({ length: 7 }, () => new Float64Array(live));
  const state = new Int32Array([SEED]);
  let count = 0;
  const fill = () => {
    let x = state[0];
    for (; count < live; count++) {
      x = next(x);
      xs[count] = 0.5;
      ys[count] = 0.5;
      zs[count] = 0.5;
      vxs[count] = speed(x, 0);
      vys[count] = speed(x, 7);
      vzs[count] = speed(x, 14);
      lives[count] = span(x) + 0.001;
    }
    state[0] = x;
  };
  fill();
  return {
    batch() {
      let n = count;
      for (let i = 0; i < n;) {
        if ((lives[i] -= STEP) > 0) {
          vys[i] -= 9.81 * STEP;
          xs[i] += vxs[i] * STEP;
          ys[i] += vys[i] * STEP;
          zs[i] += vzs[i] * STEP;
          i++;
        } else {
          n--;
          for (const column of [xs, ys, zs, vxs, vys, vzs, lives]) column[i] = column[n];
        }
      }
      count = n;
      fill();
    },
    checksum: () => xs.reduce((sum, x, i) => sum + x + ys[i] + zs[i] + lives[i], 0),
  };
}

const particles = {
  [names.views]: particlesInHeap,
  [names.again]: particlesInHeap,
  [names.cursors]: particlesByCursor,
  [names.classes]: (params) => particlesOf({ make: (x) => new ParticleObject(x) }, params),
  [names.literals]: (params) => particlesOf({ make: literal }, params),
  [names.pool](params) {
    const unused = [];
    const make = (x) => {
      if (unused.length === 0) return new ParticleObject(x);
      const p = unused.pop();
      p.set(x);
      return p;
    };
    return particlesOf({ make, drop: (p) => unused.push(p) }, params);
  },
  [names.columns]: particlesInColumns,
};

// ---------------------------------------------------------------------------------------------------------------------

const kinds = { contacts, particles };

export const create = (side, { kind, ...params }) => kinds[kind][side](params);

const garbage = (perBatch, more) => ({
  name: `garbage-${perBatch >= 1000 ? `${perBatch / 1000}k` : perBatch}`,
  title: `Short-lived garbage: ${perBatch.toLocaleString("en-US")} objects a frame`,
  workload:
    `A frame makes ${perBatch.toLocaleString("en-US")} contacts of 48 bytes (two integers, five doubles), goes through ` +
    "them once and drops them all.",
  params: { kind: "contacts", perBatch },
  live: perBatch,
  perBatch,
  span: "frame",
  sides: Object.keys(contacts),
  ...more,
});

export const tables = [
  garbage(100, { warm: 4000, batches: 20_000 }),
  garbage(10_000, { warm: 80, batches: 300 }),
  {
    name: "particles-20k",
    title: "A particle system: 20,000 particles",
    workload:
      "Each frame moves 20,000 particles of 7 doubles by a sixtieth of a second; those that have lived their 1 to 3 seconds, " +
      "some 170, are dropped and as many made. Frames run back to back; an operation is one particle moved.",
    params: { kind: "particles", live: 20_000 },
    live: 20_000,
    perBatch: 20_000,
    span: "frame",
    sides: Object.keys(particles),
    warm: 300,
    batches: 1200,
  },
];
