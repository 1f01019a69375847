/**
 * A heap in the memory of a guest that has an allocator of its own: neither writes over the other, whichever starts
 * first. Some allocators take all memory up to its size, at their first allocation or at each; some only what they
 * grow.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { createHeap, createSharedHeap, type Heap, type Pool } from "../../src/index.ts";
import { expectCanary, writeCanary } from "../contract/helpers.ts";
import { guests, instantiate, type GuestExports } from "./guests.ts";

/** The memory that the largest guest needs at its start. */
const PAGES = 320;
const SIZE = 64;
const REGION = 1 << 18;
const newMemory = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: PAGES, maximum: 4096 });

/** Elements of a heap, each filled with bytes of its number. */
class Elements {
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #live: number[] = [];

  constructor(heap: Heap) {
    this.#heap = heap;
    this.#pool = heap.create({ size: SIZE, minNr: 16 });
  }

  add(count: number): void {
    for (let i = 0; i < count; i++) {
      const address = this.#pool.alloc();
      if (address === 0) throw new Error("the heap is full");
      writeCanary(this.#heap.memory, address, SIZE, this.#live.push(address));
    }
  }

  /** The number of elements that have other bytes. */
  damaged(): number {
    return this.#live.filter((address, i) => {
      try {
        expectCanary(this.#heap.memory, address, SIZE, i + 1);
        return false;
      } catch {
        return true;
      }
    }).length;
  }

  get problems(): string[] {
    return this.#heap.check();
  }
}

/** The faults after heap and guest have worked in turn, the guest beyond all memory that there was. */
function work(guest: GuestExports, heap: Heap): { elements: number; blocks: number; problems: string[] } {
  const elements = new Elements(heap);
  for (let round = 0; round < 6; round++) {
    elements.add(400);
    guest.fill(120, 5_000 + 100 * round);
    guest.fill(25, 200_000);
  }
  return { elements: elements.damaged(), blocks: guest.check(), problems: elements.problems };
}
const sound = { elements: 0, blocks: 0, problems: [] };

/** The same, and whether the guest got that far. */
function isSound(guest: GuestExports, heap: Heap): boolean {
  try {
    const { elements, blocks, problems } = work(guest, heap);
    return elements + blocks + problems.length === 0;
  } catch {
    return false;
  }
}

describe.each(guests)("$name", ({ takesAll, available, compile }) => {
  const missing = !available && !process.env["CI"];
  let module: WebAssembly.Module;
  beforeAll(async () => {
    if (!missing) module = new WebAssembly.Module((await compile()) as Uint8Array<ArrayBuffer>);
  });

  test.skipIf(missing)("a heap in the guest's first block is safe", () => {
    const memory = newMemory();
    const guest = instantiate(module, memory);
    const heap = createHeap({ memory, region: { base: guest.take(REGION) >>> 0, bytes: REGION } });
    expect(work(guest, heap)).toEqual(sound);
  });

  test.skipIf(missing)("a heap in a later block is safe beside another heap", () => {
    const memory = newMemory();
    const guest = instantiate(module, memory);
    guest.fill(300, 3000);
    const make = () => createHeap({ memory, region: { base: guest.take(REGION) >>> 0, bytes: REGION } });
    const [one, two] = [make(), make()];
    const others = new Elements(two);
    others.add(2500);
    expect(work(guest, one)).toEqual(sound);
    expect([others.damaged(), others.problems]).toEqual([0, []]);
  });

  test.skipIf(missing)(
    takesAll
      ? "a heap that grows is not safe, whenever the guest starts: for that it has to be asked"
      : "a heap that grows is safe too, whether the guest starts before or after",
    () => {
      const outcomes = [false, true].map((guestFirst) => {
        const memory = newMemory();
        const early = guestFirst ? instantiate(module, memory) : undefined;
        const heap = createHeap({ memory, grows: true, maximum: 2 ** 24 });
        return isSound(early ?? instantiate(module, memory), heap);
      });
      expect(outcomes).toEqual([!takesAll, !takesAll]);
    },
  );
});

test("createHeap refuses a memory without region or grows", () => {
  for (const shared of [false, true]) {
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 10, shared });
    for (const options of [{ memory }, { memory, grows: false }, { memory, initial: 65536 }]) {
      expect(() => (shared ? createSharedHeap : createHeap)(options)).toThrow(
        expect.objectContaining({
          code: "ERR_INVALID_ARGUMENT",
          message: expect.stringMatching(/region.*grows: true/),
        }),
      );
    }
    expect(memory.buffer.byteLength).toBe(2 * 65536);
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 0)).toBe(true);
  }
});

test("createHeap refuses grows without memory or with region", () => {
  const memory = newMemory();
  for (const options of [{ grows: true }, { memory, region: { base: 65536, bytes: REGION }, grows: true }]) {
    expect(() => createHeap(options)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }));
  }
});
