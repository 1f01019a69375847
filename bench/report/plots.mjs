/** Plots, as SVG that a browser shows light or dark as its user likes it. */
import { ratioOf, times, valueOf } from "../lib/text.mjs";

const OURS = "wasm-mempool";

const style = `
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .paper { fill: #ffffff; }
  .title { font-size: 16px; font-weight: 600; }
  .panel { font-weight: 600; }
  .quiet { fill: #59636e; font-size: 12px; }
  .ours { font-weight: 600; }
  .bar { fill: #9aa5b1; }
  .bar.mine { fill: #0a66c2; }
  .line { stroke: #d1d9e0; }
  .torn { stroke: #ffffff; stroke-width: 3; }
  .cell { stroke: #ffffff; stroke-width: 2; }
  .same { fill: #eaeef2; }
  .more1 { fill: #d3e5f7; } .more2 { fill: #a6ccf0; } .more3 { fill: #6cabe4; }
  .less1 { fill: #fde2c4; } .less2 { fill: #f9bf85; } .less3 { fill: #f29a47; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .paper { fill: #0d1117; }
    .quiet { fill: #9198a1; }
    .bar { fill: #6e7681; }
    .bar.mine { fill: #4493f8; }
    .line { stroke: #3d444d; }
    .torn { stroke: #0d1117; }
    .cell { stroke: #0d1117; }
    .same { fill: #21262d; }
    .more1 { fill: #10304f; } .more2 { fill: #174a7c; } .more3 { fill: #1f66ad; }
    .less1 { fill: #4a2c0d; } .less2 { fill: #764411; } .less3 { fill: #a45e14; }
  }`;

const escaped = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const at = (value) => Number(value.toFixed(1));
const text = (x, y, content, { kind = "", anchor = "start", turn } = {}) =>
  `<text x="${at(x)}" y="${at(y)}"${kind && ` class="${kind}"`}${anchor === "start" ? "" : ` text-anchor="${anchor}"`}${turn ? ` transform="rotate(${turn} ${at(x)} ${at(y)})"` : ""}>${escaped(content)}</text>`;
const box = (x, y, width, height, kind, more = "") =>
  `<rect x="${at(x)}" y="${at(y)}" width="${at(width)}" height="${at(height)}" class="${kind}"${more}/>`;

function svg(width, height, title, parts) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}\n</style>`,
    box(0, 0, width, height, "paper", ' rx="6"'),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

/** Wide enough for a text of that size; fonts differ. */
const widthOf = (content, size = 13) => content.length * size * 0.56;

/** The width of the name of a side: ours is set in bold. */
const labelOf = (side) => widthOf(side, side.startsWith(OURS) ? 15 : 13);

/** A text in lines that are no wider. */
function wrapped(content, wide, size) {
  const lines = [];
  for (const word of content.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && widthOf(longer, size) <= wide) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/**
 * Bars, a panel for each of `panels`: { title, unit, lower, bars: [{ side, value, low?, high? }] }. Two panels side by side. A bar
 * far longer than most is torn off, and says how long it is.
 */
export function bars(title, subtitle, panels) {
  const WIDTH = 860;
  const [GAP, LINE, TOP] = [24, 22, 66];
  const longest = Math.max(...panels.flatMap((panel) => panel.bars.map(({ side }) => labelOf(side))));
  const across = panels.length > 1 && longest < 220 ? 2 : 1;
  const wide = (WIDTH - 40 - GAP * (across - 1)) / across;
  const rows = [];
  for (let i = 0; i < panels.length; i += across) rows.push(panels.slice(i, i + across));
  const parts = [text(20, 30, title, { kind: "title" }), text(20, 50, subtitle, { kind: "quiet" })];
  let y = TOP;
  for (const row of rows) {
    const titles = row.map((panel) => wrapped(panel.title, wide - 8, 14));
    const head = 34 + 17 * Math.max(...titles.map((lines) => lines.length));
    const high = head + LINE * Math.max(...row.map((panel) => panel.bars.length)) + 14;
    for (const [i, panel] of row.entries()) {
      const x = 20 + i * (wide + GAP);
      const labels = Math.max(...panel.bars.map(({ side }) => labelOf(side))) + 8;
      const length = wide - labels - 62;
      const sorted = panel.bars.map(({ value }) => value).toSorted((a, b) => a - b);
      // What is several times as long as most others is torn.
      const usual = 3.5 * sorted[Math.floor(0.7 * (sorted.length - 1))];
      const whole = sorted.findLast((value) => value <= usual);
      const most = whole < sorted.at(-1) ? 1.2 * whole : whole;
      const format = valueOf(panel.unit);
      for (const [k, line] of titles[i].entries()) parts.push(text(x, y + 14 + 17 * k, line, { kind: "panel" }));
      const better = `${panel.unit}, ${panel.lower ? "less" : "more"} is better`;
      parts.push(text(x, y + 14 + 17 * titles[i].length, better, { kind: "quiet" }));
      for (const [k, { side, value }] of panel.bars.entries()) {
        const top = y + head - 8 + k * LINE;
        const mine = side.startsWith(OURS);
        const torn = value > most;
        const long = Math.max(1, (Math.min(value, most) / most) * length);
        parts.push(text(x + labels - 6, top + 14, side, { anchor: "end", kind: mine ? "ours" : "" }));
        parts.push(box(x + labels, top + 3, long, LINE - 7, mine ? "bar mine" : "bar", ' rx="2"'));
        if (torn) {
          const from = x + labels + long - 26;
          parts.push(
            `<path d="M ${at(from)} ${at(top + LINE - 2)} l 8 -${LINE - 3} m 4 0 l -8 ${LINE - 3}" class="torn" fill="none"/>`,
          );
        }
        parts.push(text(x + labels + long + 6, top + 14, format(value), { kind: mine ? "ours" : "quiet" }));
      }
    }
    y += high;
  }
  return svg(WIDTH, y + 6, title, parts);
}

function shade(ratio, same) {
  if (same) return "same";
  const size = ratio > 1 ? ratio : 1 / ratio;
  return `${ratio > 1 ? "more" : "less"}${size < 1.5 ? 1 : size < 3 ? 2 : 3}`;
}

/** A field of cells: how many times as long as ours each side takes in each table. */
export function field(title, subtitle, tables) {
  const sides = [];
  const ratios = tables.map((table) => {
    const cells = new Map();
    for (const row of table.rows) {
      const ratio = ratioOf(row);
      if (!ratio || ratio.of !== OURS || row.side.startsWith(OURS)) continue;
      cells.set(row.side, ratio);
      if (!sides.includes(row.side)) sides.push(row.side);
    }
    return cells;
  });
  const left = Math.max(...tables.map((table) => widthOf(table.title))) + 30;
  const CELL = Math.max(58, Math.min(92, (1000 - left) / sides.length));
  const HIGH = 30;
  const slope = Math.max(...sides.map((side) => widthOf(side))) * 0.57 + 14;
  const top = 62 + slope;
  const width = Math.ceil(left + CELL * sides.length + Math.max(20, slope * 0.9 + 20 - CELL / 2));
  const height = Math.ceil(top + HIGH * tables.length + 40);
  const parts = [text(20, 30, title, { kind: "title" }), text(20, 50, subtitle, { kind: "quiet" })];
  for (const [i, side] of sides.entries()) parts.push(text(left + CELL * (i + 0.5), top - 8, side, { turn: -35 }));
  for (const [k, table] of tables.entries()) {
    const y = top + k * HIGH;
    parts.push(text(left - 10, y + 20, table.title, { anchor: "end" }));
    for (const [i, side] of sides.entries()) {
      const ratio = ratios[k].get(side);
      if (!ratio) continue;
      const kind = shade(ratio.ratio, ratio.verdict === "no difference");
      parts.push(box(left + CELL * i, y, CELL, HIGH, `cell ${kind}`));
      parts.push(text(left + CELL * (i + 0.5), y + 20, times(ratio.ratio), { anchor: "middle" }));
    }
  }
  const y = top + HIGH * tables.length + 12;
  let x = left;
  for (const [kind, what] of [
    ["more2", "takes longer than wasm-mempool"],
    ["same", "no difference"],
    ["less2", "takes less"],
  ]) {
    parts.push(box(x, y, 16, 16, `cell ${kind}`));
    parts.push(text(x + 22, y + 13, what, { kind: "quiet" }));
    x += 34 + widthOf(what, 12);
  }
  return svg(width, height, title, parts);
}
