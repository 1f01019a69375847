/**
 * Arenas: memory allocated by adding.
 *
 * An arena owns a list of chunks, raw runs of pages, and allocates from the current one. Chunks behind it stay for the
 * next round: a frame's worth of memory is taken from pages once. Calls growth, runs and records. Only the arena's
 * thread touches it; creating and ending one may wait for the lock of the list of arenas. Reset costs a look at the
 * chunks up to the mark, an alloc at most one chunk.
 *
 * Invariants (checkArena in inspect/check.ts): `position` and `end` lie in the current chunk, and `chunks` counts the
 * list. Chunks up to the current one hold what was allocated since the last reset; those after it hold nothing.
 */
import { atomicStore } from "../base/atomics";
import { BAD_ARGUMENT, BUSY, fail, NO_MEMORY } from "../base/error";
import { heap, heapBase, selfNumber } from "../base/instance";
import { alignUp, Arena, ArenaChunk, Heap, NOBODY, PAGE, PAGE_SHIFT } from "../base/layout";
import { listPush, listRemove, lock, unlock } from "../base/list";
import { rawAlloc } from "./growth";
import { recordAlloc, recordFree } from "./records";
import { rawFree } from "./runs";

const CHUNK_HEADER: u32 = offsetof<ArenaChunk>();

/** An allocation or chunk has fewer bytes than this, so that adding header and alignment does not wrap. */
const CHUNK_LIMIT: u32 = 0xffff0000;

/** A chunk with room for `bytes`, not yet in the list; 0 if there is no memory. */
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

/** Allocates from a chunk from now on. */
function enter(arena: Arena, address: usize): void {
  arena.current = address;
  arena.position = address + CHUNK_HEADER;
  arena.end = address + (changetype<ArenaChunk>(address).pages << PAGE_SHIFT);
}

/** An arena with one chunk of at least `chunkBytes`; null if there is no memory for it. */
export function arenaCreate(chunkBytes: u32): Arena {
  if (chunkBytes >= CHUNK_LIMIT) return changetype<Arena>(<usize>fail(BAD_ARGUMENT));
  const pages = (chunkBytes + CHUNK_HEADER + PAGE - 1) >>> PAGE_SHIFT;
  // The chunk first: a new slab for the record could split the longest free run.
  const chunk = rawAlloc(pages);
  if (!chunk) return changetype<Arena>(<usize>fail(NO_MEMORY));
  const arena = changetype<Arena>(recordAlloc());
  if (!changetype<usize>(arena)) {
    rawFree(chunk);
    return changetype<Arena>(<usize>fail(NO_MEMORY));
  }
  arena.thread = selfNumber();
  arena.chunkPages = arena.pages = pages;
  arena.chunks = 1;
  changetype<ArenaChunk>(chunk).pages = pages;
  changetype<ArenaChunk>(chunk).next = 0;
  arena.first = chunk;
  enter(arena, chunk);
  if (!lock()) {
    freeChunks(arena, chunk);
    recordFree(changetype<usize>(arena));
    return changetype<Arena>(<usize>fail(BUSY));
  }
  listPush(heapBase() + offsetof<Heap>("arenas"), arena);
  heap().arenaCount++;
  unlock();
  return arena;
}

/** `bytes` at a multiple of `align`, a power of two; 0 if the current chunk has no room. */
@inline
export function arenaBump(arena: Arena, bytes: u32, align: u32): usize {
  const address = alignUp(arena.position, align);
  // A sum that wraps is refused: alignUp's is below `position`, and `bytes` is compared with the difference.
  if (address > arena.end || address < arena.position || bytes > arena.end - address) return 0;
  arena.position = address + bytes;
  return address;
}

/** Goes on to the next chunk if it has room, else to a new one before it. False if there is no memory. */
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

/** Frees all that was allocated since `mark`, a position; 0: everything. False if it is no position of this arena. */
export function resetArena(arena: Arena, mark: usize): bool {
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
    if (isCurrent) return <bool>fail(BAD_ARGUMENT);
    chunk = changetype<ArenaChunk>(chunk).next;
  }
}

/** Bytes allocated, alignment included. */
export function arenaUsed(arena: Arena): u32 {
  let used: u32 = 0;
  for (let chunk = arena.first; chunk != arena.current; chunk = changetype<ArenaChunk>(chunk).next) {
    used += <u32>(changetype<ArenaChunk>(chunk).left - chunk) - CHUNK_HEADER;
  }
  return used + <u32>(arena.position - arena.current) - CHUNK_HEADER;
}

/** Frees the chunks after the current one; returns their bytes. */
export function arenaTrim(arena: Arena): u32 {
  const current = changetype<ArenaChunk>(arena.current);
  if (!changetype<usize>(current)) return 0;
  const before = arena.pages;
  const next = current.next;
  // Unlinked first: a thread that dies in between leaks the chunks, but none is freed twice.
  current.next = 0;
  freeChunks(arena, next);
  return (before - arena.pages) << PAGE_SHIFT;
}

/** Ends this thread's arena. Without the lock its record stays in the list, as NOBODY's, and reclaim frees it. */
export function exitArena(arena: Arena): void {
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

/** Ends an arena whose thread leaves or is dead. Under the lock. */
export function arenaDrop(arena: Arena): void {
  const first = arena.first;
  arena.first = 0;
  arena.current = 0;
  arenaForget(arena);
  freeChunks(arena, first);
  recordFree(changetype<usize>(arena));
}

/** Takes an arena off the list. Under the lock. */
export function arenaForget(arena: Arena): void {
  listRemove(heapBase() + offsetof<Heap>("arenas"), arena);
  heap().arenaCount--;
}

function freeChunks(arena: Arena, chunk: usize): void {
  while (chunk) {
    const next = changetype<ArenaChunk>(chunk).next;
    const pages = changetype<ArenaChunk>(chunk).pages;
    rawFree(chunk);
    arena.pages -= pages;
    arena.chunks--;
    chunk = next;
  }
}
