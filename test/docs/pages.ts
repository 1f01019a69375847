/** The pages that people read, and the blocks of code in them. */
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));
export const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8");

/** The README, and every page below docs/ that is written by hand. */
export const pages: readonly string[] = [
  "README.md",
  ...readdirSync(`${root}/docs`, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md") && !/^(api|generated|\.vitepress)\//.test(path))
    .map((path) => `docs/${path}`)
    .toSorted(),
];

export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  /** What stands behind the language: nothing, or `browser`. */
  readonly about: string;
  readonly code: string;
}

/** The fenced blocks of a page, in their order. */
export function blocksOf(page: string, text: string = read(page)): Block[] {
  return [...text.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)].map(({ 1: language, 2: about, 3: code, index }) => ({
    page,
    line: text.slice(0, index).split("\n").length,
    language: language!,
    about: about!,
    code: code!,
  }));
}
