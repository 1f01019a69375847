/** The most instructions that any call of each kind took. A kind is a call, and what it found: see `kindOf`. */
import { layout } from "../layout/layout.ts";

const TOP = layout("MAGAZINE_TOP");
const FIRST = layout("MAGAZINE_FIRST");
const EPOCH = layout("MAGAZINE_EPOCH");
const ALLOC_LIMIT = layout("MAGAZINE_ALLOC_LIMIT");
const FREE_LIMIT = layout("MAGAZINE_FREE_LIMIT");
const POOL = layout("MAGAZINE_POOL");
const RESERVE_HITS = layout("MAGAZINE_RESERVE_HITS");
const RECALL = layout("MAGAZINE_RECALL");
const RECLAIMS = layout("MAGAZINE_RECLAIMS");
const SLABS = layout("EPOCH_SLABS");
const CURR_NR = layout("EPOCH_CURR_NR");
const WAITING = layout("POOL_WAITING");
const CLOSED = layout("POOL_CLOSED");
const NOT_FOUND = layout("HEAP_NOT_FOUND");
const CHUNKS = layout("ARENA_CHUNKS");

/** The kinds, in the order of the table, with what a call of each does. */
export const kinds = {
  "alloc, from the magazine": "an element of the thread's own magazine",
  "alloc, from slabs": "the magazine is empty: a batch of up to 32 from at most four slabs",
  "alloc, from the reserve": "the backend has none",
  "alloc, the gate shut": "another thread has asked for attention, and the call answers first",
  "alloc, nothing left": "maxNr elements are out, and the reserve is empty",
  alloc_preallocated: "from the reserve, whatever the backend has",
  "free, into the magazine": "an element of this pool, of any thread",
  "free, into the reserve": "the reserve is short",
  "free, to slabs": "the magazine is full: a batch of up to 32 returns; or the thread caches nothing",
  "free, and slabs become pages": "the same, and slabs that are empty go back to the heap",
  "free, refused": "a bad free, whichever",
  free_check: "whether an address is an outstanding element",
  "alloc or free, while a waiter waits": "hands the element over, or serves the waiters, for each an element",
  "alloc or free, recalled": "another thread starves: first all of the magazine returns, up to 1,024 elements",
  wait_begin: "first all of the magazine returns, up to 1,024 elements",
  wait_end: "fetches the element, or leaves the queue",
  arena_alloc: "within a chunk",
  "alloc, with a search for pages":
    "a new slab, a longer magazine, or neither: not O(1), it looks at the heap's free bits",
  "alloc, with reclaim": "backend and reserve are empty: not O(1), it looks at every pool and arena",
} as const;

export type Kind = keyof typeof kinds;
export type Worst = Readonly<Partial<Record<Kind, number>>>;

const allocs = new Set(["mempool_alloc", "mempool_zalloc", "mempool_alloc_preallocated"]);
const same: Readonly<Record<string, Kind>> = {
  mempool_free_check: "free_check",
  mempool_wait_begin: "wait_begin",
  mempool_wait_end: "wait_end",
};

/** What a call found in the words of its handle and of the pool. */
interface Found {
  readonly top: number;
  readonly first: number;
  readonly allocLimit: number;
  readonly freeLimit: number;
  readonly reserveHits: number;
  readonly recall: number;
  readonly reclaims: number;
  readonly slabs: number;
  readonly currNr: number;
  readonly waiting: number;
  readonly closed: number;
  /** Changes with a search for pages that finds none. */
  readonly notFound: bigint;
}

function look(memory: DataView, heap: number, m: number): Found {
  const at = (address: number): number => memory.getUint32(address, true);
  const epoch = at(m + EPOCH);
  const pool = at(m + POOL);
  return {
    top: at(m + TOP),
    first: at(m + FIRST),
    allocLimit: at(m + ALLOC_LIMIT),
    freeLimit: at(m + FREE_LIMIT),
    reserveHits: at(m + RESERVE_HITS),
    recall: at(m + RECALL),
    reclaims: at(m + RECLAIMS),
    slabs: at(epoch + SLABS),
    currNr: at(epoch + CURR_NR),
    waiting: at(pool + WAITING),
    closed: at(pool + CLOSED),
    notFound: memory.getBigUint64(heap + NOT_FOUND, true),
  };
}

function kindOfAlloc(name: string, result: number, before: Found, after: Found): Kind {
  if (after.reclaims !== before.reclaims) return "alloc, with reclaim";
  const hasSearched = after.notFound !== before.notFound || after.first !== before.first;
  if (hasSearched || after.slabs > before.slabs) return "alloc, with a search for pages";
  if (before.waiting !== 0) return "alloc or free, while a waiter waits";
  if (before.recall !== after.recall) return "alloc or free, recalled";
  if (result === 0) return "alloc, nothing left";
  if (name === "mempool_alloc_preallocated") return "alloc_preallocated";
  if (before.top > before.allocLimit) return "alloc, from the magazine";
  if (after.reserveHits !== before.reserveHits) return "alloc, from the reserve";
  return before.top > before.first ? "alloc, the gate shut" : "alloc, from slabs";
}

function kindOfFree(result: number, before: Found, after: Found): Kind {
  if (result !== 0) return "free, refused";
  if (before.waiting !== 0) return "alloc or free, while a waiter waits";
  if (before.recall !== after.recall) return "alloc or free, recalled";
  if (before.top < before.freeLimit) return "free, into the magazine";
  if (after.slabs < before.slabs) return "free, and slabs become pages";
  return after.currNr > before.currNr ? "free, into the reserve" : "free, to slabs";
}

export class Recorder {
  readonly worst = new Map<Kind, number>();
  /** How many calls there were. */
  calls = 0;
  /** The heap's address: that of one with a memory of its own, unless set. */
  heap = layout("HEAP_AT_ZERO");

  note(kind: Kind, instructions: number): void {
    this.worst.set(kind, Math.max(this.worst.get(kind) ?? 0, instructions));
    this.calls++;
  }

  /**
   * Looks at the memory before a call; the returned function looks again after it, and notes the call. `first` and `second`
   * are the call's arguments: a handle of a pool or of an arena, and an element.
   */
  begin(
    name: string,
    first: number,
    second: number,
    memory: () => DataView,
  ): ((result: number, instructions: number) => void) | undefined {
    const own = same[name];
    if (own) return (_, instructions) => this.note(own, instructions);
    // No pool has been made, or free(0).
    if (first === 0 || (name === "mempool_free" && second === 0)) return undefined;
    if (name === "arena_alloc") {
      const chunks = (): number => memory().getUint32(first + CHUNKS, true);
      const before = chunks();
      return (_, instructions) => {
        if (chunks() === before) this.note("arena_alloc", instructions);
      };
    }
    const isAlloc = allocs.has(name);
    if (!isAlloc && name !== "mempool_free") return undefined;
    const before = look(memory(), this.heap, first);
    // A free may end a closed pool, which looks at all of its slabs; then the handle is gone.
    if (before.closed !== 0) return undefined;
    return (result, instructions) => {
      if (!isAlloc && result > 0) return;
      const after = look(memory(), this.heap, first);
      this.note(isAlloc ? kindOfAlloc(name, result, before, after) : kindOfFree(result, before, after), instructions);
    };
  }

  /** The maxima, in the order of `kinds`. */
  result(): Worst {
    const found = Object.keys(kinds).filter((kind) => this.worst.has(kind as Kind)) as Kind[];
    return Object.fromEntries(found.map((kind) => [kind, this.worst.get(kind)!]));
  }
}
