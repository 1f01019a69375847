/**
 * The Nth-failure loop, after SQLite's malloc tests: fail the Nth request for pages in each operation, N = 1, 2, …,
 * until the operation runs through. Once transiently (one request is refused), and once permanently (only N pages are
 * left). Each failure must be clean: the heap is sound, no element is lost or damaged, and the pool continues.
 */
import { describe, expect, test } from "vitest";
import { create, createArena, MempoolError, type Heap, type Pool } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";

const PAGE = 4096;
const MIB = 2 ** 20;

/** One operation: `prepare` makes what it needs; `run` does it, and returns whether it succeeded. */
interface Operation {
  readonly name: string;
  /** Whether the operation requests pages, so that one can be refused. */
  readonly asks?: boolean;
  prepare(heap: Heap, pool: Pool): () => boolean;
}

/** True if the call succeeds, false if it fails for lack of memory; anything else is a fault. */
function served(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(MempoolError);
    expect((error as MempoolError).code).toBe("ERR_NO_MEMORY");
    return false;
  }
}

function drained(pool: Pool, count: number): Uint32Array {
  const out = new Uint32Array(count);
  expect(pool.allocBulk(out)).toBe(true);
  return out;
}

const operations: readonly Operation[] = [
  { name: "create", asks: true, prepare: (heap) => () => served(() => create({ heap, size: 100, minNr: 300 })) },
  {
    name: "create, large",
    asks: true,
    prepare: (heap) => () => served(() => create({ heap, size: 100_000, minNr: 3 })),
  },
  {
    name: "create, large reserve",
    asks: true,
    prepare: (heap) => () => served(() => create({ heap, size: 8, minNr: 5000 })),
  },
  {
    name: "createArena",
    asks: true,
    prepare: (heap) => () => served(() => createArena({ heap, bytes: 10_000 })),
  },
  {
    name: "arena.alloc",
    asks: true,
    prepare: (heap) => {
      const arena = createArena({ heap, bytes: PAGE });
      return () => arena.alloc(20_000) !== 0;
    },
  },
  {
    name: "alloc, with nothing in reserve",
    asks: true,
    prepare: (heap) => {
      const pool = create({ heap, size: 3000, minNr: 0 });
      return () => pool.alloc() !== 0;
    },
  },
  {
    name: "alloc, with a reserve",
    prepare: (_heap, pool) => {
      drained(pool, 200);
      return () => {
        // However often the backend fails, the reserve serves this.
        const address = pool.alloc();
        expect(address).not.toBe(0);
        return true;
      };
    },
  },
  {
    name: "allocBulk",
    asks: true,
    prepare: (_heap, pool) => {
      const out = new Uint32Array(700);
      return () => {
        const { outstanding } = pool;
        const ok = pool.allocBulk(out);
        if (!ok) expect(out.every((address) => address === 0)).toBe(true);
        expect(pool.outstanding).toBe(outstanding + (ok ? 700 : 0));
        return ok;
      };
    },
  },
  {
    name: "free, as the magazine grows",
    prepare: (_heap, pool) => {
      const out = drained(pool, 4000);
      return () => {
        for (const address of out) pool.free(address);
        return true;
      };
    },
  },
  {
    name: "freeBulk and exit",
    prepare: (_heap, pool) => {
      const out = drained(pool, 4000);
      return () => {
        pool.exit();
        pool.freeBulk(out);
        return true;
      };
    },
  },
];

/** A heap with a pool whose elements have contents. */
function scene(build: (typeof builds)[number]) {
  const heap = build.heap({ initial: MIB, maximum: 8 * MIB });
  const pool = create({ heap, size: 64, minNr: 8 });
  const held = [...drained(pool, 50)];
  held.forEach((address, i) => heap.u8.fill(i + 1, address, address + 64));
  const verify = () => {
    expect(heap.check()).toEqual([]);
    held.forEach((address, i) => {
      expect(heap.u8.subarray(address, address + 64).every((byte) => byte === i + 1)).toBe(true);
    });
    const { currNr, outstanding, minNr } = pool.stats();
    if (pool.stats().outstanding >= 50) expect(currNr + outstanding).toBeGreaterThanOrEqual(minNr);
  };
  return { heap, pool, verify };
}

describe.each(builds)("nth failure: $name", (build) => {
  test.each(operations)("$name survives a refusal of the Nth request", ({ prepare, asks }) => {
    let refusals = 0;
    for (let n = 1; ; n++) {
      expect(n).toBeLessThan(1000);
      const { heap, pool, verify } = scene(build);
      const run = prepare(heap, pool);
      const before = heap.stats();
      faults(heap, { nth: n });
      const ok = run();
      const untouched = faults(heap) < n;
      verify();
      if (!untouched) refusals++;
      if (!ok) {
        // The failure has left nothing behind, and the next try succeeds.
        expect(heap.stats().pools).toBe(before.pools);
        expect(heap.stats().arenas).toBe(before.arenas);
        expect(run()).toBe(true);
        verify();
      }
      if (untouched) {
        expect(ok).toBe(true);
        break;
      }
    }
    // Most operations survive a single refusal, since they reclaim and try again: only the refusal must show.
    if (asks) expect(refusals).toBeGreaterThan(0);
  });

  test.each(operations)("$name survives with only N pages left", ({ prepare }) => {
    for (let n = 0; ; n++) {
      expect(n).toBeLessThan(300);
      const { heap, pool, verify } = scene(build);
      const run = prepare(heap, pool);
      // Take all memory but n pages, a page each, from a pool that caches nothing.
      const greedy = create({ heap, size: PAGE - 64, minNr: 0 });
      const taken: number[] = [];
      for (let address; (address = greedy.alloc()) !== 0;) taken.push(address);
      while (taken.length > 0 && heap.stats().free < n * PAGE) {
        greedy.free(taken.pop()!);
        heap.trim();
      }
      const before = heap.stats();
      const ok = run();
      verify();
      if (ok) break;
      expect(heap.stats().pools).toBe(before.pools);
      expect(heap.stats().arenas).toBe(before.arenas);
      heap.trim();
      expect(heap.stats().free).toBeGreaterThanOrEqual(before.free);
      for (const address of taken) greedy.free(address);
      heap.trim();
      expect(run()).toBe(true);
      verify();
    }
  });
});
