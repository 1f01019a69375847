/** Where slabs and their elements are in the picture: sections of square tiles, and in a tile a grid. Device pixels. */
import { KIND, RUN, RUN_WORDS, type HeapMap } from "../../src/inspect/heap-map.ts";

/** Runs that are drawn together: of a pool, or those of none. */
export interface Section {
  /** The index of the pool in the map; -1: none. */
  readonly pool: number;
  readonly title: string;
  /** Where its title begins, and its tiles. */
  readonly top: number;
  readonly tiles: number;
  /** The index in `order` of its first run, and how many it has. */
  readonly first: number;
  readonly count: number;
}

/** How the elements of a slab lie in its tile. */
export interface Grid {
  readonly columns: number;
  readonly rows: number;
  /** Pixels of an element's square; below 1 several elements share a pixel. */
  readonly cell: number;
}

/** Pixels of a tile's frame, with the space inside. */
export const BORDER = 3;

export class Layout {
  sections: Section[] = [];
  /** Runs by their index in the map, in the order in which they are drawn. */
  order = new Uint32Array(0);
  /** The inverse. */
  #rank = new Uint32Array(0);
  columns = 1;
  tile = 96;
  gap = 6;
  title = 28;
  margin = 10;
  height = 0;

  build(map: HeapMap, width: number, tile: number, ratio: number): void {
    this.tile = tile;
    this.gap = Math.max(1, Math.round(Math.min(6 * ratio, tile / 8)));
    this.title = Math.round(28 * ratio);
    this.margin = Math.round(10 * ratio);
    this.columns = Math.max(1, Math.floor((width - 2 * this.margin + this.gap) / (tile + this.gap)));
    const { runs, pools } = map;
    const count = runs.length / RUN_WORDS;
    const poolOf = new Map(pools.map(({ serial }, i) => [serial, i]));
    // A counting sort by section: the pools', then what is no pool's.
    const sectionOf = (run: number): number =>
      runs[run * RUN_WORDS + RUN.kind] === KIND.slab
        ? (poolOf.get(runs[run * RUN_WORDS + RUN.serial]!) ?? pools.length)
        : pools.length;
    const counts = new Uint32Array(pools.length + 1);
    for (let run = 0; run < count; run++) counts[sectionOf(run)]!++;
    const next = new Uint32Array(pools.length + 1);
    for (let i = 1; i < next.length; i++) next[i] = next[i - 1]! + counts[i - 1]!;
    this.sections = [];
    let y = this.margin;
    counts.forEach((n, i) => {
      if (n === 0 && i === pools.length) return;
      const tiles = y + this.title;
      const title = pools[i]?.name ?? "Other memory";
      this.sections.push({ pool: i < pools.length ? i : -1, title, top: y, tiles, first: next[i]!, count: n });
      y = tiles + Math.ceil(n / this.columns) * (tile + this.gap) + this.margin;
    });
    this.height = y;
    if (this.order.length !== count) [this.order, this.#rank] = [new Uint32Array(count), new Uint32Array(count)];
    for (let run = 0; run < count; run++) {
      const rank = next[sectionOf(run)]!++;
      this.order[rank] = run;
      this.#rank[run] = rank;
    }
  }

  rankOf(run: number): number {
    return this.#rank[run]!;
  }

  sectionOf(rank: number): Section | undefined {
    return this.sections.find(({ first, count }) => rank >= first && rank < first + count);
  }

  /** Where the tile of a run is. */
  place(run: number): { readonly x: number; readonly y: number } {
    const rank = this.#rank[run]!;
    const section = this.sectionOf(rank)!;
    return this.#placeIn(section, rank - section.first);
  }

  #placeIn(section: Section, n: number): { readonly x: number; readonly y: number } {
    const step = this.tile + this.gap;
    return {
      x: this.margin + (n % this.columns) * step,
      y: section.tiles + Math.floor(n / this.columns) * step,
    };
  }

  /** Calls `each` for the runs whose tiles are between two heights: the others cost nothing. */
  visible(top: number, bottom: number, each: (run: number, x: number, y: number, section: Section) => void): void {
    const step = this.tile + this.gap;
    for (const section of this.sections) {
      if (section.tiles > bottom) break;
      const from = Math.max(0, Math.floor((top - section.tiles) / step)) * this.columns;
      const to = Math.min(section.count, Math.ceil((bottom - section.tiles) / step) * this.columns);
      for (let n = from; n < to; n++) {
        const { x, y } = this.#placeIn(section, n);
        each(this.order[section.first + n]!, x, y, section);
      }
    }
  }

  /** The run whose tile is at a place, and the place in the tile. */
  runAt(x: number, y: number): { readonly run: number; readonly x: number; readonly y: number } | undefined {
    const step = this.tile + this.gap;
    const section = this.sections.findLast(({ tiles }) => tiles <= y);
    if (!section || x < this.margin) return undefined;
    const column = Math.floor((x - this.margin) / step);
    const n = Math.floor((y - section.tiles) / step) * this.columns + column;
    const inX = (x - this.margin) % step;
    const inY = (y - section.tiles) % step;
    if (column >= this.columns || n >= section.count || inX >= this.tile || inY >= this.tile) return undefined;
    return { run: this.order[section.first + n]!, x: inX, y: inY };
  }

  gridOf(count: number): Grid {
    const inner = this.tile - 2 * BORDER;
    const columns = Math.ceil(Math.sqrt(count));
    const cell = Math.min(48, Math.floor(inner / columns));
    if (cell < 1) return { columns: inner, rows: inner, cell: 0 };
    return { columns: Math.max(columns, Math.min(count, Math.floor(inner / cell))), rows: columns, cell };
  }

  /** The element at a place in the tile of a slab of `count` elements. */
  elementAt(count: number, x: number, y: number): number | undefined {
    const { columns, cell } = this.gridOf(count);
    const [inX, inY] = [x - BORDER, y - BORDER];
    if (inX < 0 || inY < 0) return undefined;
    if (cell === 0) {
      if (inX >= columns || inY >= columns) return undefined;
      return Math.floor(((Math.floor(inY) * columns + Math.floor(inX)) * count) / (columns * columns));
    }
    const column = Math.floor(inX / cell);
    const index = Math.floor(inY / cell) * columns + column;
    return column < columns && index < count ? index : undefined;
  }
}
