// The cost of a cursor's field access, against the same access written by hand on typed arrays.
//
//   npm run bench:struct
//   (or: npx tsx bench/struct.mjs)
//
// Each line: a cursor and hand-written loops, run by turns over the same elements; the median of the paired ratios of
// - the cursor to typed arrays held in constants, which a growth of the memory would make stale;
// - the cursor to typed arrays looked up and checked at each access, which survive growth as a cursor does: equal work;
// - the first hand-written loop to a copy of itself: the noise.
import { Views } from "../src/memory.ts";
import { array, f32, f64, flexible, i32, pointer, struct, u32, u64, u8 } from "../src/struct.ts";

const count = 20_000;
const rounds = Number(process.argv[2] ?? 61);
const passes = 10;

const heap = { views: new Views(new WebAssembly.Memory({ initial: 64 })) };
const { views } = heap;
const base = 64;

const Bio = struct({
  sector: u64,
  remaining: i32,
  state: u32,
  masterBio: pointer(),
  weight: f64,
  bios: flexible(pointer()),
});
const Vec = struct({ x: f32, y: f32, z: f32 });
const Particle = struct({ pos: Vec, vel: Vec, life: i32, tags: array(u8, 4), m: array(f32, 4) });

const bio = Bio.at(heap, base, 4);
const anyBio = Bio.at(heap, base);
const particle = Particle.at(heap, base);
const bioSize = Bio.offsetof("bios", 4);
const particleSize = Particle.sizeof;

/** name -> the cursor, its struct's size, the loop over it, and the loop by hand. */
const cases = {
  "read i32, u32": [
    bio,
    bioSize,
    (cursor, first, n, size) => {
      let sum = 0;
      for (let k = 0, p = first; k < n; k++, p += size) {
        cursor.move(p);
        sum += cursor.remaining + cursor.state;
      }
      return sum;
    },
    `const i32 = views.i32, u32 = views.u32; let sum = 0;
     for (let k = 0, p = first; k < n; k++, p += size) sum += i32[(p + 8) >>> 2] + u32[(p + 12) >>> 2];
     return sum;`,
  ],
  "write i32, u32, pointer": [
    bio,
    bioSize,
    (cursor, first, n, size) => {
      for (let k = 0, p = first; k < n; k++, p += size) {
        cursor.move(p);
        cursor.remaining = k;
        cursor.state = 7;
        cursor.masterBio = p;
      }
      return 0;
    },
    `const i32 = views.i32, u32 = views.u32;
     for (let k = 0, p = first; k < n; k++, p += size) {
       i32[(p + 8) >>> 2] = k; u32[(p + 12) >>> 2] = 7; u32[(p + 16) >>> 2] = p;
     }
     return 0;`,
  ],
  "add to f64": [
    bio,
    bioSize,
    (cursor, first, n, size) => {
      for (let k = 0, p = first; k < n; k++, p += size) {
        cursor.move(p);
        cursor.weight += 1.5;
      }
      return 0;
    },
    `const f64 = views.f64;
     for (let k = 0, p = first; k < n; k++, p += size) f64[(p + 24) >>> 3] += 1.5;
     return 0;`,
  ],
  "nested: pos += vel, 3 x f32": [
    particle,
    particleSize,
    (cursor, first, n, size) => {
      for (let k = 0, p = first; k < n; k++, p += size) {
        cursor.move(p);
        const { pos, vel } = cursor;
        pos.x += vel.x;
        pos.y += vel.y;
        pos.z += vel.z;
        cursor.life--;
      }
      return 0;
    },
    `const f32 = views.f32, i32 = views.i32;
     for (let k = 0, p = first; k < n; k++, p += size) {
       const i = p >>> 2;
       f32[i] += f32[i + 3]; f32[i + 1] += f32[i + 4]; f32[i + 2] += f32[i + 5]; i32[i + 6]--;
     }
     return 0;`,
  ],
  "flexible array, get and set x 4": [
    bio,
    bioSize,
    (cursor, first, n, size) => {
      let sum = 0;
      for (let k = 0, p = first; k < n; k++, p += size) {
        const { bios } = cursor.move(p);
        for (let j = 0; j < 4; j++) {
          bios.set(j, k);
          sum += bios.get(j);
        }
      }
      return sum;
    },
    `const u32 = views.u32; let sum = 0;
     for (let k = 0, p = first; k < n; k++, p += size)
       for (let j = 0; j < 4; j++) { u32[(p + 32 + 4 * j) >>> 2] = k; sum += u32[(p + 32 + 4 * j) >>> 2]; }
     return sum;`,
  ],
  "flexible array of unknown length, get and set x 4": [
    anyBio,
    bioSize,
    (cursor, first, n, size) => {
      let sum = 0;
      for (let k = 0, p = first; k < n; k++, p += size) {
        const { bios } = cursor.move(p);
        for (let j = 0; j < 4; j++) {
          bios.set(j, k);
          sum += bios.get(j);
        }
      }
      return sum;
    },
    `const u32 = views.u32; let sum = 0;
     for (let k = 0, p = first; k < n; k++, p += size)
       for (let j = 0; j < 4; j++) { u32[(p + 32 + 4 * j) >>> 2] = k; sum += u32[(p + 32 + 4 * j) >>> 2]; }
     return sum;`,
  ],
  "fixed array, get x 4": [
    particle,
    particleSize,
    (cursor, first, n, size) => {
      let sum = 0;
      for (let k = 0, p = first; k < n; k++, p += size) {
        const { m } = cursor.move(p);
        for (let j = 0; j < 4; j++) sum += m.get(j);
      }
      return sum;
    },
    `const f32 = views.f32; let sum = 0;
     for (let k = 0, p = first; k < n; k++, p += size)
       for (let j = 0; j < 4; j++) sum += f32[(p + 32 + 4 * j) >>> 2];
     return sum;`,
  ],
};

/** The same loop with each view looked up and checked as it is used. */
function surviving(source) {
  return source
    .replace(/const [iuf]\d+ = [^;]*;/, "")
    .replace(/([iuf])(32|64)\[((?:[^[\]])*)\]/g, (_, kind, bits, index) => {
      const name = kind + bits;
      return `((${index}) < views.${name}.length ? views.${name} : views.refresh().${name})[${index}]`;
    });
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

/** All loops get what they work on as arguments: a constant of the module is loaded again at each use. */
function time(run, subject, size) {
  const start = performance.now();
  for (let i = 0; i < passes; i++) run(subject, base, count, size);
  return performance.now() - start;
}

function measure(label) {
  console.log(`\n${label}\n  /held /equal  noise  ns per element`);
  for (const [name, [subject, size, cursor, source]] of Object.entries(cases)) {
    // The bench may make functions from text; the library never does.
    // Each text differs, or the engine would share what it learnt about one with the others.
    const byHand = (text, n) => new Function("views", "first", "n", "size", `/* ${label} ${n} */ ${text}`);
    const a = byHand(source, 1);
    const b = byHand(source, 2);
    const c = byHand(surviving(source), 3);
    views.u8.fill(0);
    for (let i = 0; i < 3; i++)
      void [time(cursor, subject, size), time(a, views, size), time(b, views, size), time(c, views, size)];
    const ratios = [];
    const equal = [];
    const noise = [];
    let best = Infinity;
    for (let r = 0; r < rounds; r++) {
      const x = time(cursor, subject, size);
      const y = time(a, views, size);
      const z = time(b, views, size);
      equal.push(x / time(c, views, size));
      ratios.push(x / y);
      noise.push(z / y);
      best = Math.min(best, x);
    }
    const perElement = (best * 1e6) / passes / count;
    console.log(
      `  ${median(ratios).toFixed(2).padStart(5)}  ${median(equal).toFixed(2).padStart(5)}  ${median(noise).toFixed(2).padStart(5)}  ${perElement.toFixed(2).padStart(6)}  ${name}`,
    );
  }
}

measure("7 loops, 3 struct types");

// Twenty more types in use: every accessor's shared code has then seen more shapes than an engine keeps apart.
const others = Array.from({ length: 20 }, (_, n) => {
  const Inner = struct({ a: i32, [`b${n}`]: f32 });
  const T = struct({ [`x${n}`]: i32, y: u32, z: f64, w: f32, inner: Inner, list: array(i32, n + 1), p: pointer() });
  return T.at(heap, base);
});
let sink = 0;
for (let k = 0; k < 20_000; k++) {
  for (const other of others) {
    other.move(base + 8 * (k & 255));
    other.y = k;
    other.z += 1;
    other.inner.a++;
    other.list.set(0, other.p);
    sink += other.w;
  }
}
measure("the same with 20 other types alive and used");

// From the first growth on the engine checks at each access, by hand or not, that the array was not detached.
for (let i = 0; i < 3; i++) {
  views.memory.grow(1);
  views.refresh();
  for (const [subject, size, cursor] of Object.values(cases)) cursor(subject, base, 2, size);
}
measure("the same after the memory has grown 3 times");

// One call site that sees all twenty: what cannot be told apart has to be looked up.
function mixed() {
  let sum = 0;
  for (let k = 0; k < count; k++) sum += others[k % 20].y;
  return sum;
}
for (let i = 0; i < 20; i++) sink += mixed();
let best = Infinity;
for (let r = 0; r < rounds; r++) best = Math.min(best, time(mixed));
console.log(`\none call site, 20 types in turn: ${((best * 1e6) / passes / count).toFixed(2)} ns per field`);

function brackets() {
  const { bios } = bio;
  for (let k = 0; k < count; k++) bios[1] = bios[0];
}
for (let i = 0; i < 5; i++) brackets();
best = Infinity;
for (let r = 0; r < 9; r++) best = Math.min(best, time(brackets));
console.log(`bios[1] = bios[0]: ${((best * 1e6) / passes / count).toFixed(0)} ns for both`, sink ? "" : " ");
