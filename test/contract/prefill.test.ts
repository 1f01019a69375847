/** Prefills: several elements at once, for a task that needs all of them. */
import { describe, expect, test } from "vitest";
import { create, type Heap, type Pool, type Prefill, type SharedHeap } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { builds } from "../builds.ts";
import { Thread } from "../threads/helpers.ts";
import {
  codeOf,
  drain,
  errorFrom,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  MIB,
  random,
  stateOf,
  take,
} from "./helpers.ts";

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const poolOf = (heap: Heap, count: number): Pool => create({ heap, size: 64, minNr: count, maxNr: count });
const codeFrom = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    // The code of an abort's reason is a number.
    ({ code, name }: { code: unknown; name: string }) => (typeof code === "string" ? code : name),
  );

function all(ticket: Prefill): number[] {
  const elements: number[] = [];
  for (let left = ticket.left; left > 0; left--) {
    expect(ticket.left).toBe(left);
    elements.push(ticket.alloc());
  }
  expect(ticket.left).toBe(0);
  expect(ticket.alloc()).toBe(0);
  return elements;
}

describe.each(builds)("prefills: $name", (build) => {
  test("one whose elements are all taken shares nothing with the next", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 6);
    const first = pool.prefill(3)!;
    const taken = all(first);
    const second = pool.prefill(3)!;
    expect(first.alloc()).toBe(0);
    first.exit();
    expect([first.left, second.left, pool.outstanding]).toEqual([0, 3, 6]);
    expectElements(heap, [...taken, ...all(second)], 64, 16);
    freeAll(pool, [...pool.live()]);
    expectSound(heap);
  });

  test("users who take three elements one by one deadlock with three in reserve", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 3);
    let left = 3;
    let end: () => void;
    const haveEnded = new Promise<void>((resolve) => (end = resolve));
    const users = Array.from({ length: 3 }, async () => {
      const held: number[] = [];
      try {
        while (held.length < 3) {
          held.push(await pool.allocAsync({ timeout: 150 }));
          await sleep(1);
        }
        return "served";
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        // a user gives up only when all do, so that none is served by another's giving up
        if (--left === 0) end();
        await haveEnded;
        freeAll(pool, held);
      }
    });
    expect(await Promise.all(users)).toEqual(["ERR_TIMEOUT", "ERR_TIMEOUT", "ERR_TIMEOUT"]);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 3]);
    expectSound(heap);
  });

  test("the same users progress with prefills", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 3);
    const served = [0, 0, 0, 0, 0];
    await Promise.all(
      served.map(async (_, user) => {
        for (let round = 0; round < 20; round++) {
          using ticket = await pool.prefillAsync(3, { timeout: 60_000 });
          const held = all(ticket);
          expect(new Set(held).size).toBe(3);
          if (round % 5 === 0) await sleep(1);
          else await undefined;
          freeAll(pool, held);
          served[user]!++;
        }
      }),
    );
    expect(served).toEqual([20, 20, 20, 20, 20]);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 3]);
    expectSound(heap);
  });

  test("a prefill's elements are outstanding from the start", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const ticket = pool.prefill(6)!;
    expect([ticket.left, pool.outstanding]).toEqual([6, 6]);
    const held = all(ticket);
    expectElements(heap, held, 64, 16);
    expect(pool.outstanding).toBe(6);
    pool.free(held[2]!);
    expect(freeCode(pool, held[2])).toBe("ERR_DOUBLE_FREE");
    ticket.exit();
    expect(pool.outstanding).toBe(5);
    freeAll(
      pool,
      held.filter((_, i) => i !== 2),
    );
    expect([pool.outstanding, pool.currNr]).toEqual([0, 4]);
    expectSound(heap);
  });

  test("a prefill gets all elements or none", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 10);
    const held = take(pool, 6);
    expect(pool.prefill(5)).toBe(undefined);
    expect([pool.currNr, pool.outstanding]).toEqual([4, 6]);
    const ticket = pool.prefill(4)!;
    expect(ticket.left).toBe(4);
    expect(pool.prefill(1)).toBe(undefined);
    expect(pool.alloc()).toBe(0);
    freeAll(pool, held);
    expect(ticket.left).toBe(4);
    ticket.exit();
    expect([pool.currNr, pool.outstanding]).toEqual([10, 0]);
    expectSound(heap);
  });

  test("exit frees the elements that are left", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 8);
    const ticket = pool.prefill(5)!;
    const held = [ticket.alloc(), ticket.alloc()];
    ticket.exit();
    expect([ticket.left, ticket.alloc(), pool.outstanding]).toEqual([0, 0, 2]);
    const others = take(pool, 6);
    ticket.exit();
    ticket[Symbol.dispose]();
    expect([ticket.left, pool.outstanding]).toEqual([0, 8]);
    freeAll(pool, [...held, ...others]);
    {
      using scoped = pool.prefill(8)!;
      scoped.alloc();
      expect(pool.outstanding).toBe(8);
    }
    expect(pool.outstanding).toBe(1);
    expectSound(heap);
  });

  test("a prefill outlives the pool's exit", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4 });
    const ticket = pool.prefill(6)!;
    const other = pool.prefill(3)!;
    pool.exit();
    expect(codeOf(() => pool.prefill(1))).toBe("ERR_CLOSED");
    expect([ticket.left, pool.outstanding]).toEqual([6, 9]);
    const held = [ticket.alloc(), ticket.alloc()];
    expectElements(heap, held, 64, 16);
    for (const address of held) heap.u8.fill(1, address, address + 64);
    freeAll(pool, held);
    ticket.exit();
    expect(pool.outstanding).toBe(3);
    other.exit();
    await pool.closed;
    ticket.exit();
    other.exit();
    expect([ticket.alloc(), other.alloc(), heap.stats().pools]).toEqual([0, 0, 0]);
    expectSound(heap);
  });

  test("a free of an element that a prefill still holds does no damage", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 4);
    const ticket = pool.prefill(4)!;
    const held = all(ticket);
    freeAll(pool, held);
    ticket.exit();
    expect(drain(pool).length).toBe(4);
    expectSound(heap);
  });

  test("an impossible count is refused by name and value", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 4, maxNr: 10 });
    const open = create({ heap, size: 64, minNr: 4 });
    const before = stateOf(heap, pool, open);
    const bad: [Pool, unknown][] = [
      ...[-1, 1.5, NaN, Infinity, "3", undefined, null, 3n, 11, 2 ** 32, 2 ** 32 + 1].map(
        (value) => [pool, value] as [Pool, unknown],
      ),
      [open, 2 ** 28],
      [open, 2 ** 32 - 1],
      [open, MIB],
    ];
    for (const [each, value] of bad) {
      const count = value as number;
      for (const call of [() => each.prefill(count), () => each.prefillWait(count, { timeout: 0 })]) {
        const error = errorFrom(call);
        expect(error.code).toBe("ERR_INVALID_ARGUMENT");
        expect(error.message).toContain("count");
      }
      expect(await codeFrom(each.prefillAsync(count))).toBe("ERR_INVALID_ARGUMENT");
    }
    for (const timeout of [-1, NaN, "5"]) {
      expect(codeOf(() => pool.prefillWait(1, { timeout: timeout as number }))).toBe("ERR_INVALID_ARGUMENT");
      expect(await codeFrom(pool.prefillAsync(1, { timeout: timeout as number }))).toBe("ERR_INVALID_ARGUMENT");
    }
    expect(await codeFrom(pool.prefillAsync(1, { count: 3 } as never))).toBe("ERR_INVALID_ARGUMENT");
    expect(stateOf(heap, pool, open)).toEqual(before);
    expectSound(heap);
  });

  test("prefillAsync waits in turn until it has all elements", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 4);
    const held = take(pool, 4);
    const order: string[] = [];
    const ticket = pool.prefillAsync(3).then((got) => (order.push("ticket"), got));
    const single = pool.allocAsync().then((got) => (order.push("single"), got));
    for (let i = 0; i < 2; i++) {
      pool.free(held.pop()!);
      await sleep(2);
      expect(order).toEqual([]);
    }
    pool.free(held.pop()!);
    await sleep(2);
    expect(order).toEqual(["ticket"]);
    pool.free(held.pop()!);
    const [got, element] = await Promise.all([ticket, single]);
    expect(order).toEqual(["ticket", "single"]);
    freeAll(pool, [...all(got), element]);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 4]);
    expectSound(heap);
  });

  test("a prefillAsync that fails leaves nothing behind", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 4);
    const held = take(pool, 2);
    expect(await codeFrom(pool.prefillAsync(3, { timeout: 0 }))).toBe("ERR_TIMEOUT");
    expect(await codeFrom(pool.prefillAsync(3, { timeout: 15 }))).toBe("ERR_TIMEOUT");
    const controller = new AbortController();
    const aborted = codeFrom(pool.prefillAsync(3, { signal: controller.signal }));
    controller.abort();
    expect(await aborted).toBe("AbortError");
    expect([pool.currNr, pool.outstanding]).toEqual([2, 2]);
    const more = take(pool, 2);
    const closed = codeFrom(pool.prefillAsync(3));
    pool.free(more.pop()!);
    pool.exit();
    expect(await closed).toBe("ERR_CLOSED");
    freeAll(pool, [...held, ...more]);
    await pool.closed;
    expect(heap.stats().pools).toBe(0);
    expectSound(heap);
  });

  test("prefillWait gives available elements at once", () => {
    const heap = fixedHeap(build, MIB);
    const pool = poolOf(heap, 4);
    const ticket = pool.prefillWait(3);
    expect(ticket.left).toBe(3);
    expect(codeOf(() => pool.prefillWait(3, { timeout: 10 }))).toBe("ERR_WOULD_BLOCK");
    if (build.isShared) {
      (heap as SharedHeap).share();
      expect(codeOf(() => pool.prefillWait(3, { timeout: 10 }))).toBe("ERR_TIMEOUT");
    }
    expect([pool.currNr, pool.outstanding]).toEqual([1, 3]);
    ticket.exit();
    expectSound(heap);
  });

  test("the reserve serves prefills while the backend is refused", async () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 3 });
    faults(pool, { refuse: true });
    expect(pool.prefill(4)).toBe(undefined);
    for (let round = 0; round < 500; round++) {
      const ticket = pool.prefill(3)!;
      const later = pool.prefillAsync(3, { timeout: 60_000 });
      const held = all(ticket);
      expect(pool.prefill(1)).toBe(undefined);
      freeAll(pool, held);
      (await later).exit();
    }
    expect([pool.currNr, pool.outstanding]).toEqual([3, 0]);
    expectSound(heap);
  });

  test("random prefills, allocs and frees agree with a model", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    try {
      const next = random(seed);
      const heap = fixedHeap(build, MIB);
      const pool = poolOf(heap, 40);
      const tickets: [Prefill, number][] = [];
      const held: number[] = [];
      let inTickets = 0;
      for (let i = 0; i < 10_000; i++) {
        const what = next();
        if (what < 0.2) {
          const count = 1 + Math.floor(next() * 12);
          const ticket = pool.prefill(count);
          if ((ticket !== undefined) !== count <= 40 - held.length - inTickets) throw new Error(`prefill(${count})`);
          if (ticket) {
            tickets.push([ticket, count]);
            inTickets += count;
          }
        } else if (what < 0.5 && tickets.length > 0) {
          const entry = tickets[Math.floor(next() * tickets.length)]!;
          const element = entry[0].alloc();
          if ((element !== 0) !== entry[1] > 0) throw new Error("a ticket's alloc");
          if (element !== 0) {
            held.push(element);
            entry[1]--;
            inTickets--;
          }
        } else if (what < 0.6 && tickets.length > 0) {
          const [[ticket, left]] = tickets.splice(Math.floor(next() * tickets.length), 1) as [[Prefill, number]];
          if (ticket.left !== left) throw new Error(`${ticket.left} left, not ${left}`);
          ticket.exit();
          inTickets -= left;
        } else if (what < 0.7) {
          const element = pool.alloc();
          if (element !== 0) held.push(element);
        } else if (held.length > 0) {
          pool.free(held.splice(Math.floor(next() * held.length), 1)[0]!);
        }
        if (pool.outstanding !== held.length + inTickets) throw new Error("outstanding");
        if (pool.currNr + pool.outstanding !== 40) throw new Error("an element is lost");
        if (new Set(held).size !== held.length) throw new Error("an element was handed out twice");
      }
      for (const [ticket] of tickets) ticket.exit();
      freeAll(pool, held);
      expect(drain(pool).length).toBe(40);
      expectSound(heap);
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  });
});

test("threads that need three elements each progress with prefillWait and three in reserve", async () => {
  const heap = builds.find(({ isShared }) => isShared)!.heap({ initial: MIB, maximum: MIB });
  const pool = poolOf(heap, 3);
  const rounds = await Promise.all(
    [new Thread(), new Thread(), new Thread()].map((thread) =>
      thread.run(({ attach }, shared) => {
        const there = attach(shared);
        let round = 0;
        for (; round < 100; round++) {
          const ticket = there.prefillWait(3, { timeout: 60_000 });
          const held = [ticket.alloc(), ticket.alloc(), ticket.alloc()];
          if (new Set(held).size !== 3 || held.includes(0)) throw new Error("not three");
          for (const address of held) there.free(address);
        }
        there.heap.detach();
        return round;
      }, pool.share()),
    ),
  );
  expect(rounds).toEqual([100, 100, 100]);
  expect(pool.outstanding).toBe(0);
  expectSound(heap);
});
