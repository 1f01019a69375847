/**
 * `import "wasm-mempool/inspect"`: the inspector, for `stats`, `check` and `table` of heaps, pools and arenas. A module of its
 * own, so that a program that asks for no statistics does not ship it. What it exports, a program ships if it imports that.
 *
 * @packageDocumentation
 */
import { inspectors } from "./core/inspection.ts";
import { importedInspector, sharedInspector } from "./core/inspectors.ts";
import { reports } from "./heap/heap.ts";
import { check, tableOf } from "./heap/report.ts";

inspectors.provide({ imported: importedInspector, shared: sharedInspector });
reports.provide({ check, tableOf });

export { holdings, leakReport, type Holding, type HoldingGroup, type LeakReport } from "./inspect/holders.ts";
export { dump, isDump } from "./inspect/dump.ts";
export { HeapImage, readDump, readMemory, type ReadMemoryOptions } from "./inspect/image.ts";
export { memoryMap, type MapOptions } from "./inspect/map.ts";
export { metrics } from "./inspect/metrics.ts";
export { restoreHeap, type Restored } from "./inspect/restore.ts";
export { trace, type TraceEvent, type TraceOptions } from "./inspect/trace.ts";
export { watchLeaks, type WatchLeaksOptions } from "./inspect/watch.ts";
export {
  FLAG,
  KIND,
  mapHeap,
  RUN,
  RUN_WORDS,
  STATE,
  STATE_THREAD,
  type HeapMap,
  type PoolMap,
} from "./inspect/heap-map.ts";
