/** The same smoke test on every runtime, one after the other. `npm run test:runtimes` installs them first. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

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

/** What the runtimes so far have said. */
const seen = new Set<string>();

test.each(runtimes)("$name", ({ path, version, args }) => {
  const run = (...argv: string[]): string => execFileSync(path, argv, { cwd: here, encoding: "utf8", timeout: 30_000 });
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
