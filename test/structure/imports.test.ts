/** The layout of the sources: the tables of ARCHITECTURE.md against the imports. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { picture, tableAfter, violations, type Row } from "./imports.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const architecture = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");

describe("the table of ARCHITECTURE.md is the layout of", () => {
  const layouts: readonly [string, string][] = [
    ["assembly", "## The layers of the core"],
    ["src", "## The bindings"],
  ];
  test.each(layouts)("%s", (folder, heading) => {
    expect(violations(join(root, folder), tableAfter(architecture, heading))).toEqual([]);
  });

  test.each(layouts)("%s, whose picture shows the imports", (folder, heading) => {
    const drawn = picture(join(root, folder), tableAfter(architecture, heading));
    expect(architecture).toContain(`\`\`\`mermaid\n${drawn}\n\`\`\`\n`);
  });
});

describe("what the check finds", () => {
  const made: string[] = [];
  afterAll(() => made.forEach((folder) => rmSync(folder, { recursive: true })));

  function sources(files: Readonly<Record<string, string>>): string {
    const folder = mkdtempSync(join(tmpdir(), "imports-"));
    made.push(folder);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return folder;
  }
  const table: readonly Row[] = [
    { folder: "low", uses: [], types: [] },
    { folder: "high", uses: ["low"], types: [] },
  ];
  const low = "export class Low {}";
  const high = 'import { Low } from "../low/a.ts"; export class High extends Low {}';

  test("nothing where each arrow runs down", () => {
    expect(violations(sources({ "low/a.ts": low, "high/b.ts": high }), table)).toEqual([]);
  });

  test.each([
    ["by value", 'import { High } from "../high/c.ts";'],
    ["by type", 'import type { High } from "../high/c.ts";'],
    ["by a type among values", 'import { type High } from "../high/c.ts";'],
    ["by a re-export", 'export * from "../high/c.ts";'],
    ["by an import type", 'export type Other = import("../high/c.ts").High;'],
    ["by a dynamic import", 'export const later = () => import("../high/c.ts");'],
    ["without an extension, as in AssemblyScript", 'import { High } from "../high/c";'],
  ])("an arrow that runs back up %s", (_title, text) => {
    const folder = sources({
      "low/a.ts": low,
      "low/d.ts": text,
      "high/b.ts": high,
      "high/c.ts": "export class High {}",
    });
    expect(violations(folder, table)).toEqual(["low/d.ts -> high/c.ts: low may not use high"]);
  });

  test("an arrow that runs back up to another name than the type that a folder may use", () => {
    const files = { "low/a.ts": low, "high/b.ts": high, "high/c.ts": "export class High {} export class Other {}" };
    const rows = [{ ...table[0]!, types: ["High"] }, table[1]!];
    const of = (text: string) => violations(sources({ ...files, "low/d.ts": text }), rows);
    expect(of('import type { High } from "../high/c.ts";')).toEqual([]);
    const wrong = ["low/d.ts -> high/c.ts: low may not use high"];
    expect(of('import type { High, Other } from "../high/c.ts";')).toEqual(wrong);
    expect(of('import { High } from "../high/c.ts";')).toEqual(wrong);
  });

  test("a circle within a folder, also by type", () => {
    const one = 'import type { Two } from "./two.ts"; export class One { declare two: Two }';
    const two = 'import { One } from "./one.ts"; export class Two extends One {}';
    const folder = sources({ "low/a.ts": low, "high/b.ts": high, "high/one.ts": one, "high/two.ts": two });
    expect(violations(folder, table)).toEqual(["a circle: high/one.ts -> high/two.ts -> high/one.ts"]);
  });

  test("a missing, an unused and a reversed entry of the table", () => {
    const folder = sources({ "low/a.ts": low, "new/b.ts": high });
    expect(violations(folder, table)).toEqual([
      "new/b.ts: the table has no folder new",
      "the table: no import needs high -> low",
    ]);
    expect(violations(sources({ "low/a.ts": low }), [{ ...table[0]!, uses: ["low"] }])).toContain(
      "the table: low -> low runs back up",
    );
  });

  test("a document without the table", () => {
    expect(() => tableAfter(architecture, "## Nowhere")).toThrow("no table");
  });
});
