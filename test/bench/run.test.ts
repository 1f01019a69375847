/** The benchmarks' command. It does not judge the figures. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { bench } from "./bench.ts";

const folder = mkdtempSync(join(tmpdir(), "bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("--help explains the command", async () => {
  const { stdout } = await bench("--help");
  expect(stdout).toContain("Usage");
  for (const name of ["core", "allocators", "heap", "threads", "struct", "startup", "runtimes", "counts"])
    expect(stdout).toContain(name);
});

test.each([
  [["--nonsense"], "--nonsense"],
  [["nonsense"], '"nonsense"'],
  [["--seed", "x"], "--seed"],
  [["--quick", "--save"], "--save"],
  [["core/memory", "--save"], "--save"],
  [["core", "--update"], "--update"],
  [["core", "--report"], "--report"],
  [["--check"], "--check"],
])("refuses %j", async (args, message) => {
  await expect(bench(...args)).rejects.toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
});

test("a suite without the wanted table fails", async () => {
  await expect(bench("--quick", "core/nonsense")).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("nonsense"),
  });
});

test("--json - writes one result and nothing else", async () => {
  const { stdout, stderr } = await bench("core/typescript", "core/memory", "--quick", "--seed", "7", "--json", "-");
  expect(stderr).toBe("");
  const { seed, quick, suites } = JSON.parse(stdout);
  expect({ seed, quick }).toEqual({ seed: 7, quick: true });
  expect(suites).toHaveLength(1);
  const [{ tables, ...result }] = suites;
  expect(result).toMatchObject({
    format: 1,
    suite: "core",
    seed: 7,
    quick: true,
    date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    machine: { cpu: expect.any(String), cores: expect.any(Number) },
    versions: { node: process.versions.node, assemblyscript: expect.any(String) },
    method: expect.arrayContaining([expect.any(String)]),
  });
  const [typescript, memory] = tables;
  expect([typescript.name, memory.name]).toEqual(["typescript", "memory"]);
  expect(typescript.goals).toMatchObject([
    { text: "one pool", goal: 1.3, ci: [expect.any(Number), expect.any(Number)] },
  ]);
  for (const { samples, extra } of typescript.rows)
    for (const list of [samples, extra.against.calls, extra.against.inside]) expect(list).toHaveLength(11);
  expect(memory.goals[0]).toMatchObject({ goal: 1.03, verdict: expect.any(String) });
  expect(memory.rows[0]).toMatchObject({ extra: { used: expect.any(Number) } });
  expect(memory.rows[0].stats.median).toBeGreaterThan(1);
});

test("--json with a file writes the printed figures to it", async () => {
  const file = join(folder, "result.json");
  const { stdout } = await bench("core/memory", "--quick", "--json", file);
  expect(stdout).toMatch(/^1,000,000 live elements of 64 bytes +1\.0\d/m);
  expect(stdout).toMatch(/^Goal met: /m);
  // No colours, and no line that moves.
  for (const character of ["\u001b", "\r"]) expect(stdout).not.toContain(character);
  const { suites } = JSON.parse(readFileSync(file, "utf8"));
  expect(suites[0].tables[0].name).toBe("memory");
});
