/** Each relative link of each document leads to a file, and to a heading in it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import { pages, read, root } from "./pages.ts";

const documents = [
  ...pages,
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "guests/rust/README.md",
  "guests/zig/README.md",
  "guests/assemblyscript/README.md",
];

/** The anchors of a page, as GitHub and VitePress name them. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/^#{1,6} (.+)$/gm);
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

/** What is wrong with the links of a text that lies at a path. */
function faultsOf(path: string, text: string): string[] {
  const bare = text.replaceAll(/^```[^]*?^```$/gm, "").replaceAll(/`[^`\n]*`/g, "");
  return [...bare.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => {
    if (/^[a-z]+:/.test(link!)) return [];
    const [to = "", anchor] = link!.split("#");
    // The site's own pages, which the root of the site has: they are checked when it is built.
    if (to.startsWith("/")) return [];
    const target = to === "" ? path : normalize(join(dirname(path), to));
    const file = join(root, target);
    if (!existsSync(file)) return [`${path}: ${link}: no such file`];
    if (anchor === undefined) return [];
    const there = target === path ? text : readFileSync(file, "utf8");
    return anchorsOf(there).has(anchor) ? [] : [`${path}: ${link}: no such heading`];
  });
}

test.each(documents)("%s", (path) => {
  expect(faultsOf(path, read(path))).toEqual([]);
});

describe("the check", () => {
  test.each([
    ["[a](README.md)", 0],
    ["[a](nowhere.md)", 1],
    ["[a](README.md#install)", 0],
    ["[a](README.md#no-such-heading)", 1],
    ["[a](#here)\n# Here", 0],
    ["[a](docs)", 0],
    ["```md\n[a](nowhere.md)\n```", 0],
  ])("finds in %j so many faults: %i", (text, faults) => {
    expect(faultsOf("CHANGELOG.md", text)).toHaveLength(faults);
  });
});
