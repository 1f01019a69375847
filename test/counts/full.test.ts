/** What an alloc costs that finds a heap full: however large the heap is. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { instrument } from "../../bench/counts/instrument.mjs";

type Exports = Record<string, (...args: number[]) => number> & { instructions: WebAssembly.Global<"i64"> };

const module = new WebAssembly.Module(instrument(readFileSync(new URL("../../build/core.wasm", import.meta.url))));

/** The instructions of an alloc that finds nothing, after one that has found nothing. */
function refusal(bytes: number): number {
  const { exports } = new WebAssembly.Instance(module);
  const core = exports as unknown as Exports;
  const memory = exports["memory"] as WebAssembly.Memory;
  core["heap_create"]!(0, memory.buffer.byteLength, bytes / 4096, 1);
  const large = core["mempool_create"]!(2 ** 24, 16, 0, -1, 0);
  const small = core["mempool_create"]!(4096, 16, 0, -1, 0);
  for (const pool of [large, small]) while (core["mempool_alloc"]!(pool) !== 0);
  const before = core.instructions.value;
  expect(core["mempool_alloc"]!(small)).toBe(0);
  return Number(core.instructions.value - before);
}

test("4 GiB, where the last page is never used, cost what 64 MiB cost", () => {
  expect(refusal(2 ** 32)).toBe(refusal(2 ** 26));
});
