/** A small application of one thread: a pool of structs, and nothing else. */
import { createHeap, f64, struct, u32 } from "wasm-mempool";

const Particle = struct({ x: f64, y: f64, id: u32 });
const pool = createHeap({ maximum: 2 ** 20 }).create({ size: Particle, minNr: 16 });
const particle = Particle.cursor(pool.heap);
const address = pool.alloc();
particle.move(address).x = 1;
pool.free(address);
globalThis.report([pool.outstanding, pool.currNr]);
