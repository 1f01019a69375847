/**
 * Calls in the changelog's table, "Coming from 0.1": the old form is refused, and the new one works. Of the imports, the signals
 * and the types in it, other tests tell.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createArena, createHeap, createSharedHeap, f32, struct, type Pool } from "../../src/index.ts";
import { faults } from "../../src/testing/faults.ts";
import { read } from "./pages.ts";

const heap = createHeap();
const old = heap as unknown as Record<"createArena" | "faults", (options?: object) => unknown>;
const pool = heap.create({ size: 64, minNr: 4, maxNr: 4 }) as Pool;
const before = pool as unknown as Record<"ticket" | "faults", (count?: number) => unknown>;
const memory = new WebAssembly.Memory({ initial: 4 });
const Particle = struct({ x: f32 });
const compiled = (name: string) =>
  new WebAssembly.Module(readFileSync(new URL(`../../build/${name}`, import.meta.url)));
const [shared, control] = [compiled("core.shared.wasm"), compiled("control.shared.wasm")];
const any = (value: unknown): never => value as never;

const rows: readonly [row: string, old: () => unknown, error: string, now: () => unknown][] = [
  [
    "createHeap({ shared: true })",
    () => createHeap(any({ shared: true })),
    "shared",
    () => createSharedHeap().threadId,
  ],
  ["createHeap({ memory })", () => createHeap({ memory }), "region", () => createHeap({ memory, grows: true })],
  ["pool.faults(…)", () => before.faults(), "not a function", () => faults(pool)],
  ["heap.createArena(…)", () => old.createArena(), "not a function", () => createArena({ heap })],
  ["allocWait(1000)", () => pool.allocWait(any(1000)), "1000", () => pool.free(pool.allocWait({ timeout: 1000 }))],
  [
    "allocBulkWait(out, 8, 1000)",
    () => pool.allocBulkWait(new Uint32Array(8), any(8)),
    "got 8",
    () => pool.allocBulkWait(new Uint32Array(8), { count: 0, timeout: 1000 }),
  ],
  [
    "createHeap({ shared: true, module })",
    () => createSharedHeap({ module: shared }),
    "needs control",
    () => createSharedHeap({ module: shared, control }),
  ],
  ["pool.ticket(3)", () => before.ticket(3), "not a function", () => pool.prefill(3)!.exit()],
  ["Particle.at(heap, pool.alloc())", () => Particle.at(heap, any(0)), "0", () => Particle.cursor(heap)],
];

test.each(rows)("%s", (row, refused, error, now) => {
  expect(read("CHANGELOG.md")).toContain(row);
  expect(refused).toThrow(error);
  expect(now).not.toThrow();
});
