/** Cursors: every scalar against DataView, arrays, nesting, growth, garbage. */
import { PerformanceObserver, constants } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Views } from "../../src/core/views.ts";
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

const newHeap = (pages = 1, shared = false) => ({
  views: new Views(new WebAssembly.Memory({ initial: pages, maximum: 16, shared })),
});
const invalid = (message: RegExp | string) =>
  expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", message: expect.stringMatching(message) });

const All = struct({
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  f32,
  f64,
  bool,
  pointer: pointer(),
});

const read = (view: DataView, name: string, at: number): unknown =>
  ({
    i8: () => view.getInt8(at),
    u8: () => view.getUint8(at),
    i16: () => view.getInt16(at, true),
    u16: () => view.getUint16(at, true),
    i32: () => view.getInt32(at, true),
    u32: () => view.getUint32(at, true),
    i64: () => view.getBigInt64(at, true),
    u64: () => view.getBigUint64(at, true),
    f32: () => view.getFloat32(at, true),
    f64: () => view.getFloat64(at, true),
    bool: () => view.getUint8(at) === 1,
    pointer: () => view.getUint32(at, true),
  })[name]!();

describe("scalars", () => {
  const numbers = [
    0,
    -0,
    1,
    -1,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
  ].concat([-(2 ** 31), 0.1, 1e300, -1e300, 5e-324, Infinity, -Infinity, Number.NaN, Number.MAX_SAFE_INTEGER]);
  const bigints = [0n, 1n, -1n, 2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), 2n ** 64n - 1n, 2n ** 64n + 5n];

  test.each([8, 65536 - All.sizeof])("every scalar at %i reads and writes as in a DataView", (address) => {
    const heap = newHeap();
    const cursor = All.at(heap, address) as unknown as Record<string, unknown>;
    const view = new DataView(heap.views.memory.buffer);
    for (const { name, type, offset } of All.fields) {
      const values = type === bool ? [true, false] : type === i64 || type === u64 ? bigints : numbers;
      for (const value of values) {
        heap.views.u8.fill(0xa5);
        const before = heap.views.u8.slice();
        cursor[name] = value;
        expect(cursor[name]).toEqual(read(view, name, address + offset));
        if (type === f64 || type === bool) expect(cursor[name]).toBe(value);
        before.set(heap.views.u8.subarray(address + offset, address + offset + type.sizeof), address + offset);
        expect(Buffer.compare(before, heap.views.u8)).toBe(0);
      }
    }
  });

  test("random bytes read as DataView reads them", () => {
    const heap = newHeap();
    const cursor = All.at(heap, 8);
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: All.sizeof, maxLength: All.sizeof }),
        fc.integer({ min: 1, max: 8000 }),
        (bytes, n) => {
          heap.views.u8.set(bytes, n * 8);
          cursor.move(n * 8);
          const view = new DataView(heap.views.memory.buffer);
          for (const { name, type, offset } of All.fields) {
            if (type !== bool) expect((cursor as any)[name]).toEqual(read(view, name, n * 8 + offset));
          }
        },
      ),
    );
  });

  test("any byte but 0 is true", () => {
    const heap = newHeap();
    const cursor = All.at(heap, 8);
    heap.views.u8[8 + All.offsetof("bool")] = 2;
    expect(cursor.bool).toBe(true);
    (cursor as { bool: unknown }).bool = "yes";
    expect(heap.views.u8[8 + All.offsetof("bool")]).toBe(1);
  });
});

describe("cursors", () => {
  const Vec = struct({ x: f32, y: f32 });
  const Item = struct({ key: u16, pos: Vec });
  const Rec = struct({
    id: u32,
    pos: Vec,
    m: array(array(i16, 3), 2),
    items: array(Item, 4),
    ptrs: array(pointer(), 2),
    tail: flexible(u64),
  });

  test("the documented example works", () => {
    const heap = newHeap();
    const R1Bio = struct({ sector: u64, remaining: i32, bios: flexible(pointer()) });
    const bio = R1Bio.at(heap, 64);
    bio.sector = 8n;
    bio.bios[1] = 4096;
    expect([bio.bios[0], bio.bios[1], bio.sector, bio.address]).toEqual([0, 4096, 8n, 64]);
    expect(heap.views.u32[(64 + R1Bio.offsetof("bios", 1)) / 4]).toBe(4096);
    expect(bio.move(128)).toBe(bio);
    expect([bio.address, bio.sector, bio.bios[1]]).toEqual([128, 0n, 0]);
  });

  test("nested structs and arrays follow the cursor", () => {
    const heap = newHeap();
    const rec = Rec.at(heap, 80, 2);
    const { pos, items, m } = rec;
    for (const address of [80, 800]) {
      rec.move(address);
      pos.x = 1.5;
      items[2]!.pos.y = 2.5;
      m[1]![2] = -7;
      rec.tail[1] = 3n;
      expect(heap.views.f32[(address + Rec.offsetof("pos")) / 4]).toBe(1.5);
      const y = address + Rec.offsetof("items", 2) + Item.offsetof("pos") + Vec.offsetof("y");
      expect(heap.views.f32[y / 4]).toBe(2.5);
      expect(heap.views.i16[(address + Rec.offsetof("m", 1) + 4) / 2]).toBe(-7);
      expect(heap.views.u64[(address + Rec.offsetof("tail", 1)) / 8]).toBe(3n);
      expect([pos.address, items[3]!.address]).toEqual([
        address + Rec.offsetof("pos"),
        address + Rec.offsetof("items", 3),
      ]);
    }
    expect(rec.pos).toBe(pos);
    expect(rec.items[2]).toBe(items.get(2));
  });

  test("elements do not alias", () => {
    const rec = Rec.at(newHeap(), 80);
    rec.items[1]!.key = 7;
    rec.items[0]!.key = rec.items[1]!.key;
    expect([rec.items[0]!.key, rec.items[1]!.key]).toEqual([7, 7]);
    rec.m[0]![0] = 5;
    rec.m[1]![0] = rec.m[0]![0]!;
    expect(Array.from(rec.m, (row) => Array.from(row))).toEqual([
      [5, 0, 0],
      [5, 0, 0],
    ]);
  });

  test("accesses beyond the end of an array throw", () => {
    const heap = newHeap();
    const rec = Rec.at(heap, 80, 3);
    const before = heap.views.u8.slice();
    expect([rec.ptrs.length, rec.tail.length, rec.m.length, rec.m[0]!.length]).toEqual([2, 3, 2, 3]);
    expect(Rec.at(heap, 80, 100).tail[99]).toBe(0n); // accessors for 100 exist now, which must change nothing here
    expect([rec.ptrs[2], rec.ptrs[99], rec.ptrs[-1], rec.tail[3]]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    for (const i of [2, 99, 1e6, -1, 0.5]) expect(() => (rec.ptrs[i] = 1)).toThrow();
    for (const i of [2, -1, 0.5, Number.NaN, 2 ** 32]) {
      expect(() => rec.ptrs.get(i)).toThrow(invalid(`from 0 to 1, got ${i}`));
      expect(() => rec.ptrs.set(i, 1)).toThrow(invalid(`from 0 to 1, got ${i}`));
    }
    expect(() => rec.ptrs.get("1" as unknown as number)).toThrow(invalid('got "1"'));
    expect(() => rec.items.get(4)).toThrow(invalid("from 0 to 3, got 4"));
    expect(heap.views.u8).toEqual(before);
  });

  test("an array of unknown length ends with the memory", () => {
    const heap = newHeap();
    const rec = Rec.at(heap, 80);
    const count = (65536 - 80 - Rec.offsetof("tail")) / 8;
    expect(rec.tail.length).toBe(count);
    rec.tail.set(count - 1, 9n);
    expect(heap.views.u64.at(-1)).toBe(9n);
    expect(() => rec.tail.set(count, 9n)).toThrow(invalid(`got ${count}`));
    rec.move(800);
    expect(() => rec.tail.get(count - 1)).toThrow(invalid("from 0 to"));
    heap.views.memory.grow(1);
    rec.tail.set(count, 10n);
    expect(rec.tail.get(count)).toBe(10n);
    rec.tail[1023] = 11n;
    expect(rec.tail[1023]).toBe(11n);
    expect(() => (rec.tail[70_000] = 1n)).toThrow(TypeError);
  });

  test("addresses do not wrap round at 4 GiB", (context) => {
    let heap: { views: Views };
    try {
      heap = { views: new Views(new WebAssembly.Memory({ initial: 65536 })) };
    } catch (error) {
      return context.skip(`no 4 GiB of address space: ${String(error)}`);
    }
    const T = struct({ n: u32, list: flexible(array(u8, 64)) });
    const cursor = T.at(heap, 2 ** 32 - 4);
    cursor.n = 2 ** 32 - 1;
    expect([cursor.address, cursor.n, heap.views.u32.at(-1)]).toEqual([2 ** 32 - 4, 2 ** 32 - 1, 2 ** 32 - 1]);
    for (const i of [0, 1, 2 ** 26, 2 ** 32 - 1]) expect(() => cursor.list.get(i)).toThrow(invalid(`got ${i}`));
    expect(() => T.at(heap, 2 ** 32 - 4, 1)).toThrow(invalid("address"));
    cursor.move(2 ** 31 - 4);
    cursor.list.get(0).set(63, 7);
    expect(heap.views.u8[2 ** 31 + 63]).toBe(7);
  });

  test("a write to an unknown property throws", () => {
    const rec = Rec.at(newHeap(), 80) as any;
    expect(() => (rec.typo = 1)).toThrow(TypeError);
    expect(() => (rec.pos.z = 1)).toThrow(TypeError);
    expect(() => (rec.pos = {})).toThrow(TypeError);
    expect(() => (rec.address = 8)).toThrow(TypeError);
    expect(() => (rec.items[0] = {})).toThrow(TypeError);
    expect("move" in rec.pos).toBe(false);
  });

  test("a refused move leaves the cursor in place", () => {
    const heap = newHeap();
    const cursor = All.at(heap, 8);
    const message = (got: string) =>
      invalid(`address must be a multiple of 8 from 8 to ${65536 - All.sizeof}, got ${got}(\\D|$)`);
    for (const bad of [
      0,
      -0,
      -8,
      12,
      8.5,
      Number.NaN,
      Infinity,
      2 ** 32,
      65536,
      65536 - All.sizeof + 8,
      undefined,
      null,
    ]) {
      expect(() => cursor.move(bad as number)).toThrow(message(String(bad)));
      expect(() => All.at(heap, bad as number)).toThrow(message(String(bad)));
    }
    expect(() => cursor.move("8" as unknown as number)).toThrow(message('"8"'));
    expect(() => cursor.move(8n as unknown as number)).toThrow(message("8"));
    expect(cursor.move(65536 - All.sizeof).address).toBe(65536 - All.sizeof);
    expect(() => cursor.move(65536)).toThrow();
    expect(cursor.address).toBe(65536 - All.sizeof);
  });

  test("the length counts for the end of memory", () => {
    const heap = newHeap();
    const at = Rec.at.bind(Rec) as (h: unknown, address: number, length?: unknown) => unknown;
    for (const bad of [-1, 0.5, "1", null, 2 ** 32, 2 ** 31]) {
      expect(() => at(heap, 80, bad)).toThrow(invalid("length must be .*got"));
    }
    expect(() => (All.at as any).call(All, heap, 8, 1)).toThrow(invalid("length must be"));
    expect(() => (All.at as any).call(All, {}, 8)).toThrow(invalid("heap must be a heap or { views }, got an object"));
    const size = Rec.offsetof("tail", 4);
    expect(Rec.at(heap, 65536 - size, 4).tail.get(3)).toBe(0n);
    expect(() => Rec.at(heap, 65536 - size, 5)).toThrow(invalid("address"));
    expect([...Rec.at(heap, 80, 0).tail]).toEqual([]);
    const Outer = struct({ n: u32, rec: Rec });
    expect(Outer.at(heap, 80, 3).rec.tail.length).toBe(3);
    // An element of offsetof bytes may end before sizeof bytes.
    const Short = struct({ n: u64, b: u8, list: flexible(u8) });
    expect([Short.sizeof, Short.offsetof("list", 1)]).toEqual([16, 10]);
    const heapEnd = struct({ b: u8, h: u16, list: flexible(u8) });
    expect(heapEnd.at(heap, 65536 - 4, 0).list.length).toBe(0);
  });
});

describe("a cursor on no struct yet", () => {
  const T = struct({
    ...Object.fromEntries(All.fields.map(({ name, type }) => [name, type])),
    nested: struct({ x: f32 }),
    list: array(u32, 2),
    tail: flexible(u32),
  });
  const unmoved = invalid("the cursor is on no struct yet");

  test.each(All.fields.map(({ name }) => name))("%s neither reads nor writes", (name) => {
    const heap = newHeap();
    const before = heap.views.u8.slice();
    const cursor = T.cursor(heap) as any;
    expect(() => cursor[name]).toThrow(unmoved);
    expect(() => (cursor[name] = name === "i64" || name === "u64" ? 1n : 1)).toThrow(unmoved);
    expect(heap.views.u8).toEqual(before);
  });

  test.each([undefined, 2])("its nested objects throw with a length of %s", (length) => {
    const cursor = T.cursor(newHeap(), length) as any;
    expect(() => cursor.nested.x).toThrow(unmoved);
    expect(() => cursor.list.get(1)).toThrow(unmoved);
    expect(() => cursor.list.set(1, 1)).toThrow(unmoved);
    expect(() => cursor.tail.get(1)).toThrow(unmoved);
    expect(() => cursor.toJSON()).toThrow(unmoved);
  });

  test("its address is 0", () => {
    const cursor = T.cursor(newHeap()) as any;
    expect([cursor.address, cursor.nested.address, cursor.list.address]).toEqual([0, 0, 0]);
  });

  test("a console can show it", () => {
    const cursor = T.cursor(newHeap());
    expect(inspect(cursor)).toContain("address: 0");
    expect(inspect((cursor as any).list)).toContain("address: 0");
  });

  test("it works once it is moved", () => {
    const heap = newHeap();
    const cursor = All.cursor(heap);
    heap.views.memory.grow(1);
    cursor.move(65536 + 8).u32 = 7;
    expect([cursor.address, cursor.u32, heap.views.refresh().u32[(65536 + 8 + All.offsetof("u32")) >>> 2]]).toEqual([
      65536 + 8,
      7,
      7,
    ]);
  });

  test("a failed first move leaves it on no struct", () => {
    const cursor = All.cursor(newHeap());
    expect(() => cursor.move(65536)).toThrow(invalid("address must be a multiple of 8 from 8 to"));
    expect(() => cursor.move(0 as number)).toThrow(invalid("alloc gives 0"));
    expect(() => cursor.u32).toThrow(unmoved);
    expect(cursor.address).toBe(0);
  });
});

describe.each([
  ["plain", false],
  ["shared", true],
])("growth of %s memory", (_, shared) => {
  const T = struct({ ...Object.fromEntries(All.fields.map(({ name, type }) => [name, type])), list: array(u32, 2) });

  test.each([
    ["by memory.grow", (memory: WebAssembly.Memory) => memory.grow(1)],
    [
      "by memory.grow, another reader refreshing first",
      (memory: WebAssembly.Memory, views: Views) => {
        memory.grow(1);
        views.refresh();
      },
    ],
  ])("%s loses no write", (_name, grow) => {
    for (const field of T.fields.map(({ name }) => name)) {
      const heap = newHeap(1, shared);
      const cursor = T.at(heap, 8) as any;
      const { list } = cursor;
      const set = (n: number): void => {
        if (field === "list") list.set(1, n);
        else cursor[field] = field === "bool" ? n > 0 : /64/.test(field) && field !== "f64" ? BigInt(n) : n;
      };
      const get = (): number => Number(field === "list" ? list.get(1) : cursor[field]);
      set(1);
      grow(heap.views.memory, heap.views);
      expect(get()).toBe(1);
      set(0);
      expect(get()).toBe(0);
      grow(heap.views.memory, heap.views);
      set(1); // the first access after growth is a write
      expect(get()).toBe(1);
      grow(heap.views.memory, heap.views);
      cursor.move(65536 * 2 + 8);
      set(1);
      expect(get()).toBe(1);
      cursor.move(8);
      expect(get()).toBe(1);
    }
  });

  test("arrays of one cursor survive several growths", () => {
    const heap = newHeap(1, shared);
    const cursor = T.at(heap, 8) as any;
    for (let pages = 2; pages < 6; pages++) {
      heap.views.memory.grow(1);
      cursor.u8 = pages; // looks at bytes only
      cursor.move(65536 * (pages - 1) + 8);
      cursor.f64 = 1.5;
      cursor.list.set(1, pages);
      expect([cursor.f64, cursor.list.get(1), cursor.u8]).toEqual([1.5, pages, 0]);
      cursor.move(8);
      expect([cursor.u8, cursor.f64]).toEqual([pages, 0]);
    }
  });
});

const address = (i: number): number => 64 + (i & 1023) * 96;

describe("a million turns of a loop make no garbage", () => {
  const Node = struct({
    a: i32,
    b: u32,
    v: f64,
    flag: bool,
    next: pointer(() => Node),
    pos: struct({ x: f32, y: f32 }),
    items: array(struct({ key: u16 }), 4),
    list: flexible(u32),
  });
  const heap = newHeap(4);
  const node = Node.at(heap, 64, 4);
  const open = Node.at(heap, 64);
  const { x, y } = Node.f32.pos;
  const f = heap.views.f32;

  test.each<[string, (i: number) => void]>([
    ["move", (i) => void node.move(address(i))],
    ["integers", (i) => void (node.move(address(i)).a += node.b = i)],
    ["f64", (i) => void (node.move(address(i)).v += 0.5)],
    ["bool", (i) => void (node.move(address(i)).flag = !node.flag)],
    ["pointer", (i) => void (node.move(address(i)).next = node.address)],
    ["nested", (i) => void (node.move(address(i)).pos.x += node.pos.y)],
    ["field indices", (i) => void (f[(address(i) >>> 2) + x]! += f[(address(i) >>> 2) + y]! * 0.5)],
    ["elements", (i) => void node.move(address(i)).list.set(i & 3, node.list.get(0) + 1)],
    ["elements of unknown length", (i) => void open.move(address(i)).list.set(i & 3, open.list.get(0) + 1)],
    ["elements in brackets", (i) => void (node.move(address(i)).list[1] = i)],
    ["structs in an array", (i) => void node.move(address(i)).items.get(i & 3).key++],
  ])("%s", async (_, turn) => {
    const work = (n: number): void => {
      for (let i = 0; i < n; i++) turn(i);
    };
    for (let i = 0; i < 20; i++) work(10_000);
    let collections = 0;
    let grown = 0;
    const observer = new PerformanceObserver((list) => {
      const kinds = list.getEntries().map((entry) => (entry as unknown as { detail: { kind: number } }).detail.kind);
      collections += kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR).length;
    });
    observer.observe({ entryTypes: ["gc"] });
    // The smallest object in each turn would be 12 MB. One collection may be due to earlier garbage. The compiler, a thread
    // of its own, may come late.
    for (let i = 0; i === 0 || grown >= 1_000_000 || collections > 1; i++) {
      expect(i, `${grown} bytes, ${collections} collections`).toBeLessThan(20);
      collections = 0;
      const before = process.memoryUsage().heapUsed;
      work(1_000_000);
      grown = process.memoryUsage().heapUsed - before;
      await sleep(5);
    }
    observer.disconnect();
  });
});
