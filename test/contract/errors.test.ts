/** The fields of errors: which pool, which address, at which place in an array. */
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  attach,
  create,
  createHeap,
  createSharedHeap,
  f32,
  MempoolError,
  struct,
  u32,
  u64,
  type Pool,
} from "../../src/index.ts";
import { errorFrom, freeAll, MIB, take } from "./helpers.ts";

const heap = createSharedHeap({ maximum: 16 * MIB });
const poolOf = (name: string): Pool => heap.create({ size: 64, minNr: 2, maxNr: 100, name });
/** What an error is about. */
const about = ({ code, pool, address, index }: MempoolError): unknown[] => [code, pool, address, index];

async function rejection(promise: Promise<unknown>): Promise<MempoolError> {
  const error: unknown = await promise.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(MempoolError);
  return error as MempoolError;
}

describe("an error is about", () => {
  test.each(["free", "sizeOf", "adopt", "ptr"] as const)("the pool and the address that %s refused", (call) => {
    const pool = poolOf("particles");
    const [at] = take(pool, 1) as [number];
    pool.free(at);
    expect(about(errorFrom(() => pool[call](at)))).toEqual(["ERR_DOUBLE_FREE", "particles", at, undefined]);
    expect(about(errorFrom(() => pool[call](at + 1)))).toEqual(["ERR_MISALIGNED_FREE", "particles", at + 1, undefined]);
    const none = errorFrom(() => pool[call]("12" as never));
    expect(about(none)).toEqual(["ERR_INVALID_ADDRESS", "particles", undefined, undefined]);
  });

  test("the place in the array of a bulk free, also beyond 256", () => {
    const pool = heap.create({ size: 16, minNr: 2, name: "many" });
    const all = Uint32Array.from(take(pool, 700));
    for (const index of [0, 3, 300, 699]) {
      pool.free(all[index]!);
      expect(about(errorFrom(() => pool.freeBulk(all)))).toEqual(["ERR_DOUBLE_FREE", "many", all[index], index]);
      all[index] = pool.alloc();
    }
    freeAll(pool, all);
  });

  test("the pool and the element of an external backend", () => {
    const backend = { alloc: () => 7, free: () => undefined };
    const pool = create({ size: 1, minNr: 0, name: "ids", backend });
    expect(pool.alloc()).toBe(7);
    expect(about(errorFrom(() => pool.alloc()))).toEqual(["ERR_BACKEND", "ids", 7, undefined]);
    const twice = Uint32Array.from([7, 7]);
    expect(about(errorFrom(() => pool.freeBulk(twice)))).toEqual(["ERR_DOUBLE_FREE", "ids", 7, 1]);
  });

  test("the pool that has no memory, no callback, or no such number", () => {
    const name = "large";
    expect(about(errorFrom(() => heap.create({ size: MIB, minNr: 100, name })))).toEqual([
      "ERR_NO_MEMORY",
      name,
      undefined,
      undefined,
    ]);
    const pool = poolOf("plain");
    const refused: (() => unknown)[] = [
      () => pool.reshape(1 as never),
      () => pool.resize(101),
      () => pool.prefill(101),
      () => pool.allocBulkWait(new Uint32Array(101)),
    ];
    for (const call of refused) {
      expect(about(errorFrom(call))).toEqual(["ERR_INVALID_ARGUMENT", "plain", undefined, undefined]);
    }
  });

  test("the pool that is closed while a call waits", async () => {
    const pool = heap.create({ size: 64, minNr: 1, maxNr: 1, name: "one" });
    const at = pool.alloc();
    expect(about(await rejection(pool.allocAsync({ timeout: 0 })))).toEqual([
      "ERR_TIMEOUT",
      "one",
      undefined,
      undefined,
    ]);
    const waits = rejection(pool.allocAsync());
    pool.exit();
    expect(about(await waits)).toEqual(["ERR_CLOSED", "one", undefined, undefined]);
    for (const call of [() => pool.alloc(), () => pool.allocBulk(new Uint32Array(1)), () => pool.share()]) {
      expect(about(errorFrom(call))).toEqual(["ERR_CLOSED", "one", undefined, undefined]);
    }
    expect(about(errorFrom(() => pool.free(at + 8)))).toEqual(["ERR_CLOSED", "one", at + 8, undefined]);
  });
});

test("an error has no fields but those that it is about", () => {
  const pool = poolOf("printed");
  const error = errorFrom(() => pool.free(3));
  expect(Object.keys(error)).toEqual(["code", "pool", "address"]);
  expect(inspect(error)).toMatch(/code: 'ERR_\w+',\s+pool: 'printed',\s+address: 3\s+\}$/);
  expect(Object.keys(errorFrom(() => createHeap({ maximum: -1 })))).toEqual(["code"]);
});

describe("attach with a struct", () => {
  const Particle = struct({ x: f32, vx: f32, state: u32 });

  test("gives a pool of that struct", () => {
    const pool = heap.create({ size: Particle, minNr: 1 });
    expect(attach(pool.share(), { size: Particle })).toBe(pool);
  });

  test.each([
    ["another size", struct({ x: f32, vx: f32 })],
    ["a stricter alignment", struct({ x: u64, y: u64 })],
  ])("of %s is refused", (_what, other) => {
    const pool = heap.create({ size: 16, align: 4, minNr: 1, name: "shared" });
    const error = errorFrom(() => attach(pool.share(), { size: other }));
    expect(about(error)).toEqual(["ERR_INVALID_ARGUMENT", "shared", undefined, undefined]);
    expect(error.message).toContain("but pool");
  });
});
