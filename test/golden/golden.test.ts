/**
 * The shipped modules against the records beside this file, so that a change of the ABI or of a size shows in a diff.
 * `npm run golden:update` writes the records.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { halvesOf, isOfAbi } from "../instantiate.ts";
import { disassemble, type Module } from "./module.ts";
import { budgets, recorded, sizes } from "./sizes.ts";

const cores = ["core", "core.imported", "core.shared", "control.shared"];
const inspectors = ["inspect.imported", "inspect.shared"];
const mallocs = ["malloc", "malloc.shared"];
const guarded = "core.guarded";

describe.each([...cores, ...inspectors, ...mallocs, guarded])("%s.wasm", (name) => {
  let module: Module;
  beforeAll(async () => {
    module = await disassemble(name);
  });

  test("imports, exports, memory and globals are as recorded", async () => {
    await expect(module.summary).toMatchFileSnapshot(`${name}.txt`);
  });

  test("an instantiation writes no memory and runs no code", () => {
    // A data segment would be written again over live memory by each thread that instantiates the shared build.
    const atInstantiation = ["data", "datacount", "start", "table", "elem", "tag"];
    expect(atInstantiation.filter((kind) => module.fields.has(kind))).toEqual([]);
    expect(module.fields.get("func")).toBeGreaterThan(0);
  });

  test("it imports nothing but a memory and the other half of its core", () => {
    const imports = [...module.summary.matchAll(/\(import (.*) \((\w+) /g)].map(([, from, kind]) => `${from}: ${kind}`);
    const others = imports.filter((each) => !each.startsWith('"core" '));
    expect(others).toEqual(name === "core" ? [] : ['"env" "memory": memory']);
    expect(imports.length > others.length).toBe(name === "control.shared");
  });
});

test("the builds of the core export the same functions", async () => {
  const [plain, imported, ...halves] = await Promise.all(cores.map((name) => disassemble(name)));
  expect(imported!.functions).toEqual(plain!.functions);
  const shared = new Map(halves.flatMap(({ functions }) => Array.from(functions)));
  for (const [name, type] of plain!.functions) expect([name, shared.get(name)]).toEqual([name, type]);
});

test("each function of the ABI is in one half of the shared core", async () => {
  const whole = await disassemble("core.shared.whole");
  const halves = await Promise.all(halvesOf("core.shared").map(disassemble));
  const names = halves.flatMap(({ functions }) => [...functions.keys()].filter(isOfAbi));
  expect(names.toSorted()).toEqual([...whole.functions.keys()].toSorted());
});

describe("sizes", () => {
  let measured: Record<string, number>;
  beforeAll(async () => {
    measured = await sizes();
  });

  test.each(Object.entries(budgets))("%s has at most %i bytes", (name, budget) => {
    expect(measured[name]).toBeLessThanOrEqual(budget);
  });

  test("are as recorded", async () => {
    // The gzipped size differs by a few bytes from one zlib to another.
    const gz = "entry.min.js.gz";
    const before = recorded()[gz]!;
    const now = Math.abs(measured[gz]! - before) <= 32 ? { ...measured, [gz]: before } : measured;
    await expect(`${JSON.stringify(now, null, 2)}\n`).toMatchFileSnapshot("sizes.json");
  });
});
