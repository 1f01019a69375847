/**
 * Cases of debug heaps: frees into quarantine, allocs and waiters that need what is in it, and elements that are sampled.
 * In a heap so small a quarantine has 31 slots.
 */
// Each script is written where its case uses it.
/* oxlint-disable unicorn/consistent-function-scoping */
import { freedOfLeaver, freedTwice } from "./cases.ts";
import { alloc, allocAndFree, CLOSED, free, heir, inLineUntil, results, usual } from "./parts.ts";
import type { CoreCase, Part, Shape, View } from "./parts.ts";
import { call, type Run } from "./script.ts";
import type { Context } from "./parts.ts";

const SIZE = 40;
/** The quarantine is full: each free takes the oldest out of it. */
const full: Shape = { size: SIZE, between: 31, kept: 31, held: 1 };
/** All elements that there may be are outstanding, or in quarantine: `quarantined` of them. */
const scarce = (quarantined: number, more: Shape = {}): Shape => {
  const { held = 0 } = more;
  return { size: SIZE, between: quarantined, kept: quarantined, maxNr: 2 * quarantined + held, ...more };
};

const first = (view: View, t: number): Part => free(view, t, view.context.elements[0]!);

function* trim(): Part {
  return yield call("heap_trim");
}

function* reshape({ context }: View, t: number, size: number): Part {
  return yield call("mempool_reshape", context.handles[t]!, size, 8);
}

/** One free of each element is refused, wherever the other thread is. */
const oneIsRefused = results((a, b) => (a === 0) !== (b === 0) && Math.min(a, b) === -2);

/** Nothing was written where it must not be: what the core reports is a fault of its own. */
const noDamage = ({ cores, context, deaths }: Run<Context>): string | void => {
  const core = cores.find((_, t) => !deaths.includes(t))!;
  const n = core["debug_check"]!();
  if (n || core["debug_report"]!(core["heap_scratch"]!() || context.heap)) return `${n} elements are damaged`;
};

const debugged = (
  name: string,
  shape: Shape,
  threads: ((view: View) => Part)[],
  more: Partial<CoreCase> = {},
): CoreCase => {
  const one = usual(`debug heap: ${name}`, shape, threads, { mode: { preemptions: 2 }, limit: 100_000, ...more });
  return { ...one, check: (run) => noDamage(run) ?? one.check!(run) };
};

const dying = (name: string, shape: Shape, threads: ((view: View) => Part)[], more: Partial<CoreCase> = {}): CoreCase =>
  debugged(`death in ${name}`, shape, [...threads, heir], {
    fatal: 0,
    mode: { preemptions: threads.length > 1 ? 1 : 0 },
    ...more,
  });

export const debugCases: readonly CoreCase[] = [
  debugged("two frees at the same instant", { size: SIZE, held: 1 }, freedTwice.threads as never, oneIsRefused),
  debugged("two frees at the same instant, of a full quarantine", full, freedTwice.threads as never, oneIsRefused),
  debugged(
    "two frees at the same instant, while the reserve is short",
    { size: SIZE, minNr: 1, maxNr: 2, held: 1, kept: 1 },
    freedTwice.threads as never,
    oneIsRefused,
  ),
  { ...freedOfLeaver, name: `debug heap: ${freedOfLeaver.name}`, limit: 100_000 },
  debugged("two frees of two elements, of a full quarantine", { ...full, held: 2 }, [
    (a) => free(a, 0, a.context.elements[0]!),
    (b) => free(b, 1, b.context.elements[1]!),
  ]),
  debugged("a free beside a trim, of a full quarantine", full, [(a) => first(a, 0), trim]),
  debugged("two trims", { ...full, held: 0 }, [trim, trim]),
  debugged(
    "an alloc gets what only the quarantine has",
    scarce(1),
    [(a) => alloc(a, 0)],
    results((a) => a !== 0),
  ),
  // The alloc finds nothing while the other thread has in hand what was in quarantine.
  debugged("an alloc of what only the quarantine has, beside a trim", scarce(1), [(a) => alloc(a, 0), trim]),
  debugged(
    "two allocs of two that only the quarantine has",
    scarce(2),
    [(a) => alloc(a, 0), (b) => alloc(b, 1)],
    // A thread finds nothing while another holds the only slab, or has in hand what is in quarantine.
    results((a, b) => a !== 0 || b !== 0),
  ),
  debugged("a free into quarantine beside an alloc of the only element", scarce(0, { held: 1 }), [
    (a) => first(a, 0),
    (b) => allocAndFree(b, 1),
  ]),
  debugged(
    "a waiter gets what only the quarantine has",
    scarce(1),
    [(a) => inLineUntil(a, 0)],
    results((a) => a > CLOSED),
  ),
  debugged(
    "a waiter gets what goes into quarantine meanwhile",
    scarce(0, { held: 1 }),
    [(a) => first(a, 0), (b) => inLineUntil(b, 1)],
    results((_, b) => b > CLOSED),
  ),
  debugged(
    "two waiters beside a free, with one in quarantine",
    { size: SIZE, between: 1, kept: 1, held: 1, maxNr: 3 },
    [(a) => first(a, 0), (b) => inLineUntil(b, 1), (c) => inLineUntil(c, 2)],
    { ...results((_, b, c) => b > CLOSED && c > CLOSED && b !== c), mode: { preemptions: 1 } },
  ),
  debugged("a reshape beside a free into quarantine", { size: SIZE, held: 1, minNr: 1, maxNr: 4 }, [
    (a) => first(a, 0),
    (b) => reshape(b, 1, 80),
  ]),
  dying("a free into quarantine", { size: SIZE, held: 1, maxNr: 2 }, [(a) => first(a, 0)]),
  dying("a free that takes the oldest out", full, [(a) => first(a, 0)]),
  dying("a free into quarantine beside another", { ...full, held: 2 }, [
    (a) => free(a, 0, a.context.elements[0]!),
    (b) => free(b, 1, b.context.elements[1]!),
  ]),
  dying("one of two frees of an element", { size: SIZE, held: 1, maxNr: 2 }, freedTwice.threads as never),
  dying("an alloc's turn to the quarantine", scarce(2), [(a) => alloc(a, 0)]),
  dying("an alloc's turn to the quarantine, beside another", scarce(2), [(a) => alloc(a, 0), (b) => alloc(b, 1)]),
  dying("a trim that empties the quarantine, beside a free", full, [trim, (b) => first(b, 1)]),
  dying(
    "a free into quarantine, for a waiter",
    scarce(0, { held: 1 }),
    [(a) => first(a, 0), (b) => inLineUntil(b, 1)],
    {
      check: ({ results: list, deaths }) => (deaths.length || (list[1] as number) > CLOSED ? undefined : "not served"),
    },
  ),

  ...[1, 2].flatMap((sample) => [
    debugged(`one in ${sample} sampled, two allocs at once`, { size: SIZE, sample }, [
      (a) => allocAndFree(a, 0),
      (b) => allocAndFree(b, 1),
    ]),
  ]),
  debugged(
    "sampled, two frees at the same instant",
    { size: SIZE, sample: 1, held: 1 },
    freedTwice.threads as never,
    oneIsRefused,
  ),
  debugged("sampled, an alloc beside a reshape", { size: SIZE, sample: 1, minNr: 1 }, [
    (a) => allocAndFree(a, 0),
    (b) => reshape(b, 1, 80),
  ]),
  debugged("sampled, a free beside a reshape", { size: SIZE, sample: 1, minNr: 1, held: 1 }, [
    (a) => first(a, 0),
    function* b(view) {
      yield* reshape(view, 1, 80);
      return yield* allocAndFree(view, 1);
    },
  ]),
  debugged("sampled, an alloc beside two reshapes", { size: SIZE, sample: 1 }, [
    (a) => allocAndFree(a, 0),
    function* b(view) {
      yield* reshape(view, 1, 80);
      return yield* reshape(view, 1, 400);
    },
  ]),
  dying("a reshape, with samples", { size: SIZE, sample: 1, kept: 2 }, [(a) => reshape(a, 0, 80)]),
  dying("making the first sample", { size: SIZE, sample: 1 }, [(a) => alloc(a, 0)]),
  dying("making the first sample, beside another", { size: SIZE, sample: 1 }, [
    (a) => allocAndFree(a, 0),
    (b) => allocAndFree(b, 1),
  ]),
  dying("the free of a sample", { size: SIZE, sample: 1, held: 1 }, [(a) => first(a, 0)]),
];
