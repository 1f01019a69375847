/** The core's allocator alone, to weigh it: the exports that give out memory and take it back. */
export { heap_create, mempool_alloc, mempool_create, mempool_free } from "./core";
