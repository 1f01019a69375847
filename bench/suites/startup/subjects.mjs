/** The sides, each built to the one file that a program would load. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { root } from "../../harness/machine.mjs";

const folder = join(root, "build/bench/startup");

/** `kind`: as in child.mjs. */
export const sides = {
  "wasm-mempool": { kind: "package", file: "ours.mjs" },
  "wasm-mempool, shared": { kind: "package", file: "ours.mjs", shared: true },
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
    stdin: { contents: entry, resolveDir: join(root, "bench") },
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

/** The version of a package of bench/package.json; undefined if it is not installed. */
function versionOf(name) {
  try {
    return JSON.parse(readFileSync(join(root, "bench/node_modules", name, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}

/** Writes the file of each side. Returns the sides, with path and bytes, and those not run. */
export async function prepare() {
  mkdirSync(folder, { recursive: true });
  const contents = {
    // All exports: a bundler drops what nothing imports.
    "ours.mjs": () => bundle('export * from "../dist/index.js";'),
    "core.wasm": () => readFileSync(join(root, "build/core.wasm")),
    // Both halves as one module.
    "core.shared.wasm": () => readFileSync(join(root, "build/core.shared.whole.wasm")),
    "tlsf.wasm": compileTlsf,
    "thing.mjs": () => bundle('export { MemPool } from "@thi.ng/malloc";'),
  };
  const there = [];
  const notRun = [];
  for (const [side, subject] of Object.entries(sides)) {
    const version = subject.needs && versionOf(subject.needs);
    if (subject.needs && !version) {
      notRun.push({ side, why: "it is not installed: npm ci --prefix bench" });
      continue;
    }
    const bytes = await contents[subject.file]();
    const path = join(folder, subject.file);
    writeFileSync(path, bytes);
    there.push({ side, ...subject, version, path, bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length });
  }
  return { there, notRun };
}
