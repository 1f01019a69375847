/** The workloads of the JS heap suite do equal work on every side, and the suite runs. What it measures is not judged. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

interface Subject {
  batch(): void;
  checksum(): number;
}
interface Table {
  readonly name: string;
  readonly sides: string[];
  readonly params: Record<string, unknown>;
}
interface Workload {
  readonly tables: Table[];
  create(side: string, params: Record<string, unknown>): Subject;
}

const run = promisify(execFile);
const bench = (...args: string[]) =>
  run(process.execPath, ["bench/heap/suite.mjs", ...args], {
    maxBuffer: 2 ** 26,
    env: { ...process.env, NO_COLOR: "1" },
  });

/** The same workloads, smaller: what matters is whether sides agree, also where objects come back after some time. */
const smaller: Record<string, number> = { live: 500, perBatch: 170, numbers: 200 };
const shrunk = (params: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(params).map(([key, value]) => [key, smaller[key] ?? value]));

describe.each(["churn", "frames", "ast", "queues", "lru"])("%s", (file) => {
  it("computes the same on every side", async () => {
    const { tables, create } = (await import(`../../bench/heap/workloads/${file}.mjs`)) as Workload;
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

it("gives tables with every sample, and the goals", async () => {
  const { stdout, stderr } = await bench("--quick", "--json", "--seed", "7", "--only", "lru-1k,frames-200k");
  expect(stderr).toBe("");
  const { seed, quick, tables } = JSON.parse(stdout);
  expect({ seed, quick }).toEqual({ seed: 7, quick: true });
  expect(tables.map(({ name }: Table) => name)).toEqual(["frames-200k", "lru-1k"]);
  for (const { rows, unit, noise, notRun } of tables) {
    expect({ unit, noise, notRun }).toEqual({ unit: "ns/op", noise: expect.any(Number), notRun: [] });
    const [ours, again, ...others] = rows;
    expect(ours).toMatchObject({ side: "wasm-mempool", stats: { p50: expect.any(Number), p99: expect.any(Number) } });
    for (const { samples, stats, ratio } of [again, ...others]) {
      expect(samples.length).toBeGreaterThan(0);
      expect(stats.median).toBeGreaterThan(0);
      expect(ratio.of).toBe("wasm-mempool");
      expect(ratio.ci[0]).toBeLessThanOrEqual(ratio.ci[1]);
      expect(["faster", "slower", "no difference"]).toContain(ratio.verdict);
    }
  }
  expect(tables[0].goals).toMatchObject([{ goal: 1.5, verdict: expect.stringMatching(/^(met|missed)$/) }]);
});

it("prints tables for people, and says what is wrong with its arguments", async () => {
  const { stdout } = await bench("--quick", "--only", "garbage-100");
  expect(stdout).toMatch(/^wasm-mempool, arena +\d/m);
  expect(stdout).toMatch(/^ {2}noise: /m);
  await expect(bench("--only", "nonsense")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("nonsense"),
  });
  await expect(bench("--seed", "x")).rejects.toMatchObject({ code: 2 });
});
