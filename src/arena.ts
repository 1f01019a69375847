/// <reference lib="esnext.disposable" preserve="true" />
/** Arenas: memory handed out by adding and taken back all at once. The front of assembly/bump.ts. */
import { MempoolError } from "./errors.ts";
import type { Heap } from "./heap.ts";
import { checkOptions, inspect, integer, invalid, nameOf, powerOfTwo, show } from "./options.ts";
import { MAX_ALIGN, type HeapCore } from "./pool.ts";
import { stir } from "./waiting.ts";

/** What {@link createArena} takes. */
export interface ArenaOptions {
  /** Bytes set aside at first, and asked of the heap whenever more is needed; rounded up to 4 KiB. Default 64 KiB. */
  readonly bytes?: number;
  /** The heap to live on. Default: one heap for everybody, made at first use. */
  readonly heap?: Heap;
  /** For messages and statistics. */
  readonly name?: string;
}

/** What {@link Arena.stats} gives, in bytes. */
export interface ArenaStats {
  readonly name: string;
  /** Handed out since the last reset, alignment included. */
  readonly used: number;
  /** Held, used or not, in so many chunks. */
  readonly bytes: number;
  readonly chunks: number;
}

let made = 0;

/** @internal */
export function createArenaIn(coreOf: () => HeapCore, options: ArenaOptions, more: readonly "heap"[] = []): Arena {
  const call = "createArena";
  const { bytes = 65536 } = checkOptions(call, options, ["bytes", "name", ...more]);
  const name = nameOf(call, options.name, `arena-${made + 1}`);
  integer(call, "bytes", bytes, 1, 2 ** 31);
  const within = coreOf();
  // The chunk's own header comes out of its bytes.
  const handle = within.core.arena_create(Math.max(1, bytes - 16)) >>> 0;
  if (handle === 0) throw new MempoolError("ERR_NO_MEMORY", `${call}: no memory for ${bytes} bytes`);
  made++;
  return new Arena(within, handle, name);
}

/**
 * Memory for things that all end together, such as a frame's. Made by {@link createArena}. What it hands out is never
 * freed one by one: `reset` takes back everything, or everything since a mark. Keeps its memory for the next round.
 *
 * Every call may be made wherever the heap was made, window, worker or AudioWorklet: none waits. One thread at a time.
 */
export class Arena implements Disposable {
  /** The heap it lives on. */
  readonly heap: Heap;
  /** For messages and statistics. */
  readonly name: string;
  readonly #within: HeapCore;
  readonly #handle: number;
  #closed = false;

  /** @internal */
  constructor(within: HeapCore, handle: number, name: string) {
    this.#within = within;
    this.#handle = handle;
    this.heap = within.heap;
    this.name = name;
  }

  /**
   * The address of `bytes` bytes (0 to 2^32 - 1) at a multiple of `align` (a power of two up to 4096); 0 if the heap has
   * no memory for them. Contents are whatever was left there. Throws ERR_CLOSED, ERR_INVALID_ARGUMENT. O(1).
   */
  alloc(bytes: number, align = 8): number {
    if (this.#closed || typeof bytes !== "number" || bytes >>> 0 !== bytes || align !== 8) this.#check(bytes, align);
    return this.#within.core.arena_alloc(this.#handle, bytes, align) >>> 0;
  }

  /** Where it stands: what `reset` goes back to. O(1). */
  mark(): number {
    this.#refuseClosed("mark");
    return this.#within.core.arena_mark(this.#handle) >>> 0;
  }

  /**
   * Takes back what was handed out since `mark`; without one, everything. A mark is good until the arena is reset to an
   * earlier one; any place in what is handed out now is taken for one. Throws ERR_INVALID_ARGUMENT if it is no such mark, ERR_CLOSED. O(1), with a mark O(chunks).
   */
  reset(mark = 0): void {
    this.#refuseClosed("reset");
    const isAddress = typeof mark === "number" && mark >>> 0 === mark;
    // 0 is the core's word for the beginning; from a caller, only a left-out mark means that.
    if (arguments.length > 0 && (!isAddress || mark === 0)) this.#badMark(mark);
    if (!this.#within.core.arena_reset(this.#handle, mark)) this.#badMark(mark);
    stir(this.#within);
  }

  /** Gives all its memory back to the heap, whatever was handed out of it. Again: no effect. */
  exit(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#within.core.arena_exit(this.#handle);
    stir(this.#within);
  }

  /** The same as `exit`. */
  [Symbol.dispose](): void {
    this.exit();
  }

  /** A look at the arena. Costs O(chunks). */
  stats(): ArenaStats {
    if (this.#closed) return { name: this.name, used: 0, bytes: 0, chunks: 0 };
    const n = this.heap.numbers("arena_stats", this.#handle);
    return { name: this.name, used: n(0), bytes: n(1), chunks: n(2) };
  }

  /** @internal */
  [inspect](): object {
    return this.stats();
  }

  #check(bytes: unknown, align: unknown): void {
    this.#refuseClosed("alloc");
    integer("alloc", "bytes", bytes, 0, 2 ** 32 - 1);
    powerOfTwo("alloc", "align", align, MAX_ALIGN);
  }

  #refuseClosed(call: string): void {
    if (this.#closed) throw new MempoolError("ERR_CLOSED", `${call}: arena "${this.name}" is closed`);
  }

  #badMark(mark: unknown): never {
    invalid(`reset: mark must be one of arena "${this.name}" made since its last reset, got ${show(mark)}`);
  }
}
