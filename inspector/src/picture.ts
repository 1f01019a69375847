/** The picture: a canvas as large as what is seen of it, over a scroller as long as the whole. Draws the tiles in sight only. */
import { KIND, RUN, RUN_WORDS, type HeapMap } from "../../src/inspect/heap-map.ts";
import { BORDER, Layout } from "./layout.ts";
import { Raster } from "./raster.ts";
import { inkOn, kinds, mix, pixel, poolColor, poolLetter, themes, type Theme } from "./states.ts";

/** An element, or a run of pages that is no slab, at some place in the picture. */
export interface Spot {
  /** The index of its run. */
  readonly run: number;
  /** Its number in the slab, its address and its state byte; undefined but in a slab. */
  readonly index: number | undefined;
  readonly address: number;
  readonly byte: number | undefined;
}

const SIZES = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384];

export class Picture {
  readonly canvas: HTMLCanvasElement;
  readonly layout: Layout = new Layout();
  readonly raster: Raster = new Raster();
  readonly #scroller: HTMLElement;
  readonly #extent: HTMLElement;
  readonly #context: CanvasRenderingContext2D;
  #map: HeapMap | undefined;
  #theme: Theme = themes.light;
  #size = 128;
  #isDue = false;
  /** The height in the picture at which the raster begins; undefined: it shows something else. */
  #painted: number | undefined;
  hovered: Spot | undefined;
  selected: Spot | undefined;
  /** Of the last frame: tiles and elements drawn, calls of the canvas, milliseconds; and frames in all. */
  readonly stats = { frames: 0, slabs: 0, elements: 0, calls: 0, ms: 0 };

  constructor(canvas: HTMLCanvasElement, scroller: HTMLElement, extent: HTMLElement) {
    this.canvas = canvas;
    this.#scroller = scroller;
    this.#extent = extent;
    this.#context = canvas.getContext("2d", { alpha: false })!;
    scroller.addEventListener("scroll", () => this.redraw());
    new ResizeObserver(() => this.#resize()).observe(scroller);
  }

  get map(): HeapMap | undefined {
    return this.#map;
  }

  get ratio(): number {
    return globalThis.devicePixelRatio || 1;
  }

  get size(): number {
    return this.#size;
  }

  setTheme(theme: Theme): void {
    this.#theme = theme;
    this.raster.theme(theme);
    this.#painted = undefined;
    this.redraw();
  }

  /** The next map is of another heap. */
  forget(): void {
    this.#map = this.selected = this.hovered = this.#painted = undefined;
  }

  show(map: HeapMap): void {
    const old = this.#map;
    this.#map = map;
    if (!old || old.runs !== map.runs || old.pools.length !== map.pools.length) this.#arrange();
    this.selected = this.#again(this.selected);
    this.hovered = this.#again(this.hovered);
    this.#painted = undefined;
    this.redraw();
  }

  /** The spot with the same address in the map that is shown now. */
  #again(spot: Spot | undefined): Spot | undefined {
    return spot && this.spotOf(spot.address);
  }

  /** The element at an address, or the run that it is in. */
  spotOf(address: number): Spot | undefined {
    const { runs } = this.#map!;
    const page = Math.floor(address / 4096);
    let [low, high] = [0, runs.length / RUN_WORDS];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (runs[middle * RUN_WORDS]! <= page) low = middle + 1;
      else high = middle;
    }
    const run = low - 1;
    if (run < 0 || page >= runs[run * RUN_WORDS]! + runs[run * RUN_WORDS + RUN.pages]!) return undefined;
    const index = Math.floor((address - this.word(run, RUN.first)) / this.word(run, RUN.stride));
    return this.spot(run, this.isSlab(run) && index >= 0 && index < this.word(run, RUN.count) ? index : undefined);
  }

  word(run: number, word: number): number {
    return this.#map!.runs[run * RUN_WORDS + word]!;
  }

  isSlab(run: number): boolean {
    const kind = this.word(run, RUN.kind);
    return kind === KIND.slab || kind === KIND.records;
  }

  spot(run: number, index: number | undefined): Spot {
    if (index === undefined) return { run, index, address: this.word(run, RUN.page) * 4096, byte: undefined };
    const address = this.word(run, RUN.first) + index * this.word(run, RUN.stride);
    return { run, index, address, byte: this.#map!.states[this.word(run, RUN.offset) + index]! };
  }

  zoom(by: number): void {
    const at = SIZES.indexOf(this.#size);
    this.size = SIZES[Math.min(SIZES.length - 1, Math.max(0, at + by))]!;
  }

  set size(size: number) {
    const middle = this.selected;
    this.#size = size;
    if (this.#map) this.#arrange();
    if (middle) this.reveal(middle);
    this.redraw();
  }

  #resize(): void {
    const width = this.#scroller.clientWidth;
    const height = this.#scroller.clientHeight;
    const { ratio } = this;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    if (this.#map) this.#arrange();
    this.draw();
  }

  #arrange(): void {
    this.layout.build(this.#map!, this.canvas.width, Math.round(this.#size * this.ratio), this.ratio);
    this.#extent.style.height = `${this.layout.height / this.ratio}px`;
    this.#painted = undefined;
  }

  /** The element or run at a place of the canvas, in CSS pixels. */
  hitTest(x: number, y: number): Spot | undefined {
    if (!this.#map) return undefined;
    const { ratio } = this;
    const found = this.layout.runAt(x * ratio, (y + this.#scroller.scrollTop) * ratio);
    if (!found) return undefined;
    if (!this.isSlab(found.run)) return this.spot(found.run, undefined);
    const index = this.layout.elementAt(this.word(found.run, RUN.count), found.x, found.y);
    return index === undefined ? undefined : this.spot(found.run, index);
  }

  /** Where a spot is on the canvas, in CSS pixels: its middle, and its size. */
  placeOf({ run, index }: Spot): { readonly x: number; readonly y: number; readonly size: number } {
    const { ratio } = this;
    const { x, y, size } = this.#boxOf(run, index);
    return { x: (x + size / 2) / ratio, y: (y + size / 2) / ratio - this.#scroller.scrollTop, size: size / ratio };
  }

  #boxOf(run: number, index: number | undefined): { x: number; y: number; size: number } {
    const { x, y } = this.layout.place(run);
    if (index === undefined) return { x, y, size: this.layout.tile };
    const count = this.word(run, RUN.count);
    const { columns, cell } = this.layout.gridOf(count);
    const n = cell === 0 ? Math.ceil((index * columns * columns) / count) : index;
    const side = Math.max(1, cell);
    return { x: x + BORDER + (n % columns) * side, y: y + BORDER + Math.floor(n / columns) * side, size: side };
  }

  /** Scrolls so that a spot is in sight. */
  reveal({ run }: Spot): void {
    const { ratio, layout } = this;
    const { y } = layout.place(run);
    const [top, bottom] = [(y - layout.title) / ratio, (y + layout.tile + layout.gap) / ratio];
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.#scroller.scrollTop = bottom - clientHeight;
  }

  /** Draws before the next frame. */
  redraw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.draw();
    });
  }

  draw(): void {
    const start = performance.now();
    const { raster, stats } = this;
    const { height } = this.canvas;
    stats.slabs = stats.elements = stats.calls = 0;
    const top = Math.round(this.#scroller.scrollTop * this.ratio);
    this.#paint(top, height);
    this.#context.putImageData(raster.image, 0, 0);
    stats.calls++;
    if (this.#map) {
      this.#outline(this.hovered, top, this.#theme.quiet);
      this.#outline(this.selected, top, this.#theme.ink);
      this.#titles(top, height);
    }
    stats.frames++;
    stats.ms = performance.now() - start;
  }

  /** Makes the raster show what is from `top` on. What it shows already is moved, and only the rest is drawn. */
  #paint(top: number, height: number): void {
    const { raster } = this;
    const by = top - (this.#painted ?? Infinity);
    this.#painted = top;
    if (raster.resize(this.canvas.width, height) || !(Math.abs(by) < height)) {
      raster.clear();
      this.#tiles(top, 0, height);
    } else if (by !== 0) {
      raster.scroll(by);
      const [from, to] = by > 0 ? [height - by, height] : [0, -by];
      raster.clear(from, to);
      this.#tiles(top, from, to);
    }
  }

  /** Draws the tiles that are at least partly between two rows of the raster: again what was there, if they were partly there. */
  #tiles(top: number, from: number, to: number): void {
    if (!this.#map) return;
    this.layout.visible(top + from, top + to, (run, x, y, { pool }) => this.#tile(run, x, y - top, pool));
  }

  #outline(spot: Spot | undefined, top: number, color: string): void {
    if (!spot) return;
    const { x, y, size } = this.#boxOf(spot.run, spot.index);
    const context = this.#context;
    const thick = (context.lineWidth = Math.round(2 * this.ratio));
    const side = Math.max(size, 4) - 1;
    // Two lines, so that one of them is seen on any colour.
    for (const [out, each] of [
      [1.5 * thick, color],
      [0.5 * thick, this.#theme.paper],
    ] as const) {
      context.strokeStyle = each;
      context.strokeRect(x - out, y - top - out, side + 2 * out, side + 2 * out);
      this.stats.calls++;
    }
  }

  #tile(run: number, x: number, y: number, pool: number): void {
    const { raster, layout, stats } = this;
    const theme = this.#theme;
    const { tile } = layout;
    const color = pool < 0 ? theme.line : poolColor(pool, theme);
    stats.slabs++;
    if (!this.isSlab(run)) {
      const isFree = this.word(run, RUN.kind) === KIND.free;
      raster.frame(x, y, tile, tile, 1, pixel(theme.line));
      if (!isFree) raster.fill(x + 2, y + 2, tile - 4, tile - 4, pixel(mix(theme.quiet, theme.paper, 0.25)));
      return;
    }
    // A slab of an old size, or of a closed pool, has a broken frame.
    raster.frame(x, y, tile, tile, tile > 40 ? 2 : 1, pixel(color));
    if (pool >= 0 && !(this.word(run, RUN.flags) & 1)) {
      for (let i = 4; i < tile - 4; i += 8) {
        raster.fill(x + i, y, 4, 2, pixel(theme.paper));
        raster.fill(x + i, y + tile - 2, 4, 2, pixel(theme.paper));
        raster.fill(x, y + i, 2, 4, pixel(theme.paper));
        raster.fill(x + tile - 2, y + i, 2, 4, pixel(theme.paper));
      }
    }
    const { states } = this.#map!;
    const count = this.word(run, RUN.count);
    const offset = this.word(run, RUN.offset);
    const { columns, cell } = layout.gridOf(count);
    const drawn = cell === 0 ? columns * columns : count;
    const side = Math.max(1, cell);
    for (let n = 0, column = 0, row = 0; n < drawn; n++) {
      const index = cell === 0 ? Math.floor((n * count) / drawn) : n;
      raster.element(x + BORDER + column * side, y + BORDER + row * side, side, states[offset + index]!);
      if (++column === columns) {
        column = 0;
        row++;
      }
    }
    stats.elements += drawn;
  }

  #titles(top: number, height: number): void {
    const { layout, ratio } = this;
    const context = this.#context;
    const theme = this.#theme;
    context.textBaseline = "middle";
    for (const { pool, title, top: y, tiles, count } of layout.sections) {
      const end = tiles + Math.ceil(count / layout.columns) * (layout.tile + layout.gap);
      if (end < top || y > top + height) continue;
      // The title stays in sight while its slabs are.
      const at = Math.max(y - top, Math.min(0, end - top - layout.title));
      context.fillStyle = theme.paper;
      context.fillRect(0, at, this.canvas.width, layout.title - 2);
      const middle = at + layout.title / 2;
      let x = layout.margin;
      context.font = `bold ${12 * ratio}px system-ui, sans-serif`;
      if (pool >= 0) {
        context.fillStyle = poolColor(pool, theme);
        context.fillRect(x, middle - 9 * ratio, 18 * ratio, 18 * ratio);
        context.fillStyle = inkOn(poolColor(pool, theme));
        context.textAlign = "center";
        context.fillText(poolLetter(pool), x + 9 * ratio, middle + ratio);
        x += 26 * ratio;
      }
      context.textAlign = "left";
      context.fillStyle = theme.ink;
      context.font = `600 ${14 * ratio}px system-ui, sans-serif`;
      context.fillText(title, x, middle);
      x += context.measureText(title).width + 10 * ratio;
      context.fillStyle = theme.quiet;
      context.font = `${13 * ratio}px system-ui, sans-serif`;
      const room = Math.max(1, this.canvas.width - layout.margin - x);
      const words = this.#words(pool, count);
      const fits = words.find((each) => context.measureText(each).width <= room);
      context.fillText(fits ?? words.at(-1)!, x, middle, room);
      this.stats.calls += 4;
    }
    if (layout.tile >= 56 * ratio) this.#labels(top, height);
  }

  /** What the tiles are that show no elements. */
  #labels(top: number, height: number): void {
    const { layout, ratio } = this;
    const context = this.#context;
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillStyle = this.#theme.quiet;
    layout.visible(top, top + height, (run, x, y) => {
      if (this.isSlab(run)) return;
      const pages = this.word(run, RUN.pages);
      const middle = x + layout.tile / 2;
      const name = kinds[this.word(run, RUN.kind)]!;
      const [first, ...rest] = name.replace(/ of .*/, "").split(" ");
      const lines =
        layout.tile < 90 * ratio
          ? [rest.at(-1) ?? first!, `${pages} p.`]
          : [name.replace(/ of .*/, ""), bytes(pages * 4096)];
      lines.forEach((line, i) =>
        context.fillText(line, middle, y - top + layout.tile / 2 + (i * 14 - 7) * ratio, layout.tile - 6),
      );
      this.stats.calls += lines.length;
    });
  }

  /** What stands beside a title; shorter and shorter, for a narrow window. */
  #words(pool: number, count: number): string[] {
    const found = this.#map!.pools[pool];
    if (!found) return [`${count} runs of pages`];
    const { size, outstanding, currNr, minNr, isClosed, waiting } = found;
    const slabs = `${count} ${count === 1 ? "slab" : "slabs"}`;
    const waits = waiting > 0 ? ` · ${waiting} waiting` : "";
    const rest = `${outstanding} live · reserve ${currNr} of ${minNr}${waits}${isClosed ? " · closed" : ""}`;
    return [`${slabs} of ${bytes(size)} elements · ${rest}`, `${slabs} · ${rest}`, rest];
  }
}

export function bytes(n: number): string {
  if (n < 10_000) return `${n} B`;
  const [size, unit] = n < 2 ** 20 ? [n / 1024, "KiB"] : [n / 2 ** 20, "MiB"];
  return `${size < 100 ? Number(size.toFixed(1)) : Math.round(size)} ${unit}`;
}
