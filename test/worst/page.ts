/** The tables of docs/worst-case.md. */
import { kinds, type Kind, type Worst } from "./calls.ts";
import type { Searched } from "./histories.ts";

export interface Figures {
  readonly plain: Searched;
  readonly shared: Searched;
  readonly realtime: { readonly plain: Searched; readonly shared: Searched; readonly eight: Searched };
}

const number = (n: number | undefined): string => (n === undefined ? "" : n.toLocaleString("en"));

/** A table as prettier writes it; all columns but the first and the last are numbers. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const last = head.length - 1;
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const isNumber = (i: number): boolean => i > 0 && i < last;
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (isNumber(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(" | ")} |`;
  const rule = widths.map((width, i) => (isNumber(i) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}

/** One row for each kind that any of the searches has found. */
function rowsOf(...found: readonly Worst[]): string[][] {
  return (Object.keys(kinds) as Kind[])
    .filter((kind) => found.some((worst) => worst[kind] !== undefined))
    .map((kind) => [kind, found.map((worst) => number(worst[kind])), kinds[kind]].flat());
}

const sum = (...searched: readonly Searched[]): string =>
  number(searched.reduce((total, { calls }) => total + calls, 0));

/** The page, with the figures between its marks. */
export function page(text: string, { plain, shared, realtime }: Figures): string {
  const blocks: Readonly<Record<string, string>> = {
    all: [
      table(["call", "plain", "shared", "what it does"], rowsOf(plain.worst, shared.worst)),
      `The most Wasm instructions of ${sum(plain, shared)} calls.`,
    ].join("\n\n"),
    realtime: [
      table(
        ["call", "plain", "shared", "8 threads", "what it does"],
        rowsOf(realtime.plain.worst, realtime.shared.worst, realtime.eight.worst),
      ),
      `The most Wasm instructions of ${sum(realtime.plain, realtime.shared, realtime.eight)} calls.`,
    ].join("\n\n"),
  };
  return replaced(text, blocks);
}

/** What test/sim/worst.test.ts has found. */
export interface Schedules extends Searched {
  readonly schedules: number;
}

/** The page, with the table of the schedules. */
export function schedulesPage(text: string, { schedules, calls, worst }: Schedules): string {
  const found = `The most Wasm instructions of ${number(calls)} calls in ${number(schedules)} schedules.`;
  return replaced(text, { schedules: [table(["call", "most", "what it does"], rowsOf(worst)), found].join("\n\n") });
}

/** The page with these blocks between their marks; others stay. */
function replaced(text: string, blocks: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    /(<!-- begin (\w+) -->\n)[^]*?(<!-- end -->)/g,
    (block, begin: string, name: string, end: string) =>
      blocks[name] === undefined ? block : `${begin}\n${blocks[name]}\n\n${end}`,
  );
}
