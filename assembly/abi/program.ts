/** For programs with malloc: a pool or an arena may be the first to need the heap, as a block may. */
import { Arena, Magazine } from "../base/layout";
import { hasOwnHeap } from "../malloc/start";
import { createArena } from "../pool/arenas";
import { createPool } from "../pool/lifecycle";
import { attachPool } from "../threads/handles";

export function mempool_create(size: u32, align: u32, minNr: u32, maxNr: u32, backend: u32): Magazine {
  return hasOwnHeap() ? createPool(size, align, minNr, maxNr, backend) : changetype<Magazine>(0);
}

export function mempool_attach(address: usize, serial: u32): usize {
  return hasOwnHeap() ? attachPool(address, serial) : 0;
}

export function arena_create(chunkBytes: u32): Arena {
  return hasOwnHeap() ? createArena(chunkBytes) : changetype<Arena>(0);
}
