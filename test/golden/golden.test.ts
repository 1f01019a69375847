/**
 * What we ship, held against what is written down beside this file: a change of the ABI or of a size is seen in review,
 * not found by users. `npm run golden:update` writes it down anew.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { beforeAll, describe, expect, test } from "vitest";
import { built, disassemble, type Module } from "./module.ts";
import { budgets, recorded, sizes } from "./sizes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const cores = ["core", "core.imported", "core.shared"];
const inspectors = ["inspect.imported", "inspect.shared"];

describe.each([...cores, ...inspectors])("%s.wasm", (name) => {
  let module: Module;
  beforeAll(async () => {
    module = await disassemble(name);
  });

  test("imports, exports, memory and globals are those written down", async () => {
    await expect(module.summary).toMatchFileSnapshot(`${name}.txt`);
  });

  test("nothing is written to memory, run or linked when it is instantiated", () => {
    // A data segment would be written again over live memory by each thread that instantiates the shared build.
    const atInstantiation = ["data", "datacount", "start", "table", "elem", "tag"];
    expect(atInstantiation.filter((kind) => module.fields.has(kind))).toEqual([]);
    expect(module.fields.get("func")).toBeGreaterThan(0);
  });

  test("its one import is its memory, if it has none of its own", () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(built(name))));
    expect(imports).toEqual(name === "core" ? [] : [{ module: "env", name: "memory", kind: "memory" }]);
  });
});

test("the builds of the core export the same, and the one with threads what only threads need", async () => {
  const [plain, imported, shared] = await Promise.all(cores.map((name) => disassemble(name)));
  expect(imported!.functions).toEqual(plain!.functions);
  for (const [name, type] of plain!.functions) expect([name, shared!.functions.get(name)]).toEqual([name, type]);
});

describe("sizes", () => {
  let measured: Record<string, number>;
  beforeAll(async () => {
    measured = await sizes();
  });

  test.each(Object.entries(budgets))("%s has at most %i bytes", (name, budget) => {
    expect(measured[name]).toBeLessThanOrEqual(budget);
  });

  test("are those written down", async () => {
    // The gzipped size differs by a few bytes from one zlib to another.
    const gz = "entry.min.js.gz";
    const before = recorded()[gz]!;
    const now = Math.abs(measured[gz]! - before) <= 32 ? { ...measured, [gz]: before } : measured;
    await expect(`${JSON.stringify(now, null, 2)}\n`).toMatchFileSnapshot("sizes.json");
  });
});

test.each([
  ["core", "index", "plain"],
  ["core.shared", "shared", "shared"],
])("%s.wasm: compiled again, the same bytes", async (name, entry, target) => {
  let bytes: Uint8Array | undefined;
  const { error, stderr } = await asc.main([`assembly/${entry}.ts`, "--target", target, "-o", "again.wasm"], {
    readFile: (file, base) => {
      try {
        return readFileSync(`${base ?? root}/${file}`, "utf8");
      } catch {
        return null;
      }
    },
    writeFile: (_name, contents) => {
      bytes = contents as Uint8Array;
    },
  });
  expect(error, stderr.toString()).toBe(null);
  expect(Buffer.from(bytes!).equals(readFileSync(built(name)))).toBe(true);
});
