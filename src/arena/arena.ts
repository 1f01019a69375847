/** Arenas: memory that is allocated by adding to a mark, and taken back all at once. */
import { MAX_ALIGN } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { MempoolError } from "../core/errors.ts";
import { define, inspect, uncloneable } from "../core/objects.ts";
import type { Ends } from "../core/types.ts";
import { checkOptions, integer, invalid, isUint32, nameOf, powerOfTwo, show } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";

/** What {@link createArena} takes. */
export interface ArenaOptions {
  /**
   * Bytes that the arena takes from the heap at first, and again whenever it needs more; rounded up to 4 KiB.
   *
   * @default 65536
   */
  readonly bytes?: number;
  /**
   * The heap that the arena lives on.
   *
   * @default the program's default heap, made at first use
   */
  readonly heap?: Heap;
  /**
   * For messages and statistics.
   *
   * @default "arena-1", "arena-2", ...
   */
  readonly name?: string;
}

/** What {@link Arena.stats} gives, in bytes. */
export interface ArenaStats {
  readonly name: string;
  /** Allocated since the last reset, alignment included. */
  readonly used: number;
  /** Taken from the heap, used or not. */
  readonly bytes: number;
  /** Pieces of memory that `bytes` are in. A number, not bytes. */
  readonly chunks: number;
}

let made = 0;

/** @internal Checks the options; returns a function that makes the arena. */
export function planArena(options: ArenaOptions): (context: HeapContext) => Arena {
  const apiName = "createArena";
  const { bytes = 65536 } = checkOptions(apiName, options, ["bytes", "name", "heap"]);
  const name = nameOf(apiName, options.name, `arena-${made + 1}`);
  integer(apiName, "bytes", bytes, 1, 2 ** 31);
  return (context) => {
    const { core } = context;
    // The first chunk's header takes 16 of the bytes.
    const handle = context.retryWhileBusy(apiName, () => core.arena_create(Math.max(1, bytes - 16)));
    if (handle === 0) throw new MempoolError("ERR_NO_MEMORY", `${apiName}: no memory for ${bytes} bytes`);
    made++;
    return new Arena(context, handle, name);
  };
}

const opaque: object = /* @__PURE__ */ uncloneable("Arena: it stays in its thread; post addresses");

// The class has Symbol.dispose, but its type has it only where the program declares that symbol.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Arena extends Ends {}

/**
 * Memory for things that all end together, such as a frame's. Made by {@link createArena}. Its blocks are never freed one by
 * one: `reset` takes back all of them, or all since a mark. The arena keeps its memory for the next round.
 *
 * An arena belongs to the thread that made it: a window, a worker or an AudioWorklet. No call waits.
 */
export class Arena {
  /** @internal See {@link Heap}. */
  get [Symbol.toStringTag](): string {
    return "Arena";
  }
  /** @internal A structured clone reads this field first, and throws. */
  readonly stays_in_its_thread: unknown = opaque;
  /** The heap that the arena lives on. */
  declare readonly heap: Heap;
  /** For messages and statistics. */
  readonly name: string;
  readonly #context: HeapContext;
  readonly #handle: number;
  #closed = false;

  /** @internal */
  constructor(context: HeapContext, handle: number, name: string) {
    if (!(context as HeapContext | undefined)?.core) invalid("new Arena: arenas are made by createArena()");
    this.#context = context;
    this.#handle = handle;
    define(this, { heap: context.front });
    this.name = name;
  }

  /**
   * The address of `bytes` bytes (0 to 2^32 - 1) at a multiple of `align` (a power of two up to 4096); 0 if the heap has no
   * memory for them. The bytes are not cleared. O(1).
   *
   * @throws `ERR_CLOSED`, `ERR_INVALID_ARGUMENT`.
   * @example
   * const matrix = arena.alloc(64, 16);
   * if (matrix) heap.f32.fill(0, matrix / 4, matrix / 4 + 16);
   */
  alloc(bytes: number, align = 8): number {
    if (this.#closed || typeof bytes !== "number" || bytes >>> 0 !== bytes || align !== 8) this.#check(bytes, align);
    return this.#context.core.arena_alloc(this.#handle, bytes, align) >>> 0;
  }

  /**
   * The point up to which the arena is used, for `reset` to return to. O(1).
   *
   * @throws `ERR_CLOSED`.
   */
  mark(): number {
    this.#refuseClosed("mark");
    return this.#context.core.arena_mark(this.#handle) >>> 0;
  }

  /**
   * Takes back every block allocated since `mark`; without a mark, every block. A mark is good until the arena is reset to
   * an earlier one; the arena accepts any place in an allocated block as a mark. O(1), with a mark O(chunks).
   *
   * @throws `ERR_INVALID_ARGUMENT` for another number, `ERR_CLOSED`.
   * @example
   * const mark = arena.mark();
   * arena.alloc(1000);
   * arena.reset(mark); // takes back the 1000
   */
  reset(mark = 0): void {
    this.#refuseClosed("reset");
    // The core takes 0 for the arena's beginning. A caller says that by leaving the mark out.
    if (arguments.length > 0 && (!isUint32(mark) || mark === 0)) this.#badMark(mark);
    if (!this.#context.core.arena_reset(this.#handle, mark)) this.#badMark(mark);
    this.#context.scheduleRetry();
  }

  /** Gives all memory back to the heap, also of blocks in use. A second call has no effect. */
  exit(): void {
    if (this.#closed) return;
    this.#closed = true;
    // With its heap, the arena has ended already.
    if (this.#context.hasEnded) return;
    this.#context.core.arena_exit(this.#handle);
    this.#context.scheduleRetry();
  }

  /** @internal The same as `exit`. */
  [Symbol.dispose](): void {
    this.exit();
  }

  /**
   * Statistics. O(chunks).
   *
   * @throws `ERR_NOT_IMPORTED`, `ERR_NO_WASM`, `ERR_CLOSED`, as {@link Heap.stats}; none after `exit`.
   */
  stats(): ArenaStats {
    if (this.#closed) return { name: this.name, used: 0, bytes: 0, chunks: 0 };
    const n = this.#context.statistics("arena_stats", this.#handle);
    return { name: this.name, used: n(0), bytes: n(1), chunks: n(2) };
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
      return { name: this.name };
    }
  }

  #check(bytes: unknown, align: unknown): void {
    this.#refuseClosed("alloc");
    integer("alloc", "bytes", bytes, 0, 2 ** 32 - 1);
    powerOfTwo("alloc", "align", align, MAX_ALIGN);
  }

  #refuseClosed(apiName: string): void {
    if (this.#closed) throw new MempoolError("ERR_CLOSED", `${apiName}: arena "${this.name}" is closed`);
  }

  #badMark(mark: unknown): never {
    invalid(`reset: mark must be one of arena "${this.name}" made since its last reset, got ${show(mark)}`);
  }
}
