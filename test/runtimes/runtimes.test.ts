/** The same smoke test on every runtime, one after the other. `npm run test:runtimes` installs them first. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { runProgram } from "../outside/endings-program.ts";
import { cellsOf, expected } from "../outside/endings-run.ts";
import type { Ending } from "../outside/endings-table.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const bin = (path: string): string => `${here}node_modules/${path}`;

const runtimes: readonly { name: string; path: string; version: RegExp; args: readonly string[] }[] = [
  { name: "this Node", path: process.execPath, version: /^v\d+/, args: [] },
  { name: "Node 22", path: bin("node22/bin/node"), version: /^v22\./, args: [] },
  { name: "Node 24", path: bin("node24/bin/node"), version: /^v24\./, args: [] },
  { name: "Node 26", path: bin("node26/bin/node"), version: /^v26\./, args: [] },
  { name: "Bun", path: bin("@oven/bun-linux-x64/bin/bun"), version: /^1\./, args: [] },
  // Without --allow-*: the library asks the host for nothing but its own files.
  { name: "Deno", path: bin("@deno/linux-x64-glibc/deno"), version: /^deno 2\./, args: ["run", "--no-prompt"] },
];

/** The results of the runtimes so far. */
const seen = new Set<string>();

test.each(runtimes)("$name", ({ path, version, args }) => {
  const run = (...argv: string[]): string =>
    execFileSync(path, argv, { cwd: here, encoding: "utf8", timeout: 200_000 });
  expect(run("--version")).toMatch(version);
  const elements = JSON.parse(run(...args, "main.mjs")) as Record<string, number>;
  expect(Object.keys(elements)).toEqual(["plain", "imported", "shared", "async"]);
  // The core decides, not the runtime; with threads a heap keeps more for itself.
  expect(elements).toEqual({
    plain: elements["plain"],
    imported: elements["plain"],
    shared: elements["shared"],
    async: elements["plain"],
  });
  expect(seen.add(JSON.stringify(elements)).size).toBe(1);
});

const nodes: readonly Ending[] = ["detach", "return", "throw", "reject", "exit", "terminate", "memory"];
/** The endings of each runtime. Only Node's workers have a memory limit; Deno's return only after `detach`. */
const exist: Readonly<Record<string, readonly Ending[]>> = {
  Bun: nodes.filter((ending) => ending !== "memory"),
  Deno: nodes.filter((ending) => ending !== "memory" && ending !== "return"),
};

describe.each(runtimes.slice(1))("what a thread owns when it ends, on $name", ({ name, path, args }) => {
  const endings = exist[name] ?? nodes;
  test.each(endings)("by %s, leaves nothing behind", async (ending) => {
    // Deno asks before it reads a worker's file.
    const cells = await runProgram(path, name === "Deno" ? [...args, "--allow-read"] : args, [ending]);
    const right = cellsOf([ending]).map(({ row }) => {
      const cell = cells.find(({ owned }) => owned === row.owned)!;
      return expected(row, ending, cell);
    });
    expect(new Map(cells.map((cell) => [cell.owned, cell]))).toEqual(new Map(right.map((cell) => [cell.owned, cell])));
  });
});
