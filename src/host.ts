/**
 * The host's own backend: its elements are any numbers but 0, a GPU buffer's id, a file descriptor. The core keeps each
 * in a cell, an element of the pool's of 4 bytes: so reserve, limits, those who wait and what a dead thread had are as in
 * any pool. What is the host's, and by what number it is found, is here.
 *
 * Invariant: a cell that is handed out, or in the reserve, has the host's element in it; `cells` has it under that number,
 * in the threads that have seen it. The cell is the truth: another thread may have given the element back since.
 */
import { MempoolError } from "./errors.ts";
import { show } from "./options.ts";
import type { HeapCore, Pool } from "./pool.ts";
import { CLOSED, DOUBLE, INVALID, LAST, UNWANTED } from "./wasm.ts";

/** An allocator of the host's own, for {@link PoolOptions.backend}. Every thread that attaches the pool brings its own. */
export interface HostBackend<Data = unknown> {
  /**
   * An element, an integer from 1 to 2^32 - 1, or 0 if there is none. What it throws, the call that needed the element
   * throws, and nothing has changed. It may use the pool, and even close it.
   */
  readonly alloc: (size: number, data: Data) => number;
  /** Takes back an element that `alloc` gave, in this or another thread. What it throws comes after the element is gone. */
  readonly free: (element: number, data: Data) => void;
}

const ANY_THREAD = -1;

export class Host {
  readonly #backend: HostBackend;
  readonly #data: unknown;
  readonly #pool: Pool;
  readonly #within: HeapCore;
  /** By element, and back. */
  readonly #cells = new Map<number, number>();
  readonly #elements = new Map<number, number>();

  constructor(backend: HostBackend, data: unknown, pool: Pool, within: HeapCore) {
    this.#backend = backend;
    this.#data = data;
    this.#pool = pool;
    this.#within = within;
  }

  /** An element of the backend, else of the reserve, or 0. */
  take(): number {
    const cell = this.#fill(1);
    return this.element(cell || this.#core.mempool_alloc(this.#handle) >>> 0);
  }

  /** What is in a cell; 0 for none. */
  element(cell: number): number {
    const element = cell === 0 ? 0 : this.#word(cell);
    // A thread may have died before it could write one there.
    if (element !== 0) this.#learn(element, cell);
    return element;
  }

  /** From here on this is where it is; what was there before, if anything, another thread has given back. */
  #learn(element: number, cell: number): void {
    const before = this.#elements.get(cell);
    if (before !== undefined && before !== element) this.#cells.delete(before);
    this.#elements.set(cell, element);
    this.#cells.set(element, cell);
  }

  /** Takes back a cell in which there is nothing; `counted` as an allocation that never was. Returns what a free does. */
  discard(cell: number, counted = 0): number {
    const result = this.#core.mempool_uncell(this.#handle, cell, counted);
    if (result === LAST) this.#pool.finish();
    return result;
  }

  /** As mempool_free: the code, and the last free of a closed pool is told. */
  free(element: number): number {
    const cell = this.#find(element);
    if (cell === 0) return INVALID;
    const result = this.#core.mempool_free(this.#handle, cell);
    return result === UNWANTED ? this.#giveBack(cell) : result;
  }

  /** What `free` would return for this element, but for what becomes of it. */
  verdict(element: number): number {
    const cell = this.#find(element);
    return cell === 0 ? INVALID : this.#core.mempool_free_check(this.#handle, cell);
  }

  /** Fills the reserve, as far as the backend goes. */
  fill(): boolean {
    for (;;) {
      const { currNr, minNr } = this.#pool.stats();
      if (currNr >= minNr) return true;
      const cell = this.#fill(0);
      if (cell === 0) return false;
      // Others may have filled it meanwhile, or made it smaller.
      if (this.#core.mempool_free(this.#handle, cell) === UNWANTED) this.#giveBack(cell);
    }
  }

  /** An element for the first in line, if the backend has one. */
  feed(): boolean {
    const cell = this.#fill(0);
    if (cell !== 0) this.free(this.element(cell));
    return cell !== 0;
  }

  /** Gives back what the reserve has above minNr, or all of it if the pool is closed. */
  drain(): void {
    despite(this.#surplus(), (cell) => this.#giveBack(cell));
  }

  *#surplus(): Generator<number> {
    while (!this.#pool.isEnded) {
      const cell = this.#core.mempool_drain(this.#handle) >>> 0;
      if (cell === 0) return;
      yield cell;
    }
  }

  get #core() {
    return this.#within.core;
  }

  get #handle(): number {
    return this.#pool.handle;
  }

  #word(cell: number): number {
    return this.#pool.heap.views.refresh().u32[cell >>> 2]!;
  }

  /** A new cell with an element of the backend in it; 0 if that has none. */
  #fill(counts: number): number {
    const cell = this.#core.mempool_cell(this.#handle, counts) >>> 0;
    if (cell === 0 || this.#word(cell) !== 0) return cell;
    let element = 0;
    try {
      element = this.#ask();
    } finally {
      if (element === 0) this.discard(cell, counts);
    }
    if (element !== 0) {
      this.#pool.heap.views.refresh().u32[cell >>> 2] = element;
      this.#learn(element, cell);
    }
    if (!this.#pool.look()) return element === 0 ? 0 : cell;
    // It was closed by the callback, or while that ran.
    if (element !== 0) this.#giveBack(cell);
    throw new MempoolError("ERR_CLOSED", `alloc: pool "${this.#pool.name}" is closed`);
  }

  #ask(): number {
    const { elementSize, name } = this.#pool;
    const element: unknown = this.#backend.alloc(elementSize, this.#data);
    if (typeof element !== "number" || element >>> 0 !== element) {
      throw new MempoolError(
        "ERR_BACKEND",
        `backend.alloc of pool "${name}" must give an integer from 0 to 2^32 - 1, got ${show(element)}`,
      );
    }
    const cell = element === 0 ? undefined : this.#cells.get(element);
    if (cell !== undefined && this.#has(cell, element)) {
      throw new MempoolError("ERR_BACKEND", `backend.alloc of pool "${name}" gave element ${element} twice`);
    }
    return element;
  }

  /** The cell of an element; 0 if there is none. Of one that another thread has put there: O(elements). */
  #find(element: number): number {
    const cell = this.#cells.get(element);
    if (cell !== undefined && this.#has(cell, element)) return cell;
    if (!this.#within.shared || element === 0) return 0;
    for (let at = 0; ;) {
      at = this.#core.mempool_next_live(this.#handle, at, ANY_THREAD) >>> 0;
      if (at === 0 || this.#word(at) === element) return at;
    }
  }

  /** Whether this is a cell of this pool still, with that element in it. */
  #has(cell: number, element: number): boolean {
    if (this.#word(cell) !== element) return false;
    const code = this.#core.mempool_free_check(this.#handle, cell);
    return code === 0 || code === DOUBLE || code === CLOSED;
  }

  /** A cell that is handed out: its element is the host's again. Returns what a free does. */
  #giveBack(cell: number): number {
    const element = this.#word(cell);
    this.#pool.heap.views.u32[cell >>> 2] = 0;
    this.#cells.delete(element);
    this.#elements.delete(cell);
    const result = this.discard(cell);
    this.#backend.free(element, this.#data);
    return result;
  }
}

/** Calls for each, whatever one of the calls throws; and then throws that. */
export function despite<T>(list: Iterable<T>, call: (one: T) => void): void {
  const thrown: unknown[] = [];
  for (const one of list) {
    try {
      call(one);
    } catch (error) {
      thrown.push(error);
    }
  }
  if (thrown.length > 0) throw thrown[0];
}
