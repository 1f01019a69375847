/**
 * The installed package under each bundler as it comes, without a word about wasm. What comes out runs in a context with
 * nothing but ECMAScript and WebAssembly, which is less than an AudioWorklet has, and with eval forbidden.
 */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { createContext, runInContext, type Context } from "node:vm";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { build as esbuild } from "esbuild";
import { rollup } from "rollup";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import webpack, { type Configuration, type Stats } from "webpack";
import { packAndInstall, place, type Installed } from "../packaging/install.ts";

/** Bundles `dir`/`entry` into the folder `out`. */
type Bundler = (dir: string, entry: string, out: string) => Promise<unknown>;

const bundlers: Readonly<Record<string, Bundler>> = {
  vite: (dir, entry, outDir) =>
    vite({
      root: dir,
      configFile: false,
      logLevel: "silent",
      build: { outDir, rolldownOptions: { input: join(dir, entry) } },
    }),

  webpack: async (dir, entry, out) => {
    const configuration: Configuration = {
      mode: "production",
      context: dir,
      entry: `./${entry}`,
      output: { path: out },
      performance: false,
    };
    const stats = (await promisify((done: (error: Error | null, stats?: Stats) => void) =>
      webpack(configuration, done),
    )()) as Stats;
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString());
  },

  esbuild: (dir, entry, outdir) =>
    esbuild({ entryPoints: [entry], absWorkingDir: dir, bundle: true, minify: true, outdir, logLevel: "error" }),

  rollup: async (dir, entry, out) => {
    const bundle = await rollup({
      input: join(dir, entry),
      plugins: [nodeResolve()],
      onLog: (level, { message }) => {
        if (level === "warn") throw new Error(message);
      },
    });
    await bundle.write({ dir: out, format: "iife" });
  },
};

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
  await place(installed, new URL("../smoke.mjs", import.meta.url), "smoke.mjs");
  for (const name of ["app.mjs", "layout-only.mjs"]) await place(installed, new URL(name, import.meta.url), name);
});
afterAll(() => installed?.remove());

/** The one file of a bundle. A second one would have to be served, found and fetched. */
async function bundled(name: string, entry: string): Promise<string> {
  const out = join(installed.dir, "out", name, entry);
  await bundlers[name]!(installed.dir, entry, out);
  const files = (await readdir(out, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  expect(files.map((file) => file.name)).toHaveLength(1);
  return readFile(join(files[0]!.parentPath, files[0]!.name), "utf8");
}

/** A context without host APIs. What is run in it reports into `reports`. */
function bare(): { context: Context; reports: unknown[] } {
  const reports: unknown[] = [];
  const report = (value: unknown): void => void reports.push(value);
  const context = createContext({ report }, { codeGeneration: { strings: false, wasm: true } });
  return { context, reports };
}

test("the context has no host APIs, and no eval", () => {
  const { context } = bare();
  const apis = [
    "atob",
    "Buffer",
    "TextDecoder",
    "fetch",
    "performance",
    "process",
    "setTimeout",
    "URL",
    "crypto",
    "self",
  ];
  expect(apis.filter((name) => runInContext(`typeof ${name}`, context) !== "undefined")).toEqual([]);
  expect(() => runInContext("new Function('')", context)).toThrow("Code generation from strings disallowed");
});

describe.each(Object.keys(bundlers))("%s", (name) => {
  test("the bundle allocates and frees, wherever it runs", async () => {
    const text = await bundled(name, "app.mjs");
    const { context, reports } = bare();
    runInContext(text, context);
    for (const start = Date.now(); reports.length === 0 && Date.now() - start < 10_000;) await sleep(5);
    expect(reports).toEqual([
      {
        elements: {
          plain: expect.any(Number),
          imported: expect.any(Number),
          shared: expect.any(Number),
          async: expect.any(Number),
        },
      },
    ]);
  });

  test("whoever imports struct alone gets no wasm", async () => {
    const text = await bundled(name, "layout-only.mjs");
    const { context, reports } = bare();
    runInContext(text, context);
    expect(reports).toEqual([16]);
    expect(text).not.toContain("WebAssembly");
    expect(text).not.toContain("0061736d");
    expect(text.length).toBeLessThan(30_000);
  });
});
