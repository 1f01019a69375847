/** Scalars: for each, how a view reads and writes it. Written out per scalar, so that each sees one kind of typed array. */
import type { View } from "./place.ts";
import type { FieldValue, Scalar, ScalarName } from "./types.ts";

/** A field's accessor. */
type Access<V> = { get(): V; set(value: V): void } & ThisType<View>;

/** A scalar, and the accessor of a field so many bytes from the start of its view. */
export class ScalarType<Name extends ScalarName> implements Scalar<Name> {
  readonly name: Name;
  readonly sizeof: number;
  readonly alignof: number;
  readonly $at: (offset: number) => Access<FieldValue<Scalar<Name>>>;

  constructor(name: Name, size: number, at: ScalarType<Name>["$at"]) {
    this.name = name;
    this.sizeof = this.alignof = size;
    this.$at = at;
  }
}

/** An 8-bit signed integer. */
export const i8: Scalar<"i8"> = /* @__PURE__ */ new ScalarType("i8", 1, (offset) => ({
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
export const u8: Scalar<"u8"> = /* @__PURE__ */ new ScalarType("u8", 1, (offset) => ({
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
export const i16: Scalar<"i16"> = /* @__PURE__ */ new ScalarType("i16", 2, (offset) => ({
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
export const u16: Scalar<"u16"> = /* @__PURE__ */ new ScalarType("u16", 2, (offset) => ({
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
export const i32: Scalar<"i32"> = /* @__PURE__ */ new ScalarType("i32", 4, (offset) => ({
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
export const u32: Scalar<"u32"> = /* @__PURE__ */ new ScalarType("u32", 4, (offset) => ({
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
export const i64: Scalar<"i64"> = /* @__PURE__ */ new ScalarType("i64", 8, (offset) => ({
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
export const u64: Scalar<"u64"> = /* @__PURE__ */ new ScalarType("u64", 8, (offset) => ({
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
export const f32: Scalar<"f32"> = /* @__PURE__ */ new ScalarType("f32", 4, (offset) => ({
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
export const f64: Scalar<"f64"> = /* @__PURE__ */ new ScalarType("f64", 8, (offset) => ({
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
export const bool: Scalar<"bool"> = /* @__PURE__ */ new ScalarType("bool", 1, (offset) => ({
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
