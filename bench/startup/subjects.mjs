/** The sides, each built to one file: what a program that uses it would load. */
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = join(root, "build/bench/startup");

/** kind: how child.mjs takes it up. */
export const sides = {
  "wasm-mempool": { kind: "package", file: "ours.mjs", options: {} },
  "wasm-mempool, shared": { kind: "package", file: "ours.mjs", options: { shared: true } },
  "core.wasm alone": { kind: "core", file: "core.wasm" },
  "core.shared.wasm alone": { kind: "core", file: "core.shared.wasm", shared: true },
  "AssemblyScript's TLSF": { kind: "tlsf", file: "tlsf.wasm" },
  "@thi.ng/malloc": { kind: "thing", file: "thing.mjs", needs: "@thi.ng/malloc" },
};

/** AssemblyScript's allocator and nothing else. */
const tlsf = `
export function alloc(size: usize): usize { return heap.alloc(size); }
export function free(address: usize): void { heap.free(address); }`;

async function bundle(entry) {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    logLevel: "silent",
  });
  return outputFiles[0].contents;
}

async function compileTlsf() {
  const { default: asc } = await import("assemblyscript/asc");
  let bytes;
  const flags = ["--runtime", "minimal", "--use", "abort=", "-O3", "--shrinkLevel", "2", "--converge"];
  const { error, stderr } = await asc.main(["tlsf.ts", ...flags, "-o", "tlsf.wasm"], {
    readFile: (name) => (name === "tlsf.ts" ? tlsf : null),
    writeFile: (_name, contents) => (bytes = contents),
    listFiles: () => [],
  });
  if (error) throw new Error(`tlsf: ${error.message}\n${stderr}`);
  return bytes;
}

/** The exact version of a package that is installed; nothing if it is not. */
function versionOf(name) {
  const require = createRequire(import.meta.url);
  for (const path of require.resolve.paths(name)) {
    try {
      return JSON.parse(readFileSync(join(path, name, "package.json"), "utf8")).version;
    } catch {}
  }
  return undefined;
}

/** Writes every side's file. Returns the sides there are, with file and bytes, and those that are not. */
export async function prepare() {
  mkdirSync(folder, { recursive: true });
  const contents = {
    // All of it, as in the size that is promised: what is not imported goes.
    "ours.mjs": () => bundle('export * from "./dist/index.js";'),
    "core.wasm": () => readFileSync(join(root, "build/core.wasm")),
    "core.shared.wasm": () => readFileSync(join(root, "build/core.shared.wasm")),
    "tlsf.wasm": compileTlsf,
    "thing.mjs": () => bundle('export { MemPool } from "@thi.ng/malloc";'),
  };
  const there = [];
  const notRun = [];
  for (const [side, subject] of Object.entries(sides)) {
    const version = subject.needs && versionOf(subject.needs);
    if (subject.needs && !version) {
      notRun.push({ side, why: `the package ${subject.needs} is not installed` });
      continue;
    }
    const bytes = await contents[subject.file]();
    const path = join(folder, subject.file);
    writeFileSync(path, bytes);
    there.push({ side, ...subject, version, path, bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length });
  }
  return { there, notRun };
}
