/**
 * Threads: making a heap, joining it, getting a handle of a pool, and leaving again.
 *
 * Owns the Threads. A thread's number is in the state bytes of what it has, so it is given to another only when nothing
 * bears it any more but what it handed out. Attaching to and leaving a pool may wait for the lock; joining does not.
 */
import { atomicLoad, atomicStore, atomicSwap, THREADS } from "./atomics";
import { flush, magazineOf, magazineShrink, roundsIn } from "./cache";
import {
  ALIVE,
  GATE_SHUT,
  Heap,
  heap,
  heapBase,
  HEAP_MAGIC,
  HEAP_THREADS,
  Magazine,
  MAX_THREADS,
  Pool,
  RECORD,
  SCRATCH_WORDS,
  serveHeap,
  self,
  selfNumber,
  STATE_LIVE,
  Thread,
  threadAt,
  PAGE,
  WASM_PAGE_SHIFT,
} from "./layout";
import { lock, tryLock, unlock } from "./list";
import {
  attach,
  attend,
  clearedRest,
  destroyIfOver,
  hasEnded,
  isClosed,
  magazineAt,
  mine,
  poolOf,
  reclaim,
  settle,
  sweepOld,
} from "./mempool";
import { pagesInit, rawAlloc } from "./pages";
import { cacheInit, records } from "./slab";
import { leaveLine } from "./wait";

/**
 * Makes a heap of the memory from `base`, `bytes` long (0 with base 0: all 4 GiB), and has this instance serve it. With
 * base 0 the heap owns the whole memory. It may have `maxPages` pages in all; `grows` says whether it takes more by
 * itself. Returns the heap's address; 0 if there is no such memory, or too little for the heap's own structures.
 */
export function heap_create(base: u32, bytes: u32, maxPages: u32, grows: bool): usize {
  const address = pagesInit(base, bytes, maxPages, grows);
  if (address) {
    cacheInit(records(), RECORD, 16);
    atomicStore<u32>(address + offsetof<Heap>("magic"), HEAP_MAGIC);
  }
  return address;
}

/**
 * Has this instance serve a heap that another made in the same memory, as a thread of its own where there are threads.
 * False if there is no heap at `address`, no thread's place left, or no memory. `label` is what the host knows it by.
 */
export function heap_attach(address: usize, label: u32): bool {
  if (address & 3 || address >>> WASM_PAGE_SHIFT >= <usize>memory.size()) return false;
  if (atomicLoad<u32>(address + offsetof<Heap>("magic")) != HEAP_MAGIC) return false;
  serveHeap(address, address + HEAP_THREADS);
  return THREADS ? join(label) : true;
}

function join(label: u32): bool {
  for (let number: u32 = 1; number < MAX_THREADS; number++) {
    const thread = threadAt(number);
    if (!atomicSwap<u32>(thread + offsetof<Thread>("alive"), 0, ALIVE)) continue;
    serveHeap(heapBase(), thread);
    const t = self();
    t.number = number;
    const threads = heapBase() + offsetof<Heap>("threads");
    let n: u32;
    do {
      n = atomicLoad<u32>(threads);
    } while (n <= number && !atomicSwap<u32>(threads, n, number + 1));
    if (!t.scratch) t.scratch = rawAlloc((4 * SCRATCH_WORDS + PAGE - 1) / PAGE);
    atomicStore<u32>(thread + offsetof<Thread>("label"), label);
    if (t.scratch) return true;
    atomicStore<u32>(thread + offsetof<Thread>("alive"), 0);
    return false;
  }
  return false;
}

/** This thread's number. */
export function heap_thread(): u32 {
  return selfNumber();
}

/** The number of a thread with this label that has not left; -1 if there is none. */
export function heap_find_thread(label: u32): i32 {
  for (let number: u32 = 0; number < heap().threads; number++) {
    const thread = threadAt(number);
    if (
      atomicLoad<u32>(thread + offsetof<Thread>("alive")) &&
      atomicLoad<u32>(thread + offsetof<Thread>("label")) == label
    )
      return number;
  }
  return -1;
}

/** Leaves the heap: all that this thread has cached goes back, and its handles are gone. False: not now. */
export function heap_detach(): bool {
  if (!lock()) return false;
  for (let at = heap().pools; at;) {
    const pool = changetype<Pool>(at);
    at = pool.next;
    if (changetype<usize>(mine(pool))) leave(mine(pool));
  }
  unlock();
  atomicStore<u32>(changetype<usize>(self()) + offsetof<Thread>("alive"), 0);
  return true;
}

/** The pool of a handle: the same in all threads, what another needs to get a handle of its own. */
export function mempool_pool(m: Magazine): usize {
  return m.pool;
}

/** Whether the last element of a closed pool has come home. The handle stays until it is given back. */
export function mempool_ended(m: Magazine): bool {
  return hasEnded(poolOf(m));
}

/** This thread's handle of a pool; 0 if there is no such pool any more, or no memory also after reclaim. */
export function mempool_attach(address: usize): usize {
  const m = tryAttach(address);
  return m || !reclaim() ? m : tryAttach(address);
}

function tryAttach(address: usize): usize {
  if (!lock()) return 0;
  let m: usize = 0;
  let at = heap().pools;
  while (at && at != address) at = changetype<Pool>(at).next;
  const pool = changetype<Pool>(at);
  if (at && !isClosed(pool)) {
    m = magazineAt(pool, selfNumber());
    if (!m) m = changetype<usize>(attach(pool));
    else if (!changetype<Magazine>(m).live) {
      atomicStore<u64>(m + offsetof<Magazine>("floor"), GATE_SHUT);
      magazineOf(changetype<Magazine>(m), pool);
      atomicStore<u32>(m + offsetof<Magazine>("live"), STATE_LIVE | selfNumber());
    }
  }
  unlock();
  return m;
}

/** Gives the handle back, with all that is cached. False: not now. */
export function mempool_detach(m: Magazine): bool {
  if (!lock()) return false;
  leave(m);
  unlock();
  return true;
}

/** A thread's magazine is no longer anybody's. Under the lock. */
function leave(m: Magazine): void {
  const pool = poolOf(m);
  leaveLine(m);
  do {
    flush(m, roundsIn(m));
    // Who serves others may be left with what nobody wants any more.
    attend(m);
  } while (roundsIn(m));
  sweepOld(pool);
  atomicStore<u64>(changetype<usize>(m) + offsetof<Magazine>("floor"), GATE_SHUT);
  magazineShrink(m);
  // No epoch's: when this thread comes again, it looks.
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("epoch"), 0);
  atomicStore<u32>(changetype<usize>(m) + offsetof<Magazine>("live"), 0);
  destroyIfOver(pool);
}

/**
 * For a thread that has nothing to do: what it has cached goes to pools where somebody starves, and who waits is served.
 * False while another thread has the lists: then again soon.
 */
export function heap_settle(): bool {
  if (!tryLock()) return false;
  settleAll();
  unlock();
  return true;
}

/** The same, under the lock. */
export function settleAll(): void {
  for (let at = heap().pools; at; at = changetype<Pool>(at).next) {
    const pool = changetype<Pool>(at);
    const m = mine(pool);
    if (changetype<usize>(m)) {
      settle(m);
      attend(m);
      sweepOld(pool);
    } else if (isClosed(pool)) clearedRest(pool);
  }
}

/** The address of a word that changes when somebody starves while this thread may have something cached. */
export function heap_nudge(): usize {
  return changetype<usize>(self()) + offsetof<Thread>("nudge");
}
