/**
 * The checker and the statistics: a module of its own, over the memory of the heap that it inspects, so that the core
 * stays small.
 */
export { heap_check } from "../inspect/check";
export { heap_next_run, mempool_waiters } from "../inspect/map";
export { mempool_owner } from "../inspect/owner";
export { heap_next_pool } from "../inspect/pools";
export { arena_stats, heap_next_live, heap_stats, mempool_stats } from "../inspect/stats";
