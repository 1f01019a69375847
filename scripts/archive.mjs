// Archives for linkers: a module of the core as a relocatable object, and what it needs of the program it is linked into.
//
// The formats are those of LLVM: an object is a wasm module with the custom sections "linking" and "reloc.*" (the tool
// conventions' Linking.md, version 2); an archive is ar's, with the table of symbols that linkers search. wabt writes the
// relocations of compiled code. The few functions below that name data of the program are written here, since the text
// format has no words for data symbols.
import wabtModule from "wabt";

const wabt = await wabtModule();

const features = {
  threads: true,
  bulk_memory: true,
  mutable_globals: true,
  sat_float_to_int: true,
  sign_extension: true,
};

/* ------------------------------------------------------------------------------------------------ bytes of a module */

const uleb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...uleb(n >>> 7)]);
/** Five bytes, for a number that the linker fills in. */
const padded = () => [0x80, 0x80, 0x80, 0x80, 0x00];
const name = (text) => [...uleb(Buffer.byteLength(text)), ...Buffer.from(text)];
const vector = (items) => [...uleb(items.length), ...items.flat()];
const sized = (bytes) => [...uleb(bytes.length), ...bytes];
const section = (id, bytes) => [id, ...sized(bytes)];
const custom = (title, bytes) => section(0, [...name(title), ...bytes]);
const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/**
 * What an object's code may use, as the linker compares it with that of other objects. It refuses one that is not for threads
 * in a program with shared memory.
 */
const targetFeatures = (isShared) => {
  const [USED, DISALLOWED] = [0x2b, 0x2d];
  const used = ["bulk-memory", "mutable-globals", ...(isShared ? ["atomics", "nontrapping-fptoint"] : [])];
  const all = used.map((feature) => [USED].concat(name(feature)));
  return custom("target_features", vector(isShared ? all : [...all, [DISALLOWED].concat(name("shared-mem"))]));
};

/* ------------------------------------------------------------------------------------------------------ objects */

/** A compiled module as an object: its exports are its symbols, and `aliases` names more for some, as [alias, export]. */
function objectOf(bytes, isShared, aliases) {
  const compiled = wabt.readWasm(bytes, features);
  compiled.generateNames();
  compiled.applyNames();
  let text = compiled.toText({ foldExprs: false, inlineExport: false });
  const functions = new Map();
  // The last export closes the module.
  text = text.replace(/^  \(export "(\w+)" \((\w+) \$([\w.]+)\)\)(\)?)\n/gm, (_line, exported, kind, own, end) => {
    if (kind === "func") functions.set(exported, own);
    return end;
  });
  text = text.replace('(import "env" "memory"', '(import "env" "__linear_memory"').trimEnd().replace(/\)$/, "");
  for (const [alias, exported] of [...aliases, ...functions]) {
    const own = functions.get(exported);
    // wabt has named the function after its first export.
    if (own === undefined || alias === own) continue;
    const [, params = "", result = ""] = new RegExp(
      `\\(func \\$${own} \\(type \\$\\w+\\)((?: \\(param [^)]*\\))*)( \\(result \\w+\\))?`,
    ).exec(text);
    const gets = [...params.matchAll(/\$\w+/g)].map(([param]) => `local.get ${param}`);
    text += `\n  (func $${alias}${params}${result} ${gets.join(" ")} call $${own})`;
  }
  compiled.destroy();
  for (const symbol of Object.keys(overridable)) {
    if (functions.has(symbol))
      text = text.replaceAll(new RegExp(`\\$${symbol}\\b`, "g"), `$${overridable[symbol].inside}`);
  }
  const symbols = [...functions.keys(), ...aliases.map(([alias]) => alias)];
  const own = symbols.map((each) => overridable[each]?.inside ?? each);
  return { bytes: textObject(`${text})`, own, isShared), symbols: own };
}

/** A module in the text format as an object: of its names the `symbols` are for other objects. */
function textObject(text, symbols, isShared, binding = 0) {
  const module = wabt.parseWat("object.wat", text, features);
  const { buffer } = module.toBinary({ relocatable: true, canonicalize_lebs: false });
  module.destroy();
  return Buffer.from([...hide(buffer, new Set(symbols), binding), ...targetFeatures(isShared)]);
}

/**
 * An object whose symbols are hidden, so that a program which exports all of its own does not export, and keep, these; those
 * that are not for other objects are local, so that a program may use their names. `binding`: WEAK or 0.
 */
function hide(object, symbols, binding) {
  const bytes = Buffer.from(object);
  let at = HEADER.length;
  const number = () => {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = bytes[at++];
      value |= (byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    return value;
  };
  const text = () => {
    const length = number();
    at += length;
    return bytes.toString("utf8", at - length, at);
  };
  for (let end; at < bytes.length; at = end) {
    const id = bytes[at++];
    end = number() + at;
    if (id !== 0 || text() !== "linking") continue;
    if (number() !== 2 || bytes[at++] !== SYMBOL_TABLE) throw new Error("the object does not begin with its symbols");
    number();
    for (let count = number(); count > 0; count--) {
      const kind = bytes[at++];
      const flagsAt = at;
      const flags = number();
      if (kind === DATA || kind === SECTION) throw new Error("an object of the text format has no such symbols");
      number();
      if (flags & UNDEFINED && !(flags & EXPLICIT_NAME)) continue;
      const symbol = text();
      if (!(flags & UNDEFINED)) bytes[flagsAt] = flags | (symbols.has(symbol) ? HIDDEN | binding : LOCAL);
    }
    return bytes;
  }
  throw new Error("the object has no symbols");
}

/**
 * What a program may define itself: a member of its own, which the linker then leaves out, and weak, so that it may even if
 * the whole archive is linked. `inside`: the core's function.
 */
const overridable = {
  cabi_realloc: {
    inside: "wasm_mempool_cabi_realloc",
    text: `(module
      (import "env" "wasm_mempool_cabi_realloc" (func $inside (param i32 i32 i32 i32) (result i32)))
      (func $cabi_realloc (param i32 i32 i32 i32) (result i32)
        local.get 0 local.get 1 local.get 2 local.get 3 call $inside))`,
  },
  wasm_mempool_grown: { text: "(module (func $wasm_mempool_grown))" },
  wasm_mempool_bad_free: { text: "(module (func $wasm_mempool_bad_free (param i32 i32) unreachable))" },
};

const I32 = 0x7f;
/* Flags of symbols: https://github.com/WebAssembly/tool-conventions, Linking.md. */
const [WEAK, LOCAL, HIDDEN, UNDEFINED, EXPLICIT_NAME] = [0x01, 0x02, 0x04, 0x10, 0x40];
const [FUNCTION, DATA, SECTION] = [0, 1, 3];
const SYMBOL_TABLE = 8;

/**
 * An object with one function, which returns the address of a data symbol: the program's, or if `bytes` is given, a new one of
 * so many zeros.
 */
function addressObject(symbol, isShared, data, bytes) {
  const type = [0x60, 0, 1, I32];
  // i32.const, with an address that the linker fills in.
  const body = [0, 0x41, ...padded(), 0x0b];
  const code = [1, ...sized(body)];
  const own = [FUNCTION, HIDDEN, 0, ...name(symbol)];
  const word = [DATA, bytes ? HIDDEN : UNDEFINED, ...name(data), ...(bytes ? [0, 0, bytes] : [])];
  // One relocation in the code section, by its number: of type 4, an address in i32.const, at byte 4 behind count, size, locals, opcode.
  const relocations = custom("reloc.CODE", [bytes ? 4 : 3, 1, 4, 4, 1, 0]);
  const segment = [5, ...sized(vector([[...name(`.bss.${data}`), 2, 0]]))];
  return {
    symbols: [symbol],
    bytes: Buffer.from([
      ...HEADER,
      ...section(1, vector([type])),
      ...section(2, vector([[...name("env"), ...name("__linear_memory"), 2, 0, 0]])),
      ...section(3, vector([[0]])),
      ...(bytes ? section(12, [1]) : []),
      ...section(10, code),
      ...(bytes ? section(11, vector([[0, 0x41, 0, 0x0b, ...sized(Array.from({ length: bytes }, () => 0))]])) : []),
      ...custom("linking", [2, ...(bytes ? segment : []), 8, ...sized(vector([own, word]))]),
      ...relocations,
      ...targetFeatures(isShared),
    ]),
  };
}

/** What C libraries call besides: with one of these undefined, wasi-libc's or emscripten's malloc would be linked, too. */
const libraryNames = [
  ["__libc_malloc", "malloc"],
  ["__libc_calloc", "calloc"],
  ["__libc_free", "free"],
  ["emscripten_builtin_malloc", "malloc"],
  ["emscripten_builtin_free", "free"],
  ["emscripten_builtin_memalign", "memalign"],
];

/** What the core asks for that has malloc: where the program's own data end, a word for its threads, and the overridable. */
const surroundings = (isShared) => [
  ["heap_base.o", addressObject("wasm_mempool_heap_base", isShared, "__heap_base")],
  ...(isShared ? [["heap_word.o", addressObject("wasm_mempool_heap_word", isShared, "wasm_mempool_word", 4)]] : []),
  ...Object.entries(overridable).map(([symbol, { text }], i) => [
    `own_${i}.o`,
    { symbols: [symbol], bytes: textObject(text, [symbol], isShared, WEAK) },
  ]),
];

/* ------------------------------------------------------------------------------------------------------ archives */

const field = (value, width) => String(value).padEnd(width);
/** A member's header: name, date, owner, group, mode and size, as text; always the same for the same bytes. */
const header = (title, size) =>
  Buffer.from(`${field(title, 16)}${field(0, 12)}${field(0, 6)}${field(0, 6)}${field(644, 8)}${field(size, 10)}\`\n`);
const even = (bytes) => (bytes.length % 2 ? Buffer.concat([bytes, Buffer.from("\n")]) : bytes);

/** An archive of [name, object] members. */
function archiveOf(members) {
  const MAGIC = Buffer.from("!<arch>\n");
  const names = members.flatMap(([, { symbols }]) => symbols);
  const strings = Buffer.from(names.map((symbol) => `${symbol}\0`).join(""));
  const tableSize = 4 + 4 * names.length + strings.length;
  let offset = MAGIC.length + 60 + tableSize + (tableSize % 2);
  const table = Buffer.alloc(4 + 4 * names.length);
  table.writeUInt32BE(names.length);
  let i = 0;
  const parts = [];
  for (const [title, { bytes, symbols }] of members) {
    for (const _ of symbols) table.writeUInt32BE(offset, 4 * ++i);
    const part = Buffer.concat([header(`${title}/`, bytes.length), even(bytes)]);
    parts.push(part);
    offset += part.length;
  }
  return Buffer.concat([MAGIC, header("/", tableSize), even(Buffer.concat([table, strings])), ...parts]);
}

/** The archive of a compiled module; with `surroundings` also of what a module asks for that has malloc. */
export function archive(bytes, { isShared, surroundings: hasMalloc }) {
  return archiveOf([
    ["core.o", objectOf(bytes, isShared, hasMalloc ? libraryNames : [])],
    ...(hasMalloc ? surroundings(isShared) : []),
  ]);
}
