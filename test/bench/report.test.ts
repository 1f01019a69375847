/** The docs say what bench/results says, and the runner and the report say what is wrong with their arguments. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";

const execute = promisify(execFile);
const run = (script: string, ...args: string[]) =>
  execute(process.execPath, [script, ...args], { maxBuffer: 2 ** 26, env: { ...process.env, NO_COLOR: "1" } });

const refused = (message: string) => ({ code: 2, stdout: "", stderr: expect.stringContaining(message) });

const folder = mkdtempSync(join(tmpdir(), "bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("npm run bench:report", () => {
  it("would write the docs as they are", async () => {
    await expect(run("bench/report.mjs", "--check")).resolves.toMatchObject({ stdout: "", stderr: "" });
  });

  it("writes the same from the same results, and other plots from others", async () => {
    // @ts-expect-error: a script's module, which has no types.
    const { load } = await import("../../bench/report/load.mjs");
    // @ts-expect-error: as above.
    const { pages } = await import("../../bench/report/pages.mjs");
    const results = await load("bench/results");
    const written = { "docs/when-not.md": readFileSync("docs/when-not.md", "utf8") };
    const once: Map<string, string> = await pages(results, written, {});
    expect(once.get("docs/benchmarks.md")).toContain("# Benchmarks");
    expect(await pages(results, written, {})).toEqual(once);
    for (const result of structuredClone(results)) {
      for (const { rows } of result.tables) for (const row of rows) row.stats.median *= 3;
      const other: Map<string, string> = await pages([result], written, {});
      expect(other.get("docs/benchmarks.md")).not.toBe(once.get("docs/benchmarks.md"));
    }
  });

  it("refuses a marker that it does not know", async () => {
    // @ts-expect-error: as above.
    const { pages } = await import("../../bench/report/pages.mjs");
    const text = "<!-- bench:begin nonsense -->\n<!-- bench:end -->\n";
    await expect(pages([], { "README.md": text }, {})).rejects.toThrow("nonsense");
  });

  it("explains itself, and refuses what it does not know", async () => {
    expect((await run("bench/report.mjs", "--help")).stdout).toContain("Usage");
    await expect(run("bench/report.mjs", "--nonsense")).rejects.toMatchObject(refused("--nonsense"));
  });
});

describe("npm run bench", () => {
  it("explains itself, and refuses what it does not know", async () => {
    const { stdout } = await run("bench/main.mjs", "--help");
    expect(stdout).toContain("Usage");
    for (const name of ["allocators", "core", "threads"]) expect(stdout).toContain(name);
    await expect(run("bench/main.mjs", "--nonsense")).rejects.toMatchObject(refused("--nonsense"));
    await expect(run("bench/main.mjs", "--only", "nonsense")).rejects.toMatchObject(refused('"nonsense"'));
    await expect(run("bench/main.mjs", "--seed", "x")).rejects.toMatchObject(refused("--seed"));
    await expect(run("bench/main.mjs", "--quick", "--save")).rejects.toMatchObject(refused("--save"));
  });

  it("says that a suite has no such table", async () => {
    await expect(run("bench/main.mjs", "--quick", "--only", "allocators/nonsense")).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nonsense"),
    });
  });

  it("gives JSON with machine, versions, method and every sample", async () => {
    const args = ["--quick", "--json", "--seed", "7", "--out", folder, "--only", "allocators/pair,allocators/size"];
    const { stdout } = await run("bench/main.mjs", ...args);
    const {
      seed,
      suites: [result, ...none],
    } = JSON.parse(stdout);
    expect(seed).toBe(7);
    expect(none).toEqual([]);
    expect(result).toMatchObject({
      format: 1,
      suite: "allocators",
      seed: 7,
      quick: true,
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      machine: { cpu: expect.any(String), cores: expect.any(Number) },
      versions: { node: process.versions.node, assemblyscript: expect.any(String) },
      method: expect.arrayContaining([expect.any(String)]),
    });
    const [pair, size] = result.tables;
    expect([pair.name, size.name]).toEqual(["pair", "size"]);
    expect(pair.noise).toBeGreaterThan(0);
    for (const { side, samples, stats, ratio } of pair.rows) {
      expect(samples).toHaveLength(5);
      expect(stats.median).toBeGreaterThan(0);
      if (side !== "wasm-mempool")
        expect(ratio).toMatchObject({ of: side, ci: [expect.any(Number), expect.any(Number)] });
    }
    expect(pair.rows.map(({ side }: { side: string }) => side)).toContain("AssemblyScript TLSF");
    expect(pair.notRun).toContainEqual({ side: "walloc", why: expect.any(String) });
    expect(readdirSync(folder)).toEqual(["allocators.json"]);
  }, 240_000);
});
