/** Pools: what users see, and the hit path of alloc and free. Everything else is behind it, in {@link PoolContext}. */
import { INVALID, MAX_MIN_NR, UNLIMITED } from "../core/abi.ts";
import { define, inspect, uncloneable } from "../core/objects.ts";
import type { PoolHandle } from "../core/handles.ts";
import type { Ends, EndsAsync } from "../core/types.ts";
import { callback, countOf, integer, invalid, isUint32, lengthOf } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";
import type { ElementAddress, PtrArray } from "../struct/index.ts";
import { requireTimers, throwIfAborted, waitOptions, type BulkWaitOptions, type WaitOptions } from "../wait/options.ts";
import { allocBulk, checkBulk, checkCount, deliver, freeBulk, targetOf } from "./bulk.ts";
import { PoolContext } from "./context.ts";
import { noElement } from "./errors.ts";
import { LiveElements } from "./live.ts";
import { Prefill } from "./prefill.ts";
import { reshape, resize } from "./resize.ts";
import type { PoolStats } from "./stats.ts";

const opaque: object = /* @__PURE__ */ uncloneable("Pool: post pool.share(), and attach() it there");

// The class has Symbol.dispose and asyncDispose, but its type has them only where the program declares those symbols.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging, no-unused-vars
export interface Pool<out T = unknown, in Data = never> extends Ends, EndsAsync {}

/**
 * A pool of elements of one size, `minNr` of them set aside in advance. Made by {@link create}.
 *
 * An element is an address: a number, the byte offset of the element in the heap's memory. `T` is what the pool holds: of a
 * struct type addresses are {@link Ptr}s, which the compiler tells from those of other structs; else plain numbers. `Data` is
 * what `reshape` takes; `never` for a pool without a `size` callback. A `Pool` is any pool, whatever it holds.
 *
 * What finds nothing: the hot calls (`alloc`, `allocPreallocated`) return 0, `allocBulk` returns false, `prefill` undefined.
 * Everything else throws.
 *
 * Only `live`, `stats`, the waiting calls and `exit` make JavaScript objects.
 *
 * A Pool works in a window, a worker and an AudioWorklet. It belongs to its thread; another thread gets its own Pool of the
 * same elements by {@link attach}. Only `allocWait`, `allocBulkWait` and `prefillWait` block the thread: not in a window or an
 * AudioWorklet.
 */
export class Pool<out T = unknown, in Data = never> {
  /** @internal See {@link Heap}. */
  get [Symbol.toStringTag](): string {
    return "Pool";
  }
  /** @internal A structured clone reads this field first, and throws. */
  readonly share_and_attach: unknown = opaque;
  /** The heap that the pool lives on. */
  declare readonly heap: Heap;
  /** For messages and statistics. */
  readonly name: string;
  /** The most elements in reserve and outstanding together; Infinity if there is no cap. */
  readonly maxNr: number;
  /**
   * Resolves when the pool has been closed and its last element has been freed. The thread that called `exit` sees other
   * threads' frees within 50 ms; any other thread sees them at its next call. Resolves also when this thread leaves the heap.
   */
  readonly closed: Promise<void>;

  readonly #context: PoolContext;
  /** The core's handle; 0, which the core refuses, while calls take the slow path: see {@link PoolContext}. */
  #fastHandle = 0;
  // The calls of the hit path are fields, so that each is one load away; nothing else uses them. What follows their arguments
  // does nothing, but is longer at each place that calls them: of equal calls a minifier makes one.
  readonly #alloc: (pool: number, ...nothing: readonly 0[]) => number;
  readonly #free: (pool: number, element: number, ...nothing: readonly 0[]) => number;
  /** Which of the places in `alloc` and `free` calls them: see {@link takeSite}. */
  readonly #site: number;

  /** The last walk: without any, a garbage collection would forget the shape that compiled loops rely on. */
  #walk: LiveElements | undefined;

  /** @internal */
  constructor(context: PoolContext) {
    if (!(context instanceof PoolContext)) invalid("new Pool: pools are made by create(), heap.create() or attach()");
    const { core, front } = context.heap;
    const { zero } = context.spec;
    this.#context = context;
    this.#alloc = zero ? core.mempool_zalloc : core.mempool_alloc;
    this.#free = core.mempool_free;
    this.#site = context.heap.siteOf(zero);
    define(this, { heap: front });
    this.name = context.name;
    this.maxNr = context.maxNr;
    this.closed = context.ended;
    // As an i32, see free.
    context.bind(this, (handle) => (this.#fastHandle = handle | 0));
  }

  /**
   * An element's address; 0 when backend and reserve are both empty. Takes from the magazine and the slabs, which may grow
   * the memory; then from the reserve; then reclaims unused memory of other pools and arenas, and tries again. Never waits.
   * O(1); a reclaim looks at every pool.
   *
   * @throws `ERR_CLOSED` after `exit`. With a backend of your own and an empty reserve, the backend's error, or `ERR_BACKEND`.
   * Never a shrinker's error.
   * @example
   * const at = particles.alloc();
   * if (at) cursor.move(at).x = 1;
   */
  alloc(): ElementAddress<T> | 0 {
    const site = this.#site;
    const call = this.#alloc;
    const pool = this.#fastHandle;
    // One test, and one form of the number: each way more that meets here costs as much as a call on some engine.
    // prettier-ignore
    const address =
      site === 0 ? call(pool) :
      site === 1 ? call(pool, 0) :
      site === 2 ? call(pool, 0, 0) :
      site === 3 ? call(pool, 0, 0, 0) :
      call(pool, 0, 0, 0, 0);
    return (address === 0 ? this.#context.allocSlow("alloc") : address >>> 0) as ElementAddress<T> | 0;
  }

  /**
   * As `alloc`; but without an element, blocks this thread until it gets one. First come, first served, over all threads and
   * all forms of waiting. Time is real, also while a test fakes its timers.
   *
   * @throws `ERR_TIMEOUT`; the signal's reason; `ERR_CLOSED`, also when the pool is closed meanwhile; `ERR_INVALID_ARGUMENT`;
   * `ERR_WOULD_BLOCK` if it would have to wait in a window or an AudioWorklet, which must not block, or where no other thread
   * could free an element: on a heap that is not shared, or that has no other thread and was never given to `share`.
   * @example
   * const address = pool.allocWait({ timeout: 100 }); // milliseconds
   */
  allocWait(options?: WaitOptions): ElementAddress<T> {
    const apiName = "allocWait";
    const checked = waitOptions(apiName, options);
    const pool = this.#context;
    const address = pool.allocBeforeWait(apiName);
    if (address !== 0) return address as ElementAddress<T>;
    // A shrinker or a backend may have aborted the signal within this call.
    throwIfAborted(checked.signal);
    return pool.queue.block(apiName, 1, checked)[0]! as ElementAddress<T>;
  }

  /**
   * As `alloc`; but without an element, a promise of one. First come, first served, over all threads and all forms of
   * waiting; `alloc` returns 0 while another call waits. On a shared heap a thread has 15 waiters in the common queue; its
   * further waiters join as those are served. A waiter on a shared heap keeps a Node process alive. O(1) however many wait.
   *
   * @throws `ERR_TIMEOUT`; `ERR_TOO_MANY_WAITERS`, see {@link PoolOptions.maxWaiters}; the signal's reason; `ERR_CLOSED`, also when the pool is closed meanwhile; `ERR_INVALID_ARGUMENT`;
   * `ERR_WOULD_BLOCK` for a timeout where there are no timers. As rejections.
   */
  async allocAsync(options?: WaitOptions): Promise<ElementAddress<T>> {
    const apiName = "allocAsync";
    const checked = waitOptions(apiName, options);
    requireTimers(apiName, checked.timeout);
    const pool = this.#context;
    const address = pool.allocBeforeWait(apiName) || (await pool.queue.wait(apiName, 1, checked))[0]!;
    return address as ElementAddress<T>;
  }

  /**
   * An element of the reserve, never of the backend; 0 when the reserve is empty. O(1).
   *
   * @throws `ERR_CLOSED` after `exit`.
   */
  allocPreallocated(): ElementAddress<T> | 0 {
    const apiName = "allocPreallocated";
    const pool = this.#context;
    pool.refuseClosed(apiName);
    pool.heap.debug?.enter(pool, apiName, 1);
    const address = pool.toElement(pool.heap.core.mempool_alloc_preallocated(pool.handle) >>> 0);
    pool.heap.debug?.settle();
    if (address === 0) {
      pool.syncState();
      pool.refuseClosed(apiName);
    }
    return address as ElementAddress<T> | 0;
  }

  /**
   * Takes an element back: into the reserve while that is not full, else into the magazine. `free(0)` has no effect. Never
   * waits. O(1). To free an address that came by postMessage, give it its type: `pool.free(pool.ptr(n))`.
   *
   * @throws `ERR_FOREIGN_FREE`, `ERR_DOUBLE_FREE`, `ERR_INTERIOR_FREE`, `ERR_MISALIGNED_FREE`, `ERR_INVALID_ADDRESS`; after
   * `exit`, `ERR_CLOSED` for anything but an outstanding element; and then nothing has changed.
   */
  free(address: ElementAddress<T> | 0): void {
    // Only a uint32 may reach the core, which takes any other number modulo 2^32.
    if (typeof address !== "number" || address >>> 0 !== address) {
      this.#context.free(address);
      return;
    }
    const site = this.#site;
    const call = this.#free;
    const pool = this.#fastHandle;
    // As an i32, for which no engine needs an object, also above 2 GiB.
    const element = address | 0;
    // prettier-ignore
    const result =
      site === 0 ? call(pool, element) :
      site === 1 ? call(pool, element, 0) :
      site === 2 ? call(pool, element, 0, 0) :
      site === 3 ? call(pool, element, 0, 0, 0) :
      call(pool, element, 0, 0, 0, 0);
    if (result !== 0) this.#context.settleFree(result, address);
  }

  /**
   * Allocates, calls `fn` with the address, and frees the element when `fn` has returned or thrown; if it returns a promise,
   * when that is settled. Returns what `fn` does. Never waits. O(1).
   *
   * @throws `ERR_NO_MEMORY` where `alloc` gives 0, without a call of `fn`; the errors of `alloc`; what `fn` throws; the errors
   * of `free`, where `fn` has freed the element itself.
   * @example
   * const sum = buffers.use((at) => checksum(heap.u8.subarray(at, at + 4096)));
   */
  use<R>(fn: (address: ElementAddress<T>) => R): R {
    const apiName = "use";
    callback(apiName, "fn", fn);
    const address = this.alloc();
    if (address === 0) throw noElement(apiName, this.name);
    return this.#callAndFree(address as ElementAddress<T>, fn);
  }

  /**
   * As `use`; but waits for an element, as `allocAsync` does.
   *
   * @throws the errors of `allocAsync`; what `fn` throws; the errors of `free`. As rejections.
   * @example
   * await buffers.useAsync(async (at) => file.read(heap.u8.subarray(at, at + 4096)), { timeout: 1000 });
   */
  async useAsync<R>(
    fn: (address: ElementAddress<T>) => R | PromiseLike<R>,
    options?: WaitOptions,
  ): Promise<Awaited<R>> {
    callback("useAsync", "fn", fn);
    return await this.#callAndFree(await this.allocAsync(options), fn);
  }

  #callAndFree<R>(address: ElementAddress<T>, fn: (address: ElementAddress<T>) => R): R {
    let result: R;
    try {
      result = fn(address);
    } catch (error) {
      this.free(address);
      throw error;
    }
    if (typeof (result as { then?: unknown } | undefined | null)?.then === "function") {
      return Promise.resolve(result).finally(() => this.free(address)) as R;
    }
    this.free(address);
    return result;
  }

  /**
   * The same number as the address of a `T`, for a number that came by postMessage or from linear memory. O(1).
   *
   * @throws the errors of `free` unless this is an outstanding element of the pool.
   * @example
   * worker.on("message", (n: number) => {
   *   const at = particles.ptr(n);
   *   console.log(cursor.move(at).x);
   *   particles.free(at);
   * });
   */
  ptr(address: number): ElementAddress<T> {
    this.#context.checkOutstanding("ptr", address);
    return address as ElementAddress<T>;
  }

  /**
   * Visits the outstanding elements in the order of their addresses: also those that a prefill holds, or a bulk call that
   * waits, and those of other threads. Makes one object for the whole walk, none per element. O(memory / 4 KiB + elements).
   *
   * The loop may do anything, also alloc, free any element, resize and exit the pool. It visits each element once that is
   * outstanding all the time, and never one that this thread has freed; elements allocated meanwhile may be visited. On a
   * shared heap, another thread may free an element just as it is visited: the program must see to it that none does.
   *
   * `next` returns the iterator itself, and changes it at the next call.
   *
   * @example
   * const f = heap.f32;
   * for (const at of particles.live()) f[(at >>> 2) + x] += f[(at >>> 2) + vx] * dt;
   */
  live(): IterableIterator<ElementAddress<T>> {
    this.#walk = new LiveElements(this.#context);
    return this.#walk as IterableIterator<number> as IterableIterator<ElementAddress<T>>;
  }

  /**
   * Fills `out[0..count)` with elements: all, or none and returns false, and then `out` is unchanged. O(count).
   *
   * @throws `ERR_CLOSED` after `exit`, `ERR_INVALID_ARGUMENT`.
   * @example
   * const all: PtrArray<typeof Particle> = new Uint32Array(100); // for a pool without a struct, a Uint32Array
   * if (particles.allocBulk(all)) particles.freeBulk(all);
   */
  allocBulk(out: PtrArray<T>, count?: number): boolean {
    return allocBulk(this.#context, "allocBulk", out, countOf("allocBulk", "out", out, count));
  }

  /**
   * As `allocBulk`; but without enough elements, blocks this thread until it has got all of them, as `allocWait` does. The
   * first waiter collects freed elements; if it gets none for 100 ms while others wait behind it, it gives back its elements
   * and goes to the end of the queue.
   *
   * @throws the errors of `allocWait`; `ERR_INVALID_ARGUMENT` also for a count above maxNr, or above what the heap's maximum
   * allows.
   */
  allocBulkWait(out: PtrArray<T>, options?: BulkWaitOptions): void {
    const apiName = "allocBulkWait";
    const pool = this.#context;
    const checked = waitOptions(apiName, options, ["count"]);
    const { count = lengthOf(apiName, "out", out) } = checked;
    checkBulk(pool, apiName, out, count);
    const target = targetOf(out, count, pool.heap);
    if (allocBulk(pool, apiName, out, count, true)) return;
    throwIfAborted(checked.signal);
    deliver(pool, apiName, target, pool.queue.block(apiName, count, checked));
  }

  /**
   * As `allocBulkWait`, without blocking: a promise, as that of `allocAsync`. `out` is written at the end.
   *
   * @throws the errors of `allocAsync`, and `ERR_INVALID_ARGUMENT` as `allocBulkWait`. As rejections.
   */
  async allocBulkAsync(out: PtrArray<T>, options?: BulkWaitOptions): Promise<void> {
    const apiName = "allocBulkAsync";
    const pool = this.#context;
    const checked = waitOptions(apiName, options, ["count"]);
    const { count = lengthOf(apiName, "out", out) } = checked;
    requireTimers(apiName, checked.timeout);
    checkBulk(pool, apiName, out, count);
    const target = targetOf(out, count, pool.heap);
    if (allocBulk(pool, apiName, out, count, true)) return;
    deliver(pool, apiName, target, await pool.queue.wait(apiName, count, checked));
  }

  /**
   * Takes back `addresses[0..count)`, all or none: if the pool must refuse one, or the array names one twice, it takes none.
   * Zeros are skipped. O(count).
   *
   * @throws the errors of `free`, with the `index`; `ERR_INVALID_ARGUMENT`.
   */
  freeBulk(addresses: PtrArray<T>, count?: number): void {
    freeBulk(this.#context, addresses, countOf("freeBulk", "addresses", addresses, count));
  }

  /**
   * Closes the pool for all threads, at any time: the pool refuses new allocations, gives its reserve back to the heap, and
   * throws `ERR_CLOSED` in waiting calls. Outstanding elements stay valid until they are freed. `closed` resolves when the last
   * one is freed. A thread that has not attached to the pool by then no longer can: a worker that is to free some of the
   * elements attaches before. A second call has no effect. O(reserve).
   */
  exit(): void {
    this.#context.exit();
  }

  /** @internal The same as `exit`: `using pool = create(...)`. */
  [Symbol.dispose](): void {
    this.exit();
  }

  /** @internal `exit`, and then waits for `closed`: `await using pool = create(...)`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.exit();
    await this.closed;
  }

  /**
   * Sets the reserve's target size, also to 0. The pool gives back surplus elements, takes missing ones from the backend, and
   * serves waiters. Returns false if memory is short: `minNr` is then the new number, and later frees fill the reserve. Other
   * threads allocate and free meanwhile. O(change).
   *
   * @throws `ERR_INVALID_ARGUMENT`; `ERR_CLOSED`; `ERR_NO_MEMORY` if there is no memory for a table of so many elements;
   * `ERR_WOULD_BLOCK` while another thread resizes or reshapes the pool; and then nothing has changed.
   */
  resize(minNr: number): boolean {
    return resize(this.#context, minNr);
  }

  /**
   * Calls the `size` callback again, with this data: new elements have that size from now on, and so has a new reserve.
   * Outstanding elements of the old size stay as they are, and are freed as ever; `sizeOf` tells the size of one. Another
   * thread's allocation that has begun before may still get the old size. The same size again has no effect. O(minNr).
   *
   * @throws `ERR_INVALID_ARGUMENT`, also where the pool was made without a callback; `ERR_NO_MEMORY`; `ERR_CLOSED`;
   * `ERR_WOULD_BLOCK` while another thread resizes or reshapes the pool, and where the callback reshapes the pool without
   * end; and then nothing has changed.
   * @example
   * const pool = create({ size: (array: { disks: number }) => 16 * array.disks, data: { disks: 2 }, minNr: 16 });
   * pool.reshape({ disks: 3 });
   */
  reshape(data: Data): void {
    reshape(this.#context, data);
  }

  /**
   * Bytes in this outstanding element: the `elementSize` of the time when it was allocated. O(1).
   *
   * @throws the errors of `free`.
   */
  sizeOf(address: ElementAddress<T>): number {
    const pool = this.#context;
    pool.checkOutstanding("sizeOf", address);
    return pool.adapter ? pool.elementSize : pool.heap.core.mempool_size(pool.handle, address);
  }

  /**
   * Makes an outstanding element this thread's: {@link SharedHeap.reap} and {@link SharedHeap.watch} list it once this thread has ended,
   * and no longer when the thread ends that allocated it. The caller must have the element from a thread that does not free
   * it. On a heap that is not shared, only a check. O(1).
   *
   * @throws the errors of `free`, and then nothing has changed.
   */
  adopt(address: ElementAddress<T>): void {
    const pool = this.#context;
    let code = INVALID;
    if (isUint32(address) && address !== 0 && !pool.isEnded) {
      const own = pool.adapter ? pool.adapter.boxOf(address) : address;
      const { core, isShared } = pool.heap;
      if (own !== 0) code = isShared ? core.mempool_adopt(pool.handle, own) : core.mempool_free_check(pool.handle, own);
    }
    if (code !== 0) pool.refuseElement("adopt", code, address);
  }

  /**
   * `count` elements at once, for a task that needs all of them; undefined if there are fewer. See {@link Prefill}. O(count).
   *
   * @throws `ERR_INVALID_ARGUMENT`, also for more than maxNr or the heap allows; `ERR_CLOSED`.
   * @example
   * using three = pool.prefill(3); // undefined, or three allocs that cannot fail
   */
  prefill(count: number): Prefill<T> | undefined {
    const elements = this.#arrayOf("prefill", count);
    return allocBulk(this.#context, "prefill", elements, count) ? new Prefill<T>(this.#context, elements) : undefined;
  }

  /**
   * As `prefill`; but blocks this thread until there are enough, as `allocBulkWait` does.
   *
   * @throws the errors of `allocBulkWait`.
   */
  prefillWait(count: number, options?: WaitOptions): Prefill<T> {
    const elements = this.#arrayOf("prefillWait", count);
    this.allocBulkWait(elements, options);
    return new Prefill(this.#context, elements);
  }

  /**
   * As `prefillWait`, without blocking: a promise, as that of `allocBulkAsync`.
   *
   * @throws the errors of `allocBulkAsync`.
   */
  async prefillAsync(count: number, options?: WaitOptions): Promise<Prefill<T>> {
    const elements = this.#arrayOf("prefillAsync", count);
    await this.allocBulkAsync(elements, options);
    return new Prefill(this.#context, elements);
  }

  #arrayOf(apiName: string, count: number): Uint32Array {
    integer(apiName, "count", count, 1, UNLIMITED);
    checkCount(this.#context, apiName, count);
    return this.#context.heap.takeWords(count);
  }

  /**
   * Calls `listener` when the reserve has, or for a moment had, fewer than `below` elements: once, and again when the reserve
   * has had more in between. The call comes some 20 ms later and never inside another call; in an AudioWorklet, which has no
   * timers, never. An error of the listener is reported like that of an event listener. Returns a function that stops this.
   * Ends with the pool, and keeps neither the heap nor the process alive.
   *
   * @throws `ERR_INVALID_ARGUMENT`.
   * @example
   * const stop = pool.onLow(4, (left) => console.warn(`${left} elements in reserve`));
   */
  onLow(below: number, listener: (currNr: number) => void): () => void {
    integer("onLow", "below", below, 1, MAX_MIN_NR);
    return this.#context.onLow(below, listener);
  }

  /** Bytes in an element allocated from now on. */
  get elementSize(): number {
    return this.#context.elementSize;
  }

  /** The address of every element is a multiple of this. */
  get align(): number {
    return this.#context.align;
  }

  /** Elements set aside in advance. */
  get minNr(): number {
    return this.#context.minNr;
  }

  /** Elements in the reserve now. */
  get currNr(): number {
    return this.#context.currNr;
  }

  /** Elements allocated and not yet freed. */
  get outstanding(): number {
    return this.#context.outstanding;
  }

  /** Whether the reserve is full. */
  get isSaturated(): boolean {
    return this.#context.currNr >= this.#context.minNr;
  }

  /**
   * The pool for another thread: a plain object to post, and to give to {@link attach} there. `worker` is as in
   * {@link SharedHeap.share}. A pool that is never shared ends when its thread leaves the heap or is reaped.
   *
   * @throws `ERR_CLOSED`; `ERR_INVALID_ARGUMENT` if the heap is not shared; `ERR_NOT_ISOLATED` in a page without the headers
   * COOP and COEP.
   */
  share(worker?: object): PoolHandle {
    const pool = this.#context;
    const heap = pool.heap.sharing?.share(worker) ?? invalid("share: the heap is not shared: see createSharedHeap");
    pool.syncState();
    pool.refuseClosed("share");
    if (pool.adapter) pool.adapter.isOwn = false;
    const address = pool.heap.core.mempool_share(pool.handle) >>> 0;
    const { serial, elementSize, minNr } = pool;
    return { ...pool.spec, heap, address, serial, elementSize, minNr };
  }

  /**
   * Statistics. After `exit`, the counts go on until the last element is freed. `currNr`, `minNr` and `outstanding` work
   * everywhere. O(1).
   *
   * @throws `ERR_NOT_IMPORTED`, `ERR_NO_WASM`, as {@link Heap.stats}.
   */
  stats(): PoolStats {
    return this.#context.stats();
  }

  /** @internal */
  toJSON(): object {
    return this[inspect]();
  }

  /** @internal */
  [inspect](): object {
    try {
      return this.stats();
    } catch {
      const { name, elementSize, minNr, maxNr, currNr, outstanding } = this;
      return { name, elementSize, minNr, maxNr, currNr, outstanding };
    }
  }
}
