/** The page that draws heaps, in real browsers: its pixels, keys and texts, files, and a heap of other threads. */
import { existsSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import "../../src/debug.ts";
import { createHeap } from "../../src/index.ts";
import { dump } from "../../src/inspect.ts";
import { browsers, isolated, isSkipped, Pages } from "./browsers.ts";

type Seen = Record<string, any>;

const WINDOW = "--window-size=1200,900";
const root = fileURLToPath(new URL("../../", import.meta.url));
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** A heap as the files have it: its memory, and a dump of it. */
function files(): { memory: Uint8Array; dump: Uint8Array; debug: Uint8Array } {
  const heap = createHeap({ maximum: 2 ** 20 });
  const pool = heap.create({ name: "from a file", minNr: 3, size: 100 });
  for (let i = 0; i < 17; i++) pool.alloc();
  const debugHeap = createHeap({ maximum: 2 ** 20, debug: true });
  const guarded = debugHeap.create({ name: "guarded", minNr: 2, size: 100 });
  for (let i = 0; i < 3; i++) guarded.free(guarded.alloc());
  guarded.alloc();
  return { memory: heap.views.refresh().u8.slice(), dump: dump(heap), debug: dump(debugHeap) };
}

let pages: Pages<Seen>;
beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: ["inspector-page", "inspector-worker"].map((name) => join(root, `test/browser/${name}.mjs`)),
    bundle: true,
    format: "esm",
    target: "es2022",
    outdir: "/",
    write: false,
  });
  const made = new Map<string, string | Uint8Array>(outputFiles.map(({ path, text }) => [path, text]));
  made.set("/index.html", '<!doctype html><body><script type="module" src="/inspector-page.js"></script>');
  const { memory, dump: dumped, debug } = files();
  made.set("/heap.memory", memory).set("/heap.dump", dumped).set("/debug.dump", debug);
  pages = new Pages((request, response) => {
    const path = (request.url ?? "").split("?")[0]!.replace(/\/$/, "/index.html");
    const own = path.startsWith("/inspector/") && existsSync(root + path) ? readFileSync(root + path) : undefined;
    const content = made.get(path) ?? own;
    response.writeHead(content ? 200 : 404, { "Content-Type": types[extname(path)] ?? "application/octet-stream" });
    response.end(content);
  }, isolated);
});
afterAll(() => pages?.close());

/** Colours of the theme and of thread 0, as in inspector/src/states.ts. */
const paper = [255, 255, 255];
const thread0 = [0x00, 0x72, 0xb2];
const free = [0xb9, 0xbf, 0xca];
const ink = [0x16, 0x19, 0x1f];

for (const browser of browsers) {
  describe.skipIf(isSkipped(browser))(`${browser.name}, ${browser.command}`, () => {
    let report: Seen;
    beforeAll(async () => {
      report = await pages.open(browser, WINDOW);
    });

    test("each state has a mark of its own, where hitTest finds the element", () => {
      const { states } = report;
      expect(states).toMatchObject({
        live: { found: true, corner: thread0, inside: thread0 },
        reserved: { found: true, corner: ink },
        free: { found: true, corner: free, inside: paper, middle: paper },
        cached: { found: true, corner: thread0 },
        never: { found: true, corner: paper },
        quarantined: { found: true, corner: [0xd5, 0x5e, 0x00] },
      });
      expect(states.cached.inside).not.toEqual(thread0);
      expect(states.never.middle).not.toEqual(paper);
    });

    test("as many elements are live as the pool says", () => {
      const { live, outstanding, pools } = report["counts"];
      expect(live).toBeGreaterThan(0);
      expect(live).toBe(outstanding);
      expect(pools).toEqual(["particles", "requests", "buffers", "messages", "connections", "log lines"]);
    });

    test("keys move by elements, slabs and pools", () => {
      const { seen, columns, spoken, element, size, larger, rows, isTable, focus } = report["keys"];
      const moves = Object.values(seen) as [number, number][];
      expect(moves.slice(0, 4)).toEqual([
        [0, 0],
        [0, 1],
        [0, 1 + columns],
        [0, 1],
      ]);
      expect(moves[4]).toEqual([1, 1]);
      expect(moves[5]![0]).toBeGreaterThan(1);
      expect(moves[6]).toEqual([0, 0]);
      expect(moves[7]![0]).toBeGreaterThan(moves[5]![0]);
      expect(moves[8]).toEqual([0, 0]);
      expect(spoken).toMatch(
        /^in reserve, address 0x[0-9a-f]+, pool particles, size 48 B, number 0 of \d+ in its slab/,
      );
      expect(element).toContain("in reserve");
      expect(larger).toBeGreaterThan(size);
      expect(isTable && focus).toBe("table");
      expect(rows).toBeGreaterThan(10);
    });

    test("a pointer over an element shows what it is, and a click selects it", () => {
      const { tip, address, selected, hidden } = report["hover"];
      expect(tip).toMatch(/^live, thread 0\n/);
      expect(tip).toContain(`address ${address}\npool particles`);
      expect({ selected, hidden }).toEqual({ selected: true, hidden: true });
    });

    test("an element's history has its changes", () => {
      expect(report["history"].text).toContain("History");
      expect(report["history"].changes).toHaveLength(1);
    });

    test("of ten thousand slabs, only those in sight are drawn", () => {
      const { slabs, drawingMsPerFrame, idleMsPerFrame, ...rest } = report["frames"];
      console.log(`${browser.name}: ${JSON.stringify(report["frames"])}`);
      expect(slabs).toBeGreaterThanOrEqual(10_000);
      // A frame in which the browser does nothing takes 17 ms, or more if the machine is busy.
      expect(drawingMsPerFrame).toBeLessThan(idleMsPerFrame / 2);
      expect(rest[128].slabs).toBeLessThan(100);
      expect(rest[48].slabs).toBeLessThan(500);
      for (const size of [16, 48, 128]) {
        expect(rest[size].slabs).toBeGreaterThan(0);
        expect(rest[size].calls).toBeLessThan(400);
      }
    });

    test("scrolling draws the rows that come into sight, and the picture is as if drawn anew", () => {
      for (const size of [16, 48, 128]) {
        const { slabs, rows, columns, whole, still, differing } = report["frames"][`scroll${size}`];
        expect({ still, differing }).toEqual({ still: 0, differing: 0 });
        expect(slabs).toBeGreaterThan(0);
        expect(slabs).toBeLessThanOrEqual(rows * columns);
        // Of the largest the window has two rows, and both may come into sight.
        if (rows > 2) expect(slabs).toBeLessThan(whole);
      }
      expect(report["frames"].scroll16.rows).toBeGreaterThan(2);
    });

    test("on a phone's width the words beside a pool's name are fewer, and none is cut off", () => {
      const { narrow } = report;
      for (const width of [1000, 390, 320]) {
        expect(narrow[width].seen.length).toBeGreaterThanOrEqual(2);
        expect(narrow[width].clipped).toEqual([]);
      }
      const first = (width: number) => narrow[width].seen.find((text: string) => text.includes(" live"));
      expect(first(1000)).toMatch(/^\d+ slabs? of 48 B elements · \d+ live · reserve \d+ of \d+/);
      expect(first(320)).toMatch(/^\d+ live · reserve \d+ of \d+/);
    });

    test("files: a dump, a memory, and what is wrong with others", () => {
      const { names, live, fromMemory, problems } = report["dump"];
      expect(names).toEqual([["from a file", 17, 3]]);
      expect(live).toBeGreaterThanOrEqual(17);
      expect(fromMemory).toEqual([["#1", 17]]);
      expect(problems).toEqual([
        "none: no heap is in these 0 bytes",
        "text: no heap is in these 12 bytes",
        expect.stringMatching(/^short: bytes are a truncated dump: 5000 bytes of at least \d+$/),
        expect.stringMatching(/^flipped: bytes are a damaged dump: the checksum is \d+, and should be \d+$/),
        "newer: bytes are a dump of version 9; this package reads version 1",
      ]);
    });

    test("a debug heap's dump has its quarantine, and the places that allocated", () => {
      const { pools, states, text } = report["debugDump"];
      expect({ pools, states }).toEqual({ pools: ["guarded"], states: { live: 1, quarantined: 3, reserved: 2 } });
      expect(text).toMatch(/allocated at.*inspector\.test\.ts:\d+/s);
      expect(text).toMatch(/held for\d+\.\d s/);
    });

    test("a heap of other threads is seen while they work", () => {
      expect(report["live"]).toEqual({
        pools: ["busy"],
        changes: true,
        threads: expect.arrayContaining([0, 1]),
        goesOn: true,
      });
    });
  });
}
