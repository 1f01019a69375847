// The core's benchmark: what an allocation costs, in time, memory and garbage, against its goals.
//
//   npm run bench:core -- [--quick] [--json] [--only section,...] [--seed n]
import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { compile, root } from "./compile.mjs";
import { median, quantile, randomFrom } from "./measure.mjs";
import { report } from "./report.mjs";

/** Times are of optimised code: when the engine would get round to it, on a busy machine, is not what is asked. */
const flags = {
  wasm: ["--no-liftoff"],
  typescript: ["--no-liftoff"],
  flat: ["--no-liftoff"],
  garbage: ["--expose-gc"],
};

/** The sections in their order, and the modules each wants compiled. */
const wanted = {
  wasm: ["fast", "shipped", "theirs"],
  typescript: ["shipped"],
  garbage: [],
  flat: ["shipped"],
  memory: [],
  startup: [],
};
const sections = Object.keys(wanted);

const usage = `Usage: npm run bench:core -- [options]

  --quick          fewer samples: under 20 s, to see that it works
  --json           JSON with every sample on standard output, instead of tables
  --only a,b       only these sections: ${sections.join(", ")}
  --seed n         the seed of the random order and the bootstrap; else a new one each time
  --help           this text

Takes about a minute. Run it on a machine that does nothing else.`;

const method = [
  "Subjects are run by turns in random order, each on memory of its own, each workload in processes of its own: five",
  "or three where there is a ratio. Times are processor time of optimised code; ratios are medians of the ratios of a turn,",
  "with a 95 % bootstrap interval. noise: how far the same code against itself seems to be from 1. A goal is met, or",
  "missed, if all of the interval says so.",
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
        only: { type: "string" },
        seed: { type: "string" },
      },
    });
    return values;
  } catch (error) {
    return fail(`${error.message}\n\n${usage}`);
  }
}

const { quick, json, help, only, seed: givenSeed } = optionsOf(process.argv.slice(2));
if (help) {
  console.log(usage);
  process.exit(0);
}
const chosen = only === undefined ? sections : only.split(",");
for (const name of chosen)
  if (!sections.includes(name)) fail(`--only: no section "${name}"; there are ${sections.join(", ")}`);
const seed = givenSeed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(givenSeed);
if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
  fail(`--seed: must be an integer from 0 to 2^32 - 1, got ${givenSeed}`);

const live = process.stderr.isTTY;
const say = (text) => live && process.stderr.write(`\r\x1b[K${text}`);

/** What one workload gives, in a process of its own. */
function inChild(section, name, seedHere = seed) {
  return new Promise((resolve, reject) => {
    const execArgv = flags[section] ?? [];
    const child = fork(
      new URL("child.mjs", import.meta.url),
      [JSON.stringify({ section, name, quick, seed: seedHere })],
      {
        execArgv,
      },
    );
    let rows;
    child.on("message", (message) => {
      if (message.rows) rows = message.rows;
      else say(`${section}: ${name} ${Math.round(100 * message.part)} %`);
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (rows) resolve(rows);
      else reject(new Error(`${section}: ${name} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

/** A row of the table: bytes, and their limit if there is one. */
const size = (name, bytes, limit) => ({
  name,
  bytes,
  text: `${bytes.toLocaleString("en-US")} bytes`,
  goal: limit && `<= ${limit.toLocaleString("en-US")}`,
  verdict: !limit ? "" : bytes <= limit ? "met" : "missed",
});

async function startup() {
  const all = [];
  for (let i = 0; i < (quick ? 3 : 15); i++) {
    say(`startup: ${i}`);
    all.push(...(await inChild("startup", "startup")));
  }
  const row = (name, key) => {
    const times = all.map((sample) => sample[key]);
    return {
      name,
      ms: median(times),
      text: `${median(times).toFixed(2)} ms, ${quantile(times, 0.05).toFixed(2)}..${quantile(times, 0.95).toFixed(2)}`,
      verdict: "",
      samples: times,
    };
  };
  const { build } = await import("esbuild");
  const bundle = await build({
    entryPoints: [join(root, "dist/index.js")],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    logLevel: "silent",
  });
  return [
    row("import of the module", "import"),
    row("first createHeap", "heap"),
    row("first create and alloc", "pool"),
    row("second heap, pool and alloc", "again"),
    size("core.wasm", readFileSync(join(root, "build/core.wasm")).length, 8192),
    size("core.shared.wasm", readFileSync(join(root, "build/core.shared.wasm")).length, 12288),
    size(
      "JavaScript with wasm in it, minified, gzipped",
      gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length,
      12288,
    ),
  ];
}

/** The lists that several processes gave, one after the other. */
function joined(all) {
  return Object.fromEntries(
    Object.keys(all[0]).map((key) => [key, Array.isArray(all[0][key]) ? all.flatMap((one) => one[key]) : all[0][key]]),
  );
}

async function main() {
  const compiler = await compile(new Set(chosen.flatMap((name) => wanted[name])), say);
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
    sections: {},
  };
  for (const section of chosen) {
    if (section === "startup") {
      result.sections.startup = await startup();
      continue;
    }
    const { names, processes = 1, rowsOf } = await import(`./sections/${section}.mjs`);
    const rows = [];
    for (const name of names) {
      const all = [];
      for (let i = 0; i < (quick ? 1 : processes); i++) {
        say(`${section}: ${name}`);
        all.push(await inChild(section, name, (seed + i) % 2 ** 32));
      }
      rows.push(...(rowsOf ? rowsOf(name, joined(all), randomFrom(seed)) : all[0]));
    }
    result.sections[section] = rows;
  }
  say("");
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  console.log(json ? JSON.stringify(result) : report(result, colour));
}

try {
  await main();
} catch (error) {
  fail(error.message);
}
