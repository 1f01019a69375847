/** Fake timers: a test's clock decides when a timeout is over, and a library imported under it does not keep it. */
import { mock } from "node:test";
import FakeTimers from "@sinonjs/fake-timers";
import { afterEach, describe, expect, test, vi } from "vitest";
import type * as Library from "../../src/index.ts";
import { until } from "../threads/helpers.ts";
import { outcome } from "./helpers.ts";

interface Fake {
  readonly name: string;
  install(): { advance(milliseconds: number): void; restore(): void };
}

const fakes: readonly Fake[] = [
  {
    name: "vitest",
    install: () => {
      vi.useFakeTimers({
        toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
      });
      return { advance: (ms) => void vi.advanceTimersByTime(ms), restore: () => void vi.useRealTimers() };
    },
  },
  {
    name: "vitest, timers alone",
    install: () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
      return { advance: (ms) => void vi.advanceTimersByTime(ms), restore: () => void vi.useRealTimers() };
    },
  },
  {
    // Jest uses these
    name: "@sinonjs/fake-timers",
    install: () => {
      const clock = FakeTimers.install({ toNotFake: ["setImmediate", "nextTick", "queueMicrotask"] });
      return { advance: (ms) => void clock.tick(ms), restore: () => clock.uninstall() };
    },
  },
  {
    name: "node:test",
    install: () => {
      mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
      return { advance: (ms) => mock.timers.tick(ms), restore: () => mock.timers.reset() };
    },
  },
];

let restore: (() => void) | undefined;
afterEach(() => {
  restore?.();
  restore = undefined;
});

function install(fake: Fake): (milliseconds: number) => void {
  const installed = fake.install();
  restore = installed.restore;
  return installed.advance;
}

async function imported(): Promise<typeof Library> {
  vi.resetModules();
  await import("../features.ts");
  return import("../../src/index.ts");
}

const kinds = fakes.flatMap((fake) => [true, false].map((shared) => ({ name: fake.name, fake, shared })));
const poolOf = ({ createHeap, createSharedHeap }: typeof Library, shared: boolean): Library.Pool =>
  (shared ? createSharedHeap : createHeap)().create({ size: 64, minNr: 1, maxNr: 1 });

describe.each(kinds)("$name, shared: $shared", ({ fake, shared }) => {
  test("a timeout follows the test's clock", async () => {
    const pool = poolOf(await imported(), shared);
    const held = pool.alloc();
    const advance = install(fake);
    const waiter = pool.allocAsync({ timeout: 5000 });
    waiter.catch(() => {});
    advance(4999);
    expect(await outcome(waiter)).toBe("pending");
    advance(1);
    expect(await outcome(waiter)).toBe("ERR_TIMEOUT");
    pool.free(held);
    expect(pool.outstanding).toBe(0);
  });

  test("a library imported under fake timers uses the real ones afterwards", async () => {
    const advance = install(fake);
    const library = await imported();
    const pool = poolOf(library, shared);
    const held = pool.alloc();
    const waiter = pool.allocAsync({ timeout: 100 });
    waiter.catch(() => {});
    advance(100);
    expect(await outcome(waiter)).toBe("ERR_TIMEOUT");
    restore!();
    restore = undefined;
    await expect(pool.allocAsync({ timeout: 10 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    pool.free(held);
    expect(pool.stats()).toMatchObject({ outstanding: 0, timeouts: 2 });
  });

  test("a waiter is served after the real timers came back", async () => {
    const library = await imported();
    const heap = (shared ? library.createSharedHeap : library.createHeap)();
    let has = false;
    const backend = { alloc: () => (has ? 7 : 0), free: () => {} };
    const pool = heap.create({ size: 1, minNr: 0, maxNr: 2, backend });
    install(fake);
    const waiter = pool.allocAsync();
    restore!();
    restore = undefined;
    // searches the backend again by the current timers
    const second = pool.allocAsync({ timeout: 60_000 });
    second.catch(() => {});
    has = true;
    expect(await waiter).toBe(7);
    pool.exit();
    pool.free(7);
    expect(await outcome(second)).toBe("ERR_CLOSED");
  });

  test("watermarks use the current timers", async () => {
    const library = await imported();
    const pool = poolOf(library, shared);
    let calls = 0;
    const advance = install(fake);
    const stop = pool.onLow(1, () => calls++);
    const held = pool.alloc();
    expect(calls).toBe(0);
    advance(40);
    expect(calls).toBe(1);
    restore!();
    restore = undefined;
    const other = pool.onLow(1, () => calls++);
    await until(() => calls === 2);
    expect(calls).toBe(2);
    stop();
    other();
    pool.free(held);
  });
});

/** The code of an error of another copy of the package, which is no instance of this copy's class. */
const code = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    return (error as Library.MempoolError).code;
  }
};

test.each(fakes)("$name: a blocked thread's time is real", async (fake) => {
  install(fake);
  const { createSharedHeap } = await imported();
  const heap = createSharedHeap();
  heap.share();
  const pool = heap.create({ size: 64, minNr: 2, maxNr: 2 });
  const held = [pool.alloc(), pool.alloc()];
  expect(code(() => pool.allocWait({ timeout: 50 }))).toBe("ERR_TIMEOUT");
  pool.free(held.pop()!);
  expect(code(() => pool.allocBulkWait(new Uint32Array(2), { count: 2, timeout: 250 }))).toBe("ERR_TIMEOUT");
  restore!();
  restore = undefined;
  expect(code(() => pool.allocBulkWait(new Uint32Array(2), { count: 2, timeout: 50 }))).toBe("ERR_TIMEOUT");
  expect(pool.stats()).toMatchObject({ outstanding: 1, timeouts: 3 });
  expect(pool.stats().waitedMs).toBeGreaterThanOrEqual(350);
});
