/** The core's exports, as the header for C and the interface for TypeScript have them: by name, parameters and result. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, test } from "vitest";
import { halvesOf, isOfAbi } from "../instantiate.ts";
import { disassemble, type Module } from "./module.ts";

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Function name to "parameters -> results", each only counted: the ABI has only i32 and f64. */
type Shapes = Record<string, string>;

const sorted = (shapes: Shapes): Shapes => Object.fromEntries(Object.entries(shapes).toSorted());
const shapes = ({ functions }: Pick<Module, "functions">): Shapes =>
  Object.fromEntries(
    [...functions].map(([name, { params, results }]) => [name, `${params.length} -> ${results.length}`]),
  );

let core: Pick<Module, "functions">;
let inspector: Module;
beforeAll(async () => {
  const halves = await Promise.all(halvesOf("core.shared").map(disassemble));
  core = { functions: new Map(halves.flatMap((half) => [...half.functions].filter(([name]) => isOfAbi(name)))) };
  inspector = await disassemble("inspect.shared");
});

test("every parameter and result is an i32 or an f64", () => {
  const types = [core, inspector].flatMap(({ functions }) =>
    [...functions.values()].flatMap((f) => f.params.concat(f.results)),
  );
  expect(types.filter((type) => type !== "i32" && type !== "f64")).toEqual([]);
});

describe("include/wasm_mempool.h", () => {
  const header = readFileSync(at("include/wasm_mempool.h"), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");

  test("declares exactly the exports", () => {
    const declared: Shapes = {};
    for (const [, result, name, list] of header.matchAll(/^(\w+) (\w+)\(([^)]*)\);/gm)) {
      declared[name!] = `${list === "void" ? 0 : list!.split(",").length} -> ${result === "void" ? 0 : 1}`;
    }
    expect(sorted(declared)).toEqual(sorted({ ...shapes(core), ...shapes(inspector) }));
  });

  // With a user's own names, which the header must not use.
  const user = `typedef struct pool pool; typedef int arena; typedef char address;
    #include "wasm_mempool.h"
    mempool_t p; mempool_arena_t a; mempool_address_t at; int code = MEMPOOL_BAD_ARGUMENT;
    int32_t use(void); int32_t use(void) { return mempool_free(p, mempool_alloc(p)) + heap_error(); }`;
  test.each([
    ["C99", "cc", "-xc", "-std=c99"],
    ["C++17", "c++", "-xc++", "-std=c++17"],
  ])("is valid %s", (_language, compiler, ...flags) => {
    const has = spawnSync(compiler, ["--version"]).status === 0;
    if (!has && !process.env["CI"]) return;
    const all = [...flags, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", at("include"), "-S", "-o", "-", "-"];
    // Alone, too: the header must not need a user's types.
    execFileSync(compiler, all, { input: '#include "wasm_mempool.h"\n', encoding: "utf8" });
    const assembly = execFileSync(compiler, all, { input: user, encoding: "utf8" });
    // Names as the modules export them, in C++ too.
    expect(assembly).toMatch(/\bmempool_alloc\b/);
  });

  test("has the version that the core reports", () => {
    const module = new WebAssembly.Module(readFileSync(at("build/core.wasm")));
    const exports = new WebAssembly.Instance(module, {}).exports as { abi_version(): number };
    expect(readFileSync(at("include/wasm_mempool.h"), "utf8")).toContain(`The version is ${exports.abi_version()};`);
  });
});

describe("include/wasm_mempool_malloc.h", () => {
  const header = readFileSync(at("include/wasm_mempool_malloc.h"), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");

  test("declares exactly the exports of the malloc builds, and the functions that a program may define", async () => {
    const declared: Shapes = {};
    for (const [, result, name, list] of header.matchAll(/^([\w ]+?) \*?(\w+)\(([^)]*)\);/gm)) {
      const isVoid = result === "void" && !header.includes(`void *${name}(`);
      declared[name!] = `${list === "void" ? 0 : list!.split(",").length} -> ${isVoid ? 0 : 1}`;
    }
    const { wasm_mempool_bad_free: badFree, wasm_mempool_grown: grown, ...others } = declared;
    expect([badFree, grown]).toEqual(["2 -> 0", "0 -> 0"]);
    expect(sorted(others)).toEqual(sorted(shapes(await disassemble("malloc"))));
    const reaping = { heap_label: "1 -> 0", heap_find_thread: "1 -> 1", heap_reap: "2 -> 1" };
    expect(sorted({ ...others, ...reaping })).toEqual(sorted(shapes(await disassemble("malloc.shared"))));
  });

  test.each([
    ["C99", "cc", "-xc", "-std=c99"],
    ["C++17", "c++", "-xc++", "-std=c++17"],
  ])("is valid %s, with stdlib.h before it", (_language, compiler, ...flags) => {
    const has = spawnSync(compiler, ["--version"]).status === 0;
    if (!has && !process.env["CI"]) return;
    const all = [...flags, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", at("include"), "-S", "-o", "-", "-"];
    execFileSync(compiler, all, { input: '#include <stdlib.h>\n#include "wasm_mempool_malloc.h"\n', encoding: "utf8" });
  });
});

describe("src/core/abi.ts", () => {
  const source = ts.createSourceFile("abi.ts", readFileSync(at("src/core/abi.ts"), "utf8"), ts.ScriptTarget.Latest);

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

  test("Core lists exactly the exports of the core", () => {
    expect(sorted(methodsOf("Core"))).toEqual(sorted(shapes(core)));
  });

  test("Inspector lists the exports of the inspector", () => {
    expect(sorted(methodsOf("Inspector"))).toEqual(sorted(shapes(inspector)));
  });
});
