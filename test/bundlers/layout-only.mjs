/** An application that computes struct layouts and has no use for the allocator. */
import { struct, u32, u64 } from "wasm-mempool";

globalThis.report(struct({ a: u32, b: u64 }).sizeof);
