/** One end of a channel of 256-byte messages: 32 numbers each. Every kind has a sender and a receiver. */
import { attach } from "../../../../dist/index.js";
import { joinShared } from "../../../guests/modules.mjs";
import { keepTo, meet, now, preemptions } from "../team.mjs";

const NUMBERS = 32;
const CAPACITY = 1024;
const LOOKS = 5000;
/** The counters and entries of a ring, in words; the same as in guests/assembly/messages.ts. */
const READ = 32;
const ENTRIES = 64;

/** The ends of this thread by kind: `send(n)`, and `receive(n)`, which returns the sum of all numbers. */
let ends;

const spell = (expression) => Array.from({ length: NUMBERS }, (_, k) => expression(k));
/** An object literal of 32 numbers, and their sum. */
const objectOf = new Function("i", `return { ${spell((k) => `f${k}: i`).join(", ")} };`);
const sumOf = new Function("m", `return ${spell((k) => `m.f${k}`).join(" + ")};`);

/** Waits until the counter is no longer `seen`: spins, then sleeps for short times. */
function change(i32, counter, seen) {
  for (let looks = 0; ; looks++) {
    const value = Atomics.load(i32, counter);
    if (value !== seen) return value;
    if (looks > LOOKS) Atomics.wait(i32, counter, seen, 0.05);
  }
}

function write(f64, at, i) {
  for (let k = at; k < at + NUMBERS; k++) f64[k] = i;
}

function read(f64, at) {
  let sum = 0;
  for (let k = at; k < at + NUMBERS; k++) sum += f64[k];
  return sum;
}

function pooled(pool, ring) {
  const { i32, u32, f64 } = pool.heap.views.refresh();
  const base = ring >>> 2;
  return {
    send(n) {
      let written = Atomics.load(i32, base);
      let seen = Atomics.load(i32, base + READ);
      for (let i = 0; i < n; i++) {
        while (((written - seen) | 0) === CAPACITY) seen = change(i32, base + READ, seen);
        const element = pool.alloc();
        if (element === 0) throw new Error("no element");
        write(f64, element >>> 3, i);
        u32[base + ENTRIES + (written & (CAPACITY - 1))] = element;
        Atomics.store(i32, base, (written = (written + 1) | 0));
      }
    },
    receive(n) {
      let taken = Atomics.load(i32, base + READ);
      let seen = taken;
      let sum = 0;
      for (let i = 0; i < n; i++) {
        while (taken === seen) seen = change(i32, base, seen);
        const element = u32[base + ENTRIES + (taken & (CAPACITY - 1))];
        sum += read(f64, element >>> 3);
        pool.free(element);
        Atomics.store(i32, base + READ, (taken = (taken + 1) | 0));
      }
      return sum;
    },
  };
}

function slots(memory, ring) {
  const i32 = new Int32Array(memory.buffer);
  const f64 = new Float64Array(memory.buffer);
  const base = ring >>> 2;
  const entry = (counter) => ((base + ENTRIES) >>> 1) + (counter & (CAPACITY - 1)) * NUMBERS;
  return {
    send(n) {
      let written = Atomics.load(i32, base);
      let seen = Atomics.load(i32, base + READ);
      for (let i = 0; i < n; i++) {
        while (((written - seen) | 0) === CAPACITY) seen = change(i32, base + READ, seen);
        write(f64, entry(written), i);
        Atomics.store(i32, base, (written = (written + 1) | 0));
      }
    },
    receive(n) {
      let taken = Atomics.load(i32, base + READ);
      let seen = taken;
      let sum = 0;
      for (let i = 0; i < n; i++) {
        while (taken === seen) seen = change(i32, base, seen);
        sum += read(f64, entry(taken));
        Atomics.store(i32, base + READ, (taken = (taken + 1) | 0));
      }
      return sum;
    },
  };
}

/** Messages through a port. `make(i)` gives a message and its transfer list; `take` sums a received message. */
function posted(port, make, take) {
  return {
    send(n) {
      for (let i = 0; i < n; i++) {
        const { message, transfer } = make(i);
        port.postMessage(message, transfer);
      }
    },
    receive: (n) =>
      new Promise((resolve) => {
        let count = 0;
        let sum = 0;
        const take1 = (message) => {
          sum += take(message);
          if (++count < n) return;
          port.off("message", take1);
          resolve(sum);
        };
        port.on("message", take1);
      }),
  };
}

function wasmEnds(shared) {
  const core = joinShared(shared);
  const pool = core.mempool_attach(shared.pool);
  const { ring, ring2 } = shared;
  return {
    "pool, wasm": { send: (n) => core.send(pool, n, ring), receive: (n) => core.receive(pool, n, ring) },
    "slots, wasm": { send: (n) => core.sendSlots(n, ring2), receive: (n) => core.receiveSlots(n, ring2) },
  };
}

export function prepare({ me, shared, pool, ring, ring2, port }) {
  keepTo(me);
  // postMessage copies the bytes: one view of them is enough.
  const bytes = new Uint8Array(8 * NUMBERS);
  const numbers = new Float64Array(bytes.buffer);
  const clone = { message: bytes, transfer: [] };
  const object = { message: undefined, transfer: [] };
  ends = {
    ...wasmEnds(shared),
    "pool, JavaScript": pooled(attach(pool), ring),
    "slots, JavaScript": slots(attach(pool).heap.memory, ring2),
    "postMessage, Uint8Array": posted(
      port,
      (i) => (write(numbers, 0, i), clone),
      (message) => read(new Float64Array(message.buffer), 0),
    ),
    "postMessage, object": posted(
      port,
      (i) => ((object.message = objectOf(i)), object),
      (message) => sumOf(message),
    ),
    "postMessage, transfer": posted(
      port,
      (i) => {
        const message = new ArrayBuffer(8 * NUMBERS);
        write(new Float64Array(message), 0, i);
        return { message, transfer: [message] };
      },
      (message) => read(new Float64Array(message), 0),
    ),
  };
}

export function send(kind, n, place, count) {
  meet(place, count);
  const before = preemptions();
  const start = now();
  ends[kind].send(n);
  return { start, preempted: preemptions() - before };
}

export async function receive(kind, n, place, count) {
  meet(place, count);
  const before = preemptions();
  const sum = await ends[kind].receive(n);
  const end = now();
  return { end, preempted: preemptions() - before, sum };
}
