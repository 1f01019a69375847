// The benchmark of threads: what sharing costs one, what two get done together, and how soon who waits goes on.
//
//   npm run bench:threads -- [--quick] [--json] [--out file] [--only section,...] [--seed n]
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { randomFrom } from "../core/measure.mjs";
import { compile } from "./compile.mjs";
import { report } from "./report.mjs";

const sections = Object.fromEntries(
  await Promise.all(
    ["hit", "scaling", "messages", "latency"].map(async (name) => [name, await import(`./sections/${name}.mjs`)]),
  ),
);

const usage = `Usage: npm run bench:threads -- [options]

  --quick          fewer samples: under a minute, to see that it works
  --json           JSON with every sample on standard output, instead of tables
  --out file       the same JSON to a file
  --only a,b       only these sections: ${Object.keys(sections).join(", ")}
  --seed n         the seed of the random order and the bootstrap; else a new one each time
  --help           this text

Takes about three minutes. Run it on a machine of two cores or more that does nothing else.`;

const method = [
  "Subjects are run by turns in random order, several processes of each workload, all code optimised. Ratios are medians of the",
  "ratios of a turn, with a 95 % bootstrap interval. noise: how far ours against ourselves seems to be from 1. With one thread",
  "times are processor time. With two they are by the clock, of samples so short that often neither thread is preempted; each is",
  "repeated until that is so (calm: the part in which it was; else the least disturbed counts). On two cores each thread keeps to",
  "one, but where it is woken. A goal is met, or missed, if all of the interval says so.",
];

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}

function optionsOf(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        out: { type: "string" },
        only: { type: "string" },
        seed: { type: "string" },
      },
    });
    return values;
  } catch (error) {
    return fail(`${error.message}\n\n${usage}`);
  }
}

const { quick, json, help, out, only, seed: givenSeed } = optionsOf(process.argv.slice(2));
if (help) {
  console.log(usage);
  process.exit(0);
}
const chosen = only === undefined ? Object.keys(sections) : only.split(",");
for (const name of chosen)
  if (!(name in sections)) fail(`--only: no section "${name}"; there are ${Object.keys(sections).join(", ")}`);
const seed = givenSeed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(givenSeed);
if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
  fail(`--seed: must be an integer from 0 to 2^32 - 1, got ${givenSeed}`);
if (cpus().length < 2) fail("two threads need two cores");

const { isTTY } = process.stderr;
const erase = process.env.NO_COLOR ? `\r${" ".repeat(70)}\r` : "\r\x1b[K";
const say = (text) => isTTY && process.stderr.write(`${erase}${text}`);

/** What one workload gives, in a process of its own. */
function inChild(section, name, seedHere) {
  return new Promise((resolve, reject) => {
    // Optimised code from the first call: when the engine would get round to it is not what is asked.
    const child = fork(
      new URL("child.mjs", import.meta.url),
      [JSON.stringify({ section, name, quick, seed: seedHere })],
      { execArgv: ["--no-liftoff"], serialization: "advanced" },
    );
    const stuck = setTimeout(() => child.kill("SIGKILL"), 120_000);
    let answer;
    child.on("message", (message) => {
      if (message.part === undefined) answer = message;
      else say(`${section}: ${name} ${Math.round(100 * message.part)} %`);
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(stuck);
      if (answer?.result) resolve(answer.result);
      else {
        const why = answer?.error ?? `ended with ${signal ?? `exit code ${code}`}`;
        reject(new Error(`${section}: ${name}, seed ${seedHere}: ${why}`));
      }
    });
  });
}

/** The lists that several processes gave, one after the other. */
const joined = (all) => Object.fromEntries(Object.keys(all[0]).map((key) => [key, all.flatMap((one) => one[key])]));

/** Six digits are more than are true. */
const brief = (_key, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;

async function main() {
  const compiler = await compile(say);
  const result = {
    date: new Date().toISOString(),
    node: `node ${process.version}, V8 ${process.versions.v8}`,
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      load: loadavg()[0].toFixed(1),
      platform: process.platform,
      arch: process.arch,
    },
    compiler,
    seed,
    quick,
    method,
    sections: Object.fromEntries(chosen.map((name) => [name, []])),
  };
  const runs = chosen.flatMap((section) => sections[section].names.map((name) => ({ section, name, all: [] })));
  // Round by round, so that what the machine does for a while befalls all of them.
  for (let i = 0; i < (quick ? 1 : Math.max(...chosen.map((name) => sections[name].processes))); i++) {
    for (const { section, name, all } of runs) {
      if (i >= sections[section].processes) continue;
      say(`${section}: ${name}`);
      all.push(await inChild(section, name, (seed + i) % 2 ** 32));
    }
  }
  for (const { section, name, all } of runs)
    result.sections[section].push(...sections[section].rowsOf(name, joined(all), randomFrom(seed)));
  say("");
  const text = JSON.stringify(result, brief);
  if (out !== undefined) writeFileSync(out, `${text}\n`);
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  console.log(json ? text : report(result, sections, colour));
}

try {
  await main();
} catch (error) {
  say("");
  fail(error.message);
}
