/**
 * `import "wasm-mempool/inspect"`: the inspector, for `stats`, `check` and `table` of heaps, pools and arenas. A module of its
 * own, so that a program that asks for no statistics does not ship it.
 *
 * @packageDocumentation
 */
import { inspectors } from "./core/inspection.ts";
import { importedInspector, sharedInspector } from "./core/inspectors.ts";
import { reports } from "./heap/heap.ts";
import { check, tableOf } from "./heap/report.ts";

inspectors.provide({ imported: importedInspector, shared: sharedInspector });
reports.provide({ check, tableOf });
