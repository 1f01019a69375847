/** The core's exports, as the header for C and the interface for TypeScript have them: by name, parameters and result. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, test } from "vitest";
import { disassemble, type Module } from "./module.ts";

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Function name to "parameters -> results", each only counted: the ABI has but i32 and f64. */
type Shapes = Record<string, string>;

const sorted = (shapes: Shapes): Shapes => Object.fromEntries(Object.entries(shapes).toSorted());
const shapes = ({ functions }: Module): Shapes =>
  Object.fromEntries(
    [...functions].map(([name, { params, results }]) => [name, `${params.length} -> ${results.length}`]),
  );

let core: Module;
let inspector: Module;
beforeAll(async () => {
  core = await disassemble("core.shared");
  inspector = await disassemble("inspect.shared");
});

test("every parameter and result is an i32 or an f64", () => {
  const types = [core, inspector].flatMap(({ functions }) =>
    [...functions.values()].flatMap((f) => f.params.concat(f.results)),
  );
  expect(types.filter((type) => type !== "i32" && type !== "f64")).toEqual([]);
});

describe("docs/abi.h", () => {
  const header = readFileSync(at("docs/abi.h"), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");

  test("declares each export, as it is, and nothing else", () => {
    const declared: Shapes = {};
    for (const [, result, name, list] of header.matchAll(/^(\w+) (\w+)\(([^)]*)\);/gm)) {
      declared[name!] = `${list === "void" ? 0 : list!.split(",").length} -> ${result === "void" ? 0 : 1}`;
    }
    expect(sorted(declared)).toEqual(sorted({ ...shapes(core), ...shapes(inspector) }));
  });

  const hasCompiler = spawnSync("cc", ["--version"]).status === 0;
  test.skipIf(!hasCompiler && !process.env["CI"])("is C", () => {
    execFileSync("cc", [
      "-std=c99",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-pedantic",
      "-fsyntax-only",
      "-x",
      "c",
      at("docs/abi.h"),
    ]);
  });

  test("has the version that the core reports", () => {
    const module = new WebAssembly.Module(readFileSync(at("build/core.wasm")));
    const exports = new WebAssembly.Instance(module, {}).exports as { abi_version(): number };
    expect(readFileSync(at("docs/abi.h"), "utf8")).toContain(`The version is ${exports.abi_version()};`);
  });
});

describe("src/wasm.ts", () => {
  const source = ts.createSourceFile("wasm.ts", readFileSync(at("src/wasm.ts"), "utf8"), ts.ScriptTarget.Latest);

  function methodsOf(name: string): Shapes {
    const found: Shapes = {};
    for (const statement of source.statements) {
      if (!ts.isInterfaceDeclaration(statement) || statement.name.text !== name) continue;
      for (const member of statement.members) {
        if (!ts.isMethodSignature(member)) continue;
        const results = member.type?.kind === ts.SyntaxKind.VoidKeyword ? 0 : 1;
        found[member.name.getText(source)] = `${member.parameters.length} -> ${results}`;
      }
    }
    return found;
  }

  test("Core lists each export of the core, as it is, and nothing else", () => {
    expect(sorted(methodsOf("Core"))).toEqual(sorted(shapes(core)));
  });

  test("Inspector lists those of the inspector", () => {
    expect(sorted(methodsOf("Inspector"))).toEqual(sorted(shapes(inspector)));
  });
});
