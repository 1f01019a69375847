/** Objects in the hands of tools: matchers, printers, JSON, structured clones, consoles. */
import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import {
  createArena,
  createSharedHeap,
  Arena,
  array,
  bool,
  create,
  createHeap,
  f32,
  f64,
  flexible,
  Heap,
  i64,
  MempoolError,
  Pool,
  struct,
  u16,
  u32,
  u64,
  u8,
  Views,
  type ErrorCode,
} from "../../src/index.ts";
import { Prefill } from "../../src/pool/prefill.ts";
import { errorFrom } from "../contract/helpers.ts";

const Vec = struct({ x: f32, y: f32 });
const Everything = struct({
  id: u64,
  delta: i64,
  ok: bool,
  at: Vec,
  keys: array(u16, 3),
  corners: array(Vec, 2),
  rest: flexible(f64),
});

/** A heap of 64 MiB: so large that a walk over it would show. */
function large(): { heap: Heap; address: number } {
  const heap = createHeap({ initial: 2 ** 26 });
  return { heap, address: createArena({ heap: heap }).alloc(4096) };
}
function filled(length?: number) {
  const { heap, address } = large();
  heap.u8.fill(0, address, address + 4096);
  const c = length === undefined ? Everything.at(heap, address) : Everything.at(heap, address, length);
  c.id = 2n ** 64n - 1n;
  c.delta = -5n;
  c.ok = true;
  c.at.x = 0.5;
  c.keys.set(1, 7);
  c.corners.get(1).y = 2;
  return c;
}
const plain = {
  id: "18446744073709551615",
  delta: "-5",
  ok: true,
  at: { x: 0.5, y: 0 },
  keys: [0, 7, 0],
  corners: [
    { x: 0, y: 0 },
    { x: 0, y: 2 },
  ],
};

/** The number of reads of typed arrays during `call`: a walk over memory reads all of it. */
function readsOf(call: () => unknown): number {
  let reads = 0;
  const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
  const names = ["length", "buffer", "byteLength"] as const;
  const before = names.map((name) => Object.getOwnPropertyDescriptor(prototype, name)!);
  names.forEach((name, i) =>
    Object.defineProperty(prototype, name, {
      ...before[i],
      get(this: Uint8Array) {
        reads++;
        return before[i]!.get!.call(this) as unknown;
      },
    }),
  );
  try {
    call();
  } finally {
    names.forEach((name, i) => Object.defineProperty(prototype, name, before[i]!));
  }
  return reads;
}

/** Every object that can be reached by enumerable own properties, which matchers, printers and copies walk. */
function reached(from: unknown, seen: Set<unknown> = new Set()): Set<unknown> {
  if (typeof from !== "object" || from === null || seen.has(from)) return seen;
  seen.add(from);
  for (const key of Object.keys(from)) reached((from as Record<string, unknown>)[key], seen);
  return seen;
}

describe("cursors", () => {
  test("a cursor equals its fields", () => {
    const { heap, address } = large();
    const c = Vec.at(heap, address);
    c.x = 1;
    c.y = 2;
    expect(c).toEqual({ x: 1, y: 2 });
    expect(c).not.toEqual({ x: 1, y: 3 });
    expect(c).toMatchObject({ y: 2 });
    expect({ c }).toEqual({ c: { x: 1, y: 2 } });
    expect(Vec.at(heap, address)).toEqual(c);
  });

  test.each([
    ["a cursor", () => filled(2)],
    ["one of unknown length", () => filled()],
    ["one of an array of structs", () => filled(2).corners],
    ["a heap", () => large().heap],
    ["a pool", () => large().heap.create({ size: 8, minNr: 1 })],
    ["an arena", () => createArena({ heap: large().heap })],
    ["a prefill", () => large().heap.create({ size: 8, minNr: 1 }).prefill(1)!],
  ] as const)("%s leads to no memory by enumerable properties", (_title, make) => {
    const views = [...reached(make())].filter((each) => ArrayBuffer.isView(each) || each instanceof WebAssembly.Memory);
    expect(views).toEqual([]);
  });

  test("a failed comparison walks no memory", () => {
    const c = filled();
    const fails = () => {
      expect(() => expect(c).toEqual({ ...c, ok: false })).toThrow(/deeply equal/);
    };
    // A printed typed array asks for its length; each element, once more.
    expect(readsOf(fails)).toBeLessThan(2000);
  });

  test("spread, keys and structuredClone see a plain object of the values", () => {
    const c = filled(1);
    expect(Object.keys(c)).toEqual(["id", "delta", "ok", "at", "keys", "corners", "rest"]);
    expect(Object.keys(filled())).not.toContain("rest");
    expect({ ...c }).toMatchObject({ id: 2n ** 64n - 1n, delta: -5n, ok: true });
    const n = struct({ id: u64, at: Vec }).at({ views: new Views(new WebAssembly.Memory({ initial: 1 })) }, 8);
    n.id = 5n;
    n.at.x = 0.5;
    const clone = structuredClone(n);
    n.at.x = 9;
    expect(Object.getPrototypeOf(clone)).toBe(Object.prototype);
    expect(clone).toEqual({ id: 5n, at: { x: 0.5, y: 0 } });
    expect(structuredClone(filled(1).toJSON())).toEqual({ ...plain, rest: [0] });
  });

  test("JSON has 64-bit integers as strings", () => {
    expect(JSON.parse(JSON.stringify(filled(2)))).toEqual({ ...plain, rest: [0, 0] });
    expect(JSON.parse(JSON.stringify(filled().corners))).toEqual(plain.corners);
    expect(filled(0).toJSON()).toEqual({ ...plain, rest: [] });
  });

  test("JSON leaves out a flexible array of unknown length", () => {
    expect(JSON.parse(JSON.stringify(filled()))).toEqual(plain);
  });

  test("Node's console shows the fields", () => {
    const text = inspect(filled(2), { depth: 4 });
    for (const part of ["id: 18446744073709551615n", "ok: true", "x: 0.5", "length: 3"]) expect(text).toContain(part);
    expect(text.length).toBeLessThan(500);
    expect(inspect(filled()).length).toBeLessThan(500);
  });

  test("a cursor's internals are read-only", () => {
    const c = filled(1) as unknown as Record<string, unknown>;
    for (const name of ["at", "keys", "$place", "mistyped"]) {
      expect(() => (c[name] = 1)).toThrow(TypeError);
    }
  });
});

describe("fields with names that objects have already", () => {
  const names = Object.getOwnPropertyNames(Object.prototype)
    .filter((name) => name !== "__proto__")
    .concat(["then", "length", "name", "get", "set", "nodeType", "asymmetricMatch", "inspect", "at"]);
  const { heap, address } = large();

  test.each(names)("%s is a field like any other", (name) => {
    const c = struct({ before: u8, [name]: u32, after: u8 }).at(heap, address) as unknown as Record<string, unknown>;
    c[name] = 7;
    expect(c[name]).toBe(7);
    expect(Object.keys(c)).toEqual(["before", name, "after"]);
    expect(JSON.parse(JSON.stringify(c))).toMatchObject({ [name]: 7 });
    const nested = struct({ [name]: Vec }).at(heap, address) as unknown as Record<string, { x: number }>;
    nested[name]!.x = 3;
    expect(nested[name]!.x).toBe(3);
  });

  test("a cursor is awaited as itself, whatever its fields", async () => {
    const c = struct({ ["then" as string]: u32 }).at(heap, address);
    expect(await c).toBe(c);
  });

  test.each(["address", "move", "toJSON", "$place"])("the name %s is refused", (name) => {
    const error = errorFrom(() => struct({ [name]: u32 }));
    expect([error.code, error.message]).toEqual(["ERR_INVALID_ARGUMENT", expect.stringContaining(`"${name}"`)]);
  });

  test("__proto__ in a literal is refused", () => {
    const error = errorFrom(() => struct({ x: u32, __proto__: u32 } as never));
    expect([error.code, error.message]).toEqual(["ERR_INVALID_ARGUMENT", expect.stringContaining("__proto__")]);
    expect(errorFrom(() => struct({ __proto__: Vec } as never)).message).toContain("__proto__");
    const c = struct({ ["__proto__"]: u32 }).at(heap, address) as unknown as object;
    expect(Object.keys(c)).toEqual(["__proto__"]);
  });
});

describe("structured clones", () => {
  const heap = createSharedHeap({ maximum: 2 ** 20 });
  const pool = heap.create({ size: 64, minNr: 2 });
  const subjects: [string, object, string][] = [
    ["a pool", pool, "[object Pool: post pool.share(), and attach() it there] could not be cloned."],
    ["a shared heap", heap, "[object SharedHeap: post heap.share(), and attach() it there] could not be cloned."],
    ["a heap", createHeap(), "[object Heap: it stays in its thread; see createSharedHeap] could not be cloned."],
    [
      "an arena",
      createArena({ heap: heap }),
      "[object Arena: it stays in its thread; post addresses] could not be cloned.",
    ],
    ["a cursor with an array", filled(1), "[object array of a cursor: clone what toJSON() gives] could not be cloned."],
    ["a prefill", pool.prefill(1)!, "[object Prefill: it stays in its thread] could not be cloned."],
  ];

  test.each(subjects)("of %s fail with advice in the engine's message", (_title, subject, message) => {
    for (const clone of [() => structuredClone(subject), () => structuredClone({ deep: [subject] })]) {
      expect(clone).toThrow(expect.objectContaining({ name: "DataCloneError", message }));
    }
  });

  test("by postMessage and workerData fail with the same advice", () => {
    expect(() => new Worker("", { eval: true, workerData: pool })).toThrow("post pool.share()");
    const { port1, port2 } = new MessageChannel();
    expect(() => port1.postMessage({ pool })).toThrow("post pool.share()");
    port1.close();
    port2.close();
  });
});

test("JSON of a heap, a pool, an arena and a prefill has their figures", () => {
  const heap = createHeap();
  const pool = heap.create({ size: 64, minNr: 2, name: "tiles" });
  const text = JSON.stringify({ heap, pool, arena: createArena({ heap: heap }), ticket: pool.prefill(2) });
  expect(JSON.parse(text)).toMatchObject({
    heap: { pools: 1, bytes: heap.stats().bytes },
    pool: { name: "tiles", outstanding: 2, maxNr: null },
    arena: { used: 0, chunks: 1 },
    ticket: { left: 2 },
  });
});

describe("classes without a public constructor", () => {
  test.each([
    ["Pool", Pool, /new Pool: pools are made by create\(\), heap\.create\(\) or attach\(\)/],
    ["Heap", Heap, /new Heap: heaps are made by createHeap\(\), or by attach\(\)/],
    ["Arena", Arena, /new Arena: arenas are made by createArena\(\)/],
    ["Prefill", Prefill, /new Prefill: prefills are made by pool\.prefill\(\)/],
  ] as const)("new %s names the function to call", (_title, Class, message) => {
    for (const args of [[], [{}], [{}, {}], ["x", 1]]) {
      const error = errorFrom(() => Reflect.construct(Class, args));
      expect([error.code, error.message]).toEqual(["ERR_INVALID_ARGUMENT", expect.stringMatching(message)]);
    }
  });

  test("a subclass cannot be constructed either", () => {
    class Mine extends Pool {}
    expect(errorFrom(() => Reflect.construct(Mine, [])).code).toBe("ERR_INVALID_ARGUMENT");
  });
});

describe("errors as consoles show them", () => {
  const errors: [ErrorCode, () => unknown][] = [
    ["ERR_INVALID_ARGUMENT", () => create({ size: 0, minNr: 1 })],
    ["ERR_INVALID_ADDRESS", () => create({ size: 8, minNr: 1 }).free(5)],
    [
      "ERR_DOUBLE_FREE",
      () => {
        const pool = create({ size: 8, minNr: 1 });
        const address = pool.alloc();
        pool.free(address);
        pool.free(address);
      },
    ],
    ["ERR_NO_MEMORY", () => createHeap({ maximum: 65536 }).create({ size: 65536, minNr: 4 })],
  ];

  test.each(errors)("%s is in the message, the printed error and its clone", (code, call) => {
    const error = errorFrom(call);
    expect(error.code).toBe(code);
    expect(error.message.startsWith(`${code}: `)).toBe(true);
    expect(error.message.indexOf(code, 1)).toBe(-1);
    expect(String(error)).toBe(`MempoolError: ${error.message}`);
    expect(error.stack!.split("\n")[0]).toBe(`MempoolError: ${error.message}`);
    expect(inspect(error)).toContain(code);
    expect((structuredClone(error) as Error).message).toContain(code);
  });

  test("an error's only enumerable property is its code", () => {
    const error = new MempoolError("ERR_CLOSED", "alloc: x", { cause: "y" });
    expect([Object.keys(error), error.name, error.cause]).toEqual([["code"], "MempoolError", "y"]);
    expect(Object.hasOwn(error, "name")).toBe(false);
    expect("cause" in new MempoolError("ERR_CLOSED", "x")).toBe(false);
  });

  test("ERR_WOULD_BLOCK names the call that does not block", () => {
    const pool = create({ size: 8, minNr: 1, maxNr: 1 });
    const address = pool.alloc();
    const ways: [() => unknown, string][] = [
      [() => pool.allocWait({ timeout: 5 }), "allocAsync"],
      [() => pool.allocBulkWait(new Uint32Array(1), { count: 1, timeout: 5 }), "allocBulkAsync"],
      [() => pool.prefillWait(1, { timeout: 5 }), "Async"],
    ];
    for (const [call, way] of ways) {
      const error = errorFrom(call);
      expect([error.code, error.message]).toEqual(["ERR_WOULD_BLOCK", expect.stringContaining(way)]);
    }
    pool.free(address);
    pool.exit();
  });
});

describe("heap.table", () => {
  const heap = createHeap();
  heap.create({ size: 2 ** 20, minNr: 3, maxNr: 123_456_789, name: "a pool with a name that nobody would ever give" });
  const bios = heap.create({ size: 16, minNr: 100_000, name: "bios" });
  for (let i = 0; i < 200_000; i++) bios.alloc();

  test("fits 80 columns, whatever the figures", () => {
    const lines = heap.table().trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(new Set(lines.slice(1).map((line) => line.length)).size).toBe(1);
    for (const title of ["name", "size", "active", "reserve", "minNr", "maxNr"]) expect(lines[1]).toContain(title);
    expect(lines[2]).toContain("a pool with a name that…");
    expect(lines[3]).toMatch(/^bios +16 +200000 +100000 +100000 +- /);
  });

  test("has every figure on request", () => {
    const lines = heap.table({ all: true }).trimEnd().split("\n");
    for (const title of ["peak", "cached", "epochs", "allocs", "reclaims", "waits", "timeouts"]) {
      expect(lines[1]).toMatch(new RegExp(`\\b${title}\\b`));
    }
    expect(lines[2]).toContain("a pool with a name that nobody would ever give");
    expect(lines[3]).toContain("200000");
  });

  test("checks its options", () => {
    expect(errorFrom(() => heap.table({ all: 1 as never })).message).toContain("all must be true or false, got 1");
    expect(errorFrom(() => heap.table({ wide: true } as never)).message).toContain("wide");
  });
});
