/** The allocator alone, to weigh it: what one must export to give out memory and take it back. */
export { heap_create } from "../../../assembly/index";
export { mempool_alloc, mempool_create, mempool_free } from "../../../assembly/mempool";
