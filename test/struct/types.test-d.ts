import { expectTypeOf, test } from "vitest";
import type { Views } from "../../src/memory.ts";
import {
  array,
  bool,
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
  type StructType,
} from "../../src/struct.ts";

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
  expectTypeOf(r.address).toEqualTypeOf<number>();
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
