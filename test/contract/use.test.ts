/** `pool.use`: an element for the time of a call; and `maxWaiters`. */
import { describe, expect, test } from "vitest";
import { attach, create, type Pool, type SharedHeap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { codeOf, createWith, errorFrom, expectSound, fixedHeap, MIB, take } from "./helpers.ts";
import { poolOf, rejection, rejectionCode, soon } from "./waiting-helpers.ts";

const never = (): never => expect.unreachable();

describe.each(builds)("use: $name", (build) => {
  test("gives an element, returns what the function returns, and frees", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 1);
    for (const result of ["result", 0, undefined, null, {}]) {
      let at = 0;
      const got = pool.use((address) => {
        at = address;
        expect(pool.outstanding).toBe(1);
        heap.u8.fill(1, address, address + 64);
        return result;
      });
      expect(got).toBe(result);
      expect(codeOf(() => pool.free(at))).toBe("ERR_DOUBLE_FREE");
    }
    expectSound(heap);
  });

  test("frees when the function throws, and throws the same", () => {
    const pool = poolOf(fixedHeap(build, MIB), 1);
    const error = new Error("the function's");
    let thrown: unknown;
    try {
      pool.use(() => {
        throw error;
      });
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toBe(error);
    expect(pool.outstanding).toBe(0);
  });

  test("of a promise, frees when that is settled", async () => {
    const pool = poolOf(fixedHeap(build, MIB), 1);
    for (const outcome of ["resolve", "reject"] as const) {
      const settle = {} as Record<typeof outcome, (value: string) => void>;
      const promise = new Promise<string>((resolve, reject) => Object.assign(settle, { resolve, reject }));
      const used = pool.use(() => promise);
      expect(pool.outstanding).toBe(1);
      settle[outcome]("done");
      expect(await soon(used.catch((error) => error))).toBe("done");
      expect(pool.outstanding).toBe(0);
    }
  });

  test("without an element, calls nothing", () => {
    const pool = poolOf(fixedHeap(build, MIB), 1);
    const [held] = take(pool, 1);
    const error = errorFrom(() => pool.use(() => expect.unreachable()));
    expect(error).toMatchObject({ code: "ERR_NO_MEMORY", pool: pool.name });
    expect(error.message).toBe(`ERR_NO_MEMORY: use: pool "${pool.name}" has no element`);
    pool.free(held!);
    pool.exit();
    expect(codeOf(() => pool.use(() => expect.unreachable()))).toBe("ERR_CLOSED");
    expect(errorFrom(() => pool.use(7 as never)).message).toContain("use: fn must be a function, got 7");
  });

  test("an element that the function has freed is a double free; one whose pool it has closed is freed", () => {
    const pool = poolOf(fixedHeap(build, MIB), 2);
    expect(codeOf(() => pool.use((at) => pool.free(at)))).toBe("ERR_DOUBLE_FREE");
    pool.use(() => pool.exit());
    expect(pool.outstanding).toBe(0);
  });

  test("useAsync waits for an element, in turn", async () => {
    const pool = poolOf(fixedHeap(build, MIB), 2);
    let most = 0;
    const job = async (n: number): Promise<number> =>
      pool.useAsync(async () => {
        most = Math.max(most, pool.outstanding);
        await Promise.resolve();
        return n;
      });
    expect(await soon(Promise.all([1, 2, 3, 4, 5, 6].map(job)))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(most).toBe(2);
    expect(pool.outstanding).toBe(0);
    expect(await soon(pool.useAsync(() => 7))).toBe(7);
    const held = take(pool, 2);
    expect(await rejectionCode(pool.useAsync(never, { timeout: 1 }))).toBe("ERR_TIMEOUT");
    expect(await rejectionCode(pool.useAsync(never, { signal: AbortSignal.abort() }))).toBe("AbortError");
    expect(await rejectionCode(pool.useAsync("no function" as never))).toBe("ERR_INVALID_ARGUMENT");
    for (const at of held) pool.free(at);
    const failed = pool.useAsync(() => {
      throw new Error("the function's");
    });
    await expect(failed).rejects.toThrow("the function's");
    expect(pool.outstanding).toBe(0);
  });
});

describe.each(builds)("maxWaiters: $name", (build) => {
  const full = (options: object = {}): { pool: Pool; held: number[] } => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2, maxNr: 2, maxWaiters: 3, name: "capped", ...options });
    return { pool, held: take(pool, 2) };
  };

  test("refuses the waiter beyond it, and serves the others", async () => {
    const { pool, held } = full();
    const one = pool.allocAsync();
    const two = pool.prefillAsync(2);
    const three = pool.allocBulkAsync(new Uint32Array(1));
    for (const four of [pool.allocAsync(), pool.allocBulkAsync(new Uint32Array(2)), pool.prefillAsync(1)]) {
      const error = await rejection(four);
      expect(error).toMatchObject({ code: "ERR_TOO_MANY_WAITERS", pool: "capped" });
      expect(error.message).toMatch(
        /: pool "capped" has no element, and 3 calls wait already: that is its maxWaiters$/,
      );
    }
    pool.free(held[0]!);
    const first = await soon(one);
    // One place is free again.
    const later = pool.allocAsync();
    pool.free(first);
    pool.free(held[1]!);
    (await soon(two)).exit();
    await soon(three);
    pool.free(await soon(later));
  });

  test("counts no call that has left, and refuses none that finds an element", async () => {
    const { pool, held } = full({ maxWaiters: 1 });
    for (let i = 0; i < 5; i++) expect(await rejectionCode(pool.allocAsync({ timeout: 1 }))).toBe("ERR_TIMEOUT");
    for (const at of held) pool.free(at);
    expect(await Promise.all([pool.allocAsync(), pool.allocAsync()])).toHaveLength(2);
  });

  test("is checked", () => {
    for (const maxWaiters of [0, -1, 1.5, "3", null, NaN]) {
      const make = (): unknown => createWith({ size: 8, minNr: 1, maxWaiters });
      expect(errorFrom(make).message).toContain("create: maxWaiters must be an integer from 1 to 4294967295, got ");
    }
  });
});

test("maxWaiters goes with the pool to other threads", async () => {
  const shared = builds.find(({ isShared }) => isShared);
  const heap = fixedHeap(shared!, MIB) as SharedHeap;
  const pool = heap.create({ size: 64, minNr: 1, maxNr: 1, maxWaiters: 1 });
  const handle = pool.share();
  expect(handle.maxWaiters).toBe(1);
  expect(errorFrom(() => attach({ ...handle, maxWaiters: 0 })).message).toContain("shared.maxWaiters must be");
  const other = attach({ ...handle, heap: { ...handle.heap, id: "another" } });
  const held = pool.alloc();
  const waits = other.allocAsync();
  expect(await rejectionCode(other.allocAsync())).toBe("ERR_TOO_MANY_WAITERS");
  pool.free(held);
  other.free(await soon(waits));
  other.heap.detach();
});
