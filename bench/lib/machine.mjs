/** What a result was measured on, and by what. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

export const machine = () => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memory: totalmem(),
  load: loadavg()[0].toFixed(1),
  platform: process.platform,
  arch: process.arch,
});

const installed = (name) => {
  try {
    return JSON.parse(readFileSync(`${root}node_modules/${name}/package.json`, "utf8")).version;
  } catch {
    return undefined;
  }
};

/** The first line that a program says of its version; undefined if there is no such program. */
export function versionOf(program, args = ["--version"]) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", timeout: 20_000 });
  return status === 0 ? stdout.split("\n")[0].trim() : undefined;
}

/** Versions of what any suite may use; of a suite's own tools its tables tell. */
export const versions = () => ({
  "wasm-mempool": JSON.parse(readFileSync(`${root}package.json`, "utf8")).version,
  node: process.versions.node,
  v8: process.versions.v8,
  assemblyscript: installed("assemblyscript"),
});
