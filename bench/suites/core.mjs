/** The cost of an allocation: in time, memory and garbage, against its goals. */
import { runSections } from "../harness/sections.mjs";

export const suite = {
  title: "The core",
  seconds: 110,
  method: [
    "Subjects run by turns in random order, each on memory of its own, each workload in processes of its own: five or three where there is a ratio. Times are processor time of optimised code. Ratios are medians of the ratios of a turn, with a 95 % bootstrap interval. The noise is how far the same code seems to be from itself. A goal is met, or missed, if the whole interval says so.",
  ],
  async run(options) {
    const sections = ["wasm", "typescript", "bulk", "backend", "garbage", "flat", "memory"];
    return {
      tables: await runSections(
        sections.map((name) => new URL(`core/${name}.mjs`, import.meta.url)),
        options,
      ),
    };
  },
};
