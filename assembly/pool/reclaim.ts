/**
 * Reclaim: memory that nobody uses goes back to pages, before an alloc, a resize or a create gives up.
 *
 * Returns this thread's cached elements of all pools, and what its magazines have grown into, recalls those of other
 * threads, gives empty slabs and this thread's spare arena chunks back to pages, and finishes pools and arenas that are
 * over. All of it under the lock of the heap's lists, which alloc, resize and trim only try (reclaim), and create and
 * attach wait for, for a bounded time (mayRetry).
 *
 * Costs a look at each pool, at its slabs that have something to give, and at each arena.
 */
import { atomicLoad, DEBUG, MALLOC_ALONE, THREADS } from "../base/atomics";
import { BUSY, fail, heap_error, NO_MEMORY } from "../base/error";
import { heap, numbersGiven, selfNumber, threadAt } from "../base/instance";
import { Arena, BACKEND_BUMP, Epoch, LIFE_MASK, Magazine, NOBODY, Pool, RUN_SHIFT, Thread } from "../base/layout";
import { lock, tryLock, unlock } from "../base/list";
import { arenaForget, arenaTrim } from "../memory/arena";
import { records } from "../memory/geometry";
import { recordFree } from "../memory/records";
import { slabSweepAll } from "../memory/slab";
import { tryEndShared } from "./epoch";
import { recallCached } from "./gate";
import { serve } from "./handoff";
import { emptyMagazine } from "./magazine";
import { firstEpoch, isClosed, isWaiting, ownMagazine } from "./pool";
import { drain } from "./quarantine";
import { destroyIfOver } from "./teardown";

/** How often create or attach tries again while other threads give memory back. */
const CREATE_TRIES: u32 = 16;

/**
 * -1 while another thread is taking or giving back pages, or an element of a slab; else a number that changes when one
 * has done so.
 */
export function workOfOthers(): i64 {
  if (!THREADS) return 0;
  let sum: u64 = 0;
  for (let number: u32 = 0; number < numbersGiven(); number++) {
    const thread = threadAt(number);
    if (number == selfNumber() || !((<u32>atomicLoad<u64>(thread + offsetof<Thread>("life"))) & LIFE_MASK)) continue;
    const run = atomicLoad<u64>(thread + offsetof<Thread>("run"));
    const slab = atomicLoad<u64>(thread + offsetof<Thread>("slab"));
    if (run << (64 - RUN_SHIFT) || <u32>slab) return -1;
    sum += (run >> RUN_SHIFT) + (slab >> 32);
  }
  return <i64>sum;
}

/**
 * Whether an operation that has failed `tries` times before this failure may succeed now: once because reclaim found
 * memory; then while other threads have been at work since workOfOthers returned `seen`, for what they gave back. If
 * one still is at work in the end, the failure becomes BUSY: memory is not known to be gone. May wait for the lock: for
 * create, attach and arenas, never for alloc.
 */
export function mayRetry(tries: u32, seen: i64): bool {
  if (heap_error() != NO_MEMORY) return false;
  if (!lock()) return <bool>fail(BUSY);
  const moved = reclaimAll();
  unlock();
  if (!THREADS || (moved && !tries)) return moved && !tries;
  const now = workOfOthers();
  if (now == seen && now != -1) return false;
  if (tries < CREATE_TRIES) return true;
  if (now == -1) fail(BUSY);
  return false;
}

/** Reclaims for an alloc or a resize of this pool, and counts that. */
export function reclaimFor(m: Magazine): bool {
  m.reclaims++;
  return reclaim();
}

/** True if anything moved. Does nothing while another thread has the lock. */
export function reclaim(): bool {
  if (!tryLock()) return false;
  const moved = reclaimAll();
  unlock();
  return moved;
}

/** The same; the caller has the lock. */
export function reclaimAll(): bool {
  let moved = false;
  for (let at = heap().pools; at;) {
    const pool = changetype<Pool>(at);
    at = pool.next;
    const m = ownMagazine(pool);
    if (DEBUG && drain(pool)) moved = true;
    if (changetype<usize>(m) && emptyMagazine(m)) moved = true;
    for (let e = firstEpoch(pool); e; e = changetype<Epoch>(e).next) {
      const epoch = changetype<Epoch>(e);
      // A bump pool keeps all its memory until it is closed.
      if ((epoch.backend != BACKEND_BUMP || isClosed(pool)) && slabSweepAll(epoch)) moved = true;
    }
    if (!THREADS) continue;
    // Ordering: elements and slabs are back, then `waiting` is read; a waiter stores `waiting`, then searches. Where this
    // thread has no magazine, the waiter looks again by itself.
    if (changetype<usize>(m) && isWaiting(pool)) serve(m);
    recallCached(pool);
    if (isClosed(pool)) tryEndShared(pool);
    destroyIfOver(pool);
  }
  if (slabSweepAll(records())) moved = true;
  for (let at = MALLOC_ALONE ? 0 : heap().arenas; at;) {
    const arena = changetype<Arena>(at);
    at = arena.next;
    if (arena.thread == selfNumber() && arenaTrim(arena)) moved = true;
    if (THREADS && arena.thread == NOBODY) {
      arenaForget(arena);
      recordFree(changetype<usize>(arena));
    }
  }
  return moved;
}
