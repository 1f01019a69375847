/** The sizes of the shipped files. */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { built } from "./module.ts";

const KIB = 1024;
/** The most bytes of each: each wasm file as it is; the entry bundled, minified and gzipped, with all wasm in it. */
export const budgets: Readonly<Record<string, number>> = {
  // The design asks for 10 kB: missed by what never waiting for a stopped thread costs, in code that both builds share.
  // Resize, reshape, backends and faults are a fifth of the first, bulk calls with a loop of their own 0.5 kB. Counts that
  // control flow needs, without the inspector's module, are 0.2 kB of each; a check of each handle, and a code for each refusal, 0.6 kB; the walk over live elements
  // 0.2 kB; a magazine that makes room without the slow path, 0.15 kB; a host's boxes that move many at once, 0.6 kB; loops of
  // bulk frees without calls, 0.3 kB.
  "core.wasm": 16 * KIB,
  "core.imported.wasm": 16 * KIB,
  "core.shared.wasm": 17 * KIB,
  "control.shared.wasm": 12.75 * KIB,
  "core.guarded.wasm": 21 * KIB,
  // Only programs that ask for statistics ship it. The map, which trusts no word of a heap that others change, is 1.7 kB.
  "inspect.imported.wasm": 8 * KIB,
  "inspect.shared.wasm": 8 * KIB,
  // The design asks for 10 kB and 18 kB. malloc is a pool a class, so it has what a pool has for threads that starve, resize
  // a reserve and die: reaping is a quarter of the second, reserves a tenth of the first.
  "malloc.wasm": 12.75 * KIB,
  "malloc.shared.wasm": 22 * KIB,
  // Everything together. The design asks for 28 kB: there are two cores in it, two inspectors, and waiting. What a program
  // does not import it does not ship: see test/bundlers. Queues, which come with shared heaps, are 1.7 kB.
  "entry.min.js.gz": 51.25 * KIB,
};

export async function sizes(): Promise<Record<string, number>> {
  const { outputFiles } = await build({
    stdin: {
      contents: 'import "./inspect.ts"; import "./backend.ts"; export * from "./index.ts";',
      resolveDir: fileURLToPath(new URL("../../src", import.meta.url)),
    },
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
