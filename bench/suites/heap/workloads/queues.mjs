/** A simulation's events: first come, first served; and by time. Events of 32 bytes: time, kind, two numbers, next. */
import { f64, pointer, struct, u32 } from "../../../../dist/index.js";
import { SEED, heapFor, must, names, next } from "../common.mjs";

const SIZE = 32;
// Made only where it is used: an object literal with the same names would share its hidden class.
const eventType = () => struct({ time: f64, value: f64, kind: u32, target: u32, after: pointer() });

// oxlint-disable-next-line no-extraneous-class
class EventObject {
  constructor(time, value, kind, target) {
    this.time = time;
    this.value = value;
    this.kind = kind;
    this.target = target;
    this.after = undefined;
  }
}

const literal = (time, value, kind, target) => ({ time, value, kind, target, after: undefined });

function objectPool() {
  const unused = [];
  return {
    make(time, value, kind, target) {
      if (unused.length === 0) return new EventObject(time, value, kind, target);
      const event = unused.pop();
      event.time = time;
      event.value = value;
      event.kind = kind;
      event.target = target;
      event.after = undefined;
      return event;
    },
    drop: (event) => void unused.push(event),
  };
}

/** The delay and the content of an event, from a random number. */
const delay = (x) => (x >>> 12) / 2 ** 20 + 2 ** -21;
const value = (x) => (x & 1023) * 0.25 + 0.125;

// ---------------------------------------------------------------------------------------------------------------------
// First come, first served: a list through the events. A batch appends some events, and takes as many.

function listOf({ make, drop }, { live, perBatch }) {
  const state = new Int32Array([SEED]);
  const total = new Float64Array(1);
  let head = make(0.5, 0.5, 0, 0);
  let tail = head;
  function push(n) {
    let x = state[0];
    for (let i = 0; i < n; i++) {
      x = next(x);
      const event = make(delay(x), value(x), x & 7, x & 255);
      tail.after = event;
      tail = event;
    }
    state[0] = x;
  }
  function shift(n) {
    let sum = total[0];
    for (let i = 0; i < n; i++) {
      const event = head;
      head = event.after;
      // An old dead entry that still points to younger ones would keep them from a young collection.
      event.after = undefined;
      sum += event.time + event.value + event.kind + event.target;
      drop?.(event);
    }
    total[0] = sum;
  }
  push(live - 1);
  return {
    batch() {
      push(perBatch);
      shift(perBatch);
    },
    checksum: () => total[0],
  };
}

function listInHeap({ live, perBatch }) {
  const heap = heapFor([live + perBatch, SIZE]);
  const pool = heap.create({ size: SIZE, minNr: 0 });
  const state = new Int32Array([SEED]);
  const total = new Float64Array(1);
  const { u32: words, f64: numbers } = heap.views;
  function make(time, number, kind, target) {
    const event = must(pool.alloc());
    const i = event >>> 3;
    numbers[i] = time;
    numbers[i + 1] = number;
    const j = event >>> 2;
    words[j + 4] = kind;
    words[j + 5] = target;
    words[j + 6] = 0;
    return event;
  }
  let head = make(0.5, 0.5, 0, 0);
  let tail = head;
  function push(n) {
    let x = state[0];
    for (let i = 0; i < n; i++) {
      x = next(x);
      const event = make(delay(x), value(x), x & 7, x & 255);
      words[(tail >>> 2) + 6] = event;
      tail = event;
    }
    state[0] = x;
  }
  function shift(n) {
    let sum = total[0];
    for (let k = 0; k < n; k++) {
      const event = head;
      const i = event >>> 3;
      const j = event >>> 2;
      head = words[j + 6];
      sum += numbers[i] + numbers[i + 1] + words[j + 4] + words[j + 5];
      pool.free(event);
    }
    total[0] = sum;
  }
  push(live - 1);
  return {
    batch() {
      push(perBatch);
      shift(perBatch);
    },
    checksum: () => total[0],
  };
}

function listByCursor({ live, perBatch }) {
  const Event = eventType();
  const heap = heapFor([live + perBatch, SIZE]);
  const pool = heap.create({ size: Event, minNr: 0 });
  const state = new Int32Array([SEED]);
  const total = new Float64Array(1);
  let head = must(pool.alloc());
  let tail = head;
  const c = Event.at(heap, head);
  const end = Event.at(heap, head);
  function write(time, number, kind, target) {
    c.time = time;
    c.value = number;
    c.kind = kind;
    c.target = target;
    c.after = 0;
  }
  function push(n) {
    let x = state[0];
    for (let i = 0; i < n; i++) {
      x = next(x);
      const event = must(pool.alloc());
      c.move(event);
      write(delay(x), value(x), x & 7, x & 255);
      end.move(tail).after = event;
      tail = event;
    }
    state[0] = x;
  }
  function shift(n) {
    let sum = total[0];
    for (let i = 0; i < n; i++) {
      const event = head;
      c.move(event);
      head = c.after;
      sum += c.time + c.value + c.kind + c.target;
      pool.free(event);
    }
    total[0] = sum;
  }
  write(0.5, 0.5, 0, 0);
  push(live - 1);
  return {
    batch() {
      push(perBatch);
      shift(perBatch);
    },
    checksum: () => total[0],
  };
}

/** By hand: a ring instead of a list. */
function ringOfColumns({ live, perBatch }) {
  const capacity = 2 ** Math.ceil(Math.log2(live + perBatch));
  const mask = capacity - 1;
  const times = new Float64Array(capacity);
  const values = new Float64Array(capacity);
  const kinds = new Uint32Array(capacity);
  const targets = new Uint32Array(capacity);
  const state = new Int32Array([SEED]);
  const total = new Float64Array(1);
  let head = 0;
  let tail = 1;
  times[0] = values[0] = 0.5;
  function push(n) {
    let x = state[0];
    for (let k = 0; k < n; k++) {
      x = next(x);
      const i = tail;
      times[i] = delay(x);
      values[i] = value(x);
      kinds[i] = x & 7;
      targets[i] = x & 255;
      tail = (i + 1) & mask;
    }
    state[0] = x;
  }
  function shift(n) {
    let sum = total[0];
    for (let k = 0; k < n; k++) {
      const i = head;
      sum += times[i] + values[i] + kinds[i] + targets[i];
      head = (i + 1) & mask;
    }
    total[0] = sum;
  }
  push(live - 1);
  return {
    batch() {
      push(perBatch);
      shift(perBatch);
    },
    checksum: () => total[0],
  };
}

const lists = {
  [names.views]: listInHeap,
  [names.again]: listInHeap,
  [names.cursors]: listByCursor,
  [names.classes]: (params) =>
    listOf({ make: (time, number, kind, target) => new EventObject(time, number, kind, target) }, params),
  [names.literals]: (params) => listOf({ make: literal }, params),
  [names.pool]: (params) => listOf(objectPool(), params),
  [names.columns]: ringOfColumns,
};

// ---------------------------------------------------------------------------------------------------------------------
// By time: a binary heap. An operation takes the earliest event, and adds a later one.

/** A binary heap of objects, addresses or indices. `timeOf` gives the time of one. */
function heapOf(order, make, timeOf, take, { live, perBatch }) {
  const state = new Int32Array([SEED]);
  const total = new Float64Array(1);
  function sink(event, n) {
    const time = timeOf(event);
    let at = 0;
    for (let child = 1; child < n; child = 2 * at + 1) {
      let below = order[child];
      let least = timeOf(below);
      if (child + 1 < n) {
        const other = order[child + 1];
        const its = timeOf(other);
        if (its < least) {
          least = its;
          below = other;
          child++;
        }
      }
      if (time <= least) break;
      order[at] = below;
      at = child;
    }
    order[at] = event;
  }
  function rise(event, start) {
    const time = timeOf(event);
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = order[parent];
      if (timeOf(above) <= time) break;
      order[at] = above;
      at = parent;
    }
    order[at] = event;
  }
  let x = state[0];
  for (let n = 0; n < live; n++) {
    x = next(x);
    rise(make(delay(x), value(x), x & 7, x & 255), n);
  }
  state[0] = x;
  return {
    batch() {
      let y = state[0];
      let sum = total[0];
      for (let i = 0; i < perBatch; i++) {
        y = next(y);
        const first = order[0];
        const time = timeOf(first);
        sum += take(first);
        // The new event takes the place of the first.
        sink(make(time + delay(y), value(y), y & 7, y & 255), live);
      }
      state[0] = y;
      total[0] = sum;
    },
    checksum: () => total[0],
  };
}

const byObjects = ({ make, drop }, params) =>
  heapOf(
    [],
    make,
    (event) => event.time,
    drop
      ? (event) => {
          const sum = event.value + event.kind + event.target;
          drop(event);
          return sum;
        }
      : (event) => event.value + event.kind + event.target,
    params,
  );

function byAddresses(params) {
  const heap = heapFor([params.live + 1, SIZE]);
  const pool = heap.create({ size: SIZE, minNr: 0 });
  const { u32: words, f64: numbers } = heap.views;
  return heapOf(
    new Uint32Array(params.live),
    (time, number, kind, target) => {
      const event = must(pool.alloc());
      const i = event >>> 3;
      numbers[i] = time;
      numbers[i + 1] = number;
      const j = event >>> 2;
      words[j + 4] = kind;
      words[j + 5] = target;
      return event;
    },
    (event) => numbers[event >>> 3],
    (event) => {
      const sum = numbers[(event >>> 3) + 1] + words[(event >>> 2) + 4] + words[(event >>> 2) + 5];
      pool.free(event);
      return sum;
    },
    params,
  );
}

function byCursors(params) {
  const Event = eventType();
  const heap = heapFor([params.live + 1, SIZE]);
  const pool = heap.create({ size: Event, minNr: 0 });
  const first = pool.alloc();
  const c = Event.at(heap, first);
  pool.free(first);
  return heapOf(
    new Uint32Array(params.live),
    (time, number, kind, target) => {
      const event = must(pool.alloc());
      c.move(event);
      c.time = time;
      c.value = number;
      c.kind = kind;
      c.target = target;
      return event;
    },
    (event) => c.move(event).time,
    (event) => {
      c.move(event);
      const sum = c.value + c.kind + c.target;
      pool.free(event);
      return sum;
    },
    params,
  );
}

function byIndices(params) {
  const { live } = params;
  const times = new Float64Array(live);
  const values = new Float64Array(live);
  const kinds = new Uint32Array(live);
  const targets = new Uint32Array(live);
  const unused = Uint32Array.from({ length: live }, (_, i) => live - 1 - i);
  let count = live;
  return heapOf(
    new Uint32Array(live),
    (time, number, kind, target) => {
      const i = unused[--count];
      times[i] = time;
      values[i] = number;
      kinds[i] = kind;
      targets[i] = target;
      return i;
    },
    (i) => times[i],
    (i) => {
      unused[count++] = i;
      return values[i] + kinds[i] + targets[i];
    },
    params,
  );
}

const heaps = {
  [names.views]: byAddresses,
  [names.again]: byAddresses,
  [names.cursors]: byCursors,
  [names.classes]: (params) =>
    byObjects({ make: (time, number, kind, target) => new EventObject(time, number, kind, target) }, params),
  [names.literals]: (params) => byObjects({ make: literal }, params),
  [names.pool]: (params) => byObjects(objectPool(), params),
  [names.columns]: byIndices,
};

// ---------------------------------------------------------------------------------------------------------------------

const kinds = { lists, heaps };

export const create = (side, { kind, ...params }) => kinds[kind][side](params);

const fifo = (live, more) => ({
  name: `queue-fifo-${live / 1000}k`,
  title: `A queue of ${live.toLocaleString("en-US")} events, first come, first served`,
  workload:
    "A batch puts 200 events of 32 bytes at the end of a list, then takes 200 from its head, reads them and drops them; an " +
    "operation is one put and one taken. By hand it is a ring.",
  params: { kind: "lists", live, perBatch: 200 },
  live,
  perBatch: 200,
  span: "batch",
  sides: Object.keys(lists),
  ...more,
});

const byTime = (live, more) => ({
  name: `queue-time-${live / 1000}k`,
  title: `A queue of ${live.toLocaleString("en-US")} events, by time`,
  workload:
    "An operation takes the earliest of the events from a binary heap, reads and drops it, and puts a new one of 32 bytes in, " +
    "at a random later time; a batch is 200 of these.",
  params: { kind: "heaps", live, perBatch: 200 },
  live,
  perBatch: 200,
  span: "batch",
  sides: Object.keys(heaps),
  ...more,
});

export const tables = [
  fifo(1e3, { warm: 2000, batches: 10_000 }),
  fifo(1e5, { warm: 1500, batches: 5000 }),
  byTime(1e4, { warm: 800, batches: 4000 }),
  byTime(2e5, { warm: 400, batches: 2000 }),
];
