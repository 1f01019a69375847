/** Each of these weakenings of the core is found, by the case that is named. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { build } from "./build.ts";
import { cases } from "./cases.ts";
import { matrix } from "./matrix.ts";
import { search } from "./search.ts";

interface Mutant {
  readonly name: string;
  readonly file: string;
  /** What stands there once, and what instead. */
  readonly changes: readonly (readonly [string, string])[];
  readonly caught: string;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MILLISECONDS = 20_000;

const mutants: readonly Mutant[] = [
  {
    name: "settle does not look again",
    file: "mempool.ts",
    changes: [["while (THREADS && now != GATE_SHUT && gateOf(pool, m) != now)", "while (false)"]],
    caught: "one takes from the reserve while another opens its gate",
  },
  {
    name: "short is said before the element is counted off",
    file: "mempool.ts",
    changes: [
      [
        "    element = reserveTake(changetype<Epoch>(m.epoch), false);\n",
        "    nowShort(pool);\n    element = reserveTake(changetype<Epoch>(m.epoch), false);\n",
      ],
      ["    m.taken++;\n    nowShort(pool);\n", "    m.taken++;\n"],
    ],
    caught: "one takes from the reserve, another frees, a third too",
  },
  {
    name: "short is cleared whatever it is",
    file: "mempool.ts",
    changes: [["atomicSwap<u32>(short, seen, 0);", "atomicStore<u32>(short, 0);"]],
    caught: "one takes from the reserve while another fills it",
  },
  {
    name: "no number on the stack of slabs",
    file: "slab.ts",
    changes: [
      ["(((head >> 32) + 1) << 32) | (<u64>slab)", "<u64>slab"],
      ["(((head >> 32) + 1) << 32) | (<u64>next)", "<u64>next"],
    ],
    caught: "a slab comes back to the stack",
  },
  {
    name: "waiting is cleared whatever it is",
    file: "wait.ts",
    changes: [["atomicSwap<u32>(waiting, seen, 0);", "atomicStore<u32>(waiting, 0);"]],
    caught: "cancel, with another behind",
  },
  {
    name: "nobody is notified",
    file: "wait.ts",
    changes: [["        atomicNotify(place);\n        break;", "        break;"]],
    caught: "wait",
  },
  {
    name: "a free does not serve",
    file: "mempool.ts",
    changes: [["  if (THREADS && isWaiting(pool)) attend(m);\n  return true;", "  return true;"]],
    caught: "wait",
  },
  {
    name: "who returns puts a slab on the stack that somebody has",
    file: "slab.ts",
    changes: [["  if (!(old & SLAB_KEPT)) slabPush(partialOf(cache), slab);", "  slabPush(partialOf(cache), slab);"]],
    caught: "free and allocate in one slab",
  },
  {
    name: "who takes a slab off the stack does not say so",
    file: "slab.ts",
    changes: [["    announce(slab);\n    // If", "    // If"]],
    caught: "death in alloc and free",
  },
  {
    name: "who returns to a slab does not say so",
    file: "slab.ts",
    changes: [["    announce(at);\n", ""]],
    caught: "death between magazine and slabs",
  },
  {
    name: "the place in line is left before the element is marked",
    file: "wait.ts",
    changes: [
      ["  // Marked before the place is left", "  atomicStore<u64>(place, 0);\n  // Marked before the place is left"],
      ["  atomicStore<u64>(place, 0);\n  return element;", "  return element;"],
    ],
    caught: "death after being served",
  },
  {
    name: "an element is marked RESERVED after it can be taken",
    file: "reserve.ts",
    changes: [
      [
        "  atomicStore<u8>(state, <u8>STATE_RESERVED);\n  place(epoch, element, <u32>counts);\n",
        "  place(epoch, element, <u32>counts);\n  atomicStore<u8>(state, <u8>STATE_RESERVED);\n",
      ],
    ],
    caught: "the reserve",
  },
  {
    name: "more slabs than maxNr allows",
    file: "slab.ts",
    changes: [
      [
        'if (!atomicSwap<u32>(changetype<usize>(cache) + offsetof<Cache>("room"), room, room + end)) continue;',
        'atomicAdd<u32>(changetype<usize>(cache) + offsetof<Cache>("room"), end);',
      ],
    ],
    caught: "one for two",
  },
  {
    name: "two frees may each be the last",
    file: "mempool.ts",
    changes: [['return all && atomicSwap<u32>(wordOf(pool, offsetof<Pool>("ended")), 0, 1);', "return all;"]],
    caught: "exit and the last free",
  },
  {
    name: "the last in line is served first",
    file: "wait.ts",
    changes: [["<i32>(<u32>(word >> 32) - lowest) < 0", "<i32>(<u32>(word >> 32) - lowest) > 0"]],
    caught: "two in line, served in order",
  },
  {
    name: "what a dead thread had cached stays with it",
    file: "reap.ts",
    changes: [["    reapCached(number);\n", ""]],
    caught: "death in alloc and free",
  },
  {
    name: "who reaps does not look whether the element was handed over",
    file: "reap.ts",
    changes: [["      if (ofPool && handedOver(pool, element)) continue;\n", ""]],
    caught: "death while freeing for who waits",
  },
  {
    name: "the old reserve stays",
    file: "mempool.ts",
    changes: [["      endEpoch(old);\n", ""]],
    caught: "no old size after a reshape: mempool_alloc",
  },
  {
    name: "who fills the reserve does not look at minNr again",
    file: "reserve.ts",
    changes: [["  if (missing(epoch) < 0) reserveTrim(epoch);\n", ""]],
    caught: "shrink, free; 2 of 2",
  },
  {
    name: "the reserve is counted, and minNr not looked at, in one swap",
    file: "reserve.ts",
    changes: [
      [
        "while (!atomicSwap<u64>(countsAt(epoch), counts, counts + ONE));",
        "while (!atomicSwap<u32>(countsAt(epoch), <u32>counts, <u32>counts + 1));",
      ],
      ["  if (missing(epoch) < 0) reserveTrim(epoch);\n", ""],
    ],
    caught: "shrink, free; 2 of 2",
  },
  {
    name: "two make epochs at once",
    file: "mempool.ts",
    changes: [
      [
        'return atomicSwap<u32>(wordOf(pool, offsetof<Pool>("maker")), 0, selfNumber() + 1);',
        'atomicStore<u32>(wordOf(pool, offsetof<Pool>("maker")), selfNumber() + 1);\n  return true;',
      ],
    ],
    caught: "two reshape",
  },
  {
    name: "who reaps does not end what was being made",
    file: "reap.ts",
    changes: [["if (pool.made) endOthers(pool);", "if (pool.made) {}"]],
    caught: "death in reshape",
  },
  {
    name: "who trims takes more than there are above minNr",
    file: "reserve.ts",
    changes: [["if (above && taken && ", "if (false && "]],
    caught: "shrink by one while another frees",
  },
  {
    name: "a magazine is of an epoch before others can see it",
    file: "mempool.ts",
    changes: [
      ["  m.floor = -1;\n  if (THREADS) {", "  magazineInit(m, pool, STATE_LIVE | selfNumber());\n  if (THREADS) {"],
      [
        "  // From here on who reshapes sees the epoch it is of.\n  magazineInit(m, pool, STATE_LIVE | selfNumber());\n",
        "",
      ],
    ],
    caught: "one attaches while another reshapes twice",
  },
  {
    name: "what was looked for in vain is never looked for again",
    file: "pages.ts",
    changes: [["  // Last: who counted before, and looked in vain, knows that it did.\n  runFreed();\n", ""]],
    caught: "memory comes free while another looks for it",
  },
];

test.each(mutants)("$name", { timeout: 120_000 }, async ({ name, file, changes, caught }) => {
  const folder = join(ROOT, "build/sim/mutants", name.replaceAll(" ", "-"));
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, "assembly"), folder, { recursive: true });
  let text = readFileSync(join(folder, file), "utf8");
  for (const [from, to] of changes) {
    expect(text.split(from), from).toHaveLength(2);
    text = text.replace(from, () => to);
  }
  writeFileSync(join(folder, file), text);
  const core = await build(`mutants/${name.replaceAll(" ", "-")}`, { entry: join(folder, "shared.ts") });
  const checker = await build("core.inspect", { entry: join(ROOT, "assembly/inspect.ts") });
  const one = [...cases, ...matrix].find((each) => each.name === caught)!;
  const { fault, schedules } = search(core, one, { mode: one.mode, milliseconds: MILLISECONDS, checker });
  expect(fault?.message, `${schedules} schedules`).toBeDefined();
});
