/** States, threads and kinds of runs as people see them: words, colours, and marks that need no colour. */
import { KIND, STATE, STATE_THREAD } from "../../src/inspect/heap-map.ts";

export const states = ["never", "free", "cached", "reserved", "live", "quarantined"] as const;
export type State = (typeof states)[number];

export const words: Readonly<Record<State, string>> = {
  never: "never used",
  free: "free",
  cached: "cached",
  reserved: "in reserve",
  live: "live",
  quarantined: "quarantined",
};

export function stateOf(byte: number): State {
  if (byte & STATE.live) return "live";
  if (byte & STATE.cached) return "cached";
  if (byte & STATE.free) return "free";
  if (byte & STATE.reserved) return "reserved";
  return byte & STATE.quarantined ? "quarantined" : "never";
}

/** The thread of a live or cached element; undefined: none, or one that has left. */
export function threadOf(byte: number): number | undefined {
  if (!(byte & (STATE.live | STATE.cached))) return undefined;
  const thread = byte & STATE_THREAD;
  return thread === STATE_THREAD ? undefined : thread;
}

export const describeState = (byte: number): string => {
  const state = stateOf(byte);
  if (state !== "live" && state !== "cached") return words[state];
  const thread = threadOf(byte);
  return `${words[state]}, ${thread === undefined ? "a thread that has left" : `thread ${thread}`}`;
};

export const kinds: Readonly<Record<number, string>> = {
  [KIND.free]: "free pages",
  [KIND.own]: "the allocator's own",
  [KIND.slab]: "slab",
  [KIND.records]: "records of the allocator",
  [KIND.block]: "block of malloc",
  [KIND.arena]: "chunk of an arena",
};

/**
 * The palette of Okabe and Ito (2008), which people of each kind of colour blindness tell apart, for threads; its black is the
 * reserve's. From the eighth thread on colours come again, and the number in the element tells.
 */
const threadColors = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"];

/** Tol's muted scheme (2021), as safe, for pools; and they have letters. */
const poolColors = ["#332288", "#117733", "#882255", "#44aa99", "#aa4499", "#999933", "#cc6677", "#88ccee", "#ddcc77"];

export const threadColor = (thread: number | undefined): string =>
  thread === undefined ? "#8a8f99" : threadColors[thread % threadColors.length]!;
/** Lighter on dark paper, where the darkest would not be seen. */
export const poolColor = (index: number, theme: Theme): string =>
  theme === themes.dark
    ? mix(poolColors[index % poolColors.length]!, "#ffffff", 0.65)
    : poolColors[index % poolColors.length]!;

/** A, B, ... Z, AA, AB, ... */
export function poolLetter(index: number): string {
  const last = String.fromCharCode(65 + (index % 26));
  return index < 26 ? last : poolLetter(Math.floor(index / 26) - 1) + last;
}

/** Black or white, whichever is read better on a colour. */
export function inkOn(color: string): string {
  const [r, g, b] = channels(color);
  return 0.299 * r + 0.587 * g + 0.114 * b > 150 ? "#000000" : "#ffffff";
}

function channels(color: string): [number, number, number] {
  const n = Number.parseInt(color.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** A colour as a word of an ImageData: the bytes are red, green, blue, opacity. */
export function pixel(color: string): number {
  const [r, g, b] = channels(color);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** `share` of one colour, the rest of another. */
export function mix(one: string, other: string, share: number): string {
  const [a, b] = [channels(one), channels(other)];
  return `#${a
    .map((n, i) =>
      Math.round(n * share + b[i]! * (1 - share))
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}

/** Colours of what is not an element's or a pool's. */
export interface Theme {
  readonly paper: string;
  readonly ink: string;
  readonly quiet: string;
  readonly line: string;
  readonly free: string;
  readonly never: string;
  readonly accent: string;
}

export const themes: Readonly<Record<"light" | "dark", Theme>> = {
  light: {
    paper: "#ffffff",
    ink: "#16191f",
    quiet: "#565d6b",
    line: "#d3d7de",
    free: "#b9bfca",
    never: "#e6e8ec",
    accent: "#0057a8",
  },
  dark: {
    paper: "#14171c",
    ink: "#eceff4",
    quiet: "#a3acba",
    line: "#373d48",
    free: "#5d6675",
    never: "#282d36",
    accent: "#7cc0ff",
  },
};
