/** The inspector: a second module over the same memory, which reads a heap's statistics and checks its structures. */
import type { Inspector } from "./abi.ts";
import { Feature } from "./feature.ts";
import { compile, type InlinedModule } from "./modules.ts";
import type { WasmMemory, WasmModule } from "./types.ts";
import { invalid } from "./validate.ts";

/** The modules, for the two kinds of memory. */
export const inspectors: Feature<{ readonly imported: InlinedModule; readonly shared: InlinedModule }> =
  /* @__PURE__ */ new Feature("wasm-mempool/inspect");

/** Those of debug heaps, whose structures differ. */
export const debugInspectors: typeof inspectors = /* @__PURE__ */ new Feature("wasm-mempool/debug");

/** Control flow must not need the inspector: some hosts cannot compile it, and some programs do not ship it. */
export class Inspection {
  /** The compiled module that the caller gave. */
  readonly module: WasmModule | undefined;
  readonly #memory: WasmMemory;
  readonly #kind: "imported" | "shared";
  #exports: Inspector | undefined;

  constructor(memory: WasmMemory, isShared: boolean, module: WasmModule | undefined) {
    this.#memory = memory;
    this.#kind = isShared ? "shared" : "imported";
    this.module = module;
  }

  /**
   * Compiles and instantiates the module at the first call.
   *
   * @throws `ERR_NOT_IMPORTED`, `ERR_NO_WASM`, `ERR_NO_MEMORY`, `ERR_INVALID_ARGUMENT`.
   */
  exports(apiName: string): Inspector {
    if (this.#exports) return this.#exports;
    const module = this.module ?? compile(apiName, inspectors.get(apiName)[this.#kind]);
    try {
      const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
      return (this.#exports = exports as unknown as Inspector);
    } catch (cause) {
      invalid(`${apiName}: inspector does not go with the memory`, { cause });
    }
  }
}
