/**
 * `import "wasm-mempool/debug"`: debug heaps, `createHeap({ debug: true })`. A module of its own, so that a program without
 * them ships none.
 *
 * @packageDocumentation
 */
import { debugging } from "./core/debugging.ts";
import { debugInspectors } from "./core/inspection.ts";
import { reports } from "./heap/heap.ts";
import { check, tableOf } from "./heap/report.ts";
import { checkDebugOptions, startDebugHeap } from "./debug/heap.ts";
import { importedDebugCore, sharedDebugCore } from "./debug/modules.ts";

export { tag, traceOf } from "./debug/calls.ts";

// A debug heap's module has the inspector: `stats`, `check` and `table` need no other import.
reports.provide({ check, tableOf });
debugInspectors.provide({ imported: importedDebugCore, shared: sharedDebugCore });
debugging.provide({
  imported: importedDebugCore,
  shared: sharedDebugCore,
  check: checkDebugOptions,
  start: startDebugHeap,
});
