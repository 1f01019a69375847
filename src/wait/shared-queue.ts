/**
 * The waiters of this thread for elements of a pool on a shared heap. The core keeps the queue of all threads: a thread has
 * up to 16 places in it, each a Waiter of the core's, and the core puts an element into the one with the lowest sequence
 * number. A bulk request has several places with one number. A waiter for which the thread has no place left waits in this
 * thread's own list.
 */
import { mayBlock, sleep, waitAsync } from "../core/blocking.ts";
import { now } from "../core/timers.ts";
import type { Signal } from "../core/types.ts";
import { insteadOf, STALL, TICK, WaitQueue } from "./queue.ts";
import type { CheckedWaitOptions } from "./options.ts";
import { Waiter } from "./waiter.ts";

/** Milliseconds after which the queue, beside looking for elements, trims the heap and asks a backend of the caller's own. */
const RETRY = 250;
/** Milliseconds between two ticks where there is no Atomics.waitAsync. */
const POLL = 4;
/** The value of a place in which no element is yet. */
const WAITING = 1;
/** The places that one bulk request may have; and that all waiters may have, which leaves one for a call that blocks. */
const BULK_PLACES = 8;
const ASYNC_PLACES = 15;

export class SharedWaitQueue extends WaitQueue {
  /** The waiters with places in the core's queue; and those that block the thread. */
  readonly #placed = new Set<Waiter>();
  readonly #blocked = new Set<Waiter>();
  /** The places for whose change an Atomics.waitAsync waits. */
  readonly #watched = new Set<number>();
  /** The places that this thread has. */
  #placesTaken = 0;
  #sinceRetry = 0;

  override get ms(): number {
    return waitAsync ? TICK : POLL;
  }

  override get size(): number {
    return this.list.size + this.#placed.size;
  }

  protected override serveWaiters(): void {
    for (const waiter of this.#placed) this.#advance(waiter);
    for (let { first } = this.list; first && this.#advance(first); { first } = this.list);
  }

  /** Collects a waiter's elements. Whether the waiter now has all of them, or a place. */
  #advance(waiter: Waiter): boolean {
    if (this.#collect(waiter, ASYNC_PLACES)) {
      this.finish(waiter);
      return true;
    }
    if (!waiter.waits || waiter.places.length === 0) return false;
    if (!this.#placed.has(waiter)) {
      this.list.delete(waiter);
      this.#placed.add(waiter);
    }
    for (const place of waiter.places) this.#watch(place);
    return true;
  }

  protected override waiters(): Waiter[] {
    return [...this.#placed, ...super.waiters()];
  }

  protected override remove(waiter: Waiter): void {
    waiter.waits = false;
    if (!this.#placed.delete(waiter)) this.list.delete(waiter);
  }

  override close(): void {
    for (const waiter of this.#blocked) {
      waiter.waits = false;
      this.withdraw(waiter);
      this.giveBack(waiter);
    }
    super.close();
  }

  override block(apiName: string, count: number, { timeout, signal }: CheckedWaitOptions): number[] {
    if (!mayBlock()) {
      const why = `has no element, and this thread must not block: ${insteadOf(apiName)} waits without blocking`;
      throw this.error(apiName, "ERR_WOULD_BLOCK", why);
    }
    if (this.#isAlone) throw this.wouldBlock(apiName);
    const waiter = new Waiter(apiName, count, () => {});
    this.#blocked.add(waiter);
    let waited = 0;
    try {
      waited = this.#awaitElements(waiter, timeout, signal);
    } finally {
      this.#blocked.delete(waiter);
    }
    if (waiter.isServed) {
      this.count(waited, "served");
      return waiter.got;
    }
    const isAborted = waiter.waits && signal?.aborted === true;
    this.count(waited, isAborted ? "abort" : waiter.waits ? "timeout" : "close");
    const isClosed = !waiter.waits;
    this.giveBack(waiter);
    if (isAborted) throw signal.reason;
    throw isClosed ? this.closedError(apiName) : this.timedOut(apiName, count, timeout);
  }

  /** Whether no other thread can have this heap: no thread has ever attached, and this one has never shared it. */
  get #isAlone(): boolean {
    return this.context.sharedId === undefined && this.context.core.heap_thread_count() === 1;
  }

  /**
   * Blocks until the waiter is served, is out of time, is aborted by a callback, or is withdrawn by a close; returns for how
   * many milliseconds.
   */
  #awaitElements(waiter: Waiter, timeout: number, signal: Signal | undefined): number {
    let waited = 0;
    while (waiter.waits) {
      if (this.#collect(waiter, Infinity)) break;
      // A backend of the caller's own may have an element again.
      if (waiter.waits && this.source.refillFromBackend()) continue;
      if (!waiter.waits) break;
      this.source.syncState();
      if (this.source.isClosed) continue;
      if (waited >= timeout || signal?.aborted) {
        this.withdraw(waiter);
        break;
      }
      // In pieces, so that this thread does not sleep on elements that others starve for.
      const slept = this.#sleep(waiter.places[0], Math.min(timeout - waited, STALL));
      waited += slept;
      if (this.hasStalled(waiter, slept)) this.requeue(waiter);
      this.tick(slept, true);
    }
    return waited;
  }

  /** Sleeps until a place changes; returns for how many milliseconds, at least the limit if that is over: a fake clock may stand still. */
  #sleep(place: number | undefined, milliseconds: number): number {
    const start = now();
    let isOver = true;
    if (place === undefined) sleep(milliseconds);
    else isOver = Atomics.wait(this.context.views.refresh().i32, place >>> 2, WAITING, milliseconds) === "timed-out";
    const slept = Math.max(0, now() - start);
    return isOver ? Math.max(slept, milliseconds) : slept;
  }

  override retry(isFirst: boolean): void {
    this.#sinceRetry = 0;
    const { core } = this.context;
    if (isFirst) {
      core.heap_trim();
      core.heap_idle();
    }
    let wanted = this.list.size;
    for (const { count, got } of this.#placed) wanted += count - got.length;
    // A backend may add waiters while it runs: the queue serves these later.
    for (; wanted > 0 && this.size > 0 && this.source.refillFromBackend(); wanted--) this.serve();
    this.serve();
  }

  override tick(milliseconds: number, isFirst: boolean): void {
    for (const waiter of this.#placed) if (this.hasStalled(waiter, milliseconds)) this.requeue(waiter);
    this.#sinceRetry += milliseconds;
    if (this.source.isEnded) return;
    // Memory that another thread gives back belongs to no pool, so no waiter hears of it.
    if (this.#sinceRetry >= RETRY) this.retry(isFirst);
    else {
      if (isFirst) this.context.core.heap_idle();
      this.serve();
    }
    this.source.syncState();
  }

  protected override requeue(waiter: Waiter): void {
    this.withdraw(waiter);
    // The last element may have come just now.
    if (waiter.isServed) return this.#placed.has(waiter) ? this.finish(waiter) : undefined;
    const got = waiter.got.splice(0);
    waiter.sequence = 0;
    waiter.idle = 0;
    if (this.#placed.delete(waiter)) this.push(waiter);
    else this.#collect(waiter, Infinity);
    // Waiters without a place get theirs first.
    this.serve();
    this.freeAll(got);
  }

  protected override withdraw(waiter: Waiter): void {
    for (const place of waiter.places.splice(0)) this.#leave(waiter, place);
  }

  /** Collects the elements in a waiter's places, and takes the places that it lacks. Whether the waiter has all elements. */
  #collect(waiter: Waiter, most: number): boolean {
    const { views, core } = this.context;
    for (;;) {
      const { places, got, count } = waiter;
      for (let i = places.length; i-- > 0;) {
        const place = places[i]!;
        if (Atomics.load(views.refresh().i32, place >>> 2) === WAITING) continue;
        places.splice(i, 1);
        if (this.#leave(waiter, place)) continue;
        this.source.syncState();
        return false;
      }
      if (waiter.isServed) return true;
      if (places.length === Math.min(count - got.length, BULK_PLACES) || this.#placesTaken >= most) return false;
      const place = core.mempool_wait_begin(this.source.handle, waiter.sequence) >>> 0;
      if (place === 0) return false;
      this.#placesTaken++;
      places.push(place);
      waiter.sequence = Atomics.load(views.refresh().u32, (place >>> 2) + 1);
    }
  }

  /** Gives a place back. Whether there was an element in it: a place that no longer waits has one, unless the pool is closed. */
  #leave(waiter: Waiter, place: number): boolean {
    this.#placesTaken--;
    // Memory that came back to the heap tells no time.
    this.context.debug?.tick();
    const address = this.context.core.mempool_wait_end(this.source.handle, place) >>> 0;
    if (address !== 0) this.receive(waiter, this.source.toElement(address));
    return address !== 0;
  }

  /** Serves the queue when a place changes: one wait for each place, whichever waiter has the place by then. */
  #watch(place: number): void {
    if (!waitAsync || this.#watched.has(place)) return;
    this.#watched.add(place);
    const { i32 } = this.context.views.refresh();
    void Promise.resolve(waitAsync(i32, place >>> 2, WAITING).value).then(() => {
      this.#watched.delete(place);
      this.serve();
    });
  }
}
