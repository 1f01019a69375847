/** Layouts: against a real C compiler, and by hand. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as t from "../../src/struct/index.ts";
import { array, flexible, pointer, struct, type FieldType, type StructType } from "../../src/struct/index.ts";

/** wasm32's types in the C of any 64-bit machine, where 8-byte scalars are aligned to 8 as well. */
const c = {
  i8: "int8_t",
  u8: "uint8_t",
  i16: "int16_t",
  u16: "uint16_t",
  i32: "int32_t",
  u32: "uint32_t",
  i64: "_Alignas(8) int64_t",
  u64: "_Alignas(8) uint64_t",
  f32: "float",
  f64: "_Alignas(8) double",
  bool: "_Bool",
  pointer: "uint32_t",
} as const;
type Kind = keyof typeof c;

type Shape = { kind: Kind } | { array: Shape; length: number } | { flexible: Shape } | { struct: Shape[] };

const scalar = fc.constantFrom(...(Object.keys(c) as Kind[])).map((kind): Shape => ({ kind }));
const { any } = fc.letrec<{ any: Shape }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    { arbitrary: scalar, weight: 4 },
    { arbitrary: fc.record({ array: tie("any"), length: fc.integer({ min: 1, max: 9 }) }), weight: 1 },
    {
      arbitrary: fc.array(tie("any"), { minLength: 1, maxLength: 6 }).map((fields) => ({ struct: fields })),
      weight: 1,
    },
  ),
}));
const root = fc
  .record({
    fields: fc.array(any, { minLength: 1, maxLength: 9 }),
    tail: fc.option(
      fc.oneof(
        any.map((element): Shape => ({ flexible: element })),
        fc.record({ before: any, element: any }),
      ),
      {
        nil: undefined,
      },
    ),
  })
  .map(({ fields, tail }): { struct: Shape[] } => {
    if (!tail) return { struct: fields };
    // A flexible array of its own, or the one of a struct that ends this one.
    return {
      struct: [...fields, "before" in tail ? { struct: [tail.before, { flexible: tail.element }] } : (tail as Shape)],
    };
  });

function toType(shape: Shape): FieldType {
  if ("kind" in shape) return shape.kind === "pointer" ? pointer() : t[shape.kind];
  if ("array" in shape) return array(toType(shape.array), shape.length);
  if ("flexible" in shape) return flexible(toType(shape.flexible));
  return struct(Object.fromEntries(shape.struct.map((field, i) => [`f${i}`, toType(field)])));
}

/** A C declaration of a member; structs have no tag, so that they can be written in place. */
function declare(shape: Shape, name: string): string {
  if ("kind" in shape) return `${c[shape.kind]} ${name};`;
  if ("array" in shape) return declare(shape.array, `${name}[${shape.length}]`);
  // [] belongs before the lengths of the elements, where name ends.
  if ("flexible" in shape) return declare(shape.flexible, `${name}[]`);
  return `struct { ${shape.struct.map((field, i) => declare(field, `f${i}`)).join(" ")} } ${name};`;
}

const compiler = ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0);
const noCompiler = compiler ? "" : " (skipped: there is no C compiler)";

describe("layout", () => {
  test.skipIf(!compiler && !process.env["CI"])(`is the C compiler's${noCompiler}`, () => {
    if (!compiler) throw new Error("no C compiler: layouts were compared with nothing");
    const compare = (shapes: { struct: Shape[] }[]): void => {
      const lines = shapes.map((shape, n) => {
        const numbers = shape.struct.flatMap((field, i) => {
          const indices = "array" in field ? [1, field.length] : "flexible" in field ? [0, 1, 3] : [];
          // Beyond the last element offsetof is no constant for a compiler to fold: computed from two that are.
          return [
            `offsetof(T, f${i})`,
            ...indices.map((k) => `offsetof(T, f${i}) + ${k} * sizeof(((T *)0)->f${i}[0])`),
          ];
        });
        return `{ typedef struct { ${shape.struct.map((field, i) => declare(field, `f${i}`)).join(" ")} } T;
          size_t v[] = { sizeof(T), _Alignof(T), ${numbers.join(", ")} };
          printf("${n}:"); for (size_t i = 0; i < sizeof v / sizeof *v; i++) printf(" %zu", v[i]); puts(""); }`;
      });
      // In functions of a few hundred structs: a compiler takes long over one big one.
      const chunks = Array.from({ length: Math.ceil(lines.length / 100) }, (_, k) =>
        lines.slice(k * 100, k * 100 + 100),
      );
      const source = `#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>
        ${chunks.map((chunk, k) => `static void run${k}(void) { ${chunk.join("\n")} }`).join("\n")}
        int main(void) { ${chunks.map((_, k) => `run${k}();`).join(" ")} return 0; }`;
      const directory = mkdtempSync(join(tmpdir(), "struct-"));
      try {
        writeFileSync(join(directory, "layout.c"), source);
        const program = join(directory, "layout");
        execFileSync(compiler, ["-std=gnu11", "-O0", "-w", "-o", program, join(directory, "layout.c")]);
        const output = execFileSync(program, { encoding: "utf8", maxBuffer: 1 << 26 });
        const mine = shapes.map((shape, n) => {
          const T = toType(shape) as StructType;
          const numbers = shape.struct.flatMap((field, i) => {
            const indices = "array" in field ? [1, field.length] : "flexible" in field ? [0, 1, 3] : [];
            return [T.offsetof(`f${i}`), ...indices.map((k) => T.offsetof(`f${i}`, k))];
          });
          return `${n}: ${[T.sizeof, T.alignof, ...numbers].join(" ")}`;
        });
        expect(mine).toEqual(output.trim().split("\n"));
      } finally {
        rmSync(directory, { recursive: true });
      }
    };
    // Few runs of many structs: one compilation each. Shrinking compiles again, a bounded number of times.
    fc.assert(fc.property(fc.array(root, { minLength: 600, maxLength: 600, size: "max" }), compare), {
      numRuns: 2,
      endOnFailure: true,
    });
  });

  test("of raid1's request is that of C", () => {
    const Bio = struct({ next: pointer(() => Bio), size: t.u32 });
    const R1Bio = struct({
      sector: t.u64,
      remaining: t.i32,
      state: t.u32,
      masterBio: pointer(Bio),
      bios: flexible(pointer(Bio)),
    });
    expect([R1Bio.sizeof, R1Bio.alignof]).toEqual([24, 8]);
    expect(R1Bio.offsetof("bios")).toBe(20);
    expect(R1Bio.offsetof("bios", 2)).toBe(28);
    expect(R1Bio.fields.map(({ name, type, offset, size }) => [name, type.name, offset, size])).toEqual([
      ["sector", "u64", 0, 8],
      ["remaining", "i32", 8, 4],
      ["state", "u32", 12, 4],
      ["masterBio", "pointer", 16, 4],
      ["bios", "flexible", 20, 0],
    ]);
    expect((R1Bio.fields[3]!.type as t.Pointer).target).toBe(Bio);
    expect((Bio.fields[0]!.type as t.Pointer).target).toBe(Bio);
    expect(pointer().target).toBeUndefined();
  });

  test("offsetof takes an index only for arrays", () => {
    const T = struct({ a: t.u8, list: array(t.u32, 3), tail: flexible(t.u64) });
    expect([T.offsetof("list", 0), T.offsetof("list", 3), T.offsetof("tail", 1)]).toEqual([4, 16, 24]);
    const offsetof = T.offsetof.bind(T) as (field: unknown, index?: unknown) => number;
    for (const [field, index, message] of [
      ["list", 4, "index of field list must be an integer from 0 to 3, got 4"],
      ["list", -1, /list.*got -1/],
      ["list", 0.5, /got 0.5/],
      ["list", Number.NaN, /got NaN/],
      ["list", "1", /got "1"/],
      ["tail", 1n, /tail.*from 0 to 536870909, got 1/],
      ["tail", 2 ** 29, /from 0 to 536870909, got 536870912/],
      ["tail", Infinity, /got Infinity/],
      ["a", 0, "field a must be an array to be indexed, got 0"],
      ["b", undefined, /got "b"/],
      [undefined, undefined, /got undefined/],
    ] as const) {
      expect(() => offsetof(field, index)).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", message: expect.stringMatching(message) }),
      );
    }
    expect(T.offsetof("tail", 2 ** 29 - 3)).toBe(16 + 8 * (2 ** 29 - 3));
  });
});

describe("bad definitions name the field and the value", () => {
  const Tail = struct({ n: t.u32, list: flexible(t.u32) });
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ["empty", {}, /one or more, got 0/],
    ["flexible not last", { a: t.u8, b: flexible(t.u8), c: t.u8 }, /field b .*last/],
    ["flexible alone", { a: flexible(t.u8) }, /field a .*not first.*got "flexible"/],
    ["flexible in an array", { a: t.u8, b: array(flexible(t.u8), 2) }, /field b .*last/],
    ["flexible in a flexible", { a: t.u8, b: flexible(flexible(t.u8)) }, /field b .*last/],
    ["flexible struct not last", { a: Tail, b: t.u8 }, /field a .*last.*struct/],
    ["flexible struct in an array", { a: array(Tail, 2) }, /field a .*last/],
    ["length 0", { a: array(t.u8, 0) }, /length of field a .*got 0/],
    ["length -1", { a: array(t.u8, -1) }, /length of field a .*got -1/],
    ["length 1.5", { a: array(array(t.u8, 1.5), 2) }, /length of field a .*got 1.5/],
    ["length as text", { a: array(t.u8, "2" as unknown as number) }, /length of field a .*got "2"/],
    ["no length", { a: array(t.u8, undefined as unknown as number) }, /length of field a .*got NaN/],
    ["type as text", { a: "u8" }, /type of field a .*got "u8"/],
    ["no type", { a: undefined }, /type of field a .*got undefined/],
    ["null as type", { a: null }, /type of field a .*got null/],
    ["array of no type", { a: array(undefined as unknown as FieldType, 2) }, /type of field a .*got undefined/],
    [
      "a pair as type",
      { a: [t.f32, 4] },
      /type of field a must be a scalar, as f32, or a struct\(\), array\(\) or pointer\(\), got an object/,
    ],
    ["function as type", { a: pointer }, /type of field a /],
    ["address", { address: t.u8 }, /name.*got "address"/],
    ["move", { move: t.u8 }, /name.*got "move"/],
    ["$x", { $x: t.u8 }, /name.*got "\$x"/],
    ["digits", { 0: t.u8 }, /digits, got "0"/],
    ["too big", { a: t.u8, b: array(t.u8, 2 ** 32 - 1) }, /field b .*within.*got 4294967296/],
    ["Infinity", { a: array(t.u8, Infinity) }, /field a .*got Infinity/],
  ];
  test.each(cases)("%s", (_, fields, message) => {
    expect(() => struct(fields as t.Fields)).toThrow(
      expect.objectContaining({
        name: "MempoolError",
        code: "ERR_INVALID_ARGUMENT",
        message: expect.stringMatching(message),
      }),
    );
  });
  test("a missing definition", () => {
    expect(() => struct(undefined as unknown as t.Fields)).toThrow(/one or more, got 0/);
  });
  test("other odd names are fine", () => {
    const T = struct({ constructor: t.u8, length: t.u8, toString: t.u8, ["__proto__"]: t.u8, "": t.u8, "-1": t.u8 });
    expect(T.fields.map(({ name }) => name)).toEqual(["constructor", "length", "toString", "__proto__", "", "-1"]);
  });
});
