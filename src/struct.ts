/**
 * C structs in linear memory: their layout, and cursors that read and write them.
 *
 * Layout is the C ABI of wasm32: little endian; a scalar is aligned to its size, so 8 for u64, i64 and f64; a pointer
 * is 4 bytes; an array is aligned as its element, a struct as its strictest field; fields keep the order they are
 * written in, each at the next multiple of its alignment; `sizeof` is rounded up to `alignof`. A flexible array counts
 * for alignment but not for size.
 *
 * A cursor is a window on one struct that `move` slides over memory. Every object reached from it (nested structs,
 * arrays, their elements) holds the cursor's place and a constant offset: they all follow when the cursor moves, no two
 * of them alias, each is made once and kept, and nothing is allocated after that.
 *
 *     cursor ---------> Place <--------- cursor.pos
 *     $offset 0         address          $offset 8
 *                       i8 ... u64       x: f32[(address + 8 + 0) >>> 2]
 *
 * What keeps it right:
 * - whatever is reachable was checked to be in memory, by `move` or by the array's bounds. Arithmetic on addresses is
 *   modulo 2^32, and the check is why it cannot wrap;
 * - growth detaches a plain memory's typed arrays, their length is then 0: each access looks, and makes its array anew.
 *   A shared memory's stay good for what was reachable; more becomes so in `look` only, which makes all of them anew;
 * - views are not extensible: a misspelt field and an index too high throw instead of making a property.
 *
 * What keeps it fast (V8; each found by measurement, and bench/struct.mjs shows it when one is lost):
 * - one class of views per type, with an accessor per scalar field, a closure over its offset: once inlined, an access
 *   is an index into a typed array;
 * - accessors are written out per scalar, so that each sees one kind of typed array;
 * - the place has one shape whatever the struct. Views have many: what is read of `this` is read before any branch, for
 *   the engine forgets at the next join which shape it has;
 * - accessors are short, and what is rare in them calls none of our functions: V8 inlines 920 bytes of bytecode into
 *   a function, of which an accessor takes 75, and it would inline what is rare as well;
 * - hot functions use no bindings of this module: bundlers make them `var`, which are loaded and compared each time;
 * - fields are declared, not defined: they would start as undefined, and never again be known to be integers.
 */
import { MempoolError } from "./errors.ts";
import { Views } from "./memory.ts";
import { inspect } from "./options.ts";

const limit = 2 ** 32;

/** Index accessors there are at most: for arrays whose length is known, and for those where it is not. */
const indexable = 65536;
const indexableOpen = 1024;

function invalid(what: string, must: string, value: unknown, why = ""): never {
  const got = typeof value === "string" ? JSON.stringify(value) : value === Object(value) ? "an object" : String(value);
  throw new MempoolError("ERR_INVALID_ARGUMENT", `${what} must be ${must}, got ${got}${why}`);
}

const isUint32 = (value: unknown): value is number => typeof value === "number" && value >>> 0 === value;

/** Anything that gives access to linear memory: a heap, or `{ views }` of your own. */
export interface HasViews {
  readonly views: Views;
}

// ---------------------------------------------------------------------------------------------------------------------
// Views

/** Where a cursor is, shared by all views reached from it. */
class Place extends Views {
  /** The address, as an int32: a small integer to the engine wherever it is in memory. */
  address = 0;
  /** The bytes from the address on that must be in memory. */
  declare readonly size: number;
  /** The last address where they were known to be: memory grows, but never shrinks. */
  last = 0;
  /** Elements in the flexible array, if that was told. */
  declare readonly count: number | undefined;

  constructor(memory: WebAssembly.Memory, size: number, count: number | undefined) {
    super(memory);
    this.size = size;
    this.count = count;
    this.look();
  }

  /** Looks how much memory there is. Returns `last`. */
  look(): number {
    return (this.last = this.refresh().u8.length - this.size);
  }
}

/** What a cursor and the objects reached from it are. */
class View {
  declare readonly $place: Place;
  declare $offset: number;

  constructor(place: Place, offset: number) {
    this.$place = place;
    this.$offset = offset;
  }

  get address(): number {
    return (this.$place.address + this.$offset) >>> 0;
  }

  /** What Node's console shows: the fields, not the memory behind them. */
  [inspect](): object {
    const shown: Record<string, unknown> = {};
    for (let o = this as object; o !== View.prototype; o = Object.getPrototypeOf(o) as object) {
      for (const name of Object.getOwnPropertyNames(o)) {
        const value = (this as Record<string, unknown>)[name];
        if (!name.startsWith("$") && typeof value !== "function") shown[name] = value;
      }
    }
    return shown;
  }
}

/** A field's accessor. */
type Access<V> = { get(): V; set(value: V): void } & ThisType<View>;

type ViewClass = new (place: Place, offset: number) => View;

/** The rare half of `move`: the memory has grown, or the address is wrong. */
function recheck(place: Place, alignof: number, address: unknown): void {
  const last = place.look();
  if (!isUint32(address) || !address || address % alignof || address > last) {
    // The commonest mistake: an alloc that found no memory.
    const why = address === 0 ? " (alloc gives 0 when memory is out)" : "";
    invalid("address", `a multiple of ${alignof} from ${alignof} to ${last}`, address, why);
  }
}

/** All arrays. `$seek` slides `$offset` to an element, which the accessor `$item` of its type reads or writes. */
class Rows extends View {
  /** Where the first element is. */
  declare readonly $first: number;
  /** Elements. */
  declare readonly $count: number;
  /** Bytes in one. */
  declare readonly $stride: number;
  declare $item: unknown;

  constructor(place: Place, offset: number, { element, length = place.count }: ArrayType) {
    super(place, offset);
    this.$first = offset;
    this.$count = length ?? 0;
    this.$stride = element.sizeof;
    growIndex(Math.min(length ?? indexableOpen, indexable));
  }

  override get address(): number {
    return (this.$place.address + this.$first) >>> 0;
  }

  get length(): number {
    return this.$count;
  }

  override [inspect](): object {
    return { length: this.length };
  }

  get(index: number): unknown {
    this.$seek(index);
    return this.$item;
  }

  set(index: number, value: unknown): void {
    this.$seek(index);
    this.$item = value;
  }

  $seek(index: number): void {
    if (!(index < this.$count) || index >>> 0 !== index) beyond(this, index);
    this.$offset = this.$first + index * this.$stride;
  }

  *[Symbol.iterator](): Generator<unknown, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.get(i);
  }
}

function beyond(rows: Rows, index: unknown): void {
  const { length } = rows;
  if (!isUint32(index) || index >= length) invalid("index", `an integer from 0 to ${length - 1}`, index);
}

let indexed = 0;

/** Gives Rows accessors for the indices below count. All arrays there are share them. */
function growIndex(count: number): void {
  for (; indexed < count; indexed++) {
    const i = indexed;
    Object.defineProperty(Rows.prototype, i, {
      get(this: Rows) {
        return i < this.length ? this.get(i) : undefined;
      },
      set(this: Rows, value: unknown) {
        this.set(i, value);
      },
    });
  }
}

/** The class of a type's arrays; `open` for flexible arrays of untold length, which end with the memory. */
function rowsOf(type: ArrayType, open: boolean): ViewClass {
  const { element } = type;
  class Row extends Rows {
    /** Elements that are structs or arrays, as far as they were asked for. */
    readonly $made: View[] = [];

    constructor(place: Place, offset: number) {
      super(place, offset, type);
      Object.preventExtensions(this);
    }
  }
  const made: PropertyDescriptor & ThisType<Row> = {
    get() {
      const { $made, $offset, $first, $stride } = this;
      return ($made[($offset - $first) / $stride] ??= element.$new(this.$place, $offset));
    },
  };
  Object.defineProperty(Row.prototype, "$item", element instanceof Scalar ? element.$at(0) : made);
  if (!open) return Row;
  return class extends Row {
    override get length(): number {
      const p = this.$place;
      return Math.floor((p.look() - (p.address >>> 0)) / this.$stride);
    }
    override $seek(index: number): void {
      const p = this.$place;
      const end = (index + 1) * this.$stride;
      if (!(end <= p.last - (p.address >>> 0)) || index >>> 0 !== index) beyond(this, index);
      this.$offset = this.$first + end - this.$stride;
    }
  };
}

// ---------------------------------------------------------------------------------------------------------------------
// Types

/** A number, a boolean, or an address. The constants {@link i8} to {@link bool}, or what {@link pointer} gave. */
export class Scalar<V = any> {
  /** The type's name: "u32", "bool", "pointer". */
  readonly name: string;
  /** Bytes. */
  readonly sizeof: number;
  /** Bytes; equals `sizeof`. */
  readonly alignof: number;
  /** For inference only: what a field of this type reads as. Never there at run time. */
  declare readonly value: V;
  /** @internal */
  readonly flexible = false;
  /** @internal The accessor of a field so many bytes from its view. */
  readonly $at: (offset: number) => Access<V>;

  /** @internal */
  constructor(name: string, size: number, at: Scalar<V>["$at"]) {
    this.name = name;
    this.sizeof = this.alignof = size;
    this.$at = at;
  }
}

/** An address, 4 bytes, read and written as a number. See {@link pointer}. */
export class Pointer extends Scalar<number> {
  /** @internal */
  readonly $target: StructType | (() => void) | undefined;

  /** @internal */
  constructor(target: StructType | (() => void) | undefined) {
    super("pointer", 4, u32.$at);
    this.$target = target;
  }

  /** What it points to, if that was told. Documentation only: nothing checks what an address leads to. */
  get target(): StructType | undefined {
    return typeof this.$target === "function" ? (this.$target() as unknown as StructType | undefined) : this.$target;
  }
}

/** A fixed or flexible array, made by {@link array} and {@link flexible}. */
export class ArrayType<E extends FieldType = any, N extends number | undefined = number | undefined> {
  /** "array" or "flexible". */
  readonly name: string;
  readonly element: E;
  /** How many elements; undefined for a flexible array. */
  readonly length: N;
  /** @internal Of arrays whose length is known, and of those where it is not. */
  readonly $classes: ViewClass[] = [];

  /** @internal */
  constructor(name: string, element: E, length: N) {
    this.name = name;
    this.element = element;
    this.length = length;
  }
  /** Bytes; 0 for a flexible array. */
  get sizeof(): number {
    return this.extent(this.length ?? 0);
  }
  /** Bytes; the element's. */
  get alignof(): number {
    return this.element.alignof;
  }
  /** @internal */
  get flexible(): boolean {
    return this.length === undefined;
  }
  /** @internal */
  $new(place: Place, offset: number): View {
    const open = this.flexible && place.count === undefined;
    return new (this.$classes[Number(open)] ??= rowsOf(this, open))(place, offset);
  }
  /** @internal The bytes of so many elements. */
  extent(count: number): number {
    return this.element.sizeof * count;
  }
}

/** What a struct's field can be. */
export type FieldType = Scalar | ArrayType | StructType;
type Composite = ArrayType | StructType;

/** The argument of {@link struct}. */
export type Fields = Readonly<Record<string, FieldType>>;

/** One field as laid out. */
export interface Field<Name extends string = string> {
  readonly name: Name;
  readonly type: FieldType;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bytes; 0 for a flexible array. */
  readonly size: number;
}

/** A C struct's layout, made by {@link struct}. Itself a type for fields of other structs. */
export class StructType<F extends Fields = any> {
  readonly name = "struct";
  /** Bytes, padding included; a flexible array counts for none. */
  readonly sizeof: number;
  /** Bytes; the strictest field's. */
  readonly alignof: number;
  /** The fields in order. */
  readonly fields: readonly Field<keyof F & string>[];
  /** @internal Ends in a flexible array, or in a struct that does. */
  readonly flexible: boolean;
  /** @internal */
  readonly $new: (place: Place, offset: number) => View;
  readonly #cursor: new (place: Place, offset: number) => View & { move(address: number): View };

  /** @internal */
  constructor(definition: F) {
    const entries = Object.entries(definition ?? {});
    const parts: [string, Composite, number][] = [];
    class Part extends View {
      constructor(place: Place, offset: number) {
        super(place, offset);
        for (const [name, type, at] of parts)
          Object.defineProperty(this, name, { value: type.$new(place, offset + at) });
        Object.preventExtensions(this);
      }
    }
    let end = 0;
    let alignof = 1;
    this.fields = Object.freeze(
      entries.map(([name, type], slot) => {
        if (/^(address|move|\$.*|\d+)$/.test(name))
          invalid("field name", "none of address, move, $... and digits", name);
        checkType(name, type, slot > 0 && slot === entries.length - 1);
        const size = type.sizeof;
        const offset = Math.ceil(end / type.alignof) * type.alignof;
        end = offset + size;
        alignof = Math.max(alignof, type.alignof);
        if (type instanceof Scalar) Object.defineProperty(Part.prototype, name, type.$at(offset));
        else parts.push([name, type, offset]);
        return Object.freeze({ name, type, offset, size });
      }),
    );
    if (!entries.length) invalid("fields", "one or more", 0);
    this.flexible = entries.at(-1)![1].flexible;
    this.alignof = alignof;
    this.sizeof = Math.ceil(end / alignof) * alignof;
    if (this.sizeof >= limit) invalid(`field ${entries.at(-1)![0]}`, "within 2^32 - 1 bytes", end);
    this.$new = (place, offset) => new Part(place, offset);
    const mask = alignof - 1;
    this.#cursor = class extends Part {
      move(address: number): this {
        const place = this.$place;
        if (!Number.isInteger(address) || address <= 0 || address > place.last || address & mask)
          recheck(place, mask + 1, address);
        place.address = address | 0;
        return this;
      }
    };
  }

  /**
   * The offset of a field in bytes, or of an element of an array field, as C's `offsetof(struct r1bio, bios[n])`. For a
   * flexible array that is the size of an element with n entries, as a pool's size callback wants it. An index may be
   * anything for a flexible array, and up to the length, inclusive, for a fixed one.
   *
   * Throws ERR_INVALID_ARGUMENT for a field there is not, an index that is wrong or on no array, and a result beyond
   * 2^32 - 1. Takes time in proportion to the number of fields: not for the hot path.
   */
  offsetof<K extends keyof F & string>(field: K, ...index: F[K] extends ArrayType ? [index?: number] : []): number;
  offsetof(field: string, ...[index]: [index?: number]): number {
    const found = this.fields.find(({ name }) => name === field);
    if (!found) invalid("field", "one of the struct's", field);
    const { type, offset } = found;
    if (index === undefined) return offset;
    if (!(type instanceof ArrayType)) invalid(`field ${field}`, "an array to be indexed", index);
    const max = type.length ?? Math.floor((limit - 1 - offset) / type.element.sizeof);
    if (!(isUint32(index) && index <= max)) invalid(`index of field ${field}`, `an integer from 0 to ${max}`, index);
    return offset + type.extent(index);
  }

  /**
   * A cursor on the struct at an address. Fields are its properties; numbers are converted as typed arrays convert them
   * (modulo 2^bits, u64 and i64 as bigint), bool is a boolean. Make one and `move` it: moving and field access allocate
   * nothing. The engine, though, may allocate a bigint for a u64 or i64 it reads, and a number for an f32, an f64 or a
   * u32 from 2^31 it reads in code it has not optimised, or in a function of more than some ten accesses, where it stops
   * inlining: keep hot functions short. A cursor costs about 1 KB and some microseconds.
   *
   * `length` is the number of elements in the flexible array, for a struct that ends in one. It stays the cursor's as
   * it moves. Without it, as in C, only the end of the memory bounds the array, and `[i]` serves the first 1024
   * elements (see {@link ArrayView}).
   *
   * Any thread, while the memory lives; growth by anyone does no harm. Nothing checks that a struct is there. Throws
   * ERR_INVALID_ARGUMENT for an address that is no uint32, is 0, is no multiple of `alignof` or whose struct ends
   * beyond the memory, and for a length that is wrong or has no flexible array.
   */
  at(heap: HasViews, address: number, ...length: HasFlexible<F> extends true ? [length?: number] : []): Cursor<this>;
  at(heap: HasViews, address: number, ...[length]: [length?: number]): any {
    if (!heap?.views) invalid("heap", "something with views", heap);
    if (length !== undefined && !(this.flexible && isUint32(length) && this.extent(length) < limit)) {
      invalid("length", "how many elements the flexible array at the end has", length);
    }
    return new this.#cursor(new Place(heap.views.memory, this.extent(length ?? 0), length), 0).move(address);
  }

  /** @internal The bytes in use with so many elements in the flexible array. */
  extent(length: number): number {
    const { type, offset } = this.fields.at(-1)!;
    return this.flexible ? offset + (type as Composite).extent(length) : this.sizeof;
  }
}

/** Types are checked here and not where they are made, to name the field. */
function checkType(name: string, type: FieldType, mayFlex: boolean): void {
  const what = `field ${name}`;
  if (type instanceof ArrayType) {
    const { length, element } = type;
    if (length !== undefined && !(isUint32(length) && length))
      invalid(`length of ${what}`, "a positive integer", length);
    checkType(name, element, false);
  } else if (!(type instanceof Scalar || type instanceof StructType)) invalid(`type of ${what}`, "a field type", type);
  if (type.flexible && !mayFlex) invalid(what, "last, not first and in no array to be flexible", type.name);
}

// ---------------------------------------------------------------------------------------------------------------------
// What types become

/** What a field of a type is to its cursor: number, bigint or boolean; {@link Struct}; {@link ArrayView}. */
export type FieldValue<T> =
  T extends Scalar<infer V>
    ? V
    : T extends ArrayType<infer E>
      ? ArrayView<E>
      : T extends StructType<infer F>
        ? Struct<F>
        : never;

/** A struct in memory: its fields, and its address. Nested ones follow the cursor they were reached from. */
export type Struct<F extends Fields> = {
  -readonly [K in keyof F as F[K] extends Scalar ? K : never]: FieldValue<F[K]>;
} & {
  readonly [K in keyof F as F[K] extends Scalar ? never : K]: FieldValue<F[K]>;
} & {
  /** Where it is, in bytes. */
  readonly address: number;
};

/** What `at` of a struct type gives: `Cursor<typeof R1Bio>`. */
export type Cursor<S extends StructType> =
  S extends StructType<infer F>
    ? Struct<F> & {
        /**
         * Goes to another struct of this type, and everything reached from this cursor with it. Checks the address as
         * {@link StructType.at} does; allocates nothing. On an error the cursor stays. Returns the cursor.
         */
        move(address: number): Cursor<S>;
      }
    : never;

/**
 * An array in memory. `[i]` and `get`, `set` are the same but for two things. `[i]` is an accessor on the prototype,
 * which engines run outside optimised code, about 0.1 us each: use `get` and `set` in hot loops, they cost what a field
 * does. And beyond the end `[i]` reads as undefined and throws on writing, as `get` and `set` throw
 * ERR_INVALID_ARGUMENT.
 *
 * `[i]` serves all elements if the length is known, by the type or by `at`, and at most 65536; else the first 1024.
 * `get` and `set` serve all. Elements that are structs or arrays have an object each, made at first use: to visit
 * very many, move a cursor over them instead.
 */
export type ArrayView<E extends FieldType> = Elements<E> &
  (E extends Scalar ? { [index: number]: FieldValue<E> } : { readonly [index: number]: FieldValue<E> });

/** What arrays have besides `[i]`. */
export interface Elements<E extends FieldType> extends Iterable<FieldValue<E>> {
  /** Elements; of a flexible array of unknown length, as many as there is memory for. */
  readonly length: number;
  /** Where its first element is, in bytes. */
  readonly address: number;
  /** An element. Throws ERR_INVALID_ARGUMENT beyond the end. */
  get(index: number): FieldValue<E>;
  /** Writes an element that is a scalar. Throws ERR_INVALID_ARGUMENT beyond the end. */
  set(index: number, value: E extends Scalar ? FieldValue<E> : never): void;
}

type HasFlexible<F> = true extends { [K in keyof F]: IsFlexible<F[K]> }[keyof F] ? true : false;
type IsFlexible<T> =
  T extends ArrayType<any, undefined> ? true : T extends StructType<infer F> ? HasFlexible<F> : false;

// ---------------------------------------------------------------------------------------------------------------------
// What definitions are written with

/**
 * Lays out a C struct.
 *
 * ```ts
 * const R1Bio = struct({ sector: u64, remaining: i32, state: u32, masterBio: pointer(Bio), bios: flexible(pointer(Bio)) });
 * R1Bio.offsetof("bios", 2); // 28
 * const bio = R1Bio.at(heap, pool.alloc(), 2);
 * bio.sector = 8n;
 * bio.bios[1] = other.address;
 * ```
 *
 * Throws ERR_INVALID_ARGUMENT, naming the field, for: no fields; an unknown type; an array length that is no positive
 * integer; a flexible array that is not last, is in an array or is alone; a struct of 2^32 bytes or more; and the names
 * `address`, `move`, those that begin with `$` and those of digits only. Costs some microseconds per field.
 */
export function struct<const F extends Fields>(fields: F): StructType<F> {
  return new StructType(fields);
}

/** A field of n elements, one after the other: scalars, pointers, structs or arrays. */
export function array<E extends FieldType>(type: E, n: number): ArrayType<E, number> {
  return new ArrayType("array", type, n ?? NaN);
}

/** A flexible array member, `type name[]` in C: the last field only, with as many elements as memory was taken for. */
export function flexible<E extends FieldType>(type: E): ArrayType<E, undefined> {
  return new ArrayType("flexible", type, undefined);
}

/** An address. What it points to is for readers: a struct type, or for one not yet defined `() => Type`. */
export function pointer(target?: StructType | (() => void)): Pointer {
  return new Pointer(target);
}

/** An 8-bit signed integer. */
export const i8: Scalar<number> = /* @__PURE__ */ new Scalar("i8", 1, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 0;
    if (!p.i8.length) p.i8 = new Int8Array(p.memory.buffer);
    return p.i8[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 0;
    if (!p.i8.length) p.i8 = new Int8Array(p.memory.buffer);
    p.i8[i] = value;
  },
}));

/** An 8-bit unsigned integer. */
export const u8: Scalar<number> = /* @__PURE__ */ new Scalar("u8", 1, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 0;
    if (!p.u8.length) p.u8 = new Uint8Array(p.memory.buffer);
    return p.u8[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 0;
    if (!p.u8.length) p.u8 = new Uint8Array(p.memory.buffer);
    p.u8[i] = value;
  },
}));

/** A 16-bit signed integer. */
export const i16: Scalar<number> = /* @__PURE__ */ new Scalar("i16", 2, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 1;
    if (!p.i16.length) p.i16 = new Int16Array(p.memory.buffer);
    return p.i16[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 1;
    if (!p.i16.length) p.i16 = new Int16Array(p.memory.buffer);
    p.i16[i] = value;
  },
}));

/** A 16-bit unsigned integer. */
export const u16: Scalar<number> = /* @__PURE__ */ new Scalar("u16", 2, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 1;
    if (!p.u16.length) p.u16 = new Uint16Array(p.memory.buffer);
    return p.u16[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 1;
    if (!p.u16.length) p.u16 = new Uint16Array(p.memory.buffer);
    p.u16[i] = value;
  },
}));

/** A 32-bit signed integer. */
export const i32: Scalar<number> = /* @__PURE__ */ new Scalar("i32", 4, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 2;
    if (!p.i32.length) p.i32 = new Int32Array(p.memory.buffer);
    return p.i32[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 2;
    if (!p.i32.length) p.i32 = new Int32Array(p.memory.buffer);
    p.i32[i] = value;
  },
}));

/** A 32-bit unsigned integer. */
export const u32: Scalar<number> = /* @__PURE__ */ new Scalar("u32", 4, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 2;
    if (!p.u32.length) p.u32 = new Uint32Array(p.memory.buffer);
    return p.u32[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 2;
    if (!p.u32.length) p.u32 = new Uint32Array(p.memory.buffer);
    p.u32[i] = value;
  },
}));

/** A 64-bit signed integer, a bigint. */
export const i64: Scalar<bigint> = /* @__PURE__ */ new Scalar("i64", 8, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 3;
    if (!p.i64.length) p.i64 = new BigInt64Array(p.memory.buffer);
    return p.i64[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 3;
    if (!p.i64.length) p.i64 = new BigInt64Array(p.memory.buffer);
    p.i64[i] = value;
  },
}));

/** A 64-bit unsigned integer, a bigint. */
export const u64: Scalar<bigint> = /* @__PURE__ */ new Scalar("u64", 8, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 3;
    if (!p.u64.length) p.u64 = new BigUint64Array(p.memory.buffer);
    return p.u64[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 3;
    if (!p.u64.length) p.u64 = new BigUint64Array(p.memory.buffer);
    p.u64[i] = value;
  },
}));

/** A C float. */
export const f32: Scalar<number> = /* @__PURE__ */ new Scalar("f32", 4, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 2;
    if (!p.f32.length) p.f32 = new Float32Array(p.memory.buffer);
    return p.f32[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 2;
    if (!p.f32.length) p.f32 = new Float32Array(p.memory.buffer);
    p.f32[i] = value;
  },
}));

/** A C double. */
export const f64: Scalar<number> = /* @__PURE__ */ new Scalar("f64", 8, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 3;
    if (!p.f64.length) p.f64 = new Float64Array(p.memory.buffer);
    return p.f64[i]!;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 3;
    if (!p.f64.length) p.f64 = new Float64Array(p.memory.buffer);
    p.f64[i] = value;
  },
}));

/** A C bool: one byte, 0 or 1, a boolean. Any byte but 0 reads as true. */
export const bool: Scalar<boolean> = /* @__PURE__ */ new Scalar("bool", 1, (offset) => ({
  get() {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 0;
    if (!p.u8.length) p.u8 = new Uint8Array(p.memory.buffer);
    return p.u8[i]! !== 0;
  },
  set(value) {
    const p = this.$place;
    const i = (p.address + this.$offset + offset) >>> 0;
    if (!p.u8.length) p.u8 = new Uint8Array(p.memory.buffer);
    p.u8[i] = value ? 1 : 0;
  },
}));
