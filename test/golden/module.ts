/** The interface of a wasm module, read from its disassembly without the function bodies. */
import { readFileSync } from "node:fs";
import wabt from "wabt";

/** The types of wabt do not know multi_memory. */
const features = { readDebugNames: false, threads: true, multi_memory: true };

export const built = (name: string): URL => new URL(`../../build/${name}.wasm`, import.meta.url);

export interface Signature {
  readonly params: readonly string[];
  readonly results: readonly string[];
}
export interface Module {
  readonly bytes: number;
  /** The number of the module's fields of each kind. */
  readonly fields: ReadonlyMap<string, number>;
  /** Exported functions. */
  readonly functions: ReadonlyMap<string, Signature>;
  /** Imports, exports, memories and globals, one a line. */
  readonly summary: string;
}

/** The parenthesised expressions directly inside the outermost one. */
function fieldsOf(text: string): string[] {
  const fields: string[] = [];
  let depth = 0;
  let from = 0;
  // Comments and strings may hold parentheses.
  for (const { 0: token, index } of text.matchAll(/;;.*|"(?:\\.|[^"\\])*"|[()]/g)) {
    if (token === "(" && ++depth === 2) from = index;
    else if (token === ")" && depth-- === 2) fields.push(text.slice(from, index + 1));
  }
  return fields;
}

const words = (text: string, part: string): string[] =>
  [...text.matchAll(new RegExp(`\\(${part}((?: \\w+)+)\\)`, "g"))].flatMap((found) => found[1]!.trim().split(" "));

/** Without wabt's numbers for nameless things. */
const unnumbered = (field: string): string => field.replaceAll(/ ?\(;\d+;\)/g, "").replaceAll(/\s+/g, " ");

export async function disassemble(name: string): Promise<Module> {
  // A copy: wabt takes the whole of the buffer that a small file's bytes are a part of.
  const binary = new Uint8Array(readFileSync(built(name)));
  const { readWasm } = await wabt();
  const module = readWasm(binary, features);
  const fields = fieldsOf(module.toText({ foldExprs: false, inlineExport: false }));
  module.destroy();

  const kinds = new Map<string, number>();
  const types: Signature[] = [];
  const functionTypes: number[] = [];
  for (const field of fields) {
    const kind = /^\((\w+)/.exec(field)![1]!;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (kind === "type") types.push({ params: words(field, "param"), results: words(field, "result") });
    const type = /\(func (?:\(;\d+;\) )?\(type (\d+)\)/.exec(field);
    if (type) functionTypes.push(Number(type[1]));
  }

  const functions = new Map<string, Signature>();
  const lines: string[] = [];
  for (const field of fields) {
    const exported = /^\(export "(\w+)" \(func (\d+)\)\)$/.exec(field);
    if (exported) {
      const signature = types[functionTypes[Number(exported[2])]!]!;
      functions.set(exported[1]!, signature);
      lines.push(`(export ${exported[1]} (${signature.params.join(", ")}) -> (${signature.results.join(", ")}))`);
    } else if (!/^\((?:type|func) /.test(field)) lines.push(unnumbered(field));
  }
  return { bytes: binary.length, fields: kinds, functions, summary: `${lines.toSorted().join("\n")}\n` };
}
