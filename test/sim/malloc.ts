/** Cases of malloc: size classes made by several threads at once, frees by threads without a handle, whole pages. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, changed, post, take, type Exports, type Run } from "./script.ts";
import { layout } from "../layout/layout.ts";
import { heir, need, PAGES, sound, type Context, type CoreCase, type Part, type View } from "./parts.ts";

const CLASS_POOLS = layout("HEAP_CLASS_POOLS");
const SIZE_CLASSES = layout("SIZE_CLASSES");

/** Wasm pages by which the memory may grow while the threads make their heap, unless a case says otherwise. */
const ROOM = 4;

/** A block of a class whose slab has few elements. */
const SMALL = 1000;
/** A block of three pages. */
const LARGE = 12_000;

/** By this word the threads of a guest find their heap (assembly/malloc/host.ts). */
const HEAP_WORD = 16;

interface Shape {
  /** The class of SMALL has a reserve of one block. */
  readonly reserved?: boolean;
  /** The first calls of the threads make the heap, and the memory may grow by so many Wasm pages meanwhile. */
  readonly bare?: boolean;
  readonly room?: number;
  /** Sizes of blocks that thread a has from the setup on. */
  readonly held?: readonly number[];
  /** Takes all memory that is left in the setup, in blocks that stay. */
  readonly full?: boolean;
}

const setup =
  (count: number, { held = [], full = false, reserved = false, bare = false, room = ROOM }: Shape) =>
  (cores: readonly Exports[], memory: DataView): Context => {
    memory.setUint32(8, PAGES, true);
    memory.setUint32(12, bare ? PAGES + room : PAGES, true);
    if (bare) return { heap: 0, pool: 0, handles: [], elements: [], kept: [], maxNr: -1 };
    const core = cores[0]!;
    const heap = core["heap_create"]!(0, PAGES * 65536, PAGES * 16, 0);
    for (let t = 1; t < count; t++) need(cores[t]!["malloc_attach"]!(heap, t + 1), "malloc_attach");
    const elements = held.map((bytes) => need(core["malloc"]!(bytes), "malloc"));
    if (reserved) need(core["malloc_reserve"]!(SMALL, 1), "malloc_reserve");
    const kept: number[] = [];
    for (const bytes of full ? [8192, 1024, 16] : []) {
      for (let block = 0; (block = core["malloc"]!(bytes));) kept.push(block);
    }
    if (full) {
      // Records, too, of which a handle takes two: a pool takes five, and a reserve one each time that it gets longer.
      while (core["mempool_create"]!(8, 8, 0, -1, 0));
      for (let slots = 1; slots <= 8; slots *= 2) core["malloc_reserve"]!(8192, slots);
    }
    // The reserve gets it.
    if (reserved) core["free"]!(elements.pop()!);
    return { heap, pool: 0, handles: [], elements, kept, maxNr: -1 };
  };

function* malloc({ notes }: View, bytes: number): Part {
  const block = yield call("malloc", bytes);
  if (block) notes.push(block);
  return block;
}

function* free({ notes }: View, block: number): Part {
  const at = notes.indexOf(block);
  if (at >= 0) notes.splice(at, 1);
  yield call("free", block);
  return 1;
}

function* bystander(): Part {
  return yield call("malloc_heap");
}

function* realloc({ notes }: View, block: number, bytes: number): Part {
  const at = notes.indexOf(block);
  if (at >= 0) notes.splice(at, 1);
  const moved = yield call("realloc", block, bytes);
  notes.push(moved || block);
  return moved;
}

/** The run with the heap that its threads have made, if they made one. */
const made = (run: Run<Context>): Run<Context> => {
  const heap = run.context.heap || run.memory.getUint32(HEAP_WORD, true);
  return { ...run, context: { ...run.context, heap } };
};

/** All living threads have a block of the one heap; a thread that has died in it is reaped. */
const oneHeap = (run: Run<Context>): string | void => {
  const { cores, deaths, results, memory } = run;
  const alive = cores.flatMap((_, t) => (deaths.includes(t) ? [] : [t]));
  const core = cores[alive[0]!]!;
  // Of two threads in a heap, one is 0 and one is 1.
  if (deaths.length > 0) core["heap_reap"]!(1 - core["heap_thread"]!());
  const heaps = new Set(alive.map((t) => cores[t]!["malloc_heap"]!()));
  if (alive.some((t) => !results[t])) return `results ${results.join()}`;
  if (heaps.size !== 1 || !heaps.has(memory.getUint32(HEAP_WORD, true))) return `heaps ${[...heaps].join()}`;
};

/** Living threads free what they have; then the heap is sound, and gives a block as large as before. */
const balanced = (run: Run<Context>): string | void => {
  const { cores, notes, context, deaths } = run;
  const by = cores.findIndex((_, t) => !deaths.includes(t));
  const core = cores[by]!;
  const held = notes.flatMap((list, t) => (deaths.includes(t) ? [] : list));
  if (new Set(held).size !== held.length) return `handed out twice: ${held.join()}`;
  const wrong = sound(run, by);
  if (wrong) return wrong;
  for (const block of [...held, ...context.kept]) core["free"]!(block);
  return sound(run, by);
};

const allSucceed = ({ results }: Run<Context>): string | void =>
  results.every((result) => result !== 0) ? undefined : `results ${results.join()}`;

/** Every pool is one that a class's word names: then as many threads as there are find it. */
const noPoolIsLost = ({ memory, context, checker, cores, deaths }: Run<Context>): string | void => {
  if (!checker) return;
  const by = cores.findIndex((_, t) => !deaths.includes(t));
  const words = cores[by]!["heap_scratch"]!();
  checker["heap_stats"]!(context.heap, words);
  const pools = memory.getFloat64(words + 40, true);
  let named = 0;
  for (let i = 0; i < SIZE_CLASSES; i++)
    named += Number(memory.getUint32(context.heap + CLASS_POOLS + 4 * i, true) !== 0);
  return pools === named ? undefined : `${pools} pools, ${named} of classes`;
};

const malloced = (
  name: string,
  shape: Shape,
  threads: ((view: View) => Part)[],
  more: Partial<CoreCase> = {},
): CoreCase => ({
  name: `malloc: ${name}`,
  pages: PAGES,
  setup: setup(threads.length, shape),
  threads,
  mode: { preemptions: 2 },
  timeouts: 0,
  limit: 100_000,
  ...more,
  check: (run) => more.check?.(made(run)) ?? balanced(made(run)),
});

export const mallocCases: readonly CoreCase[] = [
  malloced("two threads make the heap", { bare: true }, [(a) => malloc(a, SMALL), (b) => malloc(b, SMALL)], {
    pages: PAGES + ROOM,
    check: oneHeap,
  }),
  malloced("death in making the heap", { bare: true }, [bystander, (b) => malloc(b, SMALL)], {
    pages: PAGES + ROOM,
    fatal: 0,
    check: oneHeap,
  }),
  // The memory grows once: thread a gets nothing if thread b had it. Then thread c makes the next heap where the last one was.
  {
    ...malloced("a heap is made and ended while another thread makes one", { bare: true, room: 1 }, [
      bystander,
      function* b() {
        yield changed(HEAP_WORD, 0);
        const heap = yield call("malloc_heap");
        if (heap) yield call("heap_exit");
        yield post("ended", 1);
        return heap;
      },
      function* c() {
        yield take("ended");
        return yield call("malloc_heap");
      },
    ]),
    pages: PAGES + 1,
    check: ({ results: [, b, c] }) => (b && !c ? "thread c has no heap" : undefined),
  },
  malloced("two threads make one class", {}, [(a) => malloc(a, SMALL), (b) => malloc(b, SMALL)], { check: allSucceed }),
  malloced("two threads make different classes", {}, [(a) => malloc(a, SMALL), (b) => malloc(b, 40)], {
    check: allSucceed,
  }),
  malloced(
    "the first call of a thread frees another's block",
    { held: [SMALL, SMALL] },
    [
      function* a(view) {
        yield* free(view, view.context.elements[0]!);
        return yield* malloc(view, SMALL);
      },
      (b) => free(b, b.context.elements[1]!),
    ],
    { check: allSucceed },
  ),
  malloced(
    "a thread without a handle, and without memory for one, frees a block",
    { held: [SMALL, SMALL], full: true },
    [(a) => free(a, a.context.elements[0]!), (b) => free(b, b.context.elements[1]!)],
    { check: allSucceed },
  ),
  malloced("two threads allocate and free whole pages", {}, [
    function* a(view) {
      return yield* free(view, yield* malloc(view, LARGE));
    },
    function* b(view) {
      return yield* free(view, yield* malloc(view, LARGE));
    },
  ]),
  malloced("a block grows in place while another thread takes pages", { held: [LARGE] }, [
    (a) => realloc(a, a.context.elements[0]!, 2 * LARGE),
    (b) => malloc(b, LARGE),
  ]),
  malloced("a block shrinks while another thread takes pages", { held: [3 * LARGE] }, [
    (a) => realloc(a, a.context.elements[0]!, LARGE),
    (b) => malloc(b, LARGE),
  ]),
  malloced("a block that one thread passes on is freed by the other", {}, [
    function* a(view) {
      const block = yield* malloc(view, LARGE);
      view.notes.pop();
      yield post("block", block);
      return block;
    },
    function* b(view) {
      return yield* free(view, yield take("block"));
    },
  ]),
  malloced("death in making a class", {}, [(a) => malloc(a, SMALL), heir], { fatal: 0, check: noPoolIsLost }),
  malloced("death in making a class that another makes", {}, [(a) => malloc(a, SMALL), (b) => malloc(b, SMALL), heir], {
    fatal: 0,
    mode: { preemptions: 1 },
  }),
  malloced(
    "death in a free of another thread's block",
    { held: [SMALL] },
    [(a) => malloc(a, SMALL), (b) => free(b, b.context.elements[0]!), () => heirOf(1)],
    { fatal: 1, mode: { preemptions: 1 } },
  ),
  malloced(
    "death in a free by a thread without a handle, and without memory for one",
    { held: [SMALL, SMALL], full: true },
    [bystander, (b) => free(b, b.context.elements[0]!), () => heirOf(1)],
    { fatal: 1 },
  ),
  malloced(
    "death in taking from a reserve by a thread without a handle, and without memory for one",
    { reserved: true, held: [SMALL, SMALL], full: true },
    [bystander, (b) => malloc(b, SMALL), () => heirOf(1)],
    { fatal: 1 },
  ),
  malloced("death in taking pages", {}, [(a) => malloc(a, LARGE), heir], { fatal: 0 }),
  malloced("death in freeing pages", { held: [LARGE] }, [(a) => free(a, a.context.elements[0]!), heir], { fatal: 0 }),
  malloced(
    "death in growing a block in place",
    { held: [LARGE] },
    [(a) => realloc(a, a.context.elements[0]!, 2 * LARGE), heir],
    { fatal: 0 },
  ),
  malloced(
    "death in growing a block beyond the memory",
    { held: [LARGE] },
    [(a) => realloc(a, a.context.elements[0]!, 30 * 4096), heir],
    { fatal: 0 },
  ),
  malloced(
    "death in shrinking a block",
    { held: [3 * LARGE] },
    [(a) => realloc(a, a.context.elements[0]!, LARGE), heir],
    { fatal: 0 },
  ),
];

/** Waits for a thread's end, and reaps it if it died. */
function* heirOf(thread: number): Part {
  const died = yield { what: "gone", thread };
  return died ? yield call("heap_reap", thread) : 1;
}
