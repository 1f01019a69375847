/** Benchmarks that are programs of their own, as suites. */
import { outputOf } from "./child.mjs";
import { root } from "./machine.mjs";

/** Runs a benchmark that gives its result as JSON with --json. */
export async function resultOf(program, { quick, random, seconds }) {
  const seed = String(Math.floor(random() * 2 ** 32));
  const args = [`${root}${program}`, "--json", "--seed", seed, ...(quick ? ["--quick"] : [])];
  return JSON.parse(await outputOf(process.execPath, args, { seconds }));
}

export const goalsOf = (rows, textOf = ({ name }) => name) =>
  rows
    .filter(({ goal }) => goal !== undefined)
    .map((row) => ({ text: textOf(row), value: row.ratio, ci: row.ci, goal: row.goal, verdict: row.verdict }));

/** A row "workload: variant" in two. */
export function halves(name) {
  const at = name.indexOf(": ");
  return at < 0 ? [name, name] : [name.slice(0, at), name.slice(at + 2)];
}

export const slug = (text) =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
