/**
 * The mempool: minNr elements set aside in advance, and the order in which alloc and free use them.
 *
 * Owns the Pool, the gate, the order of alloc and free, exit and reclaim. Calls reserve, cache, slab and pages; wait to
 * serve who is in line; bump's arenas only to trim them.
 *
 *   alloc:  magazine -> slabs, pages, growth -> reserve -> reclaim, then slabs again -> 0
 *   free:   reserve, while it is short -> who waits -> magazine -> slabs
 *
 * Invariants (check.ts walks them), for each pool that is not closed:
 * - currNr + outstanding >= minNr, from create to exit: nothing leaves the reserve but by being handed out, and no free
 *   goes anywhere else while the reserve is short;
 * - cached + reserved + live <= room <= maxNr.
 *
 * The gate. A thread's hit path looks at two words only that another may write: how low an alloc, and how high a free,
 * may take its own magazine. Whatever needs attention, `short`, `waiting` or `closed`, is first said in the pool, and
 * then the gates of all its magazines are shut. Who finds its gate shut goes the slow way, where `settle` opens it again
 * if nothing is the matter, and then looks again: so a gate shut at the same time stays shut.
 *
 * Who may wait for another thread: create, attach, detach, exit (for the lock of the heap's lists). Nobody else.
 */
import { atomicAdd, atomicLoad, atomicStore, atomicSwap, CHECKED, THREADS } from "./atomics";
import { arenaForget, arenaTrim } from "./bump";
import {
  cachedBy,
  flush,
  magazineEnd,
  magazineInit,
  magazineOf,
  magazineShrink,
  makeRoom,
  popRound,
  pushRound,
  refill,
  roundsIn,
} from "./cache";
import {
  Arena,
  BACKEND_BUMP,
  BACKEND_HOST,
  ENDED,
  Epoch,
  GATE_SHUT,
  heap,
  Heap,
  heapBase,
  Magazine,
  MAX_ALIGN,
  MAX_SIZE,
  NOBODY,
  PAGE_SHIFT,
  Pool,
  ROUND,
  selfNumber,
  STATE_LIVE,
  STATE_MARK,
  STATE_NEVER,
  TAG_MASK,
} from "./layout";
import { listPush, listRemove, lock, tryLock, unlock } from "./list";
import { entryAt, entryIn, leafAt } from "./pages";
import {
  freeSlots,
  makeSlots,
  minNr,
  missing,
  reserveFill,
  reservePut,
  reserveTake,
  reserveTrim,
  setMinNr,
} from "./reserve";
import {
  cacheInit,
  cacheOf,
  elementReturn,
  elementTake,
  firstElement,
  indexOf,
  recordAlloc,
  recordFree,
  records,
  slabSweepAll,
  slabSweepOld,
  slabOf,
  stateAt,
  stateOf,
} from "./slab";
import { isWaiting, nudgeAll, serve, wakeAll } from "./wait";

/* What free returns. Error codes are negative and part of the ABI. */
export const FREED: i32 = 0;
/** The last element of a closed pool came home: the pool is gone. */
export const FREED_LAST: i32 = 1;
export const FOREIGN_FREE: i32 = -1;
export const DOUBLE_FREE: i32 = -2;
export const INTERIOR_FREE: i32 = -3;
export const MISALIGNED_FREE: i32 = -4;
export const INVALID_ADDRESS: i32 = -5;
export const CLOSED: i32 = -6;
/** Another thread is just resizing or reshaping the pool; there is no memory. */
export const NOT_NOW: i32 = -7;
export const NO_MEMORY: i32 = -8;
/** Of a host's own backend: the element is the host's to take back, by mempool_uncell. It is still out. */
export const UNWANTED: i32 = 2;

/** The reserve's array must not outgrow an i32 of bytes. */
const MAX_MIN_NR: u32 = 1 << 28;


@inline
export function poolOf(m: Magazine): Pool {
  return changetype<Pool>(m.pool);
}


@inline
function wordOf(pool: Pool, field: usize): usize {
  return changetype<usize>(pool) + field;
}


@inline
export function isClosed(pool: Pool): bool {
  return atomicLoad<u32>(wordOf(pool, offsetof<Pool>("closed"))) != 0;
}


@inline
function isShort(pool: Pool): bool {
  return atomicLoad<u32>(wordOf(pool, offsetof<Pool>("short"))) != 0;
}

/** How many magazines a pool may have, by number of thread. */
@inline
export function places(pool: Pool): u32 {
  return THREADS ? atomicLoad<u32>(wordOf(pool, offsetof<Pool>("places"))) : 1;
}

/** A pool's magazine of a thread, also one that has left; 0 if it never came. */
@inline
export function magazineAt(pool: Pool, thread: u32): usize {
  return THREADS ? atomicLoad<u32>(pool.magazines + (thread << 2)) : pool.magazines;
}

/** This thread's magazine of a pool; null if it has none. */
export function mine(pool: Pool): Magazine {
  const m = pool.magazines ? magazineAt(pool, selfNumber()) : 0;
  return changetype<Magazine>(m && (!THREADS || changetype<Magazine>(m).live) ? m : 0);
}

/** The epoch that a pool's elements are handed out of. */
@inline
function current(pool: Pool): Epoch {
  return changetype<Epoch>(<usize>atomicLoad<u32>(wordOf(pool, offsetof<Pool>("epoch"))));
}

/** Whether a thread's magazine is of an epoch that is over. */
@inline
function isStale(m: Magazine): bool {
  return changetype<usize>(current(poolOf(m))) != m.epoch;
}

/** A pool with its reserve filled, as this thread's handle, or 0: then nothing has changed. Fills the reserve. */
export function mempool_create(size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Magazine {
  const none = changetype<Magazine>(0);
  if (backend > BACKEND_HOST || !isPossible(size, align, minNr) || minNr > maxNr) return none;
  const m = tryCreate(size, align, minNr, maxNr, backend);
  return changetype<usize>(m) || !reclaim() ? m : tryCreate(size, align, minNr, maxNr, backend);
}

/** Whether these are numbers, and what no heap of this size can hold need not make it grow. */
function isPossible(size: u32, align: u32, minNr: u32): bool {
  if (size - 1 >= MAX_SIZE || align - 1 >= MAX_ALIGN || align & (align - 1) || minNr > MAX_MIN_NR) return false;
  return <u64>minNr * size <= (<u64>heap().maxPages) << PAGE_SHIFT;
}

function tryCreate(size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Magazine {
  const none = changetype<Magazine>(0);
  const pool = changetype<Pool>(recordAlloc());
  if (!changetype<usize>(pool)) return none;
  pool.maker = selfNumber() + 1;
  if (THREADS) pool.magazines = recordAlloc();
  const epoch = makeEpoch(pool, size, align, minNr, maxNr, backend);
  let m = none;
  if ((!THREADS || pool.magazines) && changetype<usize>(epoch)) {
    pool.epoch = changetype<usize>(epoch);
    m = attach(pool);
  }
  if (!changetype<usize>(m) || !lock()) {
    freeRecords(pool);
    recordFree(changetype<usize>(pool));
    return none;
  }
  listPush(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount++;
  unlock();
  if (!fillIn(pool, epoch)) {
    mempool_exit(m);
    return none;
  }
  pool.made = 1;
  pool.maker = 0;
  settle(m);
  return m;
}

/** The reserve of a host's pool is filled by the host. */
@inline
function fillIn(pool: Pool, epoch: Epoch): bool {
  if (epoch.backend != BACKEND_HOST) return reserveFill(epoch);
  nowShort(pool);
  return true;
}

/**
 * A new epoch, in the pool's list but not yet current, with slots for minNr elements and none in them; null if there is no
 * memory. Takes the record of one that is over, if no thread has it in its magazine: the list only grows, so that anybody
 * may go along it at any time.
 */
function makeEpoch(pool: Pool, size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Epoch {
  let at = firstEpoch(pool);
  while (at && !isOver(pool, changetype<Epoch>(at))) at = changetype<Epoch>(at).next;
  const used = at != 0;
  if (!used) at = recordAlloc();
  const epoch = changetype<Epoch>(at);
  if (!at) return epoch;
  cacheInit(epoch, size, align);
  epoch.maxNr = maxNr;
  epoch.size = size;
  epoch.lowestCurrNr = epoch.dip = minNr;
  epoch.unfilled = 0;
  if (!used) {
    // All epochs of a pool have these in common.
    epoch.backend = backend;
    epoch.pool = changetype<usize>(pool);
    epoch.room = ENDED;
    epoch.next = firstEpoch(pool);
    atomicStore<u32>(wordOf(pool, offsetof<Pool>("epochs")), <u32>at);
  }
  if (!makeSlots(epoch, minNr)) return changetype<Epoch>(0);
  atomicStore<u32>(at + offsetof<Epoch>("room"), 0);
  // Who closes the pool says so, then looks at the room: of the two, one sees the other.
  if (isClosed(pool)) return changetype<Epoch>(0);
  setMinNr(epoch, minNr);
  return epoch;
}


@inline
export function firstEpoch(pool: Pool): usize {
  return <usize>atomicLoad<u32>(wordOf(pool, offsetof<Pool>("epochs")));
}

/** Whether an epoch's elements are all home, so that its record may serve another. */
function isOver(pool: Pool, epoch: Epoch): bool {
  if (epoch == current(pool) || !hasEmptied(epoch)) return false;
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m && <usize>atomicLoad<u32>(m + offsetof<Magazine>("epoch")) == changetype<usize>(epoch)) return false;
  }
  return true;
}

/** Whether an epoch that is over, or whose pool is closed, has no slab, and from here on never has. */
function hasEmptied(epoch: Epoch): bool {
  const room = changetype<usize>(epoch) + offsetof<Epoch>("room");
  const has = atomicLoad<u32>(room);
  return has == ENDED || (!has && atomicSwap<u32>(room, 0, ENDED));
}

/** Empty slabs of epochs that are over go back: one that was just in a thread's hands when it became empty may be left. */
export function sweepOld(pool: Pool): void {
  for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) {
    const epoch = changetype<Epoch>(at);
    if (epoch != current(pool)) slabSweepAll(epoch);
  }
}

/** Ends an epoch: what is in its reserve goes back, and what comes home goes to its slabs. */
export function endEpoch(epoch: Epoch): void {
  setMinNr(epoch, 0);
  reserveTrim(epoch);
  slabSweepAll(epoch);
}

/** The pool is this thread's to resize or reshape; false if it is another's just now. */
function claim(pool: Pool): bool {
  return atomicSwap<u32>(wordOf(pool, offsetof<Pool>("maker")), 0, selfNumber() + 1);
}


@inline
function unclaim(pool: Pool): void {
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("maker")), 0);
}

/**
 * Sets how many elements are set aside: what is above that goes back to the slabs, what is missing is taken from them, and
 * who waits is served. 1; or 0: memory is short, later frees will fill it up; or an error code, and nothing has changed.
 */
export function mempool_resize(m: Magazine, minNr: u32): i32 {
  const pool = poolOf(m);
  if (!claim(pool)) return NOT_NOW;
  const epoch = current(pool);
  let result: i32 = 1;
  if (isClosed(pool)) result = CLOSED;
  else if (minNr > epoch.maxNr || !isPossible(epoch.size, epoch.align, minNr)) result = NO_MEMORY;
  else if (!makeSlots(epoch, minNr) && !(reclaimFor(m) && makeSlots(epoch, minNr))) result = NO_MEMORY;
  else {
    // Until it has once been full.
    atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("unfilled"), 1);
    setMinNr(epoch, minNr);
    if (missing(epoch) > 0) nowShort(pool);
    reserveTrim(epoch);
    if (!fillIn(pool, epoch) && !(reclaimFor(m) && reserveFill(epoch))) result = 0;
    notShort(m);
  }
  unclaim(pool);
  if (THREADS) attend(m);
  return result;
}

/**
 * From here on the pool's elements have another size, with a new reserve, filled first. Those of the old size that are out
 * or cached stay what they are, may be freed as ever, and go back to slabs of their own. 1, or an error code, and then
 * nothing has changed.
 */
export function mempool_reshape(m: Magazine, size: u32, align: u32): i32 {
  const pool = poolOf(m);
  if (!claim(pool)) return NOT_NOW;
  const old = current(pool);
  let result: i32 = 1;
  if (isClosed(pool)) result = CLOSED;
  // A host's cells are all of one size.
  else if (old.backend == BACKEND_HOST || !isPossible(size, align, minNr(old))) result = NO_MEMORY;
  else {
    const epoch = makeEpoch(pool, size, align, minNr(old), old.maxNr, old.backend);
    if (!changetype<usize>(epoch)) result = isClosed(pool) ? CLOSED : NO_MEMORY;
    else if (!reserveFill(epoch) && !(reclaimFor(m) && reserveFill(epoch))) {
      endEpoch(epoch);
      result = NO_MEMORY;
    } else {
      atomicStore<u32>(wordOf(pool, offsetof<Pool>("epoch")), changetype<u32>(epoch));
      // Who saw the old one full or short sees what is true of this one from now on.
      nowShort(pool);
      notShort(m);
      endEpoch(old);
      // What others have cached of the old size, they give back.
      if (THREADS) summon(pool);
    }
  }
  unclaim(pool);
  settle(m);
  if (THREADS) attend(m);
  return result;
}

/** Reclaims for an allocation of this thread's in this pool. */
function reclaimFor(m: Magazine): bool {
  m.reclaims++;
  return reclaim();
}

/** The size of an element, of whatever epoch; of 0, that of elements handed out from now on. */
export function mempool_size(m: Magazine, element: usize): u32 {
  return (element ? changetype<Epoch>(cacheOf(element)) : current(poolOf(m))).size;
}

/** Where a host writes which requests shall be refused: a Faults. Then it calls mempool_stir. */
export function mempool_faults(m: Magazine): usize {
  return wordOf(poolOf(m), offsetof<Pool>("faults"));
}

/** All threads look at the pool again before they hand out or take back anything. */
export function mempool_stir(m: Magazine): void {
  shutGates(poolOf(m));
  settle(m);
  if (THREADS) attend(m);
}

/** The same of the heap, for requests for pages. */
export function heap_faults(): usize {
  // What was refused for a fault may be had without.
  atomicStore<u64>(heapBase() + offsetof<Heap>("none"), 0);
  return heapBase() + offsetof<Heap>("faults");
}

/**
 * A host's backend: an element of the host's own, any number but 0, is in a cell: an element of this pool, of 4 bytes,
 * which holds the number. A new cell, handed out, and counted as an allocation or not; 0 if there is none.
 */
export function mempool_cell(m: Magazine, counts: bool): usize {
  const pool = poolOf(m);
  settle(m);
  // Not before those in line; but for the reserve, which is theirs.
  if (isClosed(pool) || (counts && THREADS && isWaiting(pool))) return 0;
  notePeak(pool);
  const cell = elementTake(current(pool));
  if (!cell) return 0;
  m.taken++;
  if (counts) m.allocs++;
  return handOut(m, cell);
}

/** Takes a cell back that has no number in it; `counted`: as if it had never been had. Returns what mempool_free does. */
export function mempool_uncell(m: Magazine, cell: usize, counted: bool): i32 {
  const error = mempool_free_check(m, cell);
  if (error) return error;
  m.taken--;
  if (counted) m.allocs--;
  elementReturn(cell, stateAt(cell));
  return freed(m);
}

/**
 * A cell with the host's element in it that should be the host's again: out of the reserve of a pool that is closed or has
 * more than minNr, or one that this thread has over. Handed out; 0 if there is none.
 */
export function mempool_drain(m: Magazine): usize {
  const pool = poolOf(m);
  settle(m);
  if (roundsIn(m)) {
    m.allocs--;
    return popRound(m, m.top);
  }
  const cell = reserveTake(current(pool), !isClosed(pool));
  if (!cell) return 0;
  m.taken++;
  return handOut(m, cell);
}

/** A magazine of this thread for a pool that has none yet; 0 if there is no memory. */
export function attach(pool: Pool): Magazine {
  const m = changetype<Magazine>(recordAlloc());
  if (!changetype<usize>(m)) return m;
  const waiters = THREADS ? recordAlloc() : 0;
  if (THREADS && !waiters) {
    recordFree(changetype<usize>(m));
    return changetype<Magazine>(0);
  }
  m.waiters = waiters;
  m.floor = -1;
  if (THREADS) {
    atomicStore<u32>(pool.magazines + (selfNumber() << 2), <u32>changetype<usize>(m));
    const places = wordOf(pool, offsetof<Pool>("places"));
    let n: u32;
    do {
      n = atomicLoad<u32>(places);
    } while (n <= selfNumber() && !atomicSwap<u32>(places, n, selfNumber() + 1));
  } else pool.magazines = changetype<usize>(m);
  // From here on who reshapes sees the epoch it is of.
  magazineInit(m, pool, STATE_LIVE | selfNumber());
  return m;
}

/** Says that the reserve is not full: until it is, every free comes the slow way and fills it. */
function nowShort(pool: Pool): void {
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("short")), stamp(pool));
  shutGates(pool);
}

/** A number not used before, and not 0. */
export function stamp(pool: Pool): u32 {
  return THREADS ? atomicAdd<u32>(wordOf(pool, offsetof<Pool>("ticket")), 1) + 1 || 1 : 1;
}

export function shutGates(pool: Pool): void {
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) atomicStore<u64>(m + offsetof<Magazine>("floor"), GATE_SHUT);
  }
}

/** What the gate of a magazine should be. */
function gateOf(pool: Pool, m: Magazine): u64 {
  if (isClosed(pool) || isWaiting(pool) || isStale(m) || pool.faults) return GATE_SHUT;
  if (THREADS && atomicLoad<u32>(wordOf(pool, offsetof<Pool>("call"))) != m.call) return GATE_SHUT;
  const limit: u64 = isShort(pool) ? 0 : magazineEnd(m);
  return (limit << 32) | (<u64>m.first);
}

/**
 * Looks at what the pool needs: hands over what this thread has cached, if it is called for, and sets the gate. Where
 * the slow way begins.
 */
export function settle(m: Magazine): void {
  const pool = poolOf(m);
  const call = atomicLoad<u32>(wordOf(pool, offsetof<Pool>("call")));
  const stale = isStale(m);
  if (call != m.call || stale || isClosed(pool) || pool.faults) {
    m.call = call;
    giveCached(m);
    if (stale) magazineOf(m, pool);
  }
  const gate = changetype<usize>(m) + offsetof<Magazine>("floor");
  let now: u64;
  do {
    now = gateOf(pool, m);
    atomicStore<u64>(gate, now);
    // Who says that something is the matter says so before shutting gates: if not seen now, it shuts this one after.
  } while (THREADS && now != GATE_SHUT && gateOf(pool, m) != now);
}

/** Gives all that this thread has cached to the slabs, where anybody can take it. A host's elements would be lost there. */
@inline
export function giveCached(m: Magazine): void {
  if (!isHost(m)) flush(m, roundsIn(m));
}

/** An element of the reserve, in this thread's hands; 0 if there is none. */
export function takeReserved(m: Magazine): usize {
  const pool = poolOf(m);
  let element: usize;
  do {
    // Its record cannot become another epoch's while it is the magazine's.
    if (isStale(m)) settle(m);
    element = reserveTake(changetype<Epoch>(m.epoch), false);
  } while (!element && isStale(m));
  if (element) {
    m.taken++;
    nowShort(pool);
    notePeak(pool);
  }
  return element;
}

/** Elements handed out now, if that are more than ever before. */
function notePeak(pool: Pool): void {
  const out = outstanding(pool);
  if (<i32>(out - pool.peak) > 0) pool.peak = out;
}

/** Hands out an element that is in this thread's hands. */
@inline
export function handOut(m: Magazine, element: usize): usize {
  store<u8>(stateAt(element), m.live);
  return element;
}

/** An element, or 0 when backend and reserve are both empty. Its contents are what was left there. Never waits. */
export function mempool_alloc(m: Magazine): usize {
  return allocInline(m);
}

/** mempool_alloc for guests compiled together with the core: the hit path. */
@inline
export function allocInline(m: Magazine): usize {
  const top = m.top;
  if (top > atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("floor"))) return popRound(m, top);
  return allocSlow(m);
}

/** mempool_alloc, zeroed. */
export function mempool_zalloc(m: Magazine): usize {
  return mempool_zero(m, mempool_alloc(m));
}

function allocSlow(m: Magazine): usize {
  const pool = poolOf(m);
  settle(m);
  if (isClosed(pool)) {
    if (THREADS) attend(m);
    return 0;
  }
  if (THREADS && isWaiting(pool)) {
    // Not before those in line.
    serve(m);
    if (isWaiting(pool)) return <usize>refuse(m);
    settle(m);
  }
  let element = fromCache(m);
  if (element) return element;
  element = takeReserved(m);
  if (element) {
    m.reserveHits++;
    return handOut(m, element);
  }
  if (reclaimFor(m)) element = fromCache(m);
  return element || <usize>refuse(m);
}

/** An element of the magazine, filled first if it is empty; 0 if there is none. */
function fromCache(m: Magazine): usize {
  if (!roundsIn(m)) {
    notePeak(poolOf(m));
    if (!refill(m, poolOf(m).faults ? 1 : -1)) return 0;
  }
  const element = popRound(m, m.top);
  if (THREADS) attend(m);
  return element;
}

/** After elements have moved: those in line, and the end of a pool, may have missed them while they were in hand. */
export function attend(m: Magazine): void {
  const pool = poolOf(m);
  if (isClosed(pool)) cleared(m);
  else if (isWaiting(pool)) {
    giveCached(m);
    serve(m);
  }
}

/** An element of the reserve, never of the backend; 0 when there is none, or somebody is in line for it. */
export function mempool_alloc_preallocated(m: Magazine): usize {
  const pool = poolOf(m);
  const element = isClosed(pool) || (THREADS && isWaiting(pool)) ? 0 : takeReserved(m);
  if (!element) return <usize>refuse(m);
  m.preallocated++;
  return handOut(m, element);
}

/** Zeroes an element just allocated, and returns it; 0 stays 0. */
export function mempool_zero(m: Magazine, element: usize): usize {
  if (element) memory.fill(element, 0, mempool_size(m, element));
  return element;
}

/** Takes an element back: FREED, FREED_LAST, or an error code, and then nothing has changed. Never waits. */
export function mempool_free(m: Magazine, element: usize): i32 {
  return freeInline(m, element);
}

/**
 * mempool_free for guests compiled together with the core: the hit path, with every check of a release build. Is the page
 * this pool's, does an element begin there, is it live, has the magazine room: any no leads to the slow path, which looks
 * again. Nested, because engines make a value of every early answer and test it again.
 *
 * The loads of the map and of the state byte are plain: of an element that is live they were written before it was handed
 * out, and for any other word they may read what they like, for the slow path to look at again.
 */
@inline
export function freeInline(m: Magazine, element: usize): i32 {
  const leaf = CHECKED ? 0 : leafAt(element);
  if (leaf) {
    const entry = entryIn(leaf, element);
    if (load<u32>(entry) == <u32>m.epoch) {
      const slab = slabOf(entry);
      const index = rotr<u32>(<u32>(element - firstElement(slab)) * m.inverse, m.shift);
      if (index < m.indexEnd) {
        const state = stateOf(slab, index);
        if (load<i8>(state) < 0) {
          const top = m.top;
          if (top < atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("limit"))) {
            pushRound(m, top, element, state);
            return FREED;
          }
        }
      }
    }
  }
  return freeSlow(m, element);
}

function freeSlow(m: Magazine, element: usize): i32 {
  if (!element) return FREED;
  const error = mempool_free_check(m, element);
  if (error) return error;
  settle(m);
  const state = stateAt(element);
  if (CHECKED) {
    const live = atomicLoad<u8>(state);
    if (!(live & STATE_LIVE) || !atomicSwap<u8>(state, live, <u8>cachedBy(m))) return DOUBLE_FREE;
  } else store<u8>(state, cachedBy(m));
  if (!takeBack(m, element, state)) {
    store<u8>(state, m.live);
    return UNWANTED;
  }
  return freed(m);
}

/** What a free returns, once its element is home. */
function freed(m: Magazine): i32 {
  if (!isClosed(poolOf(m)) || !cleared(m)) return FREED;
  drop(m);
  return FREED_LAST;
}

/** Puts an element in this thread's hands, which was somebody's until now, where it is needed most. False: nowhere. */
function takeBack(m: Magazine, element: usize, state: usize): bool {
  const pool = poolOf(m);
  if (isHost(m)) return takeCellBack(m, element, state);
  stow(m, element, state);
  if (THREADS && isWaiting(pool)) attend(m);
  return true;
}


@inline
function isHost(m: Magazine): bool {
  return changetype<Epoch>(m.epoch).backend == BACKEND_HOST;
}

/** A cell, and the host's element in it, goes into the reserve, or to who waits; else the host gets it back. */
function takeCellBack(m: Magazine, cell: usize, state: usize): bool {
  const pool = poolOf(m);
  if (isClosed(pool)) return false;
  if (reservePut(changetype<Epoch>(m.epoch), cell, state)) {
    m.taken--;
    notShort(m);
  } else if (THREADS && isWaiting(pool)) {
    pushRound(m, m.top, cell, state);
    serve(m);
    // Nobody wanted it after all. Any other that is there stays, for the next alloc.
    if (roundsIn(m) && load<u32>(m.top - ROUND) == cell) {
      m.top -= ROUND;
      return false;
    }
  } else return false;
  if (THREADS) attend(m);
  return true;
}

/** The same, but for who waits. */
export function stow(m: Magazine, element: usize, state: usize): void {
  const pool = poolOf(m);
  const epoch = changetype<Epoch>(cacheOf(element));
  const closed = isClosed(pool);
  let reserved = false;
  if (!closed && (isShort(pool) || isHost(m))) {
    reserved = reservePut(epoch, element, state);
    notShort(m);
  }
  if (reserved) m.taken--;
  else if (isHost(m)) pushRound(m, m.top, element, state);
  else if (!closed && m.capacity && changetype<usize>(epoch) == m.epoch && !pool.faults && !isWaiting(pool)) {
    makeRoom(m);
    pushRound(m, m.top, element, state);
  } else {
    m.taken--;
    elementReturn(element, state);
    if (changetype<usize>(epoch) != m.epoch) slabSweepOld(epoch);
  }
}

/** If the reserve is full, frees need not come the slow way any more. */
function notShort(m: Magazine): void {
  const pool = poolOf(m);
  const short = wordOf(pool, offsetof<Pool>("short"));
  const seen = atomicLoad<u32>(short);
  const epoch = current(pool);
  if (missing(epoch) > 0) return;
  atomicStore<u32>(changetype<usize>(epoch) + offsetof<Epoch>("unfilled"), 0);
  atomicSwap<u32>(short, seen, 0);
  settle(m);
}

/** What free would return for this address: FREED if it may be freed, else why not. */
export function mempool_free_check(m: Magazine, element: usize): i32 {
  const pool = poolOf(m);
  const error = verdict(pool, element);
  return error && isClosed(pool) ? CLOSED : error;
}

function verdict(pool: Pool, element: usize): i32 {
  const entry = entryAt(element);
  if (!entry) return INVALID_ADDRESS;
  const owner = load<u32>(entry);
  if (!owner || owner & TAG_MASK || owner == changetype<u32>(records())) return INVALID_ADDRESS;
  const epoch = changetype<Epoch>(<usize>owner);
  if (epoch.pool != changetype<usize>(pool)) return FOREIGN_FREE;
  const slab = slabOf(entry);
  // The slab's own bytes, before its elements and after them.
  if (element - firstElement(slab) >= slab.count * epoch.stride) return INVALID_ADDRESS;
  if (element & (epoch.align - 1)) return MISALIGNED_FREE;
  const index = indexOf(epoch, slab, element);
  if (index >= epoch.indexEnd) return INTERIOR_FREE;
  const state = load<u8>(stateOf(slab, index));
  if (state & STATE_LIVE) return FREED;
  return state == STATE_NEVER ? INVALID_ADDRESS : DOUBLE_FREE;
}

/** Nothing to hand out. Other threads that have something cached hear of it. */
function refuse(m: Magazine): bool {
  m.failures++;
  if (THREADS) summon(poolOf(m));
  return false;
}

/** Calls for what other threads have cached: each gives it back at its next call, or when it is idle (heap_settle). */
export function summon(pool: Pool): void {
  atomicAdd<u32>(wordOf(pool, offsetof<Pool>("call")), 1);
  shutGates(pool);
  nudgeAll(pool);
}

/** Fills an array of `count` words with elements; or none and 0, and then those it could have are back. */
export function mempool_alloc_bulk(m: Magazine, array: usize, count: u32): bool {
  const pool = poolOf(m);
  const epoch = current(pool);
  if (count > epoch.maxNr || <u64>count * epoch.stride > (<u64>heap().maxPages) << PAGE_SHIFT) return refuse(m);
  const allocs = m.allocs;
  const reserveHits = m.reserveHits;
  const lowest = epoch.lowestCurrNr;
  const peak = pool.peak;
  const end = array + (count << 2);
  for (let at = array; at < end; at += 4) {
    const element = mempool_alloc(m);
    if (!element) {
      while (at > array) {
        // Another has closed the pool, and this was its last: there is nothing any more to put right.
        if (mempool_free(m, load<u32>((at -= 4))) == FREED_LAST) return false;
      }
      // Nothing has been handed out.
      m.allocs = allocs;
      m.reserveHits = reserveHits;
      epoch.lowestCurrNr = lowest;
      pool.peak = peak;
      return false;
    }
    store<u32>(at, element);
  }
  return true;
}

/**
 * Marks the elements in an array of `count` words, so that one named twice is seen. Returns `count`, or the index of the
 * first that may not be freed, and then none is marked. With `mark` 0, takes marks back. 0 is skipped.
 */
export function mempool_mark(m: Magazine, array: usize, count: u32, mark: bool): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const element = load<u32>(array + (i << 2));
    if (!element || setMark(m, element, mark) || !mark) continue;
    mempool_mark(m, array, i, false);
    return i;
  }
  return count;
}

/** Takes back the elements in an array of `count` words, which mempool_mark has found to be good, and what that returns. */
export function mempool_free_bulk(m: Magazine, array: usize, count: u32): i32 {
  for (const end = array + (count << 2); array < end; array += 4) {
    if (mempool_free(m, load<u32>(array)) == FREED_LAST) return FREED_LAST;
  }
  return FREED;
}

/** Sets or clears the mark on a live element. False if there was nothing to change, or no live element. */
function setMark(m: Magazine, element: usize, mark: bool): bool {
  const entry = entryAt(element);
  if (!entry) return false;
  let state: usize = 0;
  // As quick as freeInline where that is.
  if (load<u32>(entry) == <u32>m.epoch) {
    const slab = slabOf(entry);
    const index = rotr<u32>(<u32>(element - firstElement(slab)) * m.inverse, m.shift);
    if (index < m.indexEnd) state = stateOf(slab, index);
  } else if (!verdict(poolOf(m), element)) state = stateAt(element);
  if (!state) return false;
  const byte: u32 = load<u8>(state);
  if (!(byte & STATE_LIVE)) return false;
  if (((byte & STATE_MARK) != 0) == mark) return false;
  store<u8>(state, byte ^ STATE_MARK);
  return true;
}

/**
 * Closes the pool: nothing more is handed out, who waits is woken, and what is in the reserve and in this thread's
 * magazine goes back. Returns how many elements are still out, or cached by other threads; they stay valid, and the last
 * of them to come home ends the pool. With 0 it has ended, and the handle is gone.
 */
export function mempool_exit(m: Magazine): u32 {
  const pool = poolOf(m);
  const first = !isClosed(pool);
  atomicStore<u32>(wordOf(pool, offsetof<Pool>("closed")), 1);
  shutGates(pool);
  if (THREADS) {
    wakeAll(pool);
    if (first) nudgeAll(pool);
  }
  const ended = cleared(m);
  if (!ended && !hasEnded(pool)) return max<u32>(1, taken(pool));
  drop(m);
  return 0;
}

/** Empties the reserve and this thread's magazine of a closed pool; true if it has ended by that, once. */
export function cleared(m: Magazine): bool {
  const pool = poolOf(m);
  giveCached(m);
  return clearedRest(pool);
}

/** The same where this thread has no magazine. */
export function clearedRest(pool: Pool): bool {
  let all = true;
  for (let at = firstEpoch(pool); at; at = changetype<Epoch>(at).next) {
    const epoch = changetype<Epoch>(at);
    emptyReserve(epoch);
    slabSweepAll(epoch);
    if (!hasEmptied(epoch)) all = false;
  }
  return all && atomicSwap<u32>(wordOf(pool, offsetof<Pool>("ended")), 0, 1);
}

/** Whether the last element of a closed pool has come home. */
@inline
export function hasEnded(pool: Pool): bool {
  return atomicLoad<u32>(wordOf(pool, offsetof<Pool>("ended"))) != 0;
}

/** The handle ends. If the lock is somebody's, the pool's own records go when memory is reclaimed. */
function drop(m: Magazine): void {
  const pool = poolOf(m);
  const locked = tryLock();
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("live"), 0);
  if (!locked) return;
  destroyIfOver(pool);
  unlock();
}

/** A pool that has ended, and that no thread has a handle of, goes. Under the lock. */
export function destroyIfOver(pool: Pool): void {
  if (hasEnded(pool) && !inUse(pool)) destroy(pool);
}

/** All of a reserve goes to the slabs; but what is in a host's cells, the host takes out. */
function emptyReserve(epoch: Epoch): void {
  if (epoch.backend == BACKEND_HOST) return;
  for (let element = reserveTake(epoch, false); element; element = reserveTake(epoch, false)) {
    elementReturn(element, stateAt(element));
  }
}

/** Whether a thread has a handle of the pool. */
function inUse(pool: Pool): bool {
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m && atomicLoad<u32>(m + offsetof<Magazine>("live"))) return true;
  }
  return false;
}

/** Frees a pool's own records. Under the lock. Each is forgotten first: who dies in between frees nothing twice. */
function destroy(pool: Pool): void {
  freeRecords(pool);
  listRemove(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount--;
  recordFree(changetype<usize>(pool));
}

function freeRecords(pool: Pool): void {
  for (let thread: u32 = 0; pool.magazines && thread < places(pool); thread++) {
    const at = magazineAt(pool, thread);
    if (!at) continue;
    if (THREADS) store<u32>(pool.magazines + (thread << 2), 0);
    else pool.magazines = 0;
    const m = changetype<Magazine>(at);
    magazineShrink(m);
    if (m.waiters) recordFree(m.waiters);
    recordFree(at);
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

/**
 * Makes memory free that nobody is using: in every pool, what this thread has cached and what the others have is called
 * for, and empty slabs go back to pages; this thread's arenas give back the chunks they keep for later. Costs a look at
 * each pool and arena. True if anything moved. Does nothing while another thread has the lists.
 */
export function reclaim(): bool {
  if (!tryLock()) return false;
  let moved = false;
  for (let at = heap().pools; at;) {
    const pool = changetype<Pool>(at);
    at = pool.next;
    const m = mine(pool);
    if (changetype<usize>(m) && roundsIn(m)) {
      giveCached(m);
      moved = true;
    }
    for (let epoch = firstEpoch(pool); epoch; epoch = changetype<Epoch>(epoch).next) {
      const cache = changetype<Epoch>(epoch);
      if ((cache.backend != BACKEND_BUMP || isClosed(pool)) && slabSweepAll(cache)) moved = true;
    }
    if (!THREADS) continue;
    summon(pool);
    if (isClosed(pool)) clearedRest(pool);
    destroyIfOver(pool);
  }
  if (slabSweepAll(records())) moved = true;
  for (let at = heap().arenas; at;) {
    const arena = changetype<Arena>(at);
    at = arena.next;
    if (arena.thread == selfNumber() && arenaTrim(arena)) moved = true;
    if (THREADS && arena.thread == NOBODY) {
      arenaForget(arena);
      recordFree(changetype<usize>(arena));
    }
  }
  unlock();
  return moved;
}

/** Elements handed out, by what the magazines say. */
export function outstanding(pool: Pool): u32 {
  let out = taken(pool);
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) out -= roundsIn(changetype<Magazine>(m));
  }
  return out;
}

/** Elements cached or handed out. */
export function taken(pool: Pool): u32 {
  let sum: u32 = 0;
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) sum += changetype<Magazine>(m).taken;
  }
  return sum;
}
