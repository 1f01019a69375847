/** Tickets: elements that are certain, for who needs several before it can go on. */
import { MempoolError } from "./errors.ts";
import type { Pool } from "./pool.ts";

/**
 * So many elements of a pool, had all at once, to be handed out one by one: the next `left` allocs cannot fail. Made by
 * {@link Pool.ticket}. They are outstanding from the start, and each is freed to the pool as ever.
 *
 * Who holds some elements while it waits for more can wait for ever, if all do; N who need k each are safe only with
 * N * (k - 1) + 1 in reserve. With tickets k is enough: nobody holds a part. As SLUB's prefilled sheaves.
 */
export class Ticket implements Disposable {
  readonly #pool: Pool;
  readonly #elements: Uint32Array;
  #left: number;

  /** @internal */
  constructor(pool: Pool, elements: Uint32Array) {
    this.#pool = pool;
    this.#elements = elements;
    this.#left = elements.length;
  }

  /** Elements it still has. */
  get left(): number {
    return this.#left;
  }

  /** The next one; 0 when there is none left. Never waits, never fails before that. O(1). */
  alloc(): number {
    return this.#left === 0 ? 0 : this.#elements[--this.#left]!;
  }

  /** Gives back what is left. Again: no effect. */
  exit(): void {
    const left = this.#left;
    this.#left = 0;
    try {
      this.#pool.freeBulk(this.#elements, left);
    } catch (error) {
      // One is not what it was, so none was taken back.
      if (error instanceof MempoolError) this.#left = left;
      throw error;
    }
  }

  /** The same as `exit`: `using ticket = pool.ticket(3)`. */
  [Symbol.dispose](): void {
    this.exit();
  }
}
