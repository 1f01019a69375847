/**
 * Every atomic operation; in a build without threads they are plain loads and stores.
 *
 * Wasm's atomics are sequentially consistent. Every proof about this allocator's threads rests on two uses of that:
 * - publishing: a thread that atomically reads a stored value sees all that was written before the store;
 * - store, then load (Dekker): of two threads that each store their own word and then load the other's, at least one
 *   sees the other's store. Comments that begin with "Ordering:" stand at the store that publishes.
 *
 * The sim build calls `sched` before each operation: there a test may let another thread run, or end this one.
 */

export const THREADS: bool = ASC_FEATURE_THREADS;

/** The checked build: a free marks its element by a compare-exchange, so one of two frees at once is caught. */
export const CHECKED: bool = isDefined(CHECK_FREES);

/** The debug heap: guarded elements, whose zones, bodies and traces are checked. It, too, frees by a compare-exchange. */
export const DEBUG: bool = isDefined(DEBUG_HEAP);

/**
 * The build of malloc alone: no pool closes or is reshaped, no thread waits, no host has a backend or orders faults, there is
 * no arena.
 */
export const MALLOC_ALONE: bool = isDefined(MALLOC);

/** A build whose threads may wait for elements. */
export const WAITS: bool = THREADS && !MALLOC_ALONE;

/** A build that has malloc. */
export const WITH_MALLOC: bool = MALLOC_ALONE || isDefined(LINKED) || isDefined(SIM_MALLOC);

/* Kinds of operation, for `sched`. */
const LOAD: u32 = 0;
const STORE: u32 = 1;
const CHANGE: u32 = 2;
/** A load of memory that may be in another use by now. Its result is used only if a later check or change succeeds. */
const GUESS: u32 = 3;


@external("env", "sched")
declare function sched(kind: u32, address: usize, bytes: u32): void;


@external("env", "sim_wait")
declare function simWait(address: usize, expected: u32, milliseconds: f64): u32;


@external("env", "sim_notify")
declare function simNotify(address: usize): void;


@inline
function point(kind: u32, address: usize, bytes: u32): void {
  if (isDefined(SIM)) sched(kind, address, bytes);
}


@inline
export function atomicLoad<T>(address: usize): T {
  point(LOAD, address, sizeof<T>());
  return THREADS ? atomic.load<T>(address) : load<T>(address);
}


@inline
export function guess<T>(address: usize): T {
  point(GUESS, address, sizeof<T>());
  return THREADS ? atomic.load<T>(address) : load<T>(address);
}


@inline
export function atomicStore<T>(address: usize, value: T): void {
  point(STORE, address, sizeof<T>());
  if (THREADS) atomic.store<T>(address, value);
  else store<T>(address, value);
}

/** Adds; returns the old value. */
@inline
export function atomicAdd<T>(address: usize, value: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.add<T>(address, value);
  const old = load<T>(address);
  store<T>(address, (old + value) as T);
  return old;
}

/** Sets `bits`; returns the old value. */
@inline
export function atomicOr<T>(address: usize, bits: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.or<T>(address, bits);
  const old = load<T>(address);
  store<T>(address, (old | bits) as T);
  return old;
}

/** Clears all bits but `bits`; returns the old value. */
@inline
export function atomicAnd<T>(address: usize, bits: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.and<T>(address, bits);
  const old = load<T>(address);
  store<T>(address, (old & bits) as T);
  return old;
}

/** Inverts `bits`; returns the old value. */
@inline
export function atomicXor<T>(address: usize, bits: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.xor<T>(address, bits);
  const old = load<T>(address);
  store<T>(address, (old ^ bits) as T);
  return old;
}

/** Stores `value` if the word is `expected`; returns whether it was. */
@inline
export function compareExchange<T>(address: usize, expected: T, value: T): bool {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.cmpxchg<T>(address, expected, value) == expected;
  store<T>(address, value);
  return true;
}

/** Sleeps until notified if the word is `expected`; returns 2 on timeout. Traps where the host forbids it. */
@inline
export function atomicWait(address: usize, expected: u32, milliseconds: f64): u32 {
  if (isDefined(SIM)) return simWait(address, expected, milliseconds);
  return atomic.wait<u32>(address, expected, milliseconds < 9e12 ? <i64>(milliseconds * 1e6) : -1);
}


@inline
export function atomicNotify(address: usize): void {
  if (isDefined(SIM)) simNotify(address);
  else atomic.notify(address, -1);
}

/* In the sim build two words hold the memory's size and its maximum, in Wasm pages, so that each run can reset them. */
const SIM_PAGES: usize = 8;
const SIM_MOST: usize = 12;


@external("env", "wasm_mempool_grown")
declare function linkedGrown(): void;

/** memory.grow, which engines make atomic. A program that this is linked into may have to hear of it: then so it does. */
@inline
export function memoryGrow(pages: u32): i32 {
  if (isDefined(SIM)) return simGrow(pages);
  const had = memory.grow(pages);
  if (isDefined(LINKED) && had >= 0) linkedGrown();
  return had;
}


@inline
export function memorySize(): u32 {
  return isDefined(SIM) ? atomicLoad<u32>(SIM_PAGES) : memory.size();
}

function simGrow(pages: u32): i32 {
  while (true) {
    const has = atomicLoad<u32>(SIM_PAGES);
    if (has + pages > load<u32>(SIM_MOST)) return -1;
    if (compareExchange<u32>(SIM_PAGES, has, has + pages)) return has;
  }
  return -1;
}
