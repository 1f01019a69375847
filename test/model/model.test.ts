/**
 * Random commands against a model, over every build.
 *
 * A failure prints the seed and the path; MODEL_SEED=<seed> runs the same commands again, MODEL_RUNS=<n> more of them: `.ci/run` searches
 * for longer than `npm test` does.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import { builds } from "../builds.ts";
import { withoutStacks } from "../contract/helpers.ts";
import { commands, worlds } from "./commands.ts";
import { Model } from "./model.ts";

const RUNS = Number(process.env["MODEL_RUNS"] ?? 50);
const SEED = process.env["MODEL_SEED"];

describe.each(builds)("model: $name", (build) => {
  test("a heap behaves as the model does", { timeout: 400_000 + RUNS * 1000 }, async () => {
    await fc.assert(
      fc.asyncProperty(worlds, commands, async (world, list) => {
        const model = new Model(build, world);
        withoutStacks(() => {
          model.run(list);
          model.finish();
        });
        await Promise.all(model.closed);
      }),
      { numRuns: RUNS, includeErrorInReport: true, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
    );
  });
});
