/**
 * Planted faults under other tools: emscripten's AddressSanitizer, which instruments each access of C code, and the debug
 * allocator of Zig's library. docs/debug.md has the table, and FAULTS=update writes it.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "vitest";
import { faults, type Fault } from "../debug/faults.ts";
import { cellOf, expectColumn, NONE, together, type Column } from "../debug/table.ts";
import { build, emscriptenMissing, environment, zig } from "./toolchain.ts";
import { emptyFolder, guests, has, isSkipped, outcome, root, run, wasi } from "./tools.ts";

/** What a tool has said: the words for it, and its whole text. */
interface Said {
  readonly kind: string | undefined;
  readonly text: string;
}

/** The steps by the line of a program's source whose end names them. */
function stepsIn(source: string): Map<number, string> {
  const lines = readFileSync(join(guests, source), "utf8").split("\n");
  const named = lines.map((line, i) => [i + 1, /; \/\/ ([\w ]+)$/.exec(line)?.[1]] as const);
  return new Map(named.filter((each): each is readonly [number, string] => each[1] !== undefined));
}

/** The cell of one fault. The stack of the instant at which the tool speaks is what it says first. */
function cell({ kind, text }: Said, source: string): string {
  const file = source.slice(source.lastIndexOf("/") + 1);
  const steps = stepsIn(source);
  const named = (part: string): Set<string> =>
    new Set([...steps].filter(([line]) => part.includes(`${file}:${line}:`)).map(([, step]) => step));
  const [step = ""] = named(text.slice(0, text.indexOf("\n\n")));
  return cellOf(kind, step, named(text));
}

/** `plant` gets the arguments of a program that has a fault. Its result is undefined if the tool's programs cannot have it. */
async function expectTool(
  column: Column,
  source: string,
  plant: (args: string[], fault: Fault) => Promise<Said | undefined>,
): Promise<void> {
  const cells = new Map<string, string>();
  for (const fault of faults) {
    const outcomes = new Map<number, string>();
    for (const by of fault.sizes ?? [0]) {
      const said = fault.program === undefined ? undefined : await plant([fault.program, String(by)], fault);
      outcomes.set(by, said ? cell(said, source) : NONE);
    }
    cells.set(fault.title, together(outcomes));
  }
  expectColumn(column, cells);
}

describe.skipIf(emscriptenMissing)("emscripten's AddressSanitizer", () => {
  test("says of each fault what the table has", { timeout: 600_000 }, async () => {
    const options = ["-pthread", "-sPTHREAD_POOL_SIZE=2", "-sEXIT_RUNTIME=1", "-sINITIAL_MEMORY=67108864"];
    const command = ["emcc", "-gsource-map", "-O0", "-fsanitize=address"] as const;
    const program = build("planted.js", command, "planted.c", ...options);
    await expectTool("ASan", "programs/planted.c", async (args) => {
      const all = ["--no-experimental-fetch", program, ...args];
      const { stderr } = spawnSync(process.execPath, all, { env: environment, encoding: "utf8", timeout: 300_000 });
      const kind = /^SUMMARY: AddressSanitizer: (?:\d+ byte\(s\) )?([a-z-]+)/m.exec(stderr)?.[1];
      return { kind, text: stderr };
    });
  });
});

describe.skipIf(isSkipped(has(zig, "version")))("the debug allocator of Zig's library", () => {
  test("says of each fault what the table has", { timeout: 600_000 }, async () => {
    const program = join(emptyFolder("zig-planted"), "planted.wasm");
    const command = ["build-exe", `${guests}zig/planted.zig`, "-target", "wasm32-wasi", "-ODebug"];
    const cache = { ZIG_GLOBAL_CACHE_DIR: join(root, "build/guests/zig-cache") };
    await run(root, cache, [zig, ...command, `-femit-bin=${program}`]);
    await expectTool("Zig", "zig/planted.zig", async (args, fault) => {
      // WASI has no threads.
      if (fault.needsThreads) return undefined;
      const { stderr } = await outcome(root, {}, wasi(program, ...args));
      const kind = /^(?:error\(DebugAllocator\):|panic:) (?:memory address \w+ )?([\w ]+)/m.exec(stderr)?.[1];
      return { kind, text: stderr };
    });
  });
});
