/** What a debug heap is asked for, and what it says. */

/** What `createHeap({ debug })` takes. All but `sample` is for this thread: others give theirs to {@link attach}. */
export interface DebugOptions {
  /**
   * Called with each damage that is found, once the call that found it is done. An error of it is reported like that of an
   * event listener.
   * @default prints `report.message` by console.error
   */
  readonly onDamage?: (report: DamageReport) => void;
  /**
   * Guards one element in so many, at random, for use in production: the others are as in a heap that is no debug heap, and
   * an alloc takes 7 instructions more, of some 110 of an alloc and a free. A guarded one costs a call stack at its alloc and at its free,
   * some 200 bytes, and its place among the 31 of its pool in quarantine. What comes by a wait or from the reserve is not
   * guarded, nor are pools with a `maxNr`, and cursors do not check. Default: guards all.
   */
  readonly sample?: number;
  /**
   * Whether each alloc and free remembers its call stack: some 5 µs each. Without, what {@link tag} said.
   * @default true
   */
  readonly stacks?: boolean;
  /** Milliseconds between two checks of the whole heap. Default: none. They keep no process alive. */
  readonly everyMs?: number;
}

/** What a thread does on a debug heap that it attaches to. How many elements are guarded is the heap's. */
export type AttachDebugOptions = Omit<DebugOptions, "sample">;

/** What {@link attach} takes for a heap, a queue or a pool. */
export interface AttachHeapOptions {
  /**
   * For a debug heap: what this thread does there, as `debug` of {@link createSharedHeap} says for the thread that made it. If
   * the thread is in the heap already, it does this from now on. `true`: the defaults, and the heap must be a debug heap.
   * @default the defaults, if the heap is a debug heap
   */
  readonly debug?: boolean | AttachDebugOptions;
}

/** Who allocated and who freed an element of a debug heap. */
export interface Trace {
  readonly address: number;
  readonly size: number;
  /** Whether the element is outstanding. */
  readonly isLive: boolean;
  /** How often it has been allocated, since its memory became the pool's. */
  readonly generation: number;
  /** When, by the heap's count of allocs and frees. */
  readonly allocSequence: number;
  readonly freeSequence: number;
  /** When it was allocated, by `Date.now()`; undefined if not known. */
  readonly allocTime: number | undefined;
  /** The numbers of the threads; undefined if not known. */
  readonly allocThread: number | undefined;
  readonly freeThread: number | undefined;
  /** The places, as texts of several lines; "" if not known. */
  readonly allocSite: string;
  readonly freeSite: string;
}

/** A damage that a debug heap has found. */
export interface DamageReport {
  /**
   * `overrun`: bytes behind the element's end were written; `underrun`: before its beginning; `write-after-free`: bytes of an
   * element that is not outstanding; `trace`: what the heap remembers of the element is itself overwritten.
   */
  readonly kind: "overrun" | "underrun" | "write-after-free" | "trace";
  /** The pool's name; of a pool that this thread does not have, its address. */
  readonly pool: string;
  readonly address: number;
  readonly size: number;
  /** Of the first damaged byte, from the element's first. */
  readonly offset: number;
  /** Bytes from the first to the last damaged. */
  readonly length: number;
  /** What was written: the first 16 bytes. */
  readonly bytes: Uint8Array;
  /** The number of the thread that found it. */
  readonly thread: number;
  /** Who allocated and who freed the element; undefined if that is not known. */
  readonly trace: Omit<Trace, "address" | "size" | "isLive" | "allocTime"> | undefined;
  /** All of this, for people. */
  readonly message: string;
}

/** What a debug heap knows of a pool: what the program calls, and the core's handle. */
export interface DebuggedPool {
  readonly front: object;
  readonly handle: number;
}

/** What a heap has if it is a debug heap. */
export interface DebugHeap {
  /** Does as these options say from now on. */
  use(options: AttachDebugOptions): void;
  /** Whether only some elements are guarded: then the core asks, by ASKS or an alloc that returns 0. */
  readonly samples: boolean;
  /**
   * An alloc of `count` elements begins in a pool, by its public method of that name. Tells the core from where, and when, if it
   * is to know; whether it was told.
   */
  enter(pool: DebuggedPool, apiName: string, count: number): boolean;
  /** A free begins. */
  enterFree(pool: DebuggedPool, apiName: string): void;
  /** Tells the core the time. */
  tick(): void;
  /** Tells the core from where this thread calls it: it has asked. */
  answer(pool: DebuggedPool, apiName: string): void;
  /** It is done: says what was found. */
  settle(): void;
  /** Checks all elements. All that was found until now, as lines. */
  check(): string[];
  /** Who allocated and freed the element that an address lies in; undefined if it is none of a guarded pool. */
  traceOf(address: number): Trace | undefined;
  /** The same as the end of a message. */
  historyOf(address: unknown): string;
  /** Names this thread's allocs and frees from now on. */
  tag(text: string | undefined): void;
  end(): void;
}
