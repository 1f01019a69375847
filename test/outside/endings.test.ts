/** The table of endings, on this Node. */
import { beforeAll, describe, expect, test } from "vitest";
import { runProgram } from "./endings-program.ts";
import { cellsOf, expected, type Cell } from "./endings-run.ts";
import type { Ending } from "./endings-table.ts";

const exist: readonly Ending[] = ["detach", "return", "throw", "reject", "exit", "terminate", "memory"];

let seen: readonly Cell[];
beforeAll(async () => {
  seen = await runProgram(process.execPath, [], exist);
});

describe.each(exist)("a thread that ends by %s", (ending) => {
  const ofEnding = cellsOf([ending]);
  test.each(ofEnding.map(({ row }) => [row.owned, row] as const))("and owns %s leaves nothing behind", (owned, row) => {
    const cell = seen.find((each) => each.owned === owned && each.ending === ending)!;
    expect(cell).toEqual(expected(row, ending, cell));
  });
});
