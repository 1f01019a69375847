/** The work of every thread of the threads test, and the tasks that the window gives a worker or an audio worklet. */
import { array, attach, struct, u32 } from "wasm-mempool";

const WORDS = 15;
export const Element = struct({ owner: u32, rest: array(u32, WORDS) });

/** Milliseconds after which a thread gives up waiting: a machine may stall for seconds. */
export const LATE = 60_000;

/** Fills an element with words that depend on its address and its owner, a thread's number. */
export function mark(pool, element, owner = pool.heap.threadId) {
  const { u32: all } = pool.heap;
  all[element / 4] = owner;
  for (let i = 1; i <= WORDS; i++) all[element / 4 + i] = element ^ (owner << 16) ^ i;
}

/** The owner whose mark the element has; throws if the mark is damaged. */
export function ownerOf(pool, element) {
  const { u32: all } = pool.heap;
  const owner = all[element / 4];
  for (let i = 1; i <= WORDS; i++) {
    if (all[element / 4 + i] !== (element ^ (owner << 16) ^ i) >>> 0) {
      throw new Error(`word ${i} of element 0x${element.toString(16)} is damaged; its owner is thread ${owner}`);
    }
  }
  return owner;
}

function allocMarked(pool) {
  const element = pool.alloc();
  if (element === 0) throw new Error(`no element in thread ${pool.heap.threadId}`);
  mark(pool, element);
  return element;
}

/** Fills this thread's row of the table with elements of its own. */
export function fill(pool, table) {
  const length = table.length / 4;
  const from = pool.heap.threadId * length;
  for (let i = from; i < from + length; i++) table[i] = allocMarked(pool);
}

/** Frees every fourth element of every row; returns how many of each thread's elements. */
export function empty(pool, table) {
  const freed = [0, 0, 0, 0];
  for (let i = pool.heap.threadId; i < table.length; i += 4) {
    freed[ownerOf(pool, table[i])]++;
    pool.free(table[i]);
  }
  return freed;
}

/**
 * Puts an element into a slot of the board and frees the element that was there: `times` times, and then until every
 * thread is done and has freed elements of every thread. `gate`: the number of threads that are ready, and that are
 * done. Yields after each of those times.
 */
export function* exchange(pool, { board, gate, times }) {
  const me = pool.heap.threadId;
  const freed = [0, 0, 0, 0];
  const turn = (i) => {
    const other = Atomics.exchange(board, (i * 5 + me) % board.length, allocMarked(pool));
    if (other === 0) return;
    freed[ownerOf(pool, other)]++;
    pool.free(other);
  };
  const late = Date.now() + LATE;
  // Spins, since not every thread may block; `call` runs meanwhile.
  const until = (isSo, call) => {
    for (let i = 0; !isSo(); i++) {
      if (Date.now() > late) throw new Error(`thread ${me} waits for the others: ${[...gate]}; it freed ${freed}`);
      call?.(i);
    }
  };
  Atomics.add(gate, 0, 1);
  until(() => Atomics.load(gate, 0) === 4);
  for (let i = 0; i < times; i++) {
    turn(i);
    yield;
  }
  until(() => freed.every((n) => n > 0), turn);
  Atomics.add(gate, 1, 1);
  until(() => Atomics.load(gate, 1) === 4, turn);
  return freed.filter((n) => n > 0).length;
}

/** Runs a generator to its end. */
export function finish(steps) {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The code of what the call throws. */
export function codeOf(call) {
  try {
    call();
  } catch (error) {
    return error.code ?? String(error);
  }
  return "none";
}

/** The tasks, by name. Each takes one argument. `run`: what runs the exchange. */
export function makeTasks(run = finish) {
  /** By name. */
  const pools = {};
  return {
    async attach(shared) {
      // Then the browser sends the request for this thread's Web Lock at once, and a thread that blocks next can be reaped.
      await globalThis.navigator?.locks?.query();
      for (const [name, pool] of Object.entries(shared)) pools[name] = attach(pool);
      return pools.many.heap.threadId;
    },
    nothing() {},
    fill: (table) => fill(pools.many, table),
    empty: (table) => empty(pools.many, table),
    exchange: (work) => run(exchange(pools.many, work)),
    free: (element) => pools.two.free(element),
    allocWait: (timeout) => pools.two.allocWait({ timeout: timeout }),
    allocAsync: () => pools.two.allocAsync(),
    /**
     * Allocates all elements of the pool, as other threads return them, and then caches them. Without waitAsync, a worklet
     * returns the last one only for a moment, within a touch: a waiter gets it, a call that does not wait may never.
     */
    async cacheAll() {
      const { few } = pools;
      const waits = !("waitAsync" in Atomics);
      const elements = [];
      for (const late = Date.now() + LATE; elements.length < few.maxNr;) {
        const element = few.alloc() || (waits ? await few.allocAsync() : 0);
        if (element !== 0) elements.push(element);
        else if (Date.now() > late) throw new Error(`only ${elements.length} elements`);
      }
      for (const element of elements) few.free(element);
    },
    /** A call on the pool. */
    touch: (name) => pools[name].free(pools[name].alloc()),
    /** Allocates until an element lies in memory that has grown. */
    grow() {
      const { memory } = pools.many.heap;
      const before = memory.buffer.byteLength;
      const elements = [];
      while (!(elements.at(-1) >= before)) elements.push(allocMarked(pools.many));
      return { before, elements };
    },
    ownersOf: (elements) => elements.map((element) => ownerOf(pools.many, element)),
    freeMany: (elements) => elements.forEach((element) => pools.many.free(element)),
    /** Allocates and frees until the worker is terminated. */
    spin({ beats, at }) {
      const held = new Uint32Array(100);
      for (let i = 0; ; i = (i + 37) % held.length) {
        if (held[i] !== 0) {
          ownerOf(pools.many, held[i]);
          pools.many.free(held[i]);
        }
        held[i] = allocMarked(pools.many);
        Atomics.add(beats, at, 1);
      }
    },
    detach: () => pools.many.heap.detach(),
  };
}

/** Does what comes through a port, and answers. */
export function serve(port, tasks) {
  port.addEventListener("message", async ({ data: { id, task, work } }) => {
    try {
      port.postMessage({ id, value: await tasks[task](work) });
    } catch (error) {
      port.postMessage({ id, error: error.code ?? String(error) });
    }
  });
  port.start?.();
}
