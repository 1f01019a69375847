/** The core's benchmark runs, and its JSON has the shape that readers of it rely on. What it measures is not judged. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);
const bench = (...args: string[]) =>
  run(process.execPath, ["bench/core/main.mjs", ...args], {
    maxBuffer: 2 ** 26,
    env: { ...process.env, NO_COLOR: "1" },
  });

interface Row {
  readonly name: string;
  readonly verdict?: string;
}

it("gives JSON with machine, method and every sample", async () => {
  const { stdout, stderr } = await bench("--quick", "--json", "--seed", "7", "--only", "typescript,memory,startup");
  expect(stderr).toBe("");
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({
    seed: 7,
    quick: true,
    node: expect.stringContaining(process.version),
    date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    machine: { cpu: expect.any(String), cores: expect.any(Number) },
    compiler: { asc: expect.any(String), flags: { shipped: expect.stringContaining("--shrinkLevel") } },
  });
  expect(Object.keys(result.sections)).toEqual(["typescript", "memory", "startup"]);
  for (const rows of Object.values<Row[]>(result.sections)) {
    for (const { name, verdict } of rows) {
      expect(name).toEqual(expect.any(String));
      expect(["met", "missed", "cannot tell", "no difference", "n/a", "", undefined]).toContain(verdict);
    }
  }
  const [pair] = result.sections.typescript;
  expect(pair).toMatchObject({ name: "one pool", goal: 1.5, ci: [expect.any(Number), expect.any(Number)] });
  for (const samples of Object.values<number[]>(pair.samples)) expect(samples).toHaveLength(11);
  const [million] = result.sections.memory;
  expect(million).toMatchObject({ goal: 1.03, used: expect.any(Number) });
  expect(million.ratio).toBeGreaterThan(1);
  expect(result.sections.startup[0].samples).toHaveLength(3);
});

it("says what is wrong with its arguments", async () => {
  await expect(bench("--only", "nonsense")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("nonsense"),
  });
  await expect(bench("--seed", "x")).rejects.toMatchObject({ code: 2 });
  expect((await bench("--help")).stdout).toContain("Usage");
});
