/** The core's modules without the bindings, as another host uses them: see include/wasm_mempool.h. */
import { readFileSync } from "node:fs";

const compiled = new Map<string, WebAssembly.Module>();

/** A module of build/, by its name without ".wasm"; compiled once. */
export function moduleOf(name: string): WebAssembly.Module {
  let module = compiled.get(name);
  if (!module) {
    module = new WebAssembly.Module(readFileSync(new URL(`../build/${name}.wasm`, import.meta.url)));
    compiled.set(name, module);
  }
  return module;
}

/** The modules of one core: that of a shared heap is shipped in two halves. */
export const halvesOf = (name: string): readonly string[] =>
  name === "core.shared" ? [name, "control.shared"] : [name];

/** Whether the ABI has an export: the names by which one half of a core imports functions of the other do not count. */
export const isOfAbi = (name: string): boolean => !name.startsWith("_");

/** The exports of a core or an inspector, whether it is in two halves or not. */
export function instantiate<Exports>(name: string, memory?: WebAssembly.Memory): Exports {
  const env = memory ? { memory } : {};
  const exports: WebAssembly.ModuleImports = {};
  for (const half of halvesOf(name)) {
    Object.assign(exports, new WebAssembly.Instance(moduleOf(half), { env, core: { ...exports } }).exports);
  }
  return exports as Exports;
}
