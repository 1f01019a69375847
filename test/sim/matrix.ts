/** Every operation against every other, on small pools. A third thread does nothing until the end, and then looks. */
import { call } from "./machine.ts";
import {
  alloc,
  allocAndFree,
  closing,
  ended,
  exit,
  free,
  inLine,
  usual,
  type CoreCase,
  type Part,
  type View,
} from "./parts.ts";

/** What a thread does; `nth` is how many of those held are freed by threads before it. */
const operations: Readonly<Record<string, (view: View, t: number, nth: number) => Part>> = {
  alloc: (view, t) => alloc(view, t),
  "alloc and free": function* both(view, t) {
    return ended(yield* allocAndFree(view, t));
  },
  preallocated: (view, t) => alloc(view, t, "mempool_alloc_preallocated"),
  free: function* freeing(view, t, nth) {
    return ended(yield* free(view, t, view.context.elements[nth]!));
  },
  wait: (view, t) => inLine(view, t),
  exit: (view, t) => exit(view, t),
  trim: function* trim() {
    return yield call("heap_trim");
  },
  settle: function* settle() {
    return yield call("heap_settle");
  },
  detach: function* detach({ context }, t) {
    return yield call("mempool_detach", context.handles[t]!);
  },
  attach: function* attach({ context }, t) {
    yield call("mempool_detach", context.handles[t]!);
    return yield call("mempool_attach", context.pool);
  },
};

function* nothing(): Part {
  return yield call("heap_thread");
}

const shapes = [1, 2, 3].flatMap((maxNr) => [0, 1, 2].flatMap((minNr) => (minNr <= maxNr ? { minNr, maxNr } : [])));

function one(a: string, b: string, { minNr, maxNr }: { minNr: number; maxNr: number }): CoreCase[] {
  const held = Number(a === "free") + Number(b === "free");
  if (held > maxNr) return [];
  const threads = [
    (view: View) => operations[a]!(view, 0, 0),
    (view: View) => operations[b]!(view, 1, Number(a === "free")),
    nothing,
  ];
  const test = usual(`${a}, ${b}; ${minNr} of ${maxNr}`, { minNr, maxNr, held }, threads);
  return [a === "exit" || b === "exit" ? { ...test, check: closing } : test];
}

const names = Object.keys(operations);

export const matrix: readonly CoreCase[] = names.flatMap((a, i) =>
  names.slice(i).flatMap((b) => shapes.flatMap((shape) => one(a, b, shape))),
);
