/** Live objects, of which random ones are replaced: the first field of the old one is read, all fields of the new one written. */
import * as lib from "../../../../dist/index.js";
import { SEED, heapFor, must, names, next, pick } from "../common.mjs";

/** The sides as texts, since the number of fields differs. `v` is the value of the new object in `slot`. */
const texts = (each) => ({
  [names.views]: {
    before: "const pool = heap.create({ size, minNr: 0 }); const table = new Uint32Array(live);",
    held: "const words = heap.views[field], slots = table, p = pool;",
    drop: "const old = slots[slot]; sum += words[old >>> shift]; p.free(old);",
    put: `const a = must(p.alloc()), i = a >>> shift; ${each((k) => `words[i + ${k}] = v + ${k};`)} slots[slot] = a;`,
    all: `const i = table[slot] >>> shift, words = heap.views[field]; ${each((k) => `sum += words[i + ${k}];`)}`,
  },
  [names.cursors]: {
    before: `const Item = lib.struct({ ${each((k) => `f${k}: lib[field],`)} });
      const pool = heap.create({ size: Item, minNr: 0 }); const table = new Uint32Array(live);
      const first = pool.alloc(); const cursor = Item.at(heap, first); pool.free(first);`,
    held: "const slots = table, p = pool, c = cursor;",
    drop: "const old = slots[slot]; sum += c.move(old).f0; p.free(old);",
    put: `const a = must(p.alloc()); c.move(a); ${each((k) => `c.f${k} = v + ${k};`)} slots[slot] = a;`,
    all: `const c = cursor; c.move(table[slot]); ${each((k) => `sum += c.f${k};`)}`,
  },
  [names.classes]: {
    before: `class Item { constructor(v) { ${each((k) => `this.f${k} = v + ${k};`)} } } const table = [];`,
    held: "const slots = table;",
    drop: "sum += slots[slot].f0;",
    put: "slots[slot] = new Item(v);",
    all: `const o = table[slot]; ${each((k) => `sum += o.f${k};`)}`,
  },
  [names.literals]: {
    before: "const table = [];",
    held: "const slots = table;",
    drop: "sum += slots[slot].f0;",
    put: `slots[slot] = { ${each((k) => `f${k}: v + ${k},`)} };`,
    all: `const o = table[slot]; ${each((k) => `sum += o.f${k};`)}`,
  },
  [names.pool]: {
    before: `class Item { constructor(v) { ${each((k) => `this.f${k} = v + ${k};`)} }
      set(v) { ${each((k) => `this.f${k} = v + ${k};`)} } } const table = [], unused = [];`,
    held: "const slots = table, free = unused;",
    drop: "const old = slots[slot]; sum += old.f0; free.push(old);",
    put: `if (free.length === 0) slots[slot] = new Item(v); else { const o = free.pop(); o.set(v); slots[slot] = o; }`,
    all: `const o = table[slot]; ${each((k) => `sum += o.f${k};`)}`,
  },
  [names.typed]: {
    before: "const table = [];",
    held: "const slots = table;",
    drop: "sum += slots[slot][0];",
    put: `const o = new Numbers(fields); ${each((k) => `o[${k}] = v + ${k};`)} slots[slot] = o;`,
    all: `const o = table[slot]; ${each((k) => `sum += o[${k}];`)}`,
  },
  [names.columns]: {
    before: `${each((k) => `const c${k} = new Numbers(live);`)}
      const table = new Int32Array(live), unused = Int32Array.from({ length: live }, (_, i) => live - 1 - i);
      let count = live;`,
    held: `const slots = table, free = unused; let n = count; ${each((k) => `const f${k} = c${k};`)}`,
    drop: "const old = slots[slot]; sum += f0[old]; free[n++] = old;",
    put: `const i = free[--n]; ${each((k) => `f${k}[i] = v + ${k};`)} slots[slot] = i;`,
    after: "count = n;",
    all: `const i = table[slot]; ${each((k) => `sum += c${k}[i];`)}`,
  },
  [names.records]: {
    before: `const numbers = new Numbers(live * fields);
      const table = new Int32Array(live), unused = Int32Array.from({ length: live }, (_, i) => (live - 1 - i) * fields);
      let count = live;`,
    held: "const words = numbers, slots = table, free = unused; let n = count;",
    drop: "const old = slots[slot]; sum += words[old]; free[n++] = old;",
    put: `const i = free[--n]; ${each((k) => `words[i + ${k}] = v + ${k};`)} slots[slot] = i;`,
    after: "count = n;",
    all: `const i = table[slot]; ${each((k) => `sum += numbers[i + ${k}];`)}`,
  },
});

const program = ({ before, held, drop, put, after = "", all }) => `
  "use strict";
  ${before}
  // The state between batches; typed, because an engine boxes plain numbers at each step of a large loop.
  const kept = new Float64Array([half, 0]), state = new Int32Array([seed]);
  {
    let v = kept[0];
    ${held}
    for (let slot = 0; slot < live; slot++, v++) { ${put} }
    kept[0] = v;
    ${after}
  }
  return {
    batch() {
      let v = kept[0], sum = kept[1], x = state[0];
      ${held}
      for (let left = perBatch; left > 0; left--, v++) {
        x = next(x);
        const slot = pick(x, live);
        ${drop}
        ${put}
      }
      kept[0] = v, kept[1] = sum, state[0] = x;
      ${after}
    },
    checksum() {
      let sum = kept[1];
      for (let slot = 0; slot < live; slot++) { ${all} }
      return sum;
    },
  };`;

/** Fractions of 8 bytes, which V8 keeps as objects of their own, or whole numbers of 4 bytes, which it does not. */
const kinds = {
  f64: { bytes: 8, shift: 3, Numbers: Float64Array, half: 0.5 },
  i32: { bytes: 4, shift: 2, Numbers: Int32Array, half: 0 },
};

export function create(side, { live, size, field = "f64", perBatch }) {
  const { bytes, shift, Numbers, half } = kinds[field];
  const fields = size / bytes;
  const each = (one) => Array.from({ length: fields }, (_, k) => one(k)).join(" ");
  const ours = side === names.views || side === names.again || side === names.cursors;
  const given = {
    live,
    size,
    field,
    fields,
    perBatch,
    shift,
    Numbers,
    half,
    lib,
    must,
    next,
    pick,
    seed: SEED,
    heap: ours ? heapFor([live, size]) : undefined,
  };
  const text = texts(each)[side === names.again ? names.views : side];
  return new Function(...Object.keys(given), program(text))(...Object.values(given));
}

const { views, again, cursors, classes, literals, pool, typed, columns, records } = names;
const all = [views, again, cursors, classes, literals, pool, typed, columns, records];
const main = [views, again, classes, pool, columns];

const thousands = (n) => (n >= 1e6 ? `${n / 1e6} million` : n.toLocaleString("en-US"));

function table(live, size, sides, more) {
  const { field = "f64", perBatch = 200 } = more;
  const count = size / kinds[field].bytes;
  const short = live >= 1e6 ? `${live / 1e6}m` : `${live / 1e3}k`;
  return {
    name: `churn-${short}-${size}${field === "f64" ? "" : `-${field}`}`,
    title: `${thousands(live)} live objects of ${size} bytes, random ones replaced`,
    workload:
      `Of ${thousands(live)} objects of ${count} ${field === "f64" ? "doubles" : "small integers"} a random one's first field is read, ` +
      `it is dropped, and a new one with all fields written takes its place; a batch is ${perBatch} of these.`,
    params: { live, size, field, perBatch },
    live,
    perBatch,
    span: "batch",
    sides,
    ...more,
  };
}

const small = { warm: 1500, batches: 8000 };
const large = { warm: 600, batches: 3000 };

export const tables = [
  table(1e3, 32, main, small),
  table(1e3, 64, all, { ...small }),
  table(1e3, 256, main, small),
  table(1e5, 32, main, { warm: 1500, batches: 5000 }),
  table(1e5, 64, all, { warm: 1500, batches: 5000 }),
  table(1e5, 256, main, { warm: 800, batches: 3000 }),
  table(1e6, 32, main, large),
  // Long enough for a full collection, which the engine puts off for a million objects and more.
  table(1e6, 64, all, { warm: 600, batches: 6000 }),
  table(1e6, 256, [views, again, classes, pool], { warm: 400, batches: 1500 }),
  table(1e6, 64, main, { ...large, field: "i32" }),
  {
    ...table(2e5, 56, all, { perBatch: 3000, warm: 80, batches: 600 }),
    name: "frames-200k",
    title: "200,000 live objects of 56 bytes, 3,000 replaced a frame",
    workload:
      "Of 200,000 objects of 7 doubles, 3,000 random ones a frame are replaced: one field read, all written. Frames run " +
      "back to back.",
    span: "frame",
  },
];
