import { f32, struct } from "wasm-mempool";

/** What both threads know of an element: change the fields to yours. */
export const Particle = struct({ x: f32, y: f32, vx: f32, vy: f32 });
