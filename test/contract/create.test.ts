/** What `create` accepts, what it refuses, and that a refusal costs nothing. */
import { describe, expect, test } from "vitest";
import { create, createHeap, f64, MempoolError, struct, u8, type Heap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  createWith,
  drain,
  errorFrom,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  MAX_SIZE,
  MIB,
  PAGE,
  stateOf,
  take,
} from "./helpers.ts";

/** Bad values for any option that must be a positive integer. */
const NOT_A_COUNT: unknown[] = [
  -1,
  1.5,
  -0.5,
  NaN,
  Infinity,
  -Infinity,
  2 ** 32,
  2 ** 32 + 8,
  2 ** 53,
  -(2 ** 32) + 8,
  Number.MIN_VALUE,
  "8",
  "",
  "eight",
  true,
  8n,
  null,
  {},
  [],
  [8],
  Object(8),
  Object.create(null),
  Symbol("eight"),
  {
    toString() {
      throw new Error("do not print me");
    },
  },
];

/** [option, the values it must refuse] */
const GARBAGE: [string, unknown[]][] = [
  ["size", [...NOT_A_COUNT, undefined, 0, -0, MAX_SIZE + 1, 2 ** 31, { sizeof: 8 }]],
  ["minNr", [...NOT_A_COUNT, undefined, () => 4]],
  ["maxNr", [...NOT_A_COUNT.filter((value) => value !== Infinity), () => 4]],
  ["align", [...NOT_A_COUNT, 0, 3, 6, 12, 24, 4095, 4097, 8192, 2 ** 31]],
  ["zero", [0, 1, "", "true", null, NaN, {}, []]],
  ["name", [0, 1, true, null, {}, [], Symbol("name")]],
  ["heap", [0, 1, true, "heap", null, {}, [], Object.create(null), () => 0, new WebAssembly.Memory({ initial: 1 })]],
];

/** What a message must contain to have named the value; empty when printing it is a matter of taste. */
function printed(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" || typeof value === "symbol" || typeof value === "function" || value === 0
    ? ""
    : String(value);
}

function title(value: unknown): string {
  try {
    return typeof value === "bigint" ? `${value}n` : typeof value === "string" ? JSON.stringify(value) : String(value);
  } catch {
    return "an object that cannot be printed";
  }
}

function expectRefused(heap: Heap, option: string, value: unknown, options: unknown): void {
  const before = stateOf(heap);
  const error = errorFrom(() => createWith(options));
  expect(error.code).toBe("ERR_INVALID_ARGUMENT");
  expect(error.message).toContain(option);
  expect(error.message).toContain(printed(value));
  expect(stateOf(heap)).toEqual(before);
}

describe.each(builds)("create: $name", (build) => {
  test.each(GARBAGE)("create refuses a bad %s by name and value", (option, values) => {
    const heap = fixedHeap(build, MIB);
    for (const value of values) {
      const options: Record<string, unknown> = { heap, size: 64, minNr: 4, [option]: value };
      try {
        expectRefused(heap, option, value, options);
      } catch (error) {
        throw new Error(`${option}: ${title(value)}`, { cause: error });
      }
    }
    expectSound(heap);
  });

  test.each(["size", "minNr"])("%s is required", (option) => {
    const heap = fixedHeap(build, MIB);
    const options: Record<string, unknown> = { heap, size: 64, minNr: 4 };
    delete options[option];
    expectRefused(heap, option, "", options);
  });

  test.each([
    "minnr",
    "min_nr",
    "elementSize",
    "backend",
    "registerShrinker",
    "timeout",
    "shared",
    "",
    // names that every object has: a table of known options must not contain them
    "toString",
    "constructor",
    "hasOwnProperty",
    "__proto__",
  ])("create refuses an unknown option by its name: %j", (option) => {
    const heap = fixedHeap(build, MIB);
    const options: Record<string, unknown> = { heap, size: 64, minNr: 4 };
    Object.defineProperty(options, option, { value: 1, enumerable: true });
    expectRefused(heap, option, 1, options);
  });

  test("create refuses a minNr above maxNr", () => {
    const heap = fixedHeap(build, MIB);
    const before = stateOf(heap);
    const error = errorFrom(() => create({ heap, size: 64, minNr: 17, maxNr: 16 }));
    expect(error.code).toBe("ERR_INVALID_ARGUMENT");
    for (const word of ["minNr", "maxNr", "17", "16"]) expect(error.message).toContain(word);
    expect(stateOf(heap)).toEqual(before);
    expect(create({ heap, size: 64, minNr: 16, maxNr: 16 }).currNr).toBe(16);
  });

  test("create refuses options whose product overflows 32 bits", () => {
    const heap = fixedHeap(build, MIB);
    create({ heap, size: 8, minNr: 1 }); // the heap's structures for its first pool exist now
    const before = stateOf(heap);
    for (const [size, minNr] of [
      [16, 2 ** 28],
      [16, 2 ** 28 + 1],
      [1, 2 ** 32 - 1],
      [2, 2 ** 31],
      [65536, 65536],
      [65537, 65535],
      [MAX_SIZE, 256],
      [MAX_SIZE, 257],
      [3, 1431655766], // 3 * this = 2 ** 32 + 2
      [12, 357913942], // 12 * this = 2 ** 32 + 8
      [MAX_SIZE, 2 ** 32 - 1],
    ] as const) {
      const error = errorFrom(() => create({ heap, size, minNr }));
      expect(["ERR_NO_MEMORY", "ERR_INVALID_ARGUMENT"]).toContain(error.code);
      expect(stateOf(heap), `size ${size}, minNr ${minNr}`).toEqual(before);
    }
    expectSound(heap);
  });

  test("a reserve that does not fit is ERR_NO_MEMORY", () => {
    const heap = fixedHeap(build, MIB);
    const warm = create({ heap, size: 1000, minNr: 1 });
    const before = stateOf(heap, warm);
    for (const size of [1, 40, 1000, 4096, 30_000, 100_000, 700_000]) {
      const minNr = Math.ceil((2 * MIB) / size);
      // twice, since the first call may leave damage that the second shows
      for (let i = 0; i < 2; i++) {
        expect(errorFrom(() => create({ heap, size, minNr })).code).toBe("ERR_NO_MEMORY");
        expect(stateOf(heap, warm), `size ${size}`).toEqual(before);
      }
    }
    expectSound(heap);
    const fits = create({ heap, size: 100_000, minNr: 8 });
    expect(fits.currNr).toBe(8);
    expectSound(heap);
  });

  test("a pool has the properties that its options say", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 24, minNr: 3, maxNr: 10, align: 32, zero: true, name: "bios" });
    expect(pool.heap).toBe(heap);
    expect(pool).toMatchObject({
      elementSize: 24,
      minNr: 3,
      currNr: 3,
      outstanding: 0,
      align: 32,
      isSaturated: true,
      name: "bios",
    });
    expect(pool.stats()).toMatchObject({
      name: "bios",
      elementSize: 24,
      align: 32,
      minNr: 3,
      maxNr: 10,
      currNr: 3,
      outstanding: 0,
      lowestCurrNr: 3,
      allocs: 0,
      frees: 0,
      slabHits: 0,
      reserveHits: 0,
      failures: 0,
    });
    expect(heap.stats().pools).toBe(1);
    pool.allocPreallocated();
    expect(pool.isSaturated).toBe(false);
  });

  test("heap.create makes a pool of that heap", () => {
    const heap = fixedHeap(build, MIB);
    const pool = heap.create({ size: 24, minNr: 2 });
    expect(pool.heap).toBe(heap);
    expect(pool.currNr).toBe(2);
    expect(heap.stats().pools).toBe(1);
  });

  test("a number is aligned by default to the largest power of two that divides it, up to 16", () => {
    const heap = fixedHeap(build, 2 * MIB);
    for (const [size, align] of [
      [1, 1],
      [2, 2],
      [3, 1],
      [4, 4],
      [6, 2],
      [8, 8],
      [12, 4],
      [16, 16],
      [24, 8],
      [32, 16],
      [40, 8],
      [48, 16],
      [4096, 16],
      [65536, 16],
      [65537, 1],
    ] as const) {
      const pool = create({ heap, size, minNr: 1 });
      expect([size, pool.align, pool.stats().align]).toEqual([size, align, align]);
      expect(pool.elementSize).toBe(size);
      pool.exit();
    }
  });

  test("a struct gives size and alignment", () => {
    const heap = fixedHeap(build, MIB);
    const Point = struct({ x: f64, y: f64, tag: u8 });
    const pool = create({ heap, size: Point, minNr: 2 });
    expect(pool.elementSize).toBe(Point.sizeof);
    expect(pool.align).toBe(Point.alignof);
    expect([Point.sizeof, Point.alignof]).toEqual([24, 8]);
    expectElements(heap, take(pool, 20), 24, 8);
  });

  describe("the size callback", () => {
    test("is called exactly once, at create, with the data", () => {
      const heap = fixedHeap(build, MIB);
      const data = { disks: 5 };
      const calls: unknown[][] = [];
      const pool = create({
        heap,
        size: (...given: [{ disks: number }]) => {
          calls.push(given);
          return 13 + 8 * given[0].disks;
        },
        data,
        minNr: 2,
      });
      expect(pool.elementSize).toBe(53);
      expect(pool.align).toBe(8);
      const addresses = take(pool, 100);
      expectElements(heap, addresses, 53, 8);
      freeAll(pool, addresses);
      pool.stats();
      pool.exit();
      expect(calls).toHaveLength(1);
      expect(calls[0]![0]).toBe(data);
    });

    test("needs no data", () => {
      const heap = fixedHeap(build, MIB);
      const seen: unknown[] = [];
      const pool = createWith({ heap, size: (data: unknown) => (seen.push(data), 3), minNr: 1, align: 64 });
      expect([pool.elementSize, pool.align]).toEqual([3, 64]);
      expect(seen).toEqual([undefined]);
    });

    test.each([
      ["NaN", NaN],
      ["a string", "64"],
      ["a negative number", -64],
      ["0", 0],
      ["a fraction", 64.5],
      ["2 ** 40", 2 ** 40],
      ["2 ** 32 + 64", 2 ** 32 + 64],
      ["one byte too many", MAX_SIZE + 1],
      ["Infinity", Infinity],
      ["undefined", undefined],
      ["null", null],
      ["true", true],
      ["a bigint", 64n],
      ["an array", [64]],
      ["a boxed number", Object(64)],
      ["a promise", Promise.resolve(64)],
      ["a function", () => 64],
      ["a symbol", Symbol("size")],
    ])("that returns %s is refused", (_name, value) => {
      const heap = fixedHeap(build, MIB);
      let calls = 0;
      const size = () => {
        calls++;
        return value;
      };
      expectRefused(heap, "size", value, { heap, size, minNr: 4 });
      expect(calls).toBe(1);
    });

    test("that throws is refused with its error as the cause", () => {
      const heap = fixedHeap(build, MIB);
      const before = stateOf(heap);
      const cause = new Error("no disks");
      const size = (): number => {
        throw cause;
      };
      const error = errorFrom(() => create({ heap, size, minNr: 4 }));
      expect(error.code).toBe("ERR_INVALID_ARGUMENT");
      expect(error.message).toContain("size");
      expect(error.cause).toBe(cause);
      for (const thrown of [undefined, null, "text", 5, Object.create(null)]) {
        const throws = (): number => {
          throw thrown;
        };
        expect(errorFrom(() => create({ heap, size: throws, minNr: 4 })).code).toBe("ERR_INVALID_ARGUMENT");
      }
      expect(stateOf(heap)).toEqual(before);
      expectSound(heap);
    });

    test("may use the heap itself", () => {
      const heap = fixedHeap(build, MIB);
      const inner: ReturnType<typeof create>[] = [];
      const pool = create({
        heap,
        size: () => {
          const first = create({ heap, size: 100, minNr: 4 });
          const second = create({ heap, size: 48, minNr: 4 });
          first.exit();
          inner.push(second);
          return 80;
        },
        minNr: 4,
      });
      expectElements(heap, [...take(pool, 50)], 80, 8);
      expectElements(heap, [...take(inner[0]!, 50)], 48, 16);
      expect(heap.stats().pools).toBe(2);
      expectSound(heap);
    });
  });
});

describe("create, without a heap", () => {
  test("uses one default heap, made at first use", () => {
    const first = create({ size: 10, minNr: 1 });
    const second = create({ size: 20, minNr: 1 });
    expect(second.heap).toBe(first.heap);
    expect(createHeap().stats().pools).toBe(0);
    expect(first.heap).not.toBe(createHeap());
    const addresses = [...take(first, 1000)];
    expectElements(first.heap, addresses, 10, 2);
    expectSound(first.heap);
    first.exit();
    second.exit();
    freeAll(first, addresses);
    expect(first.heap.stats().pools).toBe(0);
    // the default heap outlives its pools
    const third = create({ size: 30, minNr: 1 });
    expect(third.heap).toBe(first.heap);
    third.exit();
  });

  test("the default heap grows", () => {
    const pool = create({ size: PAGE, minNr: 1 });
    const before = pool.heap.memory.buffer.byteLength;
    const addresses = drain(pool, 400);
    expect(addresses).toHaveLength(400);
    expect(pool.heap.memory.buffer.byteLength).toBeGreaterThan(before);
    expectElements(pool.heap, addresses, PAGE, 16);
    freeAll(pool, addresses);
    pool.exit();
  });

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["a number", 64],
    ["a string", "64"],
    ["an array", [64, 4]],
    ["a function", () => 64],
    ["a boolean", true],
    ["a symbol", Symbol("options")],
    ["an empty object", {}],
  ])("refuses %s for options", (_name, options) => {
    expect(errorFrom(() => createWith(options)).code).toBe("ERR_INVALID_ARGUMENT");
  });

  test("accepts frozen options", () => {
    const bare = Object.assign(Object.create(null) as object, { size: 10, minNr: 1 });
    createWith(bare).exit();
    create(Object.freeze({ size: 10, minNr: 1 })).exit();
  });

  test("an error has a code and a readable stack", () => {
    const error = errorFrom(() => createWith({ size: 0, minNr: 1 }));
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(MempoolError);
    expect(error.stack).toContain("create.test.ts");
  });
});
