/** Threads of a guest that share one heap: emscripten's, and a freestanding program's in workers. */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import {
  archives,
  at,
  build,
  clangMissing,
  emcc,
  emscriptenMissing,
  freestanding,
  runEmscripten,
} from "./toolchain.ts";

// The first use of emscripten compiles its libraries.
describe("emscripten", { timeout: 600_000 }, () => {
  const threads = ["-pthread", "-sPROXY_TO_PTHREAD", "-sPTHREAD_POOL_SIZE=6", archives.sharedMalloc];

  // Its threads reuse workers, whose instances stay threads of the heap.
  test.skipIf(emscriptenMissing).each([
    { title: "leave the heap at their end", flags: ["-DLEAVES"] },
    { title: "only end", flags: [] },
  ])("30 rounds of threads that $title free each other's blocks", ({ flags }) => {
    const path = build(`pthreads${flags.length}.js`, emcc, "pthreads.c", ...flags, ...threads);
    expect(runEmscripten(path)).toMatch(/^600000 of 600000 blocks handed on, 0 damaged, refused: none\n/);
  });

  test.skipIf(emscriptenMissing)("threads print from memory that grew", () => {
    const path = build(
      "pthreads-grown.js",
      emcc,
      "grown.c",
      ...threads,
      "-sALLOW_MEMORY_GROWTH",
      "-Wno-pthreads-mem-growth",
    );
    expect(runEmscripten(path)).toBe("begin\nin new memory\nend\n");
  });

  test.skipIf(emscriptenMissing)("one thread prints from memory that grew, if its JavaScript is told", () => {
    const path = build("grown.js", emcc, "grown.c", "-DTELLS", archives.malloc, "-sALLOW_MEMORY_GROWTH");
    expect(runEmscripten(path)).toBe("begin\nin new memory\nend\n");
  });
});

/** Threads at once, each an instance with a stack of its own. */
const THREADS = 4;
const MEMORY = { initial: 20, maximum: 1024, shared: true };

const link = (name: string, ...flags: string[]): WebAssembly.Module =>
  new WebAssembly.Module(
    readFileSync(
      build(
        name,
        [...freestanding, "-matomics", "-mbulk-memory", "-mmutable-globals", "-fno-builtin"],
        "workers.c",
        archives.sharedMalloc,
        "-Wl,--no-entry,--shared-memory,--import-memory,--max-memory=67108864,--export-all,--export=__stack_pointer",
        ...flags,
      ),
    ),
  );

const inWorker = (module: WebAssembly.Module, memory: WebAssembly.Memory, call: string, ...args: number[]) =>
  new Promise<number>((resolve, reject) => {
    const worker = new Worker(at("worker.mjs"), { workerData: { module, memory, call, args } });
    worker.once("message", resolve);
    worker.once("error", reject);
  });

/** Three threads of a program, all of them called from here. */
function instancesOf(module: WebAssembly.Module) {
  const memory = new WebAssembly.Memory({ ...MEMORY, maximum: 64 });
  return Array.from({ length: 3 }, (_, thread) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    const program = exports as Record<string, (...args: number[]) => number> & { __stack_pointer: WebAssembly.Global };
    program["__stack_pointer"].value = program["stackTop"]!(thread);
    return program;
  });
}

test.skipIf(clangMissing)("a pool, an attached pool and an arena may be the first calls of a thread", () => {
  const [maker, user, other] = instancesOf(link("workers.wasm"));
  const shared = maker!["poolFirst"]!();
  expect(shared).toBeGreaterThan(0);
  expect(user!["attachFirst"]!(shared)).toBeGreaterThan(0);
  expect(other!["arenaFirst"]!()).toBeGreaterThan(0);
});

describe("a freestanding program in workers", () => {
  test.skipIf(clangMissing)(
    "30 rounds of new instances allocate, and free each other's blocks",
    async () => {
      const module = link("workers.wasm");
      const memory = new WebAssembly.Memory(MEMORY);
      let exchanged = 0;
      for (let round = 0; round < 30; round++) {
        const all = Array.from({ length: THREADS }, (_, i) => inWorker(module, memory, "work", i, round));
        for (const count of await Promise.all(all)) {
          expect(count).toBeGreaterThanOrEqual(0);
          exchanged += count;
        }
      }
      const left = await inWorker(module, memory, "finish", 0, 0);
      expect(exchanged + left).toBe(30 * THREADS * 2000);
    },
    120_000,
  );

  test.skipIf(clangMissing)(
    "instances that end without malloc_thread_exit use up the heap's thread numbers",
    async () => {
      const module = link("workers-stay.wasm", "-DSTAYS");
      const memory = new WebAssembly.Memory(MEMORY);
      const counts: number[] = [];
      for (let round = 0; round < 64; round++) counts.push(await inWorker(module, memory, "work", 0, round));
      // The number of blocks that a thread hands on; or -1, it gets none.
      expect(counts.slice(0, 63).every((count) => count >= 0)).toBe(true);
      expect(counts[63]).toBe(-1);
    },
    120_000,
  );

  test.skipIf(clangMissing)(
    "a thread that called malloc_reserve gets the reserve's blocks when another has all else",
    () => {
      const [greedy, needy, late] = instancesOf(link("workers.wasm"));
      expect(needy!["set"]!()).toBe(1);
      expect(greedy!["set"]!()).toBe(1);
      greedy!["drain"]!();
      // A thread that has yet to join needs memory for that.
      expect(late!["take"]!()).toBe(0);
      expect(needy!["take"]!()).toBe(4);
    },
  );
});
