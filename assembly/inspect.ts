/**
 * What the core does not need to allocate: the checker, and numbers. A module of its own, over the memory of the heap it
 * looks at.
 */
export { heap_check } from "./check";
export { arena_stats, heap_left, heap_stats, mempool_dip, mempool_stats } from "./stats";
