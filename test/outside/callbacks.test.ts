/**
 * Callbacks may do anything: every callback with every action, on a heap that is shared or not, while a call waits or
 * not. A new callback, or a new action, is a line in one of the two tables.
 *
 * In each case, the call ends; it throws a MempoolError or the user's own error; only the user's own errors are
 * reported; afterwards each element can be freed, each promise settles, the pool ends, and the heap is sound.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  attach,
  createHeap,
  MempoolError,
  type Heap,
  type Pool,
  type PoolHandle,
  type SharedHeap,
  createSharedHeap,
} from "../../src/index.ts";
import { MIB } from "../contract/helpers.ts";
import { jobs, outcome, reports } from "./helpers.ts";

class Own extends Error {}

/** The most calls of each callback. */
const MOST_CALLS = 2000;

class World {
  readonly heap: Heap;
  readonly pool: Pool<unknown, number>;
  /** Another pool on the same heap; all its elements are outstanding. */
  readonly other: Pool;
  readonly shared: PoolHandle | undefined;
  /** The pool's elements that this program has; and the backend's outstanding elements. */
  readonly held: number[] = [];
  readonly out = new Set<number>();
  readonly controller = new AbortController();
  readonly stops: (() => void)[] = [];
  /** The calls made, and their results. */
  waits = 0;
  readonly codes: string[] = [];
  readonly thrown: unknown[] = [];
  calls = 0;
  depth = 0;
  #last = 100;
  #act: (() => unknown) | undefined;

  constructor(kind: "sized" | "hosted", isShared: boolean) {
    this.heap = (isShared ? createSharedHeap : createHeap)({ initial: MIB, maximum: MIB });
    this.pool =
      kind === "sized"
        ? this.heap.create({
            size: (bytes: number) => this.called(bytes, "size"),
            data: 64,
            minNr: 3,
            maxNr: 6,
          })
        : this.heap.create({ size: () => 8, data: 8, minNr: 3, maxNr: 12, backend: this.backend });
    this.other = this.heap.create({ size: 48, minNr: 1, maxNr: 1 });
    this.other.alloc();
    this.shared = isShared ? this.pool.share() : undefined;
  }

  readonly backend = {
    alloc: (): number => {
      const element = this.called(++this.#last, "alloc");
      if (typeof element === "number" && element > 0) this.out.add(element);
      return element;
    },
    free: (element: number): void => {
      if (!this.out.delete(element)) throw new Error(`the host got ${element}, which was not out`);
      this.called(0, "free");
    },
  };
  /** The backend's function that acts. */
  acts = "";

  arm(act: () => unknown): void {
    this.#act = act;
  }

  disarm(): void {
    this.#act = undefined;
  }

  /** Runs the callback's action; returns `value`, unless the action returns something else. */
  called(value: number, name = this.acts): number {
    if (this.#act === undefined || name !== this.acts) return value;
    if (++this.calls > MOST_CALLS) throw new Error("called for ever");
    const given = this.#act();
    return given === undefined ? value : (given as number);
  }

  /** A call of the program: notes its error. */
  attempt<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.thrown.push(error);
      return undefined;
    }
  }

  /** An alloc of a callback or of the program. */
  alloc(): void {
    const element = this.attempt(() => this.pool.alloc());
    if (element) this.held.push(element);
  }

  allocBulk(): void {
    const out = new Uint32Array(2);
    if (this.attempt(() => this.pool.allocBulk(out))) this.held.push(...out);
  }

  free(): void {
    const element = this.held.pop();
    if (element !== undefined && this.attempt(() => (this.pool.free(element), true)) === undefined) {
      // of a thread that has left the heap: another may still free it; the backend's error comes after the free
      const error = this.thrown.at(-1);
      if (error instanceof MempoolError) this.held.push(element);
    }
  }

  wait(options: { timeout?: number; signal?: AbortSignal } = {}): Promise<number | undefined> {
    this.waits++;
    return this.pool.allocAsync(options).then(
      (element) => {
        this.codes.push("fulfilled");
        this.held.push(element);
        return element;
      },
      (error: unknown) => {
        this.thrown.push(error);
        this.codes.push(String((error as MempoolError).code));
        return undefined;
      },
    );
  }

  /** Takes all there is. */
  drain(): void {
    for (let had = -1; had !== this.held.length;) {
      had = this.held.length;
      this.alloc();
    }
  }
}

interface Callback {
  readonly kind: "sized" | "hosted";
  /** Makes the pool call the callback, now or before this resolves. */
  run(world: World): void | Promise<void>;
}

const callbacks: Record<string, Callback> = {
  size: {
    kind: "sized",
    run: (world) => {
      world.acts = "size";
      world.attempt(() => world.pool.reshape(80));
    },
  },
  "backend.alloc": {
    kind: "hosted",
    run: (world) => {
      world.acts = "alloc";
      while (world.held.length > 3) world.free();
      world.attempt(() => world.pool.resize(4));
      for (let i = 0; i < 4; i++) world.alloc();
      world.allocBulk();
      world.free();
    },
  },
  "backend.free": {
    kind: "hosted",
    run: (world) => {
      world.acts = "free";
      for (let i = 0; i < 4; i++) world.free();
      world.attempt(() => world.pool.resize(1));
    },
  },
  shrinker: {
    kind: "sized",
    run: (world) => {
      world.acts = "shrinker";
      world.drain();
      world.stops.push(world.heap.registerShrinker(() => world.called(0) as never));
      world.alloc();
      world.allocBulk();
      void world.wait({ timeout: 30, signal: world.controller.signal });
    },
  },
  onLow: {
    kind: "sized",
    run: (world) => {
      world.acts = "onLow";
      world.stops.push(world.pool.onLow(3, () => world.called(0) as never));
      world.drain();
      vi.advanceTimersByTime(50);
    },
  },
  onLowMemory: {
    kind: "sized",
    run: (world) => {
      world.acts = "onLowMemory";
      world.stops.push(world.heap.onLowMemory(2 * MIB, () => world.called(0) as never));
      vi.advanceTimersByTime(50);
    },
  },
  "an abort listener": {
    kind: "sized",
    run: (world) => {
      world.acts = "abort";
      const { signal } = world.controller;
      const listener = () => {
        // the platform reports its error
        world.attempt(() => world.called(0));
      };
      signal.addEventListener("abort", listener);
      world.drain();
      void world.wait({ signal });
      void world.wait({ signal });
      signal.addEventListener("abort", () => listener());
      world.controller.abort(new Own("aborted"));
    },
  },
  "a then of a wait": {
    kind: "sized",
    run: async (world) => {
      world.acts = "then";
      world.drain();
      const done = world.wait().then(() => world.attempt(() => world.called(0)));
      void world.wait();
      for (let i = 0; i < 4; i++) world.free();
      await Promise.race([done, jobs()]);
    },
  },
};

const actions: Record<string, (world: World) => unknown> = {
  "throws an error": () => {
    throw new Own("by the user");
  },
  "throws undefined": () => {
    throw undefined;
  },
  "returns a negative number": () => -1,
  "returns text": () => "nonsense",
  "returns an object": () => ({}),
  "returns a promise": () => Promise.resolve(5),
  allocates: (world) => world.alloc(),
  "allocates several": (world) => world.allocBulk(),
  "allocates and frees": (world) => {
    world.alloc();
    world.free();
  },
  frees: (world) => world.free(),
  "frees a number that is no element": (world) => void world.attempt(() => world.pool.free(12_345)),
  resizes: (world) => void world.attempt(() => world.pool.resize(1 + (world.calls % 5))),
  reshapes: (world) => void world.attempt(() => world.pool.reshape(world.pool.elementSize === 64 ? 128 : 64)),
  "exits the pool": (world) => void world.attempt(() => world.pool.exit()),
  "exits another pool": (world) => void world.attempt(() => world.other.exit()),
  "leaves the heap": (world) => void world.attempt(() => (world.heap as SharedHeap).detach?.()),
  aborts: (world) => world.controller.abort(new Own("aborted")),
  "registers itself again": (world) => {
    world.attempt(() => world.stops.push(world.heap.registerShrinker(() => world.called(0) as never)));
    world.attempt(() => world.stops.push(world.pool.onLow(3, () => world.called(0) as never)));
    world.attempt(() => world.stops.push(world.heap.onLowMemory(2 * MIB, () => world.called(0) as never)));
  },
  "unregisters all": (world) => {
    for (const stop of world.stops) stop();
  },
  waits: (world) => {
    if (world.waits < 100) void world.wait({ signal: world.controller.signal });
    if (world.waits < 100) void world.wait({ timeout: 10 });
    const element = world.attempt(() => world.pool.allocWait({ timeout: 0 }));
    if (element) world.held.push(element);
  },
  trims: (world) => void world.attempt(() => world.heap.trim()),
};

const cells = Object.entries(callbacks).flatMap(([callback, { kind, run }]) =>
  Object.entries(actions).flatMap(([action, act]) =>
    [false, true].flatMap((shared) =>
      [false, true].map((waits) => ({ callback, kind, run, action, act, shared, waits })),
    ),
  ),
);

let reported: unknown[];
beforeEach(() => {
  reported = reports();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe.each(Object.keys(callbacks))("%s", (name) => {
  test.each(cells.filter((cell) => cell.callback === name))(
    "$action, shared: $shared, while a call waits: $waits",
    async ({ kind, run, act, shared, waits }) => {
      const world = new World(kind, shared);
      const { heap, pool } = world;
      for (let i = 0; i < 4; i++) world.alloc();
      if (waits) {
        world.drain();
        void world.wait();
        void world.wait({ timeout: 40, signal: world.controller.signal });
      }
      world.arm(() => act(world));
      await run(world);
      await jobs();
      vi.advanceTimersByTime(60);
      await jobs();
      expect(world.calls).toBeGreaterThan(0);
      expect(world.calls).toBeLessThanOrEqual(MOST_CALLS);
      world.disarm();
      // free everything, through this thread's next Pool if the thread has left
      const isGone = shared && world.attempt(() => (heap as SharedHeap).share()) === undefined;
      const home = isGone
        ? world.attempt(() => attach(world.shared!, kind === "hosted" ? { backend: world.backend } : {}))
        : pool;
      for (let round = 0; round < (isGone ? 0 : 50) && world.waits > world.codes.length; round++) {
        world.free();
        vi.advanceTimersByTime(30);
        await jobs();
      }
      if (!isGone) pool.exit();
      await jobs();
      for (const element of world.held.splice(0)) home?.free(element);
      if (isGone) home?.exit();
      expect(await outcome(pool.closed)).toBe("fulfilled");
      if (home) expect(await outcome(home.closed)).toBe("fulfilled");
      // no call waits, and no element is lost
      expect(world.codes.length).toBe(world.waits);
      expect([...world.out]).toEqual([]);
      const left = home?.heap ?? heap;
      if (home) {
        expect(home.outstanding).toBe(0);
        expect(left.check()).toEqual([]);
        if (!isGone) {
          world.other.exit();
          expect(left.stats().pools).toBe(world.other.outstanding);
        }
      }
      for (const error of world.thrown) {
        if (error !== undefined && !(error instanceof Own)) expect(error).toBeInstanceOf(MempoolError);
      }
      for (const error of reported) if (error !== undefined) expect(error).toBeInstanceOf(Own);
      for (const stop of world.stops) stop();
    },
  );
});
