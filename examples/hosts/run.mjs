// Runs the scenarios in each host, compares every line with Node's, and prints a table.
//
//   node examples/hosts/run.mjs [host...] [options]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { build, docs, hosts, root } from "./hosts.mjs";

const usage = `Usage: node examples/hosts/run.mjs [host...] [options]

  Hosts: ${hosts.map(({ name }) => name).join(", ")}; all of them if none is named.

  --lines   prints the lines of each run
  --json    writes JSON in place of the table
  --docs    writes the table into docs/hosts.md; needs all hosts
  --help    this text

What a host needs is installed into build/hosts, from the registries of npm, PyPI, Go, Maven and crates. Exits with 1 if
a host gives another answer than Node, or than the scenario expects; if CI is set, also if a host is missing.`;

const TIMEOUT_MS = 120_000;
const flag = { type: "boolean", default: false };
const { values: options, positionals } = (() => {
  try {
    return parseArgs({ allowPositionals: true, options: { lines: flag, json: flag, docs: flag, help: flag } });
  } catch (error) {
    return fail(error.message);
  }
})();
if (options.help) {
  console.log(usage);
  process.exit(0);
}
const strangers = positionals.filter((word) => !hosts.some(({ name }) => name === word));
if (strangers.length > 0) fail(`no host "${strangers[0]}"`);
if (options.docs && positionals.length > 0) fail("--docs needs all hosts");
if (!existsSync(`${build}/core.wasm`)) fail("there is no build/core.wasm: npm run build");

function fail(message) {
  console.error(`hosts: ${message}\n\n${usage}`);
  process.exit(2);
}

const read = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8"));
const parts = Object.entries({ ...read("scenario.json"), ...read("malloc.json") });

/** What the host does not run, with its own words. */
class Refusal extends Error {}

/** Starts a host for one part. `ask` sends it a call; `answer` gives the next line about an instance. */
async function started(host, part) {
  const [file, ...args] = await host.command(...part).catch((error) => {
    throw new Refusal(error.message);
  });
  const child = spawn(file, args, { cwd: root, stdio: ["pipe", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const lines = [];
  const waiting = [];
  let errors = "";
  let ended = false;
  child.stderr.on("data", (chunk) => (errors += chunk));
  child.stdin.on("error", () => {});
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    waiting.splice(0).forEach((look) => look());
  });
  const gone = Promise.race([once(child, "close"), once(child, "error")]).then(([code]) => {
    clearTimeout(timer);
    ended = true;
    waiting.splice(0).forEach((look) => look());
    return code;
  });
  const taken = new Set();
  return {
    ask: (line) => child.stdin.write(`${line}\n`),
    async answer(instance) {
      for (;;) {
        const at = lines.findIndex((line, i) => !taken.has(i) && line.startsWith(`${instance} `));
        if (at >= 0) {
          taken.add(at);
          return lines[at];
        }
        if (ended) {
          const words = errors.trim() || `ended with ${await gone} and said nothing`;
          throw lines.length === 0 ? new Refusal(words) : new Error(`after "${lines.at(-1)}": ${words}`);
        }
        await new Promise((resolve) => waiting.push(resolve));
      }
    },
    async end() {
      child.stdin.end();
      const code = await gone;
      if (code !== 0) throw new Error(`ended with ${code}: ${errors.trim()}`);
    },
    kill: () => child.kill("SIGKILL"),
  };
}

const holds = {
  "=": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  until: () => true,
};

/** Runs the steps of one part in a host: the lines that it answered. */
async function linesOf(host, [name, { steps, ...setup }]) {
  const running = await started(host, [name, setup]);
  const lines = [];
  const answers = new Map();
  /** The values of an argument: a number, or what steps before have answered, with an offset. */
  const valuesOf = (arg) => {
    if (typeof arg === "number") return [arg];
    const [variable, offset] = arg.split("+");
    return answers.get(variable).map((value) => value + Number(offset ?? 0));
  };
  try {
    for (const [instance, call, ...rest] of steps) {
      const arrow = rest.indexOf("->");
      const [as, relation] = rest.slice(arrow + 1);
      const lists = rest.slice(0, arrow).map(valuesOf);
      const times = relation === "until 0" ? Infinity : Math.max(1, ...lists.map((list) => list.length));
      const found = [];
      for (let i = 0; i < times; i++) {
        if (call !== "answer") running.ask([instance, call, ...lists.map((list) => list[i % list.length])].join(" "));
        if (relation === "later") continue;
        const line = await running.answer(instance);
        lines.push(line);
        const word = line.slice(line.indexOf(" = ") + 3);
        const [op, right] = relation.split(" ");
        const isRight =
          right === undefined
            ? word === op
            : holds[op](Number(word), valuesOf(isNaN(right) ? right : Number(right)).at(-1));
        if (!isRight) throw new Error(`expected ${relation}: ${line}`);
        if (op === "until" && word === right) break;
        found.push(Number(word));
      }
      answers.set(as, found);
    }
    await running.end();
    return lines;
  } finally {
    running.kill();
  }
}

const progress = (text) => process.stderr.write(`${text}\n`);

/** One host: for each part "works", "refuses", "fails" or "not here", with the reason. */
async function resultOf(host, expected) {
  const start = performance.now();
  const result = { host: host.title, version: "", parts: {}, extra: {}, seconds: 0, why: undefined };
  progress(`${host.name}: installing`);
  try {
    // Once more if it fails: it may be the network.
    await host.install().catch(() => host.install());
    result.version = await host.version();
  } catch (error) {
    result.why = error.message.trim();
    progress(`${host.name}: not here: ${result.why}`);
    return result;
  }
  for (const part of parts) {
    const [name] = part;
    const cell = { state: "works", lines: 0, why: undefined };
    try {
      const lines = await linesOf(host, part);
      cell.lines = lines.length;
      if (options.lines) progress(lines.join("\n"));
      const at = lines.findIndex((line, i) => line !== (expected.get(name) ?? lines)[i]);
      if (at >= 0) throw new Error(`line ${at + 1} differs: ${lines[at]}, and Node's is ${expected.get(name)[at]}`);
      if (!expected.has(name)) expected.set(name, lines);
      if (lines.length !== expected.get(name).length) throw new Error(`${lines.length} lines`);
      if (host.refuses?.includes(name)) cell.why = "it was to refuse this";
    } catch (error) {
      // A host that does not refuse at once does so by other answers.
      const isRefusal = error instanceof Refusal || host.refuses?.includes(name);
      Object.assign(cell, { state: isRefusal ? "refuses" : "fails", why: error.message });
    }
    if ((cell.state === "refuses") !== (host.refuses?.includes(name) ?? false)) cell.state = "fails";
    result.parts[name] = cell;
    progress(
      `${host.name}: ${name}: ${cell.state}${cell.lines > 0 ? `, ${cell.lines} lines` : ""}${cell.why ? `: ${cell.why.split("\n").slice(-3).join(" ")}` : ""}`,
    );
  }
  for (const [name, work] of Object.entries(host.extra ?? {})) {
    try {
      result.extra[name] = { state: "works", ...(await work()) };
      progress(`${host.name}: ${name}: ${result.extra[name].text}`);
    } catch (error) {
      result.extra[name] = { state: "fails", why: error.message };
      progress(`${host.name}: ${name}: fails: ${error.message}`);
    }
  }
  result.seconds = (performance.now() - start) / 1000;
  progress(`${host.name}: ${result.seconds.toFixed(1)} s`);
  return result;
}

mkdirSync(`${build}/hosts`, { recursive: true });
const wanted = positionals.length > 0 ? hosts.filter(({ name }) => positionals.includes(name)) : hosts;
const [node] = hosts;
const expected = new Map();
const results = new Map([[node, await resultOf(node, expected)]]);
// Two at a time: some compile for long.
const queue = wanted.filter((host) => host !== node).toSorted((a, b) => (b.slow ?? 0) - (a.slow ?? 0));
const work = async () => {
  for (let host = queue.shift(); host; host = queue.shift()) results.set(host, await resultOf(host, expected));
};
await Promise.all([work(), work()]);
const all = hosts.filter((host) => results.has(host)).map((host) => results.get(host));

/** The cells of a host, in words; "no" is what the host itself refused in this run. */
const words = { works: "yes", refuses: "no", fails: "FAILS" };
const headings = {
  plain: "one instance",
  two: "two instances, one memory",
  threads: "threads",
  malloc: "malloc",
  mallocThreads: "malloc, threads",
};
const rows = all.map(({ host, version, parts: cells, why }) => [
  host,
  why ? "not here" : version,
  ...Object.keys(headings).map((name) => words[cells[name]?.state] ?? ""),
]);
const head = ["host", "version", ...Object.values(headings)];
/** The rows, each cell as wide as its column. */
function padded(lines) {
  const widths = lines[0].map((_text, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) => line.map((text, i) => text.padEnd(widths[i])));
}

function tableOf(lines) {
  const [first, ...others] = padded(lines);
  return [first, first.map(({ length }) => "-".repeat(length)), ...others].map((cells) => `| ${cells.join(" | ")} |`);
}

/** The text, with these lines between the marks of a table. */
const within = (text, name, lines) =>
  text.replace(new RegExp(`(<!-- ${name}:begin -->\\n)[^]*(<!-- ${name}:end -->)`), `$1\n${lines.join("\n")}\n\n$2`);

const isRight = ({ why, parts: cells, extra }) =>
  why === undefined && [...Object.values(cells), ...Object.values(extra)].every(({ state }) => state !== "fails");
const missing = all.filter(({ why }) => why !== undefined);
const wrong = all.filter((result) => result.why === undefined && !isRight(result));

if (options.json) console.log(JSON.stringify({ hosts: all }, undefined, 2));
else {
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  for (const row of padded([head, ...rows])) {
    const line = row.join("  ").trimEnd();
    console.log(colour && /FAILS|not here/.test(line) ? `\x1b[31m${line}\x1b[39m` : line);
  }
  for (const { host, extra } of all) {
    for (const [name, { text, why }] of Object.entries(extra))
      console.log(`${host}: ${name}: ${text ?? `FAILS: ${why}`}`);
  }
}
/** What a table says of the hosts, but for their versions. */
const claims = (lines) => JSON.stringify(lines.map(([host, , ...cells]) => [host, ...cells]));
const [, inDocs] = /<!-- hosts:begin -->\n([^]*)<!-- hosts:end -->/.exec(readFileSync(docs, "utf8"));
const documented =
  inDocs.match(/^\|.*(?=\|$)/gm)?.map((line) =>
    line
      .slice(1)
      .split("|")
      .map((cell) => cell.trim()),
  ) ?? [];
const isStale = wanted === hosts && missing.length === 0 && claims(documented.slice(2)) !== claims(rows);
if (options.docs) {
  if (missing.length + wrong.length > 0) fail("the table needs a run in which every host works");
  const cut = Object.entries(results.get(hosts.find(({ name }) => name === "wasmtime")).extra.interruption.of).map(
    ([module, { points, states, kinds, unsound }]) => [module, kinds, points, states, unsound].map(String),
  );
  const cutHead = ["module", "calls", "points", "different states of memory", "points after which the heap is unsound"];
  const text = within(readFileSync(docs, "utf8"), "hosts", tableOf([head, ...rows]));
  writeFileSync(docs, within(text, "interruption", tableOf([cutHead, ...cut])));
}
for (const { host, why } of missing) progress(`hosts: ${host}: not here: ${why.split("\n").at(-1)}`);
for (const { host } of wrong) progress(`hosts: ${host} fails`);
if (isStale && !options.docs) progress("hosts: the table in docs/hosts.md says something else: --docs writes it");
process.exitCode = wrong.length > 0 || (isStale && !options.docs) || (missing.length > 0 && process.env.CI) ? 1 : 0;
