/** The ABI of libwasm_mempool_malloc_shared.a: pools and malloc over one heap, for several threads. */
export * from "./shared";
export * from "./malloc";
export { arena_create, mempool_attach, mempool_create } from "./program";
