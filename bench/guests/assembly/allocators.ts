/**
 * The workloads of the allocators suite, step by step those of ../c/loops.c, which explains them. `--use TLSF=1` selects
 * AssemblyScript's own allocator, `--use BUMP=1` its bump allocator; the default is pools: one for 64 bytes, and one for
 * each size class. `--use CALLED=1` calls the core's exported functions instead of the inlined ones.
 */
import { allocInline, freeInline, heap_create, Magazine, mempool_alloc, mempool_create, mempool_free } from "./core";

/** As many words each: addresses, sizes, then the handles of the pools for each 16 bytes of size. */
const SLOTS: usize = 16384;
const SIZES: usize = SLOTS * 4;
const POOLS: usize = 2 * SLOTS * 4;
const MOST: u32 = 4096;

let slots: usize = 0;
let only: usize = 0;
let seed: u32 = 1;
let sum: u32 = 0;
let cursor: u32 = 0;
let lowestEnd: u32 = 0;
let highestEnd: u32 = 0;


@inline
function poolOf(size: u32): Magazine {
  return changetype<Magazine>(load<u32>(slots + (((size + 15) >> 4) << 2), POOLS));
}


@inline
function alloc(size: u32): usize {
  if (isDefined(TLSF)) return heap.alloc(size);
  if (isDefined(BUMP)) return heap.alloc(size);
  if (isDefined(CALLED)) return mempool_alloc(poolOf(size));
  return allocInline(poolOf(size));
}


@inline
function free(block: usize, size: u32): void {
  if (isDefined(TLSF)) heap.free(block);
  else if (isDefined(BUMP)) heap.free(block);
  else if (isDefined(CALLED)) mempool_free(poolOf(size), block);
  else freeInline(poolOf(size), block);
}

/** For a workload of one size: a pool's user has its handle at hand. */
@inline
function alloc64(): usize {
  if (isDefined(TLSF)) return heap.alloc(64);
  if (isDefined(BUMP)) return heap.alloc(64);
  if (isDefined(CALLED)) return mempool_alloc(changetype<Magazine>(only));
  return allocInline(changetype<Magazine>(only));
}


@inline
function free64(block: usize): void {
  if (isDefined(TLSF)) heap.free(block);
  else if (isDefined(BUMP)) heap.free(block);
  else if (isDefined(CALLED)) mempool_free(changetype<Magazine>(only), block);
  else freeInline(changetype<Magazine>(only), block);
}


@inline
function next(): u32 {
  let x = seed;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  seed = x;
  return x;
}


@inline
function below(limit: u32): u32 {
  return <u32>((<u64>next() * limit) >> 32);
}


@inline
function skewed(span: u32): u32 {
  const shift = ctz<u32>(next() | 64);
  return 16 + below(span << shift);
}


@inline
function written(slot: u32, size: u32, block: usize): void {
  if (!block) unreachable();
  store<u32>(block, size + slot);
  store<u32>(block + (((size >> 2) - 1) << 2), size ^ slot);
  store<u32>(slots + (slot << 2), block);
  store<u32>(slots + (slot << 2), size, SIZES);
}


@inline
function put(slot: u32, size: u32): void {
  written(slot, size, alloc(size));
}


@inline
function drop(slot: u32): void {
  const block = load<u32>(slots + (slot << 2));
  const size = load<u32>(slots + (slot << 2), SIZES);
  sum += load<u32>(block) ^ load<u32>(block + (((size >> 2) - 1) << 2));
  free(block, size);
}


@inline
function put64(slot: u32): void {
  written(slot, 64, alloc64());
}


@inline
function drop64(slot: u32): void {
  const block = load<u32>(slots + (slot << 2));
  const size = load<u32>(slots + (slot << 2), SIZES);
  sum += load<u32>(block) ^ load<u32>(block + (((size >> 2) - 1) << 2));
  free64(block);
}


@inline
function swap(a: u32, b: u32): void {
  const at = slots + (a << 2);
  const other = slots + (b << 2);
  const block = load<u32>(at);
  const size = load<u32>(at, SIZES);
  store<u32>(at, load<u32>(other));
  store<u32>(at, load<u32>(other, SIZES), SIZES);
  store<u32>(other, block);
  store<u32>(other, size, SIZES);
}

/** The size that a block of `size` bytes gets: each 16 bytes up to 256, then eight to each power of two. */
export function classOf(size: u32): u32 {
  if (size <= 256) return (size + 15) & ~15;
  const step: u32 = 1 << (32 - clz(size - 1) - 4);
  return (size + step - 1) & ~(step - 1);
}

export function setup(first: u32): void {
  seed = first;
  if (isDefined(TLSF)) slots = memory.data(196608, 16);
  else if (isDefined(BUMP)) slots = memory.data(196608, 16);
  else {
    // The heap owns the memory below the slots, and grows above them.
    slots = (<usize>memory.grow(3)) << 16;
    if (!heap_create(0, slots, 1 << 20, 1)) unreachable();
    let last: u32 = 0;
    let pool: usize = 0;
    for (let size: u32 = 16; size <= MOST; size += 16) {
      const bytes = classOf(size);
      if (bytes != last) {
        last = bytes;
        pool = changetype<usize>(mempool_create(bytes, 16, 0, -1, 0));
        if (!pool) unreachable();
      }
      store<u32>(slots + ((size >> 4) << 2), pool, POOLS);
    }
    only = changetype<usize>(poolOf(64));
  }
}

/** Where the allocator's memory begins, less the slots if they are in its midst. */
export function base(): usize {
  if (isDefined(TLSF)) return __heap_base;
  if (isDefined(BUMP)) return __heap_base;
  return 3 << 16;
}

export function allocate(size: u32): usize {
  return alloc(size);
}

export function release(block: usize): void {
  if (isDefined(TLSF)) heap.free(block);
  else if (isDefined(BUMP)) heap.free(block);
}

export function pair(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const block = alloc64();
    if (!block) unreachable();
    store<u32>(block, i);
    store<u32>(block, ~seed, 60);
    sum += load<u32>(block) ^ load<u32>(block, 60);
    free64(block);
  }
  return sum;
}

export function wave(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    for (let slot: u32 = 0; slot < 1000; slot++) put64(slot);
    for (let slot: u32 = 0; slot < 1000; slot++) drop64(slot);
    // The bump allocator takes back its last block, or everything.
    if (isDefined(BUMP)) heap.reset();
  }
  return sum;
}

export function fill(first: u32, count: u32, low: u32, span: u32): void {
  for (let slot = first; slot < first + count; slot++) put(slot, low + below(span));
}

export function fragment(first: u32, count: u32): void {
  for (let slot = first; slot < first + count; slot++) put(slot, skewed(32));
  for (let slot = first; slot < first + count; slot++) {
    if (!(slot & 3)) continue;
    drop(slot);
    store<u32>(slots + (slot << 2), 0, SIZES);
  }
}

export function churn(n: u32, count: u32, low: u32, span: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const slot = below(count);
    drop(slot);
    put(slot, low + below(span));
  }
  return sum;
}

export function larson(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const first = cursor * 1000;
    cursor = cursor == 4 ? 0 : cursor + 1;
    for (let j: u32 = 0; j < 1000; j++) {
      const slot = first + below(1000);
      drop(slot);
      put(slot, 16 + below(496));
    }
  }
  return sum;
}

export function xmalloc(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const first = cursor * 120;
    cursor = (cursor + 1) & 63;
    for (let slot = first; slot < first + 120; slot++) drop(slot);
    for (let slot = first; slot < first + 120; slot++) put(slot, 16 + below(512));
  }
  return sum;
}

export function sh6(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    for (let batch: u32 = 0; batch < 40; batch++) {
      const size = skewed(16);
      for (let slot = batch * 50; slot < batch * 50 + 50; slot++) put(slot, size);
    }
    for (let slot: u32 = 0; slot < 1000; slot++) drop(slot);
    for (let slot: u32 = 2000; slot > 1000; slot--) drop(slot - 1);
  }
  return sum;
}

export function sh8(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const first = below(2000 - 32);
    if (first & 1) {
      for (let slot = first; slot < first + 32; slot++) drop(slot);
    } else {
      for (let slot = first + 32; slot > first; slot--) drop(slot - 1);
    }
    for (let slot = first; slot < first + 32; slot++) put(slot, skewed(16));
  }
  return sum;
}

export function mstress(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    for (let slot: u32 = 0; slot < 100; slot++) {
      put(slot, skewed(32));
      const dice = next();
      if (!(dice & 3)) swap(slot, 100 + below(4000));
      else if (!(dice & 12)) swap(slot, 4100 + below(1000));
    }
    for (let slot: u32 = 0; slot < 100; slot++) drop(slot);
  }
  return sum;
}

export function scratch(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const slot = i & 7;
    drop(slot);
    put(slot, 16);
    const block = load<u32>(slots + (slot << 2));
    for (let j: u32 = 0; j < 50; j++) store<u32>(block, load<u32>(block, 4) + j, 4);
  }
  return sum;
}

export function toggle(n: u32): u32 {
  for (let i: u32 = 0; i < n; i++) {
    const slot = below(below(4096) + 1);
    const at = slots + (slot << 2);
    if (load<u32>(at, SIZES)) {
      drop(slot);
      store<u32>(at, 0, SIZES);
    } else put(slot, skewed(32));
  }
  return sum;
}

export function payload(first: u32, count: u32): u32 {
  let bytes: u32 = 0;
  lowestEnd = ~0;
  highestEnd = 0;
  for (let slot = first; slot < first + count; slot++) {
    const block = load<u32>(slots + (slot << 2));
    const size = load<u32>(slots + (slot << 2), SIZES);
    if (!size) continue;
    bytes += size;
    if (block < lowestEnd) lowestEnd = block;
    if (block + size > highestEnd) highestEnd = block + size;
  }
  return bytes;
}

export function lowest(): u32 {
  return lowestEnd;
}

export function highest(): u32 {
  return highestEnd;
}
