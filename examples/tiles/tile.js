import { array, struct, u32, u8 } from "wasm-mempool";

export const SIDE = 64;
export const Tile = struct({ column: u32, row: u32, rgba: array(u8, SIDE * SIDE * 4) });
