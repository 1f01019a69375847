/** A model's pools and arenas, its limits, and its failures. */
import type { Arena, Pool } from "../../src/index.ts";

export const FILL = 0xdeadbeef;
export const MOST_POOLS = 8;
export const MOST_ARENAS = 3;
/** The number of freed addresses of a pool that the model keeps, to free them again. */
export const MOST_FREED = 40;

export interface Freed {
  readonly address: number;
  /** Whether a slab of the pool has returned to the heap since, perhaps the one of this address. */
  slabMayBeGone: boolean;
}

export interface PoolModel {
  readonly id: number;
  readonly pool: Pool;
  readonly size: number;
  readonly align: number;
  readonly minNr: number;
  readonly maxNr: number | undefined;
  readonly zero: boolean;
  /** Outstanding addresses, in the order of their allocation. */
  readonly live: number[];
  freed: Freed[];
  currNr: number;
  lowest: number;
  allocs: number;
  frees: number;
  slabHits: number;
  reserveHits: number;
  failures: number;
  slabs: number;
  exited: boolean;
}

export interface Block {
  readonly address: number;
  readonly bytes: number;
  readonly seed: number;
}

export interface ArenaModel {
  readonly arena: Arena;
  readonly blocks: Block[];
  readonly marks: { readonly mark: number; readonly blocks: number }[];
}

export function fail(message: string): never {
  throw new Error(message);
}

export function same(what: string, actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) fail(`${what}: ${String(actual)}, the model has ${String(expected)}`);
}

export function raise(error: unknown): never {
  throw error;
}

/** Checks that the pool's figures are the model's. */
export function checkPool(model: PoolModel): void {
  const { pool } = model;
  const stats = pool.stats();
  const what = `pool ${model.id} of ${model.size} bytes: `;
  same(`${what}outstanding`, pool.outstanding, model.live.length);
  same(`${what}stats().outstanding`, stats.outstanding, model.live.length);
  same(`${what}allocs`, stats.allocs, model.allocs);
  same(`${what}frees`, stats.frees, model.frees);
  same(`${what}slabHits`, stats.slabHits, model.slabHits);
  same(`${what}reserveHits`, stats.reserveHits, model.reserveHits);
  same(`${what}failures`, stats.failures, model.failures);
  if (stats.slabs < model.slabs) for (const freed of model.freed) freed.slabMayBeGone = true;
  model.slabs = stats.slabs;
  if (model.exited) return;
  same(`${what}currNr`, pool.currNr, model.currNr);
  same(`${what}stats().currNr`, stats.currNr, model.currNr);
  same(`${what}lowestCurrNr`, stats.lowestCurrNr, model.lowest);
  same(`${what}isSaturated`, pool.isSaturated, model.currNr >= model.minNr);
  if (pool.currNr + pool.outstanding < model.minNr) fail(`${what}the guarantee is broken`);
  if (stats.slabBytes < (model.live.length + model.currNr) * model.size) fail(`${what}slabBytes is too small`);
}
