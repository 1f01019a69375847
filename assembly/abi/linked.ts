/** The ABI of libwasm_mempool_malloc.a: pools and malloc over one heap. */
export * from "./core";
export * from "./malloc";
export { arena_create, mempool_create } from "./program";
