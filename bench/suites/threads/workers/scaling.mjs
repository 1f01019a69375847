/** One of two threads that allocate from one pool, or each from a pool of its own. */
import { attach } from "../../../../dist/index.js";
import { joinShared } from "../../../guests/modules.mjs";
import { keepTo, meet, now, preemptions } from "../team.mjs";

/** Functions that do OPS operations each, on the shared pool and on the own one. */
const batches = {};
const OPS = 4000;
/** Milliseconds that fill the caches before a sample. */
const LEAD = 0.5;

const wasm = {
  pair: (core, pool) => () => core.pair(pool, OPS),
  wave: (core, pool, slots) => () => core.wave(pool, OPS / 1000, slots, 1000),
  churn(core, pool, slots) {
    if (core.fill(pool, slots, 65536) !== 65536) throw new Error("no memory");
    let random = slots;
    return () => (random = core.churn(pool, OPS, slots, 65536, random));
  },
};

const typescript = {
  pair:
    (pool, { u32 }) =>
    () => {
      for (let i = 0; i < OPS; i++) {
        const element = pool.alloc();
        u32[element >>> 2] = i;
        pool.free(element);
      }
    },
  wave(pool, { u32 }) {
    const slots = new Uint32Array(1000);
    return () => {
      for (let i = 0; i < OPS / 1000; i++) {
        for (let k = 0; k < 1000; k++) {
          const element = pool.alloc();
          u32[element >>> 2] = i;
          slots[k] = element;
        }
        for (let k = 0; k < 1000; k++) pool.free(slots[k]);
      }
    };
  },
  churn(pool, { u32 }) {
    const slots = new Uint32Array(65536);
    for (let k = 0; k < slots.length; k++) slots[k] = pool.alloc();
    let random = 1;
    return () => {
      for (let i = 0; i < OPS; i++) {
        random = (Math.imul(random, 1664525) + 1013904223) | 0;
        const k = random >>> 16;
        pool.free(slots[k]);
        const element = pool.alloc();
        u32[element >>> 2] = i;
        slots[k] = element;
      }
    };
  },
};

export function prepare({ kind, load, me, shared, own }) {
  keepTo(me);
  for (const [whose, what] of Object.entries({ shared, own })) {
    if (kind === "TypeScript") {
      const pool = attach(what);
      batches[whose] = typescript[load](pool, pool.heap.views);
    } else {
      const core = joinShared(what);
      batches[whose] = wasm[load](core, core.mempool_attach(what.pool), what.slots[me]);
    }
    // Until the engine has compiled the hot code.
    for (const end = now() + 150; now() < end;) batches[whose]();
  }
}

/** Works for `ms`, after `count` arrivals at the barrier. */
export function work(whose, ms, place, count) {
  const batch = batches[whose];
  meet(place, count);
  const before = preemptions();
  for (const end = now() + LEAD; now() < end;) batch();
  const start = now();
  let n = 0;
  let at;
  do {
    batch();
    n += OPS;
    at = now();
  } while (at < start + ms);
  return { ns: ((at - start) * 1e6) / n, start, end: at, preempted: preemptions() - before };
}
