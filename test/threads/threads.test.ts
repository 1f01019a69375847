/** Several threads on one heap: they wait, pass elements on, die and end. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import {
  createSharedHeap,
  type Heap,
  type Pool,
  type Reaped,
  type SharedHeap,
  type SharedPool,
} from "../../src/index.ts";
import { drain, expectSound, freeAll, freeCode, MIB, take } from "../contract/helpers.ts";
import { LATE, sleep, Thread, until, untilWaiting } from "./helpers.ts";

type Kept = typeof globalThis & { pool: SharedPool; held: number[] };

const heapOf = (bytes = MIB): SharedHeap => createSharedHeap({ initial: bytes, maximum: bytes });
const poolOf = (heap: Heap, count: number, minNr = count): Pool =>
  heap.create({ size: 64, minNr, maxNr: count, name: "pool" });

/** A thread with the pool attached, as globalThis.pool. */
async function threadWith(pool: Pool, options?: { withoutWaitAsync: boolean }): Promise<Thread> {
  const thread = new Thread(options);
  await thread.run(({ attach }, shared) => {
    (globalThis as Kept).pool = attach(shared);
  }, pool.share());
  return thread;
}

/** This thread can allocate all elements of the pool. */
async function expectAllHome(heap: Heap, pool: Pool, count: number): Promise<void> {
  const all: number[] = [];
  while (all.length < count) all.push(await pool.allocAsync({ timeout: LATE }));
  expect(new Set(all).size).toBe(count);
  expect(pool.alloc()).toBe(0);
  freeAll(pool, all);
  expect(pool.outstanding).toBe(0);
  expectSound(heap);
}

test("a blocked thread gets the element that another thread frees", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 2);
  const thread = await threadWith(pool);
  const held = take(pool, 2);
  let isDone = false;
  const waiting = thread.run(() => (globalThis as Kept).pool.allocWait());
  void waiting.then(() => (isDone = true));
  await untilWaiting(pool, 1);
  expect(isDone).toBe(false);
  pool.free(held[1]!);
  expect(pool.alloc()).toBe(0);
  expect(await waiting).toBe(held[1]);
  freeAll(pool, held);
  await expectAllHome(heap, pool, 2);
});

test("a timeout and the pool's end wake a blocked thread", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 2);
  const thread = await threadWith(pool);
  const held = take(pool, 2);
  const took = await thread.run(() => {
    const began = performance.now();
    try {
      (globalThis as Kept).pool.allocWait({ timeout: 50 });
    } catch (error) {
      if ((error as { code: string }).code !== "ERR_TIMEOUT") throw error;
    }
    return performance.now() - began;
  });
  expect(took).toBeGreaterThanOrEqual(49);
  const calls = [
    thread.run(() => (globalThis as Kept).pool.allocWait()),
    thread.run(() => (globalThis as Kept).pool.allocBulkWait(new Uint32Array(2))),
    thread.run(() => (globalThis as Kept).pool.allocAsync()),
  ];
  const settled = Promise.allSettled(calls);
  await untilWaiting(pool, 1);
  pool.exit();
  for (const each of await settled) expect(each).toMatchObject({ reason: { message: "ERR_CLOSED" } });
  // the last free ends the pool, in this thread too
  await thread.run((_, addresses) => addresses.forEach((address) => (globalThis as Kept).pool.free(address)), held);
  await thread.run(() => (globalThis as Kept).pool.closed);
  await pool.closed;
  expectSound(heap);
});

test("a blocked bulk request makes way", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 6);
  const thread = await threadWith(pool);
  const held = take(pool, 6);
  const bulk = thread.run(() => {
    const out = new Uint32Array(6);
    (globalThis as Kept).pool.allocBulkWait(out);
    return [...out];
  });
  await untilWaiting(pool, 6);
  const single = pool.allocAsync();
  freeAll(pool, held.slice(0, 5));
  // it has five of six elements, and one waiter is behind it
  pool.free(await single);
  pool.free(held[5]!);
  const theirs = await bulk;
  expect(new Set(theirs).size).toBe(6);
  freeAll(pool, theirs);
  await expectAllHome(heap, pool, 6);
});

test("waiters of all threads and kinds are served in order", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 1);
  const threads = await Promise.all([0, 1, 2].map(() => threadWith(pool)));
  const held = pool.alloc();
  const order: string[] = [];
  const note = async (name: string, promise: Promise<number>) => {
    expect(await promise).toBe(held);
    order.push(name);
    pool.free(held);
  };
  const all: Promise<void>[] = [];
  for (const [name, promise] of [
    ["blocked 0", () => threads[0]!.run(() => (globalThis as Kept).pool.allocWait())],
    ["here", () => pool.allocAsync()],
    ["async 1", () => threads[1]!.run(() => (globalThis as Kept).pool.allocAsync())],
    ["here again", () => pool.allocAsync()],
    ["blocked 2", () => threads[2]!.run(() => (globalThis as Kept).pool.allocWait())],
  ] as const) {
    all.push(note(name, promise()));
    await untilWaiting(pool, all.length);
  }
  expect(order).toEqual([]);
  pool.free(held);
  await Promise.all(all);
  expect(order).toEqual(["blocked 0", "here", "async 1", "here again", "blocked 2"]);
  await expectAllHome(heap, pool, 1);
});

/** Allocates, writes, checks the bytes and frees: in every way, in turn. */
const work = async (_: unknown, count: number): Promise<void> => {
  const { pool: mine } = globalThis as Kept;
  const u32 = () => mine.heap.u32;
  const use = async (address: number, mark: number) => {
    for (let i = 0; i < 16; i++) u32()[address / 4 + i] = mark;
    if (mark % 7 === 0) await new Promise((resolve) => setTimeout(resolve));
    for (let i = 0; i < 16; i++) if (u32()[address / 4 + i] !== mark) throw new Error(`${address} was overwritten`);
    mine.free(address);
  };
  const out = new Uint32Array(3);
  const one = async (seed: number) => {
    for (let i = 0; i < count; i++) {
      const mark = Math.trunc(Math.random() * 2 ** 31) * 2 + 1;
      const way = (i + seed) % 5;
      if (way === 0 && seed === 0) await use(mine.allocWait({ timeout: 60_000 }), mark);
      else if (way === 1) {
        const got = mine.alloc();
        if (got !== 0) await use(got, mark);
      } else if (way === 2 && seed === 0) {
        await mine.allocBulkAsync(out, { timeout: 60_000 });
        mine.freeBulk(out);
      } else await use(await mine.allocAsync({ timeout: 60_000 }), mark);
    }
  };
  // One waiter at a time blocks, so that no thread here sleeps while it holds another's element.
  if (count > 100) await one(0);
  else await Promise.all([1, 2].map((seed) => one(5 * seed + 2)));
};

test.each([false, true])("threads that wait lose no element; without waitAsync: %s", async (withoutWaitAsync) => {
  const heap = heapOf();
  const pool = poolOf(heap, 3, 1);
  const threads = await Promise.all([1, 2, 3].map(() => threadWith(pool, { withoutWaitAsync })));
  const rounds = withoutWaitAsync ? 60 : 1500;
  await Promise.all(threads.map((thread) => thread.run(work, rounds)));
  await expectAllHome(heap, pool, 3);
});

test("an idle thread returns its cached elements", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 64, 0);
  const thread = await threadWith(pool);
  const cached = await thread.run(() => {
    const { pool: mine } = globalThis as Kept;
    for (const address of Array.from({ length: 64 }, () => mine.alloc())) mine.free(address);
    return mine.stats().cached;
  });
  expect(cached).toBeGreaterThan(0);
  await expectAllHome(heap, pool, 64);
});

test("a thread sees memory that another thread has grown", async () => {
  const heap = createSharedHeap({ initial: 262144, maximum: 4 * MIB });
  const pool = heap.create({ size: 5000, minNr: 0 });
  const thread = await threadWith(pool);
  const theirs = await thread.run(() => {
    const { pool: mine } = globalThis as Kept;
    const out = new Uint32Array(600);
    if (!mine.allocBulk(out)) throw new Error("no memory");
    for (const address of out) mine.heap.u32[address / 4] = address;
    return [...out];
  });
  expect(Math.max(...theirs)).toBeGreaterThan(2 * MIB);
  for (const address of theirs) expect(heap.u32[address / 4]).toBe(address);
  pool.freeBulk(Uint32Array.from(theirs));
  expect(pool.outstanding).toBe(0);
  expectSound(heap);
});

test("a worker that ends by itself leaves no element cached", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 8, 0);
  for (let i = 0; i < 3; i++) {
    const thread = await threadWith(pool);
    const [id, kept] = await thread.run(() => {
      const { pool: mine } = globalThis as Kept;
      const all = Array.from({ length: 8 }, () => mine.alloc());
      for (const address of all.slice(1)) mine.free(address);
      return [mine.heap.threadId, all[0]!] as const;
    });
    expect(id).toBe(1);
    await thread.end();
    expect(drain(pool).map((address) => pool.free(address)).length).toBe(7);
    pool.free(kept);
  }
  await expectAllHome(heap, pool, 8);
});

test("a watched worker that is terminated is reaped", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 8, 2);
  const reaped: Reaped[] = [];
  const thread = await threadWith(pool);
  heap.watch(thread.worker, { onReap: (elements) => reaped.push(...elements) });
  const theirs = await thread.run(() => {
    const { pool: mine } = globalThis as Kept;
    const all = Array.from({ length: 6 }, () => mine.alloc());
    for (const address of all.splice(2)) mine.free(address);
    // and it waits
    for (const _ of all) void mine.allocBulkAsync(new Uint32Array(8));
    return all;
  });
  expect(() => heap.reap(1)).toThrow(/watched/);
  const waiter = pool.allocAsync();
  await thread.terminate();
  await until(() => reaped.length > 0);
  for (const { pool: name } of reaped) expect(name).toBe("pool");
  expect(reaped.map(({ address }) => address)).toEqual(expect.arrayContaining(theirs));
  for (const { address } of reaped) pool.free(address);
  pool.free(await waiter);
  expect(freeCode(pool, theirs[0]!)).toBe("ERR_DOUBLE_FREE");
  await expectAllHome(heap, pool, 8);
});

test("the caller can reap a worker that is no longer watched", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 8, 0);
  const thread = await threadWith(pool);
  const stop = heap.watch(thread.worker, { onReap: () => expect.unreachable() });
  heap.watch(thread.worker, { onReap: () => expect.unreachable() })();
  stop();
  await thread.run(() => {
    const { pool: mine } = globalThis as Kept;
    for (const address of Array.from({ length: 8 }, () => mine.alloc())) mine.free(address);
  });
  await thread.terminate();
  await sleep(20);
  expect(heap.reap(1)).toEqual([]);
  await expectAllHome(heap, pool, 8);
});

test("workers terminated at any moment stop no other thread", async () => {
  const heap = heapOf();
  const pool = poolOf(heap, 24, 6);
  const waits = new Set<Promise<void>>();
  for (let round = 0; round < 12; round++) {
    const threads = await Promise.all([1, 2].map(() => threadWith(pool)));
    for (const { worker } of threads) {
      waits.add(
        new Promise((resolve) => {
          heap.watch(worker, {
            onReap: (elements) => {
              for (const { address } of elements) pool.free(address);
              resolve();
            },
          });
        }),
      );
    }
    for (const thread of threads) {
      thread
        .run(async () => {
          const { pool: mine } = globalThis as Kept;
          const out = new Uint32Array(5);
          for (let i = 0; ; i++) {
            if (i % 10 === 0) await mine.allocBulkAsync(out);
            else mine.allocBulkWait(out, { count: 1 + (i % 5) });
            mine.freeBulk(out, i % 10 === 0 ? 5 : 1 + (i % 5));
            const one = mine.alloc();
            mine.free(one);
          }
        })
        .catch(() => {});
    }
    for (let i = 0; i < 20; i++) pool.free(await pool.allocAsync({ timeout: LATE }));
    await sleep(Math.random() * 20);
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
  await Promise.all(waits);
  const all: number[] = [];
  while (all.length < 24) all.push(await pool.allocAsync({ timeout: LATE }));
  expect(new Set(all).size).toBe(24);
  expect(pool.alloc()).toBe(0);
  pool.exit();
  freeAll(pool, all);
  await pool.closed;
  expect(heap.stats().pools).toBe(0);
  expectSound(heap);
});

/** The output of a program that imports the package and ends by itself. */
async function outputOf(program: string): Promise<string> {
  const code = program.replace("wasm-mempool", fileURLToPath(new URL("../../dist/index.js", import.meta.url)));
  const args = ["--input-type=module", "--eval", code];
  return (await promisify(execFile)(process.execPath, args, { timeout: LATE })).stdout.trim();
}

test("a shared heap keeps no process alive", async () => {
  const output = await outputOf(`
    import { createSharedHeap } from "wasm-mempool";
    const heap = createSharedHeap();
    const pool = heap.create({ size: 64, minNr: 1 });
    pool.share();
    pool.alloc();
    pool.exit();
    process.on("exit", () => console.log("ended"));`);
  expect(output).toBe("ended");
});

test("waiting for another thread keeps a worker alive", async () => {
  const output = await outputOf(
    `
    import { Worker } from "node:worker_threads";
    import { createSharedHeap } from "wasm-mempool";
    const pool = createSharedHeap().create({ size: 64, minNr: 1, maxNr: 1 });
    const held = pool.alloc();
    const code = \`
      import { workerData } from "node:worker_threads";
      import { attach } from "wasm-mempool";
      const pool = attach(workerData);
      await pool.allocAsync();
      console.log("served");\`;
    new Worker(new URL("data:text/javascript," + encodeURIComponent(code)), { workerData: pool.share() });
    setTimeout(() => pool.free(held), 500);`.replaceAll(
      "wasm-mempool",
      new URL("../../dist/index.js", import.meta.url).href,
    ),
  );
  expect(output).toBe("served");
});
