/**
 * Waiting in line for an element. Only where there are threads: elsewhere nobody else could free one.
 *
 * Owns the places in line. A thread has a few for each pool; a place has a ticket, from the pool's counter, and the line
 * is the places that wait, by ticket: there is no list that a dead thread could leave broken. Who brings an element
 * home, or gets in line, serves: it finds the lowest ticket and hands over by one swap of value and ticket, which fails
 * if that place was cancelled or served meanwhile. Costs a look at every thread's places, only while somebody waits.
 *
 * No wake-up is lost. Who waits says so in its place, then in the pool's `waiting`, then serves. Who frees puts the
 * element where serve finds it, then looks at `waiting`. Of the two, one sees the other. Who finds nobody in line clears
 * `waiting`, if it is what it was before the look.
 *
 * Only mempool_alloc_wait sleeps.
 */
import { atomicAdd, atomicLoad, atomicNotify, atomicStore, atomicSwap, atomicWait, THREADS } from "./atomics";
import { refill, roundsIn } from "./cache";
import {
  Epoch,
  Magazine,
  Pool,
  ROUND,
  STATE_LIVE,
  Thread,
  threadAt,
  Waiter,
  WAITERS,
  WAITING,
  WOKEN_CLOSED,
} from "./layout";
import {
  isClosed,
  magazineAt,
  mempool_alloc,
  places,
  poolOf,
  settle,
  stamp,
  stow,
  summon,
  takeReserved,
} from "./mempool";
import { reservePut } from "./reserve";
import { cacheOf, elementReturn, stateAt, stateCached } from "./slab";
import { heap_settle } from "./threads";

/** A sleeper looks around itself this often, in ms: memory may have come free that is of no pool. */
const LOOK_AROUND: f64 = 1000;


@inline
export function isWaiting(pool: Pool): bool {
  return THREADS && atomicLoad<u32>(changetype<usize>(pool) + offsetof<Pool>("waiting")) != 0;
}

/** The place that waits with the lowest ticket; 0 if nobody waits. */
function firstInLine(pool: Pool): usize {
  let first: usize = 0;
  let lowest: u32 = 0;
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (!m) continue;
    let place = changetype<Magazine>(m).waiters;
    for (const end = place + WAITERS * offsetof<Waiter>(); place < end; place += offsetof<Waiter>()) {
      const word = atomicLoad<u64>(place);
      // Tickets wrap: what counts is the difference.
      if (<u32>word == WAITING && (!first || <i32>(<u32>(word >> 32) - lowest) < 0)) {
        first = place;
        lowest = <u32>(word >> 32);
      }
    }
  }
  return first;
}

/** Hands elements over to those in line, as long as there are both. */
export function serve(m: Magazine): void {
  const pool = poolOf(m);
  const waiting = changetype<usize>(pool) + offsetof<Pool>("waiting");
  while (true) {
    if (isClosed(pool)) return wakeAll(pool);
    const seen = atomicLoad<u32>(waiting);
    if (!seen) return;
    let place = firstInLine(pool);
    if (!place) {
      // Unless somebody has said so again meanwhile.
      atomicSwap<u32>(waiting, seen, 0);
      continue;
    }
    const element = grab(m);
    if (!element) return;
    // Looked up again: the line may have changed while the element was fetched.
    do {
      place = firstInLine(pool);
      if (!place) break;
      const word = atomicLoad<u64>(place);
      if (<u32>word == WAITING && atomicSwap<u64>(place, word, (word & ~(<u64>0xffffffff)) | (<u64>element))) {
        atomicNotify(place);
        break;
      }
    } while (true);
    if (!place) stow(m, element, stateAt(element));
  }
}

/** An element in this thread's hands for somebody in line: of the reserve, or of the slabs. */
function grab(m: Magazine): usize {
  if (!roundsIn(m) && !refill(m, 1)) return takeReserved(m);
  const top = m.top - ROUND;
  m.top = top;
  return load<u32>(top);
}

/**
 * Gets in line: a place, or 0 if this thread has none left in this pool. `ticket` 0: at the end. Else with the ticket of
 * an earlier place, where that stood.
 */
export function mempool_wait_begin(m: Magazine, ticket: u32): usize {
  const pool = poolOf(m);
  let place = m.waiters;
  const end = place + WAITERS * offsetof<Waiter>();
  for (; atomicLoad<u32>(place);) {
    place += offsetof<Waiter>();
    if (place == end) return 0;
  }
  if (!ticket) ticket = stamp(pool);
  atomicStore<u64>(place, ((<u64>ticket) << 32) | (<u64>WAITING));
  atomicStore<u32>(changetype<usize>(pool) + offsetof<Pool>("waiting"), stamp(pool));
  summon(pool);
  settle(m);
  serve(m);
  return place;
}

/** Leaves the line: with the element, if one was handed over; else 0. */
export function mempool_wait_end(m: Magazine, place: usize): usize {
  const word = atomicLoad<u64>(place);
  let value = <u32>word;
  if (value == WAITING) {
    if (atomicSwap<u64>(place, word, 0)) return 0;
    value = atomicLoad<u32>(place);
  }
  const element: usize = value > WOKEN_CLOSED ? value : 0;
  // Marked before the place is left: who reaps the thread that handed it over finds it in one of the two.
  if (element) {
    m.allocs++;
    atomicStore<u8>(stateAt(element), <u8>m.live);
  }
  atomicStore<u64>(place, 0);
  return element;
}

/**
 * Sleeps while the word at `address` is `expected`, up to so many milliseconds. 2: the time is over. A function of its own,
 * and exported so that it stays one: in V8's baseline compiler of 2023, a local that is live across the wait comes back
 * as 0.
 */
export function heap_sleep(address: usize, expected: u32, milliseconds: f64): u32 {
  return atomicWait(address, expected, milliseconds);
}

/** An element, waiting for it up to so many milliseconds; 0 if there was none, or the pool is closed. Sleeps. */
export function mempool_alloc_wait(m: Magazine, timeout: f64): usize {
  let element = mempool_alloc(m);
  if (element) return element;
  const place = mempool_wait_begin(m, 0);
  if (!place) return 0;
  // What it has cached of other pools others may need while it sleeps.
  heap_settle();
  while (atomicLoad<u32>(place) == WAITING) {
    const slice = min<f64>(timeout, LOOK_AROUND);
    if (heap_sleep(place, WAITING, slice) == 2) {
      timeout -= slice;
      if (timeout <= 0) break;
      summon(poolOf(m));
    }
    // Woken for nothing, something may be to be had that nobody else serves.
    serve(m);
  }
  return mempool_wait_end(m, place);
}

/** Leaves the line with all places: what was handed over and not fetched is given back. For a dead thread's, too. */
export function leaveLine(m: Magazine): void {
  const pool = poolOf(m);
  let place = m.waiters;
  for (const end = place + WAITERS * offsetof<Waiter>(); place < end; place += offsetof<Waiter>()) {
    let word = atomicLoad<u64>(place);
    while (<u32>word == WAITING && !atomicSwap<u64>(place, word, 0)) word = atomicLoad<u64>(place);
    const element = <u32>word;
    if (element > WOKEN_CLOSED) {
      const state = stateAt(element);
      // Still marked with who handed it over. If LIVE, it was fetched.
      if (!(atomicLoad<u8>(state) & STATE_LIVE)) {
        atomicStore<u8>(state, <u8>stateCached());
        m.taken--;
        giveBack(pool, element, state);
      }
    }
    atomicStore<u64>(place, 0);
  }
}

/** An element in this thread's hands, which has no magazine for it, goes to the reserve or to its slab. */
export function giveBack(pool: Pool, element: usize, state: usize): void {
  if (isClosed(pool) || !reservePut(changetype<Epoch>(cacheOf(element)), element, state)) elementReturn(element, state);
}

/** Wakes everybody in the line of a closed pool. */
export function wakeAll(pool: Pool): void {
  for (let place = firstInLine(pool); place; place = firstInLine(pool)) {
    const word = atomicLoad<u64>(place);
    if (<u32>word == WAITING && atomicSwap<u64>(place, word, <u64>WOKEN_CLOSED)) atomicNotify(place);
  }
}

/** Tells the threads of a pool that somebody starves. */
export function nudgeAll(pool: Pool): void {
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    // One that has nothing is left alone. If it is just getting something, whoever waits calls again before long.
    if (!m || !changetype<Magazine>(m).live || !roundsIn(changetype<Magazine>(m))) continue;
    const nudge = threadAt(thread) + offsetof<Thread>("nudge");
    atomicAdd<u32>(nudge, 1);
    atomicNotify(nudge);
  }
}

/** Wakes all who wait, to look for themselves. */
export function stirLine(pool: Pool): void {
  for (let thread: u32 = 0; thread < places(pool); thread++) {
    const m = magazineAt(pool, thread);
    if (!m) continue;
    const place = changetype<Magazine>(m).waiters;
    for (let i: u32 = 0; i < WAITERS; i++) atomicNotify(place + i * offsetof<Waiter>());
  }
}
