/** What keeps heaps of one program out of each other's way: call sites, and where their structures lie. */
import { expect, test } from "vitest";
import { returnSite, takeSite } from "../../src/core/sites.ts";
import { createHeap, createSharedHeap, type Heap } from "../../src/index.ts";

const MIB = 2 ** 20;
const addressOf = (heap: Heap): number => heap.context.address;

test("pools of one heap share a site, those that zero another", () => {
  const { context } = createHeap();
  expect(context.siteOf(false)).toBe(context.siteOf(false));
  expect(context.siteOf(true)).toBe(context.siteOf(true));
  expect(context.siteOf(true)).not.toBe(context.siteOf(false));
  context.end();
});

test("each heap has a site of its own while there are some, and gives it back", () => {
  const heaps = Array.from({ length: 6 }, () => createHeap());
  const sites = heaps.map(({ context }) => context.siteOf(false));
  expect(new Set(sites.slice(0, 4)).size).toBe(4);
  expect(sites.slice(4)).toEqual([4, 4]);
  heaps[2]!.exit();
  const next = createHeap();
  expect(next.context.siteOf(false)).toBe(sites[2]);
  for (const heap of [...heaps, next]) heap.exit();
  const all = Array.from({ length: 5 }, takeSite);
  expect(new Set(all)).toEqual(new Set([0, 1, 2, 3, 4]));
  // The one that was given back longest ago comes first.
  const back = all.toReversed();
  back.forEach(returnSite);
  expect(Array.from({ length: 4 }, takeSite)).toEqual(back.filter((site) => site !== 4));
  all.forEach(returnSite);
});

test.each([createHeap, createSharedHeap])("heaps in turn do not lie at the same address (%o)", (make) => {
  const heaps = Array.from({ length: 16 }, () => make());
  expect(new Set(heaps.map((heap) => addressOf(heap) >>> 12)).size).toBe(16);
  for (const heap of heaps) {
    // A small heap, or one that begins with little, keeps what it has.
    expect(addressOf(heap)).toBeLessThan(16 * 4096);
    heap.exit();
  }
});

test("a small heap loses no page, and none has more than its maximum", () => {
  const counts: number[] = [];
  for (let i = 0; i < 17; i++) {
    const small = createHeap({ initial: MIB, maximum: MIB });
    expect(addressOf(small)).toBeLessThan(4096);
    small.exit();
    const tight = createHeap({ initial: 65536, maximum: 16 * MIB });
    expect(addressOf(tight)).toBeLessThan(4 * 4096);
    const pool = tight.create({ size: 4096, minNr: 0 });
    let count = 0;
    while (pool.alloc() !== 0) count++;
    expect(tight.memory.buffer.byteLength).toBe(16 * MIB);
    counts.push(count);
    expect(tight.check()).toEqual([]);
    tight.exit();
  }
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(16);
});
