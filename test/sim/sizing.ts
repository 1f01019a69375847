/** Cases of resize, reshape and a host's own backend. */
// A script stands where it is used, like the others of its case.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, gone, post, take, type Run } from "./machine.ts";
import {
  alloc,
  allocAndFree,
  closing,
  exit,
  free,
  heir,
  inLineUntil,
  results,
  setup,
  sound,
  usual,
  type Context,
  type CoreCase,
  type Part,
  type View,
} from "./parts.ts";

const NOT_NOW = -7;
const UNWANTED = 2;
const LARGER = 2000;
const HOST = 3;
/** What cannot be has happened. */
const OVER = -1000;

function* resize({ context }: View, t: number, minNr: number): Part {
  return yield call("mempool_resize", context.handles[t]!, minNr);
}

function* reshape({ context }: View, t: number, size = LARGER): Part {
  return yield call("mempool_reshape", context.handles[t]!, size, 8);
}

/** The size of what it allocates once the other has said that it has reshaped. */
function* sizeAfter(view: View, t: number, how: string): Part {
  yield take("reshaped");
  const element = yield* alloc(view, t, how);
  return element ? yield call("mempool_size", view.context.handles[t]!, element) : 0;
}

function* reshapeAndSay(view: View, t: number, size = LARGER): Part {
  const result = yield* reshape(view, t, size);
  yield post("reshaped", 1);
  return result;
}

/** Frees to a pool with a host's backend, as the host does. */
function* freeCell(view: View, t: number, cell: number): Part {
  const at = view.notes.indexOf(cell);
  if (at >= 0) view.notes.splice(at, 1);
  const result = yield call("mempool_free", view.context.handles[t]!, cell);
  return result === UNWANTED ? yield call("mempool_uncell", view.context.handles[t]!, cell, 0) : result;
}

function* cellAndFree(view: View, t: number): Part {
  let cell = yield call("mempool_cell", view.context.handles[t]!, 1);
  if (!cell) cell = yield call("mempool_alloc", view.context.handles[t]!);
  if (!cell) return 0;
  view.notes.push(cell);
  return yield* freeCell(view, t, cell);
}

/** Everything handed out goes home as the host would bring it, and the heap is sound. */
function hosted({ cores, context, notes, ...run }: Run<Context>): string | void {
  for (const cell of [...notes.flat(), ...context.kept]) {
    const result = cores[0]!["mempool_free"]!(context.handles[0]!, cell);
    if (result === UNWANTED) cores[0]!["mempool_uncell"]!(context.handles[0]!, cell, 0);
    else if (result !== 0) return `free of ${cell}: ${result}`;
  }
  return sound({ cores, context, notes, ...run });
}

const ofHost = (name: string, shape: Parameters<typeof usual>[1], threads: ((view: View) => Part)[]): CoreCase => ({
  ...usual(name, { ...shape, size: 4, backend: HOST }, threads),
  check: hosted,
});

export const sizing: readonly CoreCase[] = [
  ...["mempool_alloc", "mempool_alloc_preallocated"].map((how) =>
    usual(
      `no old size after a reshape: ${how}`,
      { minNr: 1, maxNr: 16, warm: 1 },
      [(a) => reshapeAndSay(a, 0), (b) => sizeAfter(b, 1, how)],
      results((a, b) => a === 1 && b === LARGER),
    ),
  ),
  usual(
    "reshape serves who waits",
    { maxNr: 1, kept: 1 },
    [(a) => reshape(a, 0), (b) => inLineUntil(b, 1)],
    results((a, b) => a === 1 && b !== 0),
  ),
  usual(
    "reshape twice while another allocates and frees",
    { minNr: 1, maxNr: 2, warm: 1 },
    [
      function* a(view) {
        yield* reshape(view, 0);
        return yield* reshape(view, 0, 1000);
      },
      (b) => allocAndFree(b, 1),
    ],
    { mode: { preemptions: 3 } },
  ),
  usual(
    "reshape three times while another holds the first size",
    { minNr: 1, maxNr: 2, held: 1 },
    [
      function* a(view) {
        yield* reshape(view, 0);
        yield* reshape(view, 0, 1000);
        return yield* reshape(view, 0, 500);
      },
      (b) => free(b, 1, b.context.elements[0]!),
    ],
    { mode: { preemptions: 2 } },
  ),
  usual(
    "reshape twice, and then another has an old magazine",
    { minNr: 1, maxNr: 2 },
    [
      function* a(view) {
        yield* reshape(view, 0);
        return yield* reshapeAndSay(view, 0, 3000);
      },
      function* b(view) {
        yield take("reshaped");
        return yield* allocAndFree(view, 1);
      },
    ],
    results((a, b) => a === 1 && b === 0),
  ),
  usual("two reshape", { minNr: 1, maxNr: 2 }, [(a) => reshape(a, 0), (b) => reshape(b, 1, 3000)], {
    mode: { preemptions: 2 },
  }),
  usual(
    "two resize",
    { minNr: 1, maxNr: 2 },
    [(a) => resize(a, 0, 2), (b) => resize(b, 1, 0)],
    results((a, b) => [a, b].every((result) => result === 1 || result === NOT_NOW) && (a === 1 || b === 1)),
  ),
  usual(
    "resize and reshape",
    { minNr: 1, maxNr: 2 },
    [(a) => resize(a, 0, 2), (b) => reshape(b, 1)],
    results((a, b) => [a, b].every((result) => result === 1 || result === NOT_NOW) && (a === 1 || b === 1)),
  ),
  usual(
    "grow while two free",
    { minNr: 0, maxNr: 3, held: 2 },
    [(a) => resize(a, 0, 3), (b) => free(b, 1, b.context.elements[0]!), (c) => free(c, 2, c.context.elements[1]!)],
    { mode: { preemptions: 2 } },
  ),
  usual(
    "shrink while one takes and another frees",
    { minNr: 2, maxNr: 3, held: 1 },
    [
      (a) => resize(a, 0, 0),
      (b) => alloc(b, 1, "mempool_alloc_preallocated"),
      (c) => free(c, 2, c.context.elements[0]!),
    ],
    { mode: { preemptions: 2 } },
  ),
  usual("death in growing", { minNr: 1, maxNr: 3 }, [(a) => resize(a, 0, 3), heir], { fatal: 0 }),
  usual("death in shrinking", { minNr: 2, maxNr: 2 }, [(a) => resize(a, 0, 0), heir], { fatal: 0 }),
  usual("death in reshape", { minNr: 1, maxNr: 2, kept: 1 }, [(a) => reshape(a, 0), heir], { fatal: 0 }),
  usual("death in reshape, warm", { minNr: 1, warm: 1 }, [(a) => reshape(a, 0), heir], { fatal: 0 }),
  usual(
    "after a death in reshape another may",
    { minNr: 1, maxNr: 2 },
    [
      (a) => reshape(a, 0),
      function* b(view) {
        if (yield gone(0)) yield call("heap_reap", 0);
        return yield* reshape(view, 1, 3000);
      },
    ],
    { fatal: 0, check: ({ results: list }) => (list[1] === 1 ? undefined : `results ${list.join()}`) },
  ),
  usual(
    "memory comes free while another looks for it",
    { size: 70_000, held: 1 },
    [
      function* a(view) {
        const result = yield* free(view, 0, view.context.elements[0]!);
        yield take("looked");
        while (!(yield call("heap_settle")));
        yield post("settled", 1);
        return result;
      },
      function* b(view) {
        const element = yield* alloc(view, 1);
        yield post("looked", 1);
        if (element) return element;
        yield take("settled");
        return yield* alloc(view, 1);
      },
    ],
    {
      mode: { preemptions: 2 },
      // Nobody caches any, but there is memory for one.
      setup: setup(2, { size: 70_000, held: 1, maxNr: 15 }),
      ...results((a, b) => a === 0 && b !== 0),
    },
  ),
  ofHost("two cells", { minNr: 1, maxNr: 2 }, [(a) => cellAndFree(a, 0), (b) => cellAndFree(b, 1)]),
  ofHost("one cell for two", { minNr: 1, maxNr: 1 }, [(a) => cellAndFree(a, 0), (b) => cellAndFree(b, 1)]),
  ofHost("a cell goes to who waits", { minNr: 0, maxNr: 1, kept: 0 }, [
    function* a(view) {
      const cell = yield call("mempool_cell", view.context.handles[0]!, 1);
      yield post("cell", cell);
      return yield* freeCell(view, 0, cell);
    },
    function* b(view) {
      yield take("cell");
      const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
      const cell = yield call("mempool_wait_end", view.context.handles[1]!, place);
      if (cell) view.notes.push(cell);
      return cell;
    },
  ]),
  usual("shrink by one while another frees", { minNr: 2, maxNr: 2, held: 1 }, [
    (a) => resize(a, 0, 1),
    (b) => free(b, 1, b.context.elements[0]!),
  ]),
  usual("shrink by one while another takes and frees", { minNr: 2, maxNr: 3 }, [
    (a) => resize(a, 0, 1),
    (b) => allocAndFree(b, 1, "mempool_alloc_preallocated"),
  ]),
  usual(
    "death in free while another shrinks",
    { minNr: 1, maxNr: 1, held: 1 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => resize(b, 1, 0), () => heir()],
    { fatal: 0, mode: { preemptions: 2 } },
  ),
  usual(
    "death in free while another reshapes",
    { minNr: 1, maxNr: 1, held: 1 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => reshape(b, 1), () => heir()],
    { fatal: 0, mode: { preemptions: 2 } },
  ),
  {
    ...usual("exit during a reshape while a third allocates", { minNr: 1, maxNr: 2 }, [
      (a) => reshape(a, 0),
      (b) => exit(b, 1),
      function* c(view) {
        const element = yield call("mempool_alloc", view.context.handles[2]!);
        if (!element) return 0;
        if (!(yield call("mempool_exit", view.context.handles[2]!))) return OVER;
        view.notes.push(element);
        return element;
      },
    ]),
    mode: { preemptions: 2 },
    check: (run) => (run.results[2] === OVER ? "it has ended with an element out" : closing(run)),
  },
  usual(
    "one attaches while another reshapes twice",
    { joined: 1 },
    [
      function* a(view) {
        yield take("joined");
        yield* reshape(view, 0, 500);
        return yield* reshape(view, 0, LARGER);
      },
      function* b(view) {
        yield call("heap_attach", view.context.heap, 2);
        yield post("joined", 1);
        const handle = yield call("mempool_attach", view.context.pool);
        if (!handle) return 1;
        const list: number[] = [];
        for (let i = 0; i < 3; i++) list.push(yield call("mempool_alloc", handle));
        const freed = yield call("mempool_free", handle, list[1]!);
        const other = yield call("mempool_free_check", handle, list[2]!);
        for (const element of [list[0]!, list[2]!]) yield call("mempool_free", handle, element);
        return freed || other ? OVER : 1;
      },
    ],
    { mode: { preemptions: 2 }, ...results((a, b) => a === 1 && b === 1) },
  ),
  usual(
    "two need more memory",
    { size: 70_000, kept: 1, grows: 4 },
    [(a) => allocAndFree(a, 0), (b) => alloc(b, 1)],
    // Who looks while the other has all that may yet come, and has not got it, finds nothing. It would not wait for it.
    results((a, b) => a === 0 || b !== 0),
  ),
  usual(
    "two need more memory, and there is enough for one",
    { size: 70_000, kept: 1, grows: 2 },
    [(a) => alloc(a, 0), (b) => alloc(b, 1)],
    results((a, b) => a !== 0 || b !== 0),
  ),
  usual(
    "one needs more memory while another frees",
    { size: 70_000, held: 1, grows: 2 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => alloc(b, 1)],
    results((a, b) => a === 0 && b !== 0),
  ),
  usual("death in growing the memory", { size: 70_000, kept: 1, grows: 2 }, [(a) => alloc(a, 0), heir], { fatal: 0 }),
  usual(
    "death in growing the memory, while another does",
    { size: 70_000, kept: 1, grows: 4 },
    [(a) => alloc(a, 0), heir, (c) => alloc(c, 2)],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
];
