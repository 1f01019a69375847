/** Every bad free has its own code and changes nothing. */
import { describe, expect, test } from "vitest";
import { create, createArena, type Heap, type Pool } from "../../src/index.ts";
import { builds } from "../builds.ts";
import {
  drain,
  errorFrom,
  expectCanary,
  expectElements,
  expectSound,
  fixedHeap,
  freeAll,
  freeCode,
  hex,
  KIB,
  MAX_SIZE,
  MIB,
  nonAddresses,
  PAGE,
  stateOf,
  take,
  withoutStacks,
  writeCanary,
} from "./helpers.ts";

/** The codes for an address that is no outstanding element, where the contract leaves open what is there. */
const ANY_BAD = new Set(["ERR_DOUBLE_FREE", "ERR_INTERIOR_FREE", "ERR_MISALIGNED_FREE", "ERR_INVALID_ADDRESS"]);

/** Element sizes on either side of each limit of the allocator. */
const SIZES = [1, 2, 3, 8, 16, 24, 48, 100, 1000, 4096, 5000, 20_000, 65_535, 65_536, 70_000, 200_000];

function expectUnchanged(heap: Heap, pools: Pool[], body: () => void): void {
  const before = stateOf(heap, ...pools);
  body();
  expect(stateOf(heap, ...pools)).toEqual(before);
  expectSound(heap);
}

describe.each(builds)("bad frees: $name", (build) => {
  test("free(0) has no effect", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    pool.alloc();
    expectUnchanged(heap, [pool], () => {
      pool.free(0);
      pool.free(-0);
    });
  });

  test("free refuses a value that is no uint32", () => {
    const heap = fixedHeap(build, MIB);
    for (const size of [1, 64, 70_000]) {
      const pool = create({ heap, size, minNr: 2 });
      const [address] = take(pool, 3) as [number, number, number];
      expectUnchanged(heap, [pool], () => {
        for (const [name, value] of nonAddresses(address)) {
          expect([name, freeCode(pool, value)]).toEqual([name, "ERR_INVALID_ADDRESS"]);
        }
        expect(codeOfNoArgument(pool)).toBe("ERR_INVALID_ADDRESS");
      });
      pool.free(address);
    }
  });

  test("free refuses a free element", () => {
    const heap = fixedHeap(build, 4 * MIB);
    for (const size of SIZES) {
      const pool = create({ heap, size, minNr: 3 });
      const live = take(pool, 8);
      const freed = live.splice(2, 4);
      const { slabs } = pool.stats();
      freeAll(pool, freed.slice(0, 1));
      // at once; if its slab has returned to the heap, the code is another
      const codes = pool.stats().slabs < slabs ? ["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"] : ["ERR_DOUBLE_FREE"];
      expectUnchanged(heap, [pool], () => expect(codes).toContain(freeCode(pool, freed[0])));
      freeAll(pool, freed.slice(1));
      if (size <= 4096) {
        // and after other frees (the slab still has four outstanding elements)
        expectUnchanged(heap, [pool], () => {
          for (const address of freed) expect([size, freeCode(pool, address)]).toEqual([size, "ERR_DOUBLE_FREE"]);
        });
      }
      freeAll(pool, live);
      pool.exit();
    }
  });

  test("free refuses an element in the reserve", () => {
    const heap = fixedHeap(build, MIB);
    for (const size of [1, 16, 100, 5000, 70_000]) {
      const pool = create({ heap, size, minNr: 4 });
      const reserve = [1, 2, 3, 4].map(() => pool.allocPreallocated());
      freeAll(pool, reserve);
      expectUnchanged(heap, [pool], () => {
        for (const address of reserve) expect(freeCode(pool, address)).toBe("ERR_DOUBLE_FREE");
      });
      expect([1, 2, 3, 4].map(() => pool.allocPreallocated()).toSorted()).toEqual(reserve.toSorted());
      pool.exit();
      freeAll(pool, reserve);
    }
  });

  test("free refuses a free element whose slab is gone", () => {
    const heap = fixedHeap(build, 4 * MIB);
    for (const size of SIZES) {
      const pool = create({ heap, size, minNr: 0 });
      const gone = take(pool, 8);
      freeAll(pool, gone);
      heap.trim();
      expectUnchanged(heap, [pool], () => {
        for (const address of gone) {
          expect(["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, address));
        }
      });
      // now another pool has the memory, with elements of another size
      const other = create({ heap, size: size + 7, minNr: 0 });
      const held = drain(other);
      expectUnchanged(heap, [pool, other], () => {
        for (const address of gone) {
          const codes = ["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS", "ERR_FOREIGN_FREE"];
          expect(codes).toContain(freeCode(pool, address));
        }
      });
      freeAll(other, held);
      other.exit();
      pool.exit();
    }
    expectSound(heap);
  });

  test("an element that was allocated again can be freed again", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 0 });
    const keep = pool.alloc();
    const first = pool.alloc();
    pool.free(first);
    expect(freeCode(pool, first)).toBe("ERR_DOUBLE_FREE");
    const again = drain(pool).includes(first);
    expect(again).toBe(true);
    pool.free(first);
    expect(freeCode(pool, first)).toBe("ERR_DOUBLE_FREE");
    pool.free(keep);
  });

  test("free refuses an address inside an element", () => {
    const heap = fixedHeap(build, 4 * MIB);
    for (const size of SIZES) {
      const pool = create({ heap, size, minNr: 1 });
      const live = take(pool, 4);
      const { align } = pool;
      const offsets = new Set([1, 2, 3, 4, 7, 8, 15, 16, 24, 32, 64, 4096, PAGE, size >> 1, size - align, size - 1]);
      live.forEach((address, i) => writeCanary(heap.memory, address, size, i));
      expectUnchanged(heap, [pool], () => {
        for (const address of live) {
          for (const offset of offsets) {
            if (offset <= 0 || offset >= size) continue;
            const expected = offset % align === 0 ? "ERR_INTERIOR_FREE" : "ERR_MISALIGNED_FREE";
            expect([size, offset, freeCode(pool, address + offset)]).toEqual([size, offset, expected]);
          }
        }
      });
      live.forEach((address, i) => expectCanary(heap.memory, address, size, i));
      freeAll(pool, live);
      pool.exit();
    }
  });

  test("free refuses an address inside a free element", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 96, minNr: 0 });
    const live = take(pool, 9);
    const freed = live.splice(3, 3);
    freeAll(pool, freed);
    expectUnchanged(heap, [pool], () => {
      for (const address of freed) {
        expect(freeCode(pool, address + 32)).toBe("ERR_INTERIOR_FREE");
        expect(freeCode(pool, address + 4)).toBe("ERR_MISALIGNED_FREE");
      }
    });
  });

  test("free checks the pool's alignment", () => {
    const heap = fixedHeap(build, 8 * MIB);
    for (const align of [1, 2, 4, 8, 16, 64, 512, 4096]) {
      const pool = create({ heap, size: 3 * 4096, minNr: 1, align });
      const [address] = take(pool, 3) as [number];
      expectUnchanged(heap, [pool], () => {
        for (let offset = 1; offset < 3 * 4096; offset *= 2) {
          const expected = offset % align === 0 ? "ERR_INTERIOR_FREE" : "ERR_MISALIGNED_FREE";
          expect([align, offset, freeCode(pool, address + offset)]).toEqual([align, offset, expected]);
        }
      });
    }
  });

  test("free refuses an address in another pool's memory", () => {
    const heap = fixedHeap(build, 8 * MIB);
    const pools = SIZES.map((size) => create({ heap, size, minNr: 2 }));
    // two pools of the same size and alignment must be told apart
    const twins = SIZES.map((size) => create({ heap, size, minNr: 2 }));
    const everyone = [...pools, ...twins];
    const live = everyone.map((pool) => take(pool, 5));
    const freed = everyone.map((pool, i) => {
      const address = live[i]!.pop()!;
      pool.free(address);
      return address;
    });
    const before = stateOf(heap, ...everyone);
    everyone.forEach((pool, i) => {
      everyone.forEach((other, j) => {
        if (i === j) return;
        for (const address of live[j]!) {
          const inside = [0, 1, other.align, other.elementSize >> 1, other.elementSize - 1];
          for (const offset of inside) {
            if (offset >= other.elementSize) continue;
            if (freeCode(pool, address + offset) !== "ERR_FOREIGN_FREE") {
              const where = `${hex(address)} + ${offset} of ${other.elementSize}`;
              throw new Error(`${where} in pool of ${pool.elementSize}: ${freeCode(pool, address + offset)}`);
            }
          }
        }
        // a free element of another pool may be in a slab that has returned to the heap
        expect(["ERR_FOREIGN_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, freed[j]));
      });
    });
    expect(stateOf(heap, ...everyone)).toEqual(before);
    everyone.forEach((pool, i) => freeAll(pool, live[i]!));
    expectSound(heap);
  });

  test("free refuses a block of an arena", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const arena = createArena({ heap });
    const blocks = [16, 64, 64, 1000, 40_000].map((bytes) => [arena.alloc(bytes, 64), bytes] as const);
    pool.alloc();
    expectUnchanged(heap, [pool], () => {
      for (const [block, bytes] of blocks) {
        expect(block).not.toBe(0);
        for (const offset of [0, 1, 8, bytes - 1]) {
          expect(freeCode(pool, block + offset)).toBe("ERR_INVALID_ADDRESS");
        }
      }
    });
    arena.reset();
    for (const [block] of blocks) expect(freeCode(pool, block)).toBe("ERR_INVALID_ADDRESS");
    arena.exit();
    heap.trim();
    for (const [block] of blocks) expect(freeCode(pool, block)).toBe("ERR_INVALID_ADDRESS");
    expectSound(heap);
  });

  test("free refuses an address outside the memory", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 2 });
    const address = pool.alloc();
    const end = heap.memory.buffer.byteLength;
    expectUnchanged(heap, [pool], () => {
      withoutStacks(() => {
        for (const offset of [0, 1, 4, 8, 16, 63, 64, 100, PAGE, MIB, 16 * MIB]) {
          expect(freeCode(pool, end + offset)).toBe("ERR_INVALID_ADDRESS");
        }
        for (const bit of [20, 21, 24, 28, 30, 31]) {
          const flipped = (address ^ (2 ** bit)) >>> 0;
          if (flipped > end) expect(freeCode(pool, flipped)).toBe("ERR_INVALID_ADDRESS");
        }
        for (let back = 1; back <= 256; back++) expect(freeCode(pool, 2 ** 32 - back)).toBe("ERR_INVALID_ADDRESS");
        for (let near = -64; near <= 64; near++) {
          expect(freeCode(pool, 2 ** 31 + near)).toBe("ERR_INVALID_ADDRESS");
        }
      });
    });
  });

  test("free refuses an address outside a memory that has its maximum", () => {
    const heap = build.heap({ initial: MIB, maximum: 2 * MIB });
    const pool = create({ heap, size: 5000, minNr: 1 });
    drain(pool);
    const end = heap.memory.buffer.byteLength;
    for (let offset = 0; offset < 4 * PAGE; offset += 1000) {
      expect(freeCode(pool, end + offset)).toBe("ERR_INVALID_ADDRESS");
    }
    expectSound(heap);
  });

  test.each([1, 48])("free refuses every address near a live element of %i bytes", (size) => {
    const heap = fixedHeap(build, 2 * PAGE);
    const pool = create({ heap, size, minNr: 1 });
    const address = pool.alloc();
    const { align } = pool;
    writeCanary(heap.memory, address, size, 1);
    expectUnchanged(heap, [pool], () => {
      withoutStacks(() => {
        const end = heap.memory.buffer.byteLength + 70;
        // a heap in a region of a large memory has many foreign bytes before it: check only those near it
        const start = Math.max(1, address - 2 * PAGE);
        for (let candidate = start; candidate < Math.min(end, address + 2 * PAGE); candidate++) {
          if (candidate === address) continue;
          // seven is prime to every size and alignment: every offset within an element and a page is met
          if (Math.abs(candidate - address) > 8 * KIB && candidate % 7 > 0) continue;
          const code = freeCode(pool, candidate);
          if (candidate > address && candidate < address + size) {
            const expected = candidate % align === 0 ? "ERR_INTERIOR_FREE" : "ERR_MISALIGNED_FREE";
            if (code !== expected) throw new Error(`${hex(candidate)} inside ${hex(address)}: ${code}`);
          } else if (!ANY_BAD.has(code)) {
            throw new Error(`${hex(candidate)}, with only ${hex(address)} out: ${code}`);
          } else if (code === "ERR_INTERIOR_FREE" && candidate % align !== 0) {
            throw new Error(`${hex(candidate)} is misaligned, but was called interior`);
          }
        }
      });
    });
    expectCanary(heap.memory, address, size, 1);
    pool.free(address);
    expect(pool.outstanding).toBe(0);
  });

  test("free refuses every address around a live element of several pages", () => {
    const heap = fixedHeap(build, MIB);
    const size = 2 * PAGE + 100;
    const pool = create({ heap, size, minNr: 0 });
    const address = pool.alloc();
    writeCanary(heap.memory, address, size, 1);
    expectUnchanged(heap, [pool], () => {
      withoutStacks(() => {
        for (let candidate = Math.max(1, address - 20 * KIB); candidate < address + size + 20 * KIB; candidate += 3) {
          if (candidate === address) continue;
          const code = freeCode(pool, candidate);
          const inside = candidate > address && candidate < address + size;
          const expected = candidate % pool.align === 0 ? "ERR_INTERIOR_FREE" : "ERR_MISALIGNED_FREE";
          if (inside ? code !== expected : !ANY_BAD.has(code)) {
            throw new Error(`${hex(candidate)}, ${candidate - address} from the element: ${code}`);
          }
        }
      });
    });
    expectCanary(heap.memory, address, size, 1);
    pool.free(address);
  });

  test("free refuses every page near the heap", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 4096, minNr: 2, align: 4096 });
    const live = new Set(take(pool, 40));
    expectUnchanged(heap, [pool], () => {
      withoutStacks(() => {
        const offsets = [-4096, -16, -1, 0, 1, 16, 4096];
        for (let page = 0; page < PAGE; page++) {
          // all codes near the heap; two beyond it
          for (const offset of page < 256 ? offsets : page % 7 === 0 ? [0, 4096] : []) {
            const address = page * PAGE + offset;
            if (address <= 0 || live.has(address)) continue;
            const code = freeCode(pool, address);
            const beyond = address >= heap.memory.buffer.byteLength;
            if (beyond ? code !== "ERR_INVALID_ADDRESS" : !ANY_BAD.has(code)) {
              throw new Error(`${hex(address)}: ${code}`);
            }
          }
        }
      });
    });
    freeAll(pool, live);
    expect(pool.outstanding).toBe(0);
  });

  test("free checks elements of the largest size", () => {
    const heap = build.heap({ initial: MIB, maximum: 56 * MIB });
    const pool = create({ heap, size: MAX_SIZE, minNr: 1 });
    const small = create({ heap, size: 64, minNr: 1 });
    const [one, two] = take(pool, 2) as [number, number];
    const neighbour = small.alloc();
    expectElements(heap, [one, two], MAX_SIZE, 16);
    expectUnchanged(heap, [pool, small], () => {
      for (let offset = PAGE; offset < MAX_SIZE; offset += PAGE) {
        if (freeCode(pool, one + offset) !== "ERR_INTERIOR_FREE") throw new Error(`+ ${offset}`);
        if (freeCode(small, one + offset) !== "ERR_FOREIGN_FREE") throw new Error(`+ ${offset}`);
        if (freeCode(small, one + offset + (neighbour % PAGE)) !== "ERR_FOREIGN_FREE") throw new Error(`+ ${offset}`);
      }
      expect(freeCode(pool, one + MAX_SIZE - 16)).toBe("ERR_INTERIOR_FREE");
      expect(freeCode(pool, one + MAX_SIZE - 1)).toBe("ERR_MISALIGNED_FREE");
    });
    pool.free(one);
    expect(["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS"]).toContain(freeCode(pool, one));
    pool.free(two);
    expectSound(heap);
  });

  test("messages name the pool and the address", () => {
    const heap = fixedHeap(build, MIB);
    const pool = create({ heap, size: 64, minNr: 1, name: "requests" });
    const address = pool.alloc();
    for (const bad of [address + 16, address + 1, 5 * MIB]) {
      const { message } = errorFrom(() => pool.free(bad));
      expect(message).toContain("requests");
      expect(message.includes(String(bad)) || message.toLowerCase().includes(bad.toString(16))).toBe(true);
    }
  });
});

function codeOfNoArgument(pool: Pool): string {
  return errorFrom(() => (pool.free as () => void)()).code;
}
