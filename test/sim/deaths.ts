/** Deaths beside threads that continue to work, and afterwards: a second reaper, a second bearer of the number. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, gone, look, poke, post, take, type Exports, type Run } from "./script.ts";
import {
  alloc,
  allocAndFree,
  free,
  freeAll,
  heir,
  leave,
  need,
  nothing,
  NONE,
  results,
  setup,
  sound,
  trimThenAlloc,
  usual,
  wait,
  type Context,
  type CoreCase,
  type Part,
  type Shape,
  type View,
} from "./parts.ts";
import { layout } from "../layout/layout.ts";

const HEAP_LOCK = layout("HEAP_LOCK");

/* ---- what the thread is doing that dies, and what a third does meanwhile ---- */

function* freeThenAlloc(view: View, t: number, element: number): Part {
  yield* free(view, t, element);
  yield* alloc(view, t);
  return 0;
}

/** Frees the elements in bulk, as a host does. */
function* freeBulk({ context, notes }: View, t: number, elements: readonly number[]): Part {
  const array = yield call("heap_scratch");
  yield poke(array, elements);
  if ((yield call("mempool_mark", context.handles[t]!, array, elements.length, 1)) !== elements.length) return -1;
  for (const element of elements) if (notes.includes(element)) notes.splice(notes.indexOf(element), 1);
  return yield call("mempool_free_bulk", context.handles[t]!, array, elements.length);
}

const dying: Readonly<Record<string, (view: View) => Part>> = {
  free: (view) => free(view, 0, view.context.elements[0]!),
  alloc: (view) => alloc(view, 0),
  "alloc and free": (view) => allocAndFree(view, 0),
  preallocated: (view) => alloc(view, 0, "mempool_alloc_preallocated"),
  bulk: function* bulk({ context, notes }) {
    const array = yield call("heap_scratch");
    if (yield call("mempool_alloc_bulk", context.handles[0]!, array, 2)) {
      for (let i = 0; i < 2; i++) notes.push(yield look(array + 4 * i));
    }
    return 0;
  },
  "free in bulk": (view) => freeBulk(view, 0, view.context.elements.slice(0, 1)),
  "free of all": (view) => freeAll(view, 0, view.context.elements.slice(0, 1)),
  detach: function* detach({ context }) {
    return yield call("mempool_detach", context.handles[0]!);
  },
  trim: function* trim() {
    return yield call("heap_trim");
  },
  grow: function* grow({ context }) {
    return yield call("mempool_resize", context.handles[0]!, context.maxNr);
  },
  shrink: function* shrink({ context }) {
    return yield call("mempool_resize", context.handles[0]!, 0);
  },
  reshape: function* reshape({ context }) {
    return yield call("mempool_reshape", context.handles[0]!, 2000, 8);
  },
};

const beside: Readonly<Record<string, (view: View) => Part>> = {
  "free then alloc": (view) => freeThenAlloc(view, 2, view.context.elements.at(-1)!),
  "alloc then free": (view) => allocAndFree(view, 2),
};

/** `out` elements are outstanding from the start; some of them no script frees, and freed ones lie `between` them. */
const shapes = [
  { minNr: 0, maxNr: 8, out: 2, between: 2 },
  { minNr: 2, maxNr: 2, out: 0, between: 0 },
  { minNr: 2, maxNr: 2, out: 1, between: 0 },
  { minNr: 2, maxNr: 3, out: 2, between: 0 },
];

/** How many of the outstanding elements a script frees. */
const frees = (name: string): number =>
  Number(["free", "free in bulk", "free of all", "free then alloc"].includes(name));

export const deathsBeside: readonly CoreCase[] = Object.keys(dying).flatMap((a) =>
  Object.keys(beside).flatMap((c) =>
    shapes.flatMap(({ minNr, maxNr, out, between }) => {
      const held = frees(a) + frees(c);
      if (held > out && held > 0) return [];
      return [1, 2, 3].map((preemptions) =>
        usual(
          `death in ${a} beside ${c}; ${minNr} of ${maxNr}, ${out} out, ${preemptions}`,
          { minNr, maxNr, held, kept: out - held, between },
          [dying[a]!, heir, beside[c]!],
          { fatal: 0, mode: { preemptions } },
        ),
      );
    }),
  ),
);

/* ---- numbers, labels, reapers ---- */

/** The result of a script that found something impossible. */
const WRONG = -1000;

/** Joins the heap with a label; returns a handle of the pool, or 0. */
function* joinPool({ context }: View, label: number): Part {
  if (!(yield call("heap_attach", context.heap, label))) return 0;
  return yield call("mempool_attach", context.pool, 0);
}

/** Reaps the thread with the label, if there is one, and frees its elements. */
function* reapLabel({ context, notes }: View, t: number, label: number): Part {
  const number = yield call("heap_find_thread", label);
  if (number < 0) return 0;
  const list: number[] = [];
  for (let at = 0; (at = yield call("mempool_next_live", context.handles[t]!, at, number));) list.push(at);
  const done = yield call("heap_reap", number, label);
  if (done === 1) notes.push(...list);
  return done;
}

/** Allocates and frees by the given handle. */
function* work(handle: number): Part {
  const element = yield call("mempool_alloc", handle);
  return element ? yield call("mempool_free", handle, element) : 0;
}

/** The check of cases in which threads join by themselves: threads with a handle from the start free everything. */
function settled(run: Run<Context>): string | void {
  const { cores, context, notes, deaths, results: list } = run;
  if (list.includes(WRONG)) return `results ${list.join()}`;
  const core = cores[0]!;
  const handle = context.handles[0]!;
  for (const other of cores.slice(1)) if (other["heap_thread"]!()) other["heap_detach"]!();
  const held = [...notes.flatMap((elements, t) => (deaths.includes(t) ? [] : elements)), ...context.kept];
  if (new Set(held).size !== held.length) return `handed out twice: ${held.join()}`;
  for (const element of held) {
    const result = core["mempool_free"]!(handle, element);
    if (result !== 0) return `free of ${element}: ${result}`;
  }
  const live = core["mempool_next_live"]!(handle, 0, NONE);
  if (live) return `${live.toString(16)} is live, and nobody has it`;
  return sound(run) ?? (core["mempool_exit"]!(handle) ? "elements out at the end" : sound(run));
}

const joining = (
  name: string,
  shape: Shape,
  threads: ((view: View) => Part)[],
  more: Partial<CoreCase> = {},
): CoreCase => {
  const { check } = more;
  return { ...usual(name, shape, threads, more), check: (run: Run<Context>) => check?.(run) ?? settled(run) };
};

const numbers: readonly CoreCase[] = [
  joining(
    "death in joining and attaching, then another bears the number",
    { joined: 1, minNr: 1, maxNr: 2 },
    [
      function* a(view) {
        if (!(yield gone(1))) return 1;
        yield* reapLabel(view, 0, 7);
        yield post("reaped", 1);
        return 1;
      },
      function* b(view) {
        const handle = yield* joinPool(view, 7);
        return handle ? yield* work(handle) : 0;
      },
      function* c(view) {
        if (yield gone(1)) yield take("reaped");
        const handle = yield* joinPool(view, 8);
        return handle ? yield* work(handle) : WRONG;
      },
    ],
    { fatal: 1, mode: { preemptions: 1 }, limit: 100_000 },
  ),
  joining(
    "a second bearer of a number dies: the elements of the first are not listed",
    { joined: 1, maxNr: 8 },
    [
      function* a(view) {
        const kept = yield take("kept");
        if (!(yield gone(2))) return 0;
        const number = yield call("heap_find_thread", 8);
        if (number < 0) return 0;
        for (let at = 0; (at = yield call("mempool_next_live", view.context.handles[0]!, at, number));) {
          if (at === kept) return WRONG;
          view.notes.push(at);
        }
        yield call("heap_reap", number, 8);
        return 0;
      },
      function* b(view) {
        const handle = yield* joinPool(view, 7);
        const element = yield call("mempool_alloc", handle);
        view.notes.push(element);
        yield call("heap_detach");
        yield post("kept", element);
        return 0;
      },
      function* c(view) {
        yield take("kept");
        const handle = yield* joinPool(view, 8);
        if (handle) view.notes.push(yield call("mempool_alloc", handle));
        return 0;
      },
    ],
    { fatal: 2, mode: { preemptions: 1 } },
  ),
  joining(
    "two reap one thread while a third takes its number",
    { joined: 2, maxNr: 8 },
    [
      function* a(view) {
        if (!(yield gone(2))) return 0;
        return yield* reapLabel(view, 0, 7);
      },
      function* b(view) {
        if (!(yield gone(2))) return 0;
        return yield* reapLabel(view, 1, 7);
      },
      function* c(view) {
        yield* joinPool(view, 7);
        return 0;
      },
      function* d(view) {
        yield gone(2);
        const handle = yield* joinPool(view, 8);
        if (!handle) return 0;
        const own = yield call("heap_thread");
        yield* work(handle);
        const [first, second] = [yield call("heap_find_thread", 8), yield call("heap_thread")];
        return first === own && second === own ? 0 : WRONG;
      },
    ],
    { fatal: 2, mode: { preemptions: 2 } },
  ),
  joining(
    "a thread that leaves takes its label with it",
    { joined: 1 },
    [
      function* a() {
        yield take("left");
        return (yield call("heap_find_thread", 7)) === -1 ? 0 : WRONG;
      },
      function* b(view) {
        yield call("heap_attach", view.context.heap, 7);
        yield call("heap_detach");
        yield post("left", 1);
        return 0;
      },
      function* c(view) {
        if (!(yield call("heap_attach", view.context.heap, 8))) return 0;
        const found = yield call("heap_find_thread", 8);
        return found === (yield call("heap_thread")) ? 0 : WRONG;
      },
    ],
    { mode: { preemptions: 2 } },
  ),
];

/** Thread b has left without the lock of the lists, and with a magazine that is not empty: another thread finishes that. */
function leftWithoutLock(cores: readonly Exports[], memory: DataView): Context {
  const context = setup(3, { warm: 1 })(cores, memory);
  memory.setUint32(context.heap + HEAP_LOCK, 1, true);
  cores[1]!["heap_detach"]!();
  memory.setUint32(context.heap + HEAP_LOCK, 0, true);
  return context;
}

/** Settles as an idle host does. */
function* settle(): Part {
  while (!(yield call("heap_idle")));
  return 1;
}

const leavers: readonly CoreCase[] = [
  usual(
    "death of a thread that finishes one which has left",
    { warm: 1 },
    [
      settle,
      nothing,
      function* c() {
        yield* heir();
        return yield* settle();
      },
    ],
    {
      fatal: 0,
      setup: leftWithoutLock,
      check({ cores, context }) {
        const joined = cores[1]!["heap_attach"]!(context.heap, 9) && cores[1]!["heap_thread"]!();
        return joined === 1 ? undefined : `the number is not free: ${joined}`;
      },
    },
  ),
];

/** Thread a has all memory, in elements and in arenas; thread b has no handle of the pool. */
function allTaken(cores: readonly Exports[], memory: DataView): Context {
  const context = setup(3, {})(cores, memory);
  const core = cores[0]!;
  for (let bytes = 65536; bytes >= 4096; bytes /= 2) while (core["arena_create"]!(bytes - 16));
  const kept: number[] = [];
  for (let element = 0; (element = core["mempool_alloc"]!(context.handles[0]!));) kept.push(element);
  need(cores[1]!["mempool_detach"]!(context.handles[1]!), "mempool_detach");
  return { ...context, kept };
}

/* ---- other things that a thread can own ---- */

/** Checks that the heap has this many pools and arenas. */
const left = (pools: number, arenas: number): Partial<CoreCase> => ({
  check: ({ cores, checker, memory, context, deaths }) => {
    if (!deaths.length) return;
    const by = deaths.includes(0) ? 1 : 0;
    const words = cores[by]!["heap_scratch"]!();
    checker!["heap_stats"]!(context.heap, words);
    const [hasPools, hasArenas] = [40, 48].map((at) => memory.getFloat64(words + at, true));
    return hasPools === pools && hasArenas === arenas ? undefined : `${hasPools} pools, ${hasArenas} arenas`;
  },
});

/** For a search with an observer, which sees when the reap notifies the waiter. */
export const reapedForWaiter: CoreCase = usual(
  "death with arenas that have all memory, while another waits",
  {},
  [
    nothing,
    function* b() {
      yield take("waits");
      return yield* heir();
    },
    function* c(view) {
      const place = yield call("mempool_wait_begin", view.context.handles[2]!, 0);
      yield post("waits", place);
      yield gone(1);
      return yield* leave(view, 2, place);
    },
  ],
  { fatal: 0, mode: { preemptions: 1 }, setup: allTaken },
);

const owned: readonly CoreCase[] = [
  reapedForWaiter,
  usual(
    "death with an arena",
    {},
    [
      function* a() {
        const arena = yield call("arena_create", 100);
        if (arena) yield call("arena_alloc", arena, 50, 8);
        return 0;
      },
      heir,
    ],
    { fatal: 0, ...left(1, 0) },
  ),
  usual(
    "leaving with an arena and a pool of its own",
    { joined: 2 },
    [
      function* a() {
        yield call("arena_create", 100);
        const handle = yield call("mempool_create", 100, 8, 1, NONE, 0);
        if (handle) yield call("mempool_alloc", handle);
        return 0;
      },
      (b) => allocAndFree(b, 1),
    ],
    {
      mode: { preemptions: 1 },
      check: (run) => {
        run.cores[0]!["heap_detach"]!();
        return left(1, 0).check!({ ...run, deaths: [0] });
      },
    },
  ),
  usual("death in a trim of a magazine that has grown", { grown: 24 }, [(a) => trimThenAlloc(a, 0), heir], {
    fatal: 0,
  }),
  usual(
    "death with a pool of its own",
    {},
    [
      function* a() {
        const handle = yield call("mempool_create", 100, 8, 1, NONE, 0);
        if (handle) yield call("mempool_alloc", handle);
        return 0;
      },
      heir,
    ],
    { fatal: 0, ...left(1, 0) },
  ),
  ...[freeBulk, freeAll].map((freeing) =>
    usual(
      `death in a bulk free of another's elements${freeing === freeAll ? ", by one call" : ""}`,
      { maxNr: 8 },
      [
        function* a(view) {
          const first = yield take("first");
          const second = yield take("second");
          return yield* freeing(view, 0, [first, second]);
        },
        function* b(view) {
          const elements: number[] = [yield* alloc(view, 1), yield* alloc(view, 1)];
          yield post("first", elements[0]!);
          yield post("second", elements[1]!);
          view.notes.length = 0;
          if (!(yield gone(0))) return 0;
          yield call("heap_reap", 0);
          // The elements that are still outstanding must be freeable.
          const out: number[] = [];
          for (const element of elements) {
            if ((yield call("mempool_free_check", view.context.handles[1]!, element)) === 0) out.push(element);
          }
          return out.length ? yield* freeBulk(view, 1, out) : 0;
        },
      ],
      {
        fatal: 0,
        mode: { preemptions: 1 },
        check: ({ results: list }) => (list[1] === 0 ? undefined : `results ${list.join()}`),
      },
    ),
  ),
];

/* ---- threads that want the same at once ---- */

const MAGAZINE_BULKS = layout("MAGAZINE_BULKS");
/** How often a bulk alloc tries again, in the search's build: see assembly/pool/bulk.ts. */
const BULK_TRIES = 8;

/** mempool_alloc_bulk of `count` elements. */
function* bulkOf({ context, notes }: View, t: number, count: number): Part {
  const array = yield call("heap_scratch");
  const done = yield call("mempool_alloc_bulk", context.handles[t]!, array, count);
  if (done) for (let i = 0; i < count; i++) notes.push(yield look(array + 4 * i));
  return done;
}

const together: readonly CoreCase[] = [
  ...["mempool_alloc", "mempool_alloc_preallocated"].map((how) =>
    usual(
      `one of the reserve's is always there: ${how}`,
      { minNr: 2, maxNr: 2, held: 1, slot: 1 },
      [(a) => alloc(a, 0, how), (b) => freeThenAlloc(b, 1, b.context.elements[0]!)],
      { ...results((a) => a !== 0), mode: { preemptions: 3 } },
    ),
  ),
  usual(
    "one of the reserve's is always there, whatever a third takes",
    { minNr: 3, maxNr: 3, held: 1, kept: 1, slot: 2 },
    [
      (a) => alloc(a, 0, "mempool_alloc_preallocated"),
      (b) => free(b, 1, b.context.elements[0]!),
      (c) => alloc(c, 2, "mempool_alloc_preallocated"),
    ],
    { mode: { preemptions: 3 } },
  ),
  usual(
    "one of the reserve's is always there for two",
    { minNr: 3, maxNr: 3, held: 2, slot: 1 },
    [
      (a) => alloc(a, 0, "mempool_alloc_preallocated"),
      (b) => freeThenAlloc(b, 1, b.context.elements[0]!),
      (c) => freeThenAlloc(c, 2, c.context.elements[1]!),
    ],
    { ...results((a) => a !== 0), mode: { preemptions: 2 } },
  ),
  usual(
    "two bulk requests for three of four",
    { minNr: 0, maxNr: 4, size: 500 },
    [(a) => bulkOf(a, 0, 3), (b) => bulkOf(b, 1, 3)],
    {
      mode: { preemptions: 2 },
      // Both fail only where one was stopped for so long that the other has tried as often as it may.
      check: ({ results: [a, b], context, memory }) => {
        const tries = context.handles.map((handle) => memory.getUint32(handle + MAGAZINE_BULKS, true) / 2);
        if ((a as number) + (b as number) === 1 || Math.max(...tries) > BULK_TRIES) return undefined;
        return `results ${[a, b].join()}, after ${tries.join()} tries`;
      },
    },
  ),
  usual(
    "alloc beside a wait",
    { maxNr: 2 },
    [
      (a) => alloc(a, 0),
      function* c(view) {
        const element = yield* wait(view, 1);
        return element ? yield* free(view, 1, element) : -1;
      },
    ],
    { mode: { preemptions: 2 } },
  ),
];

export const deathCases: readonly CoreCase[] = [...deathsBeside, ...numbers, ...leavers, ...owned, ...together];
