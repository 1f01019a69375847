/**
 * The installed package under each bundler with its default options. The bundle runs in a context with nothing but
 * ECMAScript and WebAssembly, which is less than an AudioWorklet has, and with eval forbidden.
 */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { createContext, runInContext, type Context } from "node:vm";
import { gzipSync } from "node:zlib";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { transform, build as esbuild } from "esbuild";
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

  webpack: (dir, entry, out) => webpackWith({}, dir, entry, out),

  // As Parcel by default: it goes by `main`, and completes names of files.
  "webpack that knows no exports of packages": (dir, entry, out) => {
    const rules = [{ test: /\.m?js$/, resolve: { fullySpecified: false } }];
    return webpackWith({ resolve: { exportsFields: [] }, module: { rules } }, dir, entry, out);
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

async function webpackWith(more: Configuration, dir: string, entry: string, out: string): Promise<void> {
  const configuration: Configuration = {
    ...more,
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
}

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
  await place(installed, new URL("../smoke.mjs", import.meta.url), "smoke.mjs");
  for (const name of ["app.mjs", "layout-only.mjs", "small.mjs"])
    await place(installed, new URL(name, import.meta.url), name);
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

/**
 * The most bytes of a small program, minified and gzipped. The aim is 16,000; 7,200 of it are the core. Missing are what the
 * classes of heaps and pools have whether it is called or not: waiting, several at once, resize and reshape, watermarks,
 * `use`. 300 of it pass arrays of bulk calls without a call or a copy for each element, and 270 make calls of several heaps,
 * and of pools that zero, cost half as much.
 */
const SMALL = 25_400;

/** A piece of each wasm module as the package carries it. */
const wasmTexts: Record<string, string> = {};
const middle = (text: string): string => text.slice(text.length / 2, text.length / 2 + 200);
for (const file of ["plain.js", "shared.js", "inspect-imported.js", "inspect-shared.js"]) {
  const code = await readFile(new URL(`../../dist/generated/${file}`, import.meta.url), "utf8");
  wasmTexts[file] = middle(code.slice(code.indexOf('"') + 1, code.lastIndexOf('"')));
}

/** Whether a function with so many arguments is called at five places, one after the other. */
function hasPlaces(text: string, count: number): boolean {
  const given = Array.from({ length: count }, () => String.raw`[\w$]+`).join(", ?");
  const calls = [0, 1, 2, 3, 4].map((n) => String.raw`\1\(${given}${", ?0".repeat(n)}\)`);
  return new RegExp(String.raw`(?=([\w$]+)\()${calls.join("[^()]{0,60}?")}`).test(text);
}

/** A context without host APIs. What is run in it reports into `reports`. */
function bare(): { context: Context; reports: unknown[] } {
  const reports: unknown[] = [];
  const report = (value: unknown): void => void reports.push(value);
  const context = createContext({ report }, { codeGeneration: { strings: false, wasm: true } });
  return { context, reports };
}

test("the context has no host APIs", () => {
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
  test("the bundle allocates and frees", async () => {
    const text = await bundled(name, "app.mjs");
    const { context, reports } = bare();
    runInContext(text, context);
    for (const start = Date.now(); reports.length === 0 && Date.now() - start < 60_000;) await sleep(5);
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

  // What src/core/sites.ts is for; some minifiers make one call of equal ones.
  test("the bundle keeps the places apart from which alloc and free call the core", async () => {
    const text = await bundled(name, "small.mjs");
    expect([hasPlaces(text, 1), hasPlaces(text, 2)]).toEqual([true, true]);
  });

  test("a program that imports only struct ships no wasm", async () => {
    const text = await bundled(name, "layout-only.mjs");
    const { context, reports } = bare();
    runInContext(text, context);
    expect(reports).toEqual([16]);
    expect(text).not.toContain("WebAssembly");
    expect(text).not.toContain("0061736d");
    expect(text.length).toBeLessThan(30_000);
  });

  test("a program with an unshared heap ships no code for threads", async () => {
    const text = await bundled(name, "small.mjs");
    const { context, reports } = bare();
    runInContext(text, context);
    expect(reports).toEqual([[0, 16]]);
    for (const other of [
      "heap_reap",
      "mempool_wait_begin",
      "heap_check",
      "Atomics",
      "SharedArrayBuffer(",
      "navigator",
    ]) {
      expect([other, text.includes(other)]).toEqual([other, false]);
    }
    for (const [file, carried] of Object.entries(wasmTexts)) {
      expect([file, text.includes(carried)]).toEqual([file, file === "plain.js"]);
    }
    const { code } = await transform(text, { minify: true, format: "esm" });
    expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(SMALL);
  });
});
