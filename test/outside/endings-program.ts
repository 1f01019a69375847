/** The program of endings-node.ts as a runtime runs it, and its expected output. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import type { Cell } from "./endings-run.ts";
import type { Ending } from "./endings-table.ts";

const TIMEOUT_MS = 400_000;

export async function runProgram(
  path: string,
  args: readonly string[],
  exist: readonly Ending[],
): Promise<readonly Cell[]> {
  const folder = await mkdtemp(join(tmpdir(), "wasm-mempool-endings-"));
  try {
    const outfile = join(folder, "endings.mjs");
    const entry = fileURLToPath(new URL("endings-node.ts", import.meta.url));
    await build({ entryPoints: [entry], bundle: true, format: "esm", platform: "node", target: "es2022", outfile });
    const { stdout } = await promisify(execFile)(path, [...args, outfile, exist.join(",")], {
      timeout: TIMEOUT_MS,
      maxBuffer: 2 ** 26,
    });
    return JSON.parse(/^cells (.*)$/m.exec(stdout)![1]!) as Cell[];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
