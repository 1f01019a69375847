/** The strip: the whole address space in a few lines, a point for each page or several, by pool. */
import { KIND, RUN, RUN_WORDS, type HeapMap } from "../../src/inspect/heap-map.ts";
import { inkOn, mix, poolColor, poolLetter, type Theme } from "./states.ts";

export class Strip {
  readonly canvas: HTMLCanvasElement;
  #pages = 1;

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
  }

  draw({ runs, pools }: HeapMap, theme: Theme): void {
    const { canvas } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio)));
    const height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio)));
    const context = canvas.getContext("2d")!;
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, width, height);
    const last = runs.length - RUN_WORDS;
    if (last < 0) return;
    const from = runs[0]!;
    this.#pages = runs[last]! + runs[last + RUN.pages]! - from;
    const indexOf = new Map(pools.map(({ serial }, i) => [serial, i]));
    context.font = `bold ${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const [top, bottom] = [4 * ratio, height - 4 * ratio];
    let [letter, color, left, right] = ["", theme.ink, 0, 0];
    const label = (): void => {
      if (letter && right - left > 14 * ratio) {
        context.fillStyle = inkOn(color);
        context.fillText(letter, (left + right) / 2, height / 2 + ratio);
      }
    };
    for (let i = 0; i < runs.length; i += RUN_WORDS) {
      const kind = runs[i + RUN.kind]!;
      const x = ((runs[i]! - from) / this.#pages) * width;
      const end = ((runs[i]! - from + runs[i + RUN.pages]!) / this.#pages) * width;
      const index = kind === KIND.slab ? indexOf.get(runs[i + RUN.serial]!) : undefined;
      const free = kind === KIND.free;
      context.fillStyle =
        index === undefined ? (free ? theme.never : mix(theme.quiet, theme.paper, 0.6)) : poolColor(index, theme);
      // Free pages are low, what is in use is high.
      context.fillRect(
        x,
        free ? (top + 3 * bottom) / 4 : top,
        Math.max(1, end - x - (end - x > 3 ? 1 : 0)),
        free ? (bottom - top) / 4 : bottom - top,
      );
      const own = index === undefined ? "" : poolLetter(index);
      if (own !== letter) {
        label();
        [letter, color, left] = [own, index === undefined ? theme.ink : poolColor(index, theme), x];
      }
      right = end;
    }
    label();
  }

  /** The page at a place, counted from the first of the heap. */
  pageAt(x: number): number {
    return Math.floor((x / this.canvas.clientWidth) * this.#pages);
  }
}
