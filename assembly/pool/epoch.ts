/**
 * Epochs. An epoch is the era in which a pool's elements have one size (it has nothing to do with epoch-based
 * reclamation): a cache with its own slabs, and a reserve. The page map names the epoch of each slab, so an element of
 * an old size returns to its own slab, from any thread. The pool allocates nothing more from an old epoch: its minNr is
 * 0, its reserve is emptied, and its slabs go back to pages as they become empty.
 *
 * Owns the pool's list of epochs, which only grows while the pool lives, so that any thread may walk it; and the check
 * for a pool's end. Only the pool's `resizer` makes and ends epochs, or the thread that reaps it. An epoch has no slab
 * and never gets one again once its `capacity` is ENDED, by a compare-exchange from 0; then, if no magazine names it,
 * its record serves a later epoch. A closed pool ends when all its epochs are ENDED.
 *
 * Invariants (lookAtEpochs and checkPool of inspect/check.ts): the list has the current epoch; any other has minNr 0.
 *
 * Calls reserve, magazine and slabs. Waits for no thread. tryEnd costs a look at the slabs of each epoch.
 */
import { atomicLoad, atomicStore, compareExchange, DEBUG } from "../base/atomics";
import { beginThreadTransit, endThreadTransit } from "../base/intent";
import { BACKEND_EXTERNAL, Cache, ENDED, Epoch, Magazine, Pool } from "../base/layout";
import { guardFor } from "../debug/trace";
import { elementReturn } from "../memory/elements";
import { cacheInit, stateIn } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { recordAlloc } from "../memory/records";
import { slabSweepAll } from "../memory/slab";
import { giveCached } from "./magazine";
import { current, firstEpoch, isClosed, magazineAt, poolOf, tableLength, wordOf } from "./pool";
import { drain, makeQuarantine } from "./quarantine";
import { makeSlots, reserveTake, reserveTrim, setMinNr } from "./reserve";
import { sampleRate } from "./sample";

/** With a backend: the elements are guarded, although those of the pool are not. */
const GUARDED: u32 = 1 << 31;

/**
 * A new epoch, in the pool's list but not yet current, with an empty reserve of minNr slots; null if memory is gone or
 * the pool is closed. Reuses the record of an epoch that is over, if there is one.
 */
export function makeEpoch(pool: Pool, size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Epoch {
  let at = firstEpoch(pool);
  while (at && !isReusable(pool, changetype<Epoch>(at))) at = changetype<Epoch>(at).next;
  const used = at != 0;
  if (!used) at = recordAlloc();
  const epoch = changetype<Epoch>(at);
  if (!at) return epoch;
  if (DEBUG) {
    const isGuarded = backend & GUARDED || (backend != BACKEND_EXTERNAL && !sampleRate());
    backend &= ~GUARDED;
    epoch.guard = isGuarded ? guardFor(size) : 0;
    atomicStore<u32>(at + offsetof<Epoch>("sampled"), 0);
    cacheInit(epoch, size + epoch.guard, align);
  } else cacheInit(epoch, size, align);
  epoch.maxNr = maxNr;
  epoch.size = size;
  epoch.lowestCurrNr = epoch.lowWatermark = minNr;
  epoch.unfilled = 0;
  if (!used) {
    // The same for all epochs of a pool, so a reused record has them.
    epoch.backend = backend;
    epoch.pool = changetype<usize>(pool);
    epoch.capacity = ENDED;
    epoch.next = firstEpoch(pool);
    atomicStore<u32>(wordOf(pool, offsetof<Pool>("epochs")), <u32>at);
  }
  if (!makeSlots(epoch, minNr)) return changetype<Epoch>(0);
  atomicStore<u32>(at + offsetof<Epoch>("capacity"), 0);
  // Ordering: capacity is stored, then `closed` is read; a thread that closes the pool stores `closed`, then reads
  // capacity (isVacant). At least one of them sees the other, so no slab is made after the pool's end.
  if (isClosed(pool)) return changetype<Epoch>(0);
  setMinNr(epoch, minNr);
  return epoch;
}

/** Makes the epoch of an epoch's sampled elements, for the pool's resizer. The pool has none if memory is gone. */
export function makeSampled(pool: Pool, epoch: Epoch): void {
  const sampled = makeEpoch(pool, epoch.size, epoch.align, 0, -1, epoch.backend | GUARDED);
  if (!changetype<usize>(sampled)) return;
  if (!pool.quarantine) makeQuarantine(pool, sampled, true);
  // Ordering: complete before other threads take from it.
  atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("sampled"), changetype<u32>(sampled));
}

/** The epoch of an epoch's sampled elements; null: it has none. */
@inline
export function sampledOf(epoch: usize): Epoch {
  return changetype<Epoch>(<usize>atomicLoad<u32>(epoch + offsetof<Epoch>("sampled")));
}

/** Whether an epoch is that of the current one's sampled elements. */
@inline
export function isSampledNow(pool: Pool, epoch: Cache): bool {
  return DEBUG && changetype<Cache>(sampledOf(changetype<usize>(current(pool)))) == epoch;
}

/** Whether an epoch is over and its record may serve another: it has no slab, and no magazine names it (adoptEpoch). */
function isReusable(pool: Pool, epoch: Epoch): bool {
  if (DEBUG && isSampledNow(pool, epoch)) return false;
  if (epoch == current(pool) || !isVacant(epoch)) return false;
  for (let thread: u32 = 0; thread < tableLength(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m && <usize>atomicLoad<u32>(m + offsetof<Magazine>("epoch")) == changetype<usize>(epoch)) return false;
    if (DEBUG && m && isSampledBy(changetype<Magazine>(m), epoch)) return false;
  }
  return true;
}

/** Whether an epoch is that of the sampled elements of the epoch that a magazine names. */
function isSampledBy(m: Magazine, epoch: Epoch): bool {
  const named = <usize>atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"));
  return named != 0 && sampledOf(named) == epoch;
}

/** Sets `capacity` to ENDED if the epoch, which is over or of a closed pool, has no slab; whether it is ENDED. */
function isVacant(epoch: Epoch): bool {
  const capacityAt = changetype<usize>(epoch) + offsetof<Epoch>("capacity");
  const capacity = atomicLoad<u32>(capacityAt);
  return capacity == ENDED || (!capacity && compareExchange<u32>(capacityAt, 0, ENDED));
}

/** Gives empty slabs of old epochs back to pages; one that another thread has in hand stays until the next call. */
export function sweepOldEpochs(pool: Pool): void {
  for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) {
    const epoch = changetype<Epoch>(at);
    if (epoch != current(pool)) slabSweepAll(epoch);
  }
}

/** Ends an epoch: its reserve returns to its slabs, as does from now on each of its elements that is freed. */
export function endEpoch(epoch: Epoch): void {
  setMinNr(epoch, 0);
  reserveTrim(epoch);
  slabSweepAll(epoch);
  const sampled = DEBUG ? sampledOf(changetype<usize>(epoch)) : changetype<Epoch>(0);
  if (DEBUG && changetype<usize>(sampled)) slabSweepAll(sampled);
}

/** Ends all epochs but the current one: for a thread that died while it made or ended one. */
export function endOthers(pool: Pool): void {
  for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) {
    if (at != pool.epoch) endEpoch(changetype<Epoch>(at));
  }
}

/** Returns all of a reserve to the slabs, but for an external backend's: its host empties it (drainBoxes). */
function emptyReserve(epoch: Epoch): void {
  if (epoch.backend == BACKEND_EXTERNAL) return;
  const transit = beginThreadTransit();
  for (let element = reserveTake(epoch, false); element; element = reserveTake(epoch, false)) {
    const entry = entryAt(element);
    elementReturn(entry, stateIn(entry, element));
  }
  endThreadTransit(transit);
}

/** Empties the reserve and this thread's magazine of a closed pool. True, once in the pool's life, if that ended it. */
export function tryEnd(m: Magazine): bool {
  const pool = poolOf(m);
  giveCached(m);
  return tryEndShared(pool);
}

/** The same for a thread without a magazine of the pool. */
export function tryEndShared(pool: Pool): bool {
  if (DEBUG) drain(pool);
  let all = true;
  for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) {
    const epoch = changetype<Epoch>(at);
    emptyReserve(epoch);
    slabSweepAll(epoch);
    if (!isVacant(epoch)) all = false;
  }
  return all && compareExchange<u32>(wordOf(pool, offsetof<Pool>("ended")), 0, 1);
}
