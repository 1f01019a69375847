/**
 * The built library in real browsers: page, worker and audio worklet, alone and as threads of one heap.
 */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browsers, isolated, Pages, isSkipped } from "./browsers.ts";
import { cellsOf, expected, type Cell } from "../outside/endings-run.ts";
import type { Ending } from "../outside/endings-table.ts";

interface Scope {
  readonly error?: string;
  readonly elements?: Record<string, number>;
  readonly isolated?: boolean;
  readonly missing?: readonly string[];
  readonly quanta?: number;
}
/** The result of one test of threads.mjs. */
interface Seen {
  readonly error?: string;
  readonly value?: unknown;
  /** Afterwards: what heap.check() found, and the outstanding elements. */
  readonly problems?: readonly string[];
  readonly outstanding?: number;
  readonly ms: number;
}
interface Report extends Record<"page" | "worker" | "worklet", Scope> {
  readonly agent: string;
  readonly threads: Record<string, Seen>;
  readonly withoutWaitAsync: Record<string, Seen>;
  readonly endings: readonly Cell[];
}

/** All endings of a browser's worker. */
const endings: readonly Ending[] = ["detach", "terminate", "close", "page"];

/** What the tests of threads.mjs should see. */
const ofThreads: readonly { key: string; title: string; value: unknown }[] = [
  { key: "attached", title: "all four threads join", value: [0, 1, 2, 3] },
  {
    key: "passed",
    title: "each thread frees elements of each thread",
    value: { distinct: 128, freed: Array.from({ length: 4 }, () => [8, 8, 8, 8]) },
  },
  { key: "exchanged", title: "elements change hands while all four run", value: [4, 4, 4, 4] },
  {
    key: "wouldBlock",
    title: "allocWait blocks neither window nor worklet",
    value: ["ERR_WOULD_BLOCK", "ERR_WOULD_BLOCK"],
  },
  { key: "awaited", title: "the window awaits what a worker frees", value: true },
  { key: "awaitedInWorklet", title: "the worklet awaits what the window frees", value: true },
  {
    key: "blocked",
    title: "a worker blocks until the window frees",
    value: { late: "ERR_TIMEOUT", isIt: true, isEarly: false },
  },
  { key: "cached", title: "idle threads return their cached elements", value: [32, 32, 32] },
  {
    key: "grown",
    title: "a growth by a worker renews the views of all threads",
    value: { isAbove: true, isOwner: true, isRead: true, seen: [0, 0, 0, 0, 0, 0] },
  },
  {
    key: "reaped",
    title: "a reap returns the elements of terminated workers",
    value: {
      living: Array(4).fill("ERR_WOULD_BLOCK"),
      isAll: true,
      isDead: true,
      again: Array(4).fill("ERR_INVALID_ARGUMENT"),
      same: 2,
    },
  },
  {
    key: "ended",
    title: "the pools end when all threads have left",
    value: { outstanding: 0, problems: [], pools: 0 },
  },
];

let pages: Pages<Report>;

beforeAll(async () => {
  const here = fileURLToPath(new URL(".", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: ["page", "worker", "worklet", "threads", "threads-worker", "threads-worklet", "endings-worker"].map(
      (name) => `${here}${name}.mjs`,
    ),
    // They import the package by its own name: dist/, as an application gets it.
    bundle: true,
    format: "esm",
    target: "es2022",
    outdir: "/",
    write: false,
  });
  const files = new Map(outputFiles.map(({ path, text }) => [path, { type: "text/javascript", text }]));
  files.set("/", { type: "text/html", text: '<!doctype html><script type="module" src="/page.js"></script>' });
  pages = new Pages((request, response) => {
    const [path = "", query] = (request.url ?? "").split("?");
    const file = files.get(path);
    // As in a browser that has none.
    const first = query === "without=waitAsync" ? "delete Atomics.waitAsync;\n" : "";
    response.writeHead(file ? 200 : 404, { "Content-Type": file?.type ?? "text/plain" }).end(first + file?.text);
  }, isolated);
});
afterAll(() => pages?.close());

for (const browser of browsers) {
  describe.skipIf(isSkipped(browser))(`${browser.name}, ${browser.command}`, () => {
    let report: Report;
    beforeAll(async () => {
      report = await pages.open(browser);
    });

    test("is the expected browser", () => expect(report.agent).toMatch(browser.agent));

    test("a page runs the smoke test", () => {
      expect(report.page).toEqual({ elements: expect.anything(), isolated: true });
      expect(Object.keys(report.page.elements!)).toEqual(["plain", "imported", "shared", "async"]);
    });

    test("a worker runs the smoke test", () => {
      expect(report.worker).toEqual({ elements: report.page.elements });
    });

    test("an audio worklet allocates in each quantum", () => {
      const { async: _async, ...elements } = report.page.elements!;
      expect(report.worklet).toMatchObject({ elements, quanta: 10 });
      // Without these functions in the scope, the smoke test shows that the library needs none.
      expect(report.worklet.missing).toEqual(expect.arrayContaining(["atob", "fetch"]));
    });

    describe.each(endings)("a worker that ends by %s", (ending) => {
      test.each(cellsOf([ending]).map(({ row }) => [row.owned, row] as const))(
        "and owns %s leaves nothing behind",
        (owned, row) => {
          expect(report.endings).toEqual(expect.any(Array));
          const cell = report.endings.find((each) => each.owned === owned && each.ending === ending)!;
          expect(cell).toEqual(expected(row, ending, cell));
        },
      );
    });

    for (const run of ["threads", "withoutWaitAsync"] as const) {
      describe(`window, two workers and an audio worklet, ${run}`, () => {
        for (const { key, title, value } of ofThreads) {
          test(title, () => {
            const sound = { problems: [], outstanding: 0, ms: expect.any(Number) };
            expect(report[run][key] ?? report[run]).toEqual({ value, ...sound });
          });
        }
      });
    }
  });
}
