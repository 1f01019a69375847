/**
 * A small program with a real heap, for the demo, for pictures and for tests. In an isolated page its heap is shared, and two
 * workers, of this same script, use it too. `steps=N`: it stops after so many; `slabs=N`: a pool of so many slabs besides.
 */
import {
  attach,
  createArena,
  createHeap,
  createSharedHeap,
  type Heap,
  type HeapHandle,
  type Pool,
} from "../../src/index.ts";
import { expose } from "../../src/inspector.ts";

/** What a worker gets. */
interface Job {
  readonly heap: HeapHandle;
  readonly pools: readonly ReturnType<Pool["share"]>[];
  readonly seed: number;
  readonly steps: number;
}

/** Numbers below `below`, always the same ones. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Allocates and frees at random: about `most` elements stay. */
function churn(pool: Pool, held: number[], most: number, random: (below: number) => number): void {
  if (held.length > 0 && random(2 * most) < held.length) {
    const [element] = held.splice(random(held.length), 1);
    pool.free(element!);
  } else {
    const element = pool.alloc();
    if (element) held.push(element);
  }
}

const STEP_MS = 30;

function run(steps: number, step: () => void): Promise<void> {
  return new Promise((resolve) => {
    let n = 0;
    const next = (): void => {
      if (n++ === steps) return resolve();
      step();
      setTimeout(next, steps === Infinity ? STEP_MS : 0);
    };
    next();
  });
}

const sizes = [400, 90, 40];

/** Elements held, by pool, and steps of this thread. */
function work(pools: readonly Pool[], seed: number, steps: number): Promise<void> {
  const random = randomFrom(seed);
  const held: number[][] = pools.map(() => []);
  const step = (): void =>
    pools.forEach((pool, i) => {
      for (let k = 0; k < 8; k++) churn(pool, held[i]!, sizes[i]!, random);
    });
  for (let k = 0; k < 60; k++) step();
  return run(steps, step);
}

async function page(port: MessagePort, query: URLSearchParams): Promise<void> {
  const isShared =
    (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true && !query.has("alone");
  const maximum = query.has("slabs") ? 2 ** 31 : 2 ** 26;
  const heap: Heap = isShared ? createSharedHeap({ maximum }) : createHeap({ maximum });
  const steps = Number(query.get("steps") ?? Infinity);
  const pools: Pool[] = [
    heap.create({ name: "particles", minNr: 32, size: 48 }),
    heap.create({ name: "requests", minNr: 8, size: 320 }),
    heap.create({ name: "buffers", minNr: 4, size: 1500, align: 16 }),
  ];
  // Old elements are still out when the size changes, and there are more callers than elements.
  const messages = heap.create<number>({ name: "messages", minNr: 6, size: (bytes) => bytes, data: 96 });
  for (let i = 0; i < 14; i++) messages.alloc();
  messages.reshape(200);
  for (let i = 0; i < 9; i++) messages.alloc();
  const connections = heap.create({ name: "connections", minNr: 8, maxNr: 8, size: 256 });
  for (let i = 0; i < 8; i++) connections.alloc();
  for (let i = 0; i < 5; i++) void connections.allocAsync().catch(() => {});
  const logs = heap.create({ name: "log lines", minNr: 2, size: 120 });
  for (let i = 0; i < 20; i++) logs.alloc();
  logs.exit();
  createArena({ heap, bytes: 20_000 }).alloc(4000);
  const slabs = Number(query.get("slabs") ?? 0);
  if (slabs > 0) fill(heap, slabs);

  const done: Promise<void>[] = [];
  if (isShared) {
    for (const seed of [2, 3]) {
      const worker = new Worker(new URL("demo.js", document.baseURI));
      done.push(new Promise((resolve) => worker.addEventListener("message", () => resolve(), { once: true })));
      const shared = pools.map((pool) => pool.share());
      const job: Job = {
        heap: (heap as ReturnType<typeof createSharedHeap>).share(worker),
        pools: shared,
        seed,
        steps,
      };
      worker.postMessage(job);
    }
  }
  done.push(work(pools, 1, steps));
  expose(heap, { channel: port, name: isShared ? "demo, three threads" : "demo" });
  // For other tabs.
  expose(heap, { name: isShared ? "demo, three threads" : "demo" });
  Object.assign(globalThis, { demoHeap: heap, demoPools: [...pools, messages, connections, logs] });
  await Promise.all(done);
  // Something stays cached, although the waiting calls trim the heap again and again.
  setInterval(() => pools.forEach((pool) => pool.free(pool.alloc())), STEP_MS);
  Object.assign(globalThis, { demoIsDone: true });
}

/** A pool of so many slabs, with some elements free. */
function fill(heap: Heap, slabs: number): void {
  const pool = heap.create({ name: "many", minNr: 100, size: 512 });
  const random = randomFrom(5);
  const all: number[] = [];
  while (pool.stats().slabs < slabs) {
    for (let i = 0; i < 4000; i++) {
      const element = pool.alloc();
      if (!element) throw new Error(`only ${pool.stats().slabs} slabs fit into ${heap.stats().maximum} bytes`);
      all.push(element);
    }
  }
  for (const element of all) if (random(4) === 0) pool.free(element);
}

if (typeof document === "undefined") {
  addEventListener("message", ({ data }: MessageEvent<Job>) => {
    attach(data.heap);
    const pools = data.pools.map((pool) => attach(pool) as Pool);
    void work(pools, data.seed, data.steps).then(() => postMessage("done"));
  });
} else {
  Object.assign(globalThis, { demo: (port: MessagePort, query: URLSearchParams) => void page(port, query) });
}
