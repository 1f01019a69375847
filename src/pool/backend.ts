/**
 * A backend of the caller's own: its elements are any numbers but 0, a GPU buffer's id or a file descriptor. The core keeps
 * each number in a _box_, an element of 4 bytes: so the reserve, limits, waiting and the elements of a dead thread are those
 * of any pool. This file fills boxes from the backend, empties them, and finds the box of a number.
 *
 * Invariant: a box that is outstanding or in reserve has a number in it; `boxes` has the box under that number, in each
 * thread that has seen it. The box decides: another thread may have given the element back since.
 */
import { CLOSED, DOUBLE, INVALID, LAST, NOT_STORED, SCRATCH_WORDS } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { forEachThenThrow, MempoolError } from "../core/errors.ts";
import { report } from "../core/timers.ts";
import { isUint32, show } from "../core/validate.ts";
import { BoxTable } from "./boxes.ts";
import { closedError } from "./errors.ts";

/** An allocator of your own, for {@link PoolOptions.backend}. Each thread that attaches the pool gives its own. */
export interface Backend<Data = unknown> {
  /**
   * An element, an integer from 1 to 2^32 - 1, or 0 if there is none. An error counts as none: the reserve serves. If the
   * reserve is empty too, the call that needs the element throws the error, but a call that is queued already goes on
   * waiting. `create` and `resize`, which fill the reserve, throw the error at once. Another result is ERR_BACKEND.
   *
   * The function may use the pool, and even close it. While it or `free` runs, the pool does not call it again: the reserve
   * alone serves calls from within.
   */
  readonly alloc: (size: number, data: Data) => number;
  /**
   * Takes back an element that `alloc` gave, in this or another thread. The element is gone also if `free` throws: then the
   * call that gives the element back (free, freeBulk, resize, exit) throws the error; without such a call, as after a
   * timeout, the error is reported like that of an event listener.
   */
  readonly free: (element: number, data: Data) => void;
}

/** What the adapter needs of its pool. */
export interface BoxPool {
  readonly name: string;
  readonly handle: number;
  readonly elementSize: number;
  readonly maxNr: number;
  readonly outstanding: number;
  readonly isClosed: boolean;
  readonly isEnded: boolean;
  syncState(): void;
  /** The last box of this closed pool has been freed. */
  finish(): void;
}

const ANY_THREAD = -1;
/** In place of the box of an element that has none yet. No box has this address. */
const NO_BOX = 1;
/** The backend may have fewer elements than the reserve shall have. */
const MOST_EXPECTED = 4096;
/** In place of an error, as long as the backend has thrown none. */
const NOTHING = Symbol("nothing");

export class BackendAdapter {
  readonly #backend: Backend;
  readonly #data: unknown;
  readonly #pool: BoxPool;
  readonly #heap: HeapContext;
  /** The boxes by their elements: of another that another thread has given back, too, as long as there is room. */
  readonly #boxes: BoxTable;
  /** Elements out of the reserve that the backend has not got back yet. */
  readonly #surplus: number[] = [];
  /** Whether no other thread has the pool. */
  isOwn = false;
  /** Whether a function of the backend is running. */
  #isBusy = false;
  /** The box that the running `alloc` fills, and whether that counts as an allocation; 0: none, or taken back meanwhile. */
  #filling = 0;
  #counts = 0;
  /** The error of the backend, for a call that gets nothing from the reserve either. */
  #thrown: unknown = NOTHING;

  constructor(backend: Backend, data: unknown, pool: BoxPool, heap: HeapContext) {
    this.#backend = backend;
    this.#data = data;
    this.#pool = pool;
    this.#heap = heap;
    this.#boxes = new BoxTable((element, box) => box === NO_BOX || this.#word(box) === element);
  }

  /** An element of the backend, else of the reserve, or 0. */
  take(): number {
    const box = this.#fillBox(1) || this.#core.mempool_alloc(this.#handle) >>> 0;
    if (box !== 0) this.forgetError();
    return this.elementIn(box);
  }

  /** Whether the backend has thrown, and has given no element since. */
  get hasThrown(): boolean {
    return this.#thrown !== NOTHING;
  }

  forgetError(): void {
    this.#thrown = NOTHING;
  }

  /** Throws the error of the backend, if there is one. */
  rethrow(): void {
    const thrown = this.#thrown;
    this.forgetError();
    if (thrown !== NOTHING) throw thrown;
  }

  /** The element in a box; 0 if the box is empty, or no box. */
  elementIn(box: number): number {
    const element = box === 0 ? 0 : this.#word(box);
    // A thread may have died before it filled the box.
    if (element !== 0) this.#boxes.set(element, box);
    return element;
  }

  /** Takes back an empty box; `counted`: if its allocation was counted. Returns the code of a free. */
  releaseEmptyBox(box: number, counted = 0): number {
    const result = this.#core.mempool_box_free(this.#handle, box, counted);
    if (result === LAST) this.#pool.finish();
    return result;
  }

  /** Frees an element. Returns the code of a free: LAST at the last of a closed pool. */
  free(element: number): number {
    const box = this.boxOf(element);
    if (box === 0) return INVALID;
    const result = this.#core.mempool_free(this.#handle, box);
    return result === NOT_STORED ? this.#giveBack(box) : result;
  }

  /** The code that a free of this element would return, but for LAST and NOT_STORED. */
  checkFree(element: number): number {
    const box = this.boxOf(element);
    return box === 0 ? INVALID : this.#core.mempool_free_check(this.#handle, box);
  }

  /**
   * Fills the reserve. False if the backend has not enough; throws its error. Asks the backend for many elements, then puts
   * them into boxes by one call of the core.
   */
  fillReserve(): boolean {
    // A fixed number: the backend may take elements out of the reserve while it runs.
    let missing = this.#missing();
    this.#boxes.expect(Math.min(missing, MOST_EXPECTED));
    while (missing > 0) {
      const { maxNr, outstanding } = this.#pool;
      const count = Math.min(missing, this.#most, maxNr - outstanding - this.#currNr);
      const elements: number[] = [];
      let isDone = false;
      try {
        isDone = this.#gather(elements, count);
      } finally {
        isDone = this.#store(elements) && isDone;
      }
      this.rethrow();
      if (!isDone) return this.#missing() <= 0;
      missing -= count;
    }
    return this.#missing() <= 0;
  }

  /** Asks for elements, `count` of them. False: there are fewer. In a call of the backend: takes what it has not got back yet. */
  #gather(elements: number[], count: number): boolean {
    const isBusy = this.#isBusy;
    if (!isBusy) this.forgetError();
    while (elements.length < count && !this.#pool.isClosed) {
      const element = isBusy ? (this.#surplus.pop() ?? 0) : this.#allocFromBackend();
      if (element === 0) return false;
      elements.push(element);
      this.#boxes.set(element, NO_BOX);
    }
    return count > 0;
  }

  /** Puts elements of the backend into the reserve, and gives back those that have no place there. Whether all have one. */
  #store(elements: readonly number[]): boolean {
    const pool = this.#pool;
    pool.syncState();
    let stored = 0;
    if (!pool.isClosed && elements.length > 0) {
      const { scratch, views } = this.#heap;
      const n = elements.length;
      const at = scratch >>> 2;
      let words = views.words(scratch, n);
      for (let i = 0; i < n; i++) words[at + i] = elements[i]!;
      stored = this.#core.mempool_box_fill(this.#handle, scratch, n);
      words = views.words(scratch, n);
      for (let i = 0; i < stored; i++) this.#boxes.set(elements[i]!, words[at + i]!);
      pool.syncState();
    }
    if (stored < elements.length) {
      const rest = elements.slice(stored);
      for (const element of rest) this.#boxes.delete(element);
      if (!pool.isClosed) forEachThenThrow(rest, (element) => this.#freeToBackend(element));
      else for (const element of rest) this.#freeOrReport(element);
    }
    // The backend has closed the pool, or another thread has while the backend ran.
    if (pool.isClosed) throw closedError("alloc", pool.name);
    return stored === elements.length;
  }

  #freeOrReport(element: number): void {
    try {
      this.#freeToBackend(element);
    } catch (error) {
      report(error);
    }
  }

  #missing(): number {
    if (this.#pool.isClosed) return 0;
    return (this.#core.mempool_min_nr(this.#handle) >>> 0) - this.#currNr;
  }

  /** The most elements at once on their way between backend and reserve: where other threads have the pool, they die with this one. */
  get #most(): number {
    return this.isOwn || !this.#heap.isShared ? SCRATCH_WORDS : 1;
  }

  get #currNr(): number {
    return this.#core.mempool_curr_nr(this.#handle) >>> 0;
  }

  /** Frees a fresh element of the backend, so that the core gives it to the first waiter. No caller gets the backend's error. */
  refillFromBackend(): boolean {
    let box = 0;
    try {
      box = this.#fillBox(0);
    } catch {
      return false;
    } finally {
      this.forgetError();
    }
    if (box === 0) return false;
    try {
      this.free(this.elementIn(box));
    } catch (error) {
      report(error);
    }
    return true;
  }

  /** Gives back the elements in reserve above minNr, or all of them if the pool is closed. */
  releaseSurplus(): void {
    const pool = this.#pool;
    const surplus = this.#surplus;
    // Those of a call that this one is inside of.
    const others = surplus.length;
    const most = this.#most;
    const thrown: unknown[] = [];
    for (let count = most; count === most && !pool.isEnded;) {
      const { scratch, views } = this.#heap;
      const drained = this.#core.mempool_box_drain(this.#handle, scratch, most);
      count = drained < 0 ? ~drained : drained;
      const words = views.words(scratch, count);
      // From the last on, so that they leave the array in the order of the reserve.
      for (let i = count; i-- > 0;) {
        const element = words[(scratch >>> 2) + i]!;
        surplus.push(element);
        if (!pool.isClosed) this.#boxes.delete(element);
      }
      if (drained < 0) pool.finish();
      // The backend may do anything meanwhile: give back others, or have the reserve take some of these.
      while (surplus.length > others) {
        try {
          this.#freeToBackend(surplus.pop()!);
        } catch (error) {
          thrown.push(error);
        }
      }
    }
    if (thrown.length > 0) throw thrown[0];
  }

  /** This thread is about to leave the heap. */
  leave(): void {
    const box = this.#filling;
    this.#filling = 0;
    if (box !== 0) this.releaseEmptyBox(box, this.#counts);
    try {
      this.releaseSurplus();
    } catch (error) {
      report(error);
    }
  }

  get #core() {
    return this.#heap.core;
  }

  get #handle(): number {
    return this.#pool.handle;
  }

  #word(box: number): number {
    return this.#heap.views.words(box, 1)[box >>> 2]!;
  }

  /** A new box with an element of the backend in it; 0 if the backend has none, has thrown, or is running. */
  #fillBox(counts: number): number {
    if (this.#isBusy) return 0;
    this.forgetError();
    const box = this.#core.mempool_box_alloc(this.#handle, counts) >>> 0;
    if (box === 0 || this.#word(box) !== 0) return box;
    this.#filling = box;
    this.#counts = counts;
    let element = 0;
    try {
      element = this.#allocFromBackend();
    } finally {
      if (element === 0 && this.#filling !== 0) this.releaseEmptyBox(box, counts);
    }
    const hasLeft = this.#filling === 0;
    this.#filling = 0;
    if (element !== 0 && !hasLeft) {
      this.#heap.views.words(box, 1)[box >>> 2] = element;
      this.#boxes.set(element, box);
    }
    this.#pool.syncState();
    if (!this.#pool.isClosed) return element === 0 ? 0 : box;
    // The backend has closed the pool, or another thread has while the backend ran.
    try {
      if (element !== 0) {
        if (hasLeft) this.#freeToBackend(element);
        else this.#giveBack(box);
      }
    } catch (error) {
      report(error);
    }
    throw closedError("alloc", this.#pool.name);
  }

  #allocFromBackend(): number {
    let element: unknown;
    this.#isBusy = true;
    try {
      element = this.#backend.alloc(this.#pool.elementSize, this.#data);
    } catch (error) {
      this.#thrown = error;
      return 0;
    } finally {
      this.#isBusy = false;
    }
    const { name } = this.#pool;
    if (!isUint32(element)) {
      throw new MempoolError(
        "ERR_BACKEND",
        `backend.alloc of pool "${name}" must return an integer from 0 to 2^32 - 1, got ${show(element)}`,
        { pool: name },
      );
    }
    const box = element === 0 ? 0 : this.#boxes.get(element);
    if (box === NO_BOX || (box !== 0 && this.#has(box, element))) {
      const what = `backend.alloc of pool "${name}" gave element ${element} twice`;
      throw new MempoolError("ERR_BACKEND", what, { pool: name, address: element });
    }
    return element;
  }

  /** The box of an element; 0 if there is none. O(1); O(elements) for an element that another thread has put there. */
  boxOf(element: number): number {
    const box = this.#boxes.get(element);
    if (box > NO_BOX && this.#has(box, element)) return box;
    if (!this.#heap.isShared || element === 0) return 0;
    for (let at = 0; ;) {
      at = this.#core.mempool_next_live(this.#handle, at, ANY_THREAD) >>> 0;
      if (at === 0 || this.#word(at) === element) return at;
    }
  }

  /** Whether this is still a box of this pool, with that element in it. */
  #has(box: number, element: number): boolean {
    if (this.#word(box) !== element) return false;
    const code = this.#core.mempool_free_check(this.#handle, box);
    return code === 0 || code === DOUBLE || code === CLOSED;
  }

  /** Gives the element of an outstanding box back to the backend. Returns the code of a free. */
  #giveBack(box: number): number {
    const element = this.#word(box);
    this.#heap.views.u32[box >>> 2] = 0;
    this.#boxes.delete(element);
    const result = this.releaseEmptyBox(box);
    this.#freeToBackend(element);
    return result;
  }

  #freeToBackend(element: number): void {
    const wasBusy = this.#isBusy;
    this.#isBusy = true;
    try {
      this.#backend.free(element, this.#data);
    } finally {
      this.#isBusy = wasBusy;
    }
  }
}
