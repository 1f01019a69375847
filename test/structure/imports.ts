/** Reads the imports of a folder of sources, and holds them to a table of ARCHITECTURE.md. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import ts from "typescript";

/** One arrow: from a file to a file, both relative to the root, by value or by type. */
export interface Import {
  readonly from: string;
  readonly to: string;
  /** The names imported; "*" for all. */
  readonly names: readonly string[];
  readonly isType: boolean;
}

/** A row of a table: the folder; the folders that it may use; the types that it may use of any folder. */
export interface Row {
  readonly folder: string;
  readonly uses: readonly string[];
  readonly types: readonly string[];
}

/** The table with the columns folder, owns, may use that comes after a heading. Cells have names in backticks. */
export function tableAfter(markdown: string, heading: string): Row[] {
  const lines = markdown.slice(markdown.indexOf(heading) + heading.length).split("\n");
  const start = lines.findIndex((line) => /^\| folder +\| owns +\| may use +\|$/.test(line));
  if (!markdown.includes(heading) || start < 0)
    throw new Error(`no table "folder | owns | may use" after "${heading}"`);
  const rows: Row[] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith("|")) break;
    const cells = line.split("|").map((cell) => cell.trim());
    const [folder, uses] = [cells[1]!, cells.at(-2)!];
    rows.push({
      folder: folder.replaceAll("`", ""),
      uses: [...uses.replaceAll(/type `\w+`/g, "").matchAll(/`([\w-]+)`/g)].map(([, name]) => name!),
      types: [...uses.matchAll(/type `(\w+)`/g)].map(([, name]) => name!),
    });
  }
  return rows;
}

/** Every import, re-export, dynamic import and import type of the .ts files under a root that leads to a file there. */
export function importsIn(root: string): Import[] {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  return files.flatMap((file) => importsOf(root, file));
}

function importsOf(root: string, file: string): Import[] {
  const path = join(root, file);
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, names: readonly string[], isType: boolean): void => {
    if (!specifier || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith(".")) return;
    found.push({ from: file, to: target(root, path, specifier.text), names, isType });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const { importClause: clause } = node;
      const bindings = clause?.namedBindings;
      const elements = bindings && ts.isNamedImports(bindings) ? bindings.elements : undefined;
      const isType = clause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
      const names = elements?.map((each) => (each.propertyName ?? each.name).text) ?? ["*"];
      add(node.moduleSpecifier, names, isType || (elements?.every((each) => each.isTypeOnly) ?? false));
    } else if (ts.isExportDeclaration(node)) {
      const elements =
        node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : undefined;
      const names = elements?.map((each) => (each.propertyName ?? each.name).text) ?? ["*"];
      add(node.moduleSpecifier, names, node.isTypeOnly || (elements?.every((each) => each.isTypeOnly) ?? false));
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, [node.qualifier?.getText(source) ?? "*"], true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], ["*"], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** AssemblyScript's imports have no extension. */
function target(root: string, from: string, specifier: string): string {
  const path = resolve(dirname(from), specifier);
  const found = [path, `${path}.ts`, join(path, "index.ts")].find((each) => each.endsWith(".ts") && existsSync(each));
  if (!found) throw new Error(`${from} imports ${specifier}, which is not there`);
  return relative(root, found);
}

/** The folder of a file; a file at the root is a folder of its own. */
const folderOf = (file: string): string => file.split("/")[0]!.replace(/\.ts$/, "");

/** The faults: an arrow that the table lacks or that runs back, an arrow of the table that no import needs, a circle. */
export function violations(root: string, table: readonly Row[]): string[] {
  const imports = importsIn(root);
  const order = table.map(({ folder }) => folder);
  const rows = new Map(table.map((row) => [row.folder, row]));
  const isExempt = ({ from, names, isType }: Import): boolean => {
    const types = rows.get(folderOf(from))?.types ?? [];
    return isType && names.every((name) => types.includes(name));
  };
  const wrong: string[] = [];
  for (const { folder, uses } of table) {
    for (const other of uses) {
      if (!(order.indexOf(other) < order.indexOf(folder))) wrong.push(`the table: ${folder} -> ${other} runs back up`);
    }
  }
  const needed = new Set<string>();
  for (const each of imports) {
    const [from, to] = [folderOf(each.from), folderOf(each.to)];
    if (from === to) continue;
    if (!rows.has(from)) wrong.push(`${each.from}: the table has no folder ${from}`);
    else if (rows.get(from)!.uses.includes(to)) needed.add(`${from} -> ${to}`);
    else if (!isExempt(each)) wrong.push(`${each.from} -> ${each.to}: ${from} may not use ${to}`);
  }
  for (const { folder, uses } of table) {
    for (const other of uses) {
      if (!needed.has(`${folder} -> ${other}`)) wrong.push(`the table: no import needs ${folder} -> ${other}`);
    }
  }
  return [...wrong, ...circles(imports.filter((each) => !isExempt(each)))];
}

/** Each circle once, from its first file by name. */
function circles(imports: readonly Import[]): string[] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of imports) next.set(from, (next.get(from) ?? new Set()).add(to));
  const found = new Set<string>();
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      const circle = path.slice(at);
      const first = circle.indexOf(circle.toSorted()[0]!);
      found.add(`a circle: ${[...circle.slice(first), ...circle.slice(0, first), circle[first]!].join(" -> ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const to of next.get(file) ?? []) walk(to, [...path, file]);
    done.add(file);
  };
  for (const file of next.keys()) walk(file, []);
  return [...found];
}

/** The arrows between the folders as a Mermaid graph, without those that a longer way through other folders shows. */
export function picture(root: string, table: readonly Row[]): string {
  const order = table.map(({ folder }) => folder);
  const types = new Map(table.map((row) => [row.folder, row.types]));
  const uses = new Map<string, Set<string>>(order.map((folder) => [folder, new Set()]));
  for (const { from, to, names, isType } of importsIn(root)) {
    const [lower, upper] = [folderOf(to), folderOf(from)];
    if (lower === upper || (isType && names.every((name) => types.get(upper)?.includes(name)))) continue;
    uses.get(upper)?.add(lower);
  }
  const reaches = (from: string, to: string): boolean =>
    [...uses.get(from)!].some((each) => each === to || reaches(each, to));
  const arrows = order.flatMap((from) =>
    order
      .filter((to) => uses.get(from)!.has(to))
      .filter((to) => ![...uses.get(from)!].some((via) => via !== to && reaches(via, to)))
      .map((to) => `  ${from} --> ${to}`),
  );
  return ["graph BT", ...arrows].join("\n");
}
