/** A heap as the inspector sees it: a living one of this thread, or the image of one. */
import { UNLIMITED, type Inspector } from "../core/abi.ts";
import type { HeapContext, PoolMember } from "../core/context.ts";
import { invalid, show } from "../core/validate.ts";
import type { Views } from "../core/views.ts";
import type { Heap } from "../heap/heap.ts";
import type { Pool } from "../pool/pool.ts";

/** What a debug heap knows of an outstanding element. */
export interface ElementRecord {
  /** The place that allocated it, a line for each function; undefined if not known. */
  readonly site: string | undefined;
  /** When, by the heap's count of allocs and frees. */
  readonly sequence: number;
  /** For how many milliseconds it has been outstanding; of an image, when the dump was made. Undefined if not known. */
  readonly heldMs: number | undefined;
}

/** What a debug heap knows of its outstanding elements; undefined of another heap. */
export function recorder(context: HeapContext): Subject["recordOf"] {
  const { debug } = context;
  if (!debug) return undefined;
  return (address) => {
    const trace = debug.traceOf(address);
    if (!trace?.isLive || trace.generation === 0) return undefined;
    const { allocSite, allocSequence: sequence, allocTime } = trace;
    // The clock may have been set back.
    const heldMs = allocTime === undefined ? undefined : Math.max(0, Date.now() - allocTime);
    return { site: allocSite || undefined, sequence, heldMs };
  };
}

/** What is known of a pool beside what its memory has. */
export type Member = Pick<PoolMember, "name"> & Partial<Pick<PoolMember, "elementIn" | "waiting">>;

export interface Subject {
  readonly inspector: Inspector;
  /** The heap's address. */
  readonly address: number;
  /** Where the inspector writes words. */
  readonly at: number;
  readonly views: Views;
  readonly isShared: boolean;
  /** What this thread knows of a pool. */
  memberOf(pool: Pick<FoundPool, "serial" | "handle">): Member;
  readonly recordOf: ((address: number) => ElementRecord | undefined) | undefined;
  /** Where queues are, as far as this thread knows. */
  readonly rings?: ReadonlySet<number> | undefined;
}

/** A pool, as the heap's list has it. */
export interface FoundPool {
  readonly address: number;
  /** Distinguishes it from all other pools of the heap. */
  readonly serial: number;
  /** A handle of it, of any thread; 0: no thread has one. */
  readonly handle: number;
  readonly isClosed: boolean;
  readonly isWaiting: boolean;
  readonly maxNr: number;
  /** The core's number of its backend. */
  readonly backend: number;
  readonly align: number;
}

type Words = [serial: number, handle: number, flags: number, maxNr: number, backend: number, align: number];

/** A pool that this thread knows by its number only. */
export const numbered = (serial: number): string => `#${serial}`;

/**
 * The heap of a caller's argument, and the pool if it is one.
 *
 * @throws `ERR_INVALID_ARGUMENT`, and what `stats` throws.
 */
export function subjectOf(apiName: string, of: unknown): Subject & { readonly pool: PoolMember | undefined } {
  const isPool = (of as Pool | null)?.heap !== undefined;
  const context = contextOf(apiName, isPool ? (of as Pool).heap : of, of);
  const pool = isPool ? [...context.pools].find(({ front }) => front === of) : undefined;
  if (isPool && !pool) invalid(`${apiName}: pool "${(of as Pool).name}" has ended`);
  const { core, views, address, isShared } = context;
  const at = core.heap_scratch() >>> 0;
  const members = new Map(Array.from(context.pools, (each) => [isShared ? each.serial : each.handle, each]));
  return {
    inspector: context.inspection.exports(apiName),
    address,
    at,
    views,
    isShared,
    pool,
    recordOf: recorder(context),
    rings: context.rings,
    memberOf: ({ serial, handle }) => members.get(isShared ? serial : handle) ?? { name: numbered(serial) },
  };
}

export function contextOf(apiName: string, heap: unknown, given: unknown = heap): HeapContext {
  const context = (heap as Heap | null | undefined)?.context;
  if (!context || context.front !== heap) invalid(`${apiName}: needs a Heap or a Pool, got ${show(given)}`);
  context.refuseEnded();
  return context;
}

/** The heap's pools, in the order in which they were made. */
export function poolsOf({ inspector, address, at, views }: Omit<Subject, "recordOf">): FoundPool[] {
  const found: FoundPool[] = [];
  // A damaged list may be a circle.
  const seen = new Set<number>();
  for (let pool = 0; ;) {
    pool = inspector.heap_next_pool(address, pool, at) >>> 0;
    if (pool === 0 || seen.has(pool)) break;
    seen.add(pool);
    const { u32 } = views.refresh();
    const words = u32.subarray(at >>> 2, (at >>> 2) + 6);
    const [serial, handle, flags, maxNr, backend, align] = Array.from(words) as Words;
    found.push({
      address: pool,
      serial,
      handle,
      isClosed: (flags & 1) !== 0,
      isWaiting: (flags & 2) !== 0,
      maxNr: maxNr === UNLIMITED ? Infinity : maxNr,
      backend,
      align,
    });
  }
  return found.toSorted((a, b) => a.serial - b.serial);
}
