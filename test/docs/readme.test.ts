/** The README's length, and its figures: against what prints, throws or measures them. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { create, MempoolError } from "../../src/index.ts";
import { blocksOf, read, root } from "./pages.ts";

const readme = read("README.md");

/** A line without its numbers and its spaces. */
const like = (line: string): string =>
  line
    .replaceAll(/[\d,]+/g, "#")
    .replaceAll(/\s+/g, " ")
    .trim();

test("the README has at most 150 lines", () => {
  expect(readme.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
});

test("npm start prints the lines that the README shows, but for their numbers", async () => {
  const shown = /^```\n([^]*?)^```$/m.exec(readme.slice(readme.indexOf("`npm start` prints")))![1]!;
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "examples/raid1/main.ts"], {
    cwd: root,
  });
  const printed = new Set(stdout.split("\n").map(like));
  expect(
    shown
      .split("\n")
      .map(like)
      .filter((line) => !printed.has(line)),
  ).toEqual([]);
});

test("the README counts the codes of bad frees", () => {
  const pool = create({ size: 64, minNr: 1, align: 64 });
  const other = create({ size: 64, minNr: 1, heap: pool.heap });
  const element = pool.alloc();
  const codes = new Set<string>();
  const refused = (address: number): void => {
    expect(() => pool.free(address)).toThrow(MempoolError);
    try {
      pool.free(address);
    } catch (error) {
      codes.add((error as MempoolError).code);
    }
  };
  refused(other.alloc());
  refused(element + 1);
  refused(2 ** 31);
  const twice = pool.alloc();
  pool.free(twice);
  refused(twice);
  const wide = create({ size: 128, minNr: 1, align: 64, heap: pool.heap });
  expect(() => wide.free(wide.alloc() + 64)).toThrow("ERR_INTERIOR_FREE");
  codes.add("ERR_INTERIOR_FREE");
  pool.free(element);
  pool.exit();
  refused(element);
  expect(readme).toContain(`${codes.size} error codes tell them apart`);
});

test("the README has the figures of the pages that it links to", () => {
  const points = /core\.shared\.wasm +\| \d+ +\| (\d+) +\| \d+ +\| 0 /.exec(read("docs/hosts.md"))![1]!;
  const grouped = Number(points).toLocaleString("en");
  for (const page of ["README.md", "docs/guides/without-javascript.md"]) {
    expect(read(page)).toContain(`at each of ${grouped} points tried`);
  }
  const bytes = /1,000,000 live elements of 64 bytes +\| +([\d.]+) \|/.exec(read("docs/benchmarks.md"))![1]!;
  expect(readme).toContain(`${bytes} x their bytes`);
  expect(read("docs/benchmarks.md")).toMatch(/10 million pairs +\| +0 \|/);
});

test("the commands are these two", () => {
  const commands = blocksOf("README.md").filter(({ code }) => code.includes("npm ci"));
  expect(commands.map(({ code }) => code.replaceAll(/ +#.*/g, ""))).toEqual([
    "npm ci && npm start\nnpm ci && npm test\n",
  ]);
});
