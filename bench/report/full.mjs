/** All tables of the results, as one page of Markdown. */
import { lost, machineOf, markdown, withInterval } from "./rows.mjs";
import { columnsOf, footOf, markdownRows, times, valueOf } from "./text.mjs";

function headOf(result) {
  const { machine, versions = {}, date, seed, seconds, quick } = result;
  const by = Object.entries(versions)
    .filter(([, version]) => version)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  const when = `${date.slice(0, 10)}, seed ${seed}${seconds ? `, ${seconds} s` : ""}.`;
  const lines = [`${machineOf(result)}, load ${machine.load}.`, `${by}.`, when];
  if (quick) lines.push("**A quick run: too few samples to judge by.**");
  return lines.join(" ");
}

const list = (lines) => lines.map((line) => `- ${line}`).join("\n");
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}` : "");

function section(result, plots) {
  const behind = lost(result).map(
    ({ table, row, ratio }) => `${table.title}: ${row.side} takes ${withInterval(ratio)} of our time.`,
  );
  const notRun = new Set(
    result.tables.flatMap((table) => (table.notRun ?? []).map(({ side, why }) => `${side}: ${why}`)),
  );
  return [
    `## ${result.title}`,
    headOf(result),
    list(result.method ?? []),
    ...plots.map(({ file, title }) => `![${title}](${file})`),
    markdown(["side", "what it is"], Object.entries(result.about ?? {})),
    ...(behind.length ? ["**Where others are ahead**, beyond the noise:", list(behind)] : []),
    ...result.tables.flatMap((table) => [
      `### ${table.title}`,
      sentence(table.workload),
      markdownRows(columnsOf(table)),
      list(footOf(table)),
    ]),
    ...(notRun.size ? ["### Not run", list([...notRun])] : []),
  ].filter(Boolean);
}

/** The goals of all tables, as rows of cells: suite, goal, value, limit, verdict. */
export const goalRows = (results) =>
  results.flatMap(({ title, tables }) =>
    tables.flatMap((table) =>
      (table.goals ?? []).map(({ text, value, ci, goal, verdict }) => {
        const show = ci ? times : valueOf(table.unit === "bytes" ? "bytes" : "");
        const is = value === undefined ? "" : ci ? withInterval({ ratio: value, ci }) : show(value);
        return [title, `${table.title}: ${text}`, is, goal === undefined ? "" : show(goal), verdict];
      }),
    ),
  );

export const goalCount = (rows) => {
  const of = (verdict) => rows.filter((row) => row[4] === verdict).length;
  return `${rows.length} goals: ${of("met")} met, ${of("missed")} missed, ${of("cannot tell")} that cannot be told.`;
};

export function fullPage(results, plots) {
  const goals = goalRows(results);
  return [
    "# All tables",
    "Written by `npm run bench -- --report`, from bench/results.",
    list([
      "Ratios are of pairs of samples taken by turns in one run, with a 95 % bootstrap interval. _against wasm-mempool_: how many times as long as wasm-mempool that side takes; more than 1: wasm-mempool is faster.",
      "The noise of a table is how far wasm-mempool seems to be from itself in the same run. _no difference_: inside the noise.",
      "A goal is met, or missed, if the whole interval says so.",
    ]),
    ...(goals.length
      ? ["## Goals", goalCount(goals), markdown(["suite", "goal", "value", "at", "verdict"], goals)]
      : []),
    ...results.flatMap((result) => section(result, plots.get(result.suite))),
  ].join("\n\n");
}
