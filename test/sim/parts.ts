/**
 * What the cases of the core are made of. All but the scripts is the same in each: a heap from address 0, one pool, every
 * thread attached to both; and at the end everything must be there again.
 */
import {
  call,
  changed,
  gone,
  look,
  type Action,
  type Case,
  type Exports,
  type Run,
  type ThreadView,
} from "./machine.ts";
import type { Options } from "./search.ts";

export interface Context {
  readonly heap: number;
  /** Its address; each thread has a handle. */
  readonly pool: number;
  readonly handles: readonly number[];
  /** Handed out in the setup, to thread a. */
  readonly elements: readonly number[];
  /** The same, but no script frees them. */
  readonly kept: readonly number[];
  readonly maxNr: number;
}

/** `notes` are the elements a thread has been handed out and has not begun to free. */
export type View = ThreadView<Context>;
export type Part = Generator<Action, number, number>;

export interface CoreCase extends Case<Context> {
  readonly mode: NonNullable<Options["mode"]>;
}

export interface Shape {
  readonly minNr?: number;
  /** As many elements as there can ever be; without, as many as memory has room for. */
  readonly maxNr?: number;
  /** Elements handed out to thread a in the setup. */
  readonly held?: number;
  /** And those that no script frees. */
  readonly kept?: number;
  /** How many are handed out, and freed again, between those. */
  readonly between?: number;
  /** Threads from this one on join by themselves. */
  readonly joined?: number;
  /** Elements that each thread has handled before: they are in its magazine. */
  readonly warm?: number;
  /** An element's size. */
  readonly size?: number;
  /** As assembly/layout.ts numbers them. */
  readonly backend?: number;
  /** Wasm pages by which the memory may grow. */
  readonly grows?: number;
}

export const PAGES = 2;
const SIZE = 1000;
/** Values of a place in line. */
export const WAITING = 1;
export const CLOSED = 2;
export const NONE = -1;
/** Of assembly/check.ts. */
const BAD_TAKEN = 10;

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
    size = SIZE,
    backend = 0,
    grows = 0,
  }: Shape,
) {
  return (cores: readonly Exports[], memory: DataView): Context => {
    // Of assembly/atomics.ts.
    memory.setUint32(8, PAGES, true);
    memory.setUint32(12, PAGES + grows, true);
    const heap = cores[0]!["heap_create"]!(0, PAGES * 65536, (PAGES + grows) * 16, Number(grows > 0));
    for (let t = 1; t < joined; t++) need(cores[t]!["heap_attach"]!(heap, t + 1), "heap_attach");
    const handles = [
      need(cores[0]!["mempool_create"]!(size, Math.min(size, 8), minNr, maxNr, backend), "mempool_create"),
    ];
    const pool = cores[0]!["mempool_pool"]!(handles[0]!);
    for (let t = 1; t < joined; t++) handles.push(need(cores[t]!["mempool_attach"]!(pool), "mempool_attach"));
    for (let t = 0; t < joined; t++) {
      const some = Array.from({ length: warm }, () => need(cores[t]!["mempool_alloc"]!(handles[t]!), "mempool_alloc"));
      for (const element of some) cores[t]!["mempool_free"]!(handles[t]!, element);
    }
    const all = Array.from({ length: held + kept + between }, () =>
      need(cores[0]!["mempool_alloc"]!(handles[0]!), "mempool_alloc"),
    );
    // Every second one.
    const out = all.filter((_, i) => i % 2 === 0 || i >= 2 * between);
    for (const element of all) if (!out.includes(element)) cores[0]!["mempool_free"]!(handles[0]!, element);
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

/** Waits for an element, without end. */
export function* wait(view: View, t: number): Part {
  return yield* alloc(view, t, "mempool_alloc_wait", Infinity);
}

/** What a thread with nothing to do does: looks around, and again when it is called, until all others are done. */
export function* idle(): Part {
  const nudge = yield call("heap_nudge");
  let seen: number;
  do {
    seen = yield look(nudge);
    // Another may have the lists.
    while (!(yield call("heap_settle")));
  } while (yield changed(nudge, seen));
  return 0;
}

/** Gets in line, does what is given meanwhile, and leaves the line. */
export function* inLine(view: View, t: number, meanwhile?: () => Part, ticket = 0): Part {
  const place = yield call("mempool_wait_begin", view.context.handles[t]!, ticket);
  if (meanwhile) yield* meanwhile();
  const element = yield call("mempool_wait_end", view.context.handles[t]!, place);
  if (element) view.notes.push(element);
  return element;
}

/** Gets in line, and sleeps until it is served or the pool is closed: what a host does that must not block. */
export function* inLineUntil(view: View, t: number): Part {
  const place = yield call("mempool_wait_begin", view.context.handles[t]!, 0);
  if (!place) return 0;
  if ((yield look(place)) === WAITING) yield changed(place, WAITING);
  const value = yield look(place);
  const element = yield call("mempool_wait_end", view.context.handles[t]!, place);
  if (element) view.notes.push(element);
  return value === CLOSED ? CLOSED : element;
}

/** Once thread a is dead or done, takes back what it held if it is dead. */
export function* heir(): Part {
  return (yield gone(0)) ? yield call("heap_reap", 0) : 1;
}

/** The same for thread b, and for thread a if it was dead and not yet reaped. */
export function* secondHeir(): Part {
  if (yield gone(1)) yield call("heap_reap", 1);
  // 0: it has been reaped.
  if (yield gone(0)) yield call("heap_reap", 0);
  return 1;
}

/* ---- checks ---- */

/** The last thread that lives and has had a handle from the start. */
function living({ context, deaths }: Run<Context>): number {
  return context.handles.findLastIndex((_, t) => !deaths.includes(t));
}

/** Whether the checker finds the heap sound. */
export function sound({ cores, checker, memory, context, dead }: Run<Context>, by = 0): string | void {
  if (!checker) return;
  const words = cores[by]!["heap_scratch"]!();
  const problems = checker["heap_check"]!(context.heap, words);
  if (!problems) return;
  // A death leaves `taken`, which is for statistics, off by what was in the thread's hands.
  if (dead >= 0 && problems === 1 && memory.getUint32(words, true) === BAD_TAKEN) return;
  const [code, ...values] = [0, 4, 8, 12].map((at) => memory.getUint32(words + at, true));
  return `heap_check: ${problems}, code ${code}, ${values.map((value) => value.toString(16)).join(" ")}`;
}

/** All threads leave but one, which frees what was handed out, can then have maxNr elements, and ends the pool. */
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

/** A case with the usual setup and check. `more` is asked first. */
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
    ...more,
    check: (run) => more.check?.(run) ?? end(run),
  };
}

/** The results, a's first. */
export const results = (allowed: (...results: number[]) => boolean) => ({
  check: ({ results: list, dead }: Run<Context>): string | void =>
    dead >= 0 || allowed(...(list as number[])) ? undefined : `results ${list.join()}`,
});

/**
 * For pools that a script closes: what is out comes home, all look around and leave, and then the pool is gone. One free
 * at most has said that it was the last: those results that are ENDED.
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
    // Once the last of them has come home there is no handle any more.
    const out: number[] = [];
    if (!ends) for (let at = 0; (at = cores[by]!["mempool_next_live"]!(handle, at, dead));) out.push(at);
    held.push(...out.map((element) => [by, element] as const));
  }
  for (const [t, element] of held) {
    const wrong = bring(t, element);
    if (wrong) return wrong;
  }
  const alive = cores.filter((_, t) => !deaths.includes(t));
  for (const core of alive) core["heap_settle"]!();
  for (const core of alive) if (core !== cores[by]) core["heap_detach"]!();
  if (ends > 1) return "the pool has ended twice";
  cores[by]!["heap_trim"]!();
  cores[by]!["heap_detach"]!();
  const wrong = sound(run, by);
  if (wrong || !checker) return wrong;
  const words = cores[by]!["heap_scratch"]!();
  checker["heap_stats"]!(context.heap, words);
  const pools = memory.getFloat64(words + 40, true);
  if (pools) return `${pools} pools at the end`;
}

/** What a script returns whose free was the last. */
export const ENDED = -100;

/** Closes the pool. */
export function* exit({ context }: View, t: number): Part {
  return yield call("mempool_exit", context.handles[t]!);
}

/** The result of a free, for `closing`. */
export const ended = (result: number): number => (result === 1 ? ENDED : result);
