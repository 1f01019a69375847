/** The recipes of docs/guests.md, as they stand, in a folder that has the package as it is published. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packAndInstall, type Installed } from "../packaging/install.ts";
import { emscriptenMissing, environment, root, toolchains, zig } from "./toolchain.ts";
import { threadsSdk } from "./wasi-sdk.ts";

const document = readFileSync(join(root, "docs/guests.md"), "utf8");
const [start, ...sections] = document.split(/^##+ /m);
/** The texts of a section's code blocks in a language. */
const blocks = (section: string, language: string): string =>
  [...section.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text)
    .join("");
const sources = [...document.matchAll(/^```(?:c|cpp|js)\n\/\/ (\S+)\n([^]*?)^```$/gm)].map(
  ([, name, text]) => [name!, text!] as const,
);
const recipes = sections
  .map((section) => ({
    title: section.slice(0, section.indexOf("\n")),
    commands: blocks(section, "sh"),
    output: blocks(section, "text"),
  }))
  .filter(({ commands }) => commands !== "");

const [clang, zigCc] = toolchains.map(({ missing }) => missing);
const sdk = threadsSdk();
/** Whether what a recipe needs is missing. */
const missing: Readonly<Record<string, boolean>> = {
  C: clang!,
  "Typed pools": clang!,
  "C++": clang!,
  "A reserve, and bad frees": clang!,
  "Pools beside another malloc": clang!,
  "wasi-threads": sdk === undefined,
  "emscripten's threads": emscriptenMissing,
  Workers: clang!,
  "zig cc": zigCc!,
  emscripten: emscriptenMissing,
  "wasm-merge": clang!,
};

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
  // As npm init makes it: CommonJS.
  writeFileSync(join(installed.dir, "package.json"), "{}");
  // Recipes use files of those before them.
  for (const [name, text] of sources) writeFileSync(join(installed.dir, name), text);
});
afterAll(() => installed?.remove());

test("each recipe says what it prints, and what it needs is known here", () => {
  expect(recipes.map(({ title }) => title)).toEqual(Object.keys(missing));
  expect(recipes.filter(({ output }) => output === "")).toEqual([]);
});

test("CI installs the packages of Debian that the document names", () => {
  const named = start!.match(/\b(?:clang|lld|wasi-libc|lib)[\w+-]*-(?:19|libc)[\w-]*|wasi-libc\b/g)!;
  expect(named.length).toBeGreaterThan(4);
  const ci = readFileSync(join(root, ".ci/run"), "utf8");
  expect(named.filter((name) => !ci.includes(name))).toEqual([]);
});

test("the tests that the table names are there", () => {
  const named = [...document.slice(document.indexOf("## What runs where")).matchAll(/`((?:guests|outside)\/[\w-]+)`/g)];
  expect(named.length).toBeGreaterThan(13);
  expect(named.filter(([, name]) => !existsSync(join(root, `test/${name}.test.ts`)))).toEqual([]);
});

for (const { title, commands, output } of recipes) {
  test.skipIf(missing[title])(
    `${title}: the recipe's program prints what it must`,
    () => {
      const tools = ["/usr/lib/llvm-19/bin", dirname(zig), join(root, "node_modules/.bin")];
      const env = { ...environment, WASI_SDK_PATH: sdk, PATH: `${tools.join(":")}:${process.env["PATH"]}` };
      const all = blocks(start!, "sh") + commands;
      expect(execFileSync("sh", ["-e", "-c", all], { cwd: installed.dir, env, encoding: "utf8" })).toBe(output);
    },
    600_000,
  );
}
