/** The outstanding elements one by one, and grouped by the place or thread that allocated them. */
import { NOBODY } from "../core/abi.ts";
import type { PoolMember } from "../core/context.ts";
import { hex } from "../core/validate.ts";
import { alignColumns } from "../heap/report.ts";
import type { Heap } from "../heap/heap.ts";
import type { Pool } from "../pool/pool.ts";
import { numbered, poolsOf, subjectOf, type Subject } from "./subject.ts";

/** An outstanding element, and what is known of the thread that holds it. */
export interface Holding {
  /** The pool's name; a number such as "#3" if another thread made the pool, and this one has not attached to it. */
  readonly pool: string;
  /** The element, as the pool's `alloc` returned it. */
  readonly address: number;
  /** Bytes in it. */
  readonly size: number;
  /** The thread that allocated or adopted it; undefined if that thread has left the heap, or was reaped. */
  readonly thread: number | undefined;
  /** The place that allocated it, a line for each function; undefined but in a debug heap. */
  readonly site: string | undefined;
  /** When, by the heap's count of allocs and frees; undefined but in a debug heap. */
  readonly sequence: number | undefined;
  /** For how many milliseconds it has been outstanding; of an image, when the dump was made. Undefined but in a debug heap. */
  readonly heldMs: number | undefined;
}

/**
 * Every outstanding element of a heap, also of pools that other threads made, or of one pool, in the order of addresses. An
 * element that another thread allocates or frees meanwhile may be there or not. For people: it makes an object each, and in
 * hot loops {@link Pool.live} makes none. Without the queues that this thread made or attached to.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 * @example
 * for (const { pool, thread, address } of holdings(heap)) console.log(pool, thread, address);
 */
export function holdings(of: Heap | Pool): IterableIterator<Holding> {
  const subject = subjectOf("holdings", of);
  return walk(subject, subject.pool);
}

export function* walk(subject: Subject, only?: PoolMember): IterableIterator<Holding> {
  const { inspector, address: heap, at, views, recordOf, rings } = subject;
  const members = new Map(poolsOf(subject).map((pool) => [pool.serial, subject.memberOf(pool)]));
  const handle = only?.handle ?? 0;
  for (let address = 0; ;) {
    address = inspector.heap_next_live(heap, handle, address, NOBODY) >>> 0;
    if (address === 0) return;
    if (rings?.has(address)) continue;
    inspector.mempool_owner(heap, address, at);
    const { u32 } = views.refresh();
    const [serial, , size, thread] = u32.subarray(at >>> 2) as unknown as [number, number, number, number];
    const member = members.get(serial);
    // A box without an element is on its way to a backend of the caller's own.
    const element = member?.elementIn ? member.elementIn(address) : address;
    if (element === 0) continue;
    const record = recordOf?.(address);
    yield {
      pool: member?.name ?? numbered(serial),
      address: element,
      size,
      thread: thread === NOBODY ? undefined : thread,
      site: record?.site,
      sequence: record?.sequence,
      heldMs: record?.heldMs,
    };
  }
}

/** Elements that the same place allocated; or where places are not known, the same thread from the same pool. */
export interface HoldingGroup {
  readonly pool: string;
  readonly thread: number | undefined;
  readonly site: string | undefined;
  readonly count: number;
  readonly bytes: number;
  /** When the first of them was allocated, by the heap's count of allocs and frees; undefined but in a debug heap. */
  readonly since: number | undefined;
  /** For how many milliseconds the one that is held longest has been; undefined but in a debug heap. */
  readonly heldMs: number | undefined;
  /** The first few, by address. */
  readonly addresses: readonly number[];
}

/** What {@link leakReport} returns. Its `toString()` is a text for people. */
export interface LeakReport {
  /** Elements outstanding, and their bytes. */
  readonly count: number;
  readonly bytes: number;
  /** Largest first, by bytes. */
  readonly groups: readonly HoldingGroup[];
  toString(): string;
}

/** Addresses that a group keeps. */
const FIRST = 4;

/**
 * What is outstanding in a heap or a pool, and so what has leaked if nothing should be: grouped by the place that allocated it,
 * in a debug heap; else by pool and thread. Largest first. O(memory).
 *
 * @throws as {@link holdings}.
 * @example
 * console.log(`${leakReport(heap)}`);
 */
export function leakReport(of: Heap | Pool): LeakReport {
  const subject = subjectOf("leakReport", of);
  return group(walk(subject, subject.pool));
}

export function group(all: Iterable<Holding>): LeakReport {
  const groups = new Map<
    string,
    { -readonly [Key in keyof HoldingGroup]: HoldingGroup[Key] } & { addresses: number[] }
  >();
  let count = 0;
  let bytes = 0;
  for (const { pool, thread, site, size, sequence, heldMs, address } of all) {
    const key = JSON.stringify([site ?? thread ?? null, site === undefined, pool]);
    let own = groups.get(key);
    if (!own) {
      own = { pool, thread, site, count: 0, bytes: 0, since: undefined, heldMs: undefined, addresses: [] };
      groups.set(key, own);
    }
    if (own.thread !== thread) own.thread = undefined;
    own.count++;
    own.bytes += size;
    if (sequence !== undefined) own.since = Math.min(own.since ?? Infinity, sequence);
    if (heldMs !== undefined) own.heldMs = Math.max(own.heldMs ?? 0, heldMs);
    if (own.addresses.length < FIRST) own.addresses.push(address);
    count++;
    bytes += size;
  }
  const sorted = [...groups.values()].toSorted((a, b) => b.bytes - a.bytes || b.count - a.count);
  return new Report(count, bytes, sorted);
}

class Report implements LeakReport {
  readonly count: number;
  readonly bytes: number;
  readonly groups: readonly HoldingGroup[];

  constructor(count: number, bytes: number, groups: readonly HoldingGroup[]) {
    this.count = count;
    this.bytes = bytes;
    this.groups = groups;
  }

  toString(): string {
    const { count, bytes, groups } = this;
    if (count === 0) return "nothing is outstanding\n";
    const hasSites = groups.some(({ site }) => site !== undefined);
    const hasTimes = groups.some(({ heldMs }) => heldMs !== undefined);
    const titles = [...(hasTimes ? ["held for"] : []), ...(hasSites ? ["since", "allocated at"] : [])];
    const rows = [["  pool", "count", "bytes", "thread", ...titles, "addresses"]];
    for (const each of groups) {
      const more = each.count > each.addresses.length ? ", ..." : "";
      const times = hasTimes ? [each.heldMs === undefined ? "-" : wordsOf(each.heldMs)] : [];
      const sites = hasSites ? [`${each.since ?? "-"}`, placeOf(each.site)] : [];
      const where = each.addresses.map(hex).join(", ") + more;
      rows.push([
        `  ${each.pool}`,
        `${each.count}`,
        `${each.bytes}`,
        `${each.thread ?? "-"}`,
        ...times,
        ...sites,
        where,
      ]);
    }
    const last = rows[0]!.length - 1;
    const left = hasSites ? [0, last - 1, last] : [0, last];
    return [
      `outstanding: ${count} ${count === 1 ? "element" : "elements"}, ${bytes} bytes`,
      ...alignColumns(rows, Infinity, left),
      "",
    ].join("\n");
  }
}

/** Milliseconds in words: "3.2 s". */
export function wordsOf(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

/** The innermost function of a place. */
const placeOf = (site: string | undefined): string => site?.split("\n", 1)[0] ?? "-";
