/** Hosts that lack something, forbid something, or have objects of another realm. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect as show } from "node:util";
import { describe, expect, test } from "vitest";
import {
  createSharedHeap,
  array,
  attach,
  create,
  createArena,
  createHeap,
  MempoolError,
  struct,
  u32,
  type Heap,
  type HeapOptions,
  type PoolHandle,
} from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { errorFrom } from "../contract/helpers.ts";
import { moduleIn, realm, thrown, type Realm } from "./realm.ts";

type Library = typeof import("../../src/index.ts");
const timers = { setTimeout, clearTimeout, setInterval, clearInterval };

// ------------------------------------------------------------------------------------------------------------ compiling

interface Kind {
  readonly name: string;
  readonly core: string;
  readonly control?: string;
  readonly inspector: string;
  readonly memory?: () => object;
}

/** A realm that compiles no bytes, as edge runtimes, and how it makes heaps. */
const kinds: readonly Kind[] = [
  { name: "plain", core: "core", inspector: "inspect.imported" },
  {
    name: "imported",
    core: "core.imported",
    inspector: "inspect.imported",
    memory: () => ({ memory: new WebAssembly.Memory({ initial: 1 }), grows: true }),
  },
  {
    name: "shared",
    core: "core.shared",
    control: "control.shared",
    inspector: "inspect.shared",
  },
];

/** The error of a call, as an object of the library's own realm. */
function thrownBy(call: () => unknown): MempoolError {
  try {
    call();
  } catch (error) {
    return error as MempoolError;
  }
  throw new Error("nothing was thrown");
}

describe.each(kinds)("where bytes may not be compiled, $name", ({ core, control, inspector, memory }) => {
  const here = (): { lib: Library; heap: (options?: HeapOptions) => Heap; withInspector: () => Heap } => {
    const { run } = realm({ compiles: false, globals: timers });
    const lib = run<Library>("lib");
    const make = control ? lib.createSharedHeap : lib.createHeap;
    const modules = { module: moduleIn(core), ...(control && { control: moduleIn(control) }) };
    return {
      lib,
      heap: (more) => make({ ...modules, ...memory?.(), ...more }),
      withInspector: () => make({ ...modules, ...memory?.(), inspector: moduleIn(inspector) }),
    };
  };

  test("ERR_NO_WASM names the option module", async () => {
    const { lib } = here();
    expect(thrownBy(() => lib.createHeap())).toMatchObject({
      code: "ERR_NO_WASM",
      message: expect.stringMatching(/createHeap: .*Content-Security-Policy.*wasm-unsafe-eval.*module .*core\.wasm/),
      cause: { name: "CompileError" },
    });
    await expect(lib.createSharedHeapAsync()).rejects.toMatchObject({
      code: "ERR_NO_WASM",
      message: expect.stringMatching(/createSharedHeapAsync: .*core\.shared\.wasm.*control\.shared\.wasm/),
    });
  });

  test("a pool's counts are right until its end", () => {
    const pool = here().heap().create({ size: 64, minNr: 4, maxNr: 600 });
    const counts = () => [pool.minNr, pool.currNr, pool.outstanding, pool.isSaturated];
    expect(counts()).toEqual([4, 4, 0, true]);
    const out = new Uint32Array(598);
    expect(pool.allocBulk(out)).toBe(true);
    expect(counts()).toEqual([4, 2, 598, false]);
    expect(pool.allocBulk(new Uint32Array(300))).toBe(false);
    expect(pool.prefill(3)).toBe(undefined);
    const ticket = pool.prefill(2)!;
    ticket.exit();
    pool.freeBulk(out.subarray(0, 597));
    expect(pool.resize(8)).toBe(true);
    expect(counts()).toEqual([8, 8, 1, true]);
    pool.exit();
    expect(counts()).toEqual([8, 0, 1, false]);
    pool.free(out[597]!);
    expect(counts()).toEqual([8, 0, 0, false]);
  });

  test("a lack of memory is ERR_NO_MEMORY", async () => {
    const heap = here().heap(core === "core.shared" ? { initial: 2 ** 18, maximum: 2 ** 18 } : { maximum: 2 ** 18 });
    expect(thrownBy(() => heap.create({ size: 2 ** 20, minNr: 1 })).code).toBe("ERR_NO_MEMORY");
    const pool = heap.create({ size: 4096, minNr: 1 });
    while (pool.alloc());
    expect(thrownBy(() => pool.prefill(2 ** 20)).code).toBe("ERR_INVALID_ARGUMENT");
    await expect(pool.allocBulkAsync(new Uint32Array(20), { timeout: 1 })).rejects.toMatchObject({
      code: "ERR_TIMEOUT",
    });
    await expect(pool.prefillAsync(3, { timeout: 0 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  });

  test("external backends, watermarks and faults work", async () => {
    const heap = here().heap();
    let made = 0;
    const free: number[] = [];
    const backend = { alloc: () => ++made, free: (element: number) => void free.push(element) };
    const hosted = heap.create({ size: 1, minNr: 3, maxNr: 5, backend });
    expect([hosted.currNr, made]).toEqual([3, 3]);
    hosted.exit();
    expect(free.toSorted()).toEqual([1, 2, 3]);
    const pool = heap.create({ size: 64, minNr: 2, maxNr: 2 });
    const lows: number[] = [];
    const stops = [pool.onLow(2, (left) => lows.push(left)), heap.onLowMemory(2 ** 32, () => lows.push(-1))];
    faults(pool, { refuse: true });
    expect(faults(heap, { nth: 1 })).toBe(0);
    faults(heap);
    expect(pool.alloc()).toBeGreaterThan(0);
    while (lows.length < 2) await sleep(5);
    for (const stop of stops) stop();
    expect(lows.toSorted()).toEqual([-1, 1]);
  });

  test("stats, check and table name the missing inspector", () => {
    const { lib, heap: make } = here();
    const heap = make();
    const pool = heap.create({ size: 64, minNr: 1, name: "tiles" });
    const arena = lib.createArena({ heap: heap });
    for (const call of [
      () => heap.stats(),
      () => pool.stats(),
      () => arena.stats(),
      () => heap.check(),
      () => heap.table(),
    ]) {
      expect(thrownBy(call).code).toBe("ERR_NO_WASM");
    }
    expect(() => heap.stats()).toThrow(new RegExp(`stats: .*inspector.*${inspector.replace(".", "\\.")}\\.wasm`));
    expect(show(pool)).toContain("tiles");
    expect(show([heap, arena])).toContain("name");
    pool.exit();
    expect(thrownBy(() => pool.stats()).code).toBe("ERR_NO_WASM");
    expect(lib.MempoolError.name).toBe("MempoolError");
  });

  test("stats, check and table work with an inspector", () => {
    const heap = here().withInspector();
    const pool = heap.create({ size: 64, minNr: 1, name: "tiles" });
    expect(heap.stats().pools).toBe(1);
    expect(pool.stats()).toMatchObject({ currNr: 1, minNr: 1 });
    expect(heap.check()).toEqual([]);
    expect(heap.table()).toContain("tiles");
    pool.exit();
    expect(pool.stats().outstanding).toBe(0);
  });
});

test("a shared heap's inspector goes with it to other threads", () => {
  const there = realm({ compiles: false });
  const inspector = moduleIn("inspect.shared");
  const heap = createSharedHeap({ inspector });
  const shared = heap.create({ size: 8, minNr: 3 }).share();
  const pool = there.run<Library>("lib").attach(shared);
  expect(pool.stats().currNr).toBe(3);
  pool.heap.detach();
  heap.detach();
});

test.each([
  ["a core", { inspector: moduleIn("core") }, /inspector is not this package's inspector/],
  ["a path", { inspector: "inspect.wasm" }, /inspector must be a WebAssembly\.Module, got "inspect\.wasm"/],
  ["one for shared memory", { inspector: moduleIn("inspect.shared") }, /inspector does not go with the memory/],
  ["half a core", { make: createSharedHeap, module: moduleIn("core.shared") }, /module is a half, and needs control/],
  [
    "half a core too many",
    { module: moduleIn("core"), control: moduleIn("control.shared") },
    /unknown option "control"/,
  ],
  [
    "half a core beside a whole",
    { make: createSharedHeap, module: moduleIn("core.checked"), control: moduleIn("control.shared") },
    /takes no control/,
  ],
  ["half a core alone", { make: createSharedHeap, control: moduleIn("control.shared") }, /control needs module/],
  [
    "another module",
    { make: createSharedHeap, module: moduleIn("core.shared"), control: moduleIn("core") },
    /not this package's/,
  ],
  ["no Module", { module: {} }, /module must be a WebAssembly\.Module, got an object/],
])("%s as module or inspector is refused when the heap is made", (_title, options, message) => {
  const { make = createHeap, ...rest } = options as { make?: typeof createHeap };
  const error = errorFrom(() => make(rest));
  expect([error.code, error.message]).toEqual(["ERR_INVALID_ARGUMENT", expect.stringMatching(message)]);
});

test("a host without memory for a module is ERR_NO_MEMORY", () => {
  const { run } = realm({ before: "WebAssembly.Module = function () { throw new RangeError('Out of memory') }" });
  const { code, message } = run(`(${thrown})(() => lib.createHeap())`);
  expect([code, message]).toEqual(["ERR_NO_MEMORY", expect.stringContaining("no memory to compile core.wasm")]);
});

test("without WebAssembly, every function that makes a heap throws ERR_NO_WASM", async () => {
  const { run } = realm({ before: "delete globalThis.WebAssembly" });
  const codes = run(`const of = ${thrown};
    [() => lib.createHeap(), () => lib.create({ size: 8, minNr: 1 }), () => lib.createArena(),
     () => lib.createHeap({ memory: {} }), () => lib.attach({ memory: {}, module: {}, address: 4, id: "x" })].map((c) => of(c).code)`);
  expect([...codes]).toEqual(Array(5).fill("ERR_NO_WASM"));
  expect(await run("lib.createHeapAsync().catch((e) => e.message)")).toBe(
    "ERR_NO_WASM: createHeapAsync: there is no WebAssembly here",
  );
  expect(run("lib.struct({ a: lib.u8, b: lib.u32 }).sizeof")).toBe(8);
});

// ------------------------------------------------------------------------------------------------------------ isolation

/** As in browsers: the constructor is hidden, the memory is not. */
const page = (): Realm =>
  realm({ before: "delete globalThis.SharedArrayBuffer; globalThis.crossOriginIsolated = false", globals: timers });

describe("a page that is not cross-origin isolated", () => {
  test("a given shared memory is accepted", () => {
    const answer = page().run(`
      const memory = new WebAssembly.Memory({ initial: 4, maximum: 64, shared: true });
      const heap = lib.createSharedHeap({ memory, grows: true });
      const pool = heap.create({ size: 64, minNr: 2 });
      pool.free(pool.alloc());
      [typeof SharedArrayBuffer, heap.threadId, pool.outstanding, (${thrown})(() => lib.createHeap({ memory, grows: true })).message]`);
    expect([...answer]).toEqual([
      "undefined",
      0,
      0,
      "ERR_INVALID_ARGUMENT: createHeap: memory is shared: see createSharedHeap",
    ]);
  });

  test("share names the missing headers", () => {
    const answer = page().run(`const heap = lib.createSharedHeap({ maximum: 2 ** 20 });
      const pool = heap.create({ size: 64, minNr: 2 });
      [(${thrown})(() => heap.share()), (${thrown})(() => pool.share())]`) as { code: string; message: string }[];
    for (const { code, message } of answer) {
      expect(code).toBe("ERR_NOT_ISOLATED");
      expect(message).toContain("Cross-Origin-Opener-Policy: same-origin");
      expect(message).toContain("Cross-Origin-Embedder-Policy: require-corp");
    }
  });

  test("attach accepts a posted pool", () => {
    const heap = createSharedHeap({ maximum: 2 ** 20 });
    const pool = heap.create({ size: 64, minNr: 2 });
    const { run } = page();
    const answer = run(
      `const one = lib.attach(shared), two = lib.attach({ ...shared });
       const element = one.alloc();
       [one === two, element, (${thrown})(() => lib.attach({ ...shared.heap, id: "other", memory: new WebAssembly.Memory({ initial: 1 }) })).code]`,
      { shared: pool.share() },
    );
    expect(answer[0]).toBe(true);
    pool.free(answer[1]);
    expect(answer[2]).toBe("ERR_INVALID_ARGUMENT");
    run("one.heap.detach()");
    heap.detach();
  });
});

// --------------------------------------------------------------------------------------------------------- other realms

describe("objects of another realm", () => {
  const { run } = realm();

  test("arrays are accepted", () => {
    const pool = create({ size: 8, minNr: 4, maxNr: 4 });
    const out = run<Uint32Array>("new Uint32Array(4)");
    expect(out instanceof Uint32Array).toBe(false);
    expect(pool.allocBulk(out)).toBe(true);
    expect(out.every((address) => address > 0)).toBe(true);
    pool.freeBulk(out);
    expect(pool.outstanding).toBe(0);
    for (const bad of ["new Int32Array(4)", "[1]", "({ length: 4, [Symbol.toStringTag]: 'Uint32Array' })"]) {
      expect(errorFrom(() => pool.allocBulk(run(bad))).code).toBe("ERR_INVALID_ARGUMENT");
    }
    pool.exit();
  });

  test.each([
    ["memory", "({ memory: new WebAssembly.Memory({ initial: 1 }), grows: true })"],
    ["shared memory", "({ memory: new WebAssembly.Memory({ initial: 1, maximum: 64, shared: true }), grows: true })"],
  ])("%s", (title, code) => {
    const heap = (title === "shared memory" ? createSharedHeap : createHeap)(run(code));
    const pool = heap.create({ size: 8, minNr: 1 });
    heap.u32[pool.alloc() / 4] = 7;
    expect(heap.check()).toEqual([]);
  });

  test("modules are accepted", () => {
    const module = run("new WebAssembly.Module(bytes)", { bytes: moduleBytes("core") });
    expect(module instanceof WebAssembly.Module).toBe(false);
    expect(createHeap({ module }).create({ size: 8, minNr: 1 }).alloc()).toBeGreaterThan(0);
  });

  test("a test runner's realm can attach to a worker's heap", () => {
    const heap = createSharedHeap({ maximum: 2 ** 20 });
    const pool = heap.create({ size: 64, minNr: 2 });
    const shared = structuredClone(pool.share());
    const element = run<number>("globalThis.theirs = lib.attach(shared); theirs.alloc()", { shared });
    pool.free(element);
    const back = run<PoolHandle>("theirs.share()");
    expect(attach(back)).toBe(pool);
    run("theirs.heap.detach()");
    heap.detach();
  });

  test.each([
    [
      "of another realm",
      () => run("({ aborted: false, addEventListener(t, f) { this.f = f }, removeEventListener() { this.f = 0 } })"),
    ],
    ["of a polyfill", () => polyfill()],
  ])("a signal %s ends a wait", async (_title, make) => {
    const pool = create({ size: 8, minNr: 1, maxNr: 1 });
    const element = pool.alloc();
    const signal = make();
    const wait = pool.allocAsync({ signal });
    signal.aborted = true;
    signal.reason = "why not";
    signal.f();
    await expect(wait).rejects.toBe("why not");
    expect(signal.f).toBe(0);
    await expect(pool.allocAsync({ signal })).rejects.toBe("why not");
    for (const bad of [{}, { aborted: false }, "signal", null]) {
      await expect(pool.allocAsync({ signal: bad as never })).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    }
    pool.free(element);
    pool.exit();
  });

  test("messages name the errors that callbacks throw", () => {
    const size = run("() => { throw new RangeError('too many disks') }");
    expect(errorFrom(() => create({ size, minNr: 1 })).message).toContain("size, a callback, threw too many disks");
  });

  test("heaps and layouts of another copy of the package are accepted", () => {
    const theirs = run<Library>("lib");
    const heap = theirs.createHeap();
    const pool = create({ heap: heap as never as Heap, size: 8, minNr: 2 });
    expect(createArena({ heap: heap as never as Heap }).alloc(8)).toBeGreaterThan(0);
    pool.free(pool.alloc());
    const Vec = theirs.struct({ x: theirs.f32, y: theirs.f32 });
    const Mine = struct({ id: u32, at: Vec, tail: array(Vec as never, 2) }) as any;
    expect([Mine.sizeof, Mine.offsetof("tail", 1)]).toEqual([28, 20]);
    const cursor = Mine.at(createHeap(), createArena().alloc(28));
    cursor.at.x = 0.5;
    cursor.tail.get(1).y = 2;
    expect(cursor.toJSON()).toMatchObject({ at: { x: 0.5 }, tail: [{}, { y: 2 }] });
    expect(errorFrom(() => create({ heap: {} as Heap, size: 8, minNr: 1 })).message).toContain("heap must be a Heap");
    expect(errorFrom(() => create({ heap: { context: {} } as never, size: 8, minNr: 1 })).code).toBe(
      "ERR_INVALID_ARGUMENT",
    );
  });
});

function moduleBytes(name: string): Uint8Array {
  return readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url));
}

/** A polyfill, as node-abort-controller: it uses nothing of the host. */
function polyfill(): any {
  class Target {
    f: unknown = 0;
    addEventListener(_type: string, listener: unknown): void {
      this.f = listener;
    }
    removeEventListener(): void {
      this.f = 0;
    }
  }
  return new (class AbortSignal extends Target {
    aborted = false;
    reason: unknown;
  })();
}

// -------------------------------------------------------------------------------------------------- proxies and freezing

const all = (): [string, object][] => {
  const heap = createHeap();
  const pool = heap.create({ size: 8, minNr: 2 });
  return [
    ["heap", heap],
    ["pool", pool],
    ["arena", createArena({ heap: heap })],
    ["ticket", pool.prefill(1)!],
    ["struct", struct({ a: u32 })],
  ];
};
/** Vue's reactive() makes a Proxy of extensible objects whose tag is Object or a collection's. */
const vueWraps = (value: object): boolean =>
  Object.isExtensible(value) &&
  ["Object", "Array", "Map", "Set"].includes(Object.prototype.toString.call(value).slice(8, -1));

describe("objects that are wrapped, frozen or copied", () => {
  test("Vue's reactive leaves all of them alone", () => {
    expect(vueWraps({})).toBe(true);
    const heap = createHeap();
    const cursor = struct({ a: u32, b: array(u32, 2) }).at(heap, createArena({ heap: heap }).alloc(12));
    expect([...all(), ["cursor", cursor], ["array", cursor.b]].filter(([, each]) => vueWraps(each as object))).toEqual(
      [],
    );
  });

  test("calls through a plain Proxy throw", () => {
    const heap = createHeap();
    const pool = heap.create({ size: 8, minNr: 2 });
    const wrapped = new Proxy(pool, {});
    for (const call of [() => wrapped.alloc(), () => wrapped.free(8), () => wrapped.exit(), () => wrapped.stats()]) {
      expect(call).toThrow(TypeError);
    }
    expect([pool.outstanding, pool.currNr, heap.check()]).toEqual([0, 2, []]);
  });

  test("a cursor works through a Proxy", () => {
    const heap = createHeap();
    const arena = createArena({ heap: heap });
    const wrapped = new Proxy(struct({ a: u32, b: array(u32, 2) }).at(heap, arena.alloc(12)), {});
    wrapped.move(arena.alloc(12)).a = 3;
    wrapped.b.set(1, 4);
    expect([wrapped.a, wrapped.b[1]]).toEqual([3, 4]);
  });

  test("frozen objects work", async () => {
    const heap = createHeap();
    const pool = heap.create({ size: 8, minNr: 2, maxNr: 2 });
    const arena = createArena({ heap: heap });
    const ticket = pool.prefill(1)!;
    const S = struct({ a: u32 });
    const cursor = S.at(heap, pool.alloc());
    for (const each of [heap, pool, arena, ticket, S, cursor]) Object.freeze(each);
    cursor.move(ticket.alloc()).a = 1;
    const next = pool.allocAsync();
    pool.free(cursor.address);
    expect(await next).toBe(cursor.address);
    expect(S.at(heap, arena.alloc(64)).address).toBeGreaterThan(0);
    pool.exit();
    expect(pool.stats().outstanding).toBe(2);
    heap.memory.grow(1);
    expect(heap.u8.length).toBe(heap.memory.buffer.byteLength);
  });

  test("the library works in a realm with frozen intrinsics", async () => {
    const freeze = `
      const seen = new Set();
      const freeze = (o) => {
        if (o === null || (typeof o !== "object" && typeof o !== "function") || seen.has(o) || o === globalThis) return;
        seen.add(o);
        Object.freeze(o);
        freeze(Object.getPrototypeOf(o));
        for (const d of Object.values(Object.getOwnPropertyDescriptors(o))) { freeze(d.value); freeze(d.get); freeze(d.set); }
      };
      for (const name of Object.getOwnPropertyNames(globalThis)) freeze(globalThis[name]);
      freeze(function* () {}); freeze(async () => {}); freeze([][Symbol.iterator]());`;
    const { run } = realm({ before: freeze });
    const answer = await run(`(async () => {
      const heap = lib.createSharedHeap({ maximum: 2 ** 20 });
      const pool = heap.create({ size: (n) => n, data: 16, minNr: 2, maxNr: 2 });
      const S = lib.struct({ constructor: lib.u32, toString: lib.u64, valueOf: lib.array(lib.u32, 1), name: lib.u32 });
      const c = S.at(heap, pool.alloc());
      c.constructor = 5; c.toString = 6n; c.valueOf[0] = 7;
      const element = pool.alloc();
      const wait = pool.allocAsync();
      pool.free(element);
      const json = JSON.stringify(c);
      const e = (${thrown})(() => pool.free(3));
      const out = [json, await wait === element, e.code, e.isOurs, typeof heap.table(), heap.check().length];
      heap.detach();
      return out.join(" ");
    })()`);
    expect(run("Object.isFrozen(Object.prototype) && Object.isFrozen(Error.prototype)")).toBe(true);
    expect(answer).toBe(
      '{"constructor":5,"toString":"6","valueOf":[7],"name":0} true ERR_INVALID_ADDRESS true string 0',
    );
  });
});
