/** Pools whose element size changes, for tests, and their outstanding elements. */
import { expect } from "vitest";
import { create, type Heap, type Pool } from "../../src/index.ts";
import { expectCanary, expectDisjoint, fixedHeap, take, usedAfterTrim, writeCanary, type Build } from "./helpers.ts";

/** A pool whose elements have as many bytes as its data says. */
export function poolOf(heap: Heap, bytes: number, minNr: number, options: object = {}): Pool<unknown, number> {
  return create({ heap, size: (data: number) => data, data: bytes, minNr, ...options });
}

/** Outstanding elements, each filled with bytes of its own. */
export class Held {
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #sizes = new Map<number, number>();

  constructor(heap: Heap, pool: Pool) {
    this.#heap = heap;
    this.#pool = pool;
  }

  get addresses(): number[] {
    return [...this.#sizes.keys()];
  }

  add(address: number, size = this.#pool.elementSize): void {
    expect(address).not.toBe(0);
    if (this.#sizes.has(address)) throw new Error("an element was handed out twice");
    this.#sizes.set(address, size);
    writeCanary(this.#heap.memory, address, size, address);
  }

  take(count: number): number[] {
    const taken = take(this.#pool, count);
    for (const address of taken) this.add(address);
    return taken;
  }

  verify(): void {
    for (const [address, size] of this.#sizes) {
      expectCanary(this.#heap.memory, address, size, address);
      if (this.#pool.sizeOf(address) !== size)
        throw new Error(`sizeOf says ${this.#pool.sizeOf(address)}, not ${size}`);
    }
    expectDisjoint([...this.#sizes]);
    expect(this.#pool.outstanding).toBe(this.#sizes.size);
  }

  free(address: number): void {
    expectCanary(this.#heap.memory, address, this.#sizes.get(address)!, address);
    this.#sizes.delete(address);
    this.#pool.free(address);
  }

  freeBulk(addresses: readonly number[]): void {
    for (const address of addresses) {
      expectCanary(this.#heap.memory, address, this.#sizes.get(address)!, address);
      this.#sizes.delete(address);
    }
    this.#pool.freeBulk(Uint32Array.from(addresses));
  }
}

/** The statistics without reclaims. */
export function stateButReclaims(heap: Heap, pool: Pool): unknown {
  return { heap: heap.stats(), pool: { ...pool.stats(), reclaims: 0 } };
}

/** The bytes that a heap uses after its pools have ended. */
export function idle(build: Build, bytes: number): [Heap, number] {
  const heap = fixedHeap(build, bytes);
  poolOf(heap, 8, 1).exit();
  return [heap, usedAfterTrim(heap)];
}
