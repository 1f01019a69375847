// All benchmarks: each suite is a folder here with a suite.mjs.
//
//   npm run bench -- [--quick] [--json] [--only suite[/table],...] [--seed n] [--save] [--out dir]
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { machine, root, versions } from "./lib/machine.mjs";
import { randomFrom } from "./lib/measure.mjs";
import { progressLine } from "./lib/progress.mjs";
import { terminalTable } from "./lib/text.mjs";

/** In this order, and others after them. */
const order = ["core", "allocators", "heap", "threads", "startup", "runtimes", "counts"];
const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
const there = readdirSync(join(root, "bench"))
  .filter((name) => existsSync(join(root, "bench", name, "suite.mjs")))
  .toSorted((a, b) => place(a) - place(b) || a.localeCompare(b));

const usage = `Usage: npm run bench -- [options]

  --only a,b       only these suites, or of a suite only one table: suite/table
                   suites: ${there.join(", ")}
  --quick          fewer samples, to see that it works: too few to judge by
  --seed n         the seed of all random numbers; else a new one each time
  --json           JSON with every sample on standard output, instead of tables
  --save           writes it to bench/results too, a file for each suite; of whole suites, and not with --quick
  --out dir        writes it there instead
  --help           this text

Takes under 15 minutes. Run it on a machine that does nothing else. npm run bench:report then writes the docs anew.`;

function fail(message, code = 2) {
  console.error(`bench: ${message}`);
  process.exit(code);
}

function optionsOf(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        save: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        only: { type: "string" },
        out: { type: "string" },
        seed: { type: "string" },
      },
    });
    return values;
  } catch (error) {
    return fail(`${error.message}\n\n${usage}`);
  }
}

const { quick, json, save, help, only, out, seed: givenSeed } = optionsOf(process.argv.slice(2));
if (help) {
  console.log(usage);
  process.exit(0);
}
/** By suite, the tables wanted of it; undefined: all. */
const chosen = new Map();
for (const word of only === undefined ? there : only.split(",")) {
  const [name, table] = word.split("/", 2);
  if (!there.includes(name)) fail(`--only: no suite "${name}"; there are ${there.join(", ")}`);
  if (table === undefined) chosen.set(name, undefined);
  else if (!chosen.has(name) || chosen.get(name)) chosen.set(name, [...(chosen.get(name) ?? []), table]);
}
const seed = givenSeed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(givenSeed);
if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
  fail(`--seed: must be an integer from 0 to 2^32 - 1, got ${givenSeed}`);
if (save && out === undefined && (quick || [...chosen.values()].some(Boolean)))
  fail("--save: bench/results has whole suites, and none of --quick; --out writes elsewhere");
const folder = out !== undefined ? resolve(out) : save ? join(root, "bench/results") : undefined;

/** Six digits are more than are true. */
const brief = (_key, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;

const line = progressLine();
const colour = process.stdout.isTTY && !process.env.NO_COLOR;

/** A command that failed names files of this machine, which are nobody else's business. */
function withoutPaths(record) {
  const text = JSON.stringify(record).replaceAll(root, "").replaceAll(`${tmpdir()}/`, "");
  return JSON.parse(text);
}

async function main() {
  const suites = [];
  for (const name of chosen.keys()) suites.push((await import(`./${name}/suite.mjs`)).suite);
  const seconds = suites.reduce((sum, suite) => sum + suite.seconds, 0);
  const results = [];
  let failed = false;
  let before = 0;
  for (const [i, suite] of suites.entries()) {
    const { name, title } = suite;
    const started = performance.now();
    const date = new Date().toISOString();
    const on = machine();
    let result;
    try {
      result = await suite.run({
        quick,
        // Of its own for each suite: what one asks for changes nothing of the others.
        random: randomFrom((seed + i) % 2 ** 32),
        progress: (fraction, label) => line.at((before + fraction * suite.seconds) / seconds, `${name}: ${label}`),
        say: (text) => line.say(text),
        ...(chosen.get(name) && { only: chosen.get(name) }),
      });
    } catch (error) {
      // The other suites are worth having all the same.
      line.say(`bench: ${name}: ${error.stack}`);
      failed = true;
      continue;
    } finally {
      before += suite.seconds;
    }
    const { tables = result, versions: own = {}, method = suite.method ?? suite.notes ?? [] } = result;
    if (tables.length === 0) {
      line.say(`bench: ${name}: no such table: ${chosen.get(name)?.join(", ")}`);
      failed = true;
      continue;
    }
    const took = Math.round((performance.now() - started) / 1000);
    const about = suite.about && { about: suite.about };
    const of = { ...versions(), ...own };
    const whole = { format: 1, suite: name, title, date, seconds: took, seed, quick, machine: on, versions: of };
    const record = withoutPaths({ ...whole, method, ...about, tables });
    results.push(record);
    if (folder !== undefined) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(record, brief)}\n`);
    }
    if (json) continue;
    line.end();
    console.log(`${colour ? "\x1b[7m" : ""} ${title} ${colour ? "\x1b[0m" : ""}`);
    for (const text of method) console.log(text);
    for (const table of tables) console.log(`\n${terminalTable(table, colour)}`);
    const notRun = new Map(
      tables.flatMap((table) => (table.notRun ?? []).map(({ side, why }) => [`${side}: ${why}`, 0])),
    );
    if (notRun.size > 0) console.log(`\nNot run:\n${[...notRun.keys()].join("\n")}`);
    console.log(`\n${took} s; seed ${seed}${quick ? "; quick: too few samples to judge by" : ""}\n`);
  }
  line.end();
  if (json) console.log(JSON.stringify({ seed, quick, suites: results }, brief));
  if (failed) process.exitCode = 1;
}

await main();
