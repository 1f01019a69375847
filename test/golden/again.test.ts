/** A build gives the same bytes again; a fast build has a mark that shipped modules lack. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compile, modules, type ModuleEntry } from "../../scripts/compile.mjs";
import { built } from "./module.ts";

const entryOf = (name: string): ModuleEntry => modules.find((module) => module.name === name)!;

const fastSections = (bytes: Uint8Array<ArrayBuffer>): number =>
  WebAssembly.Module.customSections(new WebAssembly.Module(bytes), "fast").length;

test.each(["core", "core.shared.whole"])("%s.wasm compiles to the same bytes again", async (name) => {
  const bytes = await compile(entryOf(name));
  expect(bytes.equals(readFileSync(built(name)))).toBe(true);
});

test("a fast module has a mark", async () => {
  const bytes = await compile(entryOf("inspect.imported"), { fast: true });
  expect(fastSections(bytes)).toBe(1);
});

test.each([...modules.map(({ name }) => name), "core.shared", "control.shared"])("%s.wasm has no such mark", (name) => {
  expect(fastSections(readFileSync(built(name)))).toBe(0);
});
