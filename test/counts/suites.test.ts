/** The suites of counts and of startup run, and their tables have the shape that reports rely on. Figures are not judged. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

interface Row {
  readonly side: string;
  readonly samples: readonly number[];
  readonly stats: { readonly median: number };
  readonly ratio?: { readonly of: string; readonly ratio: number; readonly ci: readonly number[] };
}
interface Table {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly notRun?: readonly { readonly side: string; readonly why: string }[];
}

/** The tables of a suite, from a process of its own. */
async function tablesOf(suite: string, only: readonly string[]): Promise<readonly Table[]> {
  const script = `
    import { suite } from "./bench/${suite}/suite.mjs";
    console.log(JSON.stringify(await suite.run({ quick: true, only: ${JSON.stringify(only)} })));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as Table[];
}

describe.each([
  ["counts", ["counts-core-wasm", "counts-core-shared-wasm", "counts-machine", "sizes"]],
  ["startup", ["startup-total", "startup-phases", "startup-bytes", "memory-used"]],
])("%s", (suite, names) => {
  test("has its tables, and each row its samples", async () => {
    const tables = await tablesOf(suite, names);
    expect(tables.map(({ name }) => name)).toEqual(names);
    for (const { rows, notRun = [], ...table } of tables) {
      expect(table).toEqual(
        expect.objectContaining({
          title: expect.any(String),
          workload: expect.any(String),
          unit: expect.any(String),
          lower: true,
          noise: expect.any(Number),
        }),
      );
      // What cannot be run is said.
      expect(rows.length + notRun.length).toBeGreaterThan(0);
      for (const { why } of notRun) expect(why).not.toBe("");
      for (const { side, samples, stats, ratio } of rows) {
        expect(side).not.toBe("");
        expect(samples.length).toBeGreaterThan(0);
        for (const sample of samples) expect(sample).toEqual(expect.any(Number));
        expect(stats.median).toBeGreaterThanOrEqual(0);
        if (ratio) expect(ratio.ci).toHaveLength(2);
      }
    }
  });

  test("gives only the tables asked for", async () => {
    const [only] = names.slice(-1);
    expect((await tablesOf(suite, [only!])).map(({ name }) => name)).toEqual([only]);
  });
});
