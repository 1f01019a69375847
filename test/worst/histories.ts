/** Histories of calls on a core that counts its instructions: random ones of two threads, and those of the model. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { counters, instrument } from "../../bench/counts/instrument.mjs";
import { createHeap, createSharedHeap } from "../../src/index.ts";
import { withoutStacks, type Build } from "../contract/helpers.ts";
import { commands, worlds } from "../model/commands.ts";
import { Model } from "../model/model.ts";
import { Recorder, type Worst } from "./calls.ts";

type Exports = Record<string, (...args: number[]) => number>;

/** How many random histories there are, and how many of the model. */
const SEEDS = 80;
const RUNS = 20;
const WASM_PAGE = 65536;
const PAGE = 4096;
const NO_CAP = -1;
/** Not part of the calls: their results are memory and counters. */
const uncalled = new Set<string>(["memory", ...counters]);

function moduleOf(name: string): WebAssembly.Module {
  return new WebAssembly.Module(instrument(readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url))));
}

/** The exports of an instance; each call is recorded. */
function recorded(
  exports: WebAssembly.Exports,
  buffer: () => ArrayBufferLike,
  recorder: Recorder,
): WebAssembly.Exports {
  const counter = exports["instructions"] as WebAssembly.Global<"i64">;
  const memory = (): DataView => new DataView(buffer());
  const functions = Object.entries(exports).filter(([name]) => !uncalled.has(name)) as [string, Exports[string]][];
  const wrapped = functions.map(([name, call]) => [
    name,
    (...args: number[]): number => {
      const end = recorder.begin(name, args[0]! >>> 0, args[1]! >>> 0, memory);
      const before = counter.value;
      const result = call(...args);
      end?.(result, Number(counter.value - before));
      return result;
    },
  ]);
  return { ...exports, ...Object.fromEntries(wrapped) };
}

/** A fixed sequence of numbers, each below `limit`. */
function random(seed: number): (limit: number) => number {
  let state = (seed * 0x9e3779b9) | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

interface Pool {
  /** A handle for each thread. */
  readonly handles: readonly number[];
  readonly live: number[];
  /** Places in the wait queue, each with its thread. */
  readonly waits: [thread: number, place: number][];
}

export interface World {
  readonly pages: number;
  /** Wasm pages that the heap may have. */
  readonly most: number;
  readonly pools: readonly {
    readonly size: number;
    readonly minNr: number;
    readonly maxNr: number;
    readonly backend?: number;
  }[];
  /** Threads of a shared heap; 2 by default. */
  readonly threads?: number;
  /** Pools that no call uses. */
  readonly idle?: number;
}

/** Runs so many random calls, with one thread or two. */
export function run(kind: "plain" | "shared", world: World, seed: number, count: number, recorder: Recorder): void {
  const below = random(seed);
  const isShared = kind === "shared";
  const memory = isShared
    ? new WebAssembly.Memory({ initial: world.pages, maximum: world.most, shared: true })
    : undefined;
  const cores = Array.from({ length: isShared ? (world.threads ?? 2) : 1 }, () => {
    const { exports } = new WebAssembly.Instance(modules[kind], memory ? { env: { memory } } : {});
    const own = memory ?? (exports["memory"] as WebAssembly.Memory);
    if (!memory) own.grow(world.pages - own.buffer.byteLength / WASM_PAGE);
    return recorded(exports, () => own.buffer, recorder) as unknown as Exports;
  });
  const [core, ...attached] = cores as [Exports, ...Exports[]];
  const heap = core["heap_create"]!(
    0,
    world.pages * WASM_PAGE,
    world.most * (WASM_PAGE / PAGE),
    Number(world.most > world.pages),
  );
  for (const each of attached) each["heap_attach"]!(heap, 1);
  const make = ({ size, minNr, maxNr, backend = 0 }: World["pools"][number]): Pool | undefined => {
    const handle = core["mempool_create"]!(size, size & -size & 15 || 16, minNr, maxNr, backend);
    if (!handle) return undefined;
    const others = attached.map((each) => each["mempool_attach"]!(core["mempool_share"]!(handle), 0));
    return { handles: [handle, ...others.filter((other) => other !== 0)], live: [], waits: [] };
  };
  for (let i = world.idle ?? 0; i > 0; i--) core["mempool_create"]!(16, 16, 1, NO_CAP, 0);
  const pools = world.pools.map(make).filter((pool) => pool !== undefined);
  const arena = core["arena_create"]!(PAGE);
  for (let i = 0; i < count; i++) {
    const pool = pools[below(pools.length)];
    if (!pool) return;
    const thread = below(pool.handles.length);
    step({ core: cores[thread]!, handle: pool.handles[thread]!, thread, pool, pools, arena, below });
  }
}

interface Step {
  readonly core: Exports;
  readonly handle: number;
  readonly thread: number;
  readonly pool: Pool;
  readonly pools: readonly Pool[];
  readonly arena: number;
  readonly below: (limit: number) => number;
}

/** One random call, or several of one kind. */
function step({ core, handle, thread, pool, pools, arena, below }: Step): void {
  const { live, waits } = pool;
  const take = (call: string): boolean => {
    const element = core[call]!(handle) >>> 0;
    if (element !== 0) live.push(element);
    return element !== 0;
  };
  const give = (): void => {
    if (live.length === 0) return;
    const at = [0, live.length - 1, below(live.length)][below(3)]!;
    core["mempool_free"]!(handle, live.splice(at, 1)[0]!);
  };
  const what = below(100);
  if (what < 25) take("mempool_alloc");
  else if (what < 30) take("mempool_zalloc");
  else if (what < 50) give();
  else if (what < 60) for (let i = below(100); i > 0; i--) take("mempool_alloc");
  else if (what < 68) for (let i = below(100); i > 0; i--) give();
  else if (what < 71) while (live.length < 3000 && take("mempool_alloc"));
  else if (what < 73) while (live.length > 0) give();
  else if (what < 79) {
    const element = live[below(Math.max(1, live.length))] ?? PAGE;
    const foreign = pools[below(pools.length)]!.live[0] ?? 0xffff_fff0;
    const bad = [element + 1, element + 8, foreign, 0, below(2 ** 31), 0xffff_fff0][below(6)]!;
    const own = live.indexOf(bad);
    if (core["mempool_free"]!(handle, bad) === 0 && own >= 0) live.splice(own, 1);
  } else if (what < 83) core["mempool_free_check"]!(handle, live[0] ?? 12);
  else if (what < 88) take("mempool_alloc_preallocated");
  else if (what < 91) core["arena_alloc"]!(arena, 1 + below(200), 1 << below(7));
  else if (what < 96 && pool.handles.length > 1) {
    const place = core["mempool_wait_begin"]!(handle, 0);
    if (place) waits.push([thread, place]);
  } else {
    const at = waits.findIndex(([by]) => by === thread);
    if (at < 0) return;
    const [[, place]] = waits.splice(at, 1) as [[number, number]];
    const element = core["mempool_wait_end"]!(handle, place) >>> 0;
    if (element !== 0) live.push(element);
  }
}

const modules = { plain: moduleOf("core"), shared: moduleOf("core.shared.whole") };

/** A world by chance. */
function worldOf(seed: number): World {
  const below = random(seed + 1000);
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!;
  const pages = one([3, 4, 8, 24]);
  const pools = Array.from({ length: 1 + below(3) }, () => {
    const minNr = one([0, 0, 1, 4, 40]);
    const maxNr = one([NO_CAP, NO_CAP, minNr + 1, minNr + 30, minNr + 500]);
    return { size: one([8, 16, 24, 64, 200, 1000, 5000]), minNr, maxNr, backend: one([0, 0, 0, 1, 2]) };
  });
  return { pages, most: one([pages, pages + 40]), pools };
}

/** The model's commands, on a heap whose core is recorded. */
function runModel(kind: "plain" | "shared", runs: number, recorder: Recorder): void {
  const { Instance } = WebAssembly;
  const build: Build = {
    name: kind,
    heap: (options) => {
      // The package makes its instances by itself: each of this module's is recorded.
      WebAssembly.Instance = function (module: WebAssembly.Module, imports?: WebAssembly.Imports) {
        const instance = new Instance(module, imports);
        if (module !== modules[kind]) return instance;
        const own = (imports?.["env"]?.["memory"] ?? instance.exports["memory"]) as WebAssembly.Memory;
        return { exports: recorded(instance.exports, () => own.buffer, recorder) };
      } as unknown as typeof Instance;
      try {
        const module = modules[kind];
        return kind === "plain"
          ? createHeap({ module, ...options })
          : createSharedHeap({ module, maximum: 2 ** 26, ...options });
      } finally {
        WebAssembly.Instance = Instance;
      }
    },
  };
  fc.assert(
    fc.property(worlds, commands, (world, list) => {
      const model = new Model(build, world);
      withoutStacks(() => {
        model.run(list);
        model.finish();
      });
    }),
    { numRuns: runs, seed: 1, includeErrorInReport: true },
  );
}

export interface Searched {
  readonly calls: number;
  readonly worst: Worst;
}

/** The maxima over random calls, and over those of the model. */
export function searchHistories(kind: "plain" | "shared"): Searched {
  const recorder = new Recorder();
  for (let seed = 1; seed <= SEEDS; seed++) run(kind, worldOf(seed), seed, 400, recorder);
  runModel(kind, RUNS, recorder);
  return { calls: recorder.calls, worst: recorder.result() };
}

/**
 * The same for a pool that has all its elements in reserve, on a heap that cannot grow and may be full: among so many other
 * pools, with so many threads.
 */
export function searchRealtime(kind: "plain" | "shared", idle: number, threads: number): Searched {
  const recorder = new Recorder();
  for (let seed = 1; seed <= SEEDS / 2; seed++) {
    const below = random(seed);
    const count = 1 + below(600);
    const pages = 10 + below(8);
    const pool = { size: [8, 64, 200, 1000][below(4)]!, minNr: count, maxNr: count };
    run(kind, { pages, most: pages, pools: [pool], idle, threads }, seed, 400, recorder);
  }
  return { calls: recorder.calls, worst: recorder.result() };
}
