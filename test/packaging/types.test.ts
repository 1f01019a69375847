/** The packed types, with every set of libraries that programs are compiled with, and every way to resolve them. */
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packAndInstall, root, type Installed } from "./install.ts";

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
});
afterAll(() => installed?.remove());

/** Code that compiles with any libraries. */
const program = `
import {
  attach, create, createHeap, MempoolError, pointer, flexible, struct, u64, Views, type Pool, type Cursor,
} from "wasm-mempool";
import { faults } from "wasm-mempool/testing";
const Bio = struct({ sector: u64, bios: flexible(pointer()) });
const heap = createHeap({ initial: 65536 });
const pool: Pool = create({ size: (disks: number) => Bio.offsetof("bios", disks), data: 3, minNr: 2, heap });
const bio: Cursor<typeof Bio> = Bio.at(heap, pool.alloc());
const sector: bigint = bio.sector;
heap.memory.grow(1);
const bytes: number = heap.memory.buffer.byteLength;
export const again = createHeap({ memory: heap.memory });
try {
  pool.free(new Views(heap.memory).u32[0]!);
} catch (error) {
  if (error instanceof MempoolError && error.code === "ERR_DOUBLE_FREE") pool.exit();
}
faults(pool, { nth: faults(heap, { growth: 1 }) });
const there: Pool = attach(pool.share());
const items = heap.create({ size: struct({ key: u64 }), minNr: 1 });
for (const at of items.live()) items.free(at);
// @ts-expect-error it holds something else
Bio.at(heap, items.ptr(8));
// @ts-expect-error the size is not asked with data
pool.reshape("three");
// @ts-expect-error there is no such field
bio.sectors;
// @ts-expect-error a memory has no such call
heap.memory.shrink(1);
// @ts-expect-error a memory is no number
createHeap({ memory: 1 });
export { sector, bytes, there };
`;
/** Code that needs a host's types. */
const ofTheHost = `
import { create, createHeap, createSharedHeap } from "wasm-mempool";
export const stopWatching = createSharedHeap().watch(new Worker("x"));
const memory: WebAssembly.Memory = createHeap().memory;
createHeap({ memory, module: new WebAssembly.Module(new Uint8Array()) });
new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array()), { env: { memory: createHeap().memory } });
export const waits = create({ size: 1, minNr: 1 }).allocAsync({ signal: new AbortController().signal });
`;
const ofNode = `
import { createSharedHeap } from "wasm-mempool";
import { Worker } from "node:worker_threads";
const pool = createSharedHeap().create({ size: 1, minNr: 1 });
export const waits = pool.allocAsync({ signal: AbortSignal.timeout(1) });
export const stop = pool.heap.watch(new Worker("x"));
`;
const disposing = `
import { create, createArena, createHeap } from "wasm-mempool";
using heap = createHeap();
await using waited = create({ size: 1, minNr: 1 });
using pool = create({ size: 1, minNr: 1 });
using arena = createArena();
using ticket = pool.prefill(1);
export const all: Disposable[] = [heap, pool, arena];
export const awaited: AsyncDisposable = waited;
export const name = ticket?.left;
`;

const libraries: readonly { lib: readonly string[]; node?: boolean; also?: readonly string[] }[] = [
  { lib: ["es2020"] },
  { lib: ["es2021"] },
  { lib: ["es2022"] },
  { lib: ["es2022"], node: true, also: [ofNode] },
  { lib: ["es2020"], node: true, also: [ofNode] },
  { lib: ["es2020", "dom"], also: [ofTheHost] },
  { lib: ["es2022", "dom"], also: [ofTheHost] },
  { lib: ["es2022", "webworker"], also: [ofTheHost] },
  { lib: ["es2022", "dom"], node: true, also: [ofTheHost, ofNode] },
  { lib: ["es2022", "esnext.disposable"], also: [disposing] },
  { lib: ["esnext", "dom"], node: true, also: [ofTheHost, ofNode, disposing] },
];
const resolutions = {
  nodenext: { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  // TypeScript 6 warns of it; those before 6 have it by default with `module: esnext`.
  node10: {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Node10,
    ignoreDeprecations: "6.0",
  },
};

/** Libraries are read and parsed once for all programs. */
const parsed = new Map<string, ts.SourceFile | undefined>();

function compile(files: readonly string[], options: ts.CompilerOptions): string {
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, language, ...rest) => {
    const key = `${name} ${JSON.stringify(language)}`;
    if (!parsed.has(key)) parsed.set(key, getSourceFile(name, language, ...rest));
    return parsed.get(key);
  };
  const made = ts.createProgram(files, options, host);
  return ts.formatDiagnostics(ts.getPreEmitDiagnostics(made), {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => installed.dir,
    getNewLine: () => "\n",
  });
}

const cases = [
  ...libraries.map((each) => ["nodenext", each] as const),
  ...(["bundler", "node10"] as const).flatMap((name) => [
    [name, libraries[2]!] as const,
    [name, libraries.at(-1)!] as const,
  ]),
].map(([name, each]) => [name, [...each.lib, ...(each.node ? ["@types/node"] : [])].join(" and "), each] as const);

test.each(cases)("resolved as %s, the types are sound with %s", async (name, title, each) => {
  const { lib, node, also = [] } = each;
  const files: string[] = [];
  for (const text of [program, ...also]) {
    const file = join(installed.dir, `${name}-${title.replaceAll(/\W/g, "-")}-${files.length}.ts`);
    await writeFile(file, text);
    files.push(file);
  }
  const errors = compile(files, {
    ...resolutions[name],
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noImplicitOverride: true,
    skipLibCheck: false,
    // TypeScript's own files, and no others.
    skipDefaultLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    lib: lib.map((file) => `lib.${file}.d.ts`),
    types: node ? ["node"] : [],
    typeRoots: [join(root, "node_modules/@types")],
  });
  expect(errors).toBe("");
});

test("a program that exports pools can emit declarations", () => {
  const file = join(installed.dir, "declares.ts");
  const text =
    'import { createHeap } from "wasm-mempool"; export const { memory } = createHeap(); export const heap = createHeap();';
  return writeFile(file, text).then(() => {
    const options = { ...resolutions.bundler, strict: true, declaration: true, emitDeclarationOnly: true };
    expect(compile([file], { ...options, lib: ["lib.es2022.d.ts"], types: [], outDir: installed.dir })).toBe("");
  });
});
