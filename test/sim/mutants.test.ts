/** Mutants: the search must find each of the weakened cores of mutants.ts, by the case that the mutant names. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { build } from "./build.ts";
import { cases } from "./cases.ts";
import { deathCases } from "./deaths.ts";
import { debugCases } from "./debugging.ts";
import { mallocCases } from "./malloc.ts";
import { matrix } from "./matrix.ts";
import { mutants } from "./mutants.ts";
import { search } from "./search.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** On a busy machine; otherwise the search catches a mutant much sooner. */
const MILLISECONDS = 180_000;

test.each(mutants.map((each) => [each.name, each] as const))(
  "%s",
  async (_, { name, changes, caught, malloc = false, debug = false }) => {
    const folder = join(ROOT, "build/sim/mutants", name.replaceAll(" ", "-"));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    cpSync(join(ROOT, "assembly"), folder, { recursive: true });
    const files = readdirSync(folder, { recursive: true })
      .map(String)
      .filter((file) => file.endsWith(".ts"));
    for (const [from, to] of changes) {
      const found = files.filter((file) => readFileSync(join(folder, file), "utf8").includes(from));
      expect(found, from).toHaveLength(1);
      const text = readFileSync(join(folder, found[0]!), "utf8");
      expect(text.split(from), from).toHaveLength(2);
      writeFileSync(
        join(folder, found[0]!),
        text.replace(from, () => to),
      );
    }
    const entry = join(folder, malloc ? "abi/linked-shared.ts" : debug ? "abi/debug-shared.ts" : "abi/shared.ts");
    const core = await build(`mutants/${name.replaceAll(" ", "-")}`, { entry, malloc, debug });
    const inspector = join(ROOT, "assembly/abi/inspect.ts");
    const checker = await build(debug ? "debug.inspect" : "core.inspect", { entry: inspector, debug });
    const one = [...cases, ...deathCases, ...matrix, ...mallocCases, ...debugCases].find(
      (each) => each.name === caught,
    )!;
    const { fault, schedules } = search(core, one, { mode: one.mode, milliseconds: MILLISECONDS, checker });
    expect(fault?.message, `${schedules} schedules`).toBeDefined();
  },
);
