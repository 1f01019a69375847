/** The field indices of a struct type: constants, made once and frozen, so that engines fold them. */
import type { ArrayType, Field, FieldType, StructType, ViewName } from "./types.ts";

const views = ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"] as const;

type Tables = { readonly [V in ViewName]: object };

/** The indices of such fields, by view. */
export function indicesOf(fields: readonly Field[]): Tables {
  return Object.fromEntries(views.map((view) => [view, table(fields, 0, view)])) as Tables;
}

function table(fields: readonly Field[], start: number, view: ViewName): object {
  const entries = fields.map(({ name, type, offset }) => [name, entry(type, start + offset, view)] as const);
  return Object.freeze(Object.fromEntries(entries.filter(([, index]) => index !== undefined)));
}

/** The index of a scalar at an offset, or the indices in an array or struct there; undefined if the view holds none. */
function entry(type: FieldType, offset: number, view: ViewName): number | object | undefined {
  const { name } = type;
  if (name === "struct") {
    const inner = table((type as StructType).fields, offset, view);
    return Object.keys(inner).length ? inner : undefined;
  }
  if (name === "array" || name === "flexible") {
    const { element } = type as ArrayType;
    const first = entry(element, offset, view);
    // Of an array of arrays of structs, the stride is that of the structs.
    return typeof first === "object" ? Object.freeze({ $stride: element.sizeof / bytes(view), ...first }) : first;
  }
  const holds = name === "bool" ? "u8" : name === "pointer" ? "u32" : name;
  return holds === view ? offset / type.sizeof : undefined;
}

const bytes = (view: ViewName): number => Number(view.slice(1)) / 8;
