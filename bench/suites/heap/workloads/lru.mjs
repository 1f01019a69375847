/** A cache that drops the least recently used entry: a Map from keys to entries, and a list through the entries. */
import { f64, pointer, struct, u32 } from "../../../../dist/index.js";
import { SEED, heapFor, must, names, next } from "../common.mjs";

const SIZE = 48;
// Made only where it is used: an object literal with the same names would share its hidden class.
const entryType = () =>
  struct({ key: u32, newer: pointer(), older: pointer(), hits: u32, a: f64, b: f64, c: f64, d: f64 });

/** Some keys are far more frequent than others; about two thirds of the lookups hit. */
function keyOf(x, keys) {
  const even = (x >>> 0) / 2 ** 32;
  return (even * even * even * keys) | 0;
}

/** The work of the cache. `touch` makes an entry the newest and returns its value; `add` and `evict` replace one. */
function cacheOf({ entries, touch, add, evict }, { live, perBatch }) {
  const keys = live * 4;
  const state = new Int32Array([SEED]);
  const total = new Float64Array(1);
  return {
    batch() {
      let x = state[0];
      let sum = total[0];
      for (let i = 0; i < perBatch; i++) {
        x = next(x);
        const key = keyOf(x, keys);
        const entry = entries.get(key);
        if (entry !== undefined) sum += touch(entry);
        else {
          if (entries.size === live) sum += evict();
          add(key, key + 0.5);
        }
      }
      state[0] = x;
      total[0] = sum;
    },
    count: () => entries.size,
    checksum: () => total[0],
  };
}

class EntryObject {
  constructor(key, value) {
    this.set(key, value);
  }
  set(key, value) {
    this.key = key;
    this.newer = undefined;
    this.older = undefined;
    this.hits = 0;
    this.a = value;
    this.b = value + 1;
    this.c = value + 2;
    this.d = value + 3;
  }
}

const literal = (key, value) => ({
  key,
  newer: undefined,
  older: undefined,
  hits: 0,
  a: value,
  b: value + 1,
  c: value + 2,
  d: value + 3,
});

function ofObjects({ make, drop }, params) {
  const entries = new Map();
  let newest;
  let oldest;
  function link(entry) {
    entry.older = newest;
    entry.newer = undefined;
    if (newest === undefined) oldest = entry;
    else newest.newer = entry;
    newest = entry;
  }
  function unlink({ newer, older }) {
    if (newer === undefined) newest = older;
    else newer.older = older;
    if (older === undefined) oldest = newer;
    else older.newer = newer;
  }
  return cacheOf(
    {
      entries,
      touch(entry) {
        entry.hits++;
        if (entry !== newest) {
          unlink(entry);
          link(entry);
        }
        return entry.a + entry.d;
      },
      add(key, value) {
        const entry = make(key, value);
        entries.set(key, entry);
        link(entry);
      },
      evict() {
        const entry = oldest;
        unlink(entry);
        // An old dead entry that still points to younger ones would keep them from a young collection.
        entry.newer = undefined;
        entries.delete(entry.key);
        const sum = entry.hits + entry.b;
        drop?.(entry);
        return sum;
      },
    },
    params,
  );
}

/** The common way: a Map keeps its keys in insertion order, so a used entry is inserted again. */
function byOrder(params) {
  const entries = new Map();
  return cacheOf(
    {
      entries,
      touch(entry) {
        entry.hits++;
        entries.delete(entry.key);
        entries.set(entry.key, entry);
        return entry.a + entry.d;
      },
      add: (key, value) => void entries.set(key, new EntryObject(key, value)),
      evict() {
        const entry = entries.values().next().value;
        entries.delete(entry.key);
        return entry.hits + entry.b;
      },
    },
    params,
  );
}

function inHeap(params) {
  const heap = heapFor([params.live, SIZE]);
  const pool = heap.create({ size: SIZE, minNr: 0 });
  const { u32: words, f64: numbers } = heap.views;
  const entries = new Map();
  let newest = 0;
  let oldest = 0;
  function link(entry) {
    const i = entry >>> 2;
    words[i + 1] = 0;
    words[i + 2] = newest;
    if (newest === 0) oldest = entry;
    else words[(newest >>> 2) + 1] = entry;
    newest = entry;
  }
  function unlink(entry) {
    const newer = words[(entry >>> 2) + 1];
    const older = words[(entry >>> 2) + 2];
    if (newer === 0) newest = older;
    else words[(newer >>> 2) + 2] = older;
    if (older === 0) oldest = newer;
    else words[(older >>> 2) + 1] = newer;
  }
  return cacheOf(
    {
      entries,
      touch(entry) {
        words[(entry >>> 2) + 3]++;
        if (entry !== newest) {
          unlink(entry);
          link(entry);
        }
        return numbers[(entry >>> 3) + 2] + numbers[(entry >>> 3) + 5];
      },
      add(key, value) {
        const entry = must(pool.alloc());
        const i = entry >>> 3;
        words[entry >>> 2] = key;
        words[(entry >>> 2) + 3] = 0;
        numbers[i + 2] = value;
        numbers[i + 3] = value + 1;
        numbers[i + 4] = value + 2;
        numbers[i + 5] = value + 3;
        entries.set(key, entry);
        link(entry);
      },
      evict() {
        const entry = oldest;
        unlink(entry);
        entries.delete(words[entry >>> 2]);
        const sum = words[(entry >>> 2) + 3] + numbers[(entry >>> 3) + 3];
        pool.free(entry);
        return sum;
      },
    },
    params,
  );
}

function byCursors(params) {
  const Entry = entryType();
  const heap = heapFor([params.live, SIZE]);
  const pool = heap.create({ size: Entry, minNr: 0 });
  const entries = new Map();
  const first = pool.alloc();
  const c = Entry.at(heap, first);
  const other = Entry.at(heap, first);
  pool.free(first);
  let newest = 0;
  let oldest = 0;
  /** The entry at the cursor. */
  function link(entry) {
    c.newer = 0;
    c.older = newest;
    if (newest === 0) oldest = entry;
    else other.move(newest).newer = entry;
    newest = entry;
  }
  function unlink() {
    const { newer, older } = c;
    if (newer === 0) newest = older;
    else other.move(newer).older = older;
    if (older === 0) oldest = newer;
    else other.move(older).newer = newer;
  }
  function write(key, value) {
    c.key = key;
    c.hits = 0;
    c.a = value;
    c.b = value + 1;
    c.c = value + 2;
    c.d = value + 3;
  }
  return cacheOf(
    {
      entries,
      touch(entry) {
        c.move(entry).hits++;
        if (entry !== newest) {
          unlink();
          link(entry);
        }
        return c.a + c.d;
      },
      add(key, value) {
        const entry = must(pool.alloc());
        c.move(entry);
        write(key, value);
        entries.set(key, entry);
        link(entry);
      },
      evict() {
        const entry = oldest;
        c.move(entry);
        unlink();
        entries.delete(c.key);
        const sum = c.hits + c.b;
        pool.free(entry);
        return sum;
      },
    },
    params,
  );
}

/** By hand: an entry is an index, and 0 is none. */
function inColumns(params) {
  const size = params.live + 1;
  const [keys, newers, olders, hits] = Array.from({ length: 4 }, () => new Uint32Array(size));
  const [as, bs, cs, ds] = Array.from({ length: 4 }, () => new Float64Array(size));
  const unused = Uint32Array.from({ length: params.live }, (_, i) => params.live - i);
  const entries = new Map();
  let count = params.live;
  let newest = 0;
  let oldest = 0;
  function link(i) {
    newers[i] = 0;
    olders[i] = newest;
    if (newest === 0) oldest = i;
    else newers[newest] = i;
    newest = i;
  }
  function unlink(i) {
    const newer = newers[i];
    const older = olders[i];
    if (newer === 0) newest = older;
    else olders[newer] = older;
    if (older === 0) oldest = newer;
    else newers[older] = newer;
  }
  return cacheOf(
    {
      entries,
      touch(i) {
        hits[i]++;
        if (i !== newest) {
          unlink(i);
          link(i);
        }
        return as[i] + ds[i];
      },
      add(key, value) {
        const i = unused[--count];
        keys[i] = key;
        hits[i] = 0;
        as[i] = value;
        bs[i] = value + 1;
        cs[i] = value + 2;
        ds[i] = value + 3;
        entries.set(key, i);
        link(i);
      },
      evict() {
        const i = oldest;
        unlink(i);
        entries.delete(keys[i]);
        unused[count++] = i;
        return hits[i] + bs[i];
      },
    },
    params,
  );
}

const sides = {
  [names.views]: inHeap,
  [names.again]: inHeap,
  [names.cursors]: byCursors,
  [names.classes]: (params) => ofObjects({ make: (key, value) => new EntryObject(key, value) }, params),
  [names.literals]: (params) => ofObjects({ make: literal }, params),
  [names.map]: byOrder,
  [names.pool](params) {
    const unused = [];
    const make = (key, value) => {
      if (unused.length === 0) return new EntryObject(key, value);
      const entry = unused.pop();
      entry.set(key, value);
      return entry;
    };
    return ofObjects({ make, drop: (entry) => void unused.push(entry) }, params);
  },
  [names.columns]: inColumns,
};

/** Full from the start. */
export function create(side, params) {
  const subject = sides[side](params);
  while (subject.count() < params.live) subject.batch();
  return subject;
}

const cache = (live, more) => ({
  name: `lru-${live / 1000}k`,
  title: `A cache of ${live.toLocaleString("en-US")} entries that drops what was used least lately`,
  workload:
    "An operation asks for a key of four times as many as there is room for, some far more often than others; if it is not " +
    "there, the entry used least lately is dropped and a new one of 48 bytes added; a batch is 200 of these. All find keys " +
    "by a Map.",
  params: { live, perBatch: 200 },
  live,
  perBatch: 200,
  span: "batch",
  sides: Object.keys(sides),
  ...more,
});

export const tables = [
  cache(1e3, { warm: 1500, batches: 8000 }),
  cache(1e5, {
    warm: 3000,
    batches: 3000,
    sides: Object.keys(sides).filter((side) => side !== names.map),
    notRun: [
      {
        side: names.map,
        why: "takes tens of microseconds an operation: a new iterator has to step over all that was deleted",
      },
    ],
  }),
];
