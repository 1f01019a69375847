/** Call stacks as the places of allocs and frees: the program's own frames. */

/** The program's frames that a site has. */
const FRAMES = 6;

/** Frames of this package, which come first: whatever they are, in every engine's format. */
const OWN = 16;

interface StackError {
  stackTraceLimit?: unknown;
  new (): { stack?: string };
}

/** The folder of this package, or the file that a bundler has put it into: no frame of it is the program's. */
const own =
  /(?:^|\n)[^\n]*?((?:file|https?|blob|webpack[-\w]*):[^\n]*?|\/[^\n]*?)(?:src|dist)\/debug\/stack\.[jt]s/.exec(
    new Error().stack ?? "",
  )?.[1];

const isOwn = (line: string): boolean =>
  own !== undefined && (line.includes(`${own}src/`) || line.includes(`${own}dist/`)) && !line.includes(".test.");

/** Frames of Node's own, which load the program. */
const isHost = /\bnode:internal\//;

/** The stack of the caller, as the engine words it. */
export function rawStack(): string {
  const host = Error as unknown as StackError;
  const limit = host.stackTraceLimit;
  // V8's; other engines have all frames, or a limit of their own.
  try {
    if (typeof limit === "number" && limit < OWN + FRAMES) host.stackTraceLimit = OWN + FRAMES;
    return new host().stack ?? "";
  } finally {
    if (typeof limit === "number") host.stackTraceLimit = limit;
  }
}

/** The program's frames of a stack, one a line. */
export function framesOf(stack: string): string {
  const lines = stack.split("\n").map((line) => line.trim());
  // V8's first line is no frame.
  const frames = lines.filter((line, i) => line !== "" && !(i === 0 && /^Error\b/.test(line)) && !isHost.test(line));
  const first = frames.findIndex((line) => !isOwn(line));
  return frames
    .slice(Math.max(first, 0))
    .slice(0, FRAMES)
    .map((line) => line.replace(/^at /, ""))
    .join("\n");
}
