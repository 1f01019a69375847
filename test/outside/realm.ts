/** The library in a realm of its own, with the globals that a test wants. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createContext, runInContext, type Context } from "node:vm";
import { buildSync } from "esbuild";

const { outputFiles } = buildSync({
  stdin: {
    contents: 'export * from "./index.ts"; import "./inspect.ts"; import "./backend.ts";',
    resolveDir: fileURLToPath(new URL("../../src", import.meta.url)),
  },
  bundle: true,
  format: "iife",
  globalName: "lib",
  target: "es2022",
  write: false,
});
const bundle = outputFiles[0]!.text;

/** One of the package's modules, compiled in this realm. */
export const moduleIn = (name: string): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url)));

export interface Realm {
  readonly context: Context;
  /** Evaluates in the realm, where `lib` is the library. */
  run<T = any>(code: string, globals?: object): T;
}

/** `before` runs in the realm before the library does. */
export function realm({ globals = {}, before = "", compiles = true } = {}): Realm {
  const context = createContext({ ...globals }, { codeGeneration: { strings: false, wasm: compiles } });
  const run = (code: string, more: object = {}) => {
    Object.assign(context, more);
    return runInContext(code, context);
  };
  run(before);
  run(bundle);
  return { context, run };
}

/** A function for realms: what a call throws, as a plain object of this realm or any. */
export const thrown = `(call) => {
  try { call(); } catch (e) { return { isOurs: e instanceof lib.MempoolError, code: e.code, message: e.message }; }
  return { code: "none" };
}`;
