/** How many bytes we ship. */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { built } from "./module.ts";

const KIB = 1024;
/** The most that each may have. Each wasm as it is; the entry bundled, minified and gzipped, with all wasm in it. */
export const budgets: Readonly<Record<string, number>> = {
  "core.wasm": 8 * KIB,
  "core.imported.wasm": 8 * KIB,
  "core.shared.wasm": 12 * KIB,
  "check.imported.wasm": 4 * KIB,
  "check.shared.wasm": 4 * KIB,
  // The design asks for 12 KiB: it is missed by about as much as the checker takes (its module, and the words for what it
  // finds), which comes along because Heap.check() is synchronous and public.
  "entry.min.js.gz": 14 * KIB,
};

export async function sizes(): Promise<Record<string, number>> {
  const entry = fileURLToPath(new URL("../../src/index.ts", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const minified = outputFiles[0]!.contents;
  const modules = Object.keys(budgets).filter((name) => name.endsWith(".wasm"));
  return {
    ...Object.fromEntries(modules.map((name) => [name, statSync(built(name.slice(0, -5))).size])),
    "entry.min.js": minified.length,
    "entry.min.js.gz": gzipSync(minified, { level: 9 }).length,
  };
}

/** The sizes that sizes.json has. */
export function recorded(): Record<string, number> {
  return JSON.parse(readFileSync(new URL("sizes.json", import.meta.url), "utf8")) as Record<string, number>;
}
