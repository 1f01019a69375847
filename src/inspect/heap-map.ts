/**
 * The map of a heap: what each run of its pages is, and the state of each element, as plain data for pictures and tools. It can
 * be posted, and reads memory only: on a shared heap, other threads go on.
 *
 * A reader makes numbers and arrays, no objects for runs or elements: a map of 10,000 slabs costs some milliseconds.
 */
import { PAGE, SCRATCH_WORDS } from "../core/abi.ts";
import { now } from "../core/timers.ts";
import type { Heap } from "../heap/heap.ts";
import { contextOf, numbered, poolsOf, type FoundPool, type Subject } from "./subject.ts";

/** What a run of pages is: the values of {@link RUN}.kind. */
export const KIND = { free: 1, own: 2, slab: 3, records: 4, block: 5, arena: 6 } as const;

/** The words of a run in {@link HeapMap.runs}, by their index. */
export const RUN = {
  /** Its first page, of 4 KiB. */
  page: 0,
  kind: 1,
  pages: 2,
  /** Of a slab: the serial number of its pool. */
  serial: 3,
  /** Of a slab: the address of the pool. Of a chunk: that of the arena. */
  owner: 4,
  /** Of a slab: the address of element 0, bytes from an element to the next, bytes of an element, and how many it has. */
  first: 5,
  stride: 6,
  size: 7,
  count: 8,
  /** The address of the state byte of element 0. That of element i is i bytes below. */
  state: 9,
  /** See {@link FLAG}. */
  flags: 10,
  /** Elements that are neither free nor never allocated. */
  out: 11,
  /** Elements that were ever allocated. */
  carved: 12,
  /** The index in {@link HeapMap.states} of element 0's. */
  offset: 13,
} as const;

/** Words of a run. */
export const RUN_WORDS = 14;

/** Bits of {@link RUN}.flags: the pool allocates elements of this size; the slab is on a stack, or in a thread's hands. */
export const FLAG = { current: 1, kept: 2, closed: 4 } as const;

/** A state byte, but for the thread's number in the lowest bits: of an element that is cached, or live. Only a debug heap has quarantined ones. */
export const STATE = { never: 0, quarantined: 0x08, reserved: 0x10, free: 0x20, cached: 0x40, live: 0x80 } as const;
/** The bits of a state byte with the thread's number. 63: a thread that has left. */
export const STATE_THREAD = 0x3f;

/** A pool in a {@link HeapMap}. */
export interface PoolMap {
  /** The pool's name; a number such as "#3" if another thread made the pool, and this one has not attached to it. */
  readonly name: string;
  /** Distinguishes it from all other pools of the heap, also of those that have ended. */
  readonly serial: number;
  readonly address: number;
  /** Bytes of an element. */
  readonly size: number;
  readonly minNr: number;
  /** Infinity: no cap. */
  readonly maxNr: number;
  readonly currNr: number;
  readonly outstanding: number;
  readonly cached: number;
  readonly isClosed: boolean;
  /** Calls that wait, of all threads; on a shared heap, those that have a place in the queue of all. */
  readonly waiting: number;
  /** The first of them, in the order in which they are served: the numbers of their threads. */
  readonly queue: readonly number[];
}

/** A heap at some instant; see {@link mapHeap}. Other threads go on while it is read, so its parts may be of different ones. */
export interface HeapMap {
  /** Milliseconds, by the clock of the thread that read it. */
  readonly time: number;
  readonly address: number;
  readonly isShared: boolean;
  /** Bytes of the heap, and the most that it may have. */
  readonly bytes: number;
  readonly maximum: number;
  /** In the order in which they were made. */
  readonly pools: readonly PoolMap[];
  /** {@link RUN_WORDS} words for each run, in the order of addresses. */
  readonly runs: Uint32Array;
  /** The state bytes of all elements, slab by slab. */
  readonly states: Uint8Array;
}

/** What a map is read from. */
export type MapSource = Omit<Subject, "recordOf">;

/** What heap_next_run returns if there is no more. */
export const NONE: number = 2 ** 32 - 1;

/** Looks at one run: more often only if other threads change it each time. */
const LOOKS = 4;

/** Reads maps of one heap again and again, into arrays that it uses in turn: a map holds until the second read after it. */
export class MapReader {
  readonly source: MapSource;
  #runs = new Uint32Array(64 * RUN_WORDS);
  #states = new Uint8Array(4096);
  #otherRuns = new Uint32Array(64 * RUN_WORDS);
  #otherStates = new Uint8Array(4096);

  constructor(source: MapSource) {
    this.source = source;
  }

  /** @throws `ERR_CLOSED` if the heap has ended. */
  read(): HeapMap {
    const { inspector, address, at, views, isShared } = this.source;
    [this.#runs, this.#otherRuns] = [this.#otherRuns, this.#runs];
    [this.#states, this.#otherStates] = [this.#otherStates, this.#states];
    inspector.heap_stats(address, at);
    const { f64 } = views.refresh();
    const [bytes, maximum] = [f64[at >>> 3]! * PAGE, f64[(at >>> 3) + 1]! * PAGE];
    const pools = poolsOf(this.source).map((pool) => mapOfPool(this.source, pool));
    let words = 0;
    let length = 0;
    for (let page = 0; ; words += RUN_WORDS) {
      this.#roomForRun(words);
      page = this.#describe(page, words);
      if (page === NONE) break;
      const runs = this.#runs;
      for (let looks = 1; runs[words + RUN.kind] === KIND.slab || runs[words + RUN.kind] === KIND.records; looks++) {
        this.#copyStates(words, length);
        // On a shared heap the slab may have gone meanwhile: then these bytes were something else.
        if (!isShared || this.#isStill(words)) break;
        if (looks === LOOKS) runs[words + RUN.kind] = KIND.own;
        else page = this.#describe(page, words);
        if (page === NONE) break;
      }
      if (page === NONE) break;
      runs[words] = page;
      runs[words + RUN.offset] = length;
      if (runs[words + RUN.kind] !== KIND.slab && runs[words + RUN.kind] !== KIND.records) runs[words + RUN.count] = 0;
      length += runs[words + RUN.count]!;
      page += runs[words + RUN.pages]!;
    }
    const runs = this.#runs.subarray(0, words);
    const states = this.#states.subarray(0, length);
    return { time: now(), address, isShared, bytes, maximum, pools, runs, states };
  }

  /** The run at or after a page, as words after that of its page; returns its first page, or NONE. */
  #describe(from: number, words: number): number {
    const { inspector, address, at, views } = this.source;
    const page = inspector.heap_next_run(address, from, at) >>> 0;
    const { u32 } = views.refresh();
    const runs = this.#runs;
    for (let i = 0; i < 12; i++) runs[words + 1 + i] = u32[(at >>> 2) + i]!;
    return page;
  }

  /** Whether a run is as it was described. */
  #isStill(words: number): boolean {
    const { inspector, address, at, views } = this.source;
    const runs = this.#runs;
    const page = (runs[words + RUN.first]! / PAGE) >>> 0;
    inspector.heap_next_run(address, page, at);
    const { u32 } = views;
    for (const i of [RUN.kind, RUN.pages, RUN.owner, RUN.first, RUN.stride, RUN.count]) {
      if (u32[(at >>> 2) + i - 1] !== runs[words + i]) return false;
    }
    return true;
  }

  #copyStates(words: number, offset: number): void {
    const count = this.#runs[words + RUN.count]!;
    if (offset + count > this.#states.length) {
      const more = new Uint8Array(2 * (offset + count));
      more.set(this.#states.subarray(0, offset));
      this.#states = more;
    }
    const end = this.#runs[words + RUN.state]! + 1;
    const into = this.#states.subarray(offset, offset + count);
    into.set(this.source.views.u8.subarray(end - count, end));
    into.reverse();
  }

  #roomForRun(words: number): void {
    if (words + RUN_WORDS <= this.#runs.length) return;
    const more = new Uint32Array(2 * this.#runs.length);
    more.set(this.#runs.subarray(0, words));
    this.#runs = more;
  }
}

function mapOfPool(source: MapSource, found: FoundPool): PoolMap {
  const { inspector, address: heap, at, views, isShared, memberOf } = source;
  const { address, serial, handle, maxNr, isClosed, isWaiting } = found;
  const isKnown = handle !== 0;
  if (isKnown) inspector.mempool_stats(handle, at);
  const { f64, u32 } = views.refresh();
  const n = (index: number): number => (isKnown ? f64[(at >>> 3) + index]! : 0);
  const [currNr, outstanding, cached, minNr, size] = [n(0), n(1), n(2), n(10), n(11)];
  const waiting = isWaiting && isShared ? inspector.mempool_waiters(heap, address, at) : 0;
  const i = at >>> 2;
  const queue = Array.from({ length: Math.min(waiting, SCRATCH_WORDS / 2) }, (_, k) => [
    u32[i + 2 * k]!,
    u32[i + 2 * k + 1]!,
  ])
    // The numbers wrap.
    .toSorted(([, a], [, b]) => (a! - b!) | 0)
    .map(([thread]) => thread!);
  const { name, waiting: own = 0 } = memberOf(found);
  return {
    name,
    serial,
    address,
    size,
    minNr,
    maxNr,
    currNr,
    outstanding,
    cached,
    isClosed,
    waiting: isShared ? waiting : own,
    queue,
  };
}

/**
 * What is read of a heap of this thread.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 */
export function sourceOf(apiName: string, heap: Heap): MapSource {
  const context = contextOf(apiName, heap);
  const { isShared } = context;
  return {
    inspector: context.inspection.exports(apiName),
    address: context.address,
    // Read from the core each time, so that a heap that has ended throws.
    get at() {
      return context.core.heap_scratch() >>> 0;
    },
    views: context.views,
    isShared,
    memberOf({ serial, handle }) {
      for (const pool of context.pools) if (isShared ? pool.serial === serial : pool.handle === handle) return pool;
      return { name: numbered(serial) };
    },
  };
}

/**
 * The map of a heap: every run of its pages, and the state of every element. O(memory), and a few milliseconds for 10,000 slabs.
 * Other threads of a shared heap go on meanwhile. Its arrays are copies, so a map can be kept and posted.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 * @example
 * const { runs, states } = mapHeap(heap);
 * for (let i = 0; i < runs.length; i += RUN_WORDS) console.log(runs[i + RUN.page], runs[i + RUN.kind]);
 */
export function mapHeap(heap: Heap): HeapMap {
  return new MapReader(sourceOf("mapHeap", heap)).read();
}
