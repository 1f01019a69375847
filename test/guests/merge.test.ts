/** A program and malloc.wasm merged into one module by binaryen. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { at, build, clangMissing, freestanding, out, root } from "./toolchain.ts";

const core = at("../../build/malloc.wasm");
const binaryen = (tool: string, ...args: string[]): void =>
  void execFileSync(join(root, "node_modules/.bin", tool), args, { stdio: ["ignore", "ignore", "pipe"] });
const size = (path: string): number => statSync(path).size;

test.skipIf(clangMissing)("a merged program works, imports nothing, and without what it does not call is small", () => {
  const exported = ["work", "twice"];
  const flags = ["--no-entry", "--import-undefined", ...exported.map((name) => `--export=${name}`)];
  const program = build("merged-program.wasm", [...freestanding, "-fno-builtin"], "merged.c", `-Wl,${flags.join(",")}`);
  const [merged, graph, small] = ["merged.wasm", "merged.json", "merged-small.wasm"].map((name) => `${out}/${name}`);
  // The modules name no features, and both export a memory: the program's counts.
  binaryen("wasm-merge", "--enable-bulk-memory", "--skip-export-conflicts", program, "env", core, "env", "-o", merged!);
  const roots = [...exported, "memory"].map((name) => ({ name, root: true, export: name }));
  writeFileSync(graph!, JSON.stringify(roots));
  binaryen("wasm-metadce", "--enable-bulk-memory", "--graph-file", graph!, merged!, "-o", small!);
  for (const path of [merged!, small!]) {
    const module = new WebAssembly.Module(readFileSync(path));
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    const { work, twice } = new WebAssembly.Instance(module).exports as Record<string, () => number>;
    expect(work!()).toBe(0);
    expect(twice!).toThrow(WebAssembly.RuntimeError);
  }
  expect(size(merged!)).toBeLessThan(size(program) + size(core));
  expect(size(small!)).toBeLessThan(0.95 * size(merged!));
});
