/** Prefills: several elements at once, for a caller that needs all of them before it can go on. */
import { noWords } from "../core/context.ts";
import { MempoolError } from "../core/errors.ts";
import { inspect, uncloneable } from "../core/objects.ts";
import type { Ends } from "../core/types.ts";
import { invalid } from "../core/validate.ts";
import type { ElementAddress } from "../struct/index.ts";
import { freeBulk } from "./bulk.ts";
import type { PoolContext } from "./context.ts";

const opaque: object = /* @__PURE__ */ uncloneable("Prefill: it stays in its thread");

// The class has Symbol.dispose, but its type has it only where the program declares that symbol.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging, no-unused-vars
export interface Prefill<out T = unknown> extends Ends {}

/**
 * Elements of a pool, allocated all at once and taken one by one: the next `left` allocs cannot fail. Made by
 * {@link Pool.prefill}. The elements are outstanding from the start, and each is freed to the pool as any other.
 *
 * If every task holds some elements while it waits for more, all of them can deadlock: N tasks that need k elements each are
 * safe only with a reserve of N * (k - 1) + 1. With prefills a reserve of k is enough, since no task holds a part. As SLUB's
 * prefilled sheaves.
 */
export class Prefill<out T = unknown> {
  /** @internal See {@link Heap}. */
  get [Symbol.toStringTag](): string {
    return "Prefill";
  }
  /** @internal A structured clone reads this field first, and throws. */
  readonly stays_in_its_thread: unknown = opaque;
  readonly #pool: PoolContext;
  #elements: Uint32Array;
  #left: number;

  /** @internal */
  constructor(pool: PoolContext, elements: Uint32Array) {
    if (!(elements instanceof Uint32Array)) invalid("new Prefill: prefills are made by pool.prefill()");
    this.#pool = pool;
    this.#elements = elements;
    this.#left = elements.length;
  }

  /** Elements that are left. */
  get left(): number {
    return this.#left;
  }

  /** @internal */
  toJSON(): object {
    return { left: this.#left };
  }

  /** @internal */
  [inspect](): object {
    return this.toJSON();
  }

  /** The next element; 0 when none is left. Never waits. O(1). */
  alloc(): ElementAddress<T> | 0 {
    if (this.#left === 0) return 0;
    const element = this.#elements[--this.#left]!;
    if (this.#left === 0) this.#end();
    return element as ElementAddress<T>;
  }

  /** Another prefill can have the words. */
  #end(): void {
    this.#pool.heap.keepWords(this.#elements);
    this.#elements = noWords;
  }

  /**
   * Frees the elements that are left. A second call has no effect.
   *
   * @throws the errors of {@link Pool.freeBulk}.
   */
  exit(): void {
    const left = this.#left;
    if (left === 0) return;
    this.#left = 0;
    try {
      freeBulk(this.#pool, this.#elements, left);
      this.#end();
    } catch (error) {
      // One element was freed already, so the pool has taken none of them back.
      if (error instanceof MempoolError) this.#left = left;
      throw error;
    }
  }

  /** @internal The same as `exit`: `using prefill = pool.prefill(3)`. */
  [Symbol.dispose](): void {
    this.exit();
  }
}
