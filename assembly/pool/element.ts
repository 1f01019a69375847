/**
 * The owner of an address: the check that a free makes of any 32-bit number, and the codes that answer it.
 *
 * The page map names epoch and slab, the epoch's numbers give the index, and the state byte says whether the element is
 * outstanding. Nothing that an element holds is trusted. A double free is identified only while the pool still owns
 * that memory. Reads only, waits for no thread; costs the two loads of the page map, a multiplication, and the state
 * byte.
 */
import { CLOSED } from "../base/error";
import { Epoch, Magazine, Pool, STATE_LIVE, STATE_NEVER, TAG_MASK } from "../base/layout";
import { firstElement, indexOf, records, slabIn, stateOf } from "../memory/geometry";
import { entryAt } from "../memory/map";
import { isClosed, poolOf } from "./pool";

/* Results of free. Error codes are negative and part of the ABI; those of other calls are in error.ts. */
export const FREED: i32 = 0;

/** The last element of a closed pool was returned: the pool is gone. */
export const FREED_LAST: i32 = 1;

const FOREIGN_FREE: i32 = -1;

export const DOUBLE_FREE: i32 = -2;

const INTERIOR_FREE: i32 = -3;

const MISALIGNED_FREE: i32 = -4;

export const INVALID_ADDRESS: i32 = -5;

/** External backend: the host takes its element and returns the box (returnBox), which is still outstanding. */
export const NOT_STORED: i32 = 2;

/** A debug heap's, where a host asks for it: the host says from where it frees this element, then calls again. */
export const ASKS: i32 = 3;

/** FREED if a free of this address would succeed, else the code with which it would be refused. */
export function checkFree(m: Magazine, element: usize): i32 {
  return refusal(m, entryAt(element), element);
}

/** The same with the page map's entry of the address; entry 0: the map has none. */
@inline
export function refusal(m: Magazine, entry: usize, element: usize): i32 {
  const pool = poolOf(m);
  const error = refusalIn(pool, entry, element);
  return error && isClosed(pool) ? CLOSED : error;
}

/** Why a free of an address in a pool is refused, by the page map's entry (0: none); FREED if it is not. */
export function refusalIn(pool: Pool, entry: usize, element: usize): i32 {
  if (!entry) return INVALID_ADDRESS;
  const owner = load<u32>(entry);
  if (!owner || owner & TAG_MASK || owner == changetype<u32>(records())) return INVALID_ADDRESS;
  const epoch = changetype<Epoch>(<usize>owner);
  if (epoch.pool != changetype<usize>(pool)) return FOREIGN_FREE;
  const slab = slabIn(entry);
  // In the slab's header, its state bytes, or behind its last element.
  if (element - firstElement(slab) >= slab.count * epoch.stride) return INVALID_ADDRESS;
  if (element & (epoch.align - 1)) return MISALIGNED_FREE;
  const index = indexOf(epoch, slab, element);
  if (index >= epoch.indexEnd) return INTERIOR_FREE;
  const state = load<u8>(stateOf(slab, index));
  if (state & STATE_LIVE) return FREED;
  return state == STATE_NEVER ? INVALID_ADDRESS : DOUBLE_FREE;
}
