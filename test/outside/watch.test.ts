/** heap.watch, detach and adopt beyond the table of endings. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import {
  createArena,
  createSharedHeap,
  attach,
  create,
  createHeap,
  type Pool,
  type Reaped,
  type SharedHeap,
  type SharedPool,
} from "../../src/index.ts";
import { codeOf, contextOf, drain, expectSound, freeAll, freeCode, MIB, take } from "../contract/helpers.ts";
import { Thread } from "../threads/helpers.ts";

type Kept = typeof globalThis & { pool: SharedPool; heap: SharedHeap };

const heaps: SharedHeap[] = [];
afterEach(() => {
  for (const heap of heaps.splice(0)) heap.detach();
});
const heapOf = (): SharedHeap => {
  const heap = createSharedHeap({ initial: MIB, maximum: MIB });
  heaps.push(heap);
  return heap;
};
let names = 0;
const another = (heap: SharedHeap): SharedHeap => {
  const other = attach({ ...heap.share(), id: `another heap ${names++}` });
  heaps.push(other);
  return other;
};
const poolThere = (heap: SharedHeap, pool: Pool): SharedPool => attach({ ...pool.share(), heap: heap.share() });

async function threadWith(pool: Pool): Promise<Thread> {
  const thread = new Thread();
  await thread.run(({ attach: join }, shared) => {
    (globalThis as Kept).pool = join(shared);
  }, pool.share());
  return thread;
}
const reapedBy = (heap: SharedHeap, { worker }: Thread): Promise<Reaped[]> =>
  new Promise((resolve) => heap.watch(worker, { onReap: resolve }));
const hold = (thread: Thread, count: number): Promise<number[]> =>
  thread.run((_, n) => Array.from({ length: n }, () => (globalThis as Kept).pool.alloc()), count);

test("onReap lists the elements of a worker that returned", async () => {
  const heap = heapOf();
  const pool = heap.create({ size: 64, minNr: 2, maxNr: 8, name: "pool" });
  const thread = await threadWith(pool);
  const reaped = reapedBy(heap, thread);
  const held = await hold(thread, 5);
  await thread.end();
  expect((await reaped).map(({ address }) => address).toSorted()).toEqual(held.toSorted());
  freeAll(pool, held);
  expect(pool.outstanding).toBe(0);
  expect(another(heap).threadId).toBe(1);
  expectSound(heap);
});

test("a thread that attached can watch the worker that made the heap", async () => {
  const thread = new Thread();
  const shared = await thread.run(({ createSharedHeap: make }) => {
    const heap = make({ initial: 2 ** 20, maximum: 2 ** 20 });
    const pool = heap.create({ size: 64, minNr: 2, maxNr: 8 });
    const given = pool.share();
    Object.assign(globalThis, { pool });
    return given;
  });
  const pool = attach(shared);
  heaps.push(pool.heap);
  const held = await hold(thread, 3);
  const reaped = reapedBy(pool.heap, thread);
  await thread.terminate();
  expect((await reaped).map(({ address }) => address).toSorted()).toEqual(held.toSorted());
  freeAll(pool, held);
  expect(drain(pool).length).toBe(8);
});

test("onReap lists nothing for a worker that never attaches", async () => {
  const heap = heapOf();
  const thread = new Thread();
  const reaped = reapedBy(heap, thread);
  await thread.terminate();
  expect(await reaped).toEqual([]);
});

test("a reap of the second bearer of a number lists nothing of the first", () => {
  const heap = heapOf();
  const pool = heap.create({ size: 64, minNr: 2, name: "pool" });
  const first = another(heap);
  const kept = take(poolThere(first, pool), 4);
  first.detach();
  const second = another(heap);
  expect(second.threadId).toBe(1);
  const own = take(poolThere(second, pool), 2);
  expect(
    heap
      .reap(1)
      .map(({ address }) => address)
      .toSorted(),
  ).toEqual(own.toSorted());
  freeAll(pool, [...kept, ...own]);
  expect(pool.outstanding).toBe(0);
  expectSound(heap);
});

/** Runs a program on the built package in a Node of its own; returns its output. */
async function outputOf(program: string, ...flags: string[]): Promise<string> {
  const code = program.replaceAll("wasm-mempool", new URL("../../dist/index.js", import.meta.url).href);
  const args = [...flags, "--input-type=module", "--eval", code];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    timeout: 200_000,
  });
  return stdout.trim();
}

test("an error of onReap is an uncaught error", async () => {
  const output = await outputOf(`
    import { Worker } from "node:worker_threads";
    import { createSharedHeap } from "wasm-mempool";
    const caught = [];
    process.on("uncaughtException", ({ message }) => caught.push(message));
    const [one, two] = [1, 2].map(() => createSharedHeap());
    const worker = new Worker("", { eval: true });
    let told = 0;
    const after = new Promise((resolve) => {
      one.watch(worker, { onReap: () => { throw new Error("of onReap"); } });
      two.watch(worker, { onReap: () => { told++; } });
      worker.on("exit", () => setTimeout(resolve));
    });
    await after;
    console.log(JSON.stringify({ caught, told }));
    process.exit();
  `);
  expect(JSON.parse(output)).toEqual({ caught: ["of onReap"], told: 1 });
});

const doings: readonly [string, (heap: SharedHeap, pool: Pool, list: Reaped[], thread: Thread) => void][] = [
  ["free", (_heap, pool, list) => list.forEach(({ address }) => pool.free(address))],
  ["alloc", (_heap, pool) => pool.free(pool.alloc())],
  ["exit", (_heap, pool) => pool.exit()],
  ["detach", (heap) => heap.detach()],
  [
    "watch again",
    (heap, _pool, _list, { worker }) => expect(codeOf(() => heap.watch(worker))).toBe("ERR_INVALID_ARGUMENT"),
  ],
  ["reap", (heap) => expect(codeOf(() => heap.reap(2))).toBe("ERR_INVALID_ARGUMENT")],
];
test.each(doings)("onReap may %s", async (_name, act) => {
  const heap = heapOf();
  const pool = heap.create({ size: 64, minNr: 2, maxNr: 8, name: "pool" });
  const observer = another(heap);
  const there = poolThere(observer, pool);
  const thread = await threadWith(pool);
  await hold(thread, 3);
  let calls = 0;
  const done = new Promise<Reaped[]>((resolve, reject) => {
    heap.watch(thread.worker, {
      onReap: (list) => {
        calls++;
        try {
          act(heap, pool, list, thread);
          resolve(list);
        } catch (error) {
          reject(error as Error);
        }
      },
    });
  });
  await thread.terminate();
  const list = await done;
  expect([calls, list.length]).toEqual([1, 3]);
  for (const { address } of list) expect(["none", "ERR_DOUBLE_FREE", "ERR_CLOSED"]).toContain(freeCode(there, address));
  expect(there.outstanding).toBe(0);
  expectSound(observer);
});

test("attaching and detaching leaves no listener behind", async () => {
  const heap = heapOf();
  const pool = heap.create({ size: 64, minNr: 2 });
  const thread = new Thread();
  const counts = await thread.run(({ attach: join }, shared) => {
    const count = process.listenerCount.bind(process, "exit");
    const before = count();
    const during: number[] = [];
    for (let i = 0; i < 20; i++) {
      const there = join(shared);
      during.push(count() - before);
      there.heap.detach();
    }
    return [...during, count() - before];
  }, pool.share());
  expect(counts).toEqual([...Array.from({ length: 20 }, () => 1), 0]);
});

test("the host collects a detached heap", async () => {
  const output = await outputOf(
    `
    import { createSharedHeap } from "wasm-mempool";
    const COUNT = 30;
    let collected = 0;
    const registry = new FinalizationRegistry(() => collected++);
    for (let i = 0; i < COUNT; i++) {
      const heap = createSharedHeap({ initial: 262144, maximum: 262144 });
      heap.create({ size: 64, minNr: 2 }).share();
      registry.register(heap);
      registry.register(heap.memory);
      heap.detach();
    }
    for (let i = 0; i < 100 && collected < 2 * COUNT - 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      gc();
    }
    console.log(collected >= 2 * COUNT - 4);
    process.exit();
  `,
    "--expose-gc",
  );
  expect(output).toBe("true");
});

test("six workers that attach and detach all the time lose no thread number", async () => {
  const heap = heapOf();
  const pool = heap.create({ size: 64, minNr: 8 });
  const threads = Array.from({ length: 6 }, () => new Thread());
  const codes = await Promise.all(
    threads.map((thread) =>
      thread.run(({ attach: join }, shared) => {
        const seen = new Set<string>();
        for (const end = Date.now() + 3000; Date.now() < end;) {
          try {
            const there = join(shared);
            there.free(there.alloc());
            there.heap.detach();
          } catch (error) {
            seen.add((error as { code?: string }).code ?? String(error));
          }
        }
        return [...seen];
      }, pool.share()),
    ),
  );
  // The only refusal is that the heap is busy for a moment.
  for (const seen of codes) expect(["", "ERR_WOULD_BLOCK"]).toContain(seen.join());
  const numbers = Array.from({ length: 62 }, () => another(heap).threadId);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, i) => i + 1));
  expect(pool.outstanding).toBe(0);
  expectSound(heap);
});

test("detach leaves although an external backend throws", () => {
  const reported: unknown[] = [];
  vi.stubGlobal("reportError", (error: unknown) => reported.push(error));
  const heap = heapOf();
  const backend = { alloc: () => ++names, free: () => {} };
  const pool = heap.create({ size: 64, minNr: 2, backend });
  const other = another(heap);
  const bad = {
    alloc: () => ++names,
    free: () => {
      throw new Error("of the backend");
    },
  };
  const there = attach({ ...pool.share(), heap: other.share() }, { backend: bad });
  pool.resize(0);
  there.resize(4);
  expect(pool.resize(4)).toBe(true);
  create({ heap: other, size: 64, minNr: 3, backend: { ...bad, free: () => {} } });
  heap.core.mempool_resize(contextOf(pool).handle, 0);
  other.detach();
  expect(reported.map(String)).toEqual(["Error: of the backend"]);
  vi.unstubAllGlobals();
  expect(another(heap).threadId).toBe(1);
  expect(heap.check()).toEqual([]);
});

test("attach refuses the handle of an ended pool", () => {
  const heap = heapOf();
  const other = another(heap);
  const stale = heap.create({ size: 16, minNr: 1 });
  const shared = stale.share();
  stale.exit();
  const all = Array.from({ length: 20 }, () => heap.create({ size: 256, minNr: 1 }));
  expect(all.some((pool) => pool.share().address === shared.address)).toBe(true);
  expect(codeOf(() => attach(shared))).toBe("ERR_CLOSED");
  expect(codeOf(() => attach({ ...shared, heap: other.share() }))).toBe("ERR_CLOSED");
});

test("pools that were never shared end with their thread", () => {
  const heap = heapOf();
  for (const leave of [(other: SharedHeap) => other.detach(), (other: SharedHeap) => heap.reap(other.threadId)]) {
    const other = another(heap);
    take(other.create({ size: 64, minNr: 5 }), 100);
    const shared = other.create({ size: 64, minNr: 5 }).share();
    createArena({ heap: other }).alloc(1000);
    leave(other);
    heaps.splice(heaps.indexOf(other), 1);
    expect(heap.stats()).toMatchObject({ pools: 1, arenas: 0 });
    attach({ ...shared, heap: heap.share() }).exit();
    expect(heap.stats().pools).toBe(0);
  }
  expectSound(heap);
});

test("adopt makes the calling thread the owner of an element", () => {
  const heap = heapOf();
  const pool = heap.create({ size: 64, minNr: 2, maxNr: 8, name: "pool" });
  const there = poolThere(another(heap), pool);
  const [passed, lost] = take(there, 2) as [number, number];
  pool.adopt(passed);
  for (const bad of [passed + 8, passed + 1, 8, 0, -1, NaN, "5", undefined]) {
    expect(codeOf(() => pool.adopt(bad as number))).toBe(codeOf(() => pool.sizeOf(bad as number)));
  }
  expect(heap.reap(1)).toEqual([{ pool: "pool", address: lost }]);
  freeAll(pool, [passed, lost]);
  expect(codeOf(() => pool.adopt(passed))).toBe("ERR_DOUBLE_FREE");
  expect(pool.outstanding).toBe(0);
  pool.exit();
  expect(codeOf(() => pool.adopt(passed))).toBe("ERR_CLOSED");
  expectSound(heap);
  const alone = createHeap().create({ size: 64, minNr: 1 });
  const address = alone.alloc();
  alone.adopt(address);
  alone.free(address);
  expect(codeOf(() => alone.adopt(address))).toBe("ERR_DOUBLE_FREE");
});
