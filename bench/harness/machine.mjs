/** The machine and the tools of a measurement. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
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

const versionIn = (path) => JSON.parse(readFileSync(join(root, path, "package.json"), "utf8")).version;

/** The versions that every result has; a suite adds those of its own tools. */
export const versions = () => ({
  "wasm-mempool": versionIn("."),
  node: process.versions.node,
  v8: process.versions.v8,
  assemblyscript: versionIn("node_modules/assemblyscript"),
});

/** The first line of a program's version; undefined if there is no such program. */
export function versionOf(program, args = ["--version"]) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", timeout: 20_000 });
  return status === 0 ? stdout.split("\n")[0].trim() : undefined;
}

/** The texts of all files of a folder with that ending, in its subfolders too. */
export const texts = (folder, ending) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((file) => file.endsWith(ending))
    .toSorted()
    .map((file) => readFileSync(join(root, folder, file), "utf8"));

/**
 * Has `make` write the file `out` anew if it was not made of the same `parts` (texts and plain data). Another process never
 * reads half a file: `make` gets a path of its own.
 */
export async function unlessCached(out, parts, make) {
  const hash = createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  const stamp = `${out}.hash`;
  if (existsSync(out) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  mkdirSync(dirname(out), { recursive: true });
  const temporary = out.replace(/(\.\w+)$/, `.${process.pid}$1`);
  await make(temporary);
  renameSync(temporary, out);
  writeFileSync(stamp, hash);
}

const assembly = () => [
  versions().assemblyscript,
  ...texts("assembly", ".ts"),
  ...texts("bench/guests/assembly", ".ts"),
];

/** Compiles an entry of bench/guests/assembly unless that is done. */
export function compileGuest(entry, args, out, say) {
  return unlessCached(out, [entry, args, assembly()], async (path) => {
    say(`compiling ${entry} to ${out.slice(root.length)}`);
    const { default: asc } = await import("assemblyscript/asc");
    const source = `bench/guests/assembly/${entry}.ts`;
    const { error, stderr } = await asc.main([source, ...args, "--baseDir", root, "-o", path]);
    if (error) throw new Error(`${source}: ${error.message}\n${stderr}`);
  });
}
