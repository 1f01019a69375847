/**
 * Bump: handing out by adding. It carves fresh slabs, and makes arenas.
 *
 * An arena owns a list of chunks, raw runs of pages, and hands out from the current one. Chunks behind it stay for the
 * next round: a frame's worth of memory is asked of pages once. Invariant: chunks up to `current` hold what was handed
 * out since the last reset; those after it hold nothing.
 */
import { atomicStore, THREADS } from "./atomics";
import {
  alignUp,
  Arena,
  ArenaChunk,
  Cache,
  heap,
  Heap,
  heapBase,
  PAGE,
  PAGE_SHIFT,
  NOBODY,
  selfNumber,
  Slab,
  SLAB_HEADER,
} from "./layout";
import { listPush, listRemove, lock, unlock } from "./list";
import { rawAlloc, rawFree } from "./pages";
import { recordAlloc, recordFree, slabSkip, stateCached } from "./slab";

const CHUNK_HEADER: u32 = offsetof<ArenaChunk>();
/** No chunk is this long: what must be added to a length below it does not wrap. */
const CHUNK_LIMIT: u32 = 0xffff0000;
/** A cache line, in bytes. */
const LINE: u32 = 64;

/** Writes up to `want` rounds of elements never used before, now CACHED; returns how many. */
export function carve(cache: Cache, slab: Slab, rounds: usize, want: u32): u32 {
  let carved = slab.carved;
  if (THREADS) carved = ownLine(slab, carved);
  const got = min(want, slab.end - carved);
  slab.carved = carved + got;
  let state = changetype<usize>(slab) - 1 - carved;
  let element = changetype<usize>(slab) + SLAB_HEADER + carved * cache.stride;
  const cached = stateCached();
  // The last round is handed out first: so addresses ascend.
  for (let round = rounds + (got << 3); round > rounds;) {
    round -= 8;
    store<u8>(state, cached);
    store<u64>(round, (<u64>element) | ((<u64>state) << 32));
    state--;
    element += cache.stride;
  }
  return got;
}

/**
 * Two threads whose elements have their state bytes in one cache line slow each other down at every alloc and free. So
 * who is not the last one to carve begins a new line, if there is one: what is left of the old one is FREE from then on.
 */
function ownLine(slab: Slab, carved: u32): u32 {
  if (slab.carver == selfNumber()) return carved;
  slab.carver = selfNumber();
  const next = carved + ((changetype<u32>(slab) - carved) & (LINE - 1));
  if (next + LINE > slab.end) return carved;
  slabSkip(slab, carved, next);
  return next;
}

/** A chunk with room for `bytes`, not yet in the list; 0 if there is no run for it. */
function chunkCreate(arena: Arena, bytes: u32): usize {
  const pages = max<u32>(arena.chunkPages, (bytes + CHUNK_HEADER + PAGE - 1) >>> PAGE_SHIFT);
  const address = rawAlloc(pages);
  if (address) {
    changetype<ArenaChunk>(address).pages = pages;
    arena.pages += pages;
    arena.chunks++;
  }
  return address;
}

function enter(arena: Arena, address: usize): void {
  arena.current = address;
  arena.position = address + CHUNK_HEADER;
  arena.end = address + (changetype<ArenaChunk>(address).pages << PAGE_SHIFT);
}

/** An arena with one chunk of at least `chunkBytes`; null if there is no memory for it. */
export function arenaCreate(chunkBytes: u32): Arena {
  if (chunkBytes >= CHUNK_LIMIT) return changetype<Arena>(0);
  const arena = changetype<Arena>(recordAlloc());
  if (!changetype<usize>(arena)) return arena;
  arena.thread = selfNumber();
  arena.chunkPages = (chunkBytes + CHUNK_HEADER + PAGE - 1) >>> PAGE_SHIFT;
  const chunk = chunkCreate(arena, 0);
  if (!chunk) {
    recordFree(changetype<usize>(arena));
    return changetype<Arena>(0);
  }
  changetype<ArenaChunk>(chunk).next = 0;
  arena.first = chunk;
  enter(arena, chunk);
  if (!lock()) {
    freeChunks(arena, chunk);
    recordFree(changetype<usize>(arena));
    return changetype<Arena>(0);
  }
  listPush(heapBase() + offsetof<Heap>("arenas"), arena);
  heap().arenaCount++;
  unlock();
  return arena;
}

/** `bytes` at a multiple of `align`, a power of two; 0 if there is no memory. */
@inline
export function arenaBump(arena: Arena, bytes: u32, align: u32): usize {
  const address = alignUp(arena.position, align);
  // Neither sum can wrap into range: position <= end, and bytes is compared with what is left.
  if (address > arena.end || address < arena.position || bytes > arena.end - address) return 0;
  arena.position = address + bytes;
  return address;
}

/** The way past the end of a chunk: the next one if it has room, else a new one between the two. */
export function arenaNextChunk(arena: Arena, bytes: u32, align: u32): bool {
  if (bytes >= CHUNK_LIMIT) return false;
  const current = changetype<ArenaChunk>(arena.current);
  const need = bytes + (align > CHUNK_HEADER ? align : 0);
  let next = current.next;
  if (!next || (changetype<ArenaChunk>(next).pages << PAGE_SHIFT) - CHUNK_HEADER < need) {
    const chunk = chunkCreate(arena, need);
    if (!chunk) return false;
    changetype<ArenaChunk>(chunk).next = next;
    current.next = chunk;
    next = chunk;
  }
  current.left = arena.position;
  enter(arena, next);
  return true;
}

/** Takes back all that was handed out since `mark`, a position; 0 takes back everything. False if it is no position. */
export function arena_reset(arena: Arena, mark: usize): bool {
  let chunk = arena.first;
  if (!mark) {
    enter(arena, chunk);
    return true;
  }
  while (true) {
    const isCurrent = chunk == arena.current;
    const left = isCurrent ? arena.position : changetype<ArenaChunk>(chunk).left;
    if (mark >= chunk + CHUNK_HEADER && mark <= left) {
      if (!isCurrent) enter(arena, chunk);
      arena.position = mark;
      return true;
    }
    if (isCurrent) return false;
    chunk = changetype<ArenaChunk>(chunk).next;
  }
}

/** The position: what arena_reset goes back to. */
export function arena_mark(arena: Arena): usize {
  return arena.position;
}

/** Bytes handed out, alignment included. */
export function arenaUsed(arena: Arena): u32 {
  let used: u32 = 0;
  for (let chunk = arena.first; chunk != arena.current; chunk = changetype<ArenaChunk>(chunk).next) {
    used += <u32>(changetype<ArenaChunk>(chunk).left - chunk) - CHUNK_HEADER;
  }
  return used + <u32>(arena.position - arena.current) - CHUNK_HEADER;
}

/** Gives the chunks after the current one back to pages; returns their bytes. */
export function arenaTrim(arena: Arena): u32 {
  const current = changetype<ArenaChunk>(arena.current);
  if (!changetype<usize>(current)) return 0;
  const before = arena.pages;
  const next = current.next;
  // Forgotten first: who dies in between leaks it, and frees nothing twice.
  current.next = 0;
  freeChunks(arena, next);
  return (before - arena.pages) << PAGE_SHIFT;
}

export function arena_exit(arena: Arena): void {
  // Where the lock is not to be had, it stays in the list, for who reclaims.
  const locked = lock();
  const first = arena.first;
  arena.first = 0;
  arena.current = 0;
  if (locked) arenaForget(arena);
  freeChunks(arena, first);
  if (!locked) {
    atomicStore<u32>(changetype<usize>(arena) + offsetof<Arena>("thread"), NOBODY);
    return;
  }
  unlock();
  recordFree(changetype<usize>(arena));
}

/** Takes an arena off the list. Under the lock. */
export function arenaForget(arena: Arena): void {
  listRemove(heapBase() + offsetof<Heap>("arenas"), arena);
  heap().arenaCount--;
}

export function freeChunks(arena: Arena, chunk: usize): void {
  while (chunk) {
    const next = changetype<ArenaChunk>(chunk).next;
    const pages = changetype<ArenaChunk>(chunk).pages;
    rawFree(chunk);
    arena.pages -= pages;
    arena.chunks--;
    chunk = next;
  }
}
