/** Threads that meet in the core, in cases small enough to search. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, changed, look, post, take, type Run } from "./script.ts";
import {
  alloc,
  allocAndFree,
  free,
  freeAll,
  heir,
  NONE,
  idle,
  inLine,
  inLineUntil,
  leave,
  need,
  results,
  setup,
  trimThenAlloc,
  sound,
  usual,
  whole,
  wait,
  CLOSED,
  ENDED,
  ended,
  exit,
  WAITING,
  type Context,
  type Part,
  type CoreCase,
  type View,
} from "./parts.ts";
import { ending } from "./exits.ts";
import { sizing } from "./sizing.ts";
import { large } from "./large.ts";
import { exits } from "./exits.ts";
import { deathPoints } from "./death-points.ts";
import { waits } from "./waits.ts";

/** Checks that the reserve has `count` elements. */
const reserveFull = (count: number): Partial<CoreCase> => ({
  check: ({ checker, cores, context, memory, results: list }) => {
    if (list.some((result) => typeof result !== "number" || result < 0)) return `results ${list.join()}`;
    const words = cores[0]!["heap_scratch"]!();
    checker!["mempool_stats"]!(context.handles[0]!, words);
    const currNr = memory.getFloat64(words, true);
    return currNr === count ? undefined : `${currNr} in the reserve`;
  },
});

/** mempool_alloc_bulk. */
function* bulk({ context, notes }: View, t: number, count: number): Part {
  const array = yield call("heap_scratch");
  const done = yield call("mempool_alloc_bulk", context.handles[t]!, array, count);
  if (!done) return 0;
  for (let i = 0; i < count; i++) notes.push(yield look(array + 4 * i));
  return done;
}

/** The check of a case in which thread a leaves, and thread b waits for an element. */
function leftIsWell(run: Run<Context>): string | void {
  const { cores, context, notes } = run;
  if (!notes[1]!.length) return "nothing for b";
  for (const element of [...notes[1]!, ...context.kept]) cores[1]!["mempool_free"]!(context.handles[1]!, element);
  const wrong = sound(run, 1);
  if (wrong) return wrong;
  const left = cores[1]!["mempool_exit"]!(context.handles[1]!);
  return left ? `${left} elements out at the end` : sound(run, 1);
}

/** A case in which thread a leaves, and thread b waits for an element. */
function leaving(...parameters: Parameters<typeof usual>): CoreCase {
  return { ...usual(...parameters), check: leftIsWell };
}

/** Only the checked build refuses one of the two frees. */
export const freedTwice: CoreCase = usual(
  "two frees at the same instant",
  { held: 1 },
  [(a) => free(a, 0, a.context.elements[0]!), (b) => free(b, 1, b.context.elements[0]!)],
  results((a, b) => (a === 0) !== (b === 0) && Math.min(a, b) === -2),
);

/** Thread a has an element that another thread allocated before it left; thread b joins under that one's number. */
const leftBehind = (name: string, a: (view: View) => Part, allowed: (result: number) => boolean): CoreCase => ({
  ...usual(
    name,
    {},
    [
      a,
      function* b({ context }) {
        return yield call("heap_attach", context.heap, 2);
      },
    ],
    { mode: { preemptions: 2 } },
  ),
  setup(cores, memory) {
    const context = setup(2, {})(cores, memory);
    const element = need(cores[1]!["mempool_alloc"]!(context.handles[1]!), "mempool_alloc");
    need(cores[1]!["heap_detach"]!(), "heap_detach");
    return { ...context, elements: [element] };
  },
  check(run) {
    const { results: list, cores, context } = run;
    const [result, joined] = list as number[];
    if (!allowed(result!) || joined !== 1) return `results ${list.join()}`;
    const handle = context.handles[0]!;
    const inherited = cores[0]!["mempool_next_live"]!(handle, 0, 1);
    if (inherited) return `the thread that joins has ${inherited}, which it never allocated`;
    if (result! < 0) cores[0]!["mempool_free"]!(handle, context.elements[0]!);
    return whole({})(run);
  },
});

export const freedOfLeaver = leftBehind(
  "a free of what a thread has left behind, while another joins under its number",
  (a) => free(a, 0, a.context.elements[0]!),
  (result) => result === 0,
);

const refusedOfLeaver = leftBehind(
  "a refused bulk free of what a thread has left behind, while another joins under its number",
  (a) => freeAll(a, 0, [a.context.elements[0]!, a.context.elements[0]!]),
  (result) => result === -2,
);

const freedInBulk = leftBehind(
  "a bulk free of what a thread has left behind, while another joins under its number",
  function* a(view) {
    const own = yield* alloc(view, 0);
    return yield* freeAll(view, 0, [view.context.elements[0]!, own]);
  },
  (result) => result === 0,
);

export const cases: readonly CoreCase[] = [
  freedOfLeaver,
  refusedOfLeaver,
  freedInBulk,
  ...sizing,
  ...large,
  usual("alloc and free", {}, [(a) => allocAndFree(a, 0), (b) => allocAndFree(b, 1)]),
  usual("alloc and free, warm", { warm: 2 }, [(a) => allocAndFree(a, 0), (b) => allocAndFree(b, 1)]),
  usual(
    "the last two",
    { maxNr: 2 },
    [(a) => alloc(a, 0), (b) => alloc(b, 1)],
    // A thread finds nothing while the other holds the only slab, since it does not wait for that.
    results((a, b) => a !== 0 || b !== 0),
  ),
  usual(
    "one for two",
    { maxNr: 1 },
    [(a) => alloc(a, 0), (b) => alloc(b, 1)],
    results((a, b) => (a !== 0) !== (b !== 0)),
  ),
  usual("the reserve", { minNr: 1, maxNr: 1 }, [(a) => allocAndFree(a, 0), (b) => allocAndFree(b, 1)]),
  usual("the reserve's last", { minNr: 2, maxNr: 2, held: 1 }, [
    (a) => free(a, 0, a.context.elements[0]!),
    (b) => allocAndFree(b, 1, "mempool_alloc_preallocated"),
  ]),
  usual(
    "free elsewhere",
    { held: 1 },
    [
      function* a(view) {
        yield post("element", view.context.elements[0]!);
        return yield* allocAndFree(view, 0);
      },
      function* b(view) {
        return yield* free(view, 1, yield take("element"));
      },
    ],
    results((a, b) => a === 0 && b === 0),
  ),
  // At the same instant, both frees may succeed.
  usual(
    "double free",
    { held: 1 },
    [
      function* a(view) {
        const result = yield* free(view, 0, view.context.elements[0]!);
        yield post("freed", 1);
        return result;
      },
      function* b(view) {
        yield take("freed");
        return yield* free(view, 1, view.context.elements[0]!);
      },
    ],
    results((a, b) => a === 0 && b === -2),
  ),
  usual(
    "wait",
    { maxNr: 1, held: 1 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => alloc(b, 1, "mempool_alloc_wait", Infinity)],
    results((_, b) => b !== 0),
  ),
  usual(
    "two wait",
    { maxNr: 1, held: 1 },
    [
      (a) => free(a, 0, a.context.elements[0]!),
      (b) => allocAndFree(b, 1, "mempool_alloc_wait", Infinity),
      (c) => allocAndFree(c, 2, "mempool_alloc_wait", Infinity),
    ],
    { ...results((_, b, c) => b === 0 && c === 0), mode: { preemptions: 2 } },
  ),
  usual("cancel", { maxNr: 1, held: 1 }, [
    (a) => free(a, 0, a.context.elements[0]!),
    function* b({ context, notes }) {
      const place = yield call("mempool_wait_begin", context.handles[1]!, 0);
      const element = yield call("mempool_wait_end", context.handles[1]!, place);
      if (element) notes.push(element);
      return element;
    },
  ]),
  {
    ...usual("exit and the last free", { held: 1 }, [
      function* a(view) {
        const result = yield* free(view, 0, view.context.elements[0]!);
        // An idle thread does this.
        if (result === 0) yield call("heap_idle");
        return result;
      },
      function* b({ context }) {
        return yield call("mempool_exit", context.handles[1]!);
      },
    ]),
    // The pool ends in exit, in the free after it, or when the thread that cached the element settles.
    check: (run) => {
      const [a, b] = run.results as number[];
      if (a !== 0 && a !== 1) return `results ${a}, ${b}`;
      if (a === 0 && b !== 0) {
        run.cores[0]!["heap_idle"]!();
        if (!run.cores[0]!["mempool_ended"]!(run.context.handles[0]!)) return "the pool has not ended";
      }
      return sound(run);
    },
  },
  usual("trim", { warm: 1 }, [
    (a) => allocAndFree(a, 0),
    function* b() {
      return yield call("heap_trim");
    },
  ]),
  usual("trim of a magazine that has grown", { grown: 24 }, [(a) => trimThenAlloc(a, 0), (b) => allocAndFree(b, 1)]),
  usual("recall of a magazine that has grown", { grown: 24 }, [(a) => allocAndFree(a, 0), (b) => inLine(b, 1)]),
  usual(
    "join",
    { joined: 1 },
    [0, 1, 2].map(
      (t) =>
        function* join({ context }: View) {
          if (t) yield call("heap_attach", context.heap, t + 1);
          return yield call("heap_thread");
        },
    ),
    { ...results((...numbers) => new Set(numbers).size === 3), mode: { preemptions: 3 } },
  ),
  usual(
    "create",
    {},
    [0, 1].map(
      () =>
        function* create() {
          const handle = yield call("mempool_create", 100, 8, 1, NONE);
          return handle ? yield call("mempool_exit", handle) : -1;
        },
    ),
    { ...results((a, b) => a === 0 && b === 0), mode: { preemptions: 2 } },
  ),
  usual("death in alloc and free", { minNr: 1 }, [(a) => allocAndFree(a, 0), heir], { fatal: 0 }),
  usual("death, warm", { warm: 2 }, [(a) => allocAndFree(a, 0), heir], { fatal: 0 }),
  usual("death in the reserve", { minNr: 1, maxNr: 1 }, [(a) => allocAndFree(a, 0), heir], { fatal: 0 }),
  usual(
    "death in the reserve, while another allocates",
    { minNr: 1, maxNr: 1 },
    [
      (a) => allocAndFree(a, 0),
      function* b(view) {
        yield* allocAndFree(view, 1);
        return yield* heir();
      },
    ],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual(
    "death while freeing for a waiter",
    { maxNr: 1, held: 1 },
    [
      (a) => free(a, 0, a.context.elements[0]!),
      function* b(view) {
        const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        yield* heir();
        const element = yield call("mempool_wait_end", view.context.handles[1]!, place);
        if (element) view.notes.push(element);
        return element;
      },
    ],
    { fatal: 0 },
  ),
  usual(
    "death while waiting",
    { maxNr: 1, held: 1 },
    [
      (a) => alloc(a, 0, "mempool_alloc_wait", Infinity),
      function* b(view) {
        yield* free(view, 1, view.context.elements[0]!);
        return yield* heir();
      },
    ],
    { fatal: 0 },
  ),
  usual(
    "death in create",
    {},
    [
      function* a() {
        return yield call("mempool_create", 100, 8, 1, NONE);
      },
      heir,
    ],
    { fatal: 0 },
  ),
  ...[0, 1].flatMap((minNr) =>
    [1, 16].map((maxNr) =>
      usual(
        `free while another is about to sleep, minNr ${minNr}, maxNr ${maxNr}`,
        { minNr, maxNr, held: 1, kept: maxNr - 1 },
        [
          function* a(view) {
            const last = yield* free(view, 0, view.context.elements[0]!);
            yield* idle();
            return last;
          },
          (b) => wait(b, 1),
        ],
        { ...results((a, b) => a === 0 && b !== 0), mode: { preemptions: 3 } },
      ),
    ),
  ),

  usual(
    "one takes from the reserve while another opens its gate",
    { minNr: 1, maxNr: 16 },
    [
      function* a({ context }) {
        const element = yield call("mempool_alloc_preallocated", context.handles[0]!);
        yield post("element", element);
        return element;
      },
      function* b(view) {
        yield call("heap_idle");
        return yield* free(view, 1, yield take("element"));
      },
    ],
    { ...reserveFull(1), mode: { preemptions: 3 } },
  ),
  usual(
    "one takes from the reserve while another fills it",
    { minNr: 1, maxNr: 2, held: 1, kept: 1 },
    [
      (a) => free(a, 0, a.context.elements[0]!),
      function* b(view) {
        const element = yield* alloc(view, 1, "mempool_alloc_preallocated");
        return element ? yield* free(view, 1, element) : 0;
      },
    ],
    { ...reserveFull(1), mode: { preemptions: 3 } },
  ),
  ending(
    "exit and the last free, nothing cached",
    { maxNr: 1, held: 1 },
    [
      function* a(view) {
        return ended(yield* free(view, 0, view.context.elements[0]!));
      },
      (b) => exit(b, 1),
    ],
    results((a, b) => a === ENDED || b === 0),
  ),

  ending(
    "exit and the last free, of a slab with more free elements",
    { maxNr: 2, held: 1 },
    [
      function* a(view) {
        return ended(yield* free(view, 0, view.context.elements[0]!));
      },
      (b) => exit(b, 1),
    ],
    results((a, b) => a === ENDED || b === 0),
  ),

  /* ---- slabs ---- */
  usual(
    "a slab comes back to the stack",
    // Two slabs, each with one free element.
    { size: 2016, maxNr: 4, kept: 2, between: 2 },
    [
      (a) => alloc(a, 0),
      function* b(view) {
        const first = yield* alloc(view, 1);
        yield* alloc(view, 1);
        yield* alloc(view, 1);
        return first ? yield* free(view, 1, first) : 0;
      },
    ],
    { mode: { preemptions: 2 } },
  ),
  usual("free and allocate in one slab", { maxNr: 2, held: 1, between: 1 }, [
    (a) => free(a, 0, a.context.elements[0]!),
    function* b(view) {
      yield* alloc(view, 1);
      return yield* alloc(view, 1);
    },
  ]),

  /* ---- the reserve ---- */
  ...["mempool_alloc", "mempool_alloc_preallocated"].map((how) =>
    usual(
      `one takes from the reserve, another frees: ${how}`,
      { minNr: 1, maxNr: 2, kept: how === "mempool_alloc" ? 1 : 0 },
      [
        function* a({ context }) {
          const element = yield call(how, context.handles[0]!);
          yield post("element", element);
          return element;
        },
        function* b(view) {
          const element = yield take("element");
          return yield* free(view, 1, element);
        },
      ],
      reserveFull(1),
    ),
  ),
  usual(
    "one takes from the reserve, another frees, a third too",
    { minNr: 2, maxNr: 3, held: 1 },
    [
      function* a({ context }) {
        const element = yield call("mempool_alloc_preallocated", context.handles[0]!);
        yield post("element", element);
        return element;
      },
      function* b(view) {
        return yield* free(view, 1, yield take("element"));
      },
      (c) => free(c, 2, c.context.elements[0]!),
    ],
    { ...reserveFull(2), mode: { preemptions: 2 } },
  ),
  usual(
    "two take from the reserve, and each frees the other's",
    { minNr: 2, maxNr: 3 },
    [0, 1].map(
      (t) =>
        function* swap(view: View) {
          const own = yield call("mempool_alloc_preallocated", view.context.handles[t]!);
          yield post(`${t}`, own);
          const other = yield take(`${1 - t}`);
          return yield* free(view, t, other);
        },
    ),
    { ...reserveFull(2), mode: { preemptions: 2 } },
  ),

  /* ---- waiting ---- */
  usual(
    "wait without a thread that blocks",
    { maxNr: 1, held: 1 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => inLineUntil(b, 1)],
    { ...results((_, b) => b > CLOSED), mode: { preemptions: 3 } },
  ),
  usual(
    "two waiters, served in order",
    { maxNr: 2, held: 2 },
    [
      function* a(view) {
        yield* free(view, 0, view.context.elements[0]!);
        return yield* free(view, 0, view.context.elements[1]!);
      },
      function* b(view) {
        const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        yield post("first", place);
        if ((yield look(place)) === WAITING) yield changed(place, WAITING);
        return yield* leave(view, 1, place);
      },
      function* c(view) {
        const first = yield take("first");
        const place = yield call("mempool_wait_begin", view.context.handles[2]!, 0);
        if ((yield look(place)) === WAITING) yield changed(place, WAITING);
        const overtaken = (yield look(first)) === WAITING;
        const element = yield* leave(view, 2, place);
        return overtaken ? -1 : element;
      },
    ],
    { ...results((_, b, c) => b > CLOSED && c > CLOSED), mode: { preemptions: 2 } },
  ),
  usual(
    "a sequence number that was kept",
    { maxNr: 1, held: 1 },
    [
      function* a(view) {
        yield take("second");
        return yield* free(view, 0, view.context.elements[0]!);
      },
      function* b(view) {
        const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        const ticket = yield look(place + 4);
        yield post("first", place);
        yield take("second");
        let element = yield* leave(view, 1, place);
        if (!element) {
          const again = yield call("mempool_wait_begin", view.context.handles[1]!, ticket);
          if ((yield look(again)) === WAITING) yield changed(again, WAITING);
          element = yield* leave(view, 1, again);
        }
        return yield* free(view, 1, element);
      },
      function* c(view) {
        yield take("first");
        const place = yield call("mempool_wait_begin", view.context.handles[2]!, 0);
        yield post("second", place);
        if ((yield look(place)) === WAITING) yield changed(place, WAITING);
        return yield* free(view, 2, yield* leave(view, 2, place));
      },
    ],
    { ...results((a, b, c) => a === 0 && b === 0 && c === 0), mode: { preemptions: 2 } },
  ),
  usual(
    "cancel, with another behind",
    { maxNr: 1, held: 1 },
    [
      (a) => free(a, 0, a.context.elements[0]!),
      function* b(view) {
        const element = yield* inLine(view, 1);
        return element ? yield* free(view, 1, element) : 0;
      },
      (c) => wait(c, 2),
    ],
    { ...results((a, b, c) => a === 0 && b === 0 && c !== 0), mode: { preemptions: 2 } },
  ),
  usual(
    "timeout",
    { maxNr: 1, held: 1 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => alloc(b, 1, "mempool_alloc_wait", 5)],
    { timeouts: 1, mode: { preemptions: 3 } },
  ),
  usual(
    "timeout, with another behind",
    { maxNr: 1, held: 1 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => allocAndFree(b, 1, "mempool_alloc_wait", 5), (c) => wait(c, 2)],
    { ...results((a, _, c) => a === 0 && c !== 0), timeouts: 1, mode: { preemptions: 2 } },
  ),
  ...["mempool_detach", "heap_detach"].map((how) =>
    leaving(
      `leave while another starves: ${how}`,
      { maxNr: 16, kept: 15, held: 1 },
      [
        function* a(view) {
          yield* free(view, 0, view.context.elements[0]!);
          while (!(yield call(how, ...(how === "heap_detach" ? [] : [view.context.handles[0]!]))));
          return 0;
        },
        (b) => wait(b, 1),
      ],
      { mode: { preemptions: 3 } },
    ),
  ),
  usual(
    "a thread returns its cached elements when another asks",
    { maxNr: 32, kept: 30, held: 2 },
    [
      function* a(view) {
        for (const element of view.context.elements) yield* free(view, 0, element);
        return yield* idle();
      },
      (b) => wait(b, 1),
      (c) => wait(c, 2),
    ],
    { ...results((_, b, c) => b !== 0 && c !== 0), mode: { preemptions: 2 } },
  ),
  usual(
    "a thread returns its cached elements while a third has the lists",
    { maxNr: 16, kept: 15, held: 1 },
    [
      function* a(view) {
        yield* free(view, 0, view.context.elements[0]!);
        return yield* idle();
      },
      (b) => wait(b, 1),
      function* c() {
        return yield call("heap_trim");
      },
    ],
    { ...results((_, b) => b !== 0), mode: { preemptions: 2 } },
  ),
  // Both may get nothing: the bulk holds an element, lacks the second, and returns the first after the other thread has looked.
  usual("bulk and one", { maxNr: 2 }, [(a) => bulk(a, 0, 2), (b) => alloc(b, 1)], {
    ...results((a, b) => a === 0 || b === 0),
    mode: { preemptions: 3 },
  }),
  usual("bulk and bulk", { maxNr: 4, minNr: 1 }, [(a) => bulk(a, 0, 2), (b) => bulk(b, 1, 2)], {
    mode: { preemptions: 3 },
  }),

  ...waits,
  ...exits,
  ...deathPoints,
];
