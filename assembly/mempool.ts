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
import { atomicAdd, atomicLoad, atomicStore, atomicSwap, THREADS } from "./atomics";
import { arenaForget, arenaTrim } from "./bump";
import {
  cachedBy,
  flush,
  magazineEnd,
  magazineInit,
  magazineShrink,
  makeRoom,
  popRound,
  pushRound,
  refill,
  roundsIn,
} from "./cache";
import {
  Arena,
  ENDED,
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
import { currNr, reservePut, reserveTake } from "./reserve";
import {
  cacheInit,
  elementReturn,
  firstElement,
  indexOf,
  ownAlloc,
  ownFree,
  recordAlloc,
  recordFree,
  records,
  slabSweepAll,
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

/** A pool with its reserve filled, as this thread's handle, or 0: then nothing has changed. Fills the reserve. */
export function mempool_create(size: u32, align: u32, minNr: u32, maxNr: u32): Magazine {
  const none = changetype<Magazine>(0);
  if (size - 1 >= MAX_SIZE || align - 1 >= MAX_ALIGN || align & (align - 1)) return none;
  if (minNr > maxNr || minNr > MAX_MIN_NR) return none;
  // What no heap of this size can hold must not make it grow.
  if (<u64>minNr * size > (<u64>heap().maxPages) << PAGE_SHIFT) return none;
  const m = tryCreate(size, align, minNr, maxNr);
  return changetype<usize>(m) || !reclaim() ? m : tryCreate(size, align, minNr, maxNr);
}

function tryCreate(size: u32, align: u32, minNr: u32, maxNr: u32): Magazine {
  const none = changetype<Magazine>(0);
  const pool = changetype<Pool>(recordAlloc());
  if (!changetype<usize>(pool)) return none;
  cacheInit(pool, size, align);
  pool.size = size;
  pool.minNr = minNr;
  pool.maxNr = maxNr;
  pool.maker = selfNumber() + 1;
  if (THREADS) pool.magazines = recordAlloc();
  const m = THREADS && !pool.magazines ? none : attach(pool);
  if (!lock()) {
    freeRecords(pool);
    recordFree(changetype<usize>(pool));
    return none;
  }
  listPush(heapBase() + offsetof<Heap>("pools"), pool);
  heap().poolCount++;
  unlock();
  const reserve = minNr ? ownAlloc(minNr << 2) : 0;
  if (reserve) memory.fill((pool.reserve = reserve), 0, minNr << 2);
  else pool.minNr = 0;
  if (!changetype<usize>(m) || (minNr && !reserve) || !fillReserve(m)) {
    if (changetype<usize>(m)) mempool_exit(m);
    else {
      // Once it is closed and has ended, it may be gone at any moment, but for who has the lock.
      const locked = tryLock();
      if (locked) clearedRest(pool);
      pool.closed = 1;
      if (locked) {
        destroyIfOver(pool);
        unlock();
      }
    }
    return none;
  }
  pool.lowestCurrNr = minNr;
  pool.maker = 0;
  settle(m);
  return m;
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
  magazineInit(m, pool, STATE_LIVE | selfNumber());
  if (THREADS) {
    atomicStore<u32>(pool.magazines + (selfNumber() << 2), <u32>changetype<usize>(m));
    const places = wordOf(pool, offsetof<Pool>("places"));
    let n: u32;
    do {
      n = atomicLoad<u32>(places);
    } while (n <= selfNumber() && !atomicSwap<u32>(places, n, selfNumber() + 1));
  } else pool.magazines = changetype<usize>(m);
  return m;
}

/** Fills the reserve of a new pool. */
function fillReserve(m: Magazine): bool {
  const pool = poolOf(m);
  while (pool.currNr < pool.minNr) {
    if (!roundsIn(m) && !refill(m, pool.minNr - pool.currNr)) return false;
    reserveRound(m);
  }
  return true;
}

/** The newest round goes into the reserve; false if that has no room. */
function reserveRound(m: Magazine): bool {
  const top = m.top - ROUND;
  if (!reservePut(poolOf(m), load<u32>(top), load<u32>(top, 4))) return false;
  m.top = top;
  m.taken--;
  return true;
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
  if (isClosed(pool) || isWaiting(pool)) return GATE_SHUT;
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
  if (call != m.call || isClosed(pool)) {
    m.call = call;
    giveCached(m);
  }
  const gate = changetype<usize>(m) + offsetof<Magazine>("floor");
  let now: u64;
  do {
    now = gateOf(pool, m);
    atomicStore<u64>(gate, now);
    // Who says that something is the matter says so before shutting gates: if not seen now, it shuts this one after.
  } while (THREADS && now != GATE_SHUT && gateOf(pool, m) != now);
}

/** Gives all that this thread has cached to the slabs, where anybody can take it. */
@inline
export function giveCached(m: Magazine): void {
  flush(m, roundsIn(m));
}

/** An element of the reserve, in this thread's hands; 0 if there is none. */
export function takeReserved(m: Magazine): usize {
  const pool = poolOf(m);
  const element = reserveTake(pool);
  if (element) {
    m.taken++;
    nowShort(pool);
  }
  return element;
}

/** Hands out an element that is in this thread's hands. */
@inline
export function handOut(pool: Pool, m: Magazine, element: usize): usize {
  store<u8>(stateAt(pool, element), m.live);
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
    return handOut(pool, m, element);
  }
  if (reclaim()) element = fromCache(m);
  return element || <usize>refuse(m);
}

/** An element of the magazine, filled first if it is empty; 0 if there is none. */
function fromCache(m: Magazine): usize {
  if (!roundsIn(m) && !refill(m, -1)) return 0;
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
  return handOut(pool, m, element);
}

/** Zeroes an element just allocated, and returns it; 0 stays 0. */
export function mempool_zero(m: Magazine, element: usize): usize {
  if (element) memory.fill(element, 0, poolOf(m).size);
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
  const leaf = leafAt(element);
  if (leaf) {
    const entry = entryIn(leaf, element);
    if (load<u32>(entry) == <u32>m.pool) {
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
  const pool = poolOf(m);
  settle(m);
  const state = stateAt(pool, element);
  store<u8>(state, cachedBy(m));
  takeBack(m, element, state);
  if (!isClosed(pool) || !cleared(m)) return FREED;
  drop(m);
  return FREED_LAST;
}

/** Puts an element in this thread's hands, which was somebody's until now, where it is needed most. */
function takeBack(m: Magazine, element: usize, state: usize): void {
  stow(m, element, state);
  if (THREADS && isWaiting(poolOf(m))) attend(m);
}

/** The same, but for who waits. */
export function stow(m: Magazine, element: usize, state: usize): void {
  const pool = poolOf(m);
  const closed = isClosed(pool);
  let reserved = false;
  if (!closed && isShort(pool)) {
    reserved = reservePut(pool, element, state);
    notShort(m, pool);
  }
  if (reserved) m.taken--;
  else if (!closed && m.capacity && !isWaiting(pool)) {
    makeRoom(m);
    pushRound(m, m.top, element, state);
  } else {
    m.taken--;
    elementReturn(pool, element, state);
  }
}

/** If the reserve is full, frees need not come the slow way any more. */
function notShort(m: Magazine, pool: Pool): void {
  const short = wordOf(pool, offsetof<Pool>("short"));
  const seen = atomicLoad<u32>(short);
  if (currNr(pool) < pool.minNr) return;
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
  if (owner != changetype<u32>(pool)) return FOREIGN_FREE;
  const slab = slabOf(entry);
  // The slab's own bytes, before its elements and after them.
  if (element - firstElement(slab) >= slab.count * pool.stride) return INVALID_ADDRESS;
  if (element & (pool.align - 1)) return MISALIGNED_FREE;
  const index = indexOf(pool, slab, element);
  if (index >= pool.indexEnd) return INTERIOR_FREE;
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
  if (count > pool.maxNr || <u64>count * pool.stride > (<u64>heap().maxPages) << PAGE_SHIFT) return refuse(m);
  const allocs = m.allocs;
  const reserveHits = m.reserveHits;
  const lowest = pool.lowestCurrNr;
  const end = array + (count << 2);
  for (let at = array; at < end; at += 4) {
    const element = mempool_alloc(m);
    if (!element) {
      while (at > array) mempool_free(m, load<u32>((at -= 4)));
      // Nothing has been handed out.
      m.allocs = allocs;
      m.reserveHits = reserveHits;
      pool.lowestCurrNr = lowest;
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

/** Sets or clears the mark on a live element. False if there was nothing to change, or no live element. */
function setMark(m: Magazine, element: usize, mark: bool): bool {
  const pool = poolOf(m);
  if (verdict(pool, element)) return false;
  const state = stateAt(pool, element);
  const byte: u32 = load<u8>(state);
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
  emptyReserve(pool);
  slabSweepAll(pool);
  const room = wordOf(pool, offsetof<Pool>("room"));
  return !atomicLoad<u32>(room) && atomicSwap<u32>(room, 0, ENDED);
}

/** Whether the last element of a closed pool has come home. */
@inline
export function hasEnded(pool: Pool): bool {
  return atomicLoad<u32>(wordOf(pool, offsetof<Pool>("room"))) == ENDED;
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

/** All of a closed pool's reserve goes to its slabs. */
export function emptyReserve(pool: Pool): void {
  for (let element = reserveTake(pool); element; element = reserveTake(pool)) {
    elementReturn(pool, element, stateAt(pool, element));
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
  const reserve = pool.reserve;
  pool.reserve = 0;
  if (reserve) ownFree(reserve);
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
    if (slabSweepAll(pool)) moved = true;
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

/** Elements cached or handed out. */
export function taken(pool: Pool): u32 {
  let sum: u32 = 0;
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (m) sum += changetype<Magazine>(m).taken;
  }
  return sum;
}
