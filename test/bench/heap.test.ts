/** The workloads of the suite heap do equal work on every side, and the suite runs. The tests do not judge the figures. */
import { describe, expect, it, test } from "vitest";
import { bench, quickResults } from "./bench.ts";

interface Subject {
  batch(): void;
  checksum(): number;
}
interface Workload {
  readonly tables: { readonly name: string; readonly sides: string[]; readonly params: Record<string, unknown> }[];
  create(side: string, params: Record<string, unknown>): Subject;
}

/** Fewer objects, so that old ones come back within the test. */
const smaller: Record<string, number> = { live: 500, perBatch: 170, numbers: 200 };
const shrunk = (params: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(params).map(([key, value]) => [key, smaller[key] ?? value]));

describe.each(["churn", "frames", "ast", "queues", "lru"])("%s", (file) => {
  it("computes the same on every side", async () => {
    const { tables, create } = (await import(`../../bench/suites/heap/workloads/${file}.mjs`)) as Workload;
    for (const { name, sides, params } of tables) {
      expect(sides.slice(0, 2), name).toEqual(["wasm-mempool", "wasm-mempool, again"]);
      const sums = sides.map((side) => {
        const subject = create(side, shrunk(params));
        const atFirst = subject.checksum();
        for (let i = 0; i < 120; i++) subject.batch();
        return [side, subject.checksum(), subject.checksum() === atFirst];
      });
      const [, sum] = sums[0]!;
      expect(sum, name).toSatisfy(Number.isFinite);
      expect(sums, name).toEqual(sides.map((side) => [side, sum, false]));
    }
  });
});

test("the suite's tables have every sample", async () => {
  const [result] = await quickResults("heap/lru-1k", "heap/frames-200k");
  const { tables } = result!;
  expect(tables.map(({ name }) => name)).toEqual(["frames-200k", "lru-1k"]);
  for (const { rows, noise, notRun, ...table } of tables) {
    expect(table).toMatchObject({ unit: "ns/op" });
    expect({ noise, notRun }).toEqual({ noise: expect.any(Number), notRun: [] });
    const [ours, again, ...others] = rows;
    expect(ours).toMatchObject({ side: "wasm-mempool", stats: { p50: expect.any(Number), p99: expect.any(Number) } });
    for (const { samples, stats, ratio } of [again!, ...others]) {
      expect(samples.length).toBeGreaterThan(0);
      expect(stats["median"]).toBeGreaterThan(0);
      expect(ratio!.of).toBe("wasm-mempool");
      expect(ratio!.ci[0]).toBeLessThanOrEqual(ratio!.ci[1]);
      expect(["faster", "slower", "no difference"]).toContain(ratio!.verdict);
    }
  }
  expect(tables[0]!.goals).toMatchObject([{ goal: 1.5, verdict: expect.stringMatching(/^(met|missed)$/) }]);
});

test("a quick run prints a table that the user names", async () => {
  const { stdout } = await bench("--quick", "heap/garbage-100");
  expect(stdout).toMatch(/^wasm-mempool, arena +\d/m);
  expect(stdout).toMatch(/^Noise: /m);
});
