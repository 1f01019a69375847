/**
 * Create and attach beside other threads that have the heap's lock, or return memory: the calls wait for those threads,
 * or are BUSY, and never report another fault.
 */
import { beforeAll, describe, expect, test } from "vitest";
import {
  createSharedHeap,
  attach,
  create,
  createArena,
  type Heap,
  type MempoolError,
  type Pool,
} from "../../src/index.ts";
import { build } from "../sim/build.ts";
import { Thread } from "../threads/helpers.ts";

type Core = Record<string, (...args: number[]) => number>;
const [CLOSED, BUSY, NO_MEMORY] = [-6, -7, -8] as const;
const WASM_PAGE = 65536;
const CHANGE = 2;

let module: WebAssembly.Module;
beforeAll(async () => {
  ({ module } = await build("core"));
});

/** Two threads in one: the second stops at its n-th atomic operation, and meanwhile the first runs. */
class Pair {
  readonly one: Core;
  readonly two: Core;
  readonly heap: number;
  readonly memory: WebAssembly.Memory;
  #countdown = 0;
  #meanwhile: (() => void) | undefined;
  /** Addresses that the second changed by a compare-exchange or the like. */
  changed: number[] | undefined;

  #instance(sched: (kind: number, address: number) => void): Core {
    const env = { memory: this.memory, sched, sim_wait: () => 2, sim_notify: () => undefined };
    return new WebAssembly.Instance(module, { env }).exports as unknown as Core;
  }

  /** A thread that has joined; its number. */
  another(): number {
    const core = this.#instance(() => undefined);
    expect(core["heap_attach"]!(this.heap, 2)).toBe(1);
    return core["heap_thread"]!();
  }

  constructor(pages = 2) {
    this.memory = new WebAssembly.Memory({ initial: pages + 1, maximum: pages + 1 });
    this.one = this.#instance(() => undefined);
    this.two = this.#instance((kind, address) => {
      if (kind === CHANGE) this.changed?.push(address);
      if (--this.#countdown === 0) this.#meanwhile!();
    });
    // Of assembly/atomics.ts: the memory's size, and the most it may be.
    const words = new Uint32Array(this.memory.buffer);
    words[2] = words[3] = pages;
    this.heap = this.one["heap_create"]!(0, pages * WASM_PAGE, pages * 16, 0) >>> 0;
    expect(this.two["heap_attach"]!(this.heap, 1)).toBe(1);
  }

  /** Whether the second thread came to its n-th operation. */
  run(n: number, second: () => void, meanwhile: () => void): boolean {
    let came = false;
    this.#countdown = n;
    this.#meanwhile = () => {
      came = true;
      meanwhile();
    };
    second();
    this.#countdown = 0;
    return came;
  }
}

const SMALL = [64, 8, 8, -1, 0] as const;

/** Takes all memory but what `keep` returns when it is called. */
function fill({ one }: Pair): void {
  while (one["arena_create"]!(1));
}

describe("the core, with another thread stopped at any of its steps", () => {
  test("one of two threads gets the memory for one pool", () => {
    const outcomes = new Set<string>();
    for (let n = 1, more = true; more; n++) {
      const pair = new Pair();
      const { one, two } = pair;
      // The first pool's records stay; it leaves room for one pool.
      const pools = [one["mempool_create"]!(...SMALL), two["mempool_create"]!(...SMALL)];
      fill(pair);
      one["mempool_exit"]!(pools[0]!);
      let first = 0;
      let why = 0;
      let second = 0;
      more = pair.run(
        n,
        () => (second = two["mempool_create"]!(...SMALL)),
        () => {
          first = one["mempool_create"]!(...SMALL);
          why = first ? 0 : one["heap_error"]!();
        },
      );
      if (!more) break;
      const reason = second ? 0 : two["heap_error"]!();
      expect([n, [0, BUSY, NO_MEMORY].includes(why), [0, NO_MEMORY].includes(reason)]).toEqual([n, true, true]);
      expect([n, first !== 0 || second !== 0]).toEqual([n, true]);
      outcomes.add(`${why} ${reason}`);
    }
    expect(outcomes.size).toBeGreaterThan(1);
  });

  test("create is BUSY while another thread returns enough memory", () => {
    const answers: number[] = [];
    for (let n = 1, more = true; more; n++) {
      const pair = new Pair();
      const { one, two } = pair;
      const pool = two["mempool_create"]!(...SMALL);
      const blocker = one["mempool_create"]!(...SMALL);
      fill(pair);
      let why = 1;
      more = pair.run(
        n,
        () => void two["mempool_exit"]!(pool),
        () => (why = one["mempool_create"]!(...SMALL) ? 0 : one["heap_error"]!()),
      );
      if (more) answers.push(why);
      // Once the thread has returned all, there is enough memory.
      else expect(one["mempool_create"]!(...SMALL)).not.toBe(0);
      expect(blocker).not.toBe(0);
    }
    expect(answers.every((why) => [0, BUSY, NO_MEMORY].includes(why))).toBe(true);
    // At first the thread has returned nothing. Then it holds an element or pages, again and again; in the end the
    // pool's own records, under the lock.
    expect(answers[0]).toBe(NO_MEMORY);
    expect(answers.at(-1)).toBe(BUSY);
    const times = answers.filter((why, i) => why === BUSY && answers[i - 1] !== BUSY).length;
    expect(times).toBeGreaterThan(5);
  });

  test.each(["heap_trim", "heap_idle", "heap_reap"])("in %s: attach and create succeed or are BUSY", (call) => {
    let busy = 0;
    let points = 0;
    // heap_trim counts free pages first, and heap_reap looks at all memory.
    for (let n = 1, more = true; more && busy < 30; n += 11) {
      const pair = new Pair(4);
      const { one, two } = pair;
      const pool = two["mempool_create"]!(...SMALL);
      const address = two["mempool_share"]!(pool);
      const third = pair.another();
      const answers: number[] = [];
      more = pair.run(
        n,
        () => void two[call]!(third),
        () => {
          for (const make of [
            () => one["mempool_attach"]!(address),
            () => one["mempool_create"]!(...SMALL),
            () => one["arena_create"]!(4096),
          ]) {
            answers.push(make() ? 0 : one["heap_error"]!());
          }
        },
      );
      if (!more) break;
      points++;
      expect([n, answers.filter((why) => why !== 0 && why !== BUSY)]).toEqual([n, []]);
      busy += answers.filter((why) => why === BUSY).length;
    }
    expect(points).toBeGreaterThan(1);
    expect(busy).toBeGreaterThan(0);
  });

  test("an ended pool is CLOSED", () => {
    const { one, two } = new Pair();
    const pool = two["mempool_create"]!(...SMALL);
    const address = two["mempool_share"]!(pool);
    expect(two["mempool_exit"]!(pool)).toBe(0);
    expect([one["mempool_attach"]!(address), one["heap_error"]!()]).toEqual([0, CLOSED]);
  });
});

/** Milliseconds for which create and attach try at least, of the second that src/core/blocking.ts says. */
const PATIENCE = 500;

/** Where the lock of a heap is. */
function lockOf(): number {
  const pair = new Pair();
  pair.changed = [];
  expect(pair.two["heap_idle"]!()).toBe(1);
  return pair.changed[0]! - pair.heap;
}

const errorOf = (call: () => unknown): { code: string; message: string } => {
  try {
    call();
  } catch (error) {
    const { code, message } = error as MempoolError;
    return { code, message };
  }
  return { code: "none", message: "" };
};

function sharedHeap() {
  const heap = createSharedHeap({ maximum: 2 ** 22 });
  const pool = create({ heap, size: 64, minNr: 4 });
  return { heap, pool, lock: (heap.address + lockOf()) >> 2 };
}

describe("the bindings", () => {
  test("create, createArena and attach throw ERR_WOULD_BLOCK while a thread keeps the lock", () => {
    const { heap, pool, lock } = sharedHeap();
    const other = attach({ ...heap.share(), id: "another thread's" });
    const shared = { ...pool.share(), heap: other.share() };
    Atomics.store(heap.i32, lock, 63);
    const calls = {
      create: () => create({ heap, size: 64, minNr: 4 }),
      createArena: () => createArena({ heap }),
      attach: () => attach(shared),
    };
    for (const [call, make] of Object.entries(calls)) {
      const { code, message } = errorOf(make);
      expect([call, code, /try again/.test(message), message.startsWith(`ERR_WOULD_BLOCK: ${call}: `)]).toEqual([
        call,
        "ERR_WOULD_BLOCK",
        true,
        true,
      ]);
    }
    Atomics.store(heap.i32, lock, 0);
    for (const make of Object.values(calls)) expect(errorOf(make).code).toBe("none");
    expect(heap.check()).toEqual([]);
  });

  test("create, createArena and attach wait for a thread that keeps the lock for a moment", async () => {
    const { heap, pool, lock } = sharedHeap();
    const other = attach({ ...heap.share(), id: "another thread's" });
    const shared = { ...pool.share(), heap: other.share() };
    const thread = new Thread();
    await thread.run(() => 0);
    const { memory } = heap;
    for (const make of [
      () => create({ heap, size: 64, minNr: 4 }),
      () => createArena({ heap }),
      () => attach(shared),
    ]) {
      Atomics.store(heap.i32, lock, 63);
      const released = thread.run(
        (_library, its: WebAssembly.Memory, at: number) => {
          const words = new Int32Array(its.buffer);
          Atomics.wait(words, at, 63, 300);
          Atomics.store(words, at, 0);
        },
        memory,
        lock,
      );
      for (let code = ""; code !== "none";) {
        const began = performance.now();
        ({ code } = errorOf(make));
        if (code === "none") break;
        // That thread may have been stopped all the while.
        expect([code, performance.now() - began > PATIENCE]).toEqual(["ERR_WOULD_BLOCK", true]);
      }
      await released;
    }
  });

  test("threads that make and end pools at once never lack memory", async () => {
    const heap = createSharedHeap({ initial: 2 ** 20, maximum: 2 ** 20 });
    const threads = Array.from({ length: 3 }, () => new Thread());
    await Promise.all(
      threads.map((thread) =>
        thread.run((library, shared) => {
          Object.assign(globalThis, { heap: library.attach(shared) });
        }, heap.share()),
      ),
    );
    // As much memory as three pools of these threads take.
    const make = () =>
      Promise.all(
        threads.map((thread) =>
          thread.run(() => {
            const mine = globalThis as unknown as { heap: Heap; pool: Pool };
            mine.pool = mine.heap.create({ size: 64, minNr: 8 });
          }),
        ),
      );
    await make();
    const pool = create({ heap, size: 4096, minNr: 0, backend: "pages" });
    while (pool.alloc());
    await Promise.all(threads.map((thread) => thread.run(() => (globalThis as unknown as { pool: Pool }).pool.exit())));
    const codes = await Promise.all(
      threads.map((thread) =>
        thread.run((library) => {
          const mine = globalThis as unknown as { heap: Heap };
          const failures: string[] = [];
          for (let i = 0; i < 4000; i++) {
            try {
              library.create({ heap: mine.heap, size: 64, minNr: 8 }).exit();
            } catch (error) {
              // Of a thread that the machine has stopped while it has the lock.
              const { code } = error as MempoolError;
              if (code !== "ERR_WOULD_BLOCK") failures.push(code);
            }
          }
          return failures;
        }),
      ),
    );
    expect(codes).toEqual([[], [], []]);
    expect(heap.check()).toEqual([]);
  });
});
