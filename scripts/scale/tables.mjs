/** The tables of docs/scale.md. */

/** Nanoseconds for which a line is on its way from one core to another: an assumption, the same as in ARCHITECTURE.md. */
const TRANSFER = 50;

const number = (n, digits = 0) =>
  n === undefined ? "" : n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const table = (head, rows) =>
  [head, head.map((_, i) => (i ? "-:" : "-")), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const mega = (bytes) => (bytes < 2 ** 30 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 30} GiB`);
const both = (call) => (call ? `${number(call.instructions)} (${call.locked})` : "");
const range = ({ mean, most }) => `${number(mean)} to ${number(most)}`;

function calls({ threads }) {
  return table(
    [
      "threads",
      "alloc, from the reserve",
      "alloc, nothing left",
      "free, into the reserve",
      "free that serves the first waiter",
      "wait_begin, the last",
      "wait_end",
    ],
    threads.calls.map((row) => [
      row.threads,
      ...[row.fromReserve, row.nothing, row.intoReserve, row.serves, row.begins, row.fetches].map(both),
    ]),
  );
}

function lines({ threads }) {
  return table(
    ["load", "threads", "locked", "transfers", "of the busiest line", "million elements a second at most"],
    threads.lines.map(({ load, threads: count, elements, locked, transfers, hottest }) => [
      load,
      count,
      ...[locked, transfers, hottest].map((n) => number(n / elements, 3)),
      hottest === 0 ? "no limit" : number((elements / (hottest * TRANSFER)) * 1000, 1),
    ]),
  );
}

const live = (figures) =>
  table(
    ["live", "memory, times the payload", "alloc, mean to most", "free, mean to most", "ns a pair"],
    figures.live.map((row) => [
      number(row.live),
      number(row.bytes / (64 * row.live), 2),
      range(row.alloc),
      range(row.free),
      number(row.nanoseconds),
    ]),
  );

const pools = (figures) =>
  table(
    [
      "pools",
      "alloc",
      "free",
      "alloc, nothing left at maxNr",
      "create, mean to most",
      "attach the last of the list",
      "an idle thread's look",
      "trim",
      "exit",
    ],
    figures.pools.map((row) => [
      number(row.pools),
      ...[row.alloc, row.free, row.nothing].map((n) => number(n)),
      range(row.create),
      ...[row.attach, row.idle, row.trim, row.exit].map((n) => number(n)),
    ]),
  );

const memory = (figures) =>
  table(
    [
      "heap",
      "elements of 1 MiB",
      "payload",
      "alloc of one, mean to most",
      "alloc of 64 bytes until full, mean to most",
      "free, mean to most",
      "alloc when full, again",
      "16 MiB in vain",
    ],
    figures.memory.map((row) => [
      mega(row.bytes),
      number(row.elements),
      `${number(100 * row.payload, 1)} %`,
      range(row.alloc),
      range(row.fill),
      range(row.free),
      number(row.again),
      number(row.vain),
    ]),
  );

const waiting = (figures) =>
  table(
    ["heap", "how the waits end", "waiters", "µs to begin one", "µs to end one"],
    figures.waiting.map(({ kind, how, waiters, begin, end }) => [
      kind,
      how,
      number(waiters),
      number(begin, 1),
      number(end, 1),
    ]),
  );

const makers = { calls, lines, waiting, live, pools, memory };

/** The page with the tables between their marks. */
export function tables(text, figures) {
  return text.replaceAll(/(<!-- begin (\w+) -->\n)[^]*?(<!-- end -->)/g, (block, begin, name, end) => {
    const isMeasured = figures[name === "calls" || name === "lines" ? "threads" : name] !== undefined;
    return isMeasured ? `${begin}\n${makers[name](figures)}\n\n${end}` : block;
  });
}
