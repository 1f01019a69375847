/** The ABI of the build with threads: everything of index.ts, and what only threads need. */
export * from "./index";
export {
  heap_detach,
  heap_find_thread,
  heap_nudge,
  heap_settle,
  heap_thread,
  mempool_attach,
  mempool_detach,
  mempool_ended,
  mempool_pool,
} from "./threads";
export { heap_sleep, mempool_alloc_wait, mempool_wait_begin, mempool_wait_end } from "./wait";
export { heap_reap, mempool_next_live } from "./reap";
