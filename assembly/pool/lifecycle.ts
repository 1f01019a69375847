/**
 * The life of a pool: create, a thread's magazine, exit.
 *
 * A pool is in the heap's list before its reserve is filled, with its creator as `resizer`: if that thread dies, the
 * reaper ends the pool, as long as `initialised` is 0. After exit the pool allocates nothing; it ends when its last
 * element is returned (epoch.ts), and its records go with its last handle (teardown.ts).
 *
 * createPool may wait for the lock of the heap's lists, for a bounded time, and then refuses with BUSY. Exit only tries
 * it. Create costs minNr elements, exit a look at the slabs of all epochs.
 */
import {
  atomicAdd,
  atomicLoad,
  atomicStore,
  compareExchange,
  DEBUG,
  MALLOC_ALONE,
  THREADS,
  WAITS,
} from "../base/atomics";
import { BAD_ARGUMENT, BUSY, fail, NO_MEMORY } from "../base/error";
import { heap, heapBase, selfNumber } from "../base/instance";
import { BACKEND_EXTERNAL, Cache, Heap, Magazine, Pool, STATE_LIVE, WOKEN_CLOSED } from "../base/layout";
import { listPush, lock, unlock } from "../base/list";
import { recordAlloc, recordFree } from "../memory/records";
import { slabSweepAll } from "../memory/slab";
import { makeEpoch, tryEnd } from "./epoch";
import { nudgeCachers, shutGates, syncGate } from "./gate";
import { serveOrFinish, wakeAll } from "./handoff";
import { adoptEpoch } from "./magazine";
import { hasEnded, isClosed, poolOf, taken, wordOf } from "./pool";
import { drain, makeQuarantine } from "./quarantine";
import { mayRetry, workOfOthers } from "./reclaim";
import { errorOf, fillIn } from "./resize";
import { closeHandle, freeRecords } from "./teardown";

/** A pool with minNr elements in its reserve, as this thread's handle. Null: nothing has changed. */
export function createPool(size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Magazine {
  const error = backend > BACKEND_EXTERNAL || minNr > maxNr ? BAD_ARGUMENT : errorOf(size, align, minNr);
  if (error) return changetype<Magazine>(<usize>fail(error));
  let m: Magazine;
  let tries: u32 = 0;
  let seen: i64;
  do {
    seen = workOfOthers();
    m = tryCreate(size, align, minNr, maxNr, backend);
  } while (!changetype<usize>(m) && mayRetry(tries++, seen));
  return m;
}

function tryCreate(size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Magazine {
  const none = changetype<Magazine>(0);
  const pool = changetype<Pool>(recordAlloc());
  if (!changetype<usize>(pool)) return changetype<Magazine>(<usize>fail(NO_MEMORY));
  pool.resizer = selfNumber() + 1;
  pool.serial = atomicAdd<u32>(heapBase() + offsetof<Heap>("serials"), 1) + 1;
  if (THREADS) pool.magazines = recordAlloc();
  const epoch = makeEpoch(pool, size, align, minNr, maxNr, backend);
  let m = none;
  if ((!THREADS || pool.magazines) && changetype<usize>(epoch)) {
    pool.epoch = changetype<usize>(epoch);
    if (DEBUG && epoch.guard) makeQuarantine(pool, epoch, false);
    m = createMagazine(pool);
  }
  const locked = changetype<usize>(m) && lock();
  if (!locked) {
    fail(changetype<usize>(m) ? BUSY : NO_MEMORY);
    freeRecords(pool);
    recordFree(changetype<usize>(pool));
    return none;
  }
  listPush(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount++;
  unlock();
  // A class's pool begins without a reserve.
  if (!MALLOC_ALONE && !fillIn(pool, epoch)) {
    // Another thread may have a slab in hand (reclaim): then the pool ends later, and no thread has a handle.
    if (exitPool(m)) closeHandle(m);
    return changetype<Magazine>(<usize>fail(NO_MEMORY));
  }
  pool.initialised = 1;
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("resizer")), 0);
  syncGate(m);
  return m;
}

/** A magazine of this thread for a pool in which the thread never had one; null if memory is gone. */
export function createMagazine(pool: Pool): Magazine {
  const m = changetype<Magazine>(recordAlloc());
  if (!changetype<usize>(m)) return m;
  const waiters = WAITS ? recordAlloc() : 0;
  if (WAITS && !waiters) {
    recordFree(changetype<usize>(m));
    return changetype<Magazine>(0);
  }
  m.waiters = waiters;
  m.allocLimit = -1;
  // Complete for other threads, and for the next bearer of this number, before the table publishes it.
  m.pool = changetype<usize>(pool);
  if (THREADS) {
    atomicStore<u32>(pool.magazines + (selfNumber() << 2), <u32>changetype<usize>(m));
    const lengthAt = wordOf(pool, offsetof<Pool>("tableLength"));
    let length: u32;
    do {
      length = atomicLoad<u32>(lengthAt);
    } while (length <= selfNumber() && !compareExchange<u32>(lengthAt, length, selfNumber() + 1));
  } else pool.magazines = changetype<usize>(m);
  // Ordering: after the table publishes the magazine. So a thread that reshapes sees the epoch that this magazine
  // names, or the new one is seen here (isReusable).
  adoptEpoch(m, pool);
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("liveState"), STATE_LIVE | selfNumber());
  return m;
}

/**
 * Closes the pool: it allocates nothing more, its waiters wake, and its reserve and this thread's magazine return to
 * the slabs. Returns how many elements are outstanding or cached by other threads; they stay valid, and the free of the
 * last ends the pool. 0: the pool has ended, and the handle is gone.
 */
export function exitPool(m: Magazine): u32 {
  const pool = poolOf(m);
  const first = !isClosed(pool);
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("closed")), 1);
  shutGates(pool);
  if (WAITS) wakeAll(pool, WOKEN_CLOSED);
  if (THREADS && first) nudgeCachers(pool);
  const ended = tryEnd(m);
  if (!ended && !hasEnded(pool)) return max<u32>(1, taken(pool));
  closeHandle(m);
  return 0;
}

/** Makes every thread take the slow path at its next call: after a host has written Faults. */
export function refreshPool(m: Magazine): void {
  const pool = poolOf(m);
  // Else what comes out of quarantine would serve the call that is to be refused, and so would a slab that reclaim finds.
  if (DEBUG && pool.faults) drain(pool);
  shutGates(pool);
  syncGate(m);
  if (pool.faults) slabSweepAll(changetype<Cache>(m.epoch));
  if (THREADS) serveOrFinish(m);
}
