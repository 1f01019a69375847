/** The modules of debug heaps, as the package carries them. */
import type { InlinedModule } from "../core/modules.ts";
import { debugImported } from "../generated/debug-imported.ts";
import { debugShared } from "../generated/debug-shared.ts";

export const importedDebugCore: InlinedModule = {
  file: "debug.imported.wasm",
  option: "module",
  text: debugImported,
  compiled: undefined,
};
export const sharedDebugCore: InlinedModule = {
  file: "debug.shared.wasm",
  option: "module",
  text: debugShared,
  compiled: undefined,
};
