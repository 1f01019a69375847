/**
 * A thread's handles of pools: attach and detach, and what an idle or a leaving thread returns.
 *
 * A handle is the address of the thread's magazine of the pool. A magazine stays in the pool's table when its thread
 * leaves, with `liveState` 0, `epoch` 0 and the gate shut, and serves the next bearer of the number.
 *
 * attachPool, detachPool and leaveAll may wait for the lock of the heap's lists, for a bounded time, and then refuse
 * with BUSY; settleThread only tries it. Costs a look at each pool's magazine and slabs with something to give.
 */
import { atomicStore, MALLOC_ALONE } from "../base/atomics";
import { BUSY, CLOSED, fail, NO_MEMORY } from "../base/error";
import { heap, selfNumber } from "../base/instance";
import { Arena, GATE_SHUT, Magazine, Pool, STATE_LIVE } from "../base/layout";
import { lock, tryLock, unlock } from "../base/list";
import { arenaDrop } from "../memory/arena";
import { sweepOldEpochs, tryEndShared } from "../pool/epoch";
import { syncGate } from "../pool/gate";
import { serveOrFinish } from "../pool/handoff";
import { createMagazine } from "../pool/lifecycle";
import { adoptEpoch, flush, magazineShrink } from "../pool/magazine";
import { isClosed, magazineAt, ownMagazine, poolOf, roundsIn } from "../pool/pool";
import { mayRetry, workOfOthers } from "../pool/reclaim";
import { destroyIfOver } from "../pool/teardown";
import { leaveQueue } from "./queue";

/**
 * This thread's handle of a pool; 0 if the pool is closed or gone, the lock is not to be had, or memory is gone, also
 * after reclaim. A `serial` other than 0 refuses another pool that has got the address meanwhile.
 */
export function attachPool(address: usize, serial: u32): usize {
  let m: usize;
  let tries: u32 = 0;
  let seen: i64;
  do {
    seen = workOfOthers();
    m = tryAttach(address, serial);
  } while (!m && mayRetry(tries++, seen));
  return m;
}

function tryAttach(address: usize, serial: u32): usize {
  if (!lock()) return fail(BUSY);
  let m: usize = 0;
  let at = heap().pools;
  while (at && at != address) at = changetype<Pool>(at).next;
  const pool = changetype<Pool>(at);
  if (at && !isClosed(pool) && (!serial || pool.serial == serial)) {
    m = magazineAt(pool, selfNumber());
    if (!m) {
      m = changetype<usize>(createMagazine(pool));
      if (!m) fail(NO_MEMORY);
    } else if (!changetype<Magazine>(m).liveState) {
      atomicStore<u64>(m + offsetof<Magazine>("allocLimit"), GATE_SHUT);
      adoptEpoch(changetype<Magazine>(m), pool);
      atomicStore<u32>(m + offsetof<Magazine>("liveState"), STATE_LIVE | selfNumber());
    }
  } else fail(CLOSED);
  unlock();
  return m;
}

/** Gives up the handle and returns what its magazine has cached. False: BUSY. */
export function detachPool(m: Magazine): bool {
  if (!lock()) return <bool>fail(BUSY);
  leave(m);
  unlock();
  return true;
}

/** Empties this thread's magazine and ends its handle. The caller has the lock. */
function leave(m: Magazine): void {
  const pool = poolOf(m);
  leaveQueue(m);
  do {
    flush(m, roundsIn(m));
    // serve leaves an element in the magazine if its waiter is gone by then.
    serveOrFinish(m);
  } while (roundsIn(m));
  sweepOldEpochs(pool);
  atomicStore<u64>(changetype<usize>(m) + offsetof<Magazine>("allocLimit"), GATE_SHUT);
  magazineShrink(m);
  // No epoch's record stays in use for this magazine; the next attach adopts the current one.
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"), 0);
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("liveState"), 0);
  destroyIfOver(pool);
}

/** Returns all that this thread has in the heap but its outstanding elements. False: the lock is not to be had. */
export function leaveAll(): bool {
  if (!lock()) return false;
  for (let at = heap().pools; at;) {
    const pool = changetype<Pool>(at);
    at = pool.next;
    if (changetype<usize>(ownMagazine(pool))) leave(ownMagazine(pool));
  }
  endArenas(selfNumber());
  unlock();
  return true;
}

/** Ends a thread's arenas. The caller has the lock. */
export function endArenas(number: u32): void {
  for (let at = MALLOC_ALONE ? 0 : heap().arenas; at;) {
    const arena = changetype<Arena>(at);
    at = arena.next;
    if (arena.thread == number) arenaDrop(arena);
  }
}

/** For an idle thread: returns what is recalled, and serves waiters, in every pool. False: the lock is taken. */
export function settleThread(): bool {
  if (!tryLock()) return <bool>fail(BUSY);
  settlePools();
  unlock();
  return true;
}

/** The same; the caller has the lock. */
export function settlePools(): void {
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    const m = ownMagazine(pool);
    if (changetype<usize>(m)) {
      syncGate(m);
      serveOrFinish(m);
      sweepOldEpochs(pool);
    } else if (isClosed(pool)) tryEndShared(pool);
  }
}
