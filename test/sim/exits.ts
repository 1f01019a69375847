/** Cases in which a pool ends. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, changed, look, type Exports } from "./script.ts";
import {
  alloc,
  free,
  need,
  nothing,
  NONE,
  inLineUntil,
  leave,
  results,
  setup,
  sound,
  wait,
  CLOSED,
  WAITING,
  ENDED,
  closing,
  ended,
  exit,
  type Context,
  type Part,
  type Shape,
  type CoreCase,
  type View,
  usual,
} from "./parts.ts";

/** A case in which the pool ends. */
export function ending(
  name: string,
  shape: Shape,
  threads: ((view: View) => Part)[],
  more: Partial<CoreCase> = {},
): CoreCase {
  const { check } = more;
  return { ...usual(name, shape, threads, more), check: (run) => check?.(run) ?? closing(run) };
}

/** A closed pool whose last element a thread frees while another walks all slabs. */
const walking = (name: string, prepare: (cores: readonly Exports[]) => void, walk: (view: View) => Part): CoreCase => ({
  ...usual(
    `the last free while another ${name}`,
    {},
    [
      function* a(view) {
        return ended(yield* free(view, 0, view.context.elements[0]!));
      },
      walk,
      nothing,
    ],
    { mode: { preemptions: 2 } },
  ),
  setup(cores, memory) {
    const context = setup(3, { maxNr: 1, held: 1 })(cores, memory);
    prepare(cores);
    need(cores[0]!["mempool_exit"]!(context.handles[0]!), "mempool_exit");
    return context;
  },
  check(run) {
    const [a, b] = run.results as number[];
    if ((a !== 0 && a !== ENDED) || b !== 1) return `results ${a}, ${b}`;
    if (a === 0 && !run.cores[0]!["mempool_ended"]!(run.context.handles[0]!)) return "the pool has not ended";
    return sound(run);
  },
});

/** An element has a slab of seven pages. */
const LARGE = 28_000;

/** Arenas have the memory, but for a slab of such an element and for records. */
function roomForOne(cores: readonly Exports[], memory: DataView): Context {
  const context = setup(2, {})(cores, memory);
  const core = cores[0]!;
  const arena = need(core["arena_create"]!(LARGE + 4096), "arena_create");
  for (let bytes = 65536; bytes >= 4096; bytes /= 2) while (core["arena_create"]!(bytes - 16));
  core["arena_exit"]!(arena);
  return context;
}

export const exits: readonly CoreCase[] = [
  walking(
    "joins under a used number",
    (cores) => need(cores[1]!["heap_detach"]!(), "heap_detach"),
    function* b({ context }) {
      return yield call("heap_attach", context.heap, 2);
    },
  ),
  walking(
    "reaps",
    () => {},
    function* b() {
      return yield call("heap_reap", 2);
    },
  ),
  ...["mempool_alloc", "mempool_alloc_preallocated"].map((how) =>
    ending(`exit while another is in ${how}`, { minNr: 1 }, [
      (a) => exit(a, 0),
      function* b(view) {
        const element = yield* alloc(view, 1, how);
        return element ? ended(yield* free(view, 1, element)) : 0;
      },
    ]),
  ),
  ending("exit while another waits", { maxNr: 1, held: 1 }, [
    function* a(view) {
      const result = yield* exit(view, 0);
      return ended(yield* free(view, 0, view.context.elements[0]!)) || result;
    },
    (b) => wait(b, 1),
  ]),
  ending(
    "exit while another waits without a thread that blocks",
    { maxNr: 1, kept: 1 },
    [(a) => exit(a, 0), (b) => inLineUntil(b, 1)],
    results((_, b) => b === CLOSED),
  ),
  ending(
    "two places of a thread when the pool is closed",
    { maxNr: 1, kept: 1 },
    [
      (a) => exit(a, 0),
      function* b(view) {
        const places = [yield call("mempool_wait_begin", view.context.handles[1]!, 0)];
        places.push(yield call("mempool_wait_begin", view.context.handles[1]!, 0));
        let closed = 0;
        for (const place of places) {
          if ((yield look(place)) === WAITING) yield changed(place, WAITING);
          closed += Number((yield look(place)) === CLOSED);
          yield* leave(view, 1, place);
        }
        return closed;
      },
    ],
    results((_, closed) => closed === 2),
  ),
  ending(
    "exit while two free",
    { held: 2, minNr: 1 },
    [
      function* a(view) {
        return ended(yield* free(view, 0, view.context.elements[0]!));
      },
      function* b(view) {
        return ended(yield* free(view, 1, view.context.elements[1]!));
      },
      (c) => exit(c, 2),
    ],
    { mode: { preemptions: 2 } },
  ),
  ending(
    "exit while one frees for another",
    { held: 1, maxNr: 1 },
    [
      function* a(view) {
        return ended(yield* free(view, 0, view.context.elements[0]!));
      },
      function* b(view) {
        const element = yield* wait(view, 1);
        return element ? ended(yield* free(view, 1, element)) : 0;
      },
      (c) => exit(c, 2),
    ],
    { mode: { preemptions: 2 } },
  ),
  ending("exit twice", { minNr: 1, kept: 1 }, [(a) => exit(a, 0), (b) => exit(b, 1)]),
  ending("exit while another trims", { minNr: 1 }, [
    (a) => exit(a, 0),
    function* b() {
      return yield call("heap_trim");
    },
  ]),
  usual(
    "create fails while another trims: no pool stays",
    {},
    [
      function* a() {
        return yield call("mempool_create", LARGE, 8, 2, NONE);
      },
      function* b() {
        yield call("heap_trim");
        return 0;
      },
    ],
    {
      mode: { preemptions: 2 },
      setup: roomForOne,
      check({ cores, checker, memory, context, results: list }) {
        if (list[0]) return `results ${list.join()}`;
        cores[0]!["heap_trim"]!();
        const words = cores[0]!["heap_scratch"]!();
        checker!["heap_stats"]!(context.heap, words);
        const pools = memory.getFloat64(words + 40, true);
        return pools === 1 ? undefined : `${pools} pools`;
      },
    },
  ),
  ending(
    "create and end while another trims",
    {},
    [
      function* a(view) {
        const handle = yield call("mempool_create", 100, 8, 1, NONE);
        if (handle) yield call("mempool_exit", handle);
        yield* exit(view, 0);
        return handle;
      },
      function* b() {
        yield call("heap_trim");
        return 0;
      },
    ],
    { ...results((a) => a !== 0), mode: { preemptions: 2 } },
  ),
];
