/**
 * Known, harmless data races of the core, by their source lines. The search tries their orders all the same: they are
 * `stops`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Exemption } from "./race.ts";

interface Known {
  /** A part of the line. */
  readonly code: string;
  /** The only function to which the exemption applies. */
  readonly within?: string;
  readonly reason: string;
}

const OWNER =
  "a state byte has one owner, who alone writes it; others only look whether it is FREE, or is a dead or former thread's";
const NOT_LIVE = "what is read of an address that is not live is looked at again, or is a double free by two threads";
const TABLE = "a table stays where it is; it was zeroed before its address was stored, and is read through that";
const NUMBERS = "a number for people, or a hint";

const known: readonly Known[] = [
  { code: "store<u8>(state, cached);", within: "carve", reason: OWNER },
  { code: "store<u8>(state, cached);", within: "cacheOwn", reason: OWNER },
  { code: "store<u8>(state, cached);", within: "changeMarked", reason: OWNER },
  { code: "store<u8>(state, byte ^ STATE_MARK);", reason: OWNER },
  { code: "store<u8>(load<u32>(at, 4), live);", reason: OWNER },
  { code: "store<u8>(load<u32>(round, 4), THREADS ? m.liveState : STATE_LIVE);", reason: OWNER },
  {
    code: "store<u8>(state, cached);",
    within: "slabTake",
    reason: "FREE was read by a load of eight bytes: an atomic one, but of another size than the store it sees",
  },
  {
    code: "for (const count = min(slab.count, cache.indexEnd)",
    reason: "a slab that was made just now has nothing of the dead thread, whatever is read",
  },
  { code: "store<u8>(stateAt(record), STATE_LIVE);", reason: OWNER },
  { code: "epoch.lowestCurrNr = lowest;", reason: NUMBERS },
  {
    code: "return load<u32>(heapBase() + ((address >>> LEAF_SHIFT) << 2), HEAP_ROOT);",
    reason: TABLE,
  },
  { code: "const words = load<u32>(heapBase() + HEAP_BITS_ROOT", reason: TABLE },
  // The debug information names this line.
  { code: "m.reserveHits = reserveHits;", reason: NUMBERS },
  {
    code: "let carved = min(slab.carved, end);",
    reason: "of a slab that another has in hand, which is looked at again",
  },
  { code: "const lowest = epoch.lowestCurrNr;", reason: NUMBERS },
  { code: "store<u8>(state, cachedBy(m));", reason: OWNER },
  { code: "store<u8>(state, cachedBy(m));", reason: OWNER },
  { code: "store<u8>(stateAt(element), m.liveState);", reason: OWNER },
  { code: "if (load<i8>(state) < 0) {", reason: NOT_LIVE },
  {
    code: "const byte: u32 = load<u8>(state);",
    reason: "a change of the owner meanwhile leaves what is asked: LIVE, and the mark",
  },
  { code: "const state = load<u8>(stateOf(slab, index));", reason: NOT_LIVE },
  { code: "const word = load<u64>(entry);", reason: NOT_LIVE },
  { code: "return changetype<Slab>(load<u32>(entry, 4));", within: "refusalIn", reason: NOT_LIVE },
  { code: "const owner = load<u32>(entry);", reason: NOT_LIVE },
  { code: "sum += changetype<Magazine>(m).taken;", reason: NUMBERS },
  { code: "if (at) sum += load<u32>(at);", reason: NUMBERS },
  { code: "if (left < epoch.lowestCurrNr) epoch.lowestCurrNr = left;", reason: NUMBERS },
  { code: "if (left < epoch.lowWatermark) epoch.lowWatermark = left;", reason: NUMBERS },
  { code: "if (<i32>(out - pool.peak) > 0) pool.peak = out;", reason: NUMBERS },
  { code: "pool.peak = peak;", reason: NUMBERS },
  { code: "const peak = pool.peak;", reason: NUMBERS },
  { code: "return <u32>(m.top - m.first) / ROUND;", within: "notePeak", reason: NUMBERS },
  { code: "return <u32>(m.top - m.first) / ROUND;", within: "outstanding", reason: NUMBERS },
  { code: "if (m) out -= roundsIn(changetype<Magazine>(m));", reason: NUMBERS },
  // The debug information names this line for the stores of lowestCurrNr and lowWatermark.
  { code: "const left = <u32>counts - 1;", reason: NUMBERS },
  { code: "return <u32>(m.top - m.first) / ROUND;", within: "nudgeCachers", reason: NUMBERS },
  { code: "changetype<Magazine>(m).liveState", within: "nudgeCachers", reason: NUMBERS },
  // The debug information names this line.
  {
    code: "return THREADS ? atomic.load<T>(address) : load<T>(address);",
    within: "nudgeCachers",
    reason: NUMBERS,
  },
];

/** The exemptions for a folder of sources. Throws if a line no longer exists. */
export function exemptions(folder: string): { readonly exempt: readonly Exemption[]; readonly stops: RegExp } {
  const sources = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file: basename(file), lines: readFileSync(join(folder, file), "utf8").split("\n") }));
  const exempt = known.map(({ code, within, reason }) => {
    const places = sources.flatMap(({ file, lines }) =>
      lines.flatMap((line, i) => (line.includes(code) ? [`${file.replace(".", "\\.")}:${i + 1}`] : [])),
    );
    if (!places.length) throw new Error(`no file has a line with ${code}`);
    const where = `\\S*\\b(${places.join("|")}):`;
    return { site: new RegExp(`${within ? `\\b${within}` : "\\S+"} ${where}`), reason };
  });
  // A reaper may read a slab that is being made: it holds nothing of a dead thread, and the reaper reads its entry again.
  exempt.push({ site: /\bmemory\.fill \S*\/memory\.ts:/, reason: "a slab that is being made" });
  return { exempt, stops: new RegExp(exempt.map(({ site }) => site.source).join("|")) };
}
