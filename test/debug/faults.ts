/**
 * Faults as data. Each is planted under every build of the allocator, and those that programs in C and Zig can have, under the
 * tools of those languages: test/guests/programs/planted.c and test/guests/zig/planted.zig.
 */
import { f32, struct } from "../../src/index.ts";
import { leakReport } from "../../src/inspect.ts";
import type { Rig } from "./rig.ts";

export interface Fault {
  /** Its row in the table of docs/debug.md. */
  readonly title: string;
  /** Planted once with each. */
  readonly sizes?: readonly number[];
  readonly needsThreads?: true;
  /** The name by which the programs know it; undefined if they cannot have it. */
  readonly program?: string;
  plant(rig: Rig, by: number): void | Promise<void>;
}

const SIZE = 48;
const sizes = [1, 4, 8, 64];
const MARK = 9;

/** An element between two others, of which a fault may have one freed. */
function planted(
  rig: Rig,
  gone: "before" | "behind" | undefined,
  place: (...three: number[]) => [number, number],
): void {
  const pool = rig.pool(SIZE);
  const others: number[] = [];
  const mine: number[] = [];
  for (let i = 0; i < 8; i++) {
    others.push(rig.step("other alloc", () => pool.alloc()));
    mine.push(rig.step("alloc", () => pool.alloc()));
  }
  others.push(pool.alloc());
  const all = [...others, ...mine].toSorted((a, b) => a - b);
  const element = mine[4]!;
  const [before, behind] = [-1, 1].map((step) => all[all.indexOf(element) + step]!) as [number, number];
  if (!others.includes(before) || !others.includes(behind)) throw new Error("these elements are no neighbours");
  const freed = gone && { before, behind }[gone];
  if (freed) rig.step("other free", () => pool.free(freed));
  const [from, to] = place(before, element, behind);
  rig.step("write", () => rig.heap.u8.fill(MARK, from, to));
  rig.step("free", () => pool.free(element));
  for (const at of [...others, ...mine]) if (at !== freed && at !== element) pool.free(at);
}

const Node = struct({ x: f32, y: f32 });

/** A cursor on an element that is freed. With a `maxNr` of 1 the next alloc gets the element again. */
function cursorOnFreed(rig: Rig, maxNr?: number) {
  const pool = rig.heap.create({ size: Node, minNr: 0, name: "nodes", ...(maxNr && { maxNr }) });
  const at = rig.step("alloc", () => pool.alloc());
  const cursor = Node.cursor(rig.heap).move(at as never);
  rig.step("free", () => pool.free(at as never));
  return { pool, cursor };
}

function freedElement(rig: Rig) {
  const pool = rig.pool(SIZE);
  const at = rig.step("alloc", () => pool.alloc());
  rig.step("free", () => pool.free(at));
  return { pool, at };
}

export const faults: readonly Fault[] = [
  {
    title: "1, 4, 8 or 64 bytes written just behind an element",
    sizes,
    program: "behind",
    plant: (rig, by) => planted(rig, undefined, (_, at) => [at! + SIZE, at! + SIZE + by]),
  },
  {
    title: "100 bytes written just behind an element",
    sizes: [100],
    program: "behind",
    plant: (rig, by) => planted(rig, undefined, (_, at) => [at! + SIZE, at! + SIZE + by]),
  },
  {
    title: "1, 4, 8 or 64 bytes written just before an element",
    sizes,
    program: "before",
    plant: (rig, by) => planted(rig, undefined, (_, at) => [at! - by, at!]),
  },
  {
    title: "1 to 64 bytes written into the next element, which is live",
    sizes,
    program: "behind-live",
    plant: (rig, by) => planted(rig, undefined, (_, _at, behind) => [behind!, behind! + Math.min(by, SIZE)]),
  },
  {
    title: "1 to 64 bytes written into the previous element, which is live",
    sizes,
    program: "before-live",
    plant: (rig, by) => planted(rig, undefined, (before) => [before! + Math.max(0, SIZE - by), before! + SIZE]),
  },
  {
    title: "1 to 64 bytes written into the next element, which is free",
    sizes,
    program: "behind-free",
    plant: (rig, by) => planted(rig, "behind", (_, _at, behind) => [behind!, behind! + Math.min(by, SIZE)]),
  },
  {
    title: "1 to 64 bytes written into the previous element, which is free",
    sizes,
    program: "before-free",
    plant: (rig, by) => planted(rig, "before", (before) => [before! + Math.max(0, SIZE - by), before! + SIZE]),
  },
  {
    title: "8 bytes written before the first element of a pool",
    plant(rig) {
      const pool = rig.pool(SIZE);
      const all = Array.from({ length: 8 }, () => rig.step("alloc", () => pool.alloc()));
      const first = Math.min(...all);
      rig.step("write", () => rig.heap.u8.fill(0xff, first - 8, first));
    },
  },
  {
    title: "write past an element of the size before a reshape",
    plant(rig) {
      const pool = rig.heap.create({ size: (bytes: number) => bytes, data: 16, minNr: 2, name: "nodes" });
      const at = rig.step("alloc", () => pool.alloc());
      pool.reshape(SIZE);
      rig.step("write", () => rig.heap.u8.fill(MARK, at, at + SIZE));
      rig.step("free", () => pool.free(at));
    },
  },
  {
    title: "write after free",
    program: "write",
    plant(rig) {
      const { at } = freedElement(rig);
      rig.step("write", () => (rig.heap.u8[at + 8] = MARK));
    },
  },
  {
    title: "read after free",
    program: "read",
    plant(rig) {
      const { at } = freedElement(rig);
      rig.step("read", () => rig.heap.u8[at + 8]);
    },
  },
  {
    title: "write through a cursor after free",
    plant(rig) {
      const { cursor } = cursorOnFreed(rig);
      rig.step("write", () => (cursor.x = MARK));
    },
  },
  {
    title: "read through a cursor after free",
    plant(rig) {
      const { cursor } = cursorOnFreed(rig);
      rig.step("read", () => cursor.x);
    },
  },
  {
    title: "the same, once another alloc has got the element",
    plant(rig) {
      const { pool, cursor } = cursorOnFreed(rig, 1);
      rig.step("second alloc", () => pool.alloc());
      rig.step("read", () => cursor.x);
    },
  },
  {
    title: "free after free",
    program: "free",
    plant(rig) {
      const { pool, at } = freedElement(rig);
      rig.step("second free", () => pool.free(at));
    },
  },
  {
    title: "free after free by another thread",
    needsThreads: true,
    program: "thread-free",
    async plant(rig) {
      const { pool, at } = freedElement(rig);
      await rig.inWorker("second free", "free", pool, at);
    },
  },
  {
    title: "free by two threads at the same instant",
    needsThreads: true,
    program: "thread-race",
    plant: (rig) => rig.race("free", rig.pool(SIZE)),
  },
  {
    title: "free of an address inside an element",
    program: "inside",
    plant(rig) {
      const pool = rig.pool(SIZE);
      const at = rig.step("alloc", () => pool.alloc());
      rig.step("free", () => pool.free(at + 16));
    },
  },
  {
    title: "free to the wrong pool",
    plant(rig) {
      const [pool, other] = [rig.pool(SIZE), rig.pool(SIZE)];
      const at = rig.step("alloc", () => pool.alloc());
      rig.step("free", () => other.free(at));
    },
  },
  {
    title: "leak",
    program: "leak",
    plant(rig) {
      const pool = rig.pool(SIZE);
      rig.step("alloc", () => pool.alloc());
      rig.tell("", "leakReport", leakReport(pool).toString());
    },
  },
  {
    title: "leak in a worker that ended",
    needsThreads: true,
    program: "thread-leak",
    async plant(rig) {
      const pool = rig.pool(SIZE);
      await rig.inWorker("alloc", "alloc", pool);
      await rig.endWorker();
      rig.tell("", "leakReport", leakReport(pool).toString());
    },
  },
];
