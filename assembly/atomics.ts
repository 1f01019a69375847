/**
 * Words that several threads touch. This file alone has atomic operations; in a build without threads they are plain loads
 * and stores.
 *
 * Wasm's atomics are sequentially consistent. All that is proved about this allocator's threads rests on two uses of that:
 * - publishing: what was written before an atomic store or change is seen by who reads it atomically;
 * - store, then look (Dekker): of two threads that each set their own word and then read the other's, one sees the other.
 *
 * The sim build calls `sched` before each operation: there a test may let another thread run, or end this one.
 */
export const THREADS: bool = ASC_FEATURE_THREADS;
/** The checked build: every free takes its element by one swap, so that of two at the same instant one is caught. */
export const CHECKED: bool = isDefined(CHECK_FREES);

/* What `sched` is told: the kind of operation, its address, and how many bytes. */
const LOAD: u32 = 0;
const STORE: u32 = 1;
const CHANGE: u32 = 2;
/** A load whose result is used only if a compare-exchange after it succeeds: what it reads may be anybody's by now. */
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

/** Adds, and returns what was there. */
@inline
export function atomicAdd<T>(address: usize, value: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.add<T>(address, value);
  const old = load<T>(address);
  store<T>(address, (old + value) as T);
  return old;
}

/** Sets bits. */
@inline
export function atomicOr<T>(address: usize, bits: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.or<T>(address, bits);
  const old = load<T>(address);
  store<T>(address, (old | bits) as T);
  return old;
}

/** Keeps these bits, and clears all others. */
@inline
export function atomicAnd<T>(address: usize, bits: T): T {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.and<T>(address, bits);
  const old = load<T>(address);
  store<T>(address, (old & bits) as T);
  return old;
}

/** Stores `value` if `expected` is there. */
@inline
export function atomicSwap<T>(address: usize, expected: T, value: T): bool {
  point(CHANGE, address, sizeof<T>());
  if (THREADS) return atomic.cmpxchg<T>(address, expected, value) == expected;
  store<T>(address, value);
  return true;
}

/** Sleeps while `expected` is there, until notified. 2: the time is over. Not where a host forbids it: it traps. */
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

/* In the sim build, the memory's size is a word: so each run begins with it anew. And the most it may be, another. */
const SIM_PAGES: usize = 8;
const SIM_MOST: usize = 12;

/** memory.grow, which the engine makes one step. */
@inline
export function memoryGrow(pages: u32): i32 {
  return isDefined(SIM) ? simGrow(pages) : memory.grow(pages);
}

function simGrow(pages: u32): i32 {
  while (true) {
    const has = atomicLoad<u32>(SIM_PAGES);
    if (has + pages > load<u32>(SIM_MOST)) return -1;
    if (atomicSwap<u32>(SIM_PAGES, has, has + pages)) return has;
  }
  return -1;
}
