/** Every operation against every other, on small pools. A third thread looks around at the end. */
import { call, look } from "./script.ts";
import {
  alloc,
  allocAndFree,
  closing,
  ended,
  exit,
  free,
  inLine,
  nothing,
  usual,
  type CoreCase,
  type Part,
  type View,
} from "./parts.ts";

/** What a thread does; threads before it free the first `nth` of the held elements. */
const operations: Readonly<Record<string, (view: View, t: number, nth: number) => Part>> = {
  alloc: (view, t) => alloc(view, t),
  "alloc and free": function* both(view, t) {
    return ended(yield* allocAndFree(view, t));
  },
  bulk: function* bulk({ context, notes }, t) {
    const array = yield call("heap_scratch");
    if (yield call("mempool_alloc_bulk", context.handles[t]!, array, 2)) {
      for (let i = 0; i < 2; i++) notes.push(yield look(array + 4 * i));
    }
    return 0;
  },
  grow: (view, t) => resize(view, t, 1),
  shrink: (view, t) => resize(view, t, 0),
  reshape: (view, t) => reshape(view, t),
  preallocated: (view, t) => alloc(view, t, "mempool_alloc_preallocated"),
  free: function* freeing(view, t, nth) {
    return ended(yield* free(view, t, view.context.elements[nth]!));
  },
  wait: (view, t) => inLine(view, t),
  sleep: (view, t) => alloc(view, t, "mempool_alloc_wait", 5),
  exit: (view, t) => exit(view, t),
  trim: function* trim() {
    return yield call("heap_trim");
  },
  settle: function* settle() {
    return yield call("heap_idle");
  },
  detach: function* detach({ context }, t) {
    return yield call("mempool_detach", context.handles[t]!);
  },
  attach: function* attach({ context }, t) {
    yield call("mempool_detach", context.handles[t]!);
    return yield call("mempool_attach", context.pool);
  },
};

/** Resizes to maxNr (share 1) or to 0. */
function* resize({ context }: View, t: number, share: number): Part {
  return yield call("mempool_resize", context.handles[t]!, context.maxNr * share);
}

function* reshape({ context }: View, t: number): Part {
  return yield call("mempool_reshape", context.handles[t]!, 2000, 8);
}

/** The search tries these on the shapes that tell most, all other operations on every shape. */
const late = new Set(["bulk", "grow", "shrink", "reshape", "sleep"]);
const few = [
  { minNr: 0, maxNr: 1 },
  { minNr: 1, maxNr: 2 },
  { minNr: 2, maxNr: 2 },
];
const shapes = [1, 2, 3].flatMap((maxNr) => [0, 1, 2].flatMap((minNr) => (minNr <= maxNr ? { minNr, maxNr } : [])));

function one(a: string, b: string, { minNr, maxNr }: { minNr: number; maxNr: number }): CoreCase[] {
  const held = Number(a === "free") + Number(b === "free");
  if (held > maxNr) return [];
  const threads = [
    (view: View) => operations[a]!(view, 0, 0),
    (view: View) => operations[b]!(view, 1, Number(a === "free")),
    nothing,
  ];
  const sleeps = a === "sleep" || b === "sleep";
  const more = sleeps ? { timeouts: 1, mode: { preemptions: 2 } } : {};
  const test = usual(`${a}, ${b}; ${minNr} of ${maxNr}`, { minNr, maxNr, held }, threads, more);
  return [a === "exit" || b === "exit" ? { ...test, check: closing } : test];
}

const names = Object.keys(operations);

export const matrix: readonly CoreCase[] = names.flatMap((a, i) =>
  names.slice(i).flatMap((b) => (late.has(a) || late.has(b) ? few : shapes).flatMap((shape) => one(a, b, shape))),
);
