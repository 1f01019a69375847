/** Where a backend of the caller's own gets its adapter from, in a program that has imported it. */
import { Feature } from "../core/feature.ts";
import type { BackendAdapter } from "./backend.ts";

export const adapters: Feature<typeof BackendAdapter> = /* @__PURE__ */ new Feature("wasm-mempool/backend");
