/**
 * Searches the cases for a given time, and reports the progress: `node --import tsx test/sim/main.ts --seconds N
 * [--case NAME] [--json]`. The cases share the time; a case gets the time that earlier ones did not need.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";
import { build } from "./build.ts";
import { cases } from "./cases.ts";
import { deathCases } from "./deaths.ts";
import { matrix } from "./matrix.ts";
import { report, search } from "./search.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    case: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const folder = fileURLToPath(new URL("../../assembly/", import.meta.url));
const seconds = Number(values.seconds);
const chosen = [...matrix, ...deathCases, ...cases].filter(
  ({ name }) => values.case === undefined || name === values.case,
);
if (!(seconds > 0) || !chosen.length) {
  console.error(seconds > 0 ? `no case "${values.case}"` : `--seconds ${values.seconds}: not a number above 0`);
  process.exit(2);
}

const generated = new Set(matrix.map(({ name }) => name));
const isShown = process.stderr.isTTY && !process.env["NO_COLOR"];
const red = (text: string): string =>
  process.stdout.isTTY && !process.env["NO_COLOR"] ? styleText("red", text) : text;

function progress(text: string): void {
  if (isShown) process.stderr.write(`\r\x1b[K${text}`);
}

progress("building");
const core = await build("core", { entry: join(folder, "abi/shared.ts") });
const checker = await build("core.inspect", { entry: join(folder, "abi/inspect.ts") });
const deadline = performance.now() + 1000 * seconds;

interface Row {
  readonly name: string;
  readonly schedules: number;
  readonly complete: boolean;
  readonly deaths: number;
  readonly states: number;
  readonly fault: string;
}
const rows: Row[] = [];

const number = (n: number): string => n.toLocaleString("en");

function line({
  name,
  schedules,
  complete,
  deaths,
  states,
  fault,
}: Omit<Row, "complete"> & { complete: string }): string {
  const end = fault ? `  ${red("FAULT")}` : "";
  return (
    name.padEnd(58) +
    number(schedules).padStart(12) +
    complete.padStart(10) +
    number(deaths).padStart(10) +
    number(states).padStart(15) +
    end
  );
}

if (!values.json) {
  console.log(
    `${"".padEnd(58)}${"schedules".padStart(12)}${"all".padStart(10)}${"deaths".padStart(10)}${"states".padStart(15)}`,
  );
}
for (const [i, one] of chosen.entries()) {
  progress(`${i + 1} of ${chosen.length}: ${one.name}`);
  // Cases by hand get more time than generated ones.
  const weight = chosen.slice(i).reduce((total, { name }) => total + weightOf(name), 0);
  const milliseconds = Math.max(10, ((deadline - performance.now()) * weightOf(one.name)) / weight);
  const outcome = search(core, one, { mode: one.mode, milliseconds, checker });
  const { schedules, complete, deaths, steps: states } = outcome;
  const row = { name: one.name, schedules, complete, deaths, states, fault: report(one.name, outcome) };
  rows.push(row);
  progress("");
  if (!values.json) console.log(line({ ...row, complete: allOf(one.mode, complete) }));
  if (row.fault) console.error(row.fault);
}

function weightOf(name: string): number {
  return generated.has(name) ? 1 : 10;
}

/** How complete the search was: every order, or all with a number of preemptions. */
function allOf(mode: (typeof chosen)[number]["mode"], complete: boolean): string {
  if (!complete) return "";
  return typeof mode === "object" && "preemptions" in mode ? `<= ${mode.preemptions}` : "yes";
}

const sum = (of: (row: Row) => number): number => rows.reduce((total, row) => total + of(row), 0);
const total = {
  schedules: sum((row) => row.schedules),
  deaths: sum((row) => row.deaths),
  states: sum((row) => row.states),
  fault: "",
};
const completed = rows.filter(({ complete }) => complete).length;
if (values.json)
  console.log(JSON.stringify({ seconds, cases: rows, total: { ...total, complete: completed } }, undefined, 2));
else console.log(`\n${line({ name: `${rows.length} cases`, ...total, complete: number(completed) })}`);
if (rows.some(({ fault }) => fault)) process.exitCode = 1;
