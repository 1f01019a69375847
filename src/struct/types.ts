/** The public types of struct definitions, and of the cursors, arrays and indices that they become. */
import type { Views } from "../core/views.ts";

/** Anything that gives access to linear memory: a heap, or `{ views }` of your own. */
export interface HasViews {
  readonly views: Views;
}

declare const target: unique symbol;

/**
 * The address of a `T` in linear memory, in bytes: a number that the compiler tells from the addresses of other types.
 * `T` is a struct type; two struct types with equal fields are one type to the compiler.
 */
export type Ptr<T = unknown> = number & PointsTo<T>;
interface PointsTo<T> {
  readonly [target]: T;
}

/** The address of an element that is a `T`: a `Ptr<T>` if `T` is a struct type, else a plain number. */
export type ElementAddress<T> = T extends StructType ? Ptr<T> : number;

/**
 * An array of addresses of `T`, for bulk calls: a Uint32Array that the compiler tells from arrays of other types' addresses.
 *
 * @example
 * const all: PtrArray<typeof Particle> = new Uint32Array(100);
 */
export interface PtrArray<T = unknown> extends Uint32Array {
  readonly [target]?: T;
}

/** What `A` has to be for a cursor on `S`: any number, but no `Ptr` to another type, and no 0 that is still unchecked. */
export type AddressOf<S, A extends number> = A extends 0
  ? never
  : A extends PointsTo<unknown>
    ? A extends PointsTo<S>
      ? A
      : Ptr<S>
    : A;

// ---------------------------------------------------------------------------------------------------------------------
// Definitions

/** The name of one of {@link Views}' typed arrays. */
export type ViewName = "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "i64" | "u64" | "f32" | "f64";

/** The name of a scalar type. */
export type ScalarName = ViewName | "bool" | "pointer";

/** The view that holds a scalar: its own; u8 for bool, u32 for pointer. */
type ViewOf<N extends ScalarName> = N extends "bool" ? "u8" : N extends "pointer" ? "u32" : N;

/** A number, a boolean, or an address: the constants `i8` to `bool`, and what `pointer` gives. */
export interface Scalar<Name extends ScalarName = ScalarName> {
  readonly name: Name;
  /** Bytes. */
  readonly sizeof: number;
  /** Bytes; equals `sizeof`. */
  readonly alignof: number;
}

/** An address, 4 bytes, read and written as a number. See `pointer`. */
export interface Pointer extends Scalar<"pointer"> {
  /** The struct type it points to, if one was given. For readers only: nothing checks what an address leads to. */
  readonly target: StructType | undefined;
}

/** A fixed or flexible array, made by `array` and `flexible`. */
export interface ArrayType<E extends FieldType = any, N extends number | undefined = number | undefined> {
  readonly name: "array" | "flexible";
  readonly element: E;
  /** Elements; undefined for a flexible array. */
  readonly length: N;
  /** Bytes; 0 for a flexible array. */
  readonly sizeof: number;
  /** Bytes; the element's. */
  readonly alignof: number;
}

/** The type of a struct's field. */
export type FieldType = Scalar | ArrayType | StructType;

/** The argument of `struct`. */
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

/**
 * A C struct's layout, made by `struct`. Itself a type for fields of other structs. Immutable; any thread may use
 * its own copy.
 *
 * Its properties `i8` to `f64` are the _field indices_: constants for loops that index the heap's views, where no cursor
 * is fast enough. `T.f32` has the fields that are f32, each with the distance from the start of the struct in elements of
 * that view, so that the field of the struct at `at` is `heap.f32[(at >>> 2) + T.f32.x]`. Shift by 0 for i8 and u8, 1 for
 * i16 and u16, 2 for i32, u32 and f32, 3 for i64, u64 and f64; `>>>` and not `>>`, which makes addresses from 2 GiB
 * negative. A bool is in `u8`, a pointer in `u32`. See {@link Indices} for nested structs and arrays.
 *
 * @example
 * const Particle = struct({ x: f32, vx: f32, state: u32 });
 * const { x, vx } = Particle.f32; // 0 and 1
 * const f = heap.f32; // again after whatever may have grown the memory
 * for (const at of addresses) f[(at >>> 2) + x] += f[(at >>> 2) + vx] * dt;
 */
export interface StructType<F extends Fields = any> {
  readonly name: "struct";
  /** Bytes, padding included; a flexible array counts for none. */
  readonly sizeof: number;
  /** Bytes; the strictest field's. */
  readonly alignof: number;
  /** The fields in order. */
  readonly fields: readonly Field<keyof F & string>[];
  /** Indices of the i8 fields, in bytes. */
  readonly i8: Indices<F, "i8">;
  /** Indices of the u8 and bool fields, in bytes. */
  readonly u8: Indices<F, "u8">;
  /** Indices of the i16 fields, in units of 2 bytes. */
  readonly i16: Indices<F, "i16">;
  /** Indices of the u16 fields, in units of 2 bytes. */
  readonly u16: Indices<F, "u16">;
  /** Indices of the i32 fields, in units of 4 bytes. */
  readonly i32: Indices<F, "i32">;
  /** Indices of the u32 and pointer fields, in units of 4 bytes. */
  readonly u32: Indices<F, "u32">;
  /** Indices of the i64 fields, in units of 8 bytes. */
  readonly i64: Indices<F, "i64">;
  /** Indices of the u64 fields, in units of 8 bytes. */
  readonly u64: Indices<F, "u64">;
  /** Indices of the f32 fields, in units of 4 bytes. */
  readonly f32: Indices<F, "f32">;
  /** Indices of the f64 fields, in units of 8 bytes. */
  readonly f64: Indices<F, "f64">;

  /**
   * The offset of a field in bytes, or of an element of an array field, as C's `offsetof(struct r1bio, bios[n])`. For a
   * flexible array that is the size of an element with n entries, as a pool's size callback wants it. The index may be
   * any integer for a flexible array, and up to the length, inclusive, for a fixed one.
   *
   * O(fields): not for the hot path; see the field indices for that.
   *
   * @throws `ERR_INVALID_ARGUMENT` for an unknown field, for an index that is wrong or on no array, and for a result
   * beyond 2^32 - 1.
   * @example
   * R1Bio.offsetof("bios", 2); // 28
   */
  offsetof<K extends keyof F & string>(field: K, ...index: F[K] extends ArrayType ? [index?: number] : []): number;

  /**
   * A cursor on the struct at an address: {@link StructType.cursor}, and `move`.
   *
   * @throws `ERR_INVALID_ARGUMENT` as `cursor` and `move` do.
   * @example
   * const at = particles.alloc();
   * if (at) Particle.at(heap, at).x = 1;
   */
  at<A extends number>(
    heap: HasViews,
    address: AddressOf<StructType<F>, A>,
    ...length: FlexibleLength<F>
  ): Cursor<StructType<F>>;

  /**
   * A cursor that is on no struct yet. `move` puts it on one. Until then its `address` is 0, and each access to a field
   * throws `ERR_INVALID_ARGUMENT`.
   *
   * Fields are the cursor's properties. Numbers are converted as typed arrays convert them: modulo 2^bits, u64 and i64 as
   * bigint; a bool is a boolean. Make one cursor and move it: `move` and field access allocate nothing. But the engine
   * may allocate a bigint for a u64 or i64 that it reads, and a number for an f32, an f64 or a u32 from 2^31, where it
   * does not inline the access: in code it has not optimised, and in loops of very many accesses. There, read fields into
   * locals once, or use the field indices, which are always as fast as an access can be; splitting a function makes it
   * slower. A cursor costs about 1 KB and some microseconds.
   *
   * The fields are the cursor's only own enumerable properties: `{ ...cursor }`, `structuredClone` and a test's `toEqual`
   * see a plain object of the values. But arrays are objects of their own, and refuse to be cloned. `toJSON` gives arrays
   * as arrays, and 64-bit integers as strings. All of these leave out a flexible array without a `length`.
   *
   * `length` is the number of elements in the flexible array, for a struct that ends in one. The cursor keeps it as it
   * moves. Without it, as in C, only the end of the memory bounds the array, and `[i]` serves the first 1024 elements
   * (see {@link ArrayView}).
   *
   * Any thread may use its own cursors on shared memory, as long as the memory lives; its growth by any thread does no
   * harm. Nothing checks that there is a struct at the address.
   *
   * @throws `ERR_INVALID_ARGUMENT` for a heap without views, and for a length that is wrong or has no flexible array.
   * @example
   * const p = Particle.cursor(heap);
   * for (const at of addresses) p.move(at).x = 0;
   */
  cursor(heap: HasViews, ...length: FlexibleLength<F>): Cursor<StructType<F>>;
}

type FlexibleLength<F> = HasFlexible<F> extends true ? [length?: number] : [];
type HasFlexible<F> = true extends { [K in keyof F]: IsFlexible<F[K]> }[keyof F] ? true : false;
type IsFlexible<T> =
  T extends ArrayType<any, undefined> ? true : T extends StructType<infer F> ? HasFlexible<F> : false;

// ---------------------------------------------------------------------------------------------------------------------
// Indices

/**
 * The field indices of one view: see {@link StructType}. Frozen; counted in elements of the view, from the start of the
 * outermost struct. A field is only there if it is of that view's kind, or contains one that is.
 *
 * - A scalar: its index.
 * - A nested struct: an object of the indices in it.
 * - An array of scalars, of however many dimensions: the index of the first. The others follow one by one, row by row
 *   as in C: `[i]` is at `m + i`, and `[i][j]` of `array(array(f32, 4), 3)` at `m + i * 4 + j`.
 * - An array of structs: an object of the indices in the first, and `$stride`, the distance from one struct to the next.
 *
 * @example
 * const T = struct({ id: u32, pos: struct({ x: f32, y: f32 }), m: array(f32, 4), items: array(struct({ n: u32, w: f32 }), 8) });
 * T.f32; // { pos: { x: 1, y: 2 }, m: 3, items: { $stride: 2, w: 8 } }
 * const { w, $stride } = T.f32.items;
 * heap.f32[(at >>> 2) + w + i * $stride]; // items[i].w
 */
export type Indices<F, V extends ViewName> = string extends keyof F
  ? { readonly [name: string]: any }
  : { readonly [K in keyof F as [Index<F[K], V>] extends [never] ? never : K]: Index<F[K], V> };

type Index<T, V extends ViewName> =
  T extends Scalar<infer N>
    ? ViewOf<N> extends V
      ? number
      : never
    : T extends ArrayType<infer E>
      ? Strided<Index<E, V>>
      : T extends StructType<infer F>
        ? keyof Indices<F, V> extends never
          ? never
          : Indices<F, V>
        : never;

type Strided<I> = I extends number ? I : { readonly [K in keyof I | "$stride"]: K extends keyof I ? I[K] : number };

// ---------------------------------------------------------------------------------------------------------------------
// Cursors

/** What a field of a type is to its cursor: number, bigint or boolean; {@link Struct}; {@link ArrayView}. */
export type FieldValue<T> =
  T extends Scalar<infer N>
    ? N extends "i64" | "u64"
      ? bigint
      : N extends "bool"
        ? boolean
        : number
    : T extends ArrayType<infer E>
      ? ArrayView<E>
      : T extends StructType<infer F>
        ? Struct<F>
        : never;

type FieldValues<F> = {
  -readonly [K in keyof F as F[K] extends Scalar ? K : never]: FieldValue<F[K]>;
} & {
  readonly [K in keyof F as F[K] extends Scalar ? never : K]: FieldValue<F[K]>;
};

interface InMemory {
  /** The address in bytes; 0 while the cursor is on no struct. */
  readonly address: number;
  /** The fields as JSON has them: 64-bit integers as strings, arrays of known length as arrays. */
  toJSON(): unknown;
}

/** A struct in memory: its fields, and its address. A nested one follows the cursor it was reached from. */
export type Struct<F> = FieldValues<F> & InMemory;

/** The cursor of a struct type, `Cursor<typeof R1Bio>`: see {@link StructType.cursor}. */
export type Cursor<S extends StructType> = FieldValues<FieldsOf<S>> & Movable<S>;

type FieldsOf<S> = S extends StructType<infer F> ? F : never;

interface Movable<S> extends InMemory {
  /** The address in bytes; 0 while the cursor is on no struct. */
  readonly address: Ptr<S>;
  /**
   * Moves the cursor, and every object reached from it, to another struct of its type. Allocates nothing. Returns the
   * cursor.
   *
   * @throws `ERR_INVALID_ARGUMENT` for an address that is no uint32, is 0, is no multiple of `alignof`, or whose struct
   * ends beyond the memory. The cursor then stays where it was.
   */
  move<A extends number>(address: AddressOf<S, A>): this;
}

/**
 * An array in memory. `[i]` and `get`, `set` are the same but for two things. `[i]` is an accessor on the prototype,
 * which engines run outside optimised code, about 0.1 us each: use `get` and `set` in hot loops, where they cost what a
 * field does. And beyond the end `[i]` reads as undefined and throws on writing, as `get` and `set` throw
 * ERR_INVALID_ARGUMENT.
 *
 * `[i]` serves all elements if the length is known, by the type or by the cursor, and at most 65536; else the first 1024.
 * `get` and `set` serve all. Each element that is a struct or an array is an object, made at first use: to visit very
 * many, move a cursor over them instead.
 */
export type ArrayView<E extends FieldType> = Elements<E> &
  (E extends Scalar ? { [index: number]: FieldValue<E> } : { readonly [index: number]: FieldValue<E> });

/** What arrays have besides `[i]`. */
export interface Elements<E extends FieldType> extends Iterable<FieldValue<E>> {
  /** Elements; of a flexible array of unknown length, as many as the memory has room for. */
  readonly length: number;
  /** The address of the first element, in bytes. */
  readonly address: number;
  /** The elements, as those of an array of JSON. */
  toJSON(): unknown;
  /**
   * An element.
   *
   * @throws `ERR_INVALID_ARGUMENT` beyond the end.
   */
  get(index: number): FieldValue<E>;
  /**
   * Writes an element that is a scalar.
   *
   * @throws `ERR_INVALID_ARGUMENT` beyond the end.
   */
  set(index: number, value: E extends Scalar ? FieldValue<E> : never): void;
}
