/** A heap's memory as text, a character for a page or for several. */
import { PAGE } from "../core/abi.ts";
import { boolean, checkOptions, hex, integer } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";
import { KIND, MapReader, RUN, RUN_WORDS, sourceOf, type HeapMap } from "./heap-map.ts";

/** What {@link memoryMap} takes. */
export interface MapOptions {
  /**
   * Characters in a line.
   * @default 64
   */
  readonly width?: number;
  /**
   * The most lines: a character stands for as many pages as that needs.
   * @default 32
   */
  readonly height?: number;
  /**
   * ANSI colours, one for each pool.
   * @default false
   */
  readonly color?: boolean;
}

const FREE = ".";
const BLOCK = "=";
const OWN = "#";
const OTHERS = "+";
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/** The ANSI colours of pools, in turn; and that of what is no pool's. */
const colors = [32, 33, 34, 35, 36, 31, 92, 93, 94, 95, 96, 91];
const GREY = 90;

/**
 * A map of the heap's memory: which pages are whose. A letter is a pool, "#" the allocator's own memory and arenas, "=" a large
 * block of malloc's, and "." a free page, or one that is no part of the heap. Where a character stands for several pages, it
 * is what most of those have that are not free. Lines that repeat the one before are "*". O(memory).
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 */
export function memoryMap(heap: Heap, options?: MapOptions): string {
  return mapOf("memoryMap", new MapReader(sourceOf("memoryMap", heap)).read(), options);
}

export function mapOf(apiName: string, map: HeapMap, options: MapOptions | undefined): string {
  const { width = 64, height = 32, color = false } = checkOptions(apiName, options, ["width", "height", "color"]);
  integer(apiName, "width", width, 8, 1024);
  integer(apiName, "height", height, 1, 65536);
  boolean(apiName, "color", color);
  const kinds = kindsOf(map);
  const letterOf = new Map<string, string>();
  const pools = [...map.pools];
  const pages = new Map<number, number>();
  for (const kind of kinds) if (typeof kind === "number") pages.set(kind, (pages.get(kind) ?? 0) + 1);
  pools.sort((a, b) => (pages.get(b.serial) ?? 0) - (pages.get(a.serial) ?? 0));
  pools.forEach(({ serial }, i) => letterOf.set(String(serial), letters[i] ?? OTHERS));
  const glyph = (kind: string | number): string =>
    typeof kind === "number" ? (letterOf.get(String(kind)) ?? OTHERS) : kind;

  let scale = 1;
  while (Math.ceil(kinds.length / scale) > width * height) scale *= 2;
  const paint = (text: string): string => {
    if (!color) return text;
    return text.replace(/(.)\1*/g, (run, c: string) => {
      const i = letters.indexOf(c);
      return `\x1b[${i < 0 ? GREY : colors[i % colors.length]}m${run}\x1b[0m`;
    });
  };
  const lines = [`memory: a character is ${scale === 1 ? "a page" : `${scale} pages`} of 4 KiB`];
  let last = "";
  for (let from = 0; from < kinds.length; from += width * scale) {
    let row = "";
    for (let at = from; at < Math.min(from + width * scale, kinds.length); at += scale) {
      row += mostOf(kinds.slice(at, at + scale).map(glyph));
    }
    const end = from + width * scale >= kinds.length;
    if (row !== last || end) lines.push(`  ${hex(from * PAGE).padStart(10)}  ${paint(row)}`);
    else if (lines.at(-1) !== "  *") lines.push("  *");
    last = row;
  }
  const legend = pools
    .slice(0, letters.length)
    .filter(({ serial }) => pages.has(serial))
    .map(({ serial, name }) => `${paint(letterOf.get(String(serial))!)} ${name}`);
  if (pools.length > letters.length) legend.push(`${OTHERS} ${pools.length - letters.length} other pools`);
  const others = [`${OWN} the allocator, arenas`, `${FREE} free`];
  if (kinds.includes(BLOCK)) others.unshift(`${BLOCK} blocks of malloc`);
  return [...lines, `  ${[...legend, ...others].join("   ")}`, ""].join("\n");
}

/** What most have that are not free. */
function mostOf(glyphs: readonly string[]): string {
  const counts = new Map<string, number>();
  let most = FREE;
  for (const each of glyphs) {
    if (each === FREE) continue;
    counts.set(each, (counts.get(each) ?? 0) + 1);
    if (counts.get(each)! > (counts.get(most) ?? 0)) most = each;
  }
  return most;
}

/** What each page has: a pool, by its serial number, or another sign. Ends with the last page that has anything. */
function kindsOf({ runs, address, bytes }: HeapMap): (string | number)[] {
  const kinds: (string | number)[] = [];
  let end = Math.floor(address / PAGE) + bytes / PAGE;
  for (let i = 0; i < runs.length; i += RUN_WORDS) {
    const kind = runs[i + RUN.kind];
    if (kind === KIND.free) continue;
    const sign = kind === KIND.slab ? runs[i + RUN.serial]! : kind === KIND.block ? BLOCK : OWN;
    const first = runs[i + RUN.page]!;
    end = Math.max(end, first + runs[i + RUN.pages]!);
    for (let page = first; page < first + runs[i + RUN.pages]!; page++) kinds[page] = sign;
  }
  return Array.from({ length: end }, (_, page) => kinds[page] ?? FREE);
}
