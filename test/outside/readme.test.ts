/** The sizes and links in the documents against the build and the package. Their samples: test/packaging. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { createHeap, f32, struct, type Cursor } from "../../src/index.ts";
import { pages } from "../docs/pages.ts";
import { sizes } from "../golden/sizes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The bytes of a program with one pool, as its users get it. */
async function small(): Promise<number> {
  const { outputFiles } = await build({
    entryPoints: [join(root, "test/bundlers/small.mjs")],
    alias: { "wasm-mempool": join(root, "src/index.ts") },
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
}

let built: Record<string, number>;
let packed: readonly string[];
beforeAll(async () => {
  built = { ...(await sizes()), small: await small() };
  const json = execFileSync("npm", ["pack", "--ignore-scripts", "--dry-run", "--json"], {
    cwd: root,
    encoding: "utf8",
  });
  packed = (JSON.parse(json) as [{ files: { path: string }[] }])[0].files.map(({ path }) => path);
});

const figure = /(\d+(?:\.\d+)?) kB\b/;
/** A mention as a pattern: # is the figure, * is anything within a cell. */
const source = (text: string): string =>
  text
    .split(/([#*])/)
    .map((part) =>
      part === "#" ? figure.source : part === "*" ? "[^|]*?" : part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"),
    )
    .join("");
/** The text in one line, with single spaces. */
const plain = (text: string): string => text.replaceAll(/\s+(\* )?/g, " ");
const count = (file: string) => [...plain(read(file)).matchAll(new RegExp(figure, "g"))].length;

/** Paths that a document links to, without anchors and other sites. */
const linksOf = (file: string): string[] =>
  [...read(file).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, to]) => to!.replace(/#.*/, ""))
    .filter((to) => to !== "" && !/^[a-z]+:/.test(to))
    .map((to) => normalize(join(dirname(file), to)));

describe("sizes of what is shipped", () => {
  const gz = "entry.min.js.gz";
  /** Each mention: the file, the text with a # for the figure, and the thing whose size it is. */
  const mentions: readonly [file: string, text: string, of: string][] = [
    ["README.md", "One Wasm module of # written", "core.wasm"],
    ["docs/speed.md", "core.wasm; core.shared.wasm | #;", "core.wasm"],
    ["docs/speed.md", "core.wasm; core.shared.wasm | *; # |", "core.shared.wasm"],
    ["docs/speed.md", "its other half, control.shared.wasm | # |", "control.shared.wasm"],
    ["docs/speed.md", "malloc.wasm; malloc.shared.wasm | #;", "malloc.wasm"],
    ["docs/speed.md", "malloc.wasm; malloc.shared.wasm | *; # |", "malloc.shared.wasm"],
    ["docs/speed.md", "a program with one pool, bundled, minified, gzipped | # |", "small"],
    ["docs/speed.md", "the whole package, bundled, minified, gzipped | # |", gz],
    ["src/heap/create.ts", "the module, of some #, is compiled", "core.wasm"],
    ["src/shared/create.ts", "halves of its core, of #", "core.shared.wasm"],
    ["src/shared/create.ts", "of its core, of * and #, are", "control.shared.wasm"],
  ];

  test.each(mentions)("%s: %s is within a twentieth of the build's", (file, text, of) => {
    const found = new RegExp(source(text)).exec(plain(read(file)));
    expect(found, text).not.toBe(null);
    const off = Math.abs((Number(found![1]) * 1000) / built[of]! - 1);
    expect(off, `${file} says ${found![1]} kB, but ${of} has ${built[of]} bytes`).toBeLessThan(0.05);
  });

  test("no other figure in kB occurs but goals and benchmark results", () => {
    const files = [
      "README.md",
      ...pages.filter((page) => page.startsWith("docs/guides/") || page.startsWith("docs/recipes/")),
      "docs/start.md",
      "docs/calls.md",
      "docs/speed.md",
      "ARCHITECTURE.md",
      "CONTRIBUTING.md",
      "include/wasm_mempool.h",
      "docs/for-kernel-people.md",
    ];
    for (const each of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }))
      if (each.endsWith(".ts") && !each.startsWith("generated")) files.push(`src/${each}`);
    const goals = { "docs/speed.md": 6 };
    for (const file of files) {
      const held = mentions.filter(([each]) => each === file).length + ((goals as Record<string, number>)[file] ?? 0);
      expect([file, count(file)]).toEqual([file, held]);
    }
  });

  test("no module's size has another unit", () => {
    const near = /(?:[Mm]odule|[Cc]ore|[Pp]ackage|[Bb]undle)[^.|]{0,40}?\b\d[\d,]*(?:\.\d+)? (?:KB|KiB|bytes)\b/g;
    for (const file of [
      "README.md",
      "docs/speed.md",
      "docs/guides/memory.md",
      "src/heap/create.ts",
      "src/core/modules.ts",
      "src/index.ts",
    ]) {
      expect([file, ...(plain(read(file)).match(near) ?? [])]).toEqual([file]);
    }
  });

  test("the benchmark's table of sizes is close to this build", () => {
    // The build that was measured together with all other allocators.
    const row = /\| wasm-mempool, core\.wasm +\| +([\d,]+) \|/.exec(read("docs/when-not.md"))!;
    expect(Math.abs(Number(row[1]!.replaceAll(",", "")) / built["core.wasm"]! - 1)).toBeLessThan(0.15);
  });
});

describe("links", () => {
  test("the package has every file that the README links to", () => {
    const links = linksOf("README.md");
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((to) => !packed.includes(to))).toEqual([]);
  });

  test("every link of a packed document leads to a file", () => {
    const documents = packed.filter((path) => path.endsWith(".md"));
    expect(documents).toContain("docs/when-not.md");
    const missing = documents.flatMap((file) =>
      linksOf(file)
        .filter((to) => /\.(md|h|svg)$/.test(to) && !packed.includes(to))
        .map((to) => `${file}: ${to}`),
    );
    expect(missing).toEqual([]);
  });

  test("the package has every file that the exports name", () => {
    const { exports, main, types } = JSON.parse(read("package.json")) as {
      exports: Record<string, string | Record<string, string>>;
      main: string;
      types: string;
    };
    const named = [
      main,
      types,
      ...Object.values(exports).flatMap((each) => (typeof each === "string" ? [each] : Object.values(each))),
    ];
    expect(named.map((path) => normalize(path)).filter((path) => !packed.includes(path))).toEqual([]);
  });
});

test("no document advises to split functions", () => {
  const sources = readdirSync(join(root, "src/struct")).map((name) => `src/struct/${name}`);
  for (const file of [
    "README.md",
    "docs/guides/structs.md",
    ...sources,
    "docs/when-not.md",
    "docs/for-kernel-people.md",
  ]) {
    expect([file, /ten (field )?accesses|keep (hot )?functions short/i.test(read(file))]).toEqual([file, false]);
  }
});

test("the README's form for hot loops gives the cursor's results", () => {
  const Particle = struct({ x: f32, vx: f32 });
  const heap = createHeap();
  const particles = heap.create({ size: Particle, minNr: 4 });
  const cursor: Cursor<typeof Particle> = Particle.cursor(heap);
  for (let at = particles.alloc(), i = 0; at && i < 10; at = particles.alloc(), i++) cursor.move(at).vx = i;
  const { x, vx } = Particle.f32;
  const f = heap.f32;
  for (const at of particles.live()) f[(at >>> 2) + x] = 2 * f[(at >>> 2) + vx]!;
  for (const at of particles.live()) expect(cursor.move(at).x).toBe(2 * cursor.vx);
});
