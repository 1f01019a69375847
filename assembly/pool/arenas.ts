/**
 * Arenas (memory/arena.ts) with the memory that reclaim finds for them. createArena may wait for the lock of the heap's
 * lists, for a bounded time; allocInArena only tries it.
 */
import { BAD_ARGUMENT, fail, NO_MEMORY } from "../base/error";
import { Arena, MAX_ALIGN } from "../base/layout";
import { arenaBump, arenaCreate, arenaNextChunk } from "../memory/arena";
import { mayRetry, reclaim, workOfOthers } from "./reclaim";

/** An arena with one chunk of at least `chunkBytes`; null if memory is gone, also after reclaim. */
export function createArena(chunkBytes: u32): Arena {
  let arena: Arena;
  let tries: u32 = 0;
  let seen: i64;
  do {
    seen = workOfOthers();
    arena = arenaCreate(chunkBytes);
  } while (!changetype<usize>(arena) && mayRetry(tries++, seen));
  return arena;
}

/** `bytes` at a multiple of `align`, a power of two to 4096; 0 when memory is gone, also after reclaim. */
@inline
export function allocInArena(arena: Arena, bytes: u32, align: u32): usize {
  // `align - 1` shares a bit with `align` if that is no power of two, and with -MAX_ALIGN if it is above the largest.
  if ((align - 1) & (align | -MAX_ALIGN)) return fail(BAD_ARGUMENT);
  const address = arenaBump(arena, bytes, align);
  if (address) return address;
  if (!arenaNextChunk(arena, bytes, align) && !(reclaim() && arenaNextChunk(arena, bytes, align)))
    return fail(NO_MEMORY);
  return arenaBump(arena, bytes, align);
}
