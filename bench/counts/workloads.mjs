/**
 * Fixed workloads of the core's exports. Each runs on a heap of its own, with a fixed random sequence: the
 * executed instructions depend on the core alone.
 */
const WASM_PAGE = 65536;
const PAGE = 4096;
const SIZE = 64;
const ALIGN = 16;
const NO_CAP = -1;
/** The memory of a heap that may not grow. */
const SMALL = 4 * WASM_PAGE;
const LARGE = 16384 * WASM_PAGE;

/** Throws unless a call did the work that the workload is named for. */
function expect(what, got, wanted) {
  if (got !== wanted) throw new Error(`${what}: got ${got}, not ${wanted}`);
}

/** The first `count` numbers of a fixed sequence, each below `limit`. */
function sequence(count, limit) {
  let state = 1;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  });
}

const take = (core, pool, count) =>
  Array.from({ length: count }, () => {
    const element = core.mempool_alloc(pool) >>> 0;
    if (element === 0) throw new Error("no memory");
    return element;
  });
const give = (core, pool, elements) => {
  for (const element of elements) expect("free", core.mempool_free(pool, element), 0);
};

/** A pool in use, with elements in its magazine. */
function warm(core, minNr = 4) {
  const pool = core.mempool_create(SIZE, ALIGN, minNr, NO_CAP);
  if (!pool) throw new Error("no pool");
  give(core, pool, take(core, pool, 12));
  return pool;
}

/** A pool with `minNr` in reserve on a heap that is used up: by the pool itself, or first by a pool of large elements if `whole`. */
function starved(core, minNr, whole) {
  const pool = warm(core, minNr);
  const live = [];
  if (whole) {
    const large = core.mempool_create(4096, ALIGN, 0, NO_CAP);
    while (core.mempool_alloc(large));
  }
  for (let element; (element = core.mempool_alloc(pool) >>> 0);) live.push(element);
  return { pool, live };
}

const pair = (core, pool) => core.mempool_free(pool, core.mempool_alloc(pool));

/** Invalid frees: the code that free returns, and the address, from a live element, a freed one, and others. */
const bad = {
  0: [0, () => 0],
  double: [-2, ({ free }) => free],
  foreign: [-1, ({ other }) => other],
  "inside an element": [-3, ({ live }) => live + ALIGN],
  misaligned: [-4, ({ live }) => live + 1],
  "in a slab, never handed out": [-5, ({ never }) => never],
  "in no slab": [-5, ({ scratch }) => scratch],
  "outside of memory": [-5, () => 0xffff_fff0],
};

/**
 * The workloads. `make` prepares one and returns the counted function, which runs `calls` times; the function that it may
 * return runs after each call, and is not counted. A workload with `pairs` counts per pair. `hit`: what most calls of a
 * program do, and so what it costs to sample them.
 */
export const workloads = [
  {
    name: "heap_create",
    calls: 1,
    fresh: true,
    make: ({ create }) => create,
  },
  {
    name: "mempool_create, 4 in reserve",
    calls: 1,
    make: ({ core }) => {
      core.mempool_exit(warm(core));
      return () => void core.mempool_create(SIZE, ALIGN, 4, NO_CAP);
    },
  },
  {
    name: "mempool_exit, none out",
    calls: 1,
    make: ({ core }) => {
      const pool = warm(core);
      return () => void core.mempool_exit(pool);
    },
  },
  {
    name: "alloc, from the magazine",
    hit: true,
    calls: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      return () => {
        const element = core.mempool_alloc(pool);
        return () => core.mempool_free(pool, element);
      };
    },
  },
  {
    name: "zalloc, from the magazine",
    calls: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      return () => {
        const element = core.mempool_zalloc(pool);
        return () => core.mempool_free(pool, element);
      };
    },
  },
  {
    name: "free, into the magazine",
    hit: true,
    calls: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      let element = core.mempool_alloc(pool);
      return () => {
        core.mempool_free(pool, element);
        return () => (element = core.mempool_alloc(pool));
      };
    },
  },
  {
    name: "pair, by the magazine",
    hit: true,
    calls: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      return () => void pair(core, pool);
    },
  },
  {
    name: "churn of 1,000 live, one at a time",
    hit: true,
    calls: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      const live = take(core, pool, 1000);
      const at = sequence(1000, live.length);
      let i = 0;
      return () => {
        core.mempool_free(pool, live[at[i]]);
        live[at[i++]] = core.mempool_alloc(pool);
      };
    },
  },
  {
    // More at a time than the magazine holds: elements move between it and the slabs.
    name: "churn of 1,000 live, 200 at a time",
    hit: true,
    calls: 5,
    pairs: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      const live = take(core, pool, 1000);
      const at = sequence(1000, live.length);
      let i = 0;
      return () => {
        const some = [...new Set(at.slice(i, (i += 200)))];
        for (const k of some) core.mempool_free(pool, live[k]);
        for (const k of some) live[k] = core.mempool_alloc(pool);
      };
    },
  },
  {
    name: "wave of 1,000, the first",
    calls: 1,
    pairs: 1000,
    make: ({ core }) => {
      const pool = core.mempool_create(SIZE, ALIGN, 4, NO_CAP);
      return () => give(core, pool, take(core, pool, 1000));
    },
  },
  {
    name: "wave of 1,000, the tenth",
    hit: true,
    calls: 1,
    pairs: 1000,
    make: ({ core }) => {
      const pool = warm(core);
      for (let i = 0; i < 9; i++) give(core, pool, take(core, pool, 1000));
      return () => give(core, pool, take(core, pool, 1000));
    },
  },
  {
    name: "alloc_bulk of 32",
    hit: true,
    calls: 100,
    make: ({ core }) => {
      const pool = warm(core);
      const array = core.heap_scratch() >>> 0;
      return () => {
        expect("alloc_bulk", core.mempool_alloc_bulk(pool, array, 32), 1);
        return () => give(core, pool, core.words(array, 32));
      };
    },
  },
  ...[32, 256].map((count) => ({
    name: `free_all of ${count}`,
    calls: 100,
    make: ({ core }) => {
      const pool = warm(core);
      const array = core.heap_scratch() >>> 0;
      const fill = () => expect("alloc_bulk", core.mempool_alloc_bulk(pool, array, count), 1);
      fill();
      return () => {
        expect("free_all", core.mempool_free_all(pool, array, count), 0);
        return fill;
      };
    },
  })),
  {
    name: "mark of 32, before a bulk free",
    calls: 100,
    make: ({ core }) => {
      const pool = warm(core);
      const array = core.heap_scratch() >>> 0;
      expect("alloc_bulk", core.mempool_alloc_bulk(pool, array, 32), 1);
      return () => {
        expect("mark", core.mempool_mark(pool, array, 32, 1), 32);
        return () => core.mempool_mark(pool, array, 32, 0);
      };
    },
  },
  {
    // Elements of many slabs, as a program frees them that has shuffled them.
    name: "free_bulk of 100 of 2,000, at random",
    calls: 10,
    make: ({ core }) => {
      const pool = warm(core);
      const live = take(core, pool, 2000);
      const at = sequence(live.length, live.length);
      at.forEach((k, i) => ([live[i], live[k]] = [live[k], live[i]]));
      const array = core.heap_scratch() >>> 0;
      return () => {
        core.fill(array, live.splice(0, 100));
        expect("mark", core.mempool_mark(pool, array, 100, 1), 100);
        expect("free_bulk", core.mempool_free_bulk(pool, array, 100), 0);
      };
    },
  },
  {
    name: "box_fill and box_drain of 100",
    calls: 10,
    make: ({ core }) => {
      const pool = core.mempool_create(4, 4, 100, NO_CAP, 3);
      const array = core.heap_scratch() >>> 0;
      const elements = Array.from({ length: 100 }, (_, i) => i + 1);
      return () => {
        core.fill(array, elements);
        expect("box_fill", core.mempool_box_fill(pool, array, 100), 100);
        expect("resize", core.mempool_resize(pool, 0), 1);
        expect("box_drain", core.mempool_box_drain(pool, array, 100), 100);
        expect("resize", core.mempool_resize(pool, 100), 1);
      };
    },
  },
  {
    name: "alloc_preallocated",
    calls: 100,
    make: ({ core }) => {
      const pool = warm(core);
      return () => {
        const element = core.mempool_alloc_preallocated(pool);
        return () => core.mempool_free(pool, element);
      };
    },
  },
  {
    name: "alloc, from the reserve",
    calls: 32,
    bytes: SMALL,
    make: ({ core }) => {
      const { pool, live } = starved(core, 32);
      give(core, pool, live.slice(0, 32));
      return () => void take(core, pool, 1);
    },
  },
  {
    name: "alloc, from the reserve, 1 GiB out",
    calls: 32,
    bytes: LARGE,
    make: ({ core }) => {
      const { pool, live } = starved(core, 32, true);
      give(core, pool, live.slice(0, 32));
      return () => void take(core, pool, 1);
    },
  },
  {
    name: "free, into the reserve",
    calls: 32,
    bytes: SMALL,
    make: ({ core }) => {
      const { pool, live } = starved(core, 32);
      return () => give(core, pool, [live.pop()]);
    },
  },
  {
    name: "alloc, nothing left",
    calls: 100,
    bytes: SMALL,
    make: ({ core }) => {
      const { pool } = starved(core, 32);
      return () => expect("alloc", core.mempool_alloc(pool), 0);
    },
  },
  ...Object.entries(bad).map(([name, [code, addressOf]]) => ({
    name: `free, ${name}`,
    calls: 100,
    make: ({ core }) => {
      const pool = warm(core);
      const another = core.mempool_create(SIZE, ALIGN, 0, NO_CAP);
      const [other] = take(core, another, 1);
      // Slabs are carved in batches, from below: the end of the last one is not carved yet.
      const all = take(core, pool, 500);
      const never = Math.max(...all) + 40 * SIZE;
      const [live, free] = all;
      give(core, pool, [free]);
      const address = addressOf({ live, free, other, never, scratch: core.heap_scratch() >>> 0 });
      return () => expect(`free of ${address}`, core.mempool_free(pool, address), code);
    },
  })),
  {
    name: "free, of a closed pool",
    calls: 31,
    make: ({ core }) => {
      const pool = warm(core);
      const live = take(core, pool, 32);
      core.mempool_exit(pool);
      return () => give(core, pool, [live.pop()]);
    },
  },
  {
    name: "arena_alloc of 64",
    calls: 1000,
    make: ({ core }) => {
      const arena = core.arena_create(65536);
      return () => {
        const address = core.arena_alloc(arena, 64, 16);
        if (!address) throw new Error("no memory");
        return () => core.arena_reset(arena, 0);
      };
    },
  },
  {
    name: "arena_alloc of 64, 4,000 times, reset",
    calls: 1,
    make: ({ core }) => {
      const arena = core.arena_create(65536);
      return () => {
        for (let i = 0; i < 4000; i++) core.arena_alloc(arena, 64, 16);
        core.arena_reset(arena, 0);
      };
    },
  },
  {
    name: "heap_trim, 100 pools",
    calls: 1,
    make: ({ core }) => {
      for (let i = 0; i < 100; i++) warm(core);
      return () => void core.heap_trim();
    },
  },
  {
    name: "alloc, before somebody in line",
    calls: 1,
    bytes: SMALL,
    threads: true,
    make: ({ core }) => {
      const { pool } = starved(core, 4);
      if (!core.mempool_wait_begin(pool, 0)) throw new Error("no place in line");
      return () => expect("alloc", core.mempool_alloc(pool), 0);
    },
  },
  {
    name: "free, to who waits",
    calls: 1,
    bytes: SMALL,
    threads: true,
    make: ({ core }) => {
      const { pool, live } = starved(core, 4);
      give(core, pool, live.splice(0, 4));
      const more = take(core, pool, 4);
      const place = core.mempool_wait_begin(pool, 0) >>> 0;
      if (!place) throw new Error("no place in line");
      return () => {
        core.mempool_free(pool, more[0]);
        expect("handed over", core.words(place, 1)[0] > 2, true);
      };
    },
  },
  {
    name: "free, of what another thread had",
    calls: 100,
    threads: true,
    make: ({ core, second }) => {
      const pool = warm(core);
      const another = second();
      const handle = another.mempool_attach(core.mempool_share(pool));
      if (!handle) throw new Error("no handle");
      give(another, handle, take(another, handle, 8));
      let element = core.mempool_alloc(pool);
      return () => {
        expect("free", another.mempool_free(handle, element), 0);
        return () => (element = core.mempool_alloc(pool));
      };
    },
  },
  {
    name: "heap_attach, mempool_attach, heap_detach",
    calls: 1,
    threads: true,
    make: ({ core, second }) => {
      const pool = warm(core);
      const the = core.mempool_share(pool);
      const another = second(false);
      return () => {
        expect("heap_attach", another.heap_attach(core.heap, 1), 1);
        if (!another.mempool_attach(the)) throw new Error("no handle");
        expect("heap_detach", another.heap_detach(), 1);
      };
    },
  },
  {
    name: "heap_reap, of a thread with 10 pools",
    calls: 1,
    threads: true,
    make: ({ core, second }) => {
      const another = second();
      for (let i = 0; i < 10; i++) {
        const handle = another.mempool_attach(core.mempool_share(warm(core)));
        give(another, handle, take(another, handle, 8));
      }
      return () => expect("heap_reap", core.heap_reap(another.heap_thread()), 1);
    },
  },
];

/** A heap on a new instance of a module. `bytes`: its size, if it may not grow. `fresh`: the heap is not created yet. */
export function heapOf({ module, shared = false, imported = shared, sample }, { bytes, fresh }) {
  const first = bytes ?? SMALL;
  const pages = first / WASM_PAGE;
  const most = shared ? 2 ** 18 : 2 ** 20;
  const memory = imported ? new WebAssembly.Memory({ initial: pages, maximum: 16384, shared }) : undefined;
  const instances = [];
  const instantiate = () => {
    const { exports } = new WebAssembly.Instance(module, memory ? { env: { memory } } : {});
    instances.push(exports);
    const its = memory ?? exports.memory;
    return {
      ...exports,
      words: (at, count) => [...new Uint32Array(its.buffer, at, count)],
      fill: (at, words) => new Uint32Array(its.buffer, at, words.length).set(words),
    };
  };
  const core = instantiate();
  if (!memory) core.memory.grow(pages - 1);
  const create = () => {
    core.heap = core.heap_create(0, first, bytes ? bytes / PAGE : most, bytes ? 0 : 1);
    if (!core.heap) throw new Error("no heap");
    if (sample) expect("debug_sample", core.debug_sample(sample), sample);
  };
  if (!fresh) create();
  const second = (attached = true) => {
    const another = instantiate();
    if (attached) expect("heap_attach", another.heap_attach(core.heap, 1), 1);
    return another;
  };
  return { core, create, second, instances };
}
