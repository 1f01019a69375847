// Writes what bench/results says into the docs: docs/benchmarks.md, docs/bench/*.svg, and between the markers
// <!-- bench:begin NAME --> and <!-- bench:end --> in README.md and docs/when-not.md.
//
//   npm run bench:report -- [--check]
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { resolveConfig } from "prettier";
import { root } from "./lib/machine.mjs";
import { load } from "./report/load.mjs";
import { pages } from "./report/pages.mjs";

const usage = `Usage: npm run bench:report -- [options]

  --check          writes nothing; says what is not as bench/results has it, and exits with 1 if anything is
  --help           this text

Writes docs/benchmarks.md and docs/bench/*.svg from bench/results, and what is between the markers in README.md and
docs/when-not.md.`;

function fail(message) {
  console.error(`bench:report: ${message}`);
  process.exit(2);
}

function optionsOf(args) {
  try {
    return parseArgs({
      args,
      options: { check: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
    }).values;
  } catch (error) {
    return fail(`${error.message}\n\n${usage}`);
  }
}

const { check, help } = optionsOf(process.argv.slice(2));
if (help) {
  console.log(usage);
  process.exit(0);
}

const read = (path) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined);

async function main() {
  const results = await load(join(root, "bench/results"));
  if (results.length === 0) throw new Error("bench/results has no results: npm run bench -- --save");
  const written = Object.fromEntries(
    ["README.md", "docs/when-not.md"].map((path) => [path, read(path)]).filter(([, text]) => text !== undefined),
  );
  const all = await pages(results, written, (await resolveConfig(join(root, "README.md"))) ?? {});
  const plots = existsSync(join(root, "docs/bench")) ? readdirSync(join(root, "docs/bench")) : [];
  const stale = plots.map((file) => `docs/bench/${file}`).filter((path) => !all.has(path));
  const changed = [...all].filter(([path, text]) => read(path) !== text).map(([path]) => path);
  if (check) {
    for (const path of changed) console.error(`${path}: not what bench/results says; npm run bench:report`);
    for (const path of stale) console.error(`${path}: no result has it; npm run bench:report`);
    process.exitCode = changed.length + stale.length > 0 ? 1 : 0;
    return;
  }
  for (const path of changed) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), all.get(path));
    console.log(`${path}: written`);
  }
  for (const path of stale) {
    rmSync(join(root, path));
    console.log(`${path}: removed`);
  }
  if (changed.length + stale.length === 0) console.log("nothing has changed");
}

try {
  await main();
} catch (error) {
  fail(error.message);
}
