/** Structs: C layouts, cursors that read and write them in linear memory, and the indices of their fields. */
export { array, flexible, pointer, struct } from "./layout.ts";
export { bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from "./scalars.ts";
export type {
  AddressOf,
  ArrayType,
  ArrayView,
  Cursor,
  ElementAddress,
  Elements,
  Field,
  Fields,
  FieldType,
  FieldValue,
  HasViews,
  Indices,
  Pointer,
  Ptr,
  PtrArray,
  Scalar,
  ScalarName,
  Struct,
  StructType,
  ViewName,
} from "./types.ts";
