/** Errors of callbacks that no caller waits for; how often callbacks are called; and what they keep alive. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Heap, SharedHeap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { expectSound, fixedHeap, MIB } from "../contract/helpers.ts";
import { reports } from "./helpers.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = async (code: string, ...flags: string[]): Promise<string> => {
  const options = { cwd: root };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...flags, "--input-type=module", "-e", code],
    options,
  );
  return stdout;
};

describe.each(builds)("callbacks: $name", (build) => {
  test("a shrinker that registers itself again is called once per allocation", () => {
    const heap = fixedHeap(build, MIB);
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    let calls = 0;
    const again = () => {
      stop();
      if (++calls > 1000) throw new Error("for ever");
      stop = heap.registerShrinker(again);
    };
    let stop = heap.registerShrinker(again);
    for (let i = 1; i <= 5; i++) {
      expect(pool.alloc()).toBe(0);
      expect(calls).toBe(i);
    }
    pool.free(held);
    expectSound(heap);
  });

  test("shrinkers after one that throws are called", () => {
    const heap = fixedHeap(build, MIB);
    const reported = reports();
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    const cause = new Error("no");
    heap.registerShrinker(() => {
      throw cause;
    });
    heap.registerShrinker(() => pool.free(held));
    expect(pool.alloc()).toBe(held);
    expect(reported).toEqual([cause]);
    pool.free(held);
    expectSound(heap);
  });

  test("a watermark that throws is called once per dip", () => {
    vi.useFakeTimers();
    const reported = reports();
    const heap = fixedHeap(build, MIB);
    const pool = heap.create({ size: 64, minNr: 4, maxNr: 4 });
    const cause = new Error("no");
    let calls = 0;
    const stops = [
      pool.onLow(4, () => {
        calls++;
        throw cause;
      }),
      heap.onLowMemory(2 ** 32, () => {
        throw cause;
      }),
      pool.onLow(4, () => calls++),
    ];
    const held = pool.alloc();
    vi.advanceTimersByTime(500);
    expect(calls).toBe(2);
    expect(reported).toEqual([cause, cause]);
    pool.free(held);
    vi.advanceTimersByTime(100);
    const again = pool.alloc();
    vi.advanceTimersByTime(500);
    expect(calls).toBe(4);
    for (const stop of stops) stop();
    expect(vi.getTimerCount()).toBe(0);
    pool.free(again);
    expectSound(heap);
  });

  test("a watermark ends with its pool or heap", () => {
    vi.useFakeTimers();
    const heap = fixedHeap(build, MIB);
    const pool = heap.create({ size: 64, minNr: 4 });
    pool.onLow(1, () => {});
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(1);
    pool.exit();
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(0);
    if (!build.isShared) return;
    heap.onLowMemory(1, () => {});
    expect(vi.getTimerCount()).toBe(1);
    (heap as SharedHeap).detach();
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("an error of a backend's free after a timeout is reported", async () => {
    const heap = fixedHeap(build, MIB);
    const reported = reports();
    const cause = new Error("cannot close");
    let last = 0;
    let left = 0;
    const backend = {
      alloc: () => (left-- > 0 ? ++last : 0),
      free: () => {
        throw cause;
      },
    };
    const pool = heap.create({ size: 1, minNr: 0, backend });
    // it collects two elements, and returns them when no more come, or its time is over
    const waiter = pool.allocBulkAsync(new Uint32Array(3), { timeout: 800 });
    left = 2;
    await expect(waiter).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    expect(reported.length).toBe(2);
    for (const error of reported) expect(error).toBe(cause);
    expect(pool.outstanding).toBe(0);
    pool.exit();
    expectSound(heap);
  });
});

test("without reportError, a callback's error is an uncaught error", async () => {
  const code = `
    import { createHeap } from "./dist/index.js";
    process.on("uncaughtException", (error, origin) => console.log(origin, error.message));
    const pool = createHeap().create({ size: 64, minNr: 1, maxNr: 1 });
    delete globalThis.reportError;
    pool.heap.registerShrinker(() => { throw new Error("mine"); });
    pool.alloc();
    console.log(pool.alloc());
  `;
  expect(await run(code)).toBe("0\nuncaughtException mine\n");
});

test("watermarks keep no heap and no process alive", async () => {
  const code = `
    import { createHeap } from "./dist/index.js";
    let collected = 0;
    const registry = new FinalizationRegistry(() => collected++);
    for (let i = 0; i < 20; i++) {
      const heap = createHeap();
      const pool = heap.create({ size: 64, minNr: 4 });
      pool.onLow(2, () => console.log(pool.name));
      heap.onLowMemory(1, () => console.log(heap.stats()));
      registry.register(heap, 0);
      if (i % 2) pool.exit();
    }
    for (let i = 0; i < 100 && collected < 19; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      gc();
    }
    console.log(collected >= 19);
    createHeap().create({ size: 64, minNr: 4 }).onLow(2, () => {});
  `;
  expect(await run(code, "--expose-gc")).toBe("true\n");
});

test("a watermark works while the program holds only a pool", async () => {
  const code = `
    import { createHeap } from "./dist/index.js";
    const pool = createHeap().create({ size: 64, minNr: 4, maxNr: 4 });
    pool.onLow(4, () => console.log("low"));
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      gc();
    }
    pool.alloc();
    await new Promise((resolve) => setTimeout(resolve, 100));
  `;
  expect(await run(code, "--expose-gc")).toBe("low\n");
});

test("the reserve of the guide's file descriptors serves while the system refuses", async () => {
  const guide = readFileSync(new URL("../../docs/guides/pools.md", import.meta.url), "utf8");
  const sample = /```js\n(import \{ openSync[^]*?)```/.exec(guide)![1]!;
  // a system that opens five files, and then fails with EMFILE
  const code = sample
    .replace(/import \{[^}]*\} from "node:fs";/, "")
    .replace('"wasm-mempool"', '"./dist/index.js"')
    .replace('"wasm-mempool/backend"', '"./dist/backend.js"')
    .replace(/files\.exit\(\);.*\n/, "");
  const system = `
    const opened = new Set();
    const openSync = () => {
      if (opened.size === 5) throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
      const file = Array.from({ length: 6 }, (_, i) => i).find((i) => !opened.has(i));
      opened.add(file);
      return file;
    };
    const closeSync = (file) => { if (!opened.delete(file)) throw new Error("not open: " + file); };
  `;
  const use = `
    const all = Array.from({ length: 6 }, () => files.alloc());
    console.log(all.filter((each) => each !== 0).length, all.at(-1), opened.size);
    for (const each of all) files.free(each);
    console.log(files.currNr, opened.size);
    files.exit();
    console.log(opened.size);
  `;
  expect(await run(code.replace("const files", `${system}\nconst files`) + use)).toBe("5 0 5\n2 2\n0\n");
});

/** A backend that throws where the sample returns 0. */
test.each(builds)("a backend's error is thrown once the reserve is empty: $name", (build) => {
  const heap: Heap = fixedHeap(build, MIB);
  const error = Object.assign(new Error("too many open files"), { code: "EMFILE" });
  let left = 4;
  let last = 0;
  const backend = {
    alloc: () => {
      if (left === 0) throw error;
      left--;
      return ++last;
    },
    free: () => void left++,
  };
  const files = heap.create({ size: 1, minNr: 2, backend });
  const held = Array.from({ length: 4 }, () => files.alloc());
  expect(held.every((file) => file > 0)).toBe(true);
  expect(() => files.alloc()).toThrow(error);
  expect(files.stats()).toMatchObject({ failures: 0, outstanding: 4, currNr: 0 });
  // a shrinker helps as it does when memory is short
  const stop = heap.registerShrinker(() => files.free(held.pop()!));
  held.push(files.alloc());
  stop();
  expect(held.at(-1)).not.toBe(0);
  for (const file of held) files.free(file);
  files.exit();
  expect(left).toBe(4);
  expectSound(heap);
});
