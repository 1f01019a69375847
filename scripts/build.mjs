// Compiles assembly/ into build/, inlines the wasm into src/generated/, and compiles src/ into dist/.
//
//   node scripts/build.mjs [--quiet] [--force]
//
// Each stage is left out when nothing it reads is newer than what it wrote.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const quiet = process.argv.includes("--quiet");
const force = process.argv.includes("--force");
const say = (text) => quiet || console.log(text);

/** Every module: its entry and its target in asconfig.json. */
const modules = [
  { name: "core", entry: "index", target: "plain" },
  { name: "core.imported", entry: "index", target: "imported" },
  { name: "core.shared", entry: "shared", target: "shared" },
  { name: "core.checked", entry: "shared", target: "checked" },
  { name: "core.debug", entry: "index", target: "debug" },
  { name: "inspect.imported", entry: "inspect", target: "imported" },
  { name: "inspect.shared", entry: "inspect", target: "shared" },
];

const filesIn = (folder) =>
  readdirSync(folder, { recursive: true })
    .map((file) => join(folder, String(file)))
    .filter((file) => file.endsWith(".ts"));

/** Runs a stage unless its stamp is newer than all it reads. The stamp is set to the time before it began. */
async function stage(name, reads, stamp, run) {
  const newest = Math.max(...reads.map((file) => statSync(file).mtimeMs));
  if (!force && existsSync(stamp) && Number(readFileSync(stamp, "utf8")) > newest) return say(`${name}: up to date`);
  rmSync(stamp, { force: true });
  const began = Date.now();
  await run();
  writeFileSync(stamp, String(began));
  say(`${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

/**
 * Bytes as printable text: below 90 a character, above that two (src/wasm.ts has the way back). A byte is always the same
 * characters, so that what repeats in the bytes repeats in the text: it compresses better than base64, and than
 * hexadecimal.
 */
function textOf(bytes) {
  let text = "";
  for (const byte of bytes) {
    if (byte >= 90) text += byte < 180 ? "!" : " ";
    text += String.fromCharCode(35 + (byte % 90));
  }
  return JSON.stringify(text.replaceAll("\\", "~"));
}

/** A module as code: its text; or, where it differs from `base` in one place only, [from, text, to] of that place. */
function inline(name, base) {
  const bytes = readFileSync(`build/${name}.wasm`);
  if (base === undefined) return textOf(bytes);
  const from = readFileSync(`build/${base}.wasm`);
  let head = 0;
  while (bytes[head] === from[head]) head++;
  let tail = 0;
  while (tail < Math.min(bytes.length, from.length) - head && bytes.at(-1 - tail) === from.at(-1 - tail)) tail++;
  const middle = bytes.subarray(head, bytes.length - tail);
  return middle.length > bytes.length / 2 ? textOf(bytes) : `[${head}, ${textOf(middle)}, ${from.length - tail}]`;
}

mkdirSync("build", { recursive: true });
mkdirSync("src/generated", { recursive: true });

await stage("wasm", [...filesIn("assembly"), "asconfig.json", "scripts/build.mjs"], "build/.wasm", async () => {
  const { default: asc } = await import("assemblyscript/asc");
  for (const { name, entry, target } of modules) {
    const out = `build/${name}.wasm`;
    const args = [`assembly/${entry}.ts`, "--target", target, "-o", out, "-t", `build/${name}.wat`];
    const { error, stderr } = await asc.main(args);
    // binaryen says so when another round of its passes would make the code larger: not a fault.
    process.stderr.write(stderr.toString().replaceAll("Last converge was suboptimal.\n", ""));
    if (error) process.exit(1);
    say(`  ${out}  ${statSync(out).size} bytes`);
  }
  writeFileSync(
    "src/generated/wasm.ts",
    `// Written by scripts/build.mjs: the wasm modules as text. [from, text, to]: the bytes from..to of the first are these.
type Text = string | readonly [number, string, number];
export const plain: Text = ${inline("core")};
export const imported: Text = ${inline("core.imported", "core")};
export const shared: Text = ${inline("core.shared", "core")};
export const inspectImported: Text = ${inline("inspect.imported")};
export const inspectShared: Text = ${inline("inspect.shared", "inspect.imported")};
`,
  );
});

await stage("typescript", [...filesIn("src"), "tsconfig.json", "tsconfig.build.json"], "build/.typescript", () => {
  rmSync("dist", { recursive: true, force: true });
  const tsc = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"];
  const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
  if (status !== 0) process.exit(1);
});
