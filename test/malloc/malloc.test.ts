/** The malloc family, over its builds: what C promises, bad frees, reserves, and random use against a model. */
import { describe, expect, test } from "vitest";
import { expectCanary, expectDisjoint, random, writeCanary } from "../contract/helpers.ts";
import { builds, type Guest } from "./builds.ts";

const MIB = 2 ** 20;
/** WebAssembly's page, in bytes. */
const WASM_PAGE = 2 ** 16;

interface Block {
  readonly address: number;
  readonly bytes: number;
  readonly seed: number;
}

const expectSound = (guest: Guest): void => expect(guest.check()).toBe(0);

/** Allocates blocks of one size until there is no memory. */
function drain({ core }: Guest, bytes: number, most = Infinity): number[] {
  const blocks: number[] = [];
  while (blocks.length < most) {
    const address = core.malloc(bytes) >>> 0;
    if (address === 0) break;
    blocks.push(address);
  }
  return blocks;
}

describe.each(builds)("$name", (build) => {
  const guest = (pages = 1, maximum = 16 * MIB): Guest => build.guest(pages, Math.ceil(maximum / WASM_PAGE));

  test("blocks of every size are disjoint, aligned to 16, and hold what is written", () => {
    const g = guest();
    const { core, memory } = g;
    const blocks: Block[] = [];
    let seed = 1;
    for (let bytes = 1; bytes < 40_000; bytes += 1 + (bytes >> 4)) {
      const address = core.malloc(bytes) >>> 0;
      expect(address).toBeGreaterThan(WASM_PAGE - 1);
      expect(address % (bytes > 8 ? 16 : 8)).toBe(0);
      expect(core.malloc_usable_size(address)).toBeGreaterThanOrEqual(bytes);
      writeCanary(memory, address, bytes, seed);
      blocks.push({ address, bytes, seed: seed++ });
    }
    expectDisjoint(blocks.map(({ address, bytes }) => [address, bytes]));
    for (const block of blocks) expectCanary(memory, block.address, block.bytes, block.seed);
    expectSound(g);
    for (const { address } of blocks) core.free(address);
    expectSound(g);
  });

  test("a block of 64 to 8,192 bytes is at most a quarter longer than was asked for", () => {
    const { core } = guest();
    for (let bytes = 64; bytes <= 8192; bytes++) {
      const address = core.malloc(bytes);
      expect(core.malloc_usable_size(address)).toBeLessThanOrEqual(bytes * 1.25);
      core.free(address);
    }
  });

  test("malloc(0) gives a block of its own, and free(0) has no effect", () => {
    const { core } = guest();
    const first = core.malloc(0);
    expect(first).not.toBe(0);
    expect(core.malloc(0)).not.toBe(first);
    core.free(0);
    core.free(first);
  });

  test("calloc fills with 0, and refuses a product above 4 GiB", () => {
    const { core, memory } = guest();
    const dirty = core.malloc(5000);
    new Uint8Array(memory.buffer).fill(255, dirty, dirty + 5000);
    core.free(dirty);
    const address = core.calloc(500, 10);
    expect(new Uint8Array(memory.buffer).subarray(address, address + 5000).every((byte) => byte === 0)).toBe(true);
    expect(core.calloc(2 ** 16, 2 ** 16)).toBe(0);
    expect(core.calloc(2 ** 31, 2)).toBe(0);
  });

  test.each([1, 2, 4, 8, 16, 32, 64, 256, 1024, 2048, 4096, 8192, 65_536, 2 ** 20])("aligned to %i", (align) => {
    const g = guest(1, 64 * MIB);
    const { core } = g;
    const blocks: [number, number][] = [];
    for (const bytes of [0, 1, 7, 24, 100, 1000, 5000, 8192, 8193, 100_000]) {
      const address = core.aligned_alloc(align, bytes) >>> 0;
      expect(address).toBeGreaterThan(0);
      expect([bytes, address % align]).toEqual([bytes, 0]);
      expect(core.malloc_usable_size(address)).toBeGreaterThanOrEqual(bytes);
      blocks.push([address, Math.max(1, bytes)]);
    }
    expectDisjoint(blocks);
    expectSound(g);
    for (const [address] of blocks) core.free(address);
    expectSound(g);
  });

  test("an alignment that is no power of two is refused", () => {
    const { core, memory } = guest();
    const at = core.malloc(16);
    for (const align of [0, 3, 12, 48, 4097]) {
      expect(core.aligned_alloc(align, 64)).toBe(0);
      expect(core.memalign(align, 64)).toBe(0);
      expect(core.posix_memalign(at, align, 64)).toBe(28);
    }
    expect(core.posix_memalign(at, 2, 64)).toBe(28);
    expect(core.posix_memalign(at, 64, 64)).toBe(0);
    expect(new Uint32Array(memory.buffer)[at / 4]! % 64).toBe(0);
    expect(core.posix_memalign(at, 64, 2 ** 31)).toBe(48);
  });

  test("realloc keeps what the block held, whether it moves or not", () => {
    const g = guest(1, 64 * MIB);
    const { core, memory } = g;
    const next = random(5);
    let address = core.realloc(0, 10) >>> 0;
    let bytes = 10;
    writeCanary(memory, address, bytes, 7);
    for (let round = 0; round < 300; round++) {
      const wanted = 1 + Math.floor(next() * 2 ** Math.floor(4 + next() * 18));
      const moved = core.realloc(address, wanted) >>> 0;
      expect(moved).toBeGreaterThan(0);
      expectCanary(memory, moved, Math.min(bytes, wanted), 7);
      address = moved;
      bytes = wanted;
      writeCanary(memory, address, bytes, 7);
      // A neighbour, sometimes in the way.
      if (next() < 0.5) core.free(core.malloc(Math.floor(next() * 50_000)));
      else if (next() < 0.2) core.malloc(9000);
    }
    expectSound(g);
    core.free(address);
    expectSound(g);
  });

  test("a large block mostly grows where it is, and always shrinks so", () => {
    const { core } = guest(1, 64 * MIB);
    let address = core.malloc(20_000);
    let bytes = 20_000;
    let moves = 0;
    for (; bytes < 10 * MIB; bytes = Math.floor(bytes * 1.1)) {
      const grown = core.realloc(address, bytes);
      if (grown !== address) moves++;
      address = grown;
    }
    // Tables for new memory may come to lie behind the block.
    expect(moves).toBeLessThan(5);
    for (; bytes > 20_000; bytes >>= 1) expect(core.realloc(address, bytes)).toBe(address);
  });

  test("a realloc that gets no memory leaves the block as it was", () => {
    const g = guest(1, MIB);
    const { core, memory } = g;
    const address = core.malloc(1000);
    writeCanary(memory, address, 1000, 3);
    const rest = drain(g, 2000);
    expect(core.realloc(address, 100_000)).toBe(0);
    expect(core.realloc(address, 2 ** 32 - 1)).toBe(0);
    expectCanary(memory, address, 1000, 3);
    for (const block of rest) core.free(block);
    core.free(address);
    expectSound(g);
  });

  test("cabi_realloc allocates, moves, and frees by a size of 0", () => {
    const g = guest(1, MIB);
    const { core, memory } = g;
    const address = core.cabi_realloc(0, 0, 64, 100);
    expect(address % 64).toBe(0);
    writeCanary(memory, address, 100, 9);
    const moved = core.cabi_realloc(address, 100, 64, 3000);
    expect(moved % 64).toBe(0);
    expectCanary(memory, moved, 100, 9);
    core.cabi_realloc(moved, 3000, 64, 0);
    expect(core.cabi_realloc(0, 0, 8, 2 ** 30)).toBe(0);
    expectSound(g);
  });

  test("cabi_realloc aligns blocks that are shorter than their alignment", () => {
    const { core } = guest(1, MIB);
    for (const align of [1, 2, 4, 8, 16, 32, 4096]) {
      for (const bytes of [1, 8, 9, 15]) {
        for (let i = 0; i < 3; i++) {
          const address = core.cabi_realloc(0, 0, align, bytes);
          const longer = core.cabi_realloc(address, bytes, align, 200);
          const shorter = core.cabi_realloc(longer, 200, align, bytes);
          expect([address % align, longer % align, shorter % align]).toEqual([0, 0, 0]);
        }
      }
    }
  });

  test("every bad free and every bad realloc traps, and changes nothing", () => {
    const g = guest(1, 4 * MIB);
    const { core, memory } = g;
    const small = core.malloc(100);
    const other = core.malloc(100);
    const large = core.malloc(100_000);
    const freed = [core.malloc(100), core.malloc(100_000)];
    for (const address of freed) core.free(address);
    const heap = core.malloc_heap();
    const bad = [
      ...freed,
      small + 1,
      small + 16,
      small + 99,
      large + 1,
      large + 4096,
      large + 8192,
      heap,
      heap + 64,
      8,
      WASM_PAGE - 16,
      memory.buffer.byteLength,
      memory.buffer.byteLength + 4096,
      2 ** 31,
      2 ** 32 - 16,
    ];
    const before = new Uint8Array(memory.buffer).slice();
    for (const address of bad) {
      expect(() => core.free(address), `free(${address})`).toThrow(WebAssembly.RuntimeError);
      expect(() => core.realloc(address, 10), `realloc(${address})`).toThrow(WebAssembly.RuntimeError);
      expect(() => core.malloc_usable_size(address), `usable(${address})`).toThrow(WebAssembly.RuntimeError);
    }
    expect(Buffer.compare(before, new Uint8Array(memory.buffer))).toBe(0);
    for (const address of [small, other, large]) core.free(address);
    expectSound(g);
  });

  test("the inspector says what an address is", () => {
    const g = guest(1, 4 * MIB);
    const { core } = g;
    const [small, large, freed] = [core.malloc(100), core.malloc(100_000), core.malloc(100)];
    core.free(freed!);
    const none = 2 ** 32 - 1;
    const [kind, [serial, ...words]] = g.owner(small + 50);
    expect([kind, words.slice(0, 3)]).toEqual([1, [small, 112, 0]]);
    expect(serial).toBeGreaterThan(0);
    expect(g.owner(freed)).toEqual([2, [serial, freed, 112, none, words[3]]]);
    expect(g.owner(large + 99_999)).toEqual([3, [0, large, 102_400, none, 0]]);
    expect(g.owner(core.malloc_heap())[0]).toBe(4);
    for (const address of [0, 16, g.memory.buffer.byteLength, 2 ** 32 - 1]) {
      expect(g.owner(address)).toEqual([0, [0, 0, 0, none, 0]]);
    }
    expectSound(g);
  });

  test("a free before any malloc traps", () => {
    expect(() => guest().core.free(1024)).toThrow(WebAssembly.RuntimeError);
  });

  test("a reserve gives its blocks when memory is gone, and frees fill it again", () => {
    const g = guest(1, MIB);
    const { core } = g;
    expect(core.malloc_reserve(100, 20)).toBe(1);
    expect(core.malloc_reserve(30_000, 3)).toBe(1);
    const others = [...drain(g, 8000), ...drain(g, 1000), ...drain(g, 16)];
    const large = drain(g, 30_000);
    expect(large.length).toBeGreaterThanOrEqual(3);
    expect(drain(g, 30_000)).toEqual([]);
    const small = drain(g, 100);
    expect(small.length).toBeGreaterThanOrEqual(20);
    for (let round = 0; round < 1000; round++) {
      core.free(small.pop()!);
      small.push(...drain(g, 100, 1));
      core.free(large.pop()!);
      large.push(...drain(g, 30_000, 1));
    }
    expect([small.length >= 20, large.length >= 3]).toEqual([true, true]);
    for (const block of [...others, ...large, ...small]) core.free(block);
    expect(core.malloc_reserve(100, 0)).toBe(1);
    expect(core.malloc_reserve(30_000, 0)).toBe(1);
    expectSound(g);
  });

  test("a reserve of long blocks is not given to shorter requests", () => {
    const g = guest(1, 2 * MIB);
    const { core } = g;
    expect(core.malloc_reserve(100_000, 3)).toBe(1);
    for (const bytes of [98_000, 70_000, 9000, 5000, 8]) drain(g, bytes);
    expect(drain(g, 100_000).length).toBe(3);
    expectSound(g);
  });

  test("a reserve of no bytes or too many is refused by its code", () => {
    const { core } = guest(1, MIB);
    expect([core.malloc_reserve(0, 1), core.malloc_reserve(2 ** 25, 1)]).toEqual([-9, -9]);
    expect(core.malloc_reserve(1000, 2 ** 20)).toBe(-8);
  });

  test("the heap begins behind the memory that is there, and grows", () => {
    const g = guest(3);
    new Uint8Array(g.memory.buffer).fill(171);
    drain(g, 1000, 5000);
    expect(new Uint8Array(g.memory.buffer).subarray(0, 3 * WASM_PAGE).every((byte) => byte === 171)).toBe(true);
    expectSound(g);
  });

  test("all memory can be had: in one block, and again after small blocks", () => {
    const g = guest(1, 32 * MIB);
    const { core } = g;
    const most = 31.5 * MIB;
    const block = core.malloc(most);
    expect(block).not.toBe(0);
    core.free(block);
    const small = drain(g, 50);
    expect(small.length * 64).toBeGreaterThan(30 * MIB);
    for (const address of small) core.free(address);
    const again = core.malloc(most - 256 * 1024);
    expect(again).not.toBe(0);
    core.free(again);
    expectSound(g);
  });

  test.each([1, 2, 3, 4])("random use, seed %i, is as a model of it", (seed) => {
    const g = guest(1, seed % 2 ? 2 * MIB : 64 * MIB);
    const { core, memory } = g;
    const next = random(seed);
    const live = new Map<number, Block>();
    let failures = 0;
    const size = (): number => Math.floor(next() * 2 ** Math.floor(3 + next() * (seed > 2 ? 16 : 10)));
    const keep = (address: number, bytes: number): void => {
      if (address === 0) return void failures++;
      expect(live.has(address)).toBe(false);
      const block = { address, bytes, seed: Math.floor(next() * 2 ** 31) };
      live.set(address, block);
      writeCanary(memory, address, bytes, block.seed);
    };
    const pick = (): Block | undefined => [...live.values()][Math.floor(next() * live.size)];
    for (let step = 0; step < 4000; step++) {
      const choice = next();
      if (choice < 0.45) {
        const bytes = size();
        keep(core.malloc(bytes) >>> 0, bytes);
      } else if (choice < 0.55) {
        const bytes = size();
        const align = 2 ** Math.floor(next() * 14);
        const address = core.aligned_alloc(align, bytes) >>> 0;
        expect(address % align).toBe(0);
        keep(address, bytes);
      } else if (choice < 0.7) {
        const block = pick();
        if (!block) continue;
        const bytes = size();
        const address = core.realloc(block.address, bytes) >>> 0;
        if (address === 0) {
          failures++;
          continue;
        }
        expectCanary(memory, address, Math.min(bytes, block.bytes), block.seed);
        live.delete(block.address);
        keep(address, bytes);
      } else {
        const block = pick();
        if (!block) continue;
        expectCanary(memory, block.address, block.bytes, block.seed);
        core.free(block.address);
        live.delete(block.address);
      }
      if (step % 500 === 0) {
        expectDisjoint([...live.values()].map(({ address, bytes }) => [address, Math.max(1, bytes)]));
        expectSound(g);
      }
    }
    for (const { address, bytes, seed: canary } of live.values()) {
      expectCanary(memory, address, bytes, canary);
      core.free(address);
    }
    expectSound(g);
    if (seed !== 1 && seed !== 3) expect(failures).toBe(0);
  });
});
