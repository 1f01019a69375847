/** The summary people read. What programs read, `--json`, is the same object unadorned. */
import { BLOCK_SIZE, BURST, type DiskResult, type Input, type LoadResult } from "./load.ts";
import type { Paint } from "./progress.ts";

export interface Result {
  readonly input: {
    readonly path: string;
    readonly bytes: number;
    readonly blocks: number;
    readonly blockSize: number;
  };
  readonly withReserve: LoadResult;
  /** The same with `minNr: 0`; null if that was what was asked for in the first place. */
  readonly withoutReserve: LoadResult | null;
  /** Where the mirrors are; null if they were not to be kept. */
  readonly directory: string | null;
  /** Null if every mirror left holds what the input holds, and both heaps are sound. */
  readonly failure: string | null;
}

export function makeResult(
  input: Input,
  withReserve: LoadResult,
  withoutReserve: LoadResult | null,
  directory: string | null,
): Result {
  const blocks = Math.ceil(input.bytes / BLOCK_SIZE);
  return {
    input: { path: input.path, bytes: input.bytes, blocks, blockSize: BLOCK_SIZE },
    withReserve,
    withoutReserve,
    directory,
    failure: failureOf(withReserve) ?? withoutReserve?.problems[0] ?? null,
  };
}

function failureOf({ stalled, blocks, minNr, disks, problems }: LoadResult): string | null {
  if (stalled) return `memory ran out for good after ${many(blocks, "block")} with minNr ${minNr}`;
  const different = disks.find(({ state }) => state === "different");
  if (different) return `${different.name} does not hold what the input holds`;
  return problems.length > 0 ? `the heap is not sound: ${problems[0]}` : null;
}

export function summary({ input, withReserve, withoutReserve, directory, failure }: Result, paint: Paint): string {
  const run = withReserve;
  const lines = [
    `${paint("bold", input.path)}: ${count(input.bytes)} bytes`,
    `${many(input.blocks, "block")} of ${binary(input.blockSize)}, ${BURST} at a time, through a heap of ${binary(run.heapBytes)}`,
    "",
    ...(run.stalled
      ? loadLines(run, input.bytes, paint)
      : [...loadLines(run, input.bytes, paint), ...detailLines(run, paint)]),
  ];
  if (withoutReserve) lines.push("", ...loadLines(withoutReserve, input.bytes, paint));
  if (!failure && directory) lines.push("", `The mirrors are in ${directory}`);
  return lines.join("\n") + "\n";
}

/** How far a load got, and what it met with. */
function loadLines(run: LoadResult, total: number, paint: Paint): string[] {
  const speed = run.stalled ? "" : `, ${run.seconds.toFixed(2)} s, ${(run.bytesPerSecond / 1e6).toFixed(0)} MB/s`;
  const lines = [
    paint("bold", run.minNr > 0 ? `With a reserve for ${many(run.minNr, "request")}` : "Without a reserve (minNr: 0)"),
    row("copied", `${count(run.bytes)} bytes, ${many(run.blockWrites, "block write")}${speed}`),
  ];
  lines.push(...reshapeLines(run, paint));
  if (run.rebuilt) {
    lines.push(row("rebuilt", `${many(run.rebuilt.blocks, "block")} in ${run.rebuilt.seconds.toFixed(2)} s`));
  }
  lines.push(
    row("had to wait", `${count(run.waited)} of ${many(run.requests, "request")}, for the memory of an earlier one`),
    row("the neighbour", `a read cache, has taken ${many(run.cacheBlocks, "block")} of memory, all it could get`),
  );
  if (run.stalled) {
    const lost = `${count(run.bytesLost)} bytes (${Math.round((run.bytesLost / total) * 100)}%)`;
    const where = `after ${many(run.blocks, "block")}: nothing left, and nothing in flight that could free any`;
    lines.push(row("stalled", where, paint, "red"), row("never made it", lost, paint, "red"));
  } else if (run.minNr === 0) lines.push(row("did not stall", "the heap has room for the load and the neighbour"));
  return lines;
}

/** How mirrors came and went while requests were in flight. */
function reshapeLines({ reshapes, resynced, pools }: LoadResult, paint: Paint): string[] {
  const lines: string[] = [];
  let completed = 0;
  let epochs = 1;
  for (const change of reshapes) {
    if (change.error !== null) {
      lines.push(row(`stays at ${many(change.from, "mirror")}`, change.error.split(";")[0]!, paint, "yellow"));
      continue;
    }
    const { from, to, inFlight, begun } = change;
    const old = inFlight === 0 ? "nothing was in flight" : `${count(inFlight)} in flight kept the old size`;
    const others = inFlight === 0 ? "" : `; ${count(begun)} of the new size began before those ended`;
    lines.push(row(`${to > from ? "grew" : "shrank"} to ${many(to, "mirror")}`, old + others));
    if (to > from && resynced) {
      const { blocks, seconds, copied } = resynced;
      const meanwhile = copied > 0 ? `, while ${count(copied)} others were copied` : "";
      lines.push(row("resynced", `${many(blocks, "block")} to the new one in ${seconds.toFixed(2)} s${meanwhile}`));
    }
    completed += change.completed;
    epochs = Math.max(epochs, change.epochs);
  }
  if (epochs > 1) {
    const now = pools.find(({ name }) => name === "r1bio")!.epochs;
    const during = `${many(completed, "request")} completed while there were r1bios of ${epochs} sizes`;
    lines.push(row("no freeze", `${during}; at the end, of ${now}`));
  }
  return lines;
}

/** What each pool did, and what became of each mirror. */
function detailLines(run: LoadResult, paint: Paint): string[] {
  return [
    "",
    columns("pool", "element", "from the slab", "from the reserve", "had to wait", "lowest curr_nr", "min_nr"),
    ...run.pools.map((pool) => {
      const numbers = [pool.slabHits, pool.reserveHits, pool.waited, pool.lowestCurrNr, pool.minNr];
      return columns(pool.name, binary(pool.elementSize), ...numbers.map(count));
    }),
    "",
    ...run.disks.map((disk) => diskLine(disk, paint)),
  ];
}

function diskLine(disk: DiskResult, paint: Paint): string {
  const sha256 = `sha256 ${disk.sha256?.slice(0, 16)}…`;
  switch (disk.state) {
    case "verified":
      return row(disk.name, `verified, ${sha256}`, paint, "green");
    case "failed":
      return row(
        disk.name,
        `broken on purpose at byte ${count(disk.failedAtByte ?? 0)}: ${disk.error}`,
        paint,
        "yellow",
      );
    case "dropped":
      return row(disk.name, `dropped with ${count(disk.heldBytes ?? 0)} bytes, verified, ${sha256}`, paint, "green");
    case "spare":
      return row(disk.name, "a spare, never used");
    case "different":
      return row(disk.name, `DIFFERENT from the input, ${sha256}`, paint, "red");
    default:
      return row(disk.name, "incomplete", paint, "red");
  }
}

function row(label: string, text: string, paint?: Paint, colour?: Parameters<Paint>[0]): string {
  const padded = `  ${label.padEnd(22)}`;
  return paint && colour ? padded + paint(colour, text) : padded + text;
}

function columns(name: string, ...cells: string[]): string {
  return `  ${name.padEnd(8)}${cells.map((cell, i) => cell.padStart(i === 0 ? 10 : 17)).join("")}`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function many(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function binary(bytes: number): string {
  if (bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20} MiB`;
  if (bytes % 2 ** 10 === 0) return `${bytes / 2 ** 10} KiB`;
  return `${bytes} B`;
}
