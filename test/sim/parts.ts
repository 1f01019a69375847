/**
 * The parts of the core's cases. All but the scripts is the same in each case: a heap from address 0, one pool, every
 * thread attached to both; and at the end all elements must be free again.
 */
import {
  call,
  changed,
  gone,
  look,
  poke,
  type Action,
  type Case,
  type Exports,
  type Monitor,
  type Run,
  type ThreadView,
} from "./script.ts";
import { layout } from "../layout/layout.ts";
import type { Options } from "./search.ts";

export interface Context {
  readonly heap: number;
  /** The pool's address; each thread has a handle. */
  readonly pool: number;
  readonly handles: readonly number[];
  /** Elements that thread a allocated in the setup. */
  readonly elements: readonly number[];
  /** The same, for elements that no script frees. */
  readonly kept: readonly number[];
  readonly maxNr: number;
}

/** `notes` are the elements that a thread has allocated and not begun to free. */
export type View = ThreadView<Context>;
export type Part = Generator<Action, number, number>;

export interface CoreCase extends Case<Context> {
  readonly mode: NonNullable<Options["mode"]>;
}

export interface Shape {
  readonly minNr?: number;
  /** The most elements; by default, as many as fit the memory. */
  readonly maxNr?: number;
  /** How many elements thread a allocates in the setup for scripts to free. */
  readonly held?: number;
  /** And how many that no script frees. */
  readonly kept?: number;
  /** How many it allocates between those, and frees again. */
  readonly between?: number;
  /** Threads from this one on join by themselves. */
  readonly joined?: number;
  /** Elements that each thread has in its magazine. */
  readonly warm?: number;
  /** The reserve's one element is in this slot, not in the first. */
  readonly slot?: number;
  /** An element's size. */
  readonly size?: number;
  /** The last thread has reshaped the pool to this size: the magazines of the others are of an old epoch. */
  readonly reshaped?: number;
  /** BACKEND_* of assembly/base/layout.ts. */
  readonly backend?: number;
  /** In a debug heap: one alloc in so many is sampled. */
  readonly sample?: number;
  /** Wasm pages by which the memory may grow. */
  readonly grows?: number;
  /** Thread a's magazine has grown, by a bulk of so many elements that it has freed. */
  readonly grown?: number;
}

export const PAGES = 2;
const SIZE = 1000;
/** Values of a waiter's slot. */
export const WAITING = layout("WAITING");
export const CLOSED = layout("CLOSED");
export const NONE = -1;

/* Offsets. */
const HEAP_SCRATCH = layout("HEAP_SCRATCH");
const POOL_EPOCH = layout("POOL_EPOCH");
const POOL_WAITING = layout("POOL_WAITING");
const POOL_CLOSED = layout("POOL_CLOSED");
const EPOCH_CURR_NR = layout("EPOCH_CURR_NR");
const EPOCH_RESERVE = layout("EPOCH_RESERVE");
const SLOTS_BASE = layout("SLOTS_BASE");
const SLOTS_END = layout("SLOTS_END");
const SLOTS_FIRST = layout("SLOTS_FIRST");

export function setup(
  count: number,
  {
    minNr = 0,
    maxNr = NONE,
    held = 0,
    kept = 0,
    between = 0,
    joined = count,
    warm = 0,
    slot = 0,
    size = SIZE,
    backend = 0,
    grows = 0,
    reshaped = 0,
    sample = 0,
    grown = 0,
  }: Shape,
) {
  return (cores: readonly Exports[], memory: DataView): Context => {
    // The size and the maximum of the memory, which base/atomics.ts reads here.
    memory.setUint32(8, PAGES, true);
    memory.setUint32(12, PAGES + grows, true);
    const heap = cores[0]!["heap_create"]!(0, PAGES * 65536, (PAGES + grows) * 16, Number(grows > 0));
    for (let t = 1; t < joined; t++) need(cores[t]!["heap_attach"]!(heap, t + 1), "heap_attach");
    if (sample) need(cores[0]!["debug_sample"]!(sample), "debug_sample");
    const handles = [
      need(cores[0]!["mempool_create"]!(size, Math.min(size, 8), minNr, maxNr, backend), "mempool_create"),
    ];
    const pool = cores[0]!["mempool_share"]!(handles[0]!);
    for (let t = 1; t < joined; t++) handles.push(need(cores[t]!["mempool_attach"]!(pool), "mempool_attach"));
    for (let t = 0; t < joined; t++) {
      const some = Array.from({ length: warm }, () => need(cores[t]!["mempool_alloc"]!(handles[t]!), "mempool_alloc"));
      for (const element of some) cores[t]!["mempool_free"]!(handles[t]!, element);
    }
    if (grown) {
      const array = cores[0]!["heap_scratch"]!();
      need(cores[0]!["mempool_alloc_bulk"]!(handles[0]!, array, grown), "mempool_alloc_bulk");
      for (let i = 0; i < grown; i++) cores[0]!["mempool_free"]!(handles[0]!, memory.getUint32(array + 4 * i, true));
    }
    if (reshaped) need(cores[joined - 1]!["mempool_reshape"]!(handles[joined - 1]!, reshaped, 8), "mempool_reshape");
    const all = Array.from({ length: held + kept + between }, () =>
      need(cores[0]!["mempool_alloc"]!(handles[0]!), "mempool_alloc"),
    );
    // Of the first, every second one is freed.
    const out = all.filter((_, i) => i % 2 === 0 || i >= 2 * between);
    for (const element of all) if (!out.includes(element)) cores[0]!["mempool_free"]!(handles[0]!, element);
    const epoch = memory.getUint32(pool + POOL_EPOCH, true);
    if (memory.getUint32(epoch + EPOCH_CURR_NR, true) !== reserved(pool, memory))
      throw new Error("the layout has changed");
    if (slot > 0) {
      // As after an alloc on one thread beside a free on another.
      const slots = memory.getUint32(epoch + EPOCH_RESERVE, true) + SLOTS_FIRST;
      memory.setUint32(slots + 4 * slot, memory.getUint32(slots, true), true);
      memory.setUint32(slots, 0, true);
    }
    return { heap, pool, handles, elements: out.slice(0, held), kept: out.slice(held), maxNr };
  };
}

export function need(result: number, what: string): number {
  if (!result) throw new Error(`the setup's ${what} has failed`);
  return result;
}

/* ---- parts of scripts ---- */

export function* alloc({ notes, context }: View, t: number, how = "mempool_alloc", ...more: number[]): Part {
  const element = yield call(how, context.handles[t]!, ...more);
  if (element) notes.push(element);
  return element;
}

export function* free({ notes, context }: View, t: number, element: number): Part {
  const at = notes.indexOf(element);
  if (at >= 0) notes.splice(at, 1);
  return yield call("mempool_free", context.handles[t]!, element);
}

export function* allocAndFree(view: View, t: number, how = "mempool_alloc", ...more: number[]): Part {
  const element = yield* alloc(view, t, how, ...more);
  return element ? yield* free(view, t, element) : -1;
}

/** Frees elements by the call that frees all or none. */
export function* freeAll({ context, notes }: View, t: number, elements: readonly number[]): Part {
  const array = yield call("heap_scratch");
  yield poke(array, elements);
  for (const element of elements) if (notes.includes(element)) notes.splice(notes.indexOf(element), 1);
  return yield call("mempool_free_all", context.handles[t]!, array, elements.length);
}

/** Trims the heap, and so the thread's magazine; then allocates and frees. */
export function* trimThenAlloc(view: View, t: number): Part {
  yield call("heap_trim");
  return yield* allocAndFree(view, t);
}

/** Changes nothing. */
export function* nothing(): Part {
  return yield call("heap_thread");
}

/** Waits for an element, without end. */
export function* wait(view: View, t: number): Part {
  return yield* alloc(view, t, "mempool_alloc_wait", Infinity);
}

/** An idle thread: settles now, and again at each nudge, until all other threads have ended. */
export function* idle(): Part {
  const nudge = yield call("heap_nudge");
  let seen: number;
  do {
    seen = yield look(nudge);
    // Another thread may have the lock of the lists.
    while (!(yield call("heap_idle")));
  } while (yield changed(nudge, seen));
  return 0;
}

/** Leaves the wait queue. */
export function* leave({ context, notes }: View, t: number, place: number): Part {
  const element = yield call("mempool_wait_end", context.handles[t]!, place);
  if (element) notes.push(element);
  return element;
}

/** Enters the wait queue, runs `meanwhile`, and leaves the queue. */
export function* inLine(view: View, t: number, meanwhile?: () => Part, ticket = 0): Part {
  const place = yield call("mempool_wait_begin", view.context.handles[t]!, ticket);
  if (meanwhile) yield* meanwhile();
  return yield* leave(view, t, place);
}

/** Enters the wait queue, and waits until it is served or the pool is closed, as a host that must not block. */
export function* inLineUntil(view: View, t: number): Part {
  const place = yield call("mempool_wait_begin", view.context.handles[t]!, 0);
  if (!place) return 0;
  if ((yield look(place)) === WAITING) yield changed(place, WAITING);
  const value = yield look(place);
  const element = yield* leave(view, t, place);
  return value === CLOSED ? CLOSED : element;
}

/** Waits for thread a's end, and reaps it if it died. */
export function* heir(): Part {
  return (yield gone(0)) ? yield call("heap_reap", 0) : 1;
}

/** The same for thread b, and for thread a if it died and is not yet reaped. */
export function* secondHeir(): Part {
  if (yield gone(1)) yield call("heap_reap", 1);
  // 0: it has been reaped.
  if (yield gone(0)) yield call("heap_reap", 0);
  return 1;
}

/* ---- checks ---- */

/** The last living thread that has had a handle from the start. */
function living({ context, deaths }: Run<Context>): number {
  return context.handles.findLastIndex((_, t) => !deaths.includes(t));
}

/** Words for the checker. A thread that has left has none; then those of the heap's creator serve. */
const scratch = (core: Exports, { heap }: Context): number => core["heap_scratch"]!() || heap + HEAP_SCRATCH;

/** Whether the checker finds the heap sound. */
export function sound({ cores, checker, memory, context }: Run<Context>, by = 0): string | void {
  if (!checker) return;
  const words = scratch(cores[by]!, context);
  const problems = checker["heap_check"]!(context.heap, words);
  if (!problems) return;
  const [code, ...values] = [0, 4, 8, 12].map((at) => memory.getUint32(words + at, true));
  return `heap_check: ${problems}, code ${code}, ${values.map((value) => value.toString(16)).join(" ")}`;
}

/** All threads but one leave. That one frees all elements, must be able to allocate maxNr, and ends the pool. */
export function whole({ maxNr }: Shape) {
  return (run: Run<Context>): string | void => {
    const { cores, notes, deaths, context } = run;
    const by = living(run);
    const handle = context.handles[by]!;
    const core = cores[by]!;
    const held = notes.flatMap((list, t) => (deaths.includes(t) ? [] : list));
    if (!deaths.includes(0)) held.push(...context.kept);
    for (const dead of deaths) {
      for (let at = 0; (at = core["mempool_next_live"]!(handle, at, dead));) held.push(at);
      const missing = notes[dead]!.filter((element) => !held.includes(element));
      if (missing.length) return `the dead thread had ${missing.join()}, but has not`;
    }
    if (new Set(held).size !== held.length) return `handed out twice: ${held.join()}`;
    for (let t = 0; t < cores.length; t++) if (t !== by && !deaths.includes(t)) cores[t]!["heap_detach"]!();
    for (const element of held) {
      const result = core["mempool_free"]!(handle, element);
      if (result !== 0) return `free of ${element}: ${result}`;
    }
    const before = sound(run, by);
    if (before) return before;
    if (maxNr !== undefined) {
      const all: number[] = [];
      for (let element = 0; all.length <= maxNr && (element = core["mempool_alloc"]!(handle));) all.push(element);
      if (all.length !== maxNr || new Set(all).size !== maxNr)
        return `${all.length} of ${maxNr} elements: ${all.join()}`;
      for (const element of all) core["mempool_free"]!(handle, element);
    }
    const left = core["mempool_exit"]!(handle);
    return left ? `${left} elements out at the end` : sound(run, by);
  };
}

const ALLOCATES = new Set(["mempool_alloc", "mempool_alloc_preallocated", "mempool_alloc_bulk"]);

/** Elements in the slots of a pool's reserve. */
function reserved(pool: number, memory: DataView): number {
  const epoch = memory.getUint32(pool + POOL_EPOCH, true);
  let full = 0;
  for (let chunk = memory.getUint32(epoch + EPOCH_RESERVE, true); chunk; chunk = memory.getUint32(chunk, true)) {
    const slots = memory.getUint32(chunk + SLOTS_END, true) - memory.getUint32(chunk + SLOTS_BASE, true);
    for (let i = 0; i < slots; i++) full += Number(memory.getUint32(chunk + SLOTS_FIRST + 4 * i, true) !== 0);
  }
  return full;
}

/**
 * No allocation fails if the reserve was never empty during the call, unless at some instant the pool was closed, or a
 * waiter, which comes first, was in the queue.
 */
function monitorReserve({ pool }: Context, memory: DataView): Monitor {
  const excused = new Map<number, boolean>();
  const isEmpty = () =>
    memory.getUint32(pool + POOL_WAITING, true) !== 0 ||
    memory.getUint32(pool + POOL_CLOSED, true) !== 0 ||
    reserved(pool, memory) === 0;
  return {
    begin(thread, name) {
      if (ALLOCATES.has(name)) excused.set(thread, isEmpty());
    },
    step() {
      if (excused.size && isEmpty()) for (const thread of excused.keys()) excused.set(thread, true);
    },
    end(thread, name, result) {
      const isExcused = excused.get(thread);
      excused.delete(thread);
      if (result === 0 && isExcused === false && !isEmpty()) {
        return `${name} got nothing, although the reserve was never empty meanwhile`;
      }
    },
  };
}

/** A case with the usual setup and check. The check of `more` runs first. */
export function usual(
  name: string,
  shape: Shape,
  threads: ((view: View) => Part)[],
  more: Partial<CoreCase> = {},
): CoreCase {
  const end = whole(shape);
  return {
    name,
    pages: PAGES + (shape.grows ?? 0),
    setup: setup(threads.length, shape),
    threads,
    mode: "all",
    timeouts: 0,
    monitor: monitorReserve,
    ...more,
    check: (run) => more.check?.(run) ?? end(run),
  };
}

/** Checks the results, thread a's first. */
export const results = (allowed: (...results: number[]) => boolean) => ({
  check: ({ results: list, dead }: Run<Context>): string | void =>
    dead >= 0 || allowed(...(list as number[])) ? undefined : `results ${list.join()}`,
});

/**
 * The check of cases that close the pool: all outstanding elements are freed, all threads settle and leave, and then the pool
 * must be gone. At most one free may have reported that it was the last; its script returns ENDED.
 */
export function closing(run: Run<Context>): string | void {
  const { cores, notes, deaths, context, results: list, checker, memory } = run;
  const by = living(run);
  let ends = list.filter((result) => result === ENDED).length;
  const bring = (t: number, element: number): string | void => {
    const result = cores[t]!["mempool_free"]!(context.handles[t]!, element);
    if (result !== 0 && result !== 1) return `free of ${element}: ${result}`;
    ends += result;
  };
  const held = notes.flatMap((elements, t) =>
    deaths.includes(t) ? [] : elements.map((element) => [t, element] as const),
  );
  if (!deaths.includes(0)) held.push(...context.kept.map((element) => [0, element] as const));
  for (const dead of deaths) {
    const handle = context.handles[by]!;
    // Once the last of them has been freed, there is no handle any more.
    const out: number[] = [];
    if (!ends) for (let at = 0; (at = cores[by]!["mempool_next_live"]!(handle, at, dead));) out.push(at);
    held.push(...out.map((element) => [by, element] as const));
  }
  for (const [t, element] of held) {
    const wrong = bring(t, element);
    if (wrong) return wrong;
  }
  const alive = cores.filter((_, t) => !deaths.includes(t));
  for (const core of alive) core["heap_idle"]!();
  for (const core of alive) if (core !== cores[by]) core["heap_detach"]!();
  if (ends > 1) return "the pool has ended twice";
  cores[by]!["heap_trim"]!();
  cores[by]!["heap_detach"]!();
  const wrong = sound(run, by);
  if (wrong || !checker) return wrong;
  const words = scratch(cores[by]!, context);
  checker["heap_stats"]!(context.heap, words);
  const pools = memory.getFloat64(words + 40, true);
  if (pools) return `${pools} pools at the end`;
}

/** The result of a script whose free was the last. */
export const ENDED = -100;

/** Closes the pool. */
export function* exit({ context }: View, t: number): Part {
  return yield call("mempool_exit", context.handles[t]!);
}

/** The result of a free, for `closing`. */
export const ended = (result: number): number => (result === 1 ? ENDED : result);
