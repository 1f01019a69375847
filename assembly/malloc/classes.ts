/**
 * Size classes: malloc's pools, one a class, each made when the first block of its size is allocated.
 *
 *   class   1   2   3   4  ...  9   10   11   12   13   14  ...  29    30    31  ...  37     38 to 63
 *   bytes   8  16  32  48 ... 128  160  192  224  256  320 ... 4096  4608  5120 ... 8192     reserves (malloc_reserve)
 *
 * From 128 bytes on each doubling has four classes, and the last one eight, where a block is a page and more: so a block is
 * at most a quarter longer than what was asked for. Each size is a multiple of its alignment, the largest power of two that
 * divides it, up to MAX_CLASS_ALIGN. The last classes are reserves of larger blocks.
 *
 * A thread's handles, by class and by size, are behind its scratch words: 0 where it has none. With threads the heap also has a table
 * of the pools, so that all threads have the same. A pool, once there, stays. `sizeClass` of its cache says the class.
 *
 * Making a class may wait for the lock of the heap's lists, for a bounded time. Other calls here cost a load or two.
 */
import { atomicLoad, atomicStore, compareExchange, THREADS } from "../base/atomics";
import { handlesAt, heapBase, scratch, useHandles } from "../base/instance";
import {
  BACKEND_PAGES,
  BACKEND_SLAB,
  Cache,
  HANDLE_WORDS,
  HEAP_CLASS_POOLS,
  Magazine,
  PAGE,
  Pool,
  SCRATCH_WORDS,
  SIZE_CLASSES,
  STEP_SHIFT,
  STEPS_BYTES,
} from "../base/layout";
import { lock, unlock } from "../base/list";
import { createPool, exitPool } from "../pool/lifecycle";
import { current, poolOf, wordOf } from "../pool/pool";
import { attachPool } from "../threads/handles";

/** The largest block of a class, in bytes. */
export const SMALL: u32 = 8192;

/** The class of half of SMALL bytes, and of SMALL bytes. */
const HALF: u32 = 29;
const LAST: u32 = 37;

/** How often a thread begins anew because another has made or ended the pool of a class. */
const TRIES: u32 = 8;

/** The largest alignment that a class gives, in bytes. */
export const MAX_CLASS_ALIGN: u32 = 1024;


@inline
export function hasClasses(): bool {
  return handlesAt() != 0;
}

/** Has this instance use the classes of the heap that it serves now. */
export function useClasses(): void {
  const at = scratch() + 4 * SCRATCH_WORDS;
  // An earlier bearer of the number may have left its handles. Without threads all instances on a heap have the same.
  if (THREADS) memory.fill(at, 0, 4 * HANDLE_WORDS);
  useHandles(at);
}

/** The smallest class for `bytes`, 1 to SMALL. */
export function classOf(bytes: u32): u32 {
  if (bytes <= 128) return bytes <= 8 ? 1 : 1 + ((bytes + 15) >>> 4);
  const last = bytes - 1;
  const log = 31 - clz<u32>(last);
  if (last >= SMALL >>> 1) return HALF + 1 + ((last - (SMALL >>> 1)) >>> 9);
  return 10 + ((log - 7) << 2) + ((last >>> (log - 2)) & 3);
}

/** Bytes of a class's blocks; of class 0, which there is not, 0. */
export function classBytes(sizeClass: u32): u32 {
  if (sizeClass < 10) return sizeClass < 2 ? sizeClass << 3 : (sizeClass - 1) << 4;
  if (sizeClass > HALF) return (SMALL >>> 1) + ((sizeClass - HALF) << 9);
  return (5 + ((sizeClass - 10) & 3)) << (5 + ((sizeClass - 10) >>> 2));
}

/** This thread's handle of a class; null if it has none. The thread has classes. */
@inline
export function handleOf(sizeClass: u32): Magazine {
  return changetype<Magazine>(<usize>load<u32>(handlesAt() + (sizeClass << 2)));
}

/** This thread's handle of the class whose blocks a cache has; null if it has none, or the cache is of no class. */
@inline
export function handleIn(cache: Cache): Magazine {
  return changetype<Magazine>(THREADS ? changetype<usize>(handleOf(cache.sizeClass)) : cache.handle);
}

/** This thread's handle of the class for `bytes`, up to STEPS_BYTES; null if it has none, and for 0. */
@inline
export function handleFor(bytes: u32): Magazine {
  return changetype<Magazine>(<usize>load<u32>(stepAt(bytes), 4 * SIZE_CLASSES));
}


@inline
function stepAt(bytes: u32): usize {
  return handlesAt() + (((bytes + 7) >>> STEP_SHIFT) << 2);
}

/** The same, but makes what is missing; null if memory is gone, or another thread has the lock for long. */
export function ensureHandle(sizeClass: u32): Magazine {
  const m = handleOf(sizeClass);
  if (changetype<usize>(m)) return m;
  const bytes = classBytes(sizeClass);
  return make(sizeClass, bytes, min<u32>(bytes & -bytes, MAX_CLASS_ALIGN), BACKEND_SLAB);
}

/** The address of the word with a class's pool. */
@inline
function poolAt(sizeClass: u32): usize {
  return heapBase() + HEAP_CLASS_POOLS + (sizeClass << 2);
}

/** The pool of a class; null if it has none. */
export function classPool(sizeClass: u32): Pool {
  if (THREADS) return changetype<Pool>(sizeClass ? <usize>atomicLoad<u32>(poolAt(sizeClass)) : 0);
  const m = handleOf(sizeClass);
  return changetype<usize>(m) ? poolOf(m) : changetype<Pool>(0);
}

/**
 * Makes this thread's handle of a class, and the pool if there is none.
 *
 * A pool of a class is shared, so it stays when the threads that have handles leave. Each of those says so, once the class's
 * word names it: if the thread that made it dies in between, the reaper ends the pool and clears the word (destroy).
 */
function make(sizeClass: u32, bytes: u32, align: u32, backend: u32): Magazine {
  let m = changetype<Magazine>(0);
  for (let tries = TRIES; tries && !changetype<usize>(m); tries--) {
    const pool = classPool(sizeClass);
    if (!changetype<usize>(pool)) {
      m = createPool(bytes, align, 0, -1, backend);
      if (!changetype<usize>(m)) return m;
      current(poolOf(m)).sizeClass = sizeClass;
      if (THREADS && !compareExchange<u32>(poolAt(sizeClass), 0, m.pool)) {
        exitPool(m);
        m = changetype<Magazine>(0);
      }
    } else {
      m = changetype<Magazine>(attachPool(changetype<usize>(pool), 0));
      if (!changetype<usize>(m) && classPool(sizeClass) == pool) return m;
    }
  }
  if (!changetype<usize>(m)) return m;
  atomicStore<u32>(wordOf(poolOf(m), offsetof<Pool>("isShared")), 1);
  store<u32>(handlesAt() + (sizeClass << 2), <u32>changetype<usize>(m));
  if (!THREADS) current(poolOf(m)).handle = changetype<usize>(m);
  // Of all sizes of this class.
  const smaller = classBytes(sizeClass - 1);
  for (let size = min<u32>(bytes, STEPS_BYTES); size > smaller; size -= 8) {
    store<u32>(stepAt(size), <u32>changetype<usize>(m), 4 * SIZE_CLASSES);
  }
  return m;
}

/** The class of the reserve of blocks of `bytes`, a multiple of PAGE above SMALL; 0 if there is none. Under the lock. */
export function reserveClass(bytes: u32): u32 {
  for (let sizeClass = FIRST_RESERVE; sizeClass < SIZE_CLASSES; sizeClass++) {
    const pool = classPool(sizeClass);
    if (changetype<usize>(pool) && current(pool).size == bytes) return sizeClass;
  }
  return 0;
}

/** The handle of that class, which is made if there is none. Null if memory is gone or no class is left. */
export function reserveHandle(bytes: u32): Magazine {
  if (!lock()) return changetype<Magazine>(0);
  let sizeClass = reserveClass(bytes);
  unlock();
  if (!sizeClass) {
    sizeClass = FIRST_RESERVE;
    while (sizeClass < SIZE_CLASSES && changetype<usize>(classPool(sizeClass))) sizeClass++;
    if (sizeClass == SIZE_CLASSES) return changetype<Magazine>(0);
  }
  const m = handleOf(sizeClass);
  if (changetype<usize>(m)) return m;
  const made = make(sizeClass, bytes, PAGE, BACKEND_PAGES);
  // Another thread may have taken the class for another size.
  return !changetype<usize>(made) || current(poolOf(made)).size == bytes ? made : reserveHandle(bytes);
}

/** The first class of a reserve of larger blocks. */
const FIRST_RESERVE: u32 = LAST + 1;
