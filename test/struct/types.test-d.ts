import { expectTypeOf, test } from "vitest";
import type { Views } from "../../src/core/views.ts";
import {
  array,
  bool,
  f32,
  f64,
  flexible,
  i32,
  pointer,
  struct,
  u64,
  u8,
  type ArrayView,
  type Cursor,
  type HasViews,
  type Pointer,
  type Ptr,
  type StructType,
} from "../../src/struct/index.ts";

declare const heap: { readonly views: Views; readonly other: string };

const Vec = struct({ x: f64, y: f64 });
const Item = struct({ key: u8, pos: Vec });
const R = struct({
  id: u64,
  n: i32,
  ok: bool,
  pos: Vec,
  m: array(array(i32, 3), 2),
  items: array(Item, 2),
  bios: flexible(pointer(Vec)),
});

test("fields", () => {
  const r = R.at(heap, 8);
  expectTypeOf(r.id).toEqualTypeOf<bigint>();
  expectTypeOf(r.n).toEqualTypeOf<number>();
  expectTypeOf(r.ok).toEqualTypeOf<boolean>();
  expectTypeOf(r.pos.x).toEqualTypeOf<number>();
  expectTypeOf(r.address).toEqualTypeOf<Ptr<typeof R>>();
  expectTypeOf(r.pos.address).toEqualTypeOf<number>();
  expectTypeOf(r.bios).toEqualTypeOf<ArrayView<Pointer>>();
  expectTypeOf(r.bios.get(0)).toEqualTypeOf<number>();
  expectTypeOf(r.m.get(0).get(0)).toEqualTypeOf<number>();
  expectTypeOf(r.items.get(0).pos.y).toEqualTypeOf<number>();
  expectTypeOf([...r.items][0]!.key).toEqualTypeOf<number>();
  expectTypeOf(r.move(8)).toEqualTypeOf<Cursor<typeof R>>();
  r.id = 1n;
  r.ok = true;
  r.pos.x = 1;
  r.bios[1] = 5;
  r.bios.set(0, 1);
  r.m[0]![1] = 2;
  r.items[0]!.pos.x = 1;

  // @ts-expect-error a u64 is a bigint
  r.id = 1;
  // @ts-expect-error a bool is a boolean
  r.ok = 1;
  // @ts-expect-error there is no such field
  void r.nope;
  // @ts-expect-error a nested struct is not assigned
  r.pos = Vec.at(heap, 8);
  // @ts-expect-error only move changes it
  r.address = 8;
  // @ts-expect-error a pointer is a number
  r.bios[0] = 1n;
  // @ts-expect-error elements that are structs are not assigned
  r.items.set(0, r.items.get(0));
  // @ts-expect-error nor so
  r.items[0] = r.items.get(0);
  // @ts-expect-error only the cursor moves
  void r.pos.move;
});

test("offsetof", () => {
  expectTypeOf(R.offsetof).parameter(0).toEqualTypeOf<"id" | "n" | "ok" | "pos" | "m" | "items" | "bios">();
  expectTypeOf(R.offsetof("bios", 3)).toEqualTypeOf<number>();
  R.offsetof("m", 2);
  R.offsetof("m");
  // @ts-expect-error there is no such field
  R.offsetof("nope");
  // @ts-expect-error no array
  R.offsetof("n", 1);
  // @ts-expect-error no array either
  R.offsetof("pos", 1);
  expectTypeOf(R.sizeof).toEqualTypeOf<number>();
  expectTypeOf(R.fields[0]!.name).toEqualTypeOf<"id" | "n" | "ok" | "pos" | "m" | "items" | "bios">();
});

test("at", () => {
  expectTypeOf<typeof heap>().toExtend<HasViews>();
  R.at(heap, 8, 4);
  struct({ n: i32, r: R }).at(heap, 8, 4);
  // @ts-expect-error no flexible array to give a length for
  Vec.at(heap, 8, 4);
  // @ts-expect-error no views
  Vec.at({}, 8);
  // @ts-expect-error an address is a number
  Vec.at(heap, 8n);
});

test("definitions", () => {
  // A struct may point to itself, or ahead, without annotations.
  const List = struct({ value: i32, next: pointer(() => List) });
  expectTypeOf(List.at(heap, 8).next).toEqualTypeOf<number>();
  expectTypeOf(List).toExtend<StructType>();
  expectTypeOf(R).toExtend<StructType>();
  // @ts-expect-error types are values, not text
  struct({ a: "u8" });
  // @ts-expect-error an array has a length
  array(u8);
  // @ts-expect-error of a type
  array("u8", 2);
});

test("cursor", () => {
  expectTypeOf(R.cursor(heap)).toEqualTypeOf<Cursor<typeof R>>();
  R.cursor(heap, 4);
  // @ts-expect-error no flexible array to give a length for
  Vec.cursor(heap, 4);
  // @ts-expect-error no views
  Vec.cursor({});
});

test("addresses", () => {
  const vec = Vec.cursor(heap);
  const any: number = 8;
  const maybe = 0 as Ptr<typeof Vec> | 0;
  vec.move(any);
  if (maybe) vec.move(maybe);
  if (maybe !== 0) Vec.at(heap, maybe);
  vec.move(vec.address);
  expectTypeOf<Ptr<typeof Vec>>().toExtend<number>();
  expectTypeOf<number>().not.toExtend<Ptr<typeof Vec>>();
  expectTypeOf<Ptr<typeof Vec>>().not.toExtend<Ptr<typeof Item>>();

  // @ts-expect-error it may be 0
  vec.move(maybe);
  // @ts-expect-error nor here
  Vec.at(heap, maybe);
  // @ts-expect-error 0 is no address
  vec.move(0);
  // @ts-expect-error the address of another struct
  vec.move(Item.cursor(heap).address);
  // @ts-expect-error the same
  Vec.at(heap, Item.cursor(heap).address);
});

test("field indices", () => {
  const T = struct({
    id: u64,
    ok: bool,
    next: pointer(),
    pos: Vec,
    m: array(array(f32, 4), 3),
    items: array(array(Item, 2), 2),
    tail: flexible(u8),
  });
  expectTypeOf(T.f32).toEqualTypeOf<{ readonly m: number }>();
  expectTypeOf(T.u64).toEqualTypeOf<{ readonly id: number }>();
  expectTypeOf(T.u32).toEqualTypeOf<{ readonly next: number }>();
  expectTypeOf(T.i16).toEqualTypeOf<{}>();
  expectTypeOf(T.u8.ok).toEqualTypeOf<number>();
  expectTypeOf(T.u8.tail).toEqualTypeOf<number>();
  expectTypeOf(T.u8.items.key).toEqualTypeOf<number>();
  expectTypeOf(T.u8.items.$stride).toEqualTypeOf<number>();
  expectTypeOf(T.f64.pos).toEqualTypeOf<{ readonly x: number; readonly y: number }>();
  expectTypeOf(T.f64.items.pos.x).toEqualTypeOf<number>();
  // @ts-expect-error a u64 is in no f32 view
  void T.f32.id;
  // @ts-expect-error a bool is in u8
  void T.u32.ok;
  // @ts-expect-error a struct without an f32
  void T.f32.pos;
  // @ts-expect-error a struct is no number
  void (T.f64.pos + 1);
  // @ts-expect-error an array of scalars has no stride but 1
  void T.f32.m.$stride;
  // @ts-expect-error constants
  T.f32.m = 1;
});
