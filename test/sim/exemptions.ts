/**
 * Data races of the core that are known and harmless, by the line of source they are in. Their order is searched all the
 * same: they are `stops`.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Exemption } from "./race.ts";

interface Known {
  /** The file, and a part of the line. */
  readonly file: string;
  readonly code: string;
  /** Only in this function. */
  readonly within?: string;
  readonly reason: string;
}

const OWNER =
  "a state byte has one owner, who alone writes it; others only look whether it is FREE, or is a dead thread's";
const NOT_LIVE = "what is read of an address that is not live is looked at again, or is a double free by two threads";
const NUMBERS = "a number for people, or a hint";

const known: readonly Known[] = [
  { file: "bump.ts", code: "store<u8>(state, cached);", reason: OWNER },
  { file: "cache.ts", code: "store<u8>(load<u32>(round, 4), THREADS ? m.live : STATE_LIVE);", reason: OWNER },
  {
    file: "slab.ts",
    code: "store<u8>(state, stateCached());",
    reason: "FREE was read by a load of eight bytes: an atomic one, but of another size than the store it sees",
  },
  {
    file: "reap.ts",
    code: "const count = min(slab.count, cache.indexEnd);",
    reason: "a slab that was made just now has nothing of the dead thread, whatever is read",
  },
  { file: "slab.ts", code: "store<u8>(stateAt(record), STATE_LIVE);", reason: OWNER },
  { file: "mempool.ts", code: "epoch.lowestCurrNr = lowest;", reason: NUMBERS },
  // Where the debug information puts that.
  { file: "mempool.ts", code: "m.reserveHits = reserveHits;", reason: NUMBERS },
  {
    file: "reap.ts",
    code: "let carved = min(slab.carved, end);",
    reason: "of a slab that another has in hand, which is looked at again",
  },
  { file: "mempool.ts", code: "const lowest = epoch.lowestCurrNr;", reason: NUMBERS },
  { file: "cache.ts", code: "store<u8>(state, cachedBy(m));", reason: OWNER },
  { file: "mempool.ts", code: "store<u8>(state, cachedBy(m));", reason: OWNER },
  { file: "mempool.ts", code: "store<u8>(stateAt(element), m.live);", reason: OWNER },
  { file: "mempool.ts", code: "if (load<i8>(state) < 0) {", reason: NOT_LIVE },
  { file: "mempool.ts", code: "const state = load<u8>(stateOf(slab, index));", reason: NOT_LIVE },
  { file: "mempool.ts", code: "if (load<u32>(entry) == <u32>m.epoch) {", reason: NOT_LIVE },
  { file: "mempool.ts", code: "const owner = load<u32>(entry);", reason: NOT_LIVE },
  { file: "mempool.ts", code: "sum += changetype<Magazine>(m).taken;", reason: NUMBERS },
  { file: "reserve.ts", code: "if (left < epoch.lowestCurrNr) epoch.lowestCurrNr = left;", reason: NUMBERS },
  { file: "reserve.ts", code: "if (left < epoch.dip) epoch.dip = left;", reason: NUMBERS },
  { file: "mempool.ts", code: "if (<i32>(out - pool.peak) > 0) pool.peak = out;", reason: NUMBERS },
  { file: "mempool.ts", code: "pool.peak = peak;", reason: NUMBERS },
  { file: "mempool.ts", code: "const peak = pool.peak;", reason: NUMBERS },
  { file: "cache.ts", code: "return <u32>(m.top - m.first) / ROUND;", within: "notePeak", reason: NUMBERS },
  { file: "mempool.ts", code: "if (m) out -= roundsIn(changetype<Magazine>(m));", reason: NUMBERS },
  // Where the debug information puts the stores of lowestCurrNr and dip.
  { file: "reserve.ts", code: "const left = <u32>counts - 1;", reason: NUMBERS },
  { file: "cache.ts", code: "return <u32>(m.top - m.first) / ROUND;", within: "nudgeAll", reason: NUMBERS },
  { file: "wait.ts", code: "changetype<Magazine>(m).live", within: "nudgeAll", reason: NUMBERS },
  // Where the debug information puts that.
  {
    file: "atomics.ts",
    code: "return THREADS ? atomic.load<T>(address) : load<T>(address);",
    within: "nudgeAll",
    reason: NUMBERS,
  },
];

/** For a folder of sources. An error if a line is not there any more. */
export function exemptions(folder: string): { readonly exempt: readonly Exemption[]; readonly stops: RegExp } {
  const exempt = known.map(({ file, code, within, reason }) => {
    const lines = readFileSync(join(folder, file), "utf8").split("\n");
    const numbers = lines.flatMap((line, i) => (line.includes(code) ? i + 1 : []));
    if (!numbers.length) throw new Error(`${file} has no line with ${code}`);
    const where = `\\S*\\b${file.replace(".", "\\.")}:(${numbers.join("|")}):`;
    return { site: new RegExp(`${within ? `\\b${within}` : "\\S+"} ${where}`), reason };
  });
  return { exempt, stops: new RegExp(exempt.map(({ site }) => site.source).join("|")) };
}
