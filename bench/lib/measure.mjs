/** What all suites measure with. */
export * from "../core/measure.mjs";
