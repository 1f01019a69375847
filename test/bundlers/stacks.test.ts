/** A debug heap in a bundle: its reports' stacks begin in the program, at places that the bundle's source map knows. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { SourceMap } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packAndInstall, place, type Installed } from "../packaging/install.ts";

const ENTRY = "faulty.mjs";
const source = new URL(ENTRY, import.meta.url);

/** Bundles the program, minified and with a source map, into a folder. */
const bundlers: Readonly<Record<string, (dir: string, out: string) => Promise<unknown>>> = {
  esbuild: (dir, outdir) =>
    esbuild({
      entryPoints: [ENTRY],
      absWorkingDir: dir,
      bundle: true,
      minify: true,
      sourcemap: true,
      format: "esm",
      outdir,
      outExtension: { ".js": ".mjs" },
    }),
  vite: (dir, outDir) =>
    vite({
      root: dir,
      configFile: false,
      logLevel: "silent",
      build: {
        outDir,
        sourcemap: true,
        target: "esnext",
        minify: true,
        rolldownOptions: {
          input: join(dir, ENTRY),
          output: { entryFileNames: "faulty.mjs" },
        },
      },
    }),
};

let installed: Installed;
let lines: string[];
beforeAll(async () => {
  installed = await packAndInstall();
  await place(installed, source, ENTRY);
  lines = (await readFile(source, "utf8")).split("\n");
});
afterAll(() => installed?.remove());

/** What the lines of the program that a stack names end with: the name after the comment's slashes. */
const nameOf = (line: number): string | undefined => /\/\/ (\w+)$/.exec(lines[line - 1] ?? "")?.[1];

/** The first frame of each stack of each report: of the alloc, and of the free. */
const firstFrames = (output: string): string[] =>
  [...output.matchAll(/^ {2}(?:allocated|freed) .*, at\n {4}(.*)$/gm)].map(([, frame]) => frame!);

const all = ["alloc", "free", "allocBulk", "free", "allocAsync", "free"];

describe.each(Object.keys(bundlers))("%s", (name) => {
  let file: string;
  beforeAll(async () => {
    const out = join(installed.dir, "out", name);
    await bundlers[name]!(installed.dir, out);
    const found = (await readdir(out, { recursive: true })).find((each) => each.endsWith("faulty.mjs"));
    file = join(out, found!);
    expect(existsSync(`${file}.map`)).toBe(true);
  });
  const run = async (...options: string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, [...options, file])).stdout;

  test("the source map turns the first frames into the program's lines", async () => {
    const map = new SourceMap(JSON.parse(await readFile(`${file}.map`, "utf8")));
    const found = firstFrames(await run()).map((frame) => {
      const [, line, column] = /faulty\.mjs:(\d+):(\d+)\)?$/.exec(frame)!;
      const { originalSource, originalLine } = map.findEntry(Number(line) - 1, Number(column) - 1) as {
        originalSource: string;
        originalLine: number;
      };
      return originalSource.endsWith(ENTRY) ? nameOf(originalLine + 1) : originalSource;
    });
    expect(found).toEqual(all);
  });

  test("with --enable-source-maps the report itself names them", async () => {
    const found = firstFrames(await run("--enable-source-maps")).map((frame) => {
      const [, line] = /faulty\.mjs:(\d+):\d+\)?$/.exec(frame) ?? [];
      return line === undefined ? frame : nameOf(Number(line));
    });
    expect(found).toEqual(all);
  });
});
