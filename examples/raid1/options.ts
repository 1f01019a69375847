/** The command line. */
import { parseArgs } from "node:util";

export const HELP = `Usage: npm start -- [options] [input]

Copies a file onto mirrors, block by block, through a mirrored store whose heap is too small for the load,
next to a cache that takes every byte it can get. Half-way one mirror breaks. In between, with requests in flight,
the store grows by a mirror, and shrinks again. Then the same without a reserve.

  input          the file to copy (default: the Node binary that runs this)

  --disks N      mirrors, 2 to 8 (default 2); in between one more
  --min-nr N     requests the store must always be able to run, 0 to 1024 (default 16)
  --heap BYTES   size of the heap; K, M and G are understood (default 4M)
  --no-reshape   no more and no fewer than N mirrors; --reshape is the default
  --out DIR      write the mirrors there, over what has their names, and keep them
  --keep         keep the mirrors (without --out: in a new temporary directory)
  --json         print the result as one JSON object
  -h, --help     print this

Exit status: 0 if every mirror left holds what the input holds, 1 if not, 2 for a mistake on the command line.
NO_COLOR and a standard error that is no terminal are respected.
`;

/** A mistake on the command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Options {
  readonly input: string;
  readonly disks: number;
  readonly minNr: number;
  readonly heapBytes: number;
  readonly reshape: boolean;
  readonly out: string | undefined;
  readonly keep: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

const UNITS: Record<string, number> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const MIN_HEAP = 2 ** 16;
const MAX_HEAP = 2 ** 30;

export function parseOptions(args: string[]): Options {
  const { values, positionals } = parse(args);
  if (positionals.length > 1) throw new UsageError(`one input at most, but got ${positionals.map(quote).join(", ")}`);
  const { reshape, "no-reshape": noReshape } = values;
  if (reshape && noReshape) throw new UsageError("--reshape and --no-reshape exclude each other");
  return {
    input: positionals[0] ?? process.execPath,
    disks: integer("--disks", values.disks, 2, 8),
    minNr: integer("--min-nr", values["min-nr"], 0, 1024),
    heapBytes: size("--heap", values.heap),
    reshape: !noReshape,
    out: values.out,
    keep: values.keep,
    json: values.json,
    help: values.help,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        disks: { type: "string", default: "2" },
        "min-nr": { type: "string", default: "16" },
        heap: { type: "string", default: "4M" },
        reshape: { type: "boolean", default: false },
        "no-reshape": { type: "boolean", default: false },
        out: { type: "string" },
        keep: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    // The first sentence is enough of "Unknown option '--x'. To specify a positional argument starting with ...".
    const message = (error as Error).message.split(/\.\s|\n/)[0]!.replace(/\.$/, "");
    const ambiguous = /'(.*)' argument is ambiguous/.exec(message)?.[1];
    const value = ambiguous && args[args.indexOf(ambiguous) + 1];
    throw new UsageError(value ? `${ambiguous} needs a value, but is followed by ${quote(value)}` : message);
  }
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${name} must be a whole number from ${min} to ${max}, but is ${quote(text)}`);
}

function size(name: string, text: string): number {
  const match = /^(\d+)([KMG]?)$/i.exec(text);
  const value = match ? Number(match[1]) * UNITS[match[2]!.toUpperCase()]! : NaN;
  if (value >= MIN_HEAP && value <= MAX_HEAP) return value;
  throw new UsageError(`${name} must be a size from 64K to 1G, such as 4194304 or 4M, but is ${quote(text)}`);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
