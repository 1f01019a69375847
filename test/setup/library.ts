/** The library of the tests' worker threads: the bindings, with all their parts. */
import "../../src/backend.ts";
import "../../src/debug.ts";
import "../../src/inspect.ts";

export * from "../../src/index.ts";
export * from "../../src/debug.ts";
