// Compiles assembly/ into build/, inlines the wasm into src/generated/, and compiles src/ into dist/.
//
//   node scripts/build.mjs [--only NAME...] [--quiet] [--force]
//
// NAME is a module (core.debug), the part behind the dot for all that end in it (debug, shared), or dist. What has not
// changed since it was built is left out: each module has a stamp, a digest of all that it was made of and of itself.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { archive } from "./archive.mjs";
import { archives, compile, modules, root, sourcesOf } from "./compile.mjs";
import { guard } from "./guard.mjs";

process.chdir(root);

const digest = (...parts) =>
  parts.reduce((hash, part) => hash.update(part).update("\0"), createHash("sha256")).digest("hex");

const digestOf = (files, ...more) => digest(...more, ...files.flatMap((file) => [file, readFileSync(file)]));

/** The bytes of a file; none if there is no such file. */
function contentsOf(path) {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Another process may read the file, or write it, at the same time. */
function write(path, contents) {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

const compiler = ["asconfig.json", "scripts/compile.mjs", "node_modules/assemblyscript/package.json"];

/** The stamp that a module has if it is fresh. The fast core.debug is the same as the other. */
const stampOf = (module, fast, bytes) =>
  digest(digestOf([...sourcesOf(module.entry), ...compiler], String(fast && module.target !== "debug")), bytes);

/** Whether a module in build/ is what would be built; where `fast` will do, the release is as good. */
function isFresh(module, fast) {
  const stamp = contentsOf(`build/${module.name}.stamp`).toString();
  const bytes = contentsOf(`build/${module.name}.wasm`);
  return [false, ...(fast ? [true] : [])].some((kind) => stampOf(module, kind, bytes) === stamp);
}

function modulesNamed(part) {
  const isNamed = (name) => name === part || name.endsWith(`.${part}`);
  const found = modules.filter(({ name, halves = [] }) => [name, ...halves].some(isNamed));
  if (found.length === 0) throw new Error(`no module is named ${part}`);
  return found;
}

/** What a program calls when a thread, a pool or an arena comes, changes or goes: the exports of control.shared.wasm. */
const control = new Set(
  `heap_create heap_attach heap_detach heap_exit heap_label heap_thread heap_thread_count heap_find_thread heap_reap heap_idle
   heap_max_pages heap_left heap_trim heap_faults mempool_create mempool_exit mempool_resize mempool_reshape mempool_attach
   mempool_detach mempool_share mempool_serial mempool_ended mempool_adopt mempool_next_live mempool_next_slab mempool_take_low_watermark mempool_add_failures
   mempool_faults mempool_refresh mempool_box_fill mempool_box_drain arena_create arena_exit`.split(/\s+/),
);

/** The halves of a module: the exports that hot loops call, and the control of them. */
async function splitModule({ name, halves }, say) {
  const whole = contentsOf(`build/${name}.wasm`);
  const stamp = (bytes) => digest(digestOf(["scripts/build.mjs", "scripts/split.mjs"]), whole, bytes);
  const isHalfFresh = (half) =>
    contentsOf(`build/${half}.stamp`).toString() === stamp(contentsOf(`build/${half}.wasm`));
  if (halves.every(isHalfFresh)) return;
  const { split } = await import("./split.mjs");
  for (const [i, bytes] of split(whole, (each) => !control.has(each)).entries()) {
    write(`build/${halves[i]}.wasm`, bytes);
    write(`build/${halves[i]}.stamp`, stamp(bytes));
    say(`build/${halves[i]}.wasm: ${bytes.length} bytes`);
  }
}

/** A file made of a module by a script, if it is not of the module as it is now. */
function derive(file, module, script, make, say) {
  const whole = contentsOf(`build/${module}.wasm`);
  const made = ["scripts/compile.mjs", `scripts/${script}`, "node_modules/wabt/package.json"];
  const stamp = (bytes) => digest(digestOf(made), whole, bytes);
  if (contentsOf(`${file}.stamp`).toString() === stamp(contentsOf(file))) return;
  const bytes = make(whole);
  write(file, bytes);
  write(`${file}.stamp`, stamp(bytes));
  say(`${file}: ${bytes.length} bytes`);
}

/**
 * Compiles modules, as many at a time as there are processors. Fast ones go through one compiler: to start a second takes
 * longer than it saves.
 */
async function compileAll(stale, fast, done) {
  const queue = [...stale];
  const lanes = fast ? 1 : Math.min(queue.length, availableParallelism());
  async function lane(compileOne) {
    for (let module = queue.shift(); module; module = queue.shift()) {
      const began = Date.now();
      done(module, await compileOne(module), (Date.now() - began) / 1000);
    }
  }
  if (lanes < 2) return lane((module) => compile(module, { fast }));
  const workers = Array.from({ length: lanes }, () => new Worker(new URL("compile.mjs", import.meta.url)));
  try {
    await Promise.all(
      workers.map((worker) =>
        lane(
          (module) =>
            new Promise((resolve, reject) => {
              worker.once("error", reject);
              worker.once("message", ({ bytes, message }) => (bytes ? resolve(bytes) : reject(new Error(message))));
              worker.postMessage([module, { fast }]);
            }),
        ),
      ),
    );
  } finally {
    for (const worker of workers) worker.terminate();
  }
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

/** The files of src/generated/ by name: one a module, so that a bundler drops those that nothing imports. */
const generated = () =>
  Object.fromEntries(
    [
      ["plain", "plain", inline("core")],
      ["imported", "imported", inline("core.imported", "core")],
      // Whole: a program that makes shared heaps ships both halves anyway, and one text compresses better.
      ["shared", "shared", inline("core.shared.whole")],
      ["inspect-imported", "inspectImported", inline("inspect.imported")],
      ["debug-imported", "debugImported", inline("debug.imported")],
      ["debug-shared", "debugShared", inline("debug.shared")],
      ["inspect-shared", "inspectShared", inline("inspect.shared", "inspect.imported")],
    ].map(([file, name, text]) => [
      `${file}.ts`,
      `// Written by scripts/build.mjs: a wasm module as text; see src/core/modules.ts.
export const ${name}: string | readonly [from: number, text: string, to: number] = ${text};
`,
    ]),
  );

/** The TypeScript in a folder. */
const sourcesIn = (folder) =>
  readdirSync(folder, { recursive: true })
    .map((file) => join(folder, String(file)))
    .filter((file) => file.endsWith(".ts"));

/** dist/, from src/ and what is generated there. */
function compileTypeScript(force, say) {
  const files = sourcesIn("src").toSorted();
  const stamp = digestOf([...files, "tsconfig.json", "tsconfig.build.json", "node_modules/typescript/package.json"]);
  if (!force && existsSync("dist") && contentsOf("build/dist.stamp").equals(Buffer.from(stamp)))
    return say("dist: up to date");
  const began = Date.now();
  rmSync("dist", { recursive: true, force: true });
  const tsc = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"];
  const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
  if (status !== 0) throw new Error("src does not compile");
  write("build/dist.stamp", stamp);
  say(`dist: ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

/** The pages: of each, its files, and what they are bundled of. */
const pages = [
  { name: "inspector", files: { "page.js": "inspector/src/main.ts", "demo.js": "inspector/src/demo.ts" } },
  { name: "playground", files: { "page.js": "playground/src/main.ts", "page.css": "playground/style.css" } },
];

/** The scripts of the pages are classic ones, since a browser loads no module from a file. */
async function bundlePage({ name, files }, say) {
  const styles = Object.values(files).filter((file) => file.endsWith(".css"));
  // A page may use the inspector's parts.
  const sources = [...["inspector", name, "src"].flatMap(sourcesIn), "inspector/style.css", ...styles].toSorted();
  const outputs = Object.keys(files).map((file) => `${name}/${file}`);
  const stamp = () =>
    digest(
      digestOf([...sources, "scripts/build.mjs", "node_modules/esbuild/package.json"]),
      ...outputs.map(contentsOf),
    );
  if (contentsOf(`build/${name}.stamp`).toString() === stamp()) return say(`${name}: up to date`);
  const { build: bundle } = await import("esbuild");
  const { outputFiles } = await bundle({
    entryPoints: Object.entries(files).map(([out, file]) => ({ in: file, out: out.replace(/\.\w+$/, "") })),
    outdir: name,
    bundle: true,
    minify: true,
    format: "iife",
    target: ["chrome123", "firefox120", "safari17.5"],
    write: false,
  });
  for (const { path, contents } of outputFiles) {
    const file = relative(root, path);
    write(file, contents);
    say(`${file}: ${contents.length} bytes`);
  }
  write(`build/${name}.stamp`, stamp());
}

/**
 * Builds what is not fresh of what `only` names, or of all. A fast build leaves the optimiser out: it is for tests while
 * the core is worked on, its modules say so, and any other build replaces them.
 */
export async function build({ only = [], fast = false, force = false, say = () => {} } = {}) {
  const all = only.length === 0;
  const parts = all ? modules.map(({ name }) => name) : only.filter((part) => part !== "dist");
  const wanted = new Set(parts.flatMap(modulesNamed));

  mkdirSync("build", { recursive: true });
  mkdirSync("src/generated", { recursive: true });
  const stale = [...wanted].filter((module) => force || !isFresh(module, fast));
  await compileAll(stale, fast, (module, bytes, seconds) => {
    write(`build/${module.name}.wasm`, bytes);
    write(`build/${module.name}.stamp`, stampOf(module, fast, bytes));
    say(`build/${module.name}.wasm: ${bytes.length} bytes, ${seconds.toFixed(1)} s${fast ? ", fast" : ""}`);
  });
  if (stale.length === 0) say("wasm: up to date");
  for (const module of wanted) if (module.halves) await splitModule(module, say);
  for (const { name, guarded } of wanted) {
    if (guarded) derive(`build/${guarded}.wasm`, name, "guard.mjs", guard, say);
    for (const { name: library, module, ...options } of archives) {
      if (module === name) derive(`build/${library}.a`, name, "archive.mjs", (bytes) => archive(bytes, options), say);
    }
  }
  if (!all && !only.includes("dist")) return;

  for (const [name, text] of Object.entries(generated())) {
    if (!contentsOf(`src/generated/${name}`).equals(Buffer.from(text))) write(`src/generated/${name}`, text);
  }
  if (fast) return;
  compileTypeScript(force, say);
  for (const page of pages) await bundlePage(page, say);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { only: { type: "string", multiple: true }, quiet: { type: "boolean" }, force: { type: "boolean" } },
    allowPositionals: true,
  });
  const only = [...(values.only ?? []), ...positionals];
  await build({ only, force: values.force, say: values.quiet ? undefined : console.log });
}
