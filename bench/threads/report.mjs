/** Rows as text. */

const colours = { met: 32, missed: 31, "cannot tell": 33, "no difference": 36 };

/** A table: columns are [title, cell(row)], the first to the left, the others to the right. */
function table(rows, columns, colour) {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, cell]) => cell(row) ?? ""))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i].length)));
  const cellOf = (text, i) => {
    const padded = i === 0 ? text.padEnd(widths[i]) : i === columns.length - 1 ? text : text.padStart(widths[i]);
    return colour && colours[text] ? `\x1b[${colours[text]}m${padded}\x1b[0m` : padded;
  };
  return cells.map((line) => line.map(cellOf).join("  ").trimEnd()).join("\n");
}

const fixed = (digits) => (value) => (value === undefined ? "" : value.toFixed(digits));
const ratio = fixed(3);
const format = {
  fixed,
  ratio,
  ns: fixed(1),
  percent: (value) => (value === undefined ? "" : `${(100 * value).toFixed(1)} %`),
  interval: (ci) => (ci ? `${ratio(ci[0])}..${ratio(ci[1])}` : ""),
};

/** `sections`: by name, with title and columns. */
export function report(result, sections, colour) {
  const { machine, node, date, seed, quick, method, compiler } = result;
  const head = [
    `${machine.cpu}, ${machine.cores} cores, load ${machine.load}; ${node}; asc ${compiler.asc}; ${date}`,
    `seed ${seed}${quick ? "; quick: too few samples to judge by" : ""}`,
    ...method,
  ];
  const parts = Object.entries(result.sections).map(
    ([name, rows]) => `${sections[name].title}\n${table(rows, sections[name].columns(format), colour)}`,
  );
  const goals = Object.values(result.sections)
    .flat()
    .filter((row) => row.goal !== undefined);
  const missed = goals.filter((row) => row.verdict === "missed").map((row) => row.name);
  const untold = goals.filter((row) => row.verdict === "cannot tell").map((row) => row.name);
  const say = (what, names) =>
    names.length ? [`Goals ${what}, ${names.length} of ${goals.length}: ${names.join("; ")}`] : [];
  const end = [...say("missed", missed), ...say("that cannot be told", untold)];
  if (goals.length && !end.length) end.push(`All ${goals.length} goals met.`);
  return [head.join("\n"), ...parts, ...(end.length ? [end.join("\n")] : [])].join("\n\n");
}
