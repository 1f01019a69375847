/** Queues of addresses between threads, and how a thread waits for one. */
import { mayBlock, waitAsync } from "../core/blocking.ts";
import type { HeapContext } from "../core/context.ts";
import { MempoolError, type ErrorCode } from "../core/errors.ts";
import type { QueueHandle } from "../core/handles.ts";
import { now, startInterval, startTimeout } from "../core/timers.ts";
import { uncloneable } from "../core/objects.ts";
import { checkOptions, integer, invalid, isUint32, nameOf, show } from "../core/validate.ts";
import { planPool } from "../pool/create.ts";
import type { ElementAddress } from "../struct/index.ts";
import { onAbort } from "../wait/abort.ts";
import { requireTimers, throwIfAborted, waitOptions, type WaitOptions } from "../wait/options.ts";
import { bytesOfRing, ITEM, LEAST, Ring, ROOM, type Event } from "./ring.ts";

/** What {@link SharedHeap.createQueue} takes. */
export interface QueueOptions {
  /** The most addresses in the queue, from 1 to 65536. */
  readonly capacity: number;
  /**
   * For messages, and for the pool of one element that holds the queue.
   *
   * @default "queue"
   */
  readonly name?: string;
}

const MOST = 65536;
/** Milliseconds after which a waiting thread looks by itself; without Atomics.waitAsync. */
const TICK = 25;
const POLL = 4;

const opaque: object = /* @__PURE__ */ uncloneable("Queue: post queue.share(), and attach() it there");

/**
 * A bounded queue of addresses in the heap's memory, for any number of threads: messages without postMessage. Made by
 * {@link SharedHeap.createQueue}; another thread gets its own Queue of the same addresses by {@link attach}.
 *
 * First come, first served: a thread's addresses come in the order in which it pushed them. The one exception is a thread that
 * stops in the middle of `pop` until the others have come round to the same address in the same place: it pops that out of
 * turn. No call waits for a stopped thread, and a thread that dies at any instruction loses no address but one that it had
 * popped.
 *
 * A queue moves numbers, and owns no elements: an element is the thread's that allocated it until another calls
 * {@link Pool.adopt}. So the thread that pops adopts; and when a worker is reaped, an element that it pushed and nobody has
 * adopted is on its list, although it may be in a queue: see {@link Queue.has}.
 *
 * @example
 * const jobs = heap.createQueue<typeof Tile>({ capacity: 64 });
 * worker.postMessage(jobs.share()); // there: for (const jobs = attach(data);;) render(jobs.popWait());
 * if (!jobs.push(tile)) await jobs.pushAsync(tile, { timeout: 1000 });
 */
export class Queue<T = unknown> {
  /** @internal See {@link Heap}. */
  get [Symbol.toStringTag](): string {
    return "Queue";
  }
  /** @internal A structured clone reads this field first, and throws. */
  readonly share_and_attach: unknown = opaque;
  /** For messages. */
  readonly name: string;
  /** The most addresses in it. */
  readonly capacity: number;
  readonly #context: HeapContext;
  readonly #ring: Ring;

  /** @internal */
  constructor(context: HeapContext, ring: Ring, name: string) {
    if (!(ring instanceof Ring)) invalid("new Queue: queues are made by heap.createQueue() or attach()");
    this.#context = context;
    this.#ring = ring;
    (context.rings ??= new Set()).add(ring.words.byteOffset);
    this.name = name;
    this.capacity = ring.capacity;
  }

  /**
   * Adds an address, or any number from 1024 to 2^32 - 1, at the end; false if the queue is full. Never waits. O(1).
   *
   * @throws `ERR_CLOSED` after `exit`; `ERR_INVALID_ARGUMENT`.
   */
  push(address: ElementAddress<T>): boolean {
    this.#check("push", address);
    return this.#push("push", address);
  }

  /**
   * The first address, or 0 if the queue is empty. Never waits. O(1); O(capacity) for 0.
   *
   * @throws `ERR_CLOSED` after `exit`, once the queue is empty.
   */
  pop(): ElementAddress<T> | 0 {
    return this.#pop("pop") as ElementAddress<T> | 0;
  }

  /**
   * As `push`; but blocks this thread until there is room.
   *
   * @throws `ERR_TIMEOUT`; `ERR_CLOSED`; `ERR_INVALID_ARGUMENT`; `ERR_WOULD_BLOCK` if it would have to wait in a window or an
   * AudioWorklet; the reason of a signal that has aborted before.
   */
  pushWait(address: ElementAddress<T>, options?: WaitOptions): void {
    const apiName = "pushWait";
    this.#check(apiName, address);
    this.#block(apiName, ROOM, options, () => this.#push(apiName, address));
  }

  /**
   * As `pop`; but blocks this thread until there is an address.
   *
   * @throws the errors of `pushWait`.
   */
  popWait(options?: WaitOptions): ElementAddress<T> {
    const apiName = "popWait";
    return this.#block(apiName, ITEM, options, () => this.#pop(apiName)) as ElementAddress<T>;
  }

  /**
   * As `push`; but if the queue is full, a promise that resolves once the address is in it. While it waits, a Node process
   * goes on.
   *
   * @throws `ERR_TIMEOUT`; the signal's reason; `ERR_CLOSED`; `ERR_INVALID_ARGUMENT`; `ERR_WOULD_BLOCK` if it would have to
   * wait where there are no timers, as in an AudioWorklet. As rejections.
   */
  async pushAsync(address: ElementAddress<T>, options?: WaitOptions): Promise<void> {
    const apiName = "pushAsync";
    this.#check(apiName, address);
    await this.#wait(apiName, ROOM, options, () => this.#push(apiName, address));
  }

  /**
   * As `pop`; but if the queue is empty, a promise of an address.
   *
   * @throws the errors of `pushAsync`. As rejections.
   */
  async popAsync(options?: WaitOptions): Promise<ElementAddress<T>> {
    const apiName = "popAsync";
    return (await this.#wait(apiName, ITEM, options, () => this.#pop(apiName))) as ElementAddress<T>;
  }

  /**
   * Whether an address is in the queue: for `onReap` of {@link SharedHeap.watch}, where this thread alone pops. O(capacity).
   *
   * @throws `ERR_CLOSED` once this thread has left the heap.
   */
  has(address: number): boolean {
    const ring = this.#live("has");
    return address >= LEAST && ring.has(address);
  }

  /** Addresses in the queue. While other threads push and pop, at some moment of the call. */
  get size(): number {
    return this.#live("size").size;
  }

  /**
   * Closes the queue for all threads, at any time: `push` throws `ERR_CLOSED`, `pop` gives what is left and then throws it, and
   * so do the calls that wait. The queue's own bytes, 4 for each address and 256, stay taken until the heap ends: other
   * threads may be in a call. A second `exit` has no effect.
   */
  exit(): void {
    if (!this.#context.hasEnded) this.#ring.close();
  }

  /**
   * The queue for another thread: a plain object to post, and to give to {@link attach} there. `worker` is as in
   * {@link SharedHeap.share}.
   *
   * @throws `ERR_CLOSED` after `exit`; the errors of {@link SharedHeap.share}.
   */
  share(worker?: object): QueueHandle {
    const ring = this.#live("share");
    if (ring.isClosed) throw this.#error("share", "ERR_CLOSED", "is closed");
    const heap = this.#context.sharing!.share(worker);
    return { heap, queue: ring.words.byteOffset, capacity: this.capacity, name: this.name };
  }

  #check(apiName: string, address: unknown): void {
    integer(apiName, "address", address, LEAST, 2 ** 32 - 1);
  }

  /** The ring, unless this thread has left the heap. */
  #live(apiName: string): Ring {
    if (this.#context.hasEnded) throw this.#error(apiName, "ERR_CLOSED", "is on a heap that this thread has left");
    return this.#ring;
  }

  #push(apiName: string, address: number): boolean {
    const ring = this.#live(apiName);
    if (ring.isClosed) throw this.#error(apiName, "ERR_CLOSED", "is closed");
    return ring.push(address);
  }

  #pop(apiName: string): number {
    const ring = this.#live(apiName);
    // Whether it is closed is read first: what was pushed before is found then.
    const { isClosed } = ring;
    const address = ring.pop();
    if (address === 0 && isClosed) throw this.#error(apiName, "ERR_CLOSED", "is closed");
    return address;
  }

  #block<R>(apiName: string, { word, sleepers }: Event, options: WaitOptions | undefined, attempt: () => R): R {
    const { timeout, signal } = waitOptions(apiName, options);
    const { words } = this.#ring;
    for (let waited = 0; ;) {
      const seen = Atomics.load(words, word);
      const got = attempt();
      if (got) return got;
      throwIfAborted(signal);
      if (waited >= timeout) throw this.#timedOut(apiName, timeout);
      if (!mayBlock()) {
        const instead = `${apiName.replace("Wait", "Async")} waits without blocking`;
        throw this.#error(apiName, "ERR_WOULD_BLOCK", `is ${this.#state}, and this thread must not block: ${instead}`);
      }
      // This thread shall not sleep on elements that others starve for.
      this.#context.core.heap_idle();
      const [start, most] = [now(), Math.min(timeout - waited, TICK)];
      Atomics.add(words, sleepers, 1);
      const isOver = Atomics.wait(words, word, seen, most) === "timed-out";
      Atomics.sub(words, sleepers, 1);
      const slept = Math.max(0, now() - start);
      waited += isOver ? Math.max(slept, most) : slept;
    }
  }

  async #wait<R>(apiName: string, event: Event, options: WaitOptions | undefined, attempt: () => R): Promise<R> {
    const { timeout, signal } = waitOptions(apiName, options);
    requireTimers(apiName, timeout);
    const first = attempt();
    if (first) return first;
    if (timeout === 0) throw this.#timedOut(apiName, timeout);
    if (typeof setInterval === "undefined") {
      throw this.#error(apiName, "ERR_WOULD_BLOCK", `is ${this.#state}, and there are no timers here to wait with`);
    }
    const { words } = this.#ring;
    return new Promise((resolve, reject) => {
      const stops: ((() => void) | undefined)[] = [];
      let isOver = false;
      const finish = (settle: () => void): void => {
        if (isOver) return;
        isOver = true;
        Atomics.sub(words, event.sleepers, 1);
        for (const stop of stops) stop?.();
        settle();
      };
      const look = (): void => {
        if (isOver) return;
        try {
          const got = attempt();
          if (got) finish(() => resolve(got));
        } catch (error) {
          finish(() => reject(error));
        }
      };
      const listen = (): void => {
        const seen = Atomics.load(words, event.word);
        look();
        if (!isOver) void Promise.resolve(waitAsync!(words, event.word, seen, TICK).value).then(listen);
      };
      Atomics.add(words, event.sleepers, 1);
      stops.push(startInterval(waitAsync ? TICK : POLL, true, look));
      const expire = (): void => finish(() => reject(this.#timedOut(apiName, timeout)));
      if (timeout !== Infinity) stops.push(startTimeout(timeout, expire));
      if (signal) stops.push(onAbort(signal, () => finish(() => reject(signal.reason))));
      if (waitAsync) listen();
    });
  }

  get #state(): string {
    return this.size === 0 ? "empty" : "full";
  }

  #timedOut(apiName: string, timeout: number): MempoolError {
    const what = apiName.startsWith("push") ? "had no room" : "had no address";
    return this.#error(apiName, "ERR_TIMEOUT", `${what} in ${timeout} ms`);
  }

  #error(apiName: string, code: ErrorCode, what: string): MempoolError {
    return new MempoolError(code, `${apiName}: queue "${this.name}" ${what}`);
  }
}

export function createQueue<T>(context: HeapContext, options: QueueOptions): Queue<T> {
  const apiName = "createQueue";
  context.refuseEnded();
  const { capacity, name } = checkOptions(apiName, options, ["capacity", "name"]);
  integer(apiName, "capacity", capacity, 1, MOST);
  const queueName = nameOf(apiName, name, "queue");
  // Of a pool, for that outlives the thread; and of no other thread's, so that no reap has the queue on its list.
  const pool = planPool({ size: bytesOfRing(capacity), minNr: 1, maxNr: 1, align: 64, name: queueName })(context);
  const ring = new Ring(context.views.refresh().i32.buffer, pool.alloc() as number, capacity);
  ring.clear();
  for (const { front, handle } of context.pools) if (front === pool) context.core.mempool_share(handle);
  return new Queue<T>(context, ring, queueName);
}

export function attachQueue(apiName: string, context: HeapContext, shared: QueueHandle): Queue {
  const { queue: address, capacity } = shared;
  integer(apiName, "shared.capacity", capacity, 1, MOST);
  const name = nameOf(apiName, shared.name, "");
  const { buffer } = context.views.refresh().i32;
  const isInside = isUint32(address) && address % 64 === 0 && address + bytesOfRing(capacity) <= buffer.byteLength;
  const ring = isInside ? new Ring(buffer, address, capacity) : undefined;
  if (!ring?.isRing) invalid(`${apiName}: shared.queue (${show(address)}) is no queue of ${capacity} addresses`);
  const queue = new Queue(context, ring, name);
  if (ring.isClosed) throw new MempoolError("ERR_CLOSED", `${apiName}: queue "${name}" is closed`);
  return queue;
}
