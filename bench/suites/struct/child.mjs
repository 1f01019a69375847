/** Field access of cursors, against the same access by hand on typed arrays; all conditions in one process, in order. */
import { array, createHeap, f32, f64, flexible, i32, pointer, struct, u32, u64, u8 } from "../../../dist/index.js";
import { answer } from "../../harness/children.mjs";
import { clock } from "../../harness/measure.mjs";

const ELEMENTS = 20_000;
const PASSES = 10;
const BYTES = 64 * 65536;

// The elements lie below the heap's region, in memory that the heap leaves alone.
const memory = new WebAssembly.Memory({ initial: 64 + 4 });
const heap = createHeap({ memory, region: { base: BYTES, bytes: 4 * 65536 } });
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

/** The cursor, its struct's size, the loop over it, and the loop by hand. */
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

/** The same loop with each view looked up and checked at each use. */
const surviving = (source) =>
  source.replace(/const [iuf]\d+ = [^;]*;/, "").replace(/([iuf])(32|64)\[((?:[^[\]])*)\]/g, (_, kind, bits, index) => {
    const name = kind + bits;
    return `((${index}) < views.${name}.length ? views.${name} : views.refresh().${name})[${index}]`;
  });

/** ns per element. All loops get their objects as arguments: a constant of the module is loaded again at each use. */
function time(run, subject, size) {
  const start = clock();
  for (let i = 0; i < PASSES; i++) run(subject, base, ELEMENTS, size);
  return ((clock() - start) * 1e6) / PASSES / ELEMENTS;
}

/** A loop by hand. The texts differ by `mark`: an engine shares what it learns between functions of one text. */
const byHand = (text, mark) => new Function("views", "first", "n", "size", `/* ${mark} */ ${text}`);

/** The samples of each case under one condition; sample k of each subject is of the same round. */
function measure(condition, rounds, progress) {
  return Object.entries(cases).map(([name, [subject, size, cursor, source]], k) => {
    const subjects = {
      cursor: [cursor, subject, size],
      held: [byHand(source, `${condition} 1`), views, size],
      again: [byHand(source, `${condition} 2`), views, size],
      checked: [byHand(surviving(source), `${condition} 3`), views, size],
    };
    views.u8.fill(0, 0, BYTES);
    for (let i = 0; i < 3; i++) for (const args of Object.values(subjects)) time(...args);
    const samples = { cursor: [], held: [], again: [], checked: [] };
    for (let r = 0; r < rounds; r++)
      for (const [key, args] of Object.entries(subjects)) samples[key].push(time(...args));
    progress(k / Object.keys(cases).length);
    return { name, samples };
  });
}

// The results are used: an engine may leave out a loop without any.
let sink = 0;
const repeated = (work, rounds) => {
  for (let i = 0; i < 20; i++) sink += work() ?? 0;
  return Array.from({ length: rounds }, () => time(work));
};

await answer(({ quick }, progress) => {
  const rounds = quick ? 7 : 61;
  const part = (i) => (fraction) => progress((i + fraction) / 3);
  const alone = measure("alone", rounds, part(0));

  // Twenty more types in use: the shared code of accessors has then seen more shapes than an engine keeps apart.
  const others = Array.from({ length: 20 }, (_, n) => {
    const Inner = struct({ a: i32, [`b${n}`]: f32 });
    const T = struct({ [`x${n}`]: i32, y: u32, z: f64, w: f32, inner: Inner, list: array(i32, n + 1), p: pointer() });
    return T.at(heap, base);
  });
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
  const others20 = measure("others", rounds, part(1));

  // From the first growth on, the engine checks at each access, by hand or not, that the array was not detached.
  for (let i = 0; i < 3; i++) {
    memory.grow(1);
    views.refresh();
    for (const [subject, size, cursor] of Object.values(cases)) cursor(subject, base, 2, size);
  }
  const grown = measure("grown", rounds, part(2));

  // One call site that sees all twenty types has to look the field up.
  const mixed = repeated(() => {
    let sum = 0;
    for (let k = 0; k < ELEMENTS; k++) sum += others[k % 20].y;
    return sum;
  }, rounds);
  const brackets = repeated(
    () => {
      const { bios } = bio;
      for (let k = 0; k < ELEMENTS; k++) bios[1] = bios[0];
    },
    Math.min(rounds, 9),
  );
  return { "struct-alone": alone, "struct-others": others20, "struct-grown": grown, mixed, brackets, sink };
});
