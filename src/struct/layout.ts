/**
 * Layouts of C structs in linear memory.
 *
 * They are the C ABI of wasm32: little endian; a scalar is aligned to its size, so 8 for u64, i64 and f64; a pointer is 4
 * bytes; an array is aligned as its element, a struct as its strictest field; fields keep the order they are written in,
 * each at the next multiple of its alignment; `sizeof` is rounded up to `alignof`. A flexible array counts for alignment
 * but not for size.
 */
import { define } from "../core/objects.ts";
import { isUint32 } from "../core/validate.ts";
import { indicesOf } from "./indices.ts";
import { invalid, Place, recheck, View, type MakeView } from "./place.ts";
import { openRowsOf, rowsOf } from "./rows.ts";
import { ScalarType, u32 } from "./scalars.ts";
import type { ArrayType, Cursor, Field, Fields, FieldType, HasViews, Indices, Pointer, StructType } from "./types.ts";

const limit = 2 ** 32;

/** A type that a view shows: an array or a struct. */
interface Composite {
  /** Ends in a flexible array. */
  readonly flexible: boolean;
  readonly $new: MakeView;
  /** The bytes in use with so many elements in the array, or in the flexible array at the end. */
  extent(count: number): number;
}

class PointerType extends ScalarType<"pointer"> implements Pointer {
  readonly $target: StructType | (() => void) | undefined;

  constructor(to: StructType | (() => void) | undefined) {
    super("pointer", 4, (u32 as ScalarType<"u32">).$at);
    this.$target = to;
  }

  get target(): StructType | undefined {
    return typeof this.$target === "function" ? (this.$target() as unknown as StructType | undefined) : this.$target;
  }
}

class ArrayLayout<E extends FieldType, N extends number | undefined> implements ArrayType<E, N>, Composite {
  readonly name: "array" | "flexible";
  readonly element: E;
  readonly length: N;
  /** Of arrays whose length is known, and of those where it is not. */
  readonly $makers: MakeView[] = [];

  constructor(name: "array" | "flexible", element: E, length: N) {
    this.name = name;
    this.element = element;
    this.length = length;
  }
  get sizeof(): number {
    return this.extent(this.length ?? 0);
  }
  get alignof(): number {
    return this.element.alignof;
  }
  get flexible(): boolean {
    return this.length === undefined;
  }
  $new(place: Place, offset: number): View {
    const open = this.flexible && place.count === undefined;
    const make = (this.$makers[Number(open)] ??= open ? openRowsOf(this.element) : rowsOf(this.element, this.length));
    return make(place, offset);
  }
  extent(count: number): number {
    return this.element.sizeof * count;
  }
}

/** A view of a struct, whose fields its constructor defines. */
type PartClass = new (place: Place, offset: number) => View;

class StructLayout<F extends Fields> implements StructType<F>, Composite {
  /** See Heap. */
  get [Symbol.toStringTag](): string {
    return "StructType";
  }
  readonly name = "struct";
  readonly sizeof: number;
  readonly alignof: number;
  readonly fields: readonly Field<keyof F & string>[];
  readonly flexible: boolean;
  declare readonly i8: Indices<F, "i8">;
  declare readonly u8: Indices<F, "u8">;
  declare readonly i16: Indices<F, "i16">;
  declare readonly u16: Indices<F, "u16">;
  declare readonly i32: Indices<F, "i32">;
  declare readonly u32: Indices<F, "u32">;
  declare readonly i64: Indices<F, "i64">;
  declare readonly u64: Indices<F, "u64">;
  declare readonly f32: Indices<F, "f32">;
  declare readonly f64: Indices<F, "f64">;
  readonly $new: MakeView;
  readonly #Cursor: new (place: Place, offset: number) => View & { move(address: number): View };

  constructor(definition: F) {
    const entries = Object.entries(definition ?? {});
    if (isFieldType(Object.getPrototypeOf(definition ?? {}))) {
      invalid("field name", 'not __proto__, which in a literal is no property, but ["__proto__"]', "__proto__");
    }
    let end = 0;
    let alignof = 1;
    this.fields = Object.freeze(
      entries.map(([name, type], i) => {
        if (/^(address|move|toJSON|\$.*|\d+)$/.test(name))
          invalid("field name", "none of address, move, toJSON, $... and digits", name);
        checkType(name, type, i > 0 && i === entries.length - 1);
        const size = type.sizeof;
        const offset = Math.ceil(end / type.alignof) * type.alignof;
        end = offset + size;
        alignof = Math.max(alignof, type.alignof);
        return Object.freeze({ name, type, offset, size });
      }),
    );
    if (!entries.length) invalid("fields", "one or more", 0);
    this.flexible = isFlexible(entries.at(-1)![1]);
    this.alignof = alignof;
    this.sizeof = Math.ceil(end / alignof) * alignof;
    if (this.sizeof >= limit) invalid(`field ${entries.at(-1)![0]}`, "within 2^32 - 1 bytes", end);
    define(this, { ...indicesOf(this.fields) });
    const Part = partOf(this.fields);
    this.$new = (place, offset) => new Part(place, offset);
    const mask = alignof - 1;
    this.#Cursor = class extends Part {
      move(address: number): this {
        const place = this.$place;
        if (!Number.isInteger(address) || address <= 0 || address > place.last || address & mask)
          recheck(place, mask + 1, address);
        place.address = address | 0;
        return this;
      }
    };
  }

  offsetof(field: string, ...[index]: [index?: number]): number {
    const found = this.fields.find(({ name }) => name === field);
    if (!found) invalid("field", `one of ${this.fields.map((each) => each.name)}`, field);
    const { type, offset } = found;
    if (index === undefined) return offset;
    if (!isArray(type)) invalid(`field ${field}`, "an array to be indexed", index);
    const max = type.length ?? Math.floor((limit - 1 - offset) / type.element.sizeof);
    if (!(isUint32(index) && index <= max)) invalid(`index of field ${field}`, `an integer from 0 to ${max}`, index);
    return offset + type.element.sizeof * index;
  }

  at(heap: HasViews, address: number, ...length: [length?: number]): Cursor<StructType<F>> {
    return this.cursor(heap, ...length).move(address);
  }

  cursor(heap: HasViews, ...[length]: [length?: number]): Cursor<StructType<F>> {
    if (!heap?.views) invalid("heap", "a heap or { views }", heap);
    if (length !== undefined && !(this.flexible && isUint32(length) && this.extent(length) < limit)) {
      invalid("length", "how many elements the flexible array at the end has", length);
    }
    const place = new Place(heap.views.memory, this.extent(length ?? 0), length);
    heap.views.guard?.(place);
    return new this.#Cursor(place, 0) as unknown as Cursor<StructType<F>>;
  }

  extent(length: number): number {
    const { type, offset } = this.fields.at(-1)!;
    return this.flexible ? offset + (type as unknown as Composite).extent(length) : this.sizeof;
  }
}

/** The class of the views of a struct that has these fields. */
function partOf(fields: readonly Field[]): PartClass {
  const own = fields.map(({ type, offset }): ((place: Place, from: number) => PropertyDescriptor) => {
    if (isScalar(type)) {
      const access: PropertyDescriptor = { ...type.$at(offset), enumerable: true };
      return () => access;
    }
    return (place, from) => ({
      value: (type as unknown as Composite).$new(place, from + offset),
      // Code that compares or prints a cursor would walk all memory.
      enumerable: !(type.name === "flexible" && place.count === undefined),
    });
  });
  return class extends View {
    constructor(place: Place, offset: number) {
      super(place, offset);
      for (let i = 0; i < own.length; i++) Object.defineProperty(this, fields[i]!.name, own[i]!(place, offset));
      Object.preventExtensions(this);
    }
  };
}

/* By what they have: they may be another realm's, or another copy's of this package. */
const isScalar = (type: FieldType): type is ScalarType<any> =>
  typeof (type as ScalarType<any> | undefined)?.$at === "function";
const isComposite = (type: unknown): boolean => typeof (type as Composite | undefined)?.$new === "function";
const isFieldType = (type: FieldType): boolean => isScalar(type) || isComposite(type);
const isArray = (type: FieldType): type is ArrayType => isComposite(type) && "element" in type;
const isFlexible = (type: FieldType): boolean => isComposite(type) && (type as unknown as Composite).flexible;

/** Checks types here, and not where they are made, to name the field. */
function checkType(name: string, type: FieldType, mayFlex: boolean): void {
  const what = `field ${name}`;
  if (isArray(type)) {
    const { length, element } = type;
    if (length !== undefined && !(isUint32(length) && length))
      invalid(`length of ${what}`, "a positive integer", length);
    checkType(name, element, false);
  } else if (!isFieldType(type)) {
    invalid(`type of ${what}`, "a scalar, as f32, or a struct(), array() or pointer()", type);
  }
  if (isFlexible(type) && !mayFlex) invalid(`${what} is flexible: it`, "last, not first and in no array", type.name);
}

/**
 * Lays out a C struct. Costs some microseconds a field.
 *
 * @throws `ERR_INVALID_ARGUMENT`, naming the field, for: no fields; an unknown type; an array length that is no positive
 * integer; a flexible array that is not last, is in an array or is alone; a struct of 2^32 bytes or more; and the names
 * `address`, `move`, `toJSON`, those that begin with `$` and those of digits only.
 * @example
 * const R1Bio = struct({ sector: u64, remaining: i32, state: u32, masterBio: pointer(Bio), bios: flexible(pointer(Bio)) });
 * R1Bio.offsetof("bios", 2); // 28
 * const bio = R1Bio.cursor(heap, 2);
 * bio.move(at).sector = 8n;
 * bio.bios.set(1, other);
 */
export function struct<F extends Fields>(fields: F): StructType<F> {
  return new StructLayout(fields);
}

/**
 * A field of n elements, one after the other: scalars, pointers, structs or arrays.
 *
 * @example
 * struct({ matrix: array(array(f32, 4), 4) });
 */
export function array<E extends FieldType>(type: E, n: number): ArrayType<E, number> {
  return new ArrayLayout("array", type, n ?? NaN);
}

/**
 * A flexible array member, `type name[]` in C: the last field only, with as many elements as memory was taken for.
 *
 * @example
 * const List = struct({ n: u32, items: flexible(u32) });
 * const lists = heap.create({ size: () => List.offsetof("items", 8), minNr: 16 });
 */
export function flexible<E extends FieldType>(type: E): ArrayType<E, undefined> {
  return new ArrayLayout("flexible", type, undefined);
}

/**
 * An address.
 *
 * @param target What it points to, for readers: a struct type, or for one that is not yet defined `() => Type`.
 * @example
 * const List = struct({ value: i32, next: pointer(() => List) });
 */
export function pointer(target?: StructType | (() => void)): Pointer {
  return new PointerType(target);
}
