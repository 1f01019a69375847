/** The debug heap's module: the whole core, the inspector, and what only a debug heap has. */
export * from "./core";
export * from "./inspect";
export * from "./debugging";
