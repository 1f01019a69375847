/** The core's layout, for tests that read its structures: compiled from assembly/, so that it changes with them. */
import { readFileSync } from "node:fs";
import { build } from "../../scripts/build.mjs";

await build({ only: ["layout"] });
const module = new WebAssembly.Module(readFileSync(new URL("../../build/layout.wasm", import.meta.url)));
const { exports } = new WebAssembly.Instance(module);

/** An offset in bytes, or a value, by its name in assembly/layout.ts beside this file. */
export function layout(name: string): number {
  const found = exports[name];
  if (!(found instanceof WebAssembly.Global)) throw new Error(`test/layout/assembly/layout.ts exports no ${name}`);
  return found.value as number;
}
