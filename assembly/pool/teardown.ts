/**
 * The end of handles and of a pool's own records.
 *
 * A pool's records are freed under the lock of the heap's lists, once no thread has a handle of it and it has ended, or
 * no thread can ever get a handle: it is closed, or its address was never asked for (shareOf). closeHandle only tries
 * the lock; if another thread has it, reclaim frees the records later. Each record leaves its list before it is freed:
 * a thread that dies here leaks it, and nobody frees it twice. Costs a look at each magazine of the pool; dropping
 * slabs, a look at the page map.
 */
import { atomicLoad, atomicStore, compareExchange, DEBUG, THREADS, WITH_MALLOC } from "../base/atomics";
import { heap, heapBase } from "../base/instance";
import { Epoch, Heap, HEAP_CLASS_POOLS, Magazine, Pool } from "../base/layout";
import { listRemove, tryLock, unlock } from "../base/list";
import { ownFree, recordFree } from "../memory/records";
import { slabDropAll } from "../memory/slab";
import { magazineShrink } from "./magazine";
import { firstEpoch, hasEnded, isClosed, magazineAt, poolOf, tableLength, wordOf } from "./pool";
import { freeSlots } from "./reserve";

export function closeHandle(m: Magazine): void {
  const pool = poolOf(m);
  const locked = tryLock();
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("liveState"), 0);
  if (!locked) return;
  destroyIfOver(pool);
  unlock();
}

/**
 * Destroys a pool without handles that has ended, or of which no thread can get a handle: then nobody can free its
 * outstanding elements, and they go with it. The caller has the lock.
 */
export function destroyIfOver(pool: Pool): void {
  if (inUse(pool)) return;
  if (!hasEnded(pool)) {
    if (!THREADS || (pool.isShared && !isClosed(pool))) return;
    atomicStore<u32>(wordOf(pool, offsetof<Pool>("closed")), 1);
    for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) slabDropAll(changetype<Epoch>(at));
  }
  destroy(pool);
}

function inUse(pool: Pool): bool {
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m && atomicLoad<u32>(m + offsetof<Magazine>("liveState"))) return true;
  }
  return false;
}

/** The caller has the lock. */
function destroy(pool: Pool): void {
  if (THREADS && WITH_MALLOC) {
    const sizeClass = changetype<Epoch>(pool.epoch).sizeClass;
    // What threads took without a handle (takenAt) stays: it is of the pool that the class's word names, if not this one.
    if (sizeClass) compareExchange<u32>(heapBase() + HEAP_CLASS_POOLS + (sizeClass << 2), changetype<u32>(pool), 0);
  }
  freeRecords(pool);
  listRemove(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount--;
  recordFree(changetype<usize>(pool));
}

/** Frees the records that a pool refers to. */
export function freeRecords(pool: Pool): void {
  for (let thread: u32 = 0; pool.magazines && thread < tableLength(pool); thread++) {
    const at = magazineAt(pool, thread);
    if (!at) continue;
    if (THREADS) store<u32>(pool.magazines + (thread << 2), 0);
    else pool.magazines = 0;
    const m = changetype<Magazine>(at);
    magazineShrink(m);
    if (m.waiters) recordFree(m.waiters);
    recordFree(at);
  }
  if (DEBUG && pool.quarantine) {
    const quarantine = pool.quarantine;
    pool.quarantine = 0;
    ownFree(quarantine);
  }
  const table = pool.magazines;
  pool.magazines = 0;
  if (THREADS && table) recordFree(table);
  while (pool.epochs) {
    const epoch = changetype<Epoch>(pool.epochs);
    pool.epochs = epoch.next;
    freeSlots(epoch);
    recordFree(changetype<usize>(epoch));
  }
}
