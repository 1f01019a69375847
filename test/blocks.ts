/** Runs with each test file of a coverage run: leaves the wasm blocks that it ran for scripts/coverage.mjs. */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { blocksRun } from "./builds.ts";

afterAll(() => {
  writeFileSync(join(process.env["WASM_COVERAGE"]!, `${randomUUID()}.json`), JSON.stringify([...blocksRun]));
});
