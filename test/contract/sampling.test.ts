/** Debug heaps that guard one element in n: what they find, how often, and what they cost. */
import { afterEach, describe, expect, test } from "vitest";
import { tag, traceOf } from "../../src/debug.ts";
import {
  createHeap,
  createSharedHeap,
  type DamageReport,
  type DebugOptions,
  type Heap,
  type Pool,
} from "../../src/index.ts";
import { expectElements, take } from "./helpers.ts";

const builds = [
  { name: "plain", heap: (debug: DebugOptions) => createHeap({ debug, maximum: 2 ** 26 }) },
  { name: "shared", heap: (debug: DebugOptions) => createSharedHeap({ debug, maximum: 2 ** 26 }) as Heap },
];

/** Bytes of a heap with 200,000 elements outstanding. */
function used(heap: Heap): number {
  take(heap.create({ size: 64, minNr: 0 }), 200_000);
  return heap.stats().used;
}

const lineOf = (site: string): number => Number(/sampling\.test\.ts:(\d+)/.exec(site.split("\n")[0]!)?.[1]);
const lineHere = (): number => Number(/sampling\.test\.ts:(\d+)/.exec(new Error("here").stack!.split("\n")[2]!)![1]);

/** The next element that is guarded; the others stay outstanding. */
function nextSampled(heap: Heap, pool: Pool): number {
  for (let i = 0; i < 10_000; i++) {
    const at = pool.alloc();
    if (traceOf(heap, at)) return at;
  }
  throw new Error("no element was guarded");
}

describe.each(builds)("a $name heap that samples", ({ heap: make }) => {
  const found: DamageReport[] = [];
  afterEach(() => void found.splice(0));
  const start = (sample: number, more: DebugOptions = {}) => {
    const heap = make({ sample, onDamage: (report) => void found.push(report), ...more });
    return { heap, pool: heap.create({ size: 24, align: 8, minNr: 4, name: "nodes" }) };
  };

  test.each([1, 2, 10, 100])("guards one element in %i, whatever the pattern of calls", (n) => {
    const { heap, pool } = start(n, { stacks: false });
    const isGuarded = (at: number) => Number(traceOf(heap, at) !== undefined);
    const rounds = 4000 * Math.min(n, 5);
    let [pairs, waves, bulks] = [0, 0, 0];
    for (let i = 0; i < rounds; i++) {
      const at = pool.alloc();
      pairs += isGuarded(at);
      pool.free(at);
    }
    for (let i = 0; i < rounds; i += 1000) {
      const all = take(pool, 1000);
      expect(new Set(all).size).toBe(1000);
      for (const at of all) waves += isGuarded(at);
      for (const at of all) pool.free(at);
    }
    const out = new Uint32Array(50);
    for (let i = 0; i < rounds; i += out.length) {
      expect(pool.allocBulk(out)).toBe(true);
      for (const at of out) bulks += isGuarded(at);
      pool.freeBulk(out);
    }
    expect(heap.check()).toEqual([]);
    expect([pool.outstanding, pool.currNr]).toEqual([0, 4]);
    for (const counted of [pairs, waves, bulks]) {
      const expected = rounds / n;
      // Intervals from 1 to 2n - 1 have a deviation of n / 3^0.5: five of these of the sum.
      const most = n === 1 ? 0 : 2 + (5 * Math.sqrt(expected)) / Math.sqrt(3);
      expect(Math.abs(counted - expected)).toBeLessThanOrEqual(most);
    }
  });

  test("elements are disjoint and aligned, guarded or not", () => {
    const { heap } = start(3);
    const pool = heap.create({ size: 40, align: 64, minNr: 0 });
    expectElements(heap, take(pool, 3000), 40, 64);
    expect(heap.check()).toEqual([]);
  });

  test("reports an overrun of a sampled element, with the lines that allocated and freed it", () => {
    const { heap, pool } = start(10);
    let at = 0;
    const line = lineHere() + 1;
    while (!traceOf(heap, at)) at = pool.alloc();
    heap.u8[at + 24] = 7;
    pool.free(at);
    expect(found).toMatchObject([{ kind: "overrun", pool: "nodes", address: at, size: 24, offset: 24, length: 1 }]);
    expect(lineOf(found[0]!.trace!.allocSite)).toBe(line);
    heap.u8[at] = 1;
    expect(heap.check()).toHaveLength(2);
    expect(found[1]).toMatchObject({ kind: "write-after-free", address: at });
    expect([lineOf(found[1]!.trace!.allocSite), lineOf(found[1]!.trace!.freeSite)]).toEqual([line, line + 2]);
  });

  test("finds a write after a free without a check, once the element leaves the quarantine", () => {
    const { heap, pool } = start(5, { stacks: false });
    const at = nextSampled(heap, pool);
    pool.free(at);
    heap.u8[at + 3] = 9;
    for (let i = 0; found.length === 0 && i < 1000; i++) pool.free(pool.alloc());
    expect(found).toMatchObject([{ kind: "write-after-free", address: at, offset: 3 }]);
  });

  test("refuses a second free, and says who freed the element first", () => {
    const { heap, pool } = start(10);
    const at = nextSampled(heap, pool);
    const line = lineHere() + 1;
    pool.free(at);
    expect(() => pool.free(at)).toThrow(/^ERR_DOUBLE_FREE: .* is free already; pool "nodes"\n {2}allocated/);
    expect(() => pool.free(at)).toThrow(`sampling.test.ts:${line}:`);
    const other = heap.create({ size: 24, minNr: 0 });
    const stray = nextSampled(heap, pool);
    expect(() => other.free(stray as never)).toThrow(/^ERR_FOREIGN_FREE/);
    expect(() => pool.free((stray + 8) as never)).toThrow(/^ERR_INTERIOR_FREE/);
    expect(pool.outstanding).toBe([...pool.live()].length);
  });

  test("remembers the line of a bulk call, for its sampled elements alone", () => {
    const { heap, pool } = start(20);
    const out = new Uint32Array(100);
    const line = lineHere() + 1;
    pool.allocBulk(out);
    const sampled = [...out].filter((at) => traceOf(heap, at));
    expect(sampled.length).toBeGreaterThan(1);
    for (const at of sampled) expect(lineOf(traceOf(heap, at)!.allocSite)).toBe(line);
    const freed = lineHere() + 1;
    pool.freeBulk(out);
    for (const at of sampled) expect(lineOf(traceOf(heap, at)!.freeSite)).toBe(freed);
    expect(() => pool.freeBulk(Uint32Array.of(pool.alloc(), sampled[0]!))).toThrow(/^ERR_DOUBLE_FREE/);
    expect([pool.outstanding, heap.check()]).toEqual([1, []]);
  });

  test.each([
    [4, 0],
    [20, 0],
    [400, 0],
    [200, 2000],
  ])("remembers the line of a bulk free of %i, whichever is sampled, %i freed before", (count, before) => {
    const { heap, pool } = start(50);
    const usual = take(pool, 2 * before + 6 * count).filter((at) => !traceOf(heap, at));
    // The magazine is full.
    for (const at of usual.splice(0, before)) pool.free(at);
    for (const at of [0, 1, count / 2, count - 1]) {
      const all = Uint32Array.from(usual.splice(0, count));
      all[at] = nextSampled(heap, pool);
      const line = lineHere() + 1;
      pool.freeBulk(all);
      expect([at, lineOf(traceOf(heap, all[at])!.freeSite)]).toEqual([at, line]);
    }
    expect(heap.check()).toEqual([]);
  });

  test("a free after one that was refused has its own line", () => {
    const { heap, pool } = start(10);
    const refused = () => pool.freeBulk(Uint32Array.of(pool.alloc(), nextSampled(heap, pool), 8));
    expect(refused).toThrow(/^ERR_INVALID_ADDRESS/);
    const at = nextSampled(heap, pool);
    expect(refused).toThrow(/^ERR_INVALID_ADDRESS/);
    const line = lineHere() + 1;
    pool.free(at);
    expect(lineOf(traceOf(heap, at)!.freeSite)).toBe(line);
  });

  test("names samples by tags alone, without stacks", () => {
    const { heap, pool } = start(10, { stacks: false });
    tag(heap, "level 3");
    const at = nextSampled(heap, pool);
    tag(heap, undefined);
    expect(traceOf(heap, at)!.allocSite).toBe("[level 3]");
    expect(traceOf(heap, nextSampled(heap, pool))!.allocSite).toBe("");
  });

  test("waiters get what is freed, sampled or not, and nobody waits for a sample", async () => {
    const { heap } = start(2);
    const small = make({ sample: 2, onDamage: (report) => void found.push(report) });
    for (const each of [heap, small]) {
      const pool = each.create({ size: 24, minNr: 3 });
      // Samples have a slab of their own, which needs memory.
      const held: number[] = [nextSampled(each, pool)];
      // All memory is gone: elements come from frees alone.
      const greedy = each.create({ size: 16384, align: 1, minNr: 0 });
      while (greedy.alloc() !== 0);
      for (let at = pool.alloc(); at !== 0; at = pool.alloc()) held.push(at);
      const sampled = held.filter((at) => traceOf(each, at));
      expect(sampled.length).toBeGreaterThan(5);
      for (const at of sampled.slice(0, 5)) {
        const waits = pool.allocAsync({ timeout: 60_000 });
        pool.free(at as never);
        expect(await waits).toBeGreaterThan(0);
      }
      expect(each.check()).toEqual([]);
    }
    expect(found).toEqual([]);
  });

  test("a pool reshapes, resizes and ends with sampled elements of all its sizes outstanding", async () => {
    const { heap } = start(3);
    const pool = heap.create({ size: (n: number) => n, data: 16, minNr: 4 });
    const all: number[] = [];
    for (let round = 1; round <= 8; round++) {
      pool.reshape(16 * round);
      const sampled = nextSampled(heap, pool);
      expect(traceOf(heap, sampled)!.size).toBe(16 * round);
      all.push(sampled);
      pool.resize(4 + round);
      expect(heap.check()).toEqual([]);
    }
    const rest = [...pool.live()].filter((at) => !all.includes(at));
    pool.exit();
    for (const at of [...all, ...rest]) pool.free(at as never);
    await pool.closed;
    expect([heap.check(), found]).toEqual([[], []]);
  });

  test("never guards elements of a pool with a maxNr, which holds exactly", () => {
    const { heap } = start(1);
    const pool = heap.create({ size: 24, minNr: 2, maxNr: 40 });
    const all = take(pool, 40);
    expect(pool.alloc()).toBe(0);
    expect(all.filter((at) => traceOf(heap, at))).toEqual([]);
  });

  test("the guarantee holds with the memory gone, and a failed alloc counts once", () => {
    const { heap } = start(1);
    const pool = heap.create({ size: 24, minNr: 5 });
    const greedy = heap.create({ size: 16384, align: 1, minNr: 0 });
    while (greedy.alloc() !== 0);
    const held: number[] = [];
    for (let at = pool.alloc(); at !== 0; at = pool.alloc()) held.push(at);
    expect([pool.currNr, pool.stats().failures]).toEqual([0, 1]);
    expect(held.length).toBeGreaterThanOrEqual(5);
    for (let i = 0; i < 100; i++) {
      pool.free(held.pop() as never);
      const at = pool.alloc();
      expect(at).toBeGreaterThan(0);
      held.unshift(at);
    }
    for (const at of held) pool.free(at as never);
    expect([pool.currNr, pool.outstanding, heap.check()]).toEqual([5, 0, []]);
  });

  test("costs little memory: one in 1,000", () => {
    const usual = used(createHeap({ maximum: 2 ** 26 }));
    expect(used(start(1000, { stacks: false }).heap) / usual).toBeLessThan(1.02);
  });
});

test.each([0, -1, 1.5, 2 ** 31, "1"])("createHeap({ debug: { sample: %j } }) is refused", (sample) => {
  expect(() => createHeap({ debug: { sample: sample as number } })).toThrow(/ERR_INVALID_ARGUMENT.*debug\.sample/);
});
