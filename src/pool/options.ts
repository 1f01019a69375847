/** The options of a pool, their checks, and the layout of elements that follows from them. */
import { BOX, BUMP, EXTERNAL, MAX_ALIGN, MAX_MIN_NR, MAX_SIZE, PAGE, PAGES, SLAB, UNLIMITED } from "../core/abi.ts";
import type { AttachHeapOptions } from "../core/debug-types.ts";
import type { PoolHandle } from "../core/handles.ts";
import { boolean, callback, checkOptions, integer, invalid, nameOf, powerOfTwo, show } from "../core/validate.ts";
import type { StructType } from "../struct/index.ts";
import type { Backend } from "./backend.ts";
import { adapters } from "./adapters.ts";

/** What the `size` of a pool can be. */
export type PoolSize = number | StructType | ((data: any) => number);

/**
 * What {@link create} takes. `Size` is the type of `size`: it says what the pool holds, and what `reshape` takes.
 *
 * @example
 * create({ size: 64, minNr: 16 }); // Pool: addresses are numbers
 * create({ size: Particle, minNr: 100, zero: true }); // Pool<typeof Particle>: addresses are Ptr<typeof Particle>
 * create({ size: (n: number) => 16 * n, data: 2, minNr: 16 }); // Pool<unknown, number>: reshape(3)
 */
export interface PoolOptions<Size = PoolSize, Data = unknown> {
  /**
   * Bytes in an element: a number from 1 to 16 MiB, a struct, or a callback that `create` calls once with `data`. The size of
   * a struct has no room for the entries of a flexible array: those need a callback.
   *
   * @example
   * size: (array) => R1Bio.offsetof("bios", array.raidDisks * 2)
   */
  readonly size: Size;
  /** The argument of the `size` callback, and of the functions of a backend of your own. */
  readonly data?: Data;
  /**
   * Elements that the pool sets aside in advance, from 0, and allocates last. The pool's guarantee at any time:
   * reserve + outstanding >= minNr. With an equal maxNr, the pool is exactly these elements.
   */
  readonly minNr: number;
  /**
   * The most elements in reserve and outstanding together. After `reshape` the cap holds for elements of the new size;
   * outstanding elements of the old size come on top.
   *
   * @default Infinity: no cap but the heap's memory
   */
  readonly maxNr?: number;
  /**
   * The most calls of one thread that wait at once for elements of the pool without blocking, from 1; a further one is
   * refused with `ERR_TOO_MANY_WAITERS`. A server that sheds load sets it.
   *
   * @default Infinity: no cap
   */
  readonly maxWaiters?: number;
  /**
   * The address of each element is a multiple of this: a power of two up to 4096.
   *
   * @default a struct's own; 8 for a callback's size; for a number the largest power of two that divides it, up to 16
   */
  readonly align?: number;
  /**
   * Whether the pool clears each element when it allocates the element. Without, an element keeps the bytes that it had.
   *
   * @default false
   */
  readonly zero?: boolean;
  /**
   * The source of the elements. "slab": slabs; an empty slab goes back to the heap. "pages": whole pages of 4 KiB at page
   * boundaries, which no thread caches. "bump": one element after the other; all memory goes back at once when the pool has
   * ended. Or a backend of your own, whose elements are any numbers; without `zero`, `align` and `reshape`.
   *
   * @default "slab"
   */
  readonly backend?: "slab" | "pages" | "bump" | Backend<Data>;
  /**
   * For messages and statistics.
   *
   * @default "pool-1", "pool-2", ...
   */
  readonly name?: string;
}

/** The options of a pool whose `size` is a callback that takes an argument. */
export interface SizedByData<Data> extends PoolOptions<(data: Data) => number, Data> {
  readonly data: Data;
}

/** What {@link attach} takes for a pool, besides the object of `share`: functions and structs cannot be posted. */
export interface AttachOptions<Size = PoolSize, Data = unknown> extends AttachHeapOptions {
  /** For a pool with a backend of your own: this thread's backend. */
  readonly backend?: Backend<Data>;
  /**
   * What the elements are. A struct: `attach` checks that it has the elements' size and alignment. A callback: for `reshape`
   * in this thread.
   */
  readonly size?: Size;
  /** The argument of the functions of a backend of your own. */
  readonly data?: Data;
}

/** The properties of a pool that all threads know. */
export type PoolSpec = Omit<PoolHandle, "heap" | "address" | "serial">;

/** The properties of a pool that only this thread knows. */
export interface LocalConfig {
  readonly backend?: Backend | undefined;
  readonly size?: PoolSize | undefined;
  readonly data?: unknown;
  readonly align?: number | undefined;
  /** The core's number of the backend. */
  readonly kind: number;
}

export interface Layout {
  readonly size: number;
  readonly align: number;
}

/** The layout of an element; calls `size` if that is a callback. */
export function layoutOf(apiName: string, size: unknown, data: unknown): Layout {
  if (typeof size === "function") {
    let answer: unknown;
    try {
      answer = size(data);
    } catch (cause) {
      invalid(`${apiName}: size, a callback, threw ${(cause as Error | undefined)?.message ?? show(cause)}`, { cause });
    }
    return { size: integer(apiName, "the result of size, a callback,", answer, 1, MAX_SIZE), align: 8 };
  }
  if (typeof size === "object" && size !== null && "sizeof" in size && "alignof" in size) {
    const align = powerOfTwo(apiName, "the alignment of size, a struct,", size.alignof, MAX_ALIGN);
    return { size: integer(apiName, "the bytes of size, a struct,", size.sizeof, 1, MAX_SIZE), align };
  }
  if (typeof size !== "number") {
    invalid(`${apiName}: size must be a number of bytes, a struct or a callback, got ${show(size)}`);
  }
  const bytes = integer(apiName, "size", size, 1, MAX_SIZE);
  return { size: bytes, align: Math.min(16, bytes & -bytes) };
}

/** The alignment to ask the core for: the core aligns by that alone, whatever the backend. */
export const alignOf = (kind: number, align: number): number =>
  kind === EXTERNAL ? BOX : kind === PAGES ? PAGE : align;

const kinds: ReadonlyMap<unknown, number> = /* @__PURE__ */ new Map([
  ["slab", SLAB],
  ["pages", PAGES],
  ["bump", BUMP],
]);

function backendOf(apiName: string, value: unknown = "slab"): { readonly kind: number; readonly backend?: Backend } {
  const kind = kinds.get(value);
  if (kind !== undefined) return { kind };
  if (typeof value !== "object" || value === null) {
    invalid(`${apiName}: backend must be "slab", "pages", "bump" or { alloc, free }, got ${show(value)}`);
  }
  const backend = value as Backend;
  for (const key of ["alloc", "free"] as const) callback(apiName, `backend.${key}`, backend[key]);
  adapters.get(apiName);
  return { kind: EXTERNAL, backend };
}

let made = 0;

/** Checks the options of a pool to make, and calls a `size` callback. `more` are the options besides a pool's own. */
export function poolOptions(
  apiName: string,
  options: PoolOptions & { readonly heap?: unknown },
  more: readonly "heap"[],
): { readonly spec: PoolSpec; readonly local: LocalConfig } {
  if (options === undefined) invalid(`${apiName}: options must be an object, got undefined`);
  checkOptions(apiName, options, [
    "size",
    "data",
    "minNr",
    "maxNr",
    "maxWaiters",
    "align",
    "zero",
    "backend",
    "name",
    ...more,
  ]);
  const name = nameOf(apiName, options.name, `pool-${made + 1}`);
  const minNr = integer(apiName, "minNr", options.minNr, 0, MAX_MIN_NR);
  const { maxNr = Infinity, maxWaiters = Infinity, zero = false, align, size, data } = options;
  if (maxNr !== Infinity) {
    integer(apiName, "maxNr", maxNr, 1, UNLIMITED);
    if (minNr > maxNr) invalid(`${apiName}: minNr (${minNr}) must not be above maxNr (${maxNr})`);
  }
  if (maxWaiters !== Infinity) integer(apiName, "maxWaiters", maxWaiters, 1, UNLIMITED);
  boolean(apiName, "zero", zero);
  if (align !== undefined) powerOfTwo(apiName, "align", align, MAX_ALIGN);
  const { kind, backend } = backendOf(apiName, options.backend);
  if (backend) {
    if (zero) invalid(`${apiName}: zero (true) does not go with a backend of your own`);
    if (align !== undefined) invalid(`${apiName}: align (${align}) does not go with a backend of your own`);
  }
  const layout = layoutOf(apiName, size, data);
  const spec: PoolSpec = {
    name,
    elementSize: layout.size,
    align: alignOf(kind, align ?? layout.align),
    minNr,
    maxNr,
    maxWaiters,
    zero,
    hosted: kind === EXTERNAL,
  };
  return { spec, local: { backend, size, data, align, kind } };
}

/** A pool without a name gets a number: the pools that this thread has made. */
export function countPool(): void {
  made++;
}

/** Checks an object of `Pool.share`. */
export function checkShared(apiName: string, shared: PoolHandle): void {
  integer(apiName, "shared.address", shared.address, 1, UNLIMITED);
  integer(apiName, "shared.serial", shared.serial, 0, UNLIMITED);
  nameOf(apiName, shared.name, "");
  integer(apiName, "shared.elementSize", shared.elementSize, 1, MAX_SIZE);
  powerOfTwo(apiName, "shared.align", shared.align, MAX_ALIGN);
  integer(apiName, "shared.minNr", shared.minNr, 0, MAX_MIN_NR);
  if (shared.maxNr !== Infinity) integer(apiName, "shared.maxNr", shared.maxNr, 1, UNLIMITED);
  if (shared.maxWaiters !== Infinity) integer(apiName, "shared.maxWaiters", shared.maxWaiters, 1, UNLIMITED);
  boolean(apiName, "shared.zero", shared.zero);
  boolean(apiName, "shared.hosted", shared.hosted);
}

export function attachOptions(apiName: string, shared: PoolHandle, options: AttachOptions): LocalConfig {
  const { size, data, backend } = checkOptions(apiName, options, ["size", "data", "backend", "debug"]);
  if (typeof size === "object" && size !== null) {
    const layout = layoutOf(apiName, size, data);
    const { name, elementSize, align } = shared;
    if (layout.size !== elementSize || align % layout.align !== 0) {
      const is = `is a struct of ${layout.size} bytes at multiples of ${layout.align}`;
      invalid(`${apiName}: size ${is}, but pool "${name}" has ${elementSize} at multiples of ${align}`, { pool: name });
    }
  } else if (size !== undefined) callback(apiName, "size", size);
  return { size, data, ...backendOf(apiName, backend) };
}
