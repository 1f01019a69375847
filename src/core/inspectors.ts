/** The inspector's modules, as the package carries them. */
import { inspectImported } from "../generated/inspect-imported.ts";
import { inspectShared } from "../generated/inspect-shared.ts";
import type { InlinedModule } from "./modules.ts";

const option = "createHeap({ inspector })";

export const importedInspector: InlinedModule = {
  file: "inspect.imported.wasm",
  option,
  text: inspectImported,
  compiled: undefined,
};
export const sharedInspector: InlinedModule = {
  file: "inspect.shared.wasm",
  option,
  text: inspectShared,
  base: inspectImported,
  compiled: undefined,
};
