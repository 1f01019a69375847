/** The recipes of docs/guests.md, as they stand, in a folder that has the package as it is published. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packAndInstall, type Installed } from "../packaging/install.ts";
import { emscriptenMissing, environment, root, toolchains, zig } from "./toolchain.ts";

const [start, ...sections] = readFileSync(join(root, "docs/guests.md"), "utf8").split(/^## /m);
const commandsIn = (section: string): string =>
  [...section.matchAll(/```sh\n([^]*?)```/g)].map(([, text]) => text!).join("");
const recipes = sections.map((section) => ({
  title: section.slice(0, section.indexOf("\n")),
  files: [...section.matchAll(/```(?:c|cpp|js)\n\/\/ (\S+)\n([^]*?)```/g)].map(
    ([, name, text]) => [name!, text!] as const,
  ),
  commands: commandsIn(start!) + commandsIn(section),
}));
const [clang, zigCc] = toolchains.map(({ missing }) => missing);

/** What each prints, and whether its tools are missing. */
const expected: Readonly<Record<string, readonly [output: string, missing: boolean]>> = {
  C: ["from wasm-mempool\n", clang!],
  "C++": ["one 1\ntwo 2\n", clang!],
  "Pools, a reserve, bad frees": ["bad free: -1\nfreed: 0\n", clang!],
  "zig cc": ["from wasm-mempool\n", zigCc!],
  emscripten: ["from wasm-mempool\n", emscriptenMissing],
  Threads: ["a thread\n", emscriptenMissing],
  "wasm-merge": ["112\n", clang!],
};

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
  // As npm init makes it: CommonJS.
  writeFileSync(join(installed.dir, "package.json"), "{}");
  // Recipes use files of those before them.
  for (const [name, text] of recipes.flatMap(({ files }) => files)) writeFileSync(join(installed.dir, name), text);
});
afterAll(() => installed?.remove());

test("each recipe has an expected output", () => {
  expect(recipes.map(({ title }) => title)).toEqual(Object.keys(expected));
});

for (const { title, commands } of recipes) {
  const [output, missing] = expected[title]!;
  test.skipIf(missing)(
    `${title}: the recipe's program prints what it must`,
    () => {
      const tools = ["/usr/lib/llvm-19/bin", dirname(zig), join(root, "node_modules/.bin")];
      const env = { ...environment, PATH: `${tools.join(":")}:${process.env["PATH"]}` };
      expect(execFileSync("sh", ["-e", "-c", commands], { cwd: installed.dir, env, encoding: "utf8" })).toBe(output);
    },
    600_000,
  );
}
