/** Each suite gives its tables in the shape that reports rely on. The tests do not judge the figures. */
import { expect, test } from "vitest";
import { quickResults, type Table } from "./bench.ts";

function expectShape({ rows, notRun = [], goals = [], ...table }: Table): void {
  expect(table).toMatchObject({
    title: expect.any(String),
    workload: expect.any(String),
    unit: expect.any(String),
    lower: expect.any(Boolean),
    noise: expect.any(Number),
  });
  // A side that is not run has a reason.
  expect(rows.length + notRun.length).toBeGreaterThan(0);
  for (const { why } of notRun) expect(why).not.toBe("");
  for (const { verdict } of goals) expect(["met", "missed", "cannot tell"]).toContain(verdict);
  for (const { side, samples, stats, ratio } of rows) {
    expect(side).not.toBe("");
    for (const sample of samples) expect(sample).toEqual(expect.any(Number));
    if (samples.length > 0) expect(stats["median"]).toBeGreaterThanOrEqual(0);
    if (!ratio) continue;
    expect(ratio.of).toEqual(expect.any(String));
    expect(ratio.ci[0]).toBeLessThanOrEqual(ratio.ci[1]);
    expect(["faster", "slower", "no difference"]).toContain(ratio.verdict);
  }
}

test.each([
  ["core", ["wasm-pair", "bulk", "backend", "garbage", "flat"]],
  ["threads", ["messages", "latency"]],
  ["struct", ["struct-particles", "struct-alone", "struct-others", "struct-grown", "struct-rare"]],
  ["startup", ["startup-total", "startup-phases", "startup-bytes", "memory-used"]],
  ["debug", ["particles", "tiles", "synth", "service"]],
  ["runtimes", ["runtimes-pair", "runtimes-pair-in-wasm"]],
  ["counts", ["counts-core-wasm", "counts-core-shared-wasm", "counts-debug-imported-wasm", "counts-machine", "sizes"]],
])("the suite %s has exactly the expected tables", async (suite, names) => {
  const [result] = await quickResults(...names.map((name) => `${suite}/${name}`));
  expect(result!.tables.map(({ name }) => name)).toEqual(names);
  for (const table of result!.tables) expectShape(table);
});

test("the suite allocators gives a reason for each allocator that it leaves out", async () => {
  const [result] = await quickResults("allocators/pair", "allocators/javascript-pair", "allocators/size");
  const [pair, javascript, size] = result!.tables;
  for (const table of result!.tables) expectShape(table);
  expect([pair!.name, javascript!.name, size!.name]).toEqual(["pair", "javascript-pair", "size"]);
  expect(pair!.noise).toBeGreaterThan(0);
  for (const { side, samples, ratio } of pair!.rows) {
    expect(samples).toHaveLength(5);
    expect(ratio?.of).toBe(side === "wasm-mempool" ? undefined : "wasm-mempool");
  }
  expect(pair!.rows.map(({ side }) => side)).toContain("AssemblyScript TLSF");
  expect(javascript!.rows.map(({ side }) => side)).toContain("@thi.ng/malloc");
  expect(pair!.notRun).toContainEqual({ side: "walloc", why: expect.any(String) });
});
