/** Plots as SVG, light or dark by the preference of the reader. */
import { valueOf } from "./text.mjs";

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
  .torn { stroke: #ffffff; stroke-width: 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .paper { fill: #0d1117; }
    .quiet { fill: #9198a1; }
    .bar { fill: #6e7681; }
    .bar.mine { fill: #4493f8; }
    .torn { stroke: #0d1117; }
  }`;

const escaped = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const at = (value) => Number(value.toFixed(1));
const text = (x, y, content, { kind = "", anchor = "start" } = {}) =>
  `<text x="${at(x)}" y="${at(y)}"${kind && ` class="${kind}"`}${anchor === "start" ? "" : ` text-anchor="${anchor}"`}>${escaped(content)}</text>`;
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

/** The width of a text in any font. */
const widthOf = (content, size = 13) => content.length * size * 0.56;

/** The width of the name of a side; ours is bold. */
const labelOf = (side) => widthOf(side, side.startsWith(OURS) ? 15 : 13);

/** The lines of a text within a width. */
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
      // A bar several times as long as most others is torn.
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
