// How costs grow: with threads, live elements, pools and memory. Exact counts, and a model of cache lines; the figures go to
// docs/scale.json, the tables of docs/scale.md are made of them.
//
//   node --import tsx scripts/scale.mjs [PART...]        PART: threads, waiting, live, pools or memory; all by default
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { format } from "prettier";
import { counters, instrument } from "../bench/counts/instrument.mjs";
import { heapOf } from "../bench/counts/workloads.mjs";
import { build as buildSim } from "../test/sim/build.ts";
import { build } from "./build.mjs";
import { Lines } from "./scale/lines.mjs";
import { tables } from "./scale/tables.mjs";
import { waiting } from "./scale/waiting.mjs";

const root = new URL("../", import.meta.url);
const figuresAt = new URL("docs/scale.json", root);
const pageAt = new URL("docs/scale.md", root);
const NO_CAP = -1;
const WASM_PAGE = 65536;
const PAGE = 4096;
const PAIRS = 1e5;

/** Numbers below `limit`, always the same. */
function sequence(seed = 1) {
  let state = (seed * 0x9e3779b9) | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

// A test run may have left a fast build, which executes other instructions.
await build();
const bytesOf = (name) => readFileSync(new URL(`build/${name}.wasm`, root));
const plain = bytesOf("core");
const counted = {
  plain: { module: new WebAssembly.Module(instrument(plain)), shared: false },
  shared: { module: new WebAssembly.Module(instrument(bytesOf("core.shared.whole"))), shared: true },
};

/** What a call counts, and its result. */
function count(core, name, ...args) {
  const read = () => counters.map((counter) => Number(core[counter].value));
  const before = read();
  const result = core[name](...args);
  const [instructions, accesses, locked] = read().map((value, i) => value - before[i]);
  return { result: typeof result === "number" ? result >>> 0 : result, instructions, accesses, locked };
}

/** The mean and the most of many calls' instructions. */
const summary = (calls) => ({
  mean: Math.round(calls.reduce((sum, { instructions }) => sum + instructions, 0) / calls.length),
  most: calls.reduce((most, { instructions }) => Math.max(most, instructions), 0),
});

const need = (value, what) => {
  if (!value) throw new Error(`${what} has failed`);
  return value >>> 0;
};

// ------------------------------------------------------------------------------------------------------------ threads

const bothOf = (call) => call && { instructions: call.instructions, locked: call.locked };
const instructionsOf = ({ instructions }) => instructions;
const second = (_, value) => value;

/** What single calls cost when so many threads have the pool. */
function callsOf(size) {
  const heap = heapOf(counted.shared, { bytes: 64 * WASM_PAGE });
  const { core } = heap;
  const pool = need(core.mempool_create(64, 16, 4, 4), "create");
  const others = Array.from({ length: size - 1 }, () => {
    const own = heap.second();
    return { core: own, handle: need(own.mempool_attach(core.mempool_share(pool), 0), "attach") };
  });
  const out = Array.from({ length: 3 }, () => need(core.mempool_alloc(pool), "alloc"));
  const fromReserve = count(core, "mempool_alloc", pool);
  out.push(fromReserve.result);
  const nothing = count(core, "mempool_alloc", pool);
  const begins = others.map(({ core: own, handle }) => count(own, "mempool_wait_begin", handle, 0));
  const serves = begins.length > 0 ? count(core, "mempool_free", pool, out.pop()) : undefined;
  const fetches = others.map(({ core: own, handle }, i) => count(own, "mempool_wait_end", handle, begins[i].result));
  const intoReserve = count(core, "mempool_free", pool, out.pop());
  return {
    threads: size,
    fromReserve: bothOf(fromReserve),
    nothing: bothOf(nothing),
    intoReserve: bothOf(intoReserve),
    serves: bothOf(serves),
    begins: bothOf(begins.at(-1)),
    fetches: bothOf(fetches[0]),
  };
}

/** Virtual threads on one memory, whose accesses go through a model of cache lines. */
async function modelled() {
  const { module, sites } = await buildSim("core", { race: true });
  return (size) => {
    const pages = 512;
    const shared = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const lines = new Lines(pages * WASM_PAGE);
    const words = new Uint32Array(shared.buffer);
    // The size and the maximum of the memory, which the search's build reads here.
    words[2] = words[3] = pages;
    const cores = Array.from({ length: size }, (_, thread) => {
      const stores = [];
      const storing = (site, value) => {
        const [address, bytes] = stores.splice(-2);
        if (!sites[site].atomic) lines.write(thread, address, bytes);
        return value;
      };
      const env = {
        memory: shared,
        sched: (kind, address, bytes) => lines.atomic(thread, kind, address, bytes),
        sim_wait: () => 2,
        sim_notify: (address) => lines.atomic(thread, 2, address, 4),
        load_ptr: (site, bytes, offset, address) => {
          if (!sites[site].atomic) lines.read(thread, address + offset, bytes);
          return address;
        },
        store_ptr: (site, bytes, offset, address) => {
          stores.push(address + offset, bytes);
          return address;
        },
        ...Object.fromEntries(["i32", "i64", "f32", "f64"].map((type) => [`load_val_${type}`, second])),
        ...Object.fromEntries(["i32", "i64", "f32", "f64"].map((type) => [`store_val_${type}`, storing])),
        memory_grow_pre: second,
        memory_grow_post: second,
      };
      return new WebAssembly.Instance(module, { env }).exports;
    });
    const heap = need(cores[0].heap_create(0, pages * WASM_PAGE, (pages * WASM_PAGE) / PAGE, 0), "heap_create");
    for (const core of cores.slice(1)) need(core.heap_attach(heap, 1), "heap_attach");
    const pool = (minNr, maxNr) => {
      const first = need(cores[0].mempool_create(64, 16, minNr, maxNr, 0), "create");
      const address = cores[0].mempool_share(first);
      return [first, ...cores.slice(1).map((core) => need(core.mempool_attach(address, 0), "attach"))];
    };
    return { cores, lines, pool };
  };
}

/** Loads: a step is one call of a random thread; returns the elements that passed. */
const loads = {
  "waves of 1,000": ({ cores, pool }) => waves(cores, pool(0, NO_CAP), 1000),
  "waves of 3,000": ({ cores, pool }) => waves(cores, pool(0, NO_CAP), 3000),
  "one allocates, another frees": ({ cores, pool }) => {
    const handles = pool(0, NO_CAP);
    const below = sequence();
    return () => {
      const from = below(cores.length);
      const to = below(cores.length);
      const element = need(cores[from].mempool_alloc(handles[from]), "alloc");
      cores[to].mempool_free(handles[to], element);
      return 1;
    };
  },
  "a pool of minNr elements": ({ cores, pool }) => {
    const handles = pool(4 * cores.length, 4 * cores.length);
    const held = cores.map(() => []);
    const below = sequence();
    return () => {
      const t = below(cores.length);
      if (held[t].length < 3 && below(2) === 0) held[t].push(need(cores[t].mempool_alloc(handles[t]), "alloc"));
      else if (held[t].length > 0) cores[t].mempool_free(handles[t], held[t].pop());
      else return 0;
      return 0.5;
    };
  },
};

function waves(cores, handles, size) {
  const held = cores.map(() => []);
  const rises = cores.map(() => true);
  const below = sequence();
  return () => {
    const t = below(cores.length);
    if (rises[t]) held[t].push(need(cores[t].mempool_alloc(handles[t]), "alloc"));
    else cores[t].mempool_free(handles[t], held[t].pop());
    if (held[t].length === (rises[t] ? size : 0)) rises[t] = !rises[t];
    return 0.5;
  };
}

async function threads() {
  const make = await modelled();
  const rows = [];
  for (const load of Object.keys(loads)) {
    for (const size of [1, 2, 4, 8, 16, 32, 63]) {
      const world = make(size);
      const step = loads[load](world);
      const steps = (load.startsWith("waves") ? 3 * Number(load.match(/\d/)[0]) * 1000 : 2000) * size;
      for (let i = 0; i < 2 * steps; i++) step();
      world.lines.clear();
      let elements = 0;
      for (let i = 0; i < steps; i++) elements += step();
      rows.push({ load, threads: size, elements, ...world.lines.figures() });
    }
  }
  return { calls: [1, 2, 8, 32, 63].map(callsOf), lines: rows };
}

// --------------------------------------------------------------------------------------------------------------- live

function live() {
  return [1e3, 1e4, 1e5, 1e6, 1e7].map((size) => {
    const { core } = heapOf(counted.plain, {});
    const pool = need(core.mempool_create(64, 16, 16, NO_CAP), "create");
    const below = sequence();
    const elements = new Uint32Array(size);
    for (let i = 0; i < size; i++) elements[i] = need(core.mempool_alloc(pool), "alloc");
    const bytes = core.memory.buffer.byteLength;
    const frees = [];
    const allocs = [];
    // Pairs, then frees and allocs of 200 at a time: those leave the magazine.
    for (const batch of [1, 200]) {
      for (let round = 0; round < 4000 / batch; round++) {
        const chosen = new Set();
        while (chosen.size < Math.min(batch, size / 2)) chosen.add(below(size));
        for (const i of chosen) frees.push(count(core, "mempool_free", pool, elements[i]));
        for (const i of chosen) {
          const call = count(core, "mempool_alloc", pool);
          allocs.push(call);
          elements[i] = need(call.result, "alloc");
        }
      }
    }
    return { live: size, bytes, alloc: summary(allocs), free: summary(frees), nanoseconds: pairTime(size) };
  });
}

/** Nanoseconds of processor time of a pair, the element chosen by chance among so many: the least of several runs. */
function pairTime(size) {
  const { core } = heapOf({ module: new WebAssembly.Module(plain), shared: false }, {});
  const pool = need(core.mempool_create(64, 16, 16, NO_CAP), "create");
  const elements = new Uint32Array(size);
  for (let i = 0; i < size; i++) elements[i] = need(core.mempool_alloc(pool), "alloc");
  const below = sequence();
  let least = Infinity;
  for (let run = 0; run < 40; run++) {
    const chosen = Uint32Array.from({ length: PAIRS }, () => below(size));
    const start = process.cpuUsage();
    for (const i of chosen) {
      core.mempool_free(pool, elements[i]);
      elements[i] = core.mempool_alloc(pool);
    }
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, (user + system) / PAIRS);
  }
  return Math.round(1000 * least);
}

// -------------------------------------------------------------------------------------------------------------- pools

function pools() {
  return [1, 100, 1000, 10_000].map((size) => {
    const heap = heapOf(counted.shared, {});
    const { core } = heap;
    const creates = Array.from({ length: size }, () => count(core, "mempool_create", 64, 16, 4, NO_CAP, 0));
    const last = need(creates.at(-1).result, "create");
    const element = need(core.mempool_alloc(last), "alloc");
    const free = count(core, "mempool_free", last, element);
    const alloc = count(core, "mempool_alloc", last);
    core.mempool_free(last, alloc.result);
    const full = need(core.mempool_create(64, 16, 1, 1, 0), "create");
    need(core.mempool_alloc(full), "alloc");
    const nothing = count(core, "mempool_alloc", full);
    const idle = count(core, "heap_idle");
    const trim = count(core, "heap_trim");
    const another = heap.second();
    // The pool made first is the last of the list.
    const attach = count(another, "mempool_attach", core.mempool_share(creates[0].result), 0);
    need(attach.result, "attach");
    const exit = count(core, "mempool_exit", full);
    return {
      pools: size,
      create: summary(creates.slice(-100)),
      alloc: instructionsOf(alloc),
      free: instructionsOf(free),
      nothing: instructionsOf(nothing),
      attach: instructionsOf(attach),
      idle: instructionsOf(idle),
      trim: instructionsOf(trim),
      exit: instructionsOf(exit),
    };
  });
}

// ------------------------------------------------------------------------------------------------------------- memory

function memory() {
  return [2 ** 26, 2 ** 28, 2 ** 30, 2 ** 32].map((bytes) => {
    const { exports: core } = new WebAssembly.Instance(counted.plain.module);
    const have = core.memory.buffer.byteLength;
    need(core.heap_create(0, have, bytes / PAGE, 1), "heap_create");
    const pool = need(core.mempool_create(2 ** 20 - 64, 16, 0, NO_CAP, 0), "create");
    const small = need(core.mempool_create(64, 16, 0, NO_CAP, 0), "create");
    need(core.mempool_alloc(small), "alloc");
    const allocs = [];
    for (;;) {
      const call = count(core, "mempool_alloc", pool);
      if (!call.result) break;
      allocs.push(call);
    }
    // The rest, in small pieces.
    const fills = [];
    for (;;) {
      const call = count(core, "mempool_alloc", small);
      if (!call.result) break;
      fills.push(call);
    }
    const again = count(core, "mempool_alloc", small);
    const frees = allocs.slice(-100).map(({ result }) => count(core, "mempool_free", pool, result));
    const vain = count(core, "mempool_alloc", need(core.mempool_create(2 ** 24, 16, 0, NO_CAP, 0), "create"));
    return {
      bytes,
      elements: allocs.length,
      payload: (allocs.length * (2 ** 20 - 64) + fills.length * 64) / bytes,
      alloc: summary(allocs),
      fill: summary(fills),
      free: summary(frees),
      again: again.instructions,
      vain: vain.instructions,
    };
  });
}

// --------------------------------------------------------------------------------------------------------------- main

const parts = { threads, waiting, live, pools, memory };
const { positionals } = parseArgs({ allowPositionals: true });
const figures = existsSync(figuresAt) ? JSON.parse(readFileSync(figuresAt, "utf8")) : {};
const save = async () =>
  writeFileSync(figuresAt, await format(JSON.stringify(figures), { parser: "json", printWidth: 120 }));
for (const [name, measure] of Object.entries(parts)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  figures[name] = await measure();
  await save();
}
const page = tables(readFileSync(pageAt, "utf8"), figures);
writeFileSync(pageAt, await format(page, { parser: "markdown", printWidth: 130 }));
