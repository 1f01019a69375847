/**
 * The most instructions of each kind of call, as test/golden/worst.json and docs/worst-case.md have them; and the bound of
 * real-time pools. `npm run golden:update` writes both.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { searchHistories, searchRealtime, type Searched } from "../worst/histories.ts";
import { page, type Figures } from "../worst/page.ts";

const PAGE = "../../docs/worst-case.md";
const IDLE = 100;

const [plain, shared] = [searchHistories("plain"), searchHistories("shared")];
const realtime = {
  plain: searchRealtime("plain", 0, 1),
  shared: searchRealtime("shared", 0, 2),
  eight: searchRealtime("shared", 0, 8),
};
const figures: Figures = { plain, shared, realtime };

test("are as recorded", async () => {
  await expect(`${JSON.stringify(figures, null, 2)}\n`).toMatchFileSnapshot("worst.json");
});

test("the page has them", async () => {
  const text = readFileSync(new URL(PAGE, import.meta.url), "utf8");
  await expect(page(text, figures)).toMatchFileSnapshot(PAGE);
});

describe.each(Object.entries(realtime) as [string, Searched][])(
  "a pool of minNr elements on a heap that cannot grow: %s",
  (_, { calls, worst }) => {
    test("no call searches for pages or reclaims", () => {
      expect(calls).toBeGreaterThan(100_000);
      expect(worst).not.toHaveProperty("alloc, with a search for pages");
      expect(worst).not.toHaveProperty("alloc, with reclaim");
    });
  },
);

test.each([
  ["plain", 1],
  ["shared", 2],
] as const)("what its calls cost does not depend on other pools: %s", (kind, threads) => {
  expect(searchRealtime(kind, IDLE, threads).worst).toEqual(realtime[kind].worst);
});
