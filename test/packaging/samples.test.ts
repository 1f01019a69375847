/**
 * The samples of README and docs: those in js and ts run as they stand, in a process each; those in ts compile, too. A block
 * marked `browser` is for a page, and only compiles.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blocksOf, pages, root, type Block } from "../docs/pages.ts";

/** These have tests of their own, which know more of them. */
const elsewhere = new Set(["docs/memory-trouble.md", "docs/guests.md"]);
const samples = pages
  .filter((page) => !elsewhere.has(page))
  .flatMap((page) => blocksOf(page))
  // A recipe's files run together: test/recipes.
  .filter(({ page, language, about }) => /^[jt]s$/.test(language) && (about || !page.startsWith("docs/recipes/")));
const titled = (blocks: readonly Block[]) => blocks.map((block, i) => [block.page, block.line, block, i] as const);

// Inside the project, so that the package finds itself by its name.
let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(root, "build", "samples-"))));
afterAll(() => rm(folder, { recursive: true }));

test("the README and each guide have samples", () => {
  const without = pages.filter((page) => page === "README.md" || page.startsWith("docs/guides/"));
  for (const { page } of pages.flatMap((each) => blocksOf(each))) {
    if (without.includes(page)) without.splice(without.indexOf(page), 1);
  }
  expect(without).toEqual([]);
});

describe("runs", () => {
  test.each(titled(samples.filter(({ about }) => about === "")))(
    "%s, line %i",
    async (_page, _line, { language, code }, i) => {
      const file = join(folder, `sample-${i}.${language === "ts" ? "ts" : "mjs"}`);
      await writeFile(file, code);
      const run = promisify(execFile);
      const { stdout } = await run(process.execPath, ["--import", "tsx", file], { cwd: root, timeout: 200_000 });
      const printed = stdout.split("\n");
      // In their order; what is behind a colon says why.
      for (const [, comment] of code.matchAll(
        /console\.log\(.*\); *\/\/ ((?:-?\d|true|false|ERR_|[A-Z]\w+Error)[^:\n]*)/g,
      )) {
        expect(printed).toContain(comment!.trim());
        printed.splice(0, printed.indexOf(comment!.trim()) + 1);
      }
    },
  );
});

test("no other word stands behind a language", () => {
  expect([...new Set(samples.map(({ about }) => about))].toSorted()).toEqual(["", "browser"]);
});

test("the TypeScript samples compile, and those for browsers", async () => {
  const files = new Map<string, Block>();
  for (const [i, sample] of samples.entries()) {
    if (sample.language !== "ts" && sample.about !== "browser") continue;
    const file = join(folder, `typed-${i}.ts`);
    files.set(file, sample);
    await writeFile(file, sample.code);
  }
  expect(files.size).toBeGreaterThan(4);
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
  };
  const errors = ts.getPreEmitDiagnostics(ts.createProgram([...files.keys()], options));
  const told = errors.map(({ file, start, messageText }) => {
    const { page, line } = files.get(file!.fileName)!;
    const inside = file!.getLineAndCharacterOfPosition(start!).line;
    return `${page}:${line + 1 + inside}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
  expect(told).toEqual([]);
});
