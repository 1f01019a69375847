/** Cases in which a thread dies in one operation. */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { call, changed, look, post, take } from "./script.ts";
import {
  alloc,
  allocAndFree,
  free,
  heir,
  secondHeir,
  inLine,
  leave,
  usual,
  wait,
  ended,
  exit,
  WAITING,
  type Part,
  type CoreCase,
  type View,
} from "./parts.ts";
import { ending } from "./exits.ts";

/** heap_trim. */
function* trimming(): Part {
  yield call("heap_trim");
  return 0;
}

/** Enters the wait queue, says so, and leaves the queue with an element, or without one once all others have ended. */
function* waitAndSay(view: View, t: number): Part {
  const place = yield call("mempool_wait_begin", view.context.handles[t]!, 0);
  yield post("waits", place);
  if ((yield look(place)) === WAITING) yield changed(place, WAITING);
  return yield* leave(view, t, place);
}

/** Frees an element once a thread waits for it. */
function* freeForWaiter(view: View): Part {
  yield take("waits");
  return yield* free(view, 0, view.context.elements[0]!);
}

/** Cases in which it also dies between two plain stores. */
export const movedRounds: readonly CoreCase[] = [
  usual("death as a magazine gets more rounds", { kept: 10 }, [(a) => alloc(a, 0), heir], { fatal: 0 }),
  usual(
    "death as a magazine gives up rounds",
    { kept: 12 },
    [
      function* a({ context }) {
        return yield call("mempool_reshape", context.handles[0]!, 2000, 8);
      },
      heir,
    ],
    { fatal: 0 },
  ),
];

export const deathPoints: readonly CoreCase[] = [
  ...movedRounds,
  usual(
    "death in taking from the reserve",
    { minNr: 2, maxNr: 3 },
    [
      function* a(view) {
        yield* alloc(view, 0, "mempool_alloc_preallocated");
        return yield* allocAndFree(view, 0);
      },
      heir,
    ],
    { fatal: 0 },
  ),
  usual(
    "death between magazine and slabs",
    { maxNr: 32, held: 4 },
    [
      function* a(view) {
        let last = 0;
        for (const element of view.context.elements) last = yield* free(view, 0, element);
        return last;
      },
      heir,
    ],
    { fatal: 0 },
  ),
  usual("death in trim", { warm: 2 }, [trimming, heir], { fatal: 0 }),
  ...["mempool_detach", "heap_detach"].map((how) =>
    usual(
      `death in ${how}`,
      { maxNr: 16, warm: 1, minNr: 1 },
      [
        function* a({ context }) {
          return yield call(how, ...(how === "heap_detach" ? [] : [context.handles[0]!]));
        },
        heir,
      ],
      { fatal: 0 },
    ),
  ),
  usual(
    "death after being served",
    { maxNr: 1 },
    [
      function* a(view) {
        yield take("held");
        return yield* wait(view, 0);
      },
      function* b(view) {
        const element = yield call("mempool_alloc", view.context.handles[1]!);
        yield post("held", element);
        return yield* heir();
      },
      function* c(view) {
        const element = yield take("held");
        return yield* free(view, 2, element);
      },
    ],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual(
    "death after handing over: the waiter fetches its element while another reaps",
    { maxNr: 2, held: 1, kept: 1 },
    [freeForWaiter, heir, (c) => waitAndSay(c, 2)],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual(
    // Each element has a slab of its own, and the pool keeps the other one.
    "death after handing over: the element's slab goes while another reaps",
    { size: 4032, maxNr: 2, held: 1, kept: 1 },
    [
      freeForWaiter,
      heir,
      function* c(view) {
        const element = yield* waitAndSay(view, 2);
        return element ? yield* free(view, 2, element) : 0;
      },
    ],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual(
    "death of a thread with cached elements, while another waits",
    { maxNr: 16, held: 1, kept: 15 },
    [(a) => free(a, 0, a.context.elements[0]!), (b) => inLine(b, 1, heir)],
    { fatal: 0, mode: { preemptions: 2 } },
  ),
  ending(
    "death in exit",
    { minNr: 1, maxNr: 16, warm: 1 },
    [
      (a) => exit(a, 0),
      function* b(view) {
        yield* heir();
        return yield* exit(view, 1);
      },
    ],
    { fatal: 0 },
  ),
  ending(
    "death in the last free",
    { minNr: 1, held: 1 },
    [
      function* a(view) {
        return ended(yield* free(view, 0, view.context.elements[0]!));
      },
      function* b(view) {
        yield* exit(view, 1);
        return yield* heir();
      },
    ],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual(
    "death while a third works",
    { minNr: 1, maxNr: 2 },
    [(a) => allocAndFree(a, 0), heir, (c) => allocAndFree(c, 2)],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual(
    "death while a third works, warm",
    { warm: 1 },
    [
      function* a(view) {
        yield* alloc(view, 0);
        return yield* allocAndFree(view, 0);
      },
      heir,
      (c) => allocAndFree(c, 2),
    ],
    { fatal: 0, mode: { preemptions: 1 } },
  ),
  usual("death of who reaps", { minNr: 1, maxNr: 2 }, [(a) => allocAndFree(a, 0), heir, secondHeir], {
    fatal: [0, 1],
    mode: { preemptions: 0 },
  }),
  usual("death of who reaps who made a slab", {}, [(a) => allocAndFree(a, 0), heir, secondHeir], {
    fatal: [0, 1],
    mode: { preemptions: 0 },
  }),
  usual("two deaths", { minNr: 1, maxNr: 3 }, [(a) => allocAndFree(a, 0), (b) => allocAndFree(b, 1), secondHeir], {
    fatal: [0, 1],
    mode: { preemptions: 1 },
    // The second dead thread has stopped the first reap, which looks again and again before it gives up.
    limit: 100_000,
  }),
];
