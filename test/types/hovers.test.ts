/** What an editor shows over an expression: short enough to be read. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const source = `
import {
  array, attach, bool, create, createHeap, f32, f64, MempoolError, pointer, struct, u32, u64, type Cursor, type Ptr,
} from "../../src/index.ts";
const Particle = struct({ x: f32, vx: f32, state: u32, next: pointer() });
const Group = struct({ id: u64, ok: bool, pos: struct({ x: f32, y: f64 }), all: array(Particle, 4) });
const cursor = Particle.cursor(createHeap());
const moved = cursor.move(8);
const annotated = null as never as Cursor<typeof Particle>;
const at = null as never as Ptr<typeof Particle> | 0;
const { f32: indices } = Particle;
const nested = Group.f32;
const maybe = at && cursor.move(at);
const group = Group.cursor(createHeap());
const heap = createHeap();
const Item = struct({ key: u32 });
const items = heap.create({ size: Item, minNr: 1 });
const plain = create({ size: 64, minNr: 1 });
const sized = create({ size: (array) => 16 * array.disks, data: { disks: 2 }, minNr: 1 });
const item = items.alloc();
items.free(item);
const number = plain.alloc();
const visited = items.live();
const three = items.prefill(3);
const there = attach(items.share(), { size: Item });
const promised = items.allocAsync();
const posted = items.ptr(4096);
sized.reshape({ disks: 3 });
const { pool, address } = new MempoolError("ERR_CLOSED", "");
export const all = [number, visited, three, there, promised, posted, pool, address];
export const used = [maybe, moved.x, annotated.next, at, indices.x, nested.pos, group.pos, group.all, group.address, Particle.f32.vx];
`;
const file = fileURLToPath(new URL("hovers-source.ts", import.meta.url));
const config = fileURLToPath(new URL("../../tsconfig.json", import.meta.url));
const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(config, ts.sys.readFile).config, ts.sys, ".");
const service = ts.createLanguageService({
  getCompilationSettings: () => ({ ...options, types: [] }),
  getScriptFileNames: () => [file],
  getScriptVersion: () => "1",
  getScriptSnapshot: (name) => {
    const text = name === file ? source : ts.sys.readFile(name);
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
  },
  getCurrentDirectory: () => ".",
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  fileExists: (name) => name === file || ts.sys.fileExists(name),
  readFile: ts.sys.readFile,
});

/** The tags of the doc comment that an editor shows there. */
function tags(text: string): string[] {
  const info = service.getQuickInfoAtPosition(file, source.indexOf(text) + text.length - 1);
  return [...new Set(info?.tags?.map(({ name }) => name))];
}

/** What an editor shows over the last word of the text, where it first occurs. */
function hover(text: string): string {
  const info = service.getQuickInfoAtPosition(file, source.indexOf(text) + text.length - 1);
  return ts.displayPartsToString(info?.displayParts).replaceAll(/\s+/g, " ");
}

test("the source has no errors", () => {
  const all = [...service.getSyntacticDiagnostics(file), ...service.getSemanticDiagnostics(file)];
  expect(all.map(({ messageText }) => messageText)).toEqual([]);
});

describe("hovers", () => {
  const particle = 'StructType<{ x: Scalar<"f32">; vx: Scalar<"f32">; state: Scalar<"u32">; next: Pointer; }>';
  const cursor = `Cursor<${particle}>`;
  const item = 'StructType<{ key: Scalar<"u32">; }>';

  test.each([
    ["const Particle", `const Particle: ${particle}`],
    ["const cursor", `const cursor: ${cursor}`],
    ["const moved", `const moved: ${cursor}`],
    ["const annotated", `const annotated: ${cursor}`],
    ["const at", `const at: 0 | Ptr<${particle}>`],
    ["const { f32: indices", "const indices: { readonly x: number; readonly vx: number; }"],
    [
      "const nested",
      "const nested: { readonly pos: { readonly x: number; };" +
        " readonly all: { readonly x: number; readonly vx: number; readonly $stride: number; }; }",
    ],
    ["at && cursor.move", `(method) Movable<${particle}>.move<Ptr<${particle}>>(address: Ptr<${particle}>): ${cursor}`],
    ["Particle.cursor", `(method) ${particle}.cursor(heap: HasViews): ${cursor}`],
    ["moved.x", "(property) x: number"],
    ["group.pos", '(property) pos: Struct<{ x: Scalar<"f32">; y: Scalar<"f64">; }>'],
    ["group.all", `(property) all: ArrayView<${particle}>`],
    ["Particle.f32", `(property) ${particle}.f32: { readonly x: number; readonly vx: number; }`],
    ["Particle.f32.vx", "(property) vx: number"],
    ["const items", `const items: Pool<${item}, never>`],
    ["const plain", "const plain: Pool<unknown, never>"],
    ["const sized", "const sized: Pool<unknown, { disks: number; }>"],
    ["size: (array", "(parameter) array: { disks: number; }"],
    ["const item ", `const item: 0 | Ptr<${item}>`],
    ["items.alloc", `(method) Pool<${item}, never>.alloc(): 0 | Ptr<${item}>`],
    ["items.free", `(method) Pool<${item}, never>.free(address: 0 | Ptr<${item}>): void`],
    ["const number", "const number: number"],
    ["plain.alloc", "(method) Pool<unknown, never>.alloc(): number"],
    ["const visited", `const visited: IterableIterator<Ptr<${item}>>`],
    ["const three", `const three: Prefill<${item}> | undefined`],
    ["const there", `const there: SharedPool<${item}>`],
    ["const promised", `const promised: Promise<Ptr<${item}>>`],
    ["const posted", `const posted: Ptr<${item}>`],
    ["sized.reshape", "(method) Pool<unknown, { disks: number; }>.reshape(data: { disks: number; }): void"],
    ["const { pool", "const pool: string | undefined"],
    ["pool, address", "const address: number | undefined"],
    [
      "heap.create",
      `(method) Heap.create<${item}, unknown>(options: PoolOptions<${item}, unknown>): Pool<${item}, never> (+3 overloads)`,
    ],
  ])("%s", (text, shown) => {
    expect(hover(text)).toBe(shown);
  });
});

describe("doc comments", () => {
  test.each([
    ["items.alloc", ["throws", "example"]],
    ["items.free", ["throws"]],
    ["items.live", ["example"]],
    ["items.ptr", ["throws", "example"]],
    ["items.prefill", ["throws", "example"]],
    ["sized.reshape", ["throws", "example"]],
    ["plain = create", ["throws", "example"]],
    ["new MempoolError", ["example"]],
  ])("%s has its errors and an example as tags", (text, expected) => {
    expect(tags(text)).toEqual(expected);
  });

  test("an optional option has a @default", () => {
    const text = readFileSync(new URL("../../src/pool/options.ts", import.meta.url), "utf8");
    const start = text.indexOf("export interface PoolOptions");
    const body = text.slice(start, text.indexOf("\n}", start));
    const fields = body.split(/(?<=;\n)/).filter((field) => /readonly \w+\?:/.test(field));
    const without = fields
      .filter((field) => !field.includes("@default"))
      .map((field) => /readonly (\w+)/.exec(field)![1]);
    expect(fields.length).toBeGreaterThan(4);
    expect(without).toEqual(["data"]);
  });
});
