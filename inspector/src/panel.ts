/** What stands beside the picture as text: the legend, the pools with their reserve, queue and time lines, an element, the table. */
import { KIND, RUN, RUN_WORDS, STATE, type HeapMap, type PoolMap } from "../../src/inspect/heap-map.ts";
import { wordsOf as timeOf } from "../../src/inspect/holders.ts";
import type { ElementRecord } from "../../src/inspect/subject.ts";
import { SAMPLES, type Change, type Series } from "./history.ts";
import { bytes } from "./picture.ts";
import { Raster } from "./raster.ts";
import {
  describeState,
  inkOn,
  kinds,
  poolColor,
  poolLetter,
  states,
  stateOf,
  threadColor,
  words as wordsOf,
  type Theme,
} from "./states.ts";

export const hex = (address: number): string => `0x${address.toString(16)}`;

function make<K extends keyof HTMLElementTagNameMap>(name: K, text = "", className = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Pools that have a card; the table has all. */
const CARDS = 24;
/** Slots that are drawn one by one. */
const SLOTS = 64;
const ROWS = 500;

/** One byte of each state, of thread 0. */
const bytesOf = { never: 0, quarantined: 8, reserved: 0x10, free: 0x20, cached: 0x40, live: 0x80 };

function swatch(byte: number, theme: Theme, size: number): HTMLCanvasElement {
  const canvas = make("canvas");
  const raster = new Raster();
  raster.theme(theme);
  raster.resize(size + 1, size + 1);
  raster.clear();
  raster.element(1, 1, size, byte);
  canvas.width = canvas.height = size + 1;
  canvas.getContext("2d")!.putImageData(raster.image, 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

export function showLegend(list: Element, theme: Theme, hasQuarantine: boolean): void {
  list.replaceChildren(
    ...states
      .filter((state) => state !== "quarantined" || hasQuarantine)
      .map((state) => {
        const item = make("li");
        // Without a number: nine pixels.
        item.append(swatch(bytesOf[state], theme, 9), wordsOf[state]);
        return item;
      }),
  );
}

export function showThreads(list: Element, theme: Theme, threads: readonly number[]): void {
  list.replaceChildren(
    ...threads.map((thread) => {
      const item = make("li", "", "thread");
      const name = thread === 63 ? "left" : `T${thread}`;
      item.append(swatch(0x80 | thread, theme, 17), name);
      item.title = thread === 63 ? "threads that have left" : `thread ${thread}, ${threadColor(thread)}`;
      return item;
    }),
  );
}

interface Card {
  readonly element: HTMLElement;
  readonly text: HTMLElement;
  readonly slots: HTMLElement;
  readonly queue: HTMLElement;
  readonly lines: HTMLCanvasElement;
  readonly words: HTMLElement;
  shown: string;
}

/** The cards of pools: only what has changed is written. */
export class Pools {
  readonly #parent: Element;
  readonly #cards = new Map<number, Card>();
  readonly #more = make("p", "", "quiet");

  constructor(parent: Element) {
    this.#parent = parent;
  }

  clear(): void {
    this.#cards.clear();
    this.#parent.replaceChildren();
  }

  show(map: HeapMap, seriesOf: (serial: number) => Series | undefined, theme: Theme): void {
    const serials = new Set(map.pools.map(({ serial }) => serial));
    for (const [serial, { element }] of this.#cards) {
      if (serials.has(serial)) continue;
      element.remove();
      this.#cards.delete(serial);
    }
    map.pools.slice(0, CARDS).forEach((pool, i) => {
      let card = this.#cards.get(pool.serial);
      if (!card) {
        this.#cards.set(pool.serial, (card = makeCard(pool, i, theme)));
        this.#parent.append(card.element);
      }
      write(card, pool);
      const series = seriesOf(pool.serial);
      card.lines.hidden = card.words.hidden = !series || series.count < 2;
      if (series && !card.lines.hidden) drawLines(card, series, theme);
    });
    this.#more.textContent = map.pools.length > CARDS ? `and ${map.pools.length - CARDS} more: see the table` : "";
    this.#parent.append(this.#more);
  }
}

function makeCard({ name }: PoolMap, index: number, theme: Theme): Card {
  const element = make("article", "", "pool");
  const heading = make("h3");
  const letter = make("span", poolLetter(index), "letter");
  letter.style.background = poolColor(index, theme);
  letter.style.color = inkOn(poolColor(index, theme));
  heading.append(letter, name);
  const [text, slots, queue, words] = [make("p"), make("div", "", "slots"), make("p", "", "queue"), make("p")];
  const lines = make("canvas");
  lines.setAttribute("role", "img");
  words.className = "quiet";
  element.append(heading, text, slots, queue, lines, words);
  return { element, text, slots, queue, lines, words, shown: "" };
}

function write(card: Card, pool: PoolMap): void {
  const { size, minNr, maxNr, currNr, outstanding, cached, isClosed, waiting, queue } = pool;
  const key = JSON.stringify([size, minNr, maxNr, currNr, outstanding, cached, isClosed, waiting, queue]);
  if (key === card.shown) return;
  card.shown = key;
  const cap = maxNr === Infinity ? "" : ` of at most ${maxNr}`;
  card.text.textContent = `${bytes(size)} · ${outstanding} live${cap} · ${cached} cached${isClosed ? " · closed" : ""}`;
  card.slots.title = `reserve: ${currNr} of ${minNr}`;
  card.slots.setAttribute("role", "img");
  card.slots.setAttribute("aria-label", `reserve: ${currNr} of ${minNr} elements`);
  const shown = Math.min(minNr, SLOTS);
  const full = minNr > SLOTS ? Math.round((currNr / minNr) * SLOTS) : currNr;
  card.slots.replaceChildren(
    ...Array.from({ length: shown }, (_, i) => make("i", "", i < full ? "full" : "")),
    make("span", `${currNr} of ${minNr} in reserve`, "quiet"),
  );
  card.queue.hidden = waiting === 0;
  const first = queue.slice(0, 12).map((thread) => make("b", `T${thread}`));
  const rest = waiting - first.length;
  card.queue.replaceChildren(`${waiting} waiting: `, ...first, rest > 0 ? ` and ${rest} more` : "");
}

/** Reserve solid, live dashed, waits as bars from below: told apart without colours. */
function drawLines({ lines, words }: Card, { currNr, live, waiting, count }: Series, theme: Theme): void {
  const ratio = globalThis.devicePixelRatio || 1;
  const width = (lines.width = Math.max(1, Math.round(lines.clientWidth * ratio)));
  const height = (lines.height = Math.round(40 * ratio));
  const context = lines.getContext("2d")!;
  const shown = Math.min(count, SAMPLES);
  const at = (i: number): number => (count - shown + i) % SAMPLES;
  const x = (i: number): number => width - ((shown - 1 - i) * width) / (SAMPLES - 1);
  const mostOf = (samples: Float64Array): number => Math.max(1, ...samples.subarray(0, shown));
  const plot = (samples: Float64Array, color: string, dash: number[]): void => {
    const most = mostOf(samples);
    context.beginPath();
    for (let i = 0; i < shown; i++) {
      context.lineTo(x(i), height - 2 * ratio - (samples[at(i)]! / most) * (height - 5 * ratio));
    }
    context.setLineDash(dash.map((n) => n * ratio));
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = color;
    context.stroke();
  };
  const most = mostOf(waiting);
  context.fillStyle = "#d55e00";
  for (let i = 0; i < shown; i++) {
    const bar = (waiting[at(i)]! / most) * (height * 0.4);
    if (bar > 0) context.fillRect(x(i) - ratio / 2, height - bar, Math.max(1, width / SAMPLES), bar);
  }
  plot(live, theme.accent, [5, 3]);
  plot(currNr, theme.ink, []);
  const caption = `most: reserve — ${mostOf(currNr)} · live ╌ ${mostOf(live)} · waits ▂ ${Math.max(...waiting.subarray(0, shown))}`;
  if (words.textContent !== caption) words.textContent = caption;
  lines.setAttribute("aria-label", `over the last ${shown} maps, ${caption}`);
}

/** What an element is, and was. */
export function showElement(
  parent: Element,
  map: HeapMap,
  spot: {
    readonly run: number;
    readonly index: number | undefined;
    readonly address: number;
    readonly byte: number | undefined;
  },
  changes: readonly Change[],
  record: Partial<ElementRecord> | undefined,
): void {
  const list = make("dl");
  for (const [name, value] of facts(map, spot)) list.append(make("dt", name), make("dd", value));
  if (record?.site) list.append(make("dt", "allocated at"), make("dd", record.site));
  if (record?.heldMs !== undefined) list.append(make("dt", "held for"), make("dd", timeOf(record.heldMs)));
  parent.replaceChildren(list);
  if (spot.byte === undefined) return;
  parent.append(make("p", changes.length > 0 ? "History, the newest first" : "No change seen yet.", "quiet"));
  const history = make("ol");
  const latest = performance.now();
  for (const { time, to } of changes) {
    history.append(make("li", `${((latest - time) / 1000).toFixed(1)} s ago: ${describeState(to)}`));
  }
  if (changes.length > 0) parent.append(history);
}

/** What is known of a spot, as names and values. */
export function facts(
  { runs, pools }: HeapMap,
  { run, index, address, byte }: { run: number; index: number | undefined; address: number; byte: number | undefined },
): [name: string, value: string][] {
  const word = (n: number): number => runs[run * RUN_WORDS + n]!;
  const kind = word(RUN.kind);
  const found: [string, string][] = [];
  if (byte === undefined || index === undefined) {
    found.push(["what", kinds[kind]!], ["pages", `${word(RUN.pages)}, ${bytes(word(RUN.pages) * 4096)}`]);
    found.push(["address", hex(address)]);
    return found;
  }
  const at = pools.findIndex(({ serial }) => serial === word(RUN.serial));
  found.push(["state", describeState(byte)], ["address", hex(address)]);
  found.push(["pool", kind === KIND.records ? kinds[kind]! : at < 0 ? `#${word(RUN.serial)}` : pools[at]!.name]);
  found.push(["size", bytes(word(RUN.size))], ["number", `${index} of ${word(RUN.count)} in its slab`]);
  if (!(word(RUN.flags) & 1) && kind === KIND.slab) found.push(["epoch", "an old size, or a closed pool"]);
  found.push(["slab", `${hex(word(RUN.page) * 4096)}, ${bytes(word(RUN.pages) * 4096)}, ${word(RUN.out)} in use`]);
  return found;
}

/** The same heap as tables: of pools, and of runs. */
export function showTable(parent: Element, map: HeapMap): void {
  const { pools, runs, states: all } = map;
  const names = new Map(pools.map(({ serial, name }) => [serial, name]));
  // Only a debug heap has a quarantine.
  const shown = states.filter((state) => state !== "quarantined" || all.includes(STATE.quarantined));
  const poolRows = pools.map((pool) => [
    pool.name,
    pool.size,
    pool.outstanding,
    pool.cached,
    `${pool.currNr} of ${pool.minNr}`,
    pool.waiting,
    pool.isClosed ? "closed" : "open",
  ]);
  const runRows: (string | number)[][] = [];
  for (let i = 0; i < runs.length && runRows.length < ROWS; i += RUN_WORDS) {
    const kind = runs[i + RUN.kind]!;
    const isSlab = kind === KIND.slab || kind === KIND.records;
    const counts = Object.fromEntries(states.map((state) => [state, 0]));
    const offset = runs[i + RUN.offset]!;
    for (const byte of all.subarray(offset, offset + (isSlab ? runs[i + RUN.count]! : 0))) counts[stateOf(byte)]!++;
    const what = kind === KIND.slab ? `slab of ${names.get(runs[i + RUN.serial]!) ?? "a pool"}` : kinds[kind]!;
    const numbers = shown.map((state) => (isSlab ? counts[state]! : ""));
    runRows.push([hex(runs[i]! * 4096), what, runs[i + RUN.pages]!, ...numbers]);
  }
  const total = runs.length / RUN_WORDS;
  const caption = total > ROWS ? `The first ${ROWS} of ${total} runs of pages` : "Runs of pages";
  parent.replaceChildren(
    tableOf("Pools", ["pool", "element size", "live", "cached", "reserve", "waiting", "state"], poolRows),
    tableOf(caption, ["address", "what", "pages", ...shown.map((state) => wordsOf[state])], runRows),
  );
}

/** Words begin at the left of their column, and numbers end at its right. */
const isText = (value: string | number | undefined): boolean => typeof value === "string" && /^[^\d]/.test(value);

function tableOf(
  caption: string,
  titles: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): HTMLTableElement {
  const table = make("table");
  table.append(make("caption", caption));
  const head = make("tr");
  titles.forEach((title, i) => {
    const cell = make("th", title, isText(rows[0]?.[i]) ? "text" : "");
    cell.scope = "col";
    head.append(cell);
  });
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((value, i) => {
      const cell = make(i === 0 ? "th" : "td", String(value), isText(value) ? "text" : value === 0 ? "quiet" : "");
      if (i === 0) (cell as HTMLTableCellElement).scope = "row";
      line.append(cell);
    });
    body.append(line);
  }
  table.append(top, body);
  return table;
}
