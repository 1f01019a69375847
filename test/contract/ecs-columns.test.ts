/** The adapter for an ECS: columns in a shared heap, by the allocator interface that @thi.ng/ecs asks for. */
import { expect, test } from "vitest";
import { createSharedHeap, type SharedHeap } from "../../src/index.ts";
import { Thread } from "../threads/helpers.ts";
import { errorFrom, expectSound, MIB, random } from "./helpers.ts";

interface Columns {
  mallocAs(type: string, count: number): Float32Array | undefined;
  callocAs(type: string, count: number, fill?: number): Float32Array | undefined;
  reallocArray(column: Float32Array, count: number): Float32Array | undefined;
  freeArray(column: ArrayBufferView): boolean;
  place(type: string, count: number): { buf: ArrayBufferLike; byteOffset: number };
  release(): boolean;
}
// Plain JavaScript, as users copy it.
const path = "../../examples/ecs/columns.js";
const { Columns } = (await import(path)) as { Columns: new (heap: SharedHeap) => Columns };

const outstanding = (heap: SharedHeap): number =>
  [...heap.context.pools].reduce((sum, pool) => sum + (pool.front as { outstanding: number }).outstanding, 0);

/** Numbers that tell a column and a place. */
function fill(column: Float32Array, from: number, seed: number): void {
  for (let i = from; i < column.length; i++) column[i] = seed * 10_000 + i;
}

test("columns keep their numbers as they and the heap grow, and never overlap", () => {
  const heap = createSharedHeap({ initial: 2 ** 17, maximum: 64 * MIB });
  const columns = new Columns(heap);
  const next = random(3);
  const all: { column: Float32Array; seed: number }[] = [];
  for (let seed = 1; seed <= 300; seed++) {
    const one = all[Math.floor(next() * all.length)];
    if (one && next() < 0.5) {
      const before = one.column.length;
      one.column = columns.reallocArray(one.column, before + 1 + Math.floor(next() * before))!;
      fill(one.column, before, one.seed);
    } else {
      const column = columns.mallocAs("f32", 1 + Math.floor(next() * 2000))!;
      fill(column, 0, seed);
      all.push({ column, seed });
    }
  }
  expect(heap.memory.buffer.byteLength).toBeGreaterThan(2 ** 17);
  for (const { column, seed } of all)
    expect(column.every((value, i) => value === Math.fround(seed * 10_000 + i))).toBe(true);
  expect(outstanding(heap)).toBe(all.length);
  for (const { column } of all) expect(columns.freeArray(column)).toBe(true);
  expect(outstanding(heap)).toBe(0);
  expectSound(heap);
});

test("each type has its own array, a place is cleared, and what is no column is refused", () => {
  const heap = createSharedHeap({ maximum: 16 * MIB });
  const columns = new Columns(heap);
  for (const type of ["i8", "u8", "i16", "u16", "i32", "u32", "f32", "f64"]) {
    const column = columns.callocAs(type, 10, 7)!;
    expect([column.constructor, [...column]]).toEqual([
      (heap[type as "f32"] as object).constructor,
      Array.from({ length: 10 }, () => 7),
    ]);
    columns.freeArray(column);
    expect([...new Uint8Array(...(Object.values(columns.place(type, 10)) as [ArrayBuffer, number]), 10)]).toEqual(
      Array(10).fill(0),
    );
  }
  expect(columns.freeArray(new Float32Array(4))).toBe(false);
  expect(columns.mallocAs("f32", 2 ** 23)).toBeUndefined();
  const column = columns.mallocAs("f32", 2 ** 20)!;
  // A full heap: the old column stays.
  while (columns.mallocAs("f32", 2 ** 18));
  expect(columns.reallocArray(column, 2 ** 21)).toBeUndefined();
  columns.freeArray(column);
  expect(errorFrom(() => columns.freeArray(column)).code).toBe("ERR_DOUBLE_FREE");
  expect(columns.release()).toBe(true);
});

test("another thread works on a column", async () => {
  const heap = createSharedHeap({ maximum: 16 * MIB });
  const column = new Columns(heap).callocAs("f32", 100, 1)!;
  await new Thread().run(
    (library, shared, at, count) => {
      const { f32 } = library.attach(shared);
      for (let i = 0; i < count; i++) f32[(at >>> 2) + i]! += i;
    },
    heap.share(),
    column.byteOffset,
    column.length,
  );
  expect([...column]).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
});
