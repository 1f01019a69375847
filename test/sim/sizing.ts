/** Cases of resize, reshape and an external backend. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, gone, look, poke, post, take, type Run } from "./script.ts";
import {
  alloc,
  allocAndFree,
  closing,
  exit,
  free,
  heir,
  inLineUntil,
  nothing,
  results,
  setup,
  sound,
  usual,
  wait,
  type Context,
  type CoreCase,
  type Part,
  type View,
} from "./parts.ts";

const NOT_NOW = -7;
const NOT_STORED = 2;
const LARGER = 2000;
const HOST = 3;
/** Where mempool_stats writes how many epochs there are. */
const EPOCHS = 96;
/** The result of a script that found something impossible. */
const OVER = -1000;

function* resize({ context }: View, t: number, minNr: number): Part {
  return yield call("mempool_resize", context.handles[t]!, minNr);
}

function* reshape({ context }: View, t: number, size = LARGER): Part {
  return yield call("mempool_reshape", context.handles[t]!, size, 8);
}

/** Allocates once the other thread has posted its reshape; returns the element's size. */
function* sizeAfter(view: View, t: number, how: string): Part {
  yield take("reshaped");
  const element = yield* alloc(view, t, how);
  return element ? yield call("mempool_size", view.context.handles[t]!, element) : 0;
}

/** Frees the middle one of three elements; returns 1 if that leaves the last one unchanged. */
function* workOnThree(handle: number): Part {
  const list: number[] = [];
  for (let i = 0; i < 3; i++) list.push(yield call("mempool_alloc", handle));
  const freed = yield call("mempool_free", handle, list[1]!);
  const other = yield call("mempool_free_check", handle, list[2]!);
  for (const element of [list[0]!, list[2]!]) yield call("mempool_free", handle, element);
  return freed || other ? OVER : 1;
}

function* reshapeAndSay(view: View, t: number, size = LARGER): Part {
  const result = yield* reshape(view, t, size);
  yield post("reshaped", 1);
  return result;
}

/** Frees a box to a pool with an external backend, as the host does. */
function* freeBox(view: View, t: number, box: number): Part {
  const at = view.notes.indexOf(box);
  if (at >= 0) view.notes.splice(at, 1);
  const result = yield call("mempool_free", view.context.handles[t]!, box);
  return result === NOT_STORED ? yield call("mempool_box_free", view.context.handles[t]!, box, 0) : result;
}

function* cellAndFree(view: View, t: number): Part {
  let box = yield call("mempool_box_alloc", view.context.handles[t]!, 1);
  if (!box) box = yield call("mempool_alloc", view.context.handles[t]!);
  if (!box) return 0;
  view.notes.push(box);
  return yield* freeBox(view, t, box);
}

/** Allocates a box and fills it, as a host whose backend has an element; then frees it. */
function* fillAndFree(view: View, t: number): Part {
  const handle = view.context.handles[t]!;
  const box = yield call("mempool_box_alloc", handle, 1);
  if (!box) return 0;
  if (!(yield look(box))) yield poke(box, [1000 + t]);
  view.notes.push(box);
  return yield* freeBox(view, t, box);
}

/** Reaps thread a if it dies; then takes all of the reserve, and returns it. OVER: a box of the reserve is empty. */
function* heirOfBoxes(view: View): Part {
  yield* heir();
  const list: number[] = [];
  for (let box = 0; (box = yield call("mempool_alloc", view.context.handles[1]!));) list.push(box);
  let isFull = true;
  for (const box of list) if (!(yield look(box))) isFull = false;
  for (const box of list) yield* freeBox(view, 1, box);
  return isFull ? 1 : OVER;
}

/** Passes elements of the host's to the reserve; returns how many it took. */
function* fill({ context }: View, t: number, elements: readonly number[]): Part {
  const array = yield call("heap_scratch");
  yield poke(array, elements);
  return yield call("mempool_box_fill", context.handles[t]!, array, elements.length);
}

/** Takes elements of the host's back; returns their sum. */
function* drain({ context }: View, t: number, most: number): Part {
  const array = yield call("heap_scratch");
  const got = yield call("mempool_box_drain", context.handles[t]!, array, most);
  let sum = 0;
  for (let i = 0; i < (got < 0 ? ~got : got); i++) sum += yield look(array + 4 * i);
  return sum;
}

/** Takes a box of the reserve and frees it. OVER: it was empty. */
function* takeFull(view: View, t: number): Part {
  const box = yield call("mempool_alloc", view.context.handles[t]!);
  if (!box) return 0;
  view.notes.push(box);
  const element = yield look(box);
  return (yield* freeBox(view, t, box)) || (element ? 1 : OVER);
}

/** Frees all outstanding boxes as the host does; then the heap must be sound. */
function hosted({ cores, context, notes, ...run }: Run<Context>): string | void {
  for (const box of [...notes.flat(), ...context.kept]) {
    const result = cores[0]!["mempool_free"]!(context.handles[0]!, box);
    if (result === NOT_STORED) cores[0]!["mempool_box_free"]!(context.handles[0]!, box, 0);
    else if (result !== 0) return `free of ${box}: ${result}`;
  }
  return sound({ cores, context, notes, ...run });
}

/** The same after a death: the dead thread's elements are listed, and an empty box that it left is no element. */
function hostedAfterDeath(run: Run<Context>): string | void {
  const { cores, context, notes } = run;
  const core = cores[1]!;
  const handle = context.handles[1]!;
  const held = [...(notes[2] ?? [])];
  for (let at = 0; (at = core["mempool_next_live"]!(handle, at, 0));) held.push(at);
  for (const box of held) {
    const result = core["mempool_free"]!(handle, box);
    if (result === NOT_STORED) core["mempool_box_free"]!(handle, box, 0);
    else if (result !== 0) return `free of ${box}: ${result}`;
  }
  const array = core["heap_scratch"]!();
  while (core["mempool_box_drain"]!(handle, array, 4));
  return sound(run, 1);
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
    "reshape serves a waiter",
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
  usual(
    "the slab of an old epoch goes with its last round",
    { warm: 1, reshaped: LARGER },
    [(a) => allocAndFree(a, 0), nothing],
    {
      check({ checker, cores, context, memory }) {
        const words = cores[0]!["heap_scratch"]!();
        checker!["mempool_stats"]!(context.handles[0]!, words);
        const epochs = memory.getFloat64(words + EPOCHS, true);
        return epochs === 1 ? undefined : `${epochs} epochs have slabs`;
      },
    },
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
    "death in a reshape that takes up an old record",
    { minNr: 1, maxNr: 2 },
    [
      function* a(view) {
        yield* reshape(view, 0);
        yield* reshape(view, 0, 1000);
        return yield* reshape(view, 0, 500);
      },
      heir,
    ],
    { fatal: 0, mode: { preemptions: 0 } },
  ),
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
        while (!(yield call("heap_idle")));
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
      // No thread caches an element, but there is memory for one.
      setup: setup(2, { size: 70_000, held: 1, maxNr: 15 }),
      ...results((a, b) => a === 0 && b !== 0),
    },
  ),
  {
    ...usual(
      "death with a box in hand",
      { minNr: 1, maxNr: 2, size: 4, backend: HOST },
      [(a) => cellAndFree(a, 0), heir, (c) => cellAndFree(c, 2)],
      { fatal: 0, mode: { preemptions: 1 } },
    ),
    check: (run) => (run.deaths.length ? hostedAfterDeath(run) : hosted(run)),
  },
  {
    ...usual(
      "death with an empty box in hand: it does not come into the reserve",
      { minNr: 1, maxNr: 2, size: 4, backend: HOST },
      [(a) => fillAndFree(a, 0), heirOfBoxes],
      { fatal: 0 },
    ),
    check: (run) => {
      if (run.results[1] === OVER) return "an empty box in the reserve";
      return run.deaths.length ? hostedAfterDeath(run) : hosted(run);
    },
  },
  {
    ...ofHost("a host fills the reserve while another takes from it", { minNr: 2, maxNr: 4 }, [
      (a) => fill(a, 0, [1, 10]),
      (b) => takeFull(b, 1),
    ]),
    check: (run) => (run.results[1] === OVER ? "an empty box in the reserve" : hosted(run)),
  },
  ofHost("two fill the reserve", { minNr: 2, maxNr: 2 }, [(a) => fill(a, 0, [1, 10]), (b) => fill(b, 1, [100])]),
  ofHost("a host fills the reserve while another closes the pool", { minNr: 2, maxNr: 4 }, [
    (a) => fill(a, 0, [1, 10]),
    (b) => exit(b, 1),
  ]),
  {
    ...ofHost("two take back what the reserve has above minNr", { minNr: 2, maxNr: 4 }, [
      function* a(view) {
        yield* fill(view, 0, [1, 10]);
        yield* resize(view, 0, 0);
        yield post("smaller", 1);
        return yield* drain(view, 0, 2);
      },
      function* b(view) {
        yield take("smaller");
        return yield* drain(view, 1, 2);
      },
    ]),
    check: (run) => {
      const { cores, context, results: sums } = run;
      const sum = Number(sums[0]) + Number(sums[1]);
      const left = cores[0]!["mempool_curr_nr"]!(context.handles[0]!);
      return sum + left * 10 < 11 || ![0, 1, 10, 11].includes(sum) ? `got ${sums.join()}, ${left} left` : hosted(run);
    },
  },
  {
    ...usual(
      "death of a host that fills the reserve",
      { minNr: 2, maxNr: 4, size: 4, backend: HOST },
      [(a) => fill(a, 0, [1, 10]), heirOfBoxes],
      { fatal: 0 },
    ),
    check: (run) => {
      if (run.results[1] === OVER) return "an empty box in the reserve";
      return run.deaths.length ? hostedAfterDeath(run) : hosted(run);
    },
  },
  {
    ...usual(
      "death of a host that takes back what the reserve has above minNr",
      { minNr: 2, maxNr: 4, size: 4, backend: HOST },
      [
        function* a(view) {
          yield* fill(view, 0, [1, 10]);
          yield* resize(view, 0, 0);
          return yield* drain(view, 0, 2);
        },
        heirOfBoxes,
      ],
      { fatal: 0, mode: { preemptions: 1 } },
    ),
    check: (run) => {
      if (run.results[1] === OVER) return "an empty box in the reserve";
      return run.deaths.length ? hostedAfterDeath(run) : hosted(run);
    },
  },
  ofHost("two cells", { minNr: 1, maxNr: 2 }, [(a) => cellAndFree(a, 0), (b) => cellAndFree(b, 1)]),
  ofHost("one box for two", { minNr: 1, maxNr: 1 }, [(a) => cellAndFree(a, 0), (b) => cellAndFree(b, 1)]),
  ofHost("a box goes to a waiter", { minNr: 0, maxNr: 1, kept: 0 }, [
    function* a(view) {
      const box = yield call("mempool_box_alloc", view.context.handles[0]!, 1);
      yield post("box", box);
      return yield* freeBox(view, 0, box);
    },
    function* b(view) {
      yield take("box");
      const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
      const box = yield call("mempool_wait_end", view.context.handles[1]!, place);
      if (box) view.notes.push(box);
      return box;
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
        return handle ? yield* workOnThree(handle) : 1;
      },
    ],
    { mode: { preemptions: 2 }, ...results((a, b) => a === 1 && b === 1) },
  ),
  usual(
    "one adopts an epoch while another makes two more",
    { reshaped: 2 * LARGER },
    [
      function* a({ context }) {
        yield call("heap_idle");
        yield take("reshaped");
        // With the old epoch's constants, twice the size is twice the index: the free would find another element's state byte.
        const list: number[] = [];
        for (let i = 0; i < 3; i++) list.push(yield call("mempool_alloc", context.handles[0]!));
        yield call("mempool_free", context.handles[0]!, list[2]!);
        const other = yield call("mempool_free_check", context.handles[0]!, list[1]!);
        for (const element of list.slice(0, 2)) yield call("mempool_free", context.handles[0]!, element);
        return other ? OVER : 1;
      },
      function* b(view) {
        yield* reshape(view, 1, 64);
        const result = yield* reshape(view, 1, LARGER);
        yield post("reshaped", 1);
        return result;
      },
    ],
    { mode: { preemptions: 2 }, ...results((a, b) => a === 1 && b === 1) },
  ),
  usual(
    "one leaves with an old magazine while another waits",
    { maxNr: 2, held: 2, reshaped: LARGER },
    [
      function* a(view) {
        for (const element of view.context.elements) yield* free(view, 0, element);
        return 0;
      },
      function* b() {
        return yield call("heap_detach");
      },
      function* c(view) {
        const element = yield* wait(view, 2);
        return element ? yield* free(view, 2, element) : -1;
      },
    ],
    { mode: { preemptions: 1 }, ...results((a, b, c) => a === 0 && b === 1 && c === 0) },
  ),
  usual(
    "one frees, and then allocates, while another reshapes",
    { minNr: 1, maxNr: 32, held: 1, size: 64 },
    [
      function* a(view) {
        yield* free(view, 0, view.context.elements[0]!);
        yield take("reshaped");
        const element = yield* alloc(view, 0);
        const size = yield call("mempool_size", view.context.handles[0]!, element);
        yield* free(view, 0, element);
        return size;
      },
      function* b(view) {
        return yield* reshapeAndSay(view, 1, 128);
      },
    ],
    { mode: { preemptions: 2 }, ...results((a, b) => a === 128 && b === 1) },
  ),
  usual(
    "two need more memory",
    { size: 70_000, kept: 1, grows: 4 },
    [(a) => allocAndFree(a, 0), (b) => alloc(b, 1)],
    // While the first thread is growing the memory by all it may have, the second may find nothing: it does not wait.
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
    { fatal: 0, mode: { preemptions: 1 }, limit: 100_000 },
  ),
];
