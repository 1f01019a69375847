import { f32, struct } from "wasm-mempool";
export const Voice = struct({ step: f32, phase: f32, level: f32 });
