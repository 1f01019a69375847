/** An external backend for tests: it allocates numbers and counts them. */
import { expect } from "vitest";
import { create, type Heap, type Backend, type Pool } from "../../src/index.ts";
import { usedAfterTrim } from "./helpers.ts";

/** The result of a Numbers' onAlloc that lets alloc return its next number. */
export const AS_EVER = Symbol("as ever");

/** An allocator of numbers that counts how often it allocated and freed each. */
export class Numbers {
  readonly given = new Map<number, number>();
  readonly back = new Map<number, number>();
  readonly out = new Set<number>();
  readonly left: number[];
  /** Called before alloc returns: it may throw, or return the number that alloc returns instead. */
  onAlloc: (() => unknown) | undefined;
  /** Called after the element has been freed. */
  onFree: ((element: number) => void) | undefined;
  asked = 0;

  constructor(numbers: number) {
    this.left = Array.from({ length: numbers }, (_, i) => 1000 + 7 * i);
  }

  readonly alloc = (): number => {
    this.asked++;
    const instead = this.onAlloc === undefined ? AS_EVER : this.onAlloc();
    if (instead !== AS_EVER) return instead as number;
    const element = this.left.pop() ?? 0;
    if (element === 0) return 0;
    this.given.set(element, (this.given.get(element) ?? 0) + 1);
    this.out.add(element);
    return element;
  };

  readonly free = (element: number): void => {
    if (!this.out.delete(element)) throw new Error(`the host got ${element}, which was not out`);
    this.back.set(element, (this.back.get(element) ?? 0) + 1);
    this.left.push(element);
    this.onFree?.(element);
  };

  get backend(): Backend {
    return { alloc: this.alloc, free: this.free };
  }

  /** Checks that each element was freed as often as it was allocated. */
  expectHome(): void {
    expect([...this.out]).toEqual([]);
    expect([...this.back].toSorted((a, b) => a[0] - b[0])).toEqual([...this.given].toSorted((a, b) => a[0] - b[0]));
  }

  get gives(): number {
    return [...this.given.values()].reduce((sum, count) => sum + count, 0);
  }
}

export function hosted(heap: Heap, host: Numbers | Backend, minNr: number, options: object = {}): Pool {
  const backend = host instanceof Numbers ? host.backend : host;
  return create({ heap, size: 8, minNr, backend, ...options });
}

/** The statistics but the peak, which has a test of its own, and reclaims. */
export function stateButPeak(heap: Heap, pool: Pool): unknown {
  return { heap: heap.stats(), pool: { ...pool.stats(), peakOutstanding: 0, reclaims: 0 } };
}

export const hasClosed = (pool: Pool): Promise<boolean> =>
  Promise.race([
    pool.closed.then(() => true),
    new Promise<boolean>((resolve) => setTimeout(resolve, 60_000, false).unref()),
  ]);

/** The bytes that a heap uses after a pool with an external backend has ended. */
export function idle(heap: Heap): number {
  hosted(heap, new Numbers(2), 1).exit();
  return usedAfterTrim(heap);
}
