/**
 * Where a cursor is, and the objects that show what is there.
 *
 * A cursor is a window on one struct that `move` slides over memory. Every object reached from it (nested structs,
 * arrays, their elements) holds the cursor's place and a constant offset: all of them follow when the cursor moves, no
 * two alias, each is made once and kept, and nothing is allocated after that.
 *
 *     cursor ---------> Place <--------- cursor.pos
 *     $offset 0         address          $offset 8
 *                       i8 ... u64       x: f32[(address + 8 + 0) >>> 2]
 *
 * Correctness:
 * - `move`, or the bounds of an array, has checked that whatever is reachable lies in memory. Arithmetic on addresses is
 *   modulo 2^32, and the check is why it cannot wrap;
 * - growth detaches a plain memory's typed arrays, whose length is then 0: each access tests that, and makes its array
 *   anew. A shared memory's arrays stay good for what was reachable; more becomes reachable only in `look`, which makes
 *   all of them anew;
 * - a cursor on no struct has arrays of length 0 as well, and a memory that throws when it is asked for its buffer. So
 *   that same test finds it, and costs nothing more;
 * - views are not extensible: a misspelt field and an index too high throw instead of making a property.
 *
 * Speed (V8; measurement found each, and `npm run bench -- struct` shows a loss):
 * - one class of views per type, with an accessor per scalar field, a closure over its offset: once inlined, an access
 *   is an index into a typed array. Accessors are the view's own, enumerable properties, so that a cursor spreads,
 *   compares and clones as its fields do; all views of a type share one pair, so that they have one shape. State is not
 *   enumerable;
 * - the place has one shape whatever the struct. Views have many shapes: accessors read all they need of `this` before
 *   any branch, because the engine forgets the shape at the next join;
 * - accessors are short, and their rare branches call none of our functions: V8 inlines 920 bytes of bytecode into a
 *   function, of which an accessor takes 75, and it would inline the rare branches as well;
 * - hot functions use no bindings of a module: bundlers make them `var`, which are loaded and compared each time;
 * - fields are declared, not defined: defined ones start as undefined, and the engine never again knows that they are
 *   integers.
 */
import { MempoolError } from "../core/errors.ts";
import { Views } from "../core/views.ts";
import { inspect } from "../core/objects.ts";
import { isUint32 } from "../core/validate.ts";
import type { WasmMemory } from "../core/types.ts";

export function invalid(what: string, must: string, value: unknown, why = ""): never {
  const got = typeof value === "string" ? JSON.stringify(value) : value === Object(value) ? "an object" : String(value);
  throw new MempoolError("ERR_INVALID_ARGUMENT", `${what} must be ${must}, got ${got}${why}`);
}

/** The memory of a cursor that is on no struct. */
const nowhere = {
  get buffer(): never {
    throw new MempoolError("ERR_INVALID_ARGUMENT", "the cursor is on no struct yet: move it to an address first");
  },
} as unknown as WasmMemory;

/** The place of a cursor, which all views reached from it share. */
export class Place extends Views {
  /** `home`; `nowhere` while the cursor is on no struct. */
  declare memory: WasmMemory;
  /** The memory that the cursor is made for. */
  declare readonly home: WasmMemory;
  /** The address as an int32, which is a small integer to the engine wherever it is in memory. 0 is no struct. */
  address = 0;
  /** The bytes from the address on that must be in memory. */
  declare readonly size: number;
  /** The last address that is known to have so many; -1 before the first `move`. Memory grows, but never shrinks. */
  last = -1;
  /** Elements in the flexible array, if the maker of the cursor gave a length. */
  declare readonly count: number | undefined;

  constructor(home: WasmMemory, size: number, count: number | undefined) {
    super({ buffer: new ArrayBuffer(0) } as WasmMemory);
    this.memory = nowhere;
    this.home = home;
    this.size = size;
    this.count = count;
  }

  /** Finds out how much memory there is now. Returns `last`. */
  look(): number {
    return (this.last = this.refresh().u8.length - this.size);
  }
}

function check(place: Place, alignof: number, address: unknown): void {
  const last = place.home.buffer.byteLength - place.size;
  if (!isUint32(address) || !address || address % alignof || address > last) {
    // The commonest mistake: an alloc that found no memory.
    const why = address === 0 ? " (alloc gives 0 when memory is out)" : "";
    invalid("address", `a multiple of ${alignof} from ${alignof} to ${last}`, address, why);
  }
  place.memory = place.home;
  place.look();
}

/**
 * The rare half of `move`: this is the first one, or the memory has grown, or the address is wrong. V8 inlines no call
 * through a proxy: inlined into a loop, this half would take the place of the accessors there.
 */
export const recheck = /* @__PURE__ */ new Proxy(check, {});

/** A cursor, or an object reached from one. */
export class View {
  declare readonly $place: Place;
  declare $offset: number;

  constructor(place: Place, offset: number) {
    Object.defineProperty(this, "$place", { value: place });
    Object.defineProperty(this, "$offset", { value: offset, writable: true });
  }

  get address(): number {
    return this.$place.address && (this.$place.address + this.$offset) >>> 0;
  }

  /** What Node's console shows: the fields, not the memory behind them. */
  [inspect](): object {
    return this.address ? { ...this } : { address: 0 };
  }

  /** What JSON.stringify gets: the fields; 64-bit integers as strings, because JSON has none. */
  toJSON(): unknown {
    const plain = {};
    for (const name of Object.keys(this)) {
      // Not an assignment, which throws for a field named toString where Object.prototype is frozen.
      Object.defineProperty(plain, name, { value: plainOf((this as Record<string, unknown>)[name]), enumerable: true });
    }
    return plain;
  }
}

/** A field's value as JSON has it. */
export const plainOf = (value: unknown): unknown =>
  typeof value === "bigint" ? String(value) : typeof value === "object" ? (value as View).toJSON() : value;

/** Makes the view of a type's value, so many bytes from the place. */
export type MakeView = (place: Place, offset: number) => View;
