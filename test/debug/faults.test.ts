/** Planted faults under each build of the allocator: docs/debug.md has the table, and FAULTS=update writes it. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import "../../src/debug.ts";
import { createHeap, createSharedHeap, type DamageReport, type Heap } from "../../src/index.ts";
import { faults, type Fault } from "./faults.ts";
import { Rig, type Build } from "./rig.ts";
import { expectColumn, together, type Column } from "./table.ts";

const maximum = 2 ** 24;
const checked = new WebAssembly.Module(readFileSync(new URL("../../build/core.checked.wasm", import.meta.url)));
const debug = (onDamage: (report: DamageReport) => void) => ({ debug: { onDamage } });
/** One in one: so the faulty element is guarded, and what is found does not depend on chance. */
const sampling = (onDamage: (report: DamageReport) => void) => ({ debug: { onDamage, sample: 1 } });

/** The builds of each column. What they say must be the same. */
const builds: readonly (Omit<Build, "name"> & { readonly name: Column; readonly isShared: boolean })[] = [
  { name: "release", isShared: false, heap: () => createHeap({ maximum }) },
  { name: "release", isShared: true, heap: () => createSharedHeap({ maximum }) as Heap },
  { name: "checked", isShared: true, heap: () => createSharedHeap({ maximum, module: checked }) as Heap },
  { name: "debug", isShared: false, isDebug: true, heap: (tell) => createHeap({ maximum, ...debug(tell) }) },
  {
    name: "debug",
    isShared: true,
    isDebug: true,
    heap: (tell) => createSharedHeap({ maximum, ...debug(tell) }) as Heap,
  },
  {
    name: "debug, sample: 1",
    isShared: false,
    isDebug: true,
    heap: (tell) => createHeap({ maximum, ...sampling(tell) }),
  },
  {
    name: "debug, sample: 1",
    isShared: true,
    isDebug: true,
    heap: (tell) => createSharedHeap({ maximum, ...sampling(tell) }) as Heap,
  },
];

async function outcome(fault: Fault, build: Build): Promise<string> {
  const outcomes = new Map<number, string>();
  for (const by of fault.sizes ?? [0]) {
    const rig = new Rig(build);
    await fault.plant(rig, by);
    outcomes.set(by, await rig.end());
  }
  return together(outcomes);
}

test.each(["release", "checked", "debug", "debug, sample: 1"] as const)(
  "%s: what is said of each fault",
  async (column) => {
    const cells = new Map<string, string>();
    for (const fault of faults) {
      const found = new Set<string>();
      for (const build of builds.filter(({ name }) => name === column)) {
        if (fault.needsThreads && !build.isShared) continue;
        found.add(await outcome(fault, build));
      }
      expect([fault.title, ...found]).toHaveLength(2);
      cells.set(fault.title, [...found][0]!);
    }
    expectColumn(column, cells);
  },
);
