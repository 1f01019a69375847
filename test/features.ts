/** Imports the parts of the package that a program has only if it imports them. */
import "../src/backend.ts";
import "../src/debug.ts";
import "../src/inspect.ts";
