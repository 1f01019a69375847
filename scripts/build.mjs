// Compiles assembly/ into build/, inlines the wasm into src/generated/, and compiles src/ into dist/.
//
//   node scripts/build.mjs [--quiet] [--force]
//
// Does nothing when nothing it reads is newer than what it wrote.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const quiet = process.argv.includes("--quiet");
const force = process.argv.includes("--force");
const say = (text) => quiet || console.log(text);

/** Every module: its entry and its target in asconfig.json. */
const modules = [
  { name: "core", entry: "index", target: "plain" },
  { name: "core.imported", entry: "index", target: "imported" },
  { name: "core.shared", entry: "index", target: "shared" },
  { name: "core.debug", entry: "index", target: "debug" },
  { name: "core.coverage", entry: "index", target: "coverage" },
  { name: "check.imported", entry: "check", target: "imported" },
  { name: "check.shared", entry: "check", target: "shared" },
];

const files = (folder, suffix) =>
  readdirSync(folder, { recursive: true })
    .map((file) => join(folder, String(file)))
    .filter((file) => file.endsWith(suffix) && !file.includes("generated"));
const newest = (list) => Math.max(...list.map((file) => statSync(file).mtimeMs));
const stamp = "build/.stamp";
const config = ["asconfig.json", "package.json", "tsconfig.json", "tsconfig.build.json", "scripts/build.mjs"];
const sources = [...files("assembly", ".ts"), ...files("src", ".ts"), ...config];
const outputs = [stamp, "src/generated/wasm.ts", "dist/index.js"];
if (!force && outputs.every((file) => existsSync(file)) && newest(sources) < statSync(stamp).mtimeMs) {
  say("build: up to date");
  process.exit(0);
}

mkdirSync("build", { recursive: true });
mkdirSync("src/generated", { recursive: true });
const { default: asc } = await import("assemblyscript/asc");
for (const { name, entry, target } of modules) {
  const out = `build/${name}.wasm`;
  const { error, stderr } = await asc.main([`assembly/${entry}.ts`, "--target", target, "-o", out, "-t", `build/${name}.wat`]);
  // binaryen says so when another round of its passes would make the code larger: not a fault.
  const text = stderr.toString().replace(/Last converge was suboptimal\.\n/g, "");
  if (text) process.stderr.write(text);
  if (error) process.exit(1);
  say(`${out}  ${statSync(out).size} bytes`);
}

/**
 * A module as code: hexadecimal, which compresses better than base64 because bytes stay bytes; or, where it differs from
 * another in one place only, as that place. `imported` and `shared` differ from `plain` in where memory comes from.
 */
function inline(name, base) {
  const bytes = readFileSync(`build/${name}.wasm`);
  if (base === undefined) return JSON.stringify(bytes.toString("hex"));
  const from = readFileSync(`build/${base}.wasm`);
  let head = 0;
  while (bytes[head] === from[head]) head++;
  let tail = 0;
  while (tail < Math.min(bytes.length, from.length) - head && bytes.at(-1 - tail) === from.at(-1 - tail)) tail++;
  const middle = bytes.subarray(head, bytes.length - tail);
  if (middle.length > bytes.length / 2) return inline(name);
  return `${base.replace(".", "_")}.slice(0, ${2 * head}) + "${middle.toString("hex")}" + ${base.replace(".", "_")}.slice(${2 * (from.length - tail)})`;
}
writeFileSync(
  "src/generated/wasm.ts",
  `// Written by scripts/build.mjs: the wasm modules in hexadecimal.
const core = ${inline("core")};
const check_imported = ${inline("check.imported")};
export const plain = (): string => core;
export const imported = (): string => ${inline("core.imported", "core")};
export const shared = (): string => ${inline("core.shared", "core")};
export const checkImported = (): string => check_imported;
export const checkShared = (): string => ${inline("check.shared", "check.imported")};
`,
);

if (existsSync("src/index.ts")) {
  rmSync("dist", { recursive: true, force: true });
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], { stdio: "inherit" });
}
writeFileSync(stamp, "");
say("build: done");
