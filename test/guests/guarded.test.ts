/** The guarded core: no write of a guest reaches the allocator's structures. Needs an engine with multi-memory. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** A module with two memories. */
const TWO = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 5, 5, 2, 0, 1, 0, 1);
const own = WebAssembly.validate(TWO) ? [process.execPath] : [];
const others = [22, 24, 26].map((version) => at(`../runtimes/node_modules/node${version}/bin/node`));
const engines = [...own, ...others].filter((path) => existsSync(path));

test.skipIf(engines.length === 0 && process.env["CI"] === undefined)(
  "a guest that overwrites all of its memory breaks no pool and no block",
  { timeout: 600_000 },
  () => {
    expect(engines.length).toBeGreaterThan(0);
    for (const engine of engines) {
      const answer = execFileSync(engine, [at("guarded-program.mjs")], { encoding: "utf8" });
      expect(JSON.parse(answer)).toEqual({
        refused: 0,
        problems: 0,
        isZeroed: true,
        isBulk: 1,
        distinct: 5,
        marked: 5,
        left: 0,
        sizes: true,
      });
    }
  },
);
