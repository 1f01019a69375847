/**
 * Helpers of the black-box tests. All but `contextOf` use only the public API.
 */
import { expect } from "vitest";
import { create, MempoolError, type Heap, type Pool, type SizedByData } from "../../src/index.ts";
import type { PoolContext } from "../../src/pool/context.ts";
import type { builds } from "../builds.ts";

export type Build = (typeof builds)[number];

export const KIB = 1024;
export const MIB = 1024 * 1024;
/** A WebAssembly page. */
export const PAGE = 65536;
export const MAX_SIZE = 16 * MIB;
export const MAX_ALIGN = 4096;

/** A heap of exactly `bytes` bytes, which never grows. */
export function fixedHeap(build: Build, bytes: number): Heap {
  return build.heap({ initial: bytes, maximum: bytes });
}

/** Calls `create` with options that an untyped caller might pass. */
export function createWith(options: unknown): Pool<unknown, any> {
  return create(options as SizedByData<any>);
}

/** The context of a pool that has not ended, for the few tests that look inside. */
export function contextOf(pool: Pool): PoolContext {
  return [...pool.heap.context.pools].find(({ front }) => front === pool) as PoolContext;
}

// ---------------------------------------------------------------------------------------------------- errors

/** The MempoolError that the call throws. Any other result fails the test. */
export function errorFrom(call: () => unknown): MempoolError {
  try {
    call();
  } catch (error) {
    if (error instanceof MempoolError) return error;
    throw new Error(`expected a MempoolError, got ${describeThrown(error)}`, { cause: error });
  }
  throw new Error("expected a MempoolError, but nothing was thrown");
}

/** The code of the MempoolError that the call throws, or "none". Any other error fails the test. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof MempoolError) return error.code;
    throw new Error(`expected a MempoolError, got ${describeThrown(error)}`, { cause: error });
  }
  return "none";
}

/** The code with which the pool refuses this value, or "none". */
export function freeCode(pool: Pool, address: unknown): string {
  return codeOf(() => pool.free(address as number));
}

/** Runs a loop that provokes very many errors, without the cost of capturing their stacks. */
export function withoutStacks<T>(body: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return body();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

function describeThrown(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : typeof error;
}

// ---------------------------------------------------------------------------------------------------- state

/** The public state that a refused call must not change. */
export function stateOf(heap: Heap, ...pools: Pool[]): unknown {
  return { heap: heap.stats(), bytes: heap.memory.buffer.byteLength, pools: pools.map((pool) => pool.stats()) };
}

/** Fails if the heap reports an inconsistency. */
export function expectSound(heap: Heap): void {
  expect(heap.check()).toEqual([]);
}

/** Used bytes after the heap has returned all unused memory. */
export function usedAfterTrim(heap: Heap): number {
  heap.trim();
  return heap.stats().used;
}

// ---------------------------------------------------------------------------------------------------- elements

/** Allocates until the pool returns 0, or `most` elements. */
export function drain(pool: Pool, most = 4_000_000): number[] {
  const addresses: number[] = [];
  while (addresses.length < most) {
    const address = pool.alloc();
    if (address === 0) break;
    addresses.push(address);
  }
  return addresses;
}

/** Allocates `count` elements; fails if the pool has fewer. */
export function take(pool: Pool, count: number): number[] {
  const addresses = drain(pool, count);
  expect(addresses.length).toBe(count);
  return addresses;
}

export function freeAll(pool: Pool, addresses: Iterable<number>): void {
  for (const address of addresses) pool.free(address);
}

/** Allocates all memory of a heap, in ever smaller pieces, and keeps it until `release`. */
export class Greedy {
  readonly pools: readonly Pool[];
  readonly #taken: number[][];

  constructor(heap: Heap, sizes: readonly number[] = [MIB, PAGE, 4 * KIB, 256, 16, 1]) {
    this.pools = sizes.map((size) => create({ heap, size, minNr: 0, align: 1, name: `greedy ${size}` }));
    this.#taken = sizes.map(() => []);
  }

  /** Allocates all there is; returns the number of elements. */
  take(): number {
    let total = 0;
    for (;;) {
      let count = 0;
      this.pools.forEach((pool, index) => {
        const addresses = drain(pool);
        for (const address of addresses) this.#taken[index]!.push(address);
        count += addresses.length;
      });
      if (count === 0) return total;
      total += count;
    }
  }

  release(): void {
    this.pools.forEach((pool, index) => {
      freeAll(pool, this.#taken[index]!);
      this.#taken[index] = [];
    });
  }
}

/** Fails if two of the intervals share a byte; each is [start, length]. */
export function expectDisjoint(intervals: readonly (readonly [number, number])[]): void {
  const sorted = intervals.toSorted((a, b) => a[0] - b[0]);
  for (let i = 1; i < sorted.length; i++) {
    const [start, length] = sorted[i - 1]!;
    const next = sorted[i]!;
    if (start + length > next[0]) {
      throw new Error(`${hex(start)} + ${length} overlaps ${hex(next[0])} + ${next[1]}`);
    }
  }
}

/** Fails unless all elements, of one size, are aligned, inside the memory and disjoint. */
export function expectElements(heap: Heap, addresses: readonly number[], size: number, align: number): void {
  const sorted = Float64Array.from(addresses).toSorted();
  const end = heap.memory.buffer.byteLength;
  let previousEnd = 1; // 0 is "no element"
  for (const address of sorted) {
    if (address % align !== 0) throw new Error(`${hex(address)} is not aligned to ${align}`);
    if (address < previousEnd) throw new Error(`${hex(address)} overlaps what ends at ${hex(previousEnd)}`);
    previousEnd = address + size;
  }
  expect(previousEnd).toBeLessThanOrEqual(end);
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

// ---------------------------------------------------------------------------------------------------- bytes

/** Seeded random numbers, uniform in [0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffle<T>(items: T[], next: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

const CHUNK = PAGE;
/** Random bytes; an element's canary is a part of them that begins at an offset derived from its seed. */
const NOISE = (() => {
  const next = random(0xc0ffee);
  return Buffer.from(Array.from({ length: 2 * CHUNK }, () => Math.floor(next() * 256)));
})();

function noise(seed: number, length: number): Buffer {
  const start = (seed * 97) % CHUNK;
  return NOISE.subarray(start, start + length);
}

/** Fills [address, address + length) with the bytes of this seed. */
export function writeCanary(memory: WebAssembly.Memory, address: number, length: number, seed: number): void {
  const bytes = new Uint8Array(memory.buffer);
  for (let done = 0; done < length; done += CHUNK) {
    bytes.set(noise(seed, Math.min(CHUNK, length - done)), address + done);
  }
}

/** Fails if a byte that writeCanary wrote has changed. */
export function expectCanary(memory: WebAssembly.Memory, address: number, length: number, seed: number): void {
  for (let done = 0; done < length; done += CHUNK) {
    const part = Math.min(CHUNK, length - done);
    const bytes = new Uint8Array(memory.buffer, address + done, part);
    const expected = noise(seed, part);
    if (Buffer.compare(bytes, expected) !== 0) {
      const at = bytes.findIndex((byte, i) => byte !== expected[i]);
      throw new Error(`byte ${done + at} of the ${length} bytes at ${hex(address)} was overwritten`);
    }
  }
}

const ZEROS = Buffer.alloc(CHUNK);

/** Fails unless every byte of [address, address + length) is zero. */
export function expectZero(memory: WebAssembly.Memory, address: number, length: number): void {
  for (let done = 0; done < length; done += CHUNK) {
    const part = Math.min(CHUNK, length - done);
    const bytes = new Uint8Array(memory.buffer, address + done, part);
    if (Buffer.compare(bytes, ZEROS.subarray(0, part)) !== 0) {
      const at = bytes.findIndex((byte) => byte !== 0);
      throw new Error(`byte ${done + at} of the ${length} bytes at ${hex(address)} is not zero`);
    }
  }
}

// ---------------------------------------------------------------------------------------------------- garbage

/** Values that are no address, although JavaScript would convert most of them to one. */
export function nonAddresses(address: number): [string, unknown][] {
  return [
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["-Infinity", -Infinity],
    ["-1", -1],
    ["the negative of it", -address],
    ["it, as a negative int32", address - 2 ** 32],
    ["it and a half", address + 0.5],
    ["it and a hair", address + 2 ** -20],
    ["half of one", 0.5],
    ["minus a half", -0.5],
    ["the smallest number", Number.MIN_VALUE],
    ["2 ** 32", 2 ** 32],
    ["2 ** 32 and it", 2 ** 32 + address],
    ["2 ** 40 and it", 2 ** 40 + address],
    ["2 ** 52 and it", 2 ** 52 + address],
    ["the largest integer", Number.MAX_SAFE_INTEGER],
    ["the largest number", Number.MAX_VALUE],
    ["a string of it", String(address)],
    ["a hexadecimal string of it", hex(address)],
    ["the empty string", ""],
    ["the string 0", "0"],
    ["a bigint of it", BigInt(address)],
    ["the bigint 0", 0n],
    ["true", true],
    ["false", false],
    ["null", null],
    ["undefined", undefined],
    ["an object", {}],
    ["an object without a prototype", Object.create(null)],
    ["an empty array", []],
    ["an array of it", [address]],
    ["an object with that value", { valueOf: () => address }],
    ["an object that throws when read", { [Symbol.toPrimitive]: () => thrower(), toString: thrower }],
    ["a boxed number", Object(address)],
    ["a function", () => address],
    ["a symbol", Symbol("address")],
  ];
}

function thrower(): never {
  throw new Error("nobody should ask this object for its value");
}
