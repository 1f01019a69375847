/** Two threads: `wait` waits again and again, and `wake` ends each wait. */
import { attach, createSharedHeap } from "../../../../dist/index.js";
import { joinShared } from "../../../guests/modules.mjs";
import { now } from "../team.mjs";

/* Words. READY: -i, the ith wait is prepared, then i, it begins. DONE: i, it is over. BARE: the word of Atomics.wait. */
const READY = 0;
const DONE = 32;
const BARE = 64;

let i32;
let times;
/** The functions of each kind: arm prepares a wait, wait waits, wake ends the wait, and disarm cleans up. */
let kinds;

const nothing = () => {};

/** Two pools of exactly one element, each on a heap of its own. */
export const create = (size) =>
  [1, 2].map(() => {
    const heap = createSharedHeap({ initial: 2 ** 20, maximum: 2 ** 20 });
    return heap.create({ size, minNr: 1, maxNr: 1 }).share();
  });

export function prepare({ words, when, shared, pool: sharedPool, watched }) {
  i32 = new Int32Array(words);
  times = new Float64Array(when);
  const pools = [attach(sharedPool), attach(watched)];
  const core = joinShared(shared);
  const handle = core.mempool_attach(shared.pool);
  let element = 0;
  const have = (address) => {
    if (address === 0) throw new Error("no element");
    element = address;
  };
  const bare = {
    arm: () => Atomics.store(i32, BARE, 0),
    wake() {
      Atomics.store(i32, BARE, 1);
      Atomics.notify(i32, BARE);
    },
    disarm: nothing,
  };
  const own = (pool) => {
    const free = () => pool.free(element);
    return { arm: () => have(pool.alloc()), wake: free, disarm: free };
  };
  const blocking = (pool) => ({ ...own(pool), wait: () => have(pool.allocWait()) });
  const async = (pool) => ({ ...own(pool), wait: async () => have(await pool.allocAsync()) });
  kinds = {
    "Atomics.wait": { ...bare, wait: () => void Atomics.wait(i32, BARE, 0) },
    allocWait: blocking(pools[0]),
    "allocWait, an idle third thread": blocking(pools[1]),
    mempool_alloc_wait: {
      arm: () => have(core.mempool_alloc(handle) >>> 0),
      wake: () => core.mempool_free(handle, element),
      wait: () => have(core.mempool_alloc_wait(handle, Infinity) >>> 0),
      disarm: () => core.mempool_free(handle, element),
    },
    "Atomics.waitAsync": { ...bare, wait: () => Atomics.waitAsync(i32, BARE, 0).value },
    allocAsync: async(pools[0]),
    "allocAsync, an idle third thread": async(pools[1]),
  };
}

/** Waits, awake, until the word is `value`: `wake` must begin on a warm core. */
function until(word, value) {
  const start = performance.now();
  while (Atomics.load(i32, word) !== value) {
    if (performance.now() - start > 60_000) throw new Error("the other thread does not answer");
  }
}

/** Waits `count` times; `from` is the number of waits before. */
export async function wait(kind, from, count) {
  const { wait: call, disarm } = kinds[kind];
  for (let i = from + 1; i <= from + count; i++) {
    until(READY, -i);
    Atomics.store(i32, READY, i);
    // Only a promise is awaited: `await` costs a turn of the job queue.
    const result = call();
    if (result) await result;
    times[0] = now();
    disarm();
    Atomics.store(i32, DONE, i);
  }
}

/** The microseconds from each wake to the return of the waiter; `pauses`, in ms, precede each wake. */
export function wake(kind, from, pauses) {
  const { arm, wake: call } = kinds[kind];
  return pauses.map((pause, k) => {
    const i = from + 1 + k;
    // The waiter must not find an element.
    arm();
    Atomics.store(i32, READY, -i);
    until(READY, i);
    for (const end = now() + pause; now() < end;);
    const start = now();
    call();
    until(DONE, i);
    return (times[0] - start) * 1e3;
  });
}
