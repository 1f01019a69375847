/**
 * The most instructions of each kind of call in the search's schedules, as worst.json beside this file and
 * docs/worst-case.md have them. `vitest run --project sim test/sim/worst.test.ts --update` writes both.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Recorder } from "../worst/calls.ts";
import { schedulesPage } from "../worst/page.ts";
import { build } from "./build.ts";
import { cases } from "./cases.ts";
import type { Context } from "./parts.ts";
import { search } from "./search.ts";
import type { Case, Exports, Monitor } from "./script.ts";

const PAGE = "../../docs/worst-case.md";
/** Schedules of each case: a fixed number, so that the figures are the same on every machine. */
const SCHEDULES = 300;

const counted = await build("counted", { counted: true });
const recorder = new Recorder();
let schedules = 0;

/** The case, with each call of its threads noted. */
function watched(one: Case<Context>): Case<Context> {
  let all: readonly Exports[] = [];
  const executed = (thread: number): number =>
    Number((all[thread] as unknown as { instructions: WebAssembly.Global<"i64"> }).instructions.value);
  return {
    ...one,
    setup(cores, memory) {
      all = cores;
      return one.setup(cores, memory);
    },
    monitor(context, memory): Monitor {
      recorder.heap = context.heap;
      const begun = new Map<number, { from: number; end: ReturnType<Recorder["begin"]> }>();
      return {
        begin(thread, name) {
          const end = recorder.begin(name, context.handles[thread] ?? 0, NaN, () => memory);
          begun.set(thread, { from: executed(thread), end });
        },
        step() {},
        end(thread, _, result) {
          const { from, end } = begun.get(thread)!;
          end?.(result, executed(thread) - from);
          return undefined;
        },
      };
    },
  };
}

test("the searched schedules are as recorded", async () => {
  for (const one of cases)
    schedules += search(counted, watched(one), { mode: one.mode, schedules: SCHEDULES }).schedules;
  const figures = { schedules, calls: recorder.calls, worst: recorder.result() };
  await expect(`${JSON.stringify(figures, null, 2)}\n`).toMatchFileSnapshot("worst.json");
  const text = readFileSync(new URL(PAGE, import.meta.url), "utf8");
  await expect(schedulesPage(text, figures)).toMatchFileSnapshot(PAGE);
});
