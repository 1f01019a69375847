/** The same with threads. */
export * from "./shared";
export * from "./inspect";
export * from "./debugging";
