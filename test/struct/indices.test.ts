/** Field indices: each leads to the bytes that a cursor's field leads to. */
import { describe, expect, test } from "vitest";
import { createHeap, Views, type Ptr } from "../../src/index.ts";
import {
  array,
  bool,
  f32,
  f64,
  flexible,
  i16,
  i32,
  i64,
  i8,
  pointer,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "../../src/struct/index.ts";

const names = ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"] as const;
const shift = { i8: 0, u8: 0, i16: 1, u16: 1, i32: 2, u32: 2, f32: 2, i64: 3, u64: 3, f64: 3 };
const All = struct({ i8, u8, i16, u16, i32, u32, i64, u64, f32, f64 });
const newHeap = (initial = 1) => ({ views: new Views(new WebAssembly.Memory({ initial })) });

describe("scalars", () => {
  test.each(names)("%s is only in its own view", (name) => {
    const heap = newHeap();
    const cursor = All.at(heap, 136) as unknown as Record<string, number | bigint>;
    const value = name === "i64" || name === "u64" ? 7n : 7;
    const index = (All[name] as Record<string, number>)[name]!;
    heap.views[name][(136 >>> shift[name]) + index] = value;
    expect(cursor[name]).toBe(value);
    expect(Object.keys(All[name])).toEqual([name]);
  });

  test("a bool is in u8, a pointer in u32", () => {
    const T = struct({ a: u32, ok: bool, next: pointer() });
    expect(T.u8).toEqual({ ok: 4 });
    expect(T.u32).toEqual({ a: 0, next: 2 });
  });

  test("a view of which the struct has no field has no indices", () => {
    expect(struct({ a: u32 }).f64).toEqual({});
  });

  test("names that objects have already may be fields", () => {
    const T = struct({ toString: u32, ["__proto__"]: u32 });
    expect(Object.entries(T.u32)).toEqual([
      ["toString", 0],
      ["__proto__", 1],
    ]);
  });
});

describe("nested structs and arrays", () => {
  const Item = struct({ n: u32, w: f32 });
  const T = struct({
    id: u32,
    pos: struct({ x: f32, y: f32 }),
    m: array(array(f32, 4), 3),
    items: array(Item, 8),
    grid: array(array(Item, 5), 2),
    tail: flexible(struct({ at: u64, bytes: array(u8, 3) })),
  });

  test("indices are counted from the outermost struct", () => {
    expect(T.f32).toEqual({
      pos: { x: 1, y: 2 },
      m: 3,
      items: { $stride: 2, w: 16 },
      grid: { $stride: 2, w: 32 },
    });
    expect(T.u64).toEqual({ tail: { $stride: 2, at: T.offsetof("tail") / 8 } });
    expect(T.u8).toEqual({ tail: { $stride: 16, bytes: T.offsetof("tail") + 8 } });
  });

  test("each index leads to the bytes of the cursor's field", () => {
    const heap = newHeap();
    const at = 160;
    const cursor = T.at(heap, at, 2);
    const { f32: f, u8: bytes, u64: longs } = heap.views;
    const { pos, m, items, grid } = T.f32;
    f[(at >>> 2) + pos.y] = 0.5;
    f[(at >>> 2) + m + 2 * 4 + 1] = 1.5;
    f[(at >>> 2) + items.w + 7 * items.$stride] = 2.5;
    f[(at >>> 2) + grid.w + (1 * 5 + 4) * grid.$stride] = 3.5;
    longs[(at >>> 3) + T.u64.tail.at + T.u64.tail.$stride] = 4n;
    bytes[at + T.u8.tail.bytes + T.u8.tail.$stride + 2] = 5;
    expect([cursor.pos.y, cursor.m.get(2).get(1), cursor.items.get(7).w]).toEqual([0.5, 1.5, 2.5]);
    expect([cursor.grid.get(1).get(4).w, cursor.tail.get(1).at, cursor.tail.get(1).bytes.get(2)]).toEqual([3.5, 4n, 5]);
  });

  test("indices are read-only", () => {
    for (const each of [T.f32, T.f32.pos, T.f32.items, T.f64]) expect(Object.isFrozen(each)).toBe(true);
    expect(() => ((T as { f32: unknown }).f32 = {})).toThrow(TypeError);
  });
});

test("`>>>` finds fields from 2 GiB on", (context) => {
  let heap: { views: Views };
  try {
    heap = newHeap(32769);
  } catch (error) {
    return context.skip(`no 2 GiB of address space: ${String(error)}`);
  }
  const at = 2 ** 31 + 64;
  const cursor = All.at(heap, at);
  heap.views.f32[(at >>> 2) + All.f32.f32] = 0.5;
  heap.views.u64[(at >>> 3) + All.u64.u64] = 6n;
  expect([cursor.f32, cursor.u64]).toEqual([0.5, 6n]);
});

test("the indices fit a heap's own views", () => {
  const Particle = struct({ x: f32, vx: f32 });
  const heap = createHeap();
  const particles = heap.create({ size: Particle, minNr: 1, zero: true });
  const at = particles.alloc() as Ptr<typeof Particle>;
  const cursor = Particle.at(heap, at);
  cursor.vx = 0.25;
  const { x, vx } = Particle.f32;
  const f = heap.f32;
  f[(at >>> 2) + x]! += f[(at >>> 2) + vx]! * 2;
  expect(cursor.x).toBe(0.5);
});
