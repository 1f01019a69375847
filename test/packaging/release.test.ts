/** What a release says of itself: one version everywhere, and metadata that installs nothing but files. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { read, root } from "../docs/pages.ts";

const manifest = JSON.parse(read("package.json")) as Record<string, unknown> & {
  version: string;
  scripts: Record<string, string>;
};
const { version } = manifest;

test.each([
  ["package-lock.json", `"name": "wasm-mempool",\n  "version": "${version}"`],
  ["guests/rust/Cargo.toml", `name = "wasm-mempool"\nversion = "${version}"`],
  ["guests/rust/README.md", `wasm-mempool = "${version.replace(/\.\d+$/, "")}"`],
  ["README.md", `wasm-mempool-${version}.tgz`],
  ["CHANGELOG.md", `\n## ${version} - `],
])("%s has the version", (file, text) => expect(read(file)).toContain(text));

test("the newest changes are those of the version", () => {
  expect(/^## (\S+)/m.exec(read("CHANGELOG.md"))![1]).toBe(version);
});

test("an install runs nothing", () => {
  const names = Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name));
  expect(names).toEqual([]);
});

test("the lock file names no host", () => {
  expect(read("package-lock.json")).not.toContain('"resolved": "http');
});

test("the workflows run what is there", () => {
  const uses = read(".github/workflows/publish.yml").match(/uses: \.\/(\S+)/)![1]!;
  expect([uses, ".ci/run"].filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(read(uses)).toMatch(/- run: \.ci\/run$/m);
});
