// `struct()` definitions as declarations in C, Rust, Zig and AssemblyScript, each with asserts that its compiler checks. They
// are for wasm32: a pointer has 4 bytes.

/** What is wrong with the definitions: a message for people. */
export class DeclarationError extends Error {}

/** By what it has: the struct may be another copy's of this package. */
export const isStruct = (value) => value?.name === "struct" && Array.isArray(value.fields) && value.sizeof > 0;
const isArray = (type) => type.name === "array" || type.name === "flexible";
const align = (offset, to) => Math.ceil(offset / to) * to;

const keywords = {
  c: "alignas alignof auto bool break case char class const constexpr continue default delete do double else enum extern false float for goto if inline int long namespace new nullptr operator private protected public register restrict return short signed sizeof static static_assert struct switch template this thread_local throw true typedef typename typeof union unsigned using virtual void volatile while",
  rust: "abstract as async await become box break const continue do dyn else enum extern false final fn for gen if impl in let loop macro match mod move mut override priv pub ref return static struct trait true try type typeof unsafe unsized use virtual where while yield",
  zig: "addrspace align allowzero and anyframe anytype asm async await bool break callconv catch comptime const continue defer else enum errdefer error export extern fn for if inline linksection noalias noinline nosuspend opaque or orelse packed pub resume return struct suspend switch test threadlocal try type undefined union unreachable usingnamespace var void volatile while",
  assemblyscript:
    "abstract any as async await bool boolean break case catch class const constructor continue debugger declare default delete do else enum export extends false finally for function get if implements import in instanceof interface is let module namespace new null of package private protected public readonly return set static string super switch symbol this throw true try type typeof var void while with yield",
};
const isKeyword = Object.fromEntries(Object.entries(keywords).map(([key, words]) => [key, new Set(words.split(" "))]));
/** Rust has no raw form of these. */
const notRaw = new Set(["self", "Self", "super", "crate", "_"]);

const escapes = {
  c: (name) => (isKeyword.c.has(name) ? `${name}_` : name),
  rust: (name) => (notRaw.has(name) ? `${name}_` : isKeyword.rust.has(name) ? `r#${name}` : name),
  zig: (name) => (isKeyword.zig.has(name) || /^[ui]\d+$|^f\d+$/.test(name) ? `@"${name}"` : name),
  assemblyscript: (name) => (isKeyword.assemblyscript.has(name) ? `${name}_` : name),
};

/** All structs with a name for each: the exported ones, and those that they contain or point to; what a struct contains comes before it. */
function collect(exported) {
  const names = new Map();
  for (const [name, type] of Object.entries(exported)) {
    if (!isStruct(type) || names.has(type)) continue;
    if (name === "default")
      throw new DeclarationError("the default export is a struct without a name: export it by name");
    names.set(type, name);
  }
  if (names.size === 0) throw new DeclarationError("exports no struct()");
  const ordered = [];
  const seen = new Set();
  function visit(type) {
    if (seen.has(type)) return;
    seen.add(type);
    const pointed = [];
    for (const field of type.fields) {
      if (!/^[A-Za-z_]\w*$/.test(field.name)) {
        throw new DeclarationError(
          `${names.get(type)}: field ${JSON.stringify(field.name)} is no name in these languages`,
        );
      }
      let inner = field.type;
      while (isArray(inner)) inner = inner.element;
      const target = inner.name === "pointer" ? inner.target : inner;
      if (!isStruct(target)) continue;
      if (!names.has(target)) names.set(target, nameFor(names, `${names.get(type)}_${field.name}`));
      if (target === inner) visit(target);
      else pointed.push(target);
    }
    ordered.push(type);
    pointed.forEach(visit);
  }
  for (const type of names.keys()) visit(type);
  return { names, ordered };
}

function nameFor(names, wanted) {
  const taken = new Set(names.values());
  let name = wanted;
  for (let n = 2; taken.has(name); n++) name = `${wanted}${n}`;
  return name;
}

const note = (file, comment) =>
  `${comment} Written by \`wasm-mempool structs ${file}\`: change the struct()s there, and run that again.\n`;

// ------------------------------------------------------------------------------------------------------------------ C

const cTypes = {
  i8: "int8_t",
  u8: "uint8_t",
  i16: "int16_t",
  u16: "uint16_t",
  i32: "int32_t",
  u32: "uint32_t",
  i64: "int64_t",
  u64: "uint64_t",
  f32: "float",
  f64: "double",
  bool: "bool",
};

function toC(file, { names, ordered }) {
  const fieldOf = (type, name) => {
    let [inner, lengths] = [type, ""];
    for (; isArray(inner); inner = inner.element) lengths += `[${inner.length ?? ""}]`;
    if (inner.name !== "pointer") return `${cTypes[inner.name] ?? escapes.c(names.get(inner))} ${name}${lengths}`;
    return `${inner.target ? escapes.c(names.get(inner.target)) : "void"} *${name}${lengths}`;
  };
  const lines = [
    note(file, "//"),
    "#pragma once",
    "#include <stdbool.h>",
    "#include <stddef.h>",
    "#include <stdint.h>",
    "",
  ];
  const assert = "WASM_MEMPOOL_ASSERT";
  lines.push(
    "#ifdef __cplusplus",
    `#define ${assert} static_assert`,
    "#else",
    `#define ${assert} _Static_assert`,
    "#endif",
    "",
  );
  for (const type of ordered) lines.push(`typedef struct ${escapes.c(names.get(type))} ${escapes.c(names.get(type))};`);
  for (const type of ordered) {
    const name = escapes.c(names.get(type));
    lines.push("", `struct ${name} {`);
    for (const field of type.fields) lines.push(`  ${fieldOf(field.type, escapes.c(field.name))};`);
    lines.push("};", `${assert}(sizeof(${name}) == ${type.sizeof}, "size of ${name}");`);
    for (const field of type.fields) {
      const own = escapes.c(field.name);
      lines.push(`${assert}(offsetof(${name}, ${own}) == ${field.offset}, "${name}.${own}");`);
    }
  }
  lines.push("", `#undef ${assert}`, "");
  return lines.join("\n");
}

// --------------------------------------------------------------------------------------------------------------- Rust

function toRust(file, { names, ordered }) {
  const typeOf = (type) => {
    if (isArray(type)) return `[${typeOf(type.element)}; ${type.length ?? 0}]`;
    if (type.name === "pointer")
      return `*mut ${type.target ? escapes.rust(names.get(type.target)) : "core::ffi::c_void"}`;
    return isStruct(type) ? escapes.rust(names.get(type)) : type.name;
  };
  const lines = [note(file, "//")];
  for (const type of ordered) {
    const name = escapes.rust(names.get(type));
    lines.push(
      "#[repr(C)]",
      "#[derive(Clone, Copy)]",
      "#[allow(non_camel_case_types, non_snake_case)]",
      `pub struct ${name} {`,
    );
    for (const field of type.fields) lines.push(`    pub ${escapes.rust(field.name)}: ${typeOf(field.type)},`);
    lines.push("}", "const _: () = {", `    assert!(core::mem::size_of::<${name}>() == ${type.sizeof});`);
    lines.push(`    assert!(core::mem::align_of::<${name}>() == ${type.alignof});`);
    for (const field of type.fields) {
      lines.push(`    assert!(core::mem::offset_of!(${name}, ${escapes.rust(field.name)}) == ${field.offset});`);
    }
    lines.push("};", "");
  }
  return lines.join("\n");
}

// ---------------------------------------------------------------------------------------------------------------- Zig

function toZig(file, { names, ordered }) {
  const typeOf = (type) => {
    if (isArray(type)) return `[${type.length ?? 0}]${typeOf(type.element)}`;
    if (type.name === "pointer") return `?*${type.target ? escapes.zig(names.get(type.target)) : "anyopaque"}`;
    return isStruct(type) ? escapes.zig(names.get(type)) : type.name;
  };
  const lines = [note(file, "//"), 'const assert = @import("std").debug.assert;', ""];
  for (const type of ordered) {
    const name = escapes.zig(names.get(type));
    lines.push(`pub const ${name} = extern struct {`);
    for (const field of type.fields) lines.push(`    ${escapes.zig(field.name)}: ${typeOf(field.type)},`);
    lines.push("};", "comptime {", `    assert(@sizeOf(${name}) == ${type.sizeof});`);
    lines.push(`    assert(@alignOf(${name}) == ${type.alignof});`);
    for (const field of type.fields) lines.push(`    assert(@offsetOf(${name}, "${field.name}") == ${field.offset});`);
    lines.push("}", "");
  }
  return lines.join("\n");
}

// ------------------------------------------------------------------------------------------------------ AssemblyScript

/**
 * A class of AssemblyScript holds no array and no other class within itself. So each class has accessors at offsets: of an
 * array's element one that takes its index, of a struct one that gives a reference into it.
 */
function toAssemblyScript(file, { names, ordered }) {
  const nameOf = (type) => escapes.assemblyscript(names.get(type));
  const lines = [note(file, "//")];
  for (const type of ordered) {
    lines.push("@unmanaged", `export class ${nameOf(type)} {`);
    lines.push(`  @inline static readonly SIZE: usize = ${type.sizeof};`);
    const asserts = [];
    let end = 0;
    for (const { name, type: whole, offset, size } of type.fields) {
      // An offset that is not the next one would be a fault of this file.
      if (align(end, whole.alignof) !== offset)
        throw new DeclarationError(`${names.get(type)}.${name} is at ${offset}`);
      end = offset + size;
      let [inner, indices, at] = [whole, [], `changetype<usize>(this) + ${offset}`];
      for (; isArray(inner); inner = inner.element) {
        indices.push(`i${indices.length}: usize`);
        at += ` + i${indices.length - 1} * ${inner.element.sizeof}`;
      }
      const own = escapes.assemblyscript(name);
      const args = indices.join(", ");
      if (isStruct(inner)) {
        lines.push(
          `  @inline ${args ? own : `get ${own}`}(${args}): ${nameOf(inner)} { return changetype<${nameOf(inner)}>(${at}); }`,
        );
        continue;
      }
      const scalar = inner.name === "pointer" ? "usize" : inner.name;
      lines.push(`  @inline ${args ? own : `get ${own}`}(${args}): ${scalar} { return load<${scalar}>(${at}); }`);
      const set = args ? `set_${name}(${args}, value: ${scalar}): void` : `set ${own}(value: ${scalar})`;
      lines.push(`  @inline ${set} { store<${scalar}>(${at}, value); }`);
      asserts.push(`if (sizeof<${scalar}>() != ${inner.sizeof}) ERROR("size of ${names.get(type)}.${name}");`);
      asserts.push(`if (${offset} % sizeof<${scalar}>() != 0) ERROR("alignment of ${names.get(type)}.${name}");`);
      if (size > 0)
        asserts.push(`if (<usize>${end} > ${nameOf(type)}.SIZE) ERROR("${names.get(type)}.${name} is outside");`);
    }
    lines.push("}", ...asserts, "");
  }
  return lines.join("\n");
}

/** What writes a language, and how its files end. */
export const languages = {
  c: { write: toC, suffix: ".h" },
  rust: { write: toRust, suffix: ".rs" },
  zig: { write: toZig, suffix: ".zig" },
  assemblyscript: { write: toAssemblyScript, suffix: ".as.ts" },
};

/** The structs of a module, `exported` by name, in a language. `file` is named in the first line. */
export const declare = (language, exported, file) => languages[language].write(file, collect(exported));
