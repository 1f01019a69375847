/**
 * A mirrored block store on real files: `npm start`, or `npm start -- --help`. array.ts is where the pools are; this
 * file is the command line, the files, and the clean-up.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { MempoolError } from "wasm-mempool";
import { Disk } from "./disk.ts";
import { mirrorName, replacementName, runLoad, type Input } from "./load.ts";
import { HELP, UsageError, parseOptions, type Options } from "./options.ts";
import { Progress, painter } from "./progress.ts";
import { makeResult, summary, type Result } from "./report.ts";

/** What to remove on the way out, whichever way that is. */
const directories = new Set<string>();
const files = new Set<string>();

function cleanUp(): void {
  for (const path of files) rmSync(path, { force: true });
  for (const path of directories) rmSync(path, { recursive: true, force: true });
}

async function run(options: Options): Promise<Result> {
  const input = await openInput(options.input);
  const progress = new Progress(process.stderr, !options.json);
  try {
    const directory = options.out === undefined ? temporary() : prepare(options, options.out, input);
    const load = (minNr: number, into: string) =>
      runLoad({
        input,
        disks: options.disks,
        reshape: options.reshape,
        heapBytes: options.heapBytes,
        minNr,
        createDisk: (name) => createDisk(join(into, name)),
        onProgress: (phase, ...numbers) => progress.update(minNr > 0 ? phase : "no reserve", ...numbers),
      });
    const withReserve = await load(options.minNr, directory);
    const withoutReserve = options.minNr > 0 ? await load(0, temporary()) : null;
    const kept = options.keep || options.out !== undefined ? directory : null;
    return makeResult(input, withReserve, withoutReserve, kept);
  } catch (error) {
    if (!(error instanceof MempoolError && error.code === "ERR_NO_MEMORY")) throw error;
    const values = `--heap ${options.heapBytes} is too small for --min-nr ${options.minNr} and --disks ${options.disks}`;
    throw new Error(`${values}: ${error.message}`, { cause: error });
  } finally {
    progress.clear();
    await input.handle.close();
  }
}

async function openInput(path: string): Promise<Input> {
  try {
    const stats = await stat(path); // before open, which would wait for ever for the other end of a FIFO
    if (stats.isDirectory()) throw new Error("it is a directory");
    if (!stats.isFile()) throw new Error("it is not a regular file");
    if (stats.size === 0) throw new Error("it is empty, there is nothing to mirror");
    return { path, handle: await open(path, "r"), bytes: stats.size };
  } catch (error) {
    throw new Error(`cannot use the input ${JSON.stringify(path)}: ${(error as Error).message}`, { cause: error });
  }
}

/** A new directory that does not outlive the process, unless it is taken off the list. */
function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), "wasm-mempool-raid1-"));
  directories.add(path);
  return path;
}

/** The directory of `--out`, which must not hold the input under the name of a mirror. */
function prepare({ disks, reshape }: Options, out: string, input: Input): string {
  const directory = resolve(out);
  try {
    mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw new Error(`cannot use --out ${JSON.stringify(out)}: ${(error as Error).message}`, { cause: error });
  }
  const source = statSync(input.path);
  for (const name of [...Array(disks + Number(reshape)).keys()].flatMap((i) => [mirrorName(i), replacementName(i)])) {
    const target = statSync(join(directory, name), { throwIfNoEntry: false });
    if (target?.dev === source.dev && target.ino === source.ino) {
      throw new UsageError(
        `the input ${JSON.stringify(input.path)} is itself a mirror in --out ${JSON.stringify(out)}`,
      );
    }
  }
  return directory;
}

/** Makes the file of a mirror. Should the run fail, it does not stay behind half-written. */
async function createDisk(path: string): Promise<Disk> {
  try {
    // Made and put on the list in one go: a signal in between, and it would stay behind.
    closeSync(openSync(path, "w"));
    files.add(path);
    return await Disk.open(path);
  } catch (error) {
    throw new Error(`cannot write ${JSON.stringify(path)}: ${(error as Error).message}`, { cause: error });
  }
}

function keep(directory: string): void {
  directories.delete(directory);
  for (const path of files) if (dirname(path) === directory) files.delete(path);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const result = await run(options);
  if (!result.failure && result.directory) keep(result.directory);
  process.stdout.write(
    options.json ? JSON.stringify(result, null, 2) + "\n" : summary(result, painter(process.stdout)),
  );
  if (result.failure) throw new Error(result.failure);
}

process.on("exit", cleanUp);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    if (process.stderr.isTTY) process.stderr.write("\n");
    process.exit(128 + constants.signals[signal]);
  });
}
// Whoever reads the summary may stop reading: `npm start | head -1`.
process.stdout.on("error", () => undefined);

try {
  await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`raid1: ${(error as Error).message}\n${usage ? "Try --help.\n" : ""}`);
  process.exitCode = usage ? 2 : 1;
}
