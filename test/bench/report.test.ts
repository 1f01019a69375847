/** The docs have the figures of bench/results. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bench, type Result } from "./bench.ts";

// @ts-expect-error: the modules of a script have no types.
const { load, pages } = (await import("../../bench/report/report.mjs")) as {
  load(): Result[];
  pages(results: readonly Result[], texts: Record<string, string>, options: object): Promise<Map<string, string>>;
};
const summary = readFileSync("docs/benchmarks.md", "utf8");
const debug = readFileSync("docs/debug.md", "utf8");
const texts = {
  "docs/benchmarks.md": summary,
  "docs/when-not.md": readFileSync("docs/when-not.md", "utf8"),
  "docs/debug.md": debug,
};

describe("docs/benchmarks.md", () => {
  it("has at most 300 lines", () => {
    expect(summary.trimEnd().split("\n").length).toBeLessThanOrEqual(300);
  });

  it("has no measured figure outside of the blocks that the results write", () => {
    const prose = summary
      .replaceAll(/<!-- bench:begin[\s\S]*?<!-- bench:end -->/g, "")
      .replaceAll(/```[\s\S]*?```/g, "");
    expect(prose.match(/\d[\d.,]* ?(?:ns|µs|ms|bytes|[KM]i?B|kB|x|times|%)(?!\w)/g)).toEqual(["95 %"]);
  });

  it("has figures of every suite in its blocks", async () => {
    const results = load();
    for (const { suite } of results.filter((result) => result.suite !== "counts")) {
      const without = await pages(
        results.filter((result) => result.suite !== suite),
        texts,
        {},
      );
      if (suite === "debug") expect(without.get("docs/debug.md")).not.toBe(debug);
      else expect(without.get("docs/benchmarks.md"), suite).not.toBe(summary);
    }
  });
});

describe("npm run bench -- --report", () => {
  it("agrees with the docs", async () => {
    await expect(bench("--report", "--check")).resolves.toMatchObject({ stdout: "", stderr: "" });
  });

  it("writes the same from the same results", async () => {
    const results = load();
    const once = await pages(results, texts, {});
    expect(await pages(results, texts, {})).toEqual(once);
    const others = structuredClone(results);
    for (const { tables } of others)
      for (const { rows } of tables) for (const { stats } of rows) (stats as { median: number }).median *= 3;
    const after = await pages(others, texts, {});
    for (const path of once.keys()) expect(after.get(path), path).not.toBe(once.get(path));
  });

  it("refuses a marker that it does not know", async () => {
    const text = "<!-- bench:begin nonsense -->\n<!-- bench:end -->\n";
    await expect(pages([], { "README.md": text }, {})).rejects.toThrow("nonsense");
  });
});
