/**
 * The walk over a pool's outstanding elements. The core describes a slab; then each step reads state bytes here, without a call. The
 * struct Slab of the core has the drawing.
 */
import type { PoolContext } from "./context.ts";

/** Bytes from the end of a slab's state bytes, which run downwards, to its first element; of a debug heap. */
const SLAB_HEADER = 32;
const DEBUG_SLAB_HEADER = 96;
const STATE_LIVE = 0x80;

/**
 * An iterator that is its own result: a walk makes one object, however many elements it visits.
 *
 * Invariant: while the count at `#counter` is `#freed`, no slab has gone back to pages, so the description holds and a state
 * byte tells about its element. Growth detaches the views of a plain memory: then the count reads as undefined.
 */
export class LiveElements {
  value = 0;
  done = false;
  readonly #pool: PoolContext;
  readonly #isHosted: boolean;
  #u8: Uint8Array;
  #u32: Uint32Array;
  #counter = 0;
  #freed = -1;
  /** The slab: its first element, its stride, its elements; and the first one that is not visited yet. */
  #first = 0;
  #stride = 0;
  #count = 0;
  #index = 0;
  readonly #header: number;

  constructor(pool: PoolContext) {
    const { u8, u32 } = pool.heap.views;
    this.#pool = pool;
    this.#isHosted = pool.isHosted;
    this.#header = pool.heap.debug ? DEBUG_SLAB_HEADER : SLAB_HEADER;
    this.#u8 = u8;
    this.#u32 = u32;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): this {
    do {
      if (this.#u32[this.#counter] !== this.#freed) continue;
      const u8 = this.#u8;
      const count = this.#count;
      const states = this.#first - this.#header - 1;
      for (let i = this.#index; i < count; i++) {
        if (u8[states - i]! < STATE_LIVE) continue;
        this.#index = i + 1;
        this.value = this.#first + i * this.#stride;
        if (!this.#isHosted || this.#openBox()) return this;
      }
      this.#index = count;
    } while (this.#describe());
    this.value = 0;
    this.done = true;
    return this;
  }

  /** The value is the address of a box: the element in it. Whether there is one. */
  #openBox(): boolean {
    this.value = this.#pool.elementIn(this.value);
    return this.value !== 0;
  }

  /** Takes up the slab of the first element that is not visited yet. Whether there is one. */
  #describe(): boolean {
    const pool = this.#pool;
    if (this.done || pool.isEnded) return false;
    const { core, scratch, views } = pool.heap;
    const from = this.#first + this.#index * this.#stride;
    this.#counter = core.mempool_next_slab(pool.handle, from, scratch) >>> 2;
    const { u8, u32 } = views.refresh();
    const at = scratch >>> 2;
    this.#u8 = u8;
    this.#u32 = u32;
    this.#first = u32[at]!;
    this.#stride = u32[at + 1]!;
    this.#count = u32[at + 2]!;
    this.#freed = u32[at + 3]!;
    const behind = from - this.#first;
    this.#index = behind > 0 ? Math.ceil(behind / this.#stride) | 0 : 0;
    return this.#counter !== 0;
  }
}
