/** Cases of the wait queue: who is served, and by whom. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, changed, look, post, take } from "./script.ts";
import {
  free,
  inLineUntil,
  leave,
  results,
  usual,
  CLOSED,
  WAITING,
  type CoreCase,
  type Part,
  type View,
} from "./parts.ts";

/** The results of a script that found something impossible. */
const OVERTAKEN = -1000;
const FORGOTTEN = -1001;

/**
 * Waits in a place of the queue until it has an element, and frees that. OVERTAKEN: the place `before` still waits.
 * FORGOTTEN: all other threads have ended, and none has served this one.
 */
function* served(view: View, t: number, place: number, before = 0): Part {
  if ((yield look(place)) === WAITING) yield changed(place, WAITING);
  const isOvertaken = before !== 0 && (yield look(before)) === WAITING;
  const element = yield* leave(view, t, place);
  if (!element) return FORGOTTEN;
  const result = yield* free(view, t, element);
  return isOvertaken ? OVERTAKEN : result;
}

/** A thread has elements in its magazine, and calls the core again while another waits. */
const hoarding = (name: string, again: (view: View) => Part): CoreCase =>
  usual(
    name,
    { maxNr: 16, kept: 15, held: 1 },
    [
      function* a(view) {
        yield* free(view, 0, view.context.elements[0]!);
        yield post("freed", 1);
        yield take("waits");
        return yield* again(view);
      },
      function* b(view) {
        yield take("freed");
        const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        yield post("waits", place);
        if ((yield look(place)) === WAITING) yield changed(place, WAITING);
        return yield* leave(view, 1, place);
      },
    ],
    results((_, b) => b > CLOSED),
  );

/** A thread has two places in the queue, leaves one, and waits in the other. */
const leavesOne = (name: string, leaves: 0 | 1): CoreCase =>
  usual(
    name,
    { maxNr: 1, held: 1 },
    [
      (a) => free(a, 0, a.context.elements[0]!),
      function* b(view) {
        const begin = () => call("mempool_wait_begin", view.context.handles[1]!, 0);
        const places = [yield begin(), yield begin()];
        const element = yield* leave(view, 1, places[leaves]!);
        if (element) yield* free(view, 1, element);
        return yield* served(view, 1, places[1 - leaves]!);
      },
    ],
    results((a, b) => a === 0 && b === 0),
  );

export const waits: readonly CoreCase[] = [
  leavesOne("a thread leaves its first place and waits in the second", 0),
  leavesOne("a thread leaves its second place and waits in the first", 1),
  usual(
    "a full magazine makes room while another waits",
    { maxNr: 16, kept: 14, held: 2 },
    [
      function* a(view) {
        for (const element of view.context.elements) yield* free(view, 0, element);
        return 1;
      },
      function* b(view) {
        const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        if ((yield look(place)) === WAITING) yield changed(place, WAITING);
        return yield* leave(view, 1, place);
      },
    ],
    results((_, b) => b > CLOSED),
  ),
  usual(
    "a thread leaves the queue and enters it again: it stands behind one that came meanwhile",
    { maxNr: 1, held: 1 },
    [
      (a) => free(a, 0, a.context.elements[0]!),
      function* b(view) {
        const first = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        yield post("first", first);
        const before = yield take("second");
        const element = yield* leave(view, 1, first);
        if (element) return yield* free(view, 1, element);
        const place = yield call("mempool_wait_begin", view.context.handles[1]!, 0);
        return yield* served(view, 1, place, before);
      },
      function* c(view) {
        yield take("first");
        const place = yield call("mempool_wait_begin", view.context.handles[2]!, 0);
        yield post("second", place);
        return yield* served(view, 2, place);
      },
    ],
    { ...results((a, b, c) => a === 0 && b === 0 && c === 0), mode: { preemptions: 2 } },
  ),
  usual(
    "a thread trims while another begins to wait",
    { maxNr: 16, kept: 15, held: 1 },
    [
      function* a(view) {
        yield* free(view, 0, view.context.elements[0]!);
        yield call("heap_trim");
        return 0;
      },
      (b) => inLineUntil(b, 1),
    ],
    { ...results((_, b) => b > CLOSED), mode: { preemptions: 3 } },
  ),
  hoarding("trim serves another that waits", function* trim() {
    return yield call("heap_trim");
  }),
  hoarding("an alloc from the reserve alone serves another that waits", function* preallocated({ context }) {
    return yield call("mempool_alloc_preallocated", context.handles[0]!);
  }),
];
