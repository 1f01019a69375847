/** The tables of docs/for-kernel-people.md: each row names a part of the package and a test, and both exist. */
import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { cases } from "../sim/cases.ts";
import { matrix } from "../sim/matrix.ts";
import { mutants } from "../sim/mutants.ts";
import { sizing } from "../sim/sizing.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), "utf8");

// ---------------------------------------------------------------------------------------------------- the tables

interface Row {
  readonly line: number;
  readonly cells: readonly string[];
}

/** The tables of a page: without their lines of dashes, the first row of each its headings. */
function tablesOf(text: string): Row[][] {
  const tables: Row[][] = [];
  let isInside = false;
  text.split("\n").forEach((content, i) => {
    if (!content.startsWith("|")) isInside = false;
    else {
      if (!isInside) tables.push([]);
      isInside = true;
      const cells = content.split("|").slice(1, -1);
      if (!cells.every((cell) => /^ *:?-+:? *$/.test(cell))) {
        tables.at(-1)!.push({ line: i + 1, cells: cells.map((cell) => cell.trim()) });
      }
    }
  });
  return tables;
}

/** The tests that a cell names: `file` title; `file` title. A title may be told apart by what it is in: outer > title. */
function shownBy(cell: string): { file: string; title: string }[] {
  return cell
    .split(/(?:^|; )(?=`)/)
    .filter((part) => part !== "")
    .map((part) => {
      const [, file = "", title = ""] = /^`([^`]+)` (.+)$/.exec(part) ?? [];
      return { file: `test/${file}`, title };
    });
}

// ---------------------------------------------------------------------------------------------------- tests there are

/** The titles from the outermost describe to the test; and every name that the file has for a $name. */
interface TestFile {
  readonly paths: readonly (readonly string[])[];
  readonly names: ReadonlySet<string>;
}

/** Stands in a title where a value will. */
const HOLE = "\0";

function titleOf(node: ts.Node | undefined): string | undefined {
  if (!node) return undefined;
  if (ts.isStringLiteralLike(node)) {
    return node.text.replaceAll(/\$[a-z][\w.]*|%[sdifjo#]/gi, HOLE);
  }
  if (ts.isTemplateExpression(node)) {
    return [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join(HOLE);
  }
  return undefined;
}

/** The names of the called function, from its root: ["test", "each"] of test.each(table)(…). */
function called(node: ts.Expression): string[] {
  if (ts.isIdentifier(node)) return [node.text];
  if (ts.isPropertyAccessExpression(node)) return [...called(node.expression), node.name.text];
  if (ts.isCallExpression(node)) return called(node.expression);
  return [];
}

function testsOf(text: string): TestFile {
  const paths: string[][] = [];
  const names = new Set<string>();
  const visit = (node: ts.Node, outer: readonly string[]): void => {
    let inner = outer;
    if (ts.isPropertyAssignment(node) && node.name.getText() === "name" && ts.isStringLiteralLike(node.initializer)) {
      names.add(node.initializer.text);
    }
    if (ts.isCallExpression(node)) {
      const [root = "", ...ways] = called(node.expression);
      const title = titleOf(node.arguments[0]);
      const isOff = ways.includes("skip") || ways.includes("todo");
      if (title !== undefined && !isOff) {
        if (root === "describe") inner = [...outer, title];
        if (root === "test" || root === "it") paths.push([...outer, title]);
      }
      if (isOff) return;
    }
    ts.forEachChild(node, (child) => visit(child, inner));
  };
  visit(ts.createSourceFile("a.ts", text, ts.ScriptTarget.Latest, true), []);
  return { paths, names };
}

/** Whether a title in the source can be this one. If the source has hardly any text of it, its table must have it. */
function makes(written: string, title: string, names: ReadonlySet<string>): boolean {
  const literal = written.split(HOLE);
  if (!/\p{L}{3}/u.test(literal.join(" "))) return literal.join("") === "" && names.has(title);
  const pattern = literal.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join(".+");
  return new RegExp(`^${pattern}$`, "u").test(title);
}

/** How many tests of a file have this title; if any has it word for word, those. */
function count({ paths, names }: TestFile, title: string): number {
  const wanted = title.split(" > ");
  const tails = paths.map((path) => path.slice(-wanted.length)).filter((tail) => tail.length === wanted.length);
  const exact = tails.filter((tail) => tail.at(-1) === wanted.at(-1));
  const found = (exact.length > 0 ? exact : tails).filter((tail) =>
    tail.every((written, i) => makes(written, wanted[i]!, names)),
  );
  return found.length;
}

const searched: Readonly<Record<string, readonly { readonly name: string }[]>> = {
  "test/sim/cases.ts": cases.filter((one) => !sizing.includes(one)),
  "test/sim/sizing.ts": sizing,
  "test/sim/matrix.ts": matrix,
  "test/sim/mutants.ts": mutants,
};
const files = new Map<string, TestFile>();

/** The fault of a reference to a test; "" if there is none. */
function fault({ file, title }: { file: string; title: string }): string {
  if (title === "") return 'no `file` with a title after it; and "; " between two';
  const list = searched[file];
  if (list) {
    return list.some(({ name }) => name === title) ? "" : `no case of this name in ${file}: ${title}`;
  }
  if (!files.has(file)) {
    try {
      files.set(file, testsOf(read(file)));
    } catch {
      return `no such file: ${file}`;
    }
  }
  const tests = count(files.get(file)!, title);
  return tests === 1 ? "" : `${tests === 0 ? "no test" : "more than one"} of this title in ${file}: ${title}`;
}

// ---------------------------------------------------------------------------------------------------- what is ours

const words = new Set(
  readdirSync(new URL("src/", ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.startsWith("generated"))
    .flatMap((name) => read(`src/${name}`).match(/[A-Za-z_]\w*/g) ?? []),
);

/** The words in a cell's code that nothing in src/ is called. */
const unknownIn = (cell: string): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)]
    .flatMap(([, code]) => code!.replaceAll(/"[^"]*"/g, "").match(/[A-Za-z_]\w*/g) ?? [])
    .filter((word) => !words.has(word));

// ---------------------------------------------------------------------------------------------------- the page

const tables = tablesOf(read("docs/for-kernel-people.md"));
const [linux = [], others = []] = tables.map((table) => table.slice(1));
const textOf = (rows: readonly Row[]): string => rows.map(({ cells }) => cells.join(" ")).join("\n");

/** Every public entry of include/linux/mempool.h, and each rule, by a word of its row. */
const ENTRIES = [
  ..."init init_node create create_node init_slab_pool create_slab_pool init_kmalloc_pool create_kmalloc_pool".split(
    " ",
  ),
  ..."init_page_pool create_page_pool exit destroy resize alloc alloc_preallocated alloc_bulk free free_bulk".split(
    " ",
  ),
  ..."initialized is_saturated".split(" "),
].map((name) => `\`mempool_${name}\``);
const RULES = "abcdefghijkl".split("").map((letter) => `(${letter})`);
const SYSTEMS = ["DPDK", "Zephyr", "CMSIS-RTOS2", "ThreadX"];

describe("docs/for-kernel-people.md", () => {
  test("has two tables, each with its headings", () => {
    expect(tables.map((table) => table[0]!.cells)).toEqual([
      ["Linux", "ours", "same or different, and why", "shown by"],
      ["elsewhere", "ours", "same or different, and why", "shown by"],
    ]);
  });

  test("has a row for each entry point and rule of Linux", () => {
    const text = textOf(linux.map(({ line, cells }) => ({ line, cells: cells.slice(0, 1) })));
    expect([...ENTRIES, ...RULES].filter((name) => !text.includes(name))).toEqual([]);
  });

  test("has rows of each of the others", () => {
    const systems = others.map(({ cells }) => cells[0]!.split(":")[0]!);
    expect([...new Set(systems)].toSorted()).toEqual(SYSTEMS.toSorted());
    for (const system of SYSTEMS) expect(systems.filter((name) => name === system).length).toBeGreaterThan(5);
  });

  test.each([...linux, ...others].map(({ line, cells }) => ({ line, name: cells[0]!, cells })))(
    "line $line: $name",
    ({ cells }) => {
      expect(cells).toHaveLength(4);
      const [what, ours, verdict, tests] = cells as [string, string, string, string];
      expect(what).not.toBe("");
      expect(verdict).toMatch(/^(same$|(same|different|not ours|not yet): .)/);
      // Only a part of the package has a name.
      expect(/^(not ours|not yet)/.test(verdict), "the verdict, of what is ours").toBe(ours === "none");
      if (ours !== "none") expect(unknownIn(ours)).toEqual([]);
      const references = shownBy(tests);
      expect(references).not.toEqual([]);
      expect(references.map(fault).filter((found) => found !== "")).toEqual([]);
    },
  );
});

describe("the check of the tables", () => {
  // Text that does not run: a row must not refer to a skipped test.
  const file = testsOf(`
    describe.each(builds)("pools: $name", (build) => {
      test("one", () => {});
      test("some of many users (of many)", () => {});
      test.skip("skipped", () => {});
      describe.skip("off", () => { test("inside", () => {}); });
      describe("outer", () => { test("twice", () => {}); });
      describe("other", () => { test("twice", () => {}); });
      test.each([1, 2])("%i users (of many)", () => {});
      it.each(list)("$name", { timeout: 5 }, () => {});
      test(\`\${n} kills\`, () => {});
    });
    const list = [{ name: "listed" }];
    expect("no title");
  `);

  test.each([
    ["one", 1],
    ["pools: plain > one", 1],
    ["outer > one", 0],
    ["on", 0],
    ["ones", 0],
    ["skipped", 0],
    ["inside", 0],
    ["twice", 2],
    ["other > twice", 1],
    ["2 users (of many)", 1],
    ["some of many users (of many)", 1],
    ["users (of many)", 0],
    ["2 users of many", 0],
    ["listed", 1],
    ["not listed", 0],
    ["100 kills", 1],
    ["no title", 0],
  ])("finds %s so many times: %i", (title, times) => {
    expect(count(file, title)).toBe(times);
  });

  test.each([
    ["contract/order.test.ts", "there is no such test"],
    ["contract/none.test.ts", "the reserve is a stack"],
    ["sim/cases.ts", "there is no such case"],
    ["sim/cases.ts", "two resize"],
    ["contract/order.test.ts", ""],
  ])("finds fault with %s %s", (name, title) => {
    expect(fault({ file: `test/${name}`, title })).not.toBe("");
  });

  test("reads a cell with several tests", () => {
    expect(shownBy("`a.ts` one, two; `b.ts` three; four")).toEqual([
      { file: "test/a.ts", title: "one, two" },
      { file: "test/b.ts", title: "three; four" },
    ]);
    expect(shownBy("somewhere")).toEqual([{ file: "test/", title: "" }]);
    expect(unknownIn('`alloc()`, `create({ backend: "nothing" })`, `never_heard_of`')).toEqual(["never_heard_of"]);
  });
});
