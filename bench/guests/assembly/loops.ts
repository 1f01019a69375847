/**
 * The workloads, for the pool; with `--use TLSF=1` for AssemblyScript's own allocator, and with `--use LIST=1` for a bare
 * list, the floor. Every element is written once after it is allocated. Loops with `Called` in their name call the exported functions of the core; the others inline them.
 */
import { allocInline, freeInline, Magazine, mempool_alloc, mempool_free } from "./core";

/** Bytes of an element of AssemblyScript's allocator; a pool has its own size. */
const SIZE: usize = 64;


@inline
function alloc(pool: Magazine): usize {
  if (isDefined(TLSF)) return heap.alloc(SIZE);
  if (isDefined(LIST)) return listAlloc(changetype<usize>(pool));
  return allocInline(pool);
}


@inline
function free(pool: Magazine, element: usize): void {
  if (isDefined(TLSF)) heap.free(element);
  else if (isDefined(LIST)) listFree(changetype<usize>(pool), element);
  else freeInline(pool, element);
}

/** A list through the free elements, whose first one `list` names: it checks no free, and has one size. */
@inline
function listAlloc(list: usize): usize {
  const element = load<u32>(list) || listCarve(list);
  store<u32>(list, load<u32>(element));
  return element;
}


@inline
function listFree(list: usize, element: usize): void {
  store<u32>(element, load<u32>(list));
  store<u32>(list, element);
}

/** Links the elements of new memory in the order of their addresses; returns the first. */
function listCarve(list: usize): usize {
  const first = (<usize>memory.grow(1)) << 16;
  const last = first + 0x10000 - SIZE;
  for (let at = first; at < last; at += SIZE) store<u32>(at, at + SIZE);
  store<u32>(last, 0);
  store<u32>(list, first);
  return first;
}

/** An empty list, at an address that no element has. */
export function listNew(): usize {
  return 1024;
}

export function listAllocCalled(list: usize): usize {
  return listAlloc(list);
}

export function listFreeCalled(list: usize, element: usize): i32 {
  listFree(list, element);
  return 0;
}


@inline
function next(random: u32): u32 {
  return random * 1664525 + 1013904223;
}

/** The slot of a random number, by its upper bits: the lower ones are not random. */
@inline
function slotOf(slots: usize, count: u32, random: u32): usize {
  return slots + ((<usize>((<u64>random * count) >> 32)) << 2);
}

export function pair(pool: Magazine, n: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    const element = alloc(pool);
    store<u32>(element, i);
    free(pool, element);
  }
}

export function pairCalled(pool: Magazine, n: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    const element = mempool_alloc(pool);
    store<u32>(element, i);
    mempool_free(pool, element);
  }
}

/** n times: allocate `count` elements, then free them in the order they came. */
export function wave(pool: Magazine, n: u32, slots: usize, count: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    const end = slots + (count << 2);
    for (let at = slots; at < end; at += 4) {
      const element = alloc(pool);
      store<u32>(element, i);
      store<u32>(at, element);
    }
    for (let at = slots; at < end; at += 4) free(pool, load<u32>(at));
  }
}

export function waveCalled(pool: Magazine, n: u32, slots: usize, count: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    const end = slots + (count << 2);
    for (let at = slots; at < end; at += 4) {
      const element = mempool_alloc(pool);
      store<u32>(element, i);
      store<u32>(at, element);
    }
    for (let at = slots; at < end; at += 4) mempool_free(pool, load<u32>(at));
  }
}

/** n times: free the element in a random slot and put a new one there. Returns the random number to go on with. */
export function churn(pool: Magazine, n: u32, slots: usize, count: u32, random: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const at = slotOf(slots, count, (random = next(random)));
    free(pool, load<u32>(at));
    const element = alloc(pool);
    store<u32>(element, i);
    store<u32>(at, element);
  }
  return random;
}

export function churnCalled(pool: Magazine, n: u32, slots: usize, count: u32, random: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const at = slotOf(slots, count, (random = next(random)));
    mempool_free(pool, load<u32>(at));
    const element = mempool_alloc(pool);
    store<u32>(element, i);
    store<u32>(at, element);
  }
  return random;
}

/** The memory accesses of churn without an allocator: reads a random slot, writes the element and the slot. */
export function churnNone(n: u32, slots: usize, count: u32, random: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const at = slotOf(slots, count, (random = next(random)));
    const element = load<u32>(at);
    store<u32>(element, i);
    store<u32>(at, element);
  }
  return random;
}

/** The same, and one byte for each element in another place: the least that noticing a double free takes. */
export function churnBeside(n: u32, slots: usize, count: u32, random: u32, bytes: usize): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const at = slotOf(slots, count, (random = next(random)));
    const element = load<u32>(at);
    const state = bytes + ((at - slots) >>> 2);
    if (load<i8>(state) < 0) unreachable();
    store<u8>(state, i & 127);
    store<u32>(element, i);
    store<u32>(at, element);
  }
  return random;
}

/** n times: free the element in the next slot, and put a new one there. Returns the slot to go on with. */
export function walk(pool: Magazine, n: u32, slots: usize, count: u32, k: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const at = slots + (k << 2);
    free(pool, load<u32>(at));
    const element = alloc(pool);
    store<u32>(element, i);
    store<u32>(at, element);
    if (++k == count) k = 0;
  }
  return k;
}

export function walkNone(n: u32, slots: usize, count: u32, k: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const at = slots + (k << 2);
    const element = load<u32>(at);
    store<u32>(element, i);
    store<u32>(at, element);
    if (++k == count) k = 0;
  }
  return k;
}

/** n times: free the elements in `batch` random slots, then put new ones there. */
export function shuffle(pool: Magazine, n: u32, slots: usize, count: u32, random: u32, batch: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const again = random;
    for (let j: u32 = 0; j < batch; j++) {
      const at = slotOf(slots, count, (random = next(random)));
      const element = load<u32>(at);
      // A slot may come twice; its element is freed once.
      store<u32>(at, 0);
      if (element) free(pool, element);
    }
    random = again;
    for (let j: u32 = 0; j < batch; j++) {
      const at = slotOf(slots, count, (random = next(random)));
      if (load<u32>(at)) continue;
      const element = alloc(pool);
      store<u32>(element, i);
      store<u32>(at, element);
    }
  }
  return random;
}

/** The same without an allocator. */
export function shuffleNone(n: u32, slots: usize, count: u32, random: u32, batch: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const again = random;
    for (let j: u32 = 0; j < batch; j++) {
      const at = slotOf(slots, count, (random = next(random)));
      const element = load<u32>(at);
      store<u32>(at, element);
    }
    random = again;
    for (let j: u32 = 0; j < batch; j++) {
      const at = slotOf(slots, count, (random = next(random)));
      const element = load<u32>(at);
      if (!element) continue;
      store<u32>(element, i);
      store<u32>(at, element);
    }
  }
  return random;
}

/** n times: free the last `batch` of the slots, newest first, and allocate as many again. */
export function stack(pool: Magazine, n: u32, slots: usize, count: u32, batch: u32): void {
  const end = slots + (count << 2);
  const start = end - (batch << 2);
  for (let i: u32 = 0; i < n; i++) {
    for (let at = end; at > start;) free(pool, load<u32>((at -= 4)));
    for (let at = start; at < end; at += 4) {
      const element = alloc(pool);
      store<u32>(element, i);
      store<u32>(at, element);
    }
  }
}

export function stackNone(n: u32, slots: usize, count: u32, batch: u32): void {
  const end = slots + (count << 2);
  const start = end - (batch << 2);
  for (let i: u32 = 0; i < n; i++) {
    for (let at = start; at < end; at += 4) {
      const element = load<u32>(at);
      store<u32>(element, i);
      store<u32>(at, element);
    }
  }
}

/** Puts an element into each of `count` slots, in order. Returns how many there are. */
export function fill(pool: Magazine, slots: usize, count: u32): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const element = alloc(pool);
    if (!element) return i;
    store<u32>(element, i);
    store<u32>(slots + (i << 2), element);
  }
  return count;
}

/** n times: free the element of the next of `count` pools, and allocate another from it. */
export function roundRobin(pools: usize, n: u32, slots: usize, count: u32): void {
  let k: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const pool = changetype<Magazine>(load<u32>(pools + (k << 2)));
    const at = slots + (k << 2);
    free(pool, load<u32>(at));
    const element = alloc(pool);
    store<u32>(element, i);
    store<u32>(at, element);
    if (++k == count) k = 0;
  }
}

/** Memory for slots, beside the allocator's; 0 if there is none. */
export function slotsNew(pages: u32): usize {
  // AssemblyScript's allocator takes all memory at its first call.
  if (isDefined(TLSF)) heap.free(heap.alloc(SIZE));
  const page = memory.grow(pages);
  return page < 0 ? 0 : (<usize>page) << 16;
}

/* The cost of a call from JavaScript: newer engines inline an empty function, but none that loads. */

export function load1(address: usize): u32 {
  return load<u32>(address);
}

export function load2(address: usize, unused: u32): u32 {
  return load<u32>(address);
}
