/** The cost of sharing: of the hit path, of two threads on one pool, of messages, of waking a waiter. */
import { cpus } from "node:os";
import { runSections } from "../harness/sections.mjs";

export const suite = {
  title: "Threads",
  seconds: 70,
  method: [
    "Subjects run by turns in random order, several processes of each workload, all code optimised. Ratios are medians of the ratios of a turn, with a 95 % bootstrap interval. The noise is how far the same code seems to be from itself. With one thread times are processor time. With two threads they are by the clock, of samples so short that often neither thread is preempted; a sample is repeated until that is so (calm: the part of samples in which it was; else the least disturbed one counts). On two cores each thread keeps to one, except where it is woken.",
  ],
  async run(options) {
    if (cpus().length < 2) throw new Error("not run: two threads need two cores");
    const sections = ["hit", "scaling", "messages", "latency"];
    return {
      tables: await runSections(
        sections.map((name) => new URL(`threads/${name}.mjs`, import.meta.url)),
        options,
      ),
    };
  },
};
