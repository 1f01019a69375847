/** One call that waits, and a list of such calls in their order. */
import type { Ending } from "./tally.ts";

export class Waiter {
  readonly apiName: string;
  readonly count: number;
  readonly got: number[] = [];
  /** Milliseconds since the last element came, as far as ticks and sleeps tell. */
  idle = 0;
  /** The waiter's places in the core's queue, and the sequence number that all of them have. */
  readonly places: number[] = [];
  sequence = 0;
  /** Whether the waiter is still queued; and its number in the order of this thread's queue. */
  waits = true;
  turn = 0;
  previous: Waiter | undefined;
  next: Waiter | undefined;
  /** Ends the wait; an error only if it was not served. */
  readonly settle: (ending: Ending, error?: unknown) => void;

  constructor(apiName: string, count: number, settle: Waiter["settle"]) {
    this.apiName = apiName;
    this.count = count;
    this.settle = settle;
  }

  get isServed(): boolean {
    return this.got.length === this.count;
  }
}

/** A linked list: the first item of a Set is slow to find once many before it have been deleted. */
export class WaiterList {
  first: Waiter | undefined;
  #last: Waiter | undefined;
  size = 0;

  push(waiter: Waiter): void {
    waiter.previous = this.#last;
    waiter.next = undefined;
    if (this.#last) this.#last.next = waiter;
    else this.first = waiter;
    this.#last = waiter;
    this.size++;
  }

  /** The waiter must be in the list. */
  delete({ previous, next }: Waiter): void {
    if (previous) previous.next = next;
    else this.first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    this.size--;
  }

  toArray(): Waiter[] {
    const all: Waiter[] = [];
    for (let waiter = this.first; waiter; waiter = waiter.next) all.push(waiter);
    return all;
  }
}
