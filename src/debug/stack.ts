/** Call stacks as the places of allocs and frees: the program's own frames. */

/** The program's frames that a site has. */
const FRAMES = 6;

/** Frames of this package, which come first where an engine cannot leave them out. */
const OWN = 16;

interface Stack {
  /** A text, unless the program's Error.prepareStackTrace makes something else. */
  stack?: unknown;
}

/** Error, with what engines add to it. */
interface Engine {
  new (): Stack;
  stackTraceLimit?: unknown;
  /** Leaves out the frames down to that of `entry`, and all if `entry` is not there. */
  captureStackTrace?(into: Stack, entry: unknown): void;
}

const engine = Error as unknown as Engine;

/** The folder of this package: no frame of it is the program's. In a bundle undefined, where folders tell nothing. */
const own =
  /(?:^|\n)[^\n]*?((?:file|https?|blob|webpack[-\w]*):[^\n]*?|\/[^\n]*?)(?:src|dist)\/debug\/stack\.[jt]s/.exec(
    new Error().stack ?? "",
  )?.[1];

const isOwn = (line: string): boolean =>
  own !== undefined && (line.includes(`${own}src/`) || line.includes(`${own}dist/`)) && !line.includes(".test.");

/** Frames of Node's own, which load the program. */
const isHost = /\bnode:internal\//;

const textOf = ({ stack }: Stack): string => (typeof stack === "string" ? stack : "");

/**
 * The stack above a call of `entry`, as the engine words it: this package's public method, so that a bundle's stack begins in
 * the program, too. The whole stack if `entry` does not run, or the engine cannot tell.
 */
export function rawStack(entry: unknown): string {
  const limit = engine.stackTraceLimit;
  const into: Stack = {};
  // V8's; other engines have all frames, or a limit of their own.
  const isLimited = typeof limit === "number";
  try {
    if (isLimited) engine.stackTraceLimit = FRAMES;
    engine.captureStackTrace?.(into, entry);
    const above = textOf(into);
    if (above.includes("\n")) return above;
    if (isLimited && limit < OWN + FRAMES) engine.stackTraceLimit = OWN + FRAMES;
    return textOf(new engine());
  } finally {
    if (isLimited) engine.stackTraceLimit = limit;
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
