import type { WasmMemory } from "./types.ts";

/**
 * Typed views over one linear memory.
 *
 * A call of `memory.grow`, by any code, gives a memory a new buffer. The views of a plain memory's old buffer are detached
 * (length 0); those of a shared memory keep their old length. In both cases an index into the grown part is not below
 * `length`: so the test `index < view.length` also finds a stale view, and `refresh()` then renews the views.
 */
export class Views {
  readonly memory: WasmMemory;
  /** @internal A debug heap's: has a cursor's place check each access. */
  declare guard?: (place: Views) => void;
  i8!: Int8Array;
  u8!: Uint8Array;
  i16!: Int16Array;
  u16!: Uint16Array;
  i32!: Int32Array;
  u32!: Uint32Array;
  f32!: Float32Array;
  f64!: Float64Array;
  i64!: BigInt64Array;
  u64!: BigUint64Array;

  constructor(memory: WasmMemory) {
    this.memory = memory;
    this.refresh();
  }

  /** A view that shows `count` words at `address`, without a look at the memory's buffer, which costs as much as a call of the core. */
  words(address: number, count: number): Uint32Array {
    return (address >>> 2) + count <= this.u32.length ? this.u32 : this.refresh().u32;
  }

  /** Renews every view if the memory has another buffer now. Returns this. */
  refresh(): this {
    const { buffer } = this.memory;
    if (this.u8?.buffer !== buffer) {
      this.i8 = new Int8Array(buffer);
      this.u8 = new Uint8Array(buffer);
      this.i16 = new Int16Array(buffer);
      this.u16 = new Uint16Array(buffer);
      this.i32 = new Int32Array(buffer);
      this.u32 = new Uint32Array(buffer);
      this.f32 = new Float32Array(buffer);
      this.f64 = new Float64Array(buffer);
      this.i64 = new BigInt64Array(buffer);
      this.u64 = new BigUint64Array(buffer);
    }
    return this;
  }
}

/** The shortest array that a move copies faster than a loop. */
const LEAST = 16;
/** A prime, for sizes are often powers of two. */
const KEPT = 29;

/**
 * A function that gives a view of so many words at an address, to pass an array by one move of memory; or undefined: then
 * copy by a loop. It keeps the first view for each remainder of the length, so no call makes an object, until the memory grows.
 */
export function wordViews(memory: WasmMemory): (address: number, length: number) => Uint32Array | undefined {
  const views: Uint32Array[] = [];
  // Kept beside them, as `byteOffset` costs as much as a call of the core in Node 20.
  const addresses: number[] = [];
  let last: Uint32Array = new Uint32Array(0);
  let lastAddress = 0;
  return (address, length) => {
    if (length < LEAST) return undefined;
    if (last.length === length && lastAddress === address) return last;
    const slot = length % KEPT;
    if (!views[slot]?.length) {
      views[slot] = new Uint32Array(memory.buffer, address, length);
      addresses[slot] = address;
    }
    const view = views[slot]!;
    if (view.length !== length || addresses[slot] !== address) return undefined;
    last = view;
    lastAddress = address;
    return view;
  };
}
