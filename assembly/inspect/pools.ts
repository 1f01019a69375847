/**
 * The pools of a heap, for tools that have no handle of them: of a dead program's memory, of a guest's. Reads only, and
 * checks addresses before it uses them: other threads may be at work.
 */
import { beginVisit, endVisit, heap } from "../base/instance";
import { Epoch, Pool, RECORD } from "../base/layout";
import { magazineAt, tableLength } from "../pool/pool";
import { isHeap } from "../threads/life";
import { isRecordIn } from "./within";

/** The pool after `after` in the heap's list, the first after 0; or 0. See include/wasm_mempool.h for the words at `at`. */
export function heap_next_pool(address: usize, after: usize, at: usize): usize {
  if (!isHeap(address)) return 0;
  beginVisit(address);
  const next = nextPool(after, at);
  endVisit();
  return next;
}

function nextPool(after: usize, at: usize): usize {
  const next = !after ? heap().pools : isRecordIn(after) ? changetype<Pool>(after).next : 0;
  if (!isRecordIn(next)) return 0;
  const pool = changetype<Pool>(next);
  const epoch = changetype<Epoch>(pool.epoch);
  if (!isRecordIn(changetype<usize>(epoch)) || !isRecordIn(pool.magazines)) return 0;
  let handle: usize = 0;
  const threads = min<u32>(tableLength(pool), RECORD >> 2);
  for (let thread: u32 = 0; !handle && thread < threads; thread++) handle = magazineAt(pool, thread);
  store<u32>(at, pool.serial);
  store<u32>(at, isRecordIn(handle) ? <u32>handle : 0, 4);
  store<u32>(at, pool.closed | (u32(pool.waiting != 0) << 1), 8);
  store<u32>(at, epoch.maxNr, 12);
  store<u32>(at, epoch.backend, 16);
  store<u32>(at, epoch.align, 20);
  return next;
}
