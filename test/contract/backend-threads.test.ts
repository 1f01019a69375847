/** Backends of pools that several threads use. */
import { describe, expect, test } from "vitest";
import { attach, create, createSharedHeap, type Pool, type SharedHeap } from "../../src/index.ts";
import { Thread } from "../threads/helpers.ts";
import { codeOf, errorFrom, expectSound, freeAll, freeCode, MIB, take } from "./helpers.ts";
import { Numbers, hosted } from "./backend-helpers.ts";

const sharedHeap = (): SharedHeap => createSharedHeap({ initial: MIB, maximum: 4 * MIB });

describe("backends, with several threads", () => {
  type Kept = typeof globalThis & { pool: Pool; freed: number[]; next: number };
  let names = 0;
  const another = (heap: SharedHeap): SharedHeap => attach({ ...heap.share(), id: `backends, another ${names++}` });

  test("attach refuses a pool of an external backend without a backend", async () => {
    const heap = sharedHeap();
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 2);
    const other = another(heap);
    const shared = { ...pool.share(), heap: other.share() };
    for (const options of [
      undefined,
      {},
      { backend: undefined },
      { backend: "slab" },
      { backend: { alloc: () => 1 } },
    ]) {
      const error = errorFrom(() => attach(shared, options as never));
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain("backend");
    }
    const code = await new Thread().run(({ attach: join }, given) => {
      try {
        join(given);
        return "none";
      } catch (error) {
        return (error as { code: string }).code;
      }
    }, pool.share());
    expect(code).toBe("ERR_INVALID_ARGUMENT");
    other.detach();
    pool.exit();
    numbers.expectHome();
    expectSound(heap);
  });

  test("attach refuses a backend for a pool of slabs", () => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 8, minNr: 1 });
    const other = another(heap);
    expect(codeOf(() => attach({ ...pool.share(), heap: other.share() }, { backend: new Numbers(1).backend }))).toBe(
      "ERR_INVALID_ARGUMENT",
    );
    other.detach();
    expectSound(heap);
  });

  test("a thread frees elements of another thread's backend to its own backend", () => {
    const heap = sharedHeap();
    const numbers = new Numbers(20);
    const pool = hosted(heap, numbers, 2);
    const other = another(heap);
    const there = attach({ ...pool.share(), heap: other.share() }, { backend: numbers.backend });
    const mine = take(pool, 6);
    const theirs = take(there, 6);
    expect(new Set([...mine, ...theirs]).size).toBe(12);
    freeAll(there, mine);
    expect(freeCode(pool, mine[0])).not.toBe("none");
    freeAll(pool, theirs);
    expect([pool.outstanding, there.outstanding]).toEqual([0, 0]);
    pool.exit();
    expect(codeOf(() => there.alloc())).toBe("ERR_CLOSED");
    numbers.expectHome();
    other.detach();
    expectSound(heap);
  });

  test("a worker with its own backend allocates and frees beside the main thread", async () => {
    const heap = sharedHeap();
    const numbers = new Numbers(500);
    const pool = hosted(heap, numbers, 4);
    const thread = new Thread();
    const theirs = await thread.run(({ attach: join }, shared) => {
      const kept = globalThis as Kept;
      kept.freed = [];
      kept.next = 1_000_000;
      const backend = { alloc: () => kept.next++, free: (element: number) => void kept.freed.push(element) };
      kept.pool = join(shared, { backend });
      return Array.from({ length: 50 }, () => kept.pool.alloc());
    }, pool.share());
    expect(theirs.every((element) => element >= 1_000_000)).toBe(true);
    expect(new Set(theirs).size).toBe(50);
    expect(pool.outstanding).toBe(50);
    const mine = take(pool, 50);
    const { pool: _, freed } = await thread.run(
      (_library, addresses) => {
        const kept = globalThis as Kept;
        for (const address of addresses) kept.pool.free(address);
        return { pool: undefined, freed: kept.freed };
      },
      [...theirs.slice(0, 25), ...mine.slice(0, 25)],
    );
    expect(freed.toSorted()).toEqual([...theirs.slice(0, 25), ...mine.slice(0, 25)].toSorted());
    for (const element of mine.slice(25)) pool.free(element);
    expect([pool.outstanding, pool.currNr]).toEqual([25, 4]);
    expectSound(heap);
  });

  test.each(["none", "throws"])(
    "on a shared heap, an alloc that closes an unused pool returns (the backend: %s)",
    async (gives) => {
      const ended = new Thread().run(async (library, what) => {
        const heap = library.createSharedHeap({ initial: 2 ** 20, maximum: 2 ** 20 });
        let last = 0;
        let pool: Pool | undefined;
        const backend = {
          alloc: (): number => {
            if (pool === undefined) return ++last;
            pool.exit();
            if (what === "throws") throw new Error("closed it");
            return 0;
          },
          free: (): void => {},
        };
        pool = heap.create({ size: 8, minNr: 1, backend });
        try {
          pool.alloc();
        } catch {
          // whatever it throws
        }
        await pool.closed;
        return heap.check();
      }, gives);
      const late = new Promise<string>((resolve) => setTimeout(resolve, 60_000, "still running").unref());
      expect(await Promise.race([ended, late])).toEqual([]);
    },
  );

  test("reap lists a dead thread's elements by the backend's numbers", () => {
    const heap = sharedHeap();
    const numbers = new Numbers(50);
    const pool = hosted(heap, numbers, 2, { name: "numbers" });
    const other = another(heap);
    const there = attach({ ...pool.share(), heap: other.share() }, { backend: numbers.backend });
    take(pool, 3);
    const theirs = take(there, 8);
    freeAll(there, theirs.splice(0, 3));
    const list = heap.reap(other.threadId);
    expect(list.map(({ address }) => address).toSorted((a, b) => a - b)).toEqual(theirs.toSorted((a, b) => a - b));
    for (const { address } of list) pool.free(address);
    expect(pool.outstanding).toBe(3);
    expectSound(heap);
  });

  test.each(["pages", "bump"] as const)("a pool with the backend %s serves several threads", async (backend) => {
    const heap = sharedHeap();
    const pool = create({ heap, size: 64, minNr: 4, backend });
    const counts = await Promise.all(
      [new Thread(), new Thread()].map((thread, seed) =>
        thread.run(
          ({ attach: join }, shared, fill) => {
            const there = join(shared);
            const held: number[] = [];
            for (let i = 0; i < 3000; i++) {
              if (held.length < 40 && i % 3 !== 2) {
                const address = there.alloc();
                if (address === 0) continue;
                there.heap.views.refresh().u8.fill(fill + 1, address, address + 64);
                held.push(address);
              } else if (held.length > 0) {
                const address = held.shift()!;
                const bytes = there.heap.views.refresh().u8.subarray(address, address + 64);
                if (bytes.some((byte) => byte !== fill + 1)) throw new Error("an element was overwritten");
                there.free(address);
              }
            }
            for (const address of held) there.free(address);
            there.heap.detach();
            return held.length;
          },
          pool.share(),
          seed,
        ),
      ),
    );
    expect(counts.length).toBe(2);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 4]);
    pool.exit();
    expectSound(heap);
  });
});
