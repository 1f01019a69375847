/**
 * Those of this thread who wait for elements of a pool: first come, first served.
 *
 * On a heap that no other thread can reach, this line is all there is: whoever gives something back serves it. On a shared
 * heap the core keeps the line of all threads, and this one keeps what its own thread is to get, and its places there.
 */
import { MempoolError, type ErrorCode } from "./errors.ts";
import type { HeapCore, Pool } from "./pool.ts";

/** What {@link Pool.allocAsync} takes. */
export interface WaitOptions {
  /** Milliseconds to wait at most, from 0. Default Infinity. Where there are no timers (AudioWorklet), 0 or Infinity. */
  readonly timeout?: number;
  /** Ends the waiting when it aborts. */
  readonly signal?: AbortSignal;
}

/** What {@link Pool.allocBulkAsync} takes. */
export interface BulkWaitOptions extends WaitOptions {
  /** Elements, at most as many as `out` has room for. Default: as many. */
  readonly count?: number;
}

/** Milliseconds in which a bulk request must get something, or others get their turn. */
const STALL = 100;
/** Milliseconds between two looks at the line; where nothing tells when a place there is served, between two of those. */
const TICK = 25;
const POLL = 4;
/** Milliseconds between two looks for memory that other threads have given back. */
const RETRY = 250;
/** setTimeout takes no more. */
const MAX_DELAY = 2 ** 31 - 1;
/** A place in the core's line has this value until something comes. */
const WAITING = 1;
/** Places in the core's line that one bulk request may have, and that leave one for who blocks the thread. */
const BULK_PLACES = 8;
const ASYNC_PLACES = 15;

/** An AudioWorklet has no other. */
const clock = globalThis.performance ?? Date;

/** Not in TypeScript's library yet, nor in every engine. */
export const waitAsync = (
  Atomics as { waitAsync?: (array: Int32Array, index: number, value: number, timeout?: number) => { value: unknown } }
).waitAsync;

/** Calls back every so often. Undefined where there are no timers. */
export function every(milliseconds: number, keepsAlive: boolean, call: () => void): (() => void) | undefined {
  if (typeof setInterval === "undefined") return undefined;
  const timer: unknown = setInterval(call, milliseconds);
  // Only Node's keep a process alive.
  if (!keepsAlive) (timer as { unref?(): void }).unref?.();
  return () => clearInterval(timer as number);
}

/** How many waited, and how long: see PoolStats. */
export interface Waits {
  readonly waits: number;
  readonly timeouts: number;
  readonly aborts: number;
  readonly waitTimes: readonly number[];
}
const TIMES = 32;
export const NO_WAITS: Waits = { waits: 0, timeouts: 0, aborts: 0, waitTimes: Array.from({ length: TIMES }, () => 0) };

interface Waiter {
  readonly call: string;
  readonly count: number;
  readonly got: number[];
  /** When the last element came, by the clock. */
  last: number;
  /** Its places in the core's line, and what they have in common. */
  readonly places: number[];
  ticket: number;
  readonly settle: (error?: MempoolError) => void;
}

const waiterFor = (call: string, count: number, settle: Waiter["settle"]): Waiter => {
  return { call, count, got: [], last: clock.now(), places: [], ticket: 0, settle };
};

export class Line {
  protected readonly pool: Pool;
  protected readonly within: HeapCore;
  protected readonly waiters = new Set<Waiter>();
  #stopTicking: (() => void) | undefined;
  #timeouts = 0;
  #aborts = 0;
  readonly #times = [...NO_WAITS.waitTimes];

  constructor(pool: Pool, within: HeapCore) {
    this.pool = pool;
    this.within = within;
  }

  /** Gets in line. */
  wait(call: string, count: number, timeout: number, signal: AbortSignal | undefined): Promise<number[]> {
    return new Promise((resolve, reject) => {
      const start = clock.now();
      const deadline = start + timeout;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const waiter = waiterFor(call, count, (error) => {
        this.count(start, error?.code);
        if (timer !== undefined) clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        if (error) reject(error);
        else resolve(waiter.got);
      });
      const abort = () => this.#fail(waiter, this.error(call, "ERR_ABORTED", "was aborted", signal!.reason));
      const expire = () => {
        const left = deadline - clock.now();
        if (left > 0) timer = setTimeout(expire, Math.min(left, MAX_DELAY));
        else {
          this.serve();
          this.#fail(waiter, this.timedOut(call, count, timeout));
        }
      };
      this.waiters.add(waiter);
      this.#update();
      // One more try for a single element would find nothing: the caller has just tried.
      this.serve(count > 1 ? Infinity : 0);
      if (!this.waiters.has(waiter)) return;
      if (timeout !== Infinity) expire();
      signal?.addEventListener("abort", abort);
    });
  }

  /** Blocks the thread. */
  block(call: string, _count: number, _timeout: number): number[] {
    throw this.error(call, "ERR_WOULD_BLOCK", "has no element, and there is no other thread that could free one");
  }

  /** Gives those in line what there is, or the first `most` elements of that. */
  serve(most = Infinity): void {
    for (const waiter of this.waiters) {
      for (; waiter.got.length < waiter.count; most--) {
        const element = most > 0 ? this.pool.tryTake() : 0;
        if (element === 0) return;
        this.receive(waiter, element);
      }
      this.done(waiter);
    }
  }

  /** Nobody waits any longer. */
  close(): void {
    const all = [...this.waiters];
    this.waiters.clear();
    this.#update();
    for (const waiter of all) {
      this.withdraw(waiter);
      this.giveBack(waiter);
      waiter.settle(this.closedError(waiter.call));
    }
  }

  /** Memory of the heap may have come free. */
  retry(): void {
    this.serve();
  }

  /** If nobody stands behind a bulk request that has stalled, it gets back what it gives. */
  protected tick(): void {
    // Nobody tells when the host's own backend has something again.
    if (this.pool.isHosted && !this.within.shared) this.serve();
    for (const waiter of this.waiters) if (this.hasStalled(waiter)) this.toTheEnd(waiter);
  }

  protected receive(waiter: Waiter, element: number): void {
    waiter.got.push(element);
    waiter.last = clock.now();
  }

  protected done(waiter: Waiter): void {
    if (!this.waiters.delete(waiter)) return;
    this.#update();
    waiter.settle();
  }

  /** What it got goes to those before it now. */
  protected toTheEnd(waiter: Waiter): void {
    this.waiters.delete(waiter);
    this.waiters.add(waiter);
    this.giveBack(waiter);
  }

  protected hasStalled(waiter: Waiter): boolean {
    return waiter.got.length > 0 && clock.now() - waiter.last >= STALL;
  }

  protected giveBack(waiter: Waiter): void {
    waiter.last = clock.now();
    for (const element of waiter.got.splice(0)) this.pool.free(element);
  }

  /** Leaves the core's line. */
  protected withdraw(_waiter: Waiter): void {}

  #fail(waiter: Waiter, error: MempoolError): void {
    if (!this.waiters.delete(waiter)) return;
    this.withdraw(waiter);
    this.giveBack(waiter);
    // Somebody behind it may do with what it could not.
    this.serve();
    this.#update();
    waiter.settle(error);
  }

  /** While anybody waits, calls on all the heap's pools in this thread take the slow way, which comes by here. */
  #update(): void {
    const { lines, pools } = this.within;
    const waits = this.waiters.size > 0;
    if (waits === lines.has(this)) return;
    if (waits) {
      lines.add(this);
      const { shared } = this.within;
      // On a shared heap others can serve those who wait here: that is worth staying alive for.
      this.#stopTicking = every(shared && !waitAsync ? POLL : TICK, shared, () => this.tick());
    } else {
      lines.delete(this);
      this.#stopTicking?.();
    }
    if (lines.size === (waits ? 1 : 0)) for (const pool of pools) pool.refresh();
  }

  /** What {@link Pool.stats} says of those who waited. */
  counts(): Waits {
    const waitTimes = [...this.#times];
    return { waits: waitTimes.reduce((a, b) => a + b), timeouts: this.#timeouts, aborts: this.#aborts, waitTimes };
  }

  /** Somebody has waited. */
  protected count(start: number, code: ErrorCode | undefined): void {
    if (code === "ERR_TIMEOUT") this.#timeouts++;
    if (code === "ERR_ABORTED") this.#aborts++;
    const microseconds = (clock.now() - start) * 1000;
    this.#times[Math.max(0, Math.min(TIMES - 1, Math.floor(Math.log2(microseconds))))]!++;
  }

  closedError(call: string): MempoolError {
    return this.error(call, "ERR_CLOSED", "is closed");
  }

  protected timedOut(call: string, count: number, timeout: number): MempoolError {
    return this.error(call, "ERR_TIMEOUT", `had no ${count > 1 ? `${count} elements` : "element"} in ${timeout} ms`);
  }

  protected error(call: string, code: ErrorCode, what: string, cause?: unknown): MempoolError {
    return new MempoolError(code, `${call}: pool "${this.pool.name}" ${what}`, cause === undefined ? {} : { cause });
  }
}

/** On a shared heap: the core decides who is next. */
export class SharedLine extends Line {
  /** Places that somebody awaits the change of, asynchronously. */
  readonly #watched = new Set<number>();
  #places = 0;
  #retried = 0;

  override serve(): void {
    for (const waiter of this.waiters) {
      if (this.#collect(waiter, ASYNC_PLACES)) this.done(waiter);
      else for (const place of waiter.places) this.#watch(place);
    }
  }

  override block(call: string, count: number, timeout: number): number[] {
    if (!mayBlock()) throw this.error(call, "ERR_WOULD_BLOCK", "has no element, and this thread must not be blocked");
    const start = clock.now();
    const deadline = start + timeout;
    const waiter = waiterFor(call, count, () => {});
    for (;;) {
      let complete = this.#collect(waiter, Infinity);
      // The host's own backend may have something again.
      if (!complete && this.pool.feed()) continue;
      const left = deadline - clock.now();
      const closed = !complete && this.pool.look();
      if (closed || left <= 0) {
        this.withdraw(waiter);
        complete = waiter.got.length === count;
        if (!complete) {
          this.giveBack(waiter);
          const error = closed ? this.closedError(call) : this.timedOut(call, count, timeout);
          this.count(start, error.code);
          throw error;
        }
      }
      if (complete) {
        this.count(start, undefined);
        return waiter.got;
      }
      // In pieces, so that this thread does not sleep on what others starve for.
      const { i32 } = this.pool.heap.views.refresh();
      Atomics.wait(i32, waiter.places[0]! >>> 2, WAITING, Math.min(left, STALL));
      if (this.hasStalled(waiter)) this.toTheEnd(waiter);
      this.tick();
    }
  }

  override retry(): void {
    this.#retried = clock.now();
    const { core } = this.within;
    core.heap_trim();
    core.heap_settle();
    while (this.waiters.size > 0 && this.pool.feed()) this.serve();
    this.serve();
  }

  protected override tick(): void {
    super.tick();
    // Memory that other threads give back is of no pool: nobody is told.
    if (clock.now() - this.#retried >= RETRY) this.retry();
    else {
      this.within.core.heap_settle();
      this.serve();
    }
    this.pool.look();
  }

  protected override toTheEnd(waiter: Waiter): void {
    this.withdraw(waiter);
    const got = waiter.got.splice(0);
    waiter.ticket = 0;
    waiter.last = clock.now();
    if (this.waiters.delete(waiter)) this.waiters.add(waiter);
    const complete = this.#collect(waiter, this.waiters.has(waiter) ? ASYNC_PLACES : Infinity);
    for (const element of got) this.pool.free(element);
    if (complete) this.done(waiter);
  }

  protected override withdraw(waiter: Waiter): void {
    for (const place of waiter.places.splice(0)) this.#leave(waiter, place);
  }

  /** Takes what has come for it, and as many places as it needs. Whether it has everything. */
  #collect(waiter: Waiter, most: number): boolean {
    const { views } = this.pool.heap;
    const { core } = this.within;
    for (;;) {
      const { places, got, count } = waiter;
      for (let i = places.length; i-- > 0;) {
        const place = places[i]!;
        if (Atomics.load(views.refresh().i32, place >>> 2) === WAITING) continue;
        places.splice(i, 1);
        if (this.#leave(waiter, place)) continue;
        this.pool.look();
        return false;
      }
      if (got.length === count) return true;
      if (places.length === Math.min(count - got.length, BULK_PLACES) || this.#places >= most) return false;
      const place = core.mempool_wait_begin(this.pool.handle, waiter.ticket) >>> 0;
      if (place === 0) return false;
      this.#places++;
      places.push(place);
      waiter.ticket = Atomics.load(views.refresh().u32, (place >>> 2) + 1);
    }
  }

  /** Whether it had got an element there: what is not waiting any more either has, or the pool is closed. */
  #leave(waiter: Waiter, place: number): boolean {
    this.#places--;
    const element = this.within.core.mempool_wait_end(this.pool.handle, place) >>> 0;
    if (element !== 0) this.receive(waiter, this.pool.handed(element));
    return element !== 0;
  }

  /** At most once for a place, whoever has it by then. */
  #watch(place: number): void {
    if (!waitAsync || this.#watched.has(place)) return;
    this.#watched.add(place);
    const { i32 } = this.pool.heap.views.refresh();
    void Promise.resolve(waitAsync(i32, place >>> 2, WAITING).value).then(() => {
      this.#watched.delete(place);
      this.serve();
    });
  }
}

let blocks: boolean | undefined;

/** Whether this thread may be blocked: neither a window nor an AudioWorklet may. */
function mayBlock(): boolean {
  if (blocks === undefined) {
    try {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
      // Firefox would let it block the audio.
      blocks = !("AudioWorkletGlobalScope" in globalThis);
    } catch {
      blocks = false;
    }
  }
  return blocks;
}

/** Something went back to the heap: once this job is done, whoever waits may try. */
export function stir(within: HeapCore): void {
  if (within.lines.size === 0 || within.stirred) return;
  within.stirred = true;
  void Promise.resolve().then(() => {
    within.stirred = false;
    for (const line of within.lines) line.retry();
  });
}
