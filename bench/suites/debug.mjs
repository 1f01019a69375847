/** What a debug heap costs, in time and memory: the loads of four small applications. */
import { runSections } from "../harness/sections.mjs";

export const suite = {
  title: "Debug heaps",
  seconds: 70,
  method: [
    "A load runs on heaps of each kind by turns in random order, in one process and in three. Times are processor time of all threads. Ratios are medians of the ratios of a turn, with a 95 % bootstrap interval. The noise is how far the release heap seems to be from another release heap. Memory is what the heap uses after the last turn.",
  ],
  about: {
    release: "createHeap(), createSharedHeap()",
    debug: "with debug: true; each alloc and free keeps its call stack",
    "debug without stacks": "with debug: { stacks: false }",
  },
  run: async (options) => ({ tables: await runSections([new URL("debug/loads.mjs", import.meta.url)], options) }),
};
