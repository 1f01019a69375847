// What the tests run of src/ and of the core's wasm.
//
//   node scripts/coverage.mjs [--json]
//
// The core is compiled so that it calls env.log_execution(block) at the start of each block, and test/builds.ts puts
// that build under the tests; test/blocks.ts leaves what each test file ran in a folder. A block is what runs as a
// whole: a function's body, an arm of an if, a loop's body, what follows them. Blocks that are nothing but a trap are
// assertions: no test can run them while the code is right, so they do not count.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const { json } = parseArgs({ options: { json: { type: "boolean", default: false } } }).values;
const say = (text) => process.stderr.write(`${text}\n`);

const folder = "build/coverage";
/** The same code twice, with the same blocks: on memory of its own, and on the host's. */
const builds = { plain: [], imported: ["--importMemory"] };

function compile() {
  mkdirSync(folder, { recursive: true });
  const asc = ["node_modules/assemblyscript/bin/asc.js", "assembly/abi/core.ts", "--target", "coverage", "--sourceMap"];
  for (const [name, options] of Object.entries(builds)) {
    const out = ["-o", `${folder}/${name}.wasm`, "-t", `${folder}/${name}.wat`];
    // A process for each: within one, the second's blocks would be numbered on from the first's.
    execFileSync(process.execPath, [...asc, ...options, ...out], { stdio: ["ignore", 2, 2] });
  }
}

function test(counts, reports) {
  const coverage = [
    "--coverage",
    "--coverage.reportOnFailure",
    "--coverage.reporter=json-summary",
    `--coverage.reportsDirectory=${reports}`,
  ];
  const argv = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit", ...coverage];
  // Its progress goes to standard error, so that standard output is the result alone.
  const vitest = spawn(process.execPath, argv, {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, WASM_COVERAGE: counts },
  });
  return new Promise((resolve) => vitest.on("exit", (code) => resolve(code ?? 1)));
}

/** Every block: its number, its function, and whether it is an assertion. */
function blocksOf(text) {
  const blocks = [];
  const lines = text.split("\n").map((line) => line.trim());
  let name = "";
  lines.forEach((line, i) => {
    const start = /^\(func \$(\S+)/.exec(line);
    if (start) name = start[1];
    if (line !== "call $log_execution") return;
    const block = Number(/^i32\.const (\d+)$/.exec(lines[i - 1])[1]);
    blocks.push({ block, name, assertion: lines[i + 1] === "unreachable" });
  });
  return blocks;
}

/** Where the source of each block begins, as file:line: that of the first instruction after it that has one. */
function sourcesOf(wasm, map, blocks) {
  const CONST = 0x41;
  const CALL_LOG = [0x10, 0x00]; // the import is function 0
  const LOOK_AHEAD = 24; // bytes
  const sources = new Map();
  for (const { block } of blocks) {
    const number = [];
    let rest = block;
    for (; rest > 63; rest >>= 7) number.push((rest & 127) | 128);
    const call = Buffer.from([CONST, ...number, rest, ...CALL_LOG]);
    const at = wasm.indexOf(call) + call.length;
    for (let column = at; column < at + LOOK_AHEAD; column++) {
      const { generatedColumn, originalSource, originalLine } = map.findEntry(0, column);
      if (originalSource === undefined || generatedColumn < at) continue;
      sources.set(block, `${originalSource}:${originalLine + 1}`);
      break;
    }
  }
  return sources;
}

/** What the wasm blocks come to, function by function. */
function wasmCoverage(counts) {
  const [plain, imported] = Object.keys(builds).map((name) => blocksOf(readFileSync(`${folder}/${name}.wat`, "utf8")));
  if (JSON.stringify(plain) !== JSON.stringify(imported)) throw new Error("the builds differ in their blocks");
  const map = new SourceMap(JSON.parse(readFileSync(`${folder}/plain.wasm.map`, "utf8")));
  const sources = sourcesOf(readFileSync(`${folder}/plain.wasm`), map, plain);

  const run = new Set(readdirSync(counts).flatMap((file) => JSON.parse(readFileSync(join(counts, file), "utf8"))));
  const functions = new Map();
  for (const { block, name, assertion } of plain) {
    if (assertion) continue;
    const entry = functions.get(name) ?? { name, run: 0, blocks: 0, missed: [] };
    functions.set(name, entry);
    entry.blocks++;
    if (run.has(block)) entry.run++;
    else entry.missed.push(sources.get(block) ?? "?");
  }
  const all = [...functions.values()];
  const sum = (of) => all.reduce((total, entry) => total + of(entry), 0);
  return {
    run: sum((entry) => entry.run),
    blocks: sum((entry) => entry.blocks),
    assertions: plain.filter((block) => block.assertion).length,
    functionsRun: all.filter((entry) => entry.run > 0).length,
    functions: all.length,
    missed: all.filter((entry) => entry.missed.length > 0).toSorted((a, b) => b.missed.length - a.missed.length),
  };
}

const part = ({ covered, total }) => ({ run: covered, total });

function sourceCoverage(reports) {
  const summary = JSON.parse(readFileSync(join(reports, "coverage-summary.json"), "utf8"));
  return Object.entries(summary).map(([file, counted]) => ({
    file: file === "total" ? file : file.slice(process.cwd().length + 1),
    lines: part(counted.lines),
    branches: part(counted.branches),
    functions: part(counted.functions),
  }));
}

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) => row.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join("  ");
  return rows.map((row) => `${line(row)}\n`).join("");
}

const percent = (run, total) => `${total ? ((100 * run) / total).toFixed(1) : "100.0"} %`;
const share = (run, total) => `${run}/${total}  ${percent(run, total).padStart(7)}`;

function report({ wasm, src }) {
  const rows = src.map(({ file, ...parts }) => [file, ...Object.values(parts).map((p) => share(p.run, p.total))]);
  const missed = wasm.missed.map(({ name, run, blocks, missed: places }) => [
    name,
    `${run}/${blocks}`,
    [...new Set(places.map((place) => place.split(":").at(-1)))].join(" "),
  ]);
  return [
    "\nsrc/\n",
    table([["", "lines", "branches", "functions"], ...rows]),
    "\nwasm\n",
    `blocks     ${share(wasm.run, wasm.blocks)}\n`,
    `functions  ${share(wasm.functionsRun, wasm.functions)}\n`,
    `           ${wasm.assertions} assertions not counted\n`,
    missed.length > 0 ? `\n${table([["function with blocks that never ran", "ran", "at lines"], ...missed])}` : "",
  ].join("");
}

const scratch = mkdtempSync(join(tmpdir(), "wasm-mempool-coverage-"));
try {
  const [counts, reports] = ["counts", "reports"].map((name) => join(scratch, name));
  mkdirSync(counts);
  say("compiling the core");
  compile();
  say("running the tests");
  const code = await test(counts, reports);
  if (code !== 0) say(`the tests failed (exit code ${code}): what follows is of a run that failed`);
  process.exitCode = code;
  const result = { wasm: wasmCoverage(counts), src: sourceCoverage(reports) };
  process.stdout.write(json ? `${JSON.stringify(result, null, 2)}\n` : report(result));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
