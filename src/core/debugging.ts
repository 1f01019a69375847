/** The debug heap, as the rest of the bindings know it. The folder `debug` has it. */
import type { HeapContext } from "./context.ts";
import type { DebugHeap, DebugOptions } from "./debug-types.ts";
import { Feature } from "./feature.ts";
import type { InlinedModule } from "./modules.ts";

export interface Debugging {
  readonly imported: InlinedModule;
  readonly shared: InlinedModule;
  check(apiName: string, options: true | DebugOptions): DebugOptions;
  start(context: HeapContext, options: DebugOptions): DebugHeap;
}

export const debugging: Feature<Debugging> = /* @__PURE__ */ new Feature("wasm-mempool/debug");

/** For a new heap, or one that this thread has joined: it is a debug heap if its core is one. */
export function startDebug(apiName: string, context: HeapContext, options: DebugOptions | undefined): void {
  if ("debug_site" in context.core) context.debug = debugging.get(apiName).start(context, options ?? {});
}
