// Runs the benchmarks, and writes their reports.
//
//   npm run bench -- [suite[/table] ...] [options]
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine, root, versions } from "./harness/machine.mjs";
import { progressLine } from "./harness/progress.mjs";
import { randomFrom } from "./harness/statistics.mjs";
import { terminalTable } from "./report/text.mjs";

/** A suite is a module of bench/suites; these come first, in this order. */
const first = ["core", "allocators", "heap", "threads", "struct", "startup", "runtimes", "counts"];
const place = (name) => (first.includes(name) ? first.indexOf(name) : first.length);
const known = readdirSync(new URL("suites", import.meta.url))
  .filter((file) => file.endsWith(".mjs"))
  .map((file) => file.slice(0, -4))
  .toSorted((a, b) => place(a) - place(b));

const usage = `Usage: npm run bench -- [suite[/table] ...] [options]

  Suites: ${known.join(", ")}; all of them if none is named.

  --quick        fewer samples, to see that it works: too few to judge by
  --seed n       the seed of all random numbers; the default is a new one each time
  --json file    writes JSON with every sample there; - is standard output, in place of tables
  --save         writes the results of whole suites to bench/results
  --update       writes the counts of the suite counts to bench/counts/counts.json
  --report       measures nothing: writes the figures of bench/results into the docs and README, and all tables as
                 Markdown, with plots, to build/bench/report
  --check        with --report: writes nothing, and exits with 1 if the docs differ from bench/results
  --help         this text

All suites take about 12 minutes. Run them on a machine that does nothing else.`;

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}

function argumentsOf(args) {
  const flag = { type: "boolean", default: false };
  const text = { type: "string" };
  const flags = { quick: flag, save: flag, update: flag, report: flag, check: flag, help: flag };
  try {
    return parseArgs({ args, allowPositionals: true, options: { ...flags, json: text, seed: text } });
  } catch (error) {
    return fail(`${error.message}\n\n${usage}`);
  }
}

/** The suites by name, each with the names of its wanted tables; undefined: all tables. */
function chosenOf(words) {
  const chosen = new Map();
  for (const word of words.length > 0 ? words : known) {
    const [name, table] = word.split("/", 2);
    if (!known.includes(name)) fail(`no suite "${name}"; there are ${known.join(", ")}`);
    if (table === undefined) chosen.set(name, undefined);
    else if (!chosen.has(name) || chosen.get(name)) chosen.set(name, [...(chosen.get(name) ?? []), table]);
  }
  return chosen;
}

function seedOf(text) {
  const seed = text === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(text);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    fail(`--seed: must be an integer from 0 to 2^32 - 1, got ${text}`);
  return seed;
}

/** Six digits are more than are true; a checksum needs all of its digits. */
const brief = (key, value) =>
  typeof value === "number" && !Number.isInteger(value) && key !== "checksum" ? Number(value.toPrecision(6)) : value;

/** The reason of a failure may name files of this machine. */
const withoutPaths = (record) =>
  JSON.parse(JSON.stringify(record, brief).replaceAll(root, "").replaceAll(`${tmpdir()}/`, ""));

/** The packages that only benchmarks need. Without them some sides are not run. */
function installPackages(say) {
  if (existsSync(join(root, "bench/node_modules"))) return;
  try {
    execFileSync("npm", ["ci", "--prefix", join(root, "bench"), "--loglevel", "error"], { stdio: "pipe" });
  } catch (error) {
    say(
      `bench: npm ci --prefix bench has failed: ${
        String(error.stderr ?? error.message)
          .trim()
          .split("\n")[0]
      }`,
    );
  }
}

function printTables({ title, method, tables, seconds, seed, quick }, colour) {
  console.log(`${colour ? "\x1b[7m" : ""} ${title} ${colour ? "\x1b[0m" : ""}`);
  for (const text of method) console.log(text);
  for (const table of tables) console.log(`\n${terminalTable(table, colour)}`);
  console.log(`\n${seconds} s; seed ${seed}${quick ? "; quick: too few samples to judge by" : ""}\n`);
}

async function measure({ quick, save, update, json, seed: givenSeed }, words) {
  const chosen = chosenOf(words);
  const seed = seedOf(givenSeed);
  if (save && (quick || [...chosen.values()].some(Boolean))) fail("--save: of whole suites, and not with --quick");
  if (update && !chosen.has("counts")) fail("--update: only with the suite counts");
  const line = progressLine();
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  line.at(0, "building");
  execFileSync(process.execPath, [join(root, "scripts/build.mjs"), "--quiet"], { stdio: "inherit" });
  const suites = new Map();
  for (const name of chosen.keys()) suites.set(name, (await import(`./suites/${name}.mjs`)).suite);
  const total = [...suites.values()].reduce((sum, suite) => sum + suite.seconds, 0);
  const results = [];
  let before = 0;
  for (const [name, suite] of suites) {
    const only = chosen.get(name);
    const head = { format: 1, suite: name, title: suite.title, date: new Date().toISOString() };
    const on = machine();
    const start = performance.now();
    let result;
    try {
      if (suite.packages) installPackages((text) => line.say(text));
      result = await suite.run({
        quick,
        update,
        // Each suite has its own: a choice of suites changes nothing in them.
        random: randomFrom((seed + place(name)) % 2 ** 32),
        wanted: (table) => only === undefined || only.includes(table),
        isNamed: only !== undefined,
        progress: (fraction, label = "") => line.at((before + fraction * suite.seconds) / total, `${name}: ${label}`),
      });
      if (result.tables.length === 0) throw new Error(`no such table: ${only?.join(", ")}`);
    } catch (error) {
      // The other suites run all the same.
      line.say(`bench: ${name}: ${error.stack}`);
      process.exitCode = 1;
      continue;
    } finally {
      before += suite.seconds;
    }
    const { tables, versions: own = {} } = result;
    const seconds = Math.round((performance.now() - start) / 1000);
    const method = suite.method ?? [];
    const about = suite.about && { about: suite.about };
    const of = { ...versions(), ...own };
    const record = withoutPaths({ ...head, seconds, seed, quick, machine: on, versions: of, method, ...about, tables });
    results.push(record);
    if (save) writeFileSync(join(root, "bench/results", `${name}.json`), `${JSON.stringify(record)}\n`);
    line.end();
    if (json !== "-") printTables(record, colour);
    if (result.says) line.say(result.says);
    if (result.fails) {
      line.say(result.fails);
      process.exitCode = 1;
    }
    const notRun = record.tables.flatMap((table) => (table.notRun ?? []).map(({ side, why }) => `${side}: ${why}`));
    for (const text of new Set(notRun)) line.say(`${name}: not run: ${text}`);
  }
  line.end();
  const text = JSON.stringify({ seed, quick, suites: results });
  if (json === "-") console.log(text);
  else if (json !== undefined) writeFileSync(json, `${text}\n`);
}

const { values, positionals } = argumentsOf(process.argv.slice(2));
if (values.help) console.log(usage);
else if (values.report) {
  if (positionals.length > 0) fail("--report: takes no suite; it is of bench/results");
  const { report } = await import("./report/report.mjs");
  if (!(await report(values.check))) process.exitCode = 1;
} else if (values.check) fail("--check: only with --report");
else await measure(values, positionals);
