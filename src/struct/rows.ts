/** Arrays in memory, fixed and flexible: views whose `$offset` slides to the element that is read or written. */
import { define, inspect, uncloneable } from "../core/objects.ts";
import { isUint32 } from "../core/validate.ts";
import { invalid, plainOf, View, type MakeView, type Place } from "./place.ts";

/** The most index accessors there are: for arrays whose length is known, and for those where it is not. */
const indexable = 65536;
const indexableOpen = 1024;

/** The enumerable property of an array: without one, its structured clone would be an empty object, without an error. */
const opaque = /* @__PURE__ */ uncloneable("array of a cursor: clone what toJSON() gives");

/** All arrays. `$seek` slides `$offset` to an element, which the accessor `$item` of its type reads or writes. */
class Rows extends View {
  /** The first element's offset. */
  declare readonly $first: number;
  /** Elements. */
  declare readonly $count: number;
  /** Bytes in one. */
  declare readonly $stride: number;
  declare $item: unknown;

  constructor(place: Place, offset: number, stride: number, count: number | undefined) {
    super(place, offset);
    Object.defineProperty(this, "cannot_be_cloned", { value: opaque, enumerable: true });
    define(this, { $first: offset, $count: count ?? 0, $stride: stride });
    growIndex(Math.min(count ?? indexableOpen, indexable));
  }

  override get address(): number {
    return this.$place.address && (this.$place.address + this.$first) >>> 0;
  }

  get length(): number {
    return this.$count;
  }

  override [inspect](): object {
    return this.address ? { length: this.length } : super[inspect]();
  }

  override toJSON(): unknown {
    return Array.from(this, plainOf);
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

/** Gives Rows accessors for the indices below count. All arrays share them. */
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

/** An array's element: its size, and the accessor of a scalar or the maker of a view. */
export interface RowElement {
  readonly sizeof: number;
  readonly $at?: (offset: number) => PropertyDescriptor;
  readonly $new?: MakeView;
}

/** The maker of the views of a fixed array, or of a flexible one whose length is the cursor's. */
export function rowsOf(element: RowElement, length: number | undefined): MakeView {
  const Row = rowClass(element, length);
  return (place, offset) => new Row(place, offset);
}

/** The maker of the views of a flexible array of unknown length, which ends with the memory. */
export function openRowsOf(element: RowElement): MakeView {
  const Row = class extends rowClass(element, undefined) {
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
  return (place, offset) => new Row(place, offset);
}

function rowClass(element: RowElement, length: number | undefined) {
  class Row extends Rows {
    /** The elements that are structs or arrays, as far as they were asked for. */
    declare readonly $made: View[];

    constructor(place: Place, offset: number) {
      super(place, offset, element.sizeof, length ?? place.count);
      define(this, { $made: [] });
      Object.preventExtensions(this);
    }
  }
  const made: PropertyDescriptor & ThisType<Row> = {
    get() {
      const { $made, $offset, $first, $stride } = this;
      return ($made[($offset - $first) / $stride] ??= element.$new!(this.$place, $offset));
    },
  };
  Object.defineProperty(Row.prototype, "$item", element.$at ? element.$at(0) : made);
  return Row;
}
