/**
 * The waiters of this thread for elements of one pool: first come, first served.
 *
 * On a heap that no other thread can reach, this queue is the only one. It is served by a free, a slow alloc, and what may
 * have got memory back: a resize, a trim, an exit, an arena's reset (`afterFree` and `takeAfterWaiters` of pool/context.ts,
 * `scheduleRetry` of core/context.ts). On a shared heap the core keeps the queue of all threads: see {@link SharedWaitQueue}.
 *
 * To join, to leave and to be served cost the same however many wait: waiters are linked, and the queue looks at its head
 * only. A user's callback (a backend) may run wherever the queue takes or frees an element, and may change this queue: so
 * the queue reads its state again after each.
 */
import type { HeapContext, QueueMember } from "../core/context.ts";
import { MempoolError, type ErrorCode } from "../core/errors.ts";
import { now, report, startTimeout } from "../core/timers.ts";
import { onAbort } from "./abort.ts";
import type { CheckedWaitOptions } from "./options.ts";
import { Tally, type Ending } from "./tally.ts";
import { Waiter, WaiterList } from "./waiter.ts";

/** What a queue needs of the pool that its waiters wait for. */
export interface ElementSource {
  readonly name: string;
  readonly handle: number;
  /** Whether the core no longer knows the pool. */
  readonly isEnded: boolean;
  readonly isClosed: boolean;
  /** Whether the elements come from a backend of the caller's own. */
  readonly isHosted: boolean;
  /** The most waiters of this thread that do not block it. */
  readonly maxWaiters: number;
  /** An element for a waiter, or 0: then the call does not count as a failure, and what a backend has thrown is dropped. */
  takeForWaiter(): number;
  /** Makes an element of an address that the core has allocated. */
  toElement(address: number): number;
  free(element: number): void;
  /** Asks a backend of the caller's own for an element for the first waiter. Whether there was one. */
  refillFromBackend(): boolean;
  /** Learns what other threads have changed. */
  syncState(): void;
}

/** Milliseconds in which a bulk request must get an element before others get their turn. */
export const STALL = 100;
/** Milliseconds between two ticks. */
export const TICK = 25;

export class WaitQueue implements QueueMember {
  protected readonly source: ElementSource;
  protected readonly context: HeapContext;
  /** On a shared heap: the waiters without a place in the core's queue. */
  protected readonly list: WaiterList = new WaiterList();
  /** The waits that have ended. */
  readonly tally: Tally = new Tally();
  /** The elements that waiters have got. */
  protected given = 0;
  #turns = 0;

  constructor(source: ElementSource, context: HeapContext) {
    this.source = source;
    this.context = context;
  }

  get ms(): number {
    return TICK;
  }

  /** The waiters, without those that block the thread. */
  get size(): number {
    return this.list.size;
  }

  /** A wait has ended. */
  protected count(milliseconds: number, ending: Ending): void {
    this.tally.add(milliseconds, ending);
    for (const observer of this.context.observers ?? []) observer.waited?.(this.source.name, milliseconds, ending);
  }

  /** Waits for `count` elements without blocking. */
  wait(apiName: string, count: number, { timeout, signal }: CheckedWaitOptions): Promise<number[]> {
    const { maxWaiters } = this.source;
    if (this.size >= maxWaiters) {
      const what = `has no element, and ${maxWaiters} calls wait already: that is its maxWaiters`;
      return Promise.reject(this.error(apiName, "ERR_TOO_MANY_WAITERS", what));
    }
    return new Promise((resolve, reject) => {
      const start = now();
      let stopTimer: (() => void) | undefined;
      let stopListening: (() => void) | undefined;
      const waiter = new Waiter(apiName, count, (ending, error) => {
        this.count(now() - start, ending);
        stopTimer?.();
        stopListening?.();
        if (ending === "served") resolve(waiter.got);
        else reject(error);
      });
      const abort = () => this.#fail(waiter, "abort", signal!.reason);
      const expire = () => {
        if (!waiter.waits) return;
        this.serve();
        this.#fail(waiter, "timeout", this.timedOut(apiName, count, timeout));
      };
      this.push(waiter);
      this.#update();
      // A shrinker or a backend may have aborted the signal within this call.
      if (signal?.aborted) return abort();
      if (signal) stopListening = onAbort(signal, abort);
      // The caller has just tried to get one element: another try for that would find nothing.
      this.serve(count > 1 ? Infinity : 0);
      if (!waiter.waits) return;
      if (timeout === 0) expire();
      else if (timeout !== Infinity) stopTimer = startTimeout(timeout, expire);
    });
  }

  /** Blocks this thread until `count` elements have come. */
  block(apiName: string, _count: number, _options: CheckedWaitOptions): number[] {
    throw this.wouldBlock(apiName);
  }

  /** Gives the waiters the elements that there are, `most` at most; returns how many waiters of this thread have got. */
  serve(most = Infinity): number {
    const { given } = this;
    this.serveWaiters(most);
    return this.given - given;
  }

  protected serveWaiters(most: number): void {
    // A backend may add waiters while it runs: the queue serves these later.
    const turns = this.#turns;
    for (; most > 0 && this.list.first && this.list.first.turn <= turns; most--) {
      const element = this.source.takeForWaiter();
      if (element === 0) return;
      const { first } = this.list;
      if (!first) return this.freeAll([element]);
      this.receive(first, element);
      if (first.isServed) this.finish(first);
    }
  }

  /** Ends all waits with ERR_CLOSED. */
  close(): void {
    const all = this.waiters();
    for (const waiter of all) this.remove(waiter);
    this.#update();
    for (const waiter of all) {
      this.withdraw(waiter);
      waiter.settle("close", this.closedError(waiter.apiName));
      this.giveBack(waiter);
    }
  }

  retry(_isFirst: boolean): void {
    this.serve();
  }

  protected waiters(): Waiter[] {
    return this.list.toArray();
  }

  tick(milliseconds: number, _isFirst: boolean): void {
    // A backend of the caller's own does not say when it has elements again.
    if (this.source.isHosted) this.serve();
    // Only the first waiter can hold elements.
    if (this.list.first && this.hasStalled(this.list.first, milliseconds)) this.requeue(this.list.first);
  }

  protected receive(waiter: Waiter, element: number): void {
    waiter.got.push(element);
    waiter.idle = 0;
    this.given++;
  }

  protected finish(waiter: Waiter): void {
    if (!waiter.waits) return;
    this.remove(waiter);
    this.#update();
    waiter.settle("served");
  }

  /** Moves a waiter to the end. Its elements go to the waiters before it; if there is none, it gets them back. */
  protected requeue(waiter: Waiter): void {
    this.list.delete(waiter);
    this.push(waiter);
    this.giveBack(waiter);
  }

  protected push(waiter: Waiter): void {
    waiter.turn = ++this.#turns;
    this.list.push(waiter);
  }

  /** Whether a waiter that holds elements has got none for too long, once `milliseconds` more have passed. */
  protected hasStalled(waiter: Waiter, milliseconds: number): boolean {
    waiter.idle += milliseconds;
    return waiter.got.length > 0 && waiter.idle >= STALL;
  }

  protected giveBack(waiter: Waiter): void {
    waiter.idle = 0;
    this.freeAll(waiter.got.splice(0));
  }

  /** Frees elements. No caller waits for what a backend throws here, so that is reported. */
  protected freeAll(elements: readonly number[]): void {
    for (const element of elements) {
      try {
        this.source.free(element);
      } catch (error) {
        report(error);
      }
    }
  }

  /** Removes a waiter from this thread's queue. */
  protected remove(waiter: Waiter): void {
    waiter.waits = false;
    this.list.delete(waiter);
  }

  /** Gives up a waiter's places in the core's queue. */
  protected withdraw(_waiter: Waiter): void {}

  #fail(waiter: Waiter, ending: Ending, error: unknown): void {
    if (!waiter.waits) return;
    this.remove(waiter);
    waiter.settle(ending, error);
    this.withdraw(waiter);
    this.giveBack(waiter);
    // The waiters behind it may get along with fewer elements.
    this.serve();
    this.#update();
  }

  #update(): void {
    this.context.updateQueue(this, this.size > 0);
  }

  closedError(apiName: string): MempoolError {
    return this.error(apiName, "ERR_CLOSED", "is closed");
  }

  protected wouldBlock(apiName: string): MempoolError {
    const instead = `${insteadOf(apiName)} waits without blocking`;
    return this.error(apiName, "ERR_WOULD_BLOCK", `has no element, and no other thread could free one: ${instead}`);
  }

  protected timedOut(apiName: string, count: number, timeout: number): MempoolError {
    return this.error(apiName, "ERR_TIMEOUT", `had no ${count > 1 ? `${count} elements` : "element"} in ${timeout} ms`);
  }

  protected error(apiName: string, code: ErrorCode, what: string): MempoolError {
    const pool = this.source.name;
    return new MempoolError(code, `${apiName}: pool "${pool}" ${what}`, { pool });
  }
}

/** The call that waits without blocking, in place of one that blocks. */
export const insteadOf = (apiName: string): string => apiName.replace("Wait", "Async");
