/** The playground in real browsers: each of its buttons, in an isolated page and in one that is not; code of one's own. */
import { existsSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browsers, isolated, isSkipped, Pages } from "./browsers.ts";

type Seen = Record<string, any>;

const root = fileURLToPath(new URL("../../", import.meta.url));
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const probe = readFileSync(new URL("playground-probe.mjs", import.meta.url));

const pagesOf = (headers: Readonly<Record<string, string>>): Pages<Seen> =>
  new Pages<Seen>((request, response) => {
    const path = (request.url ?? "/").split("?")[0]!;
    if (path === "/") return response.writeHead(302, { Location: "/playground/index.html" }).end();
    const isOwn = path.startsWith("/playground/") && existsSync(root + path);
    const content = path === "/probe.mjs" ? probe : isOwn ? readFileSync(root + path) : undefined;
    response.writeHead(content ? 200 : 404, { "Content-Type": types[extname(path)] ?? "text/javascript" });
    const script = '<script type="module" src="/probe.mjs"></script></body>';
    response.end(path.endsWith(".html") ? content?.toString().replace("</body>", script) : content);
  }, headers);

for (const browser of browsers) {
  describe.skipIf(isSkipped(browser)).each([true, false])(`${browser.name}, isolated: %s`, (isIsolated) => {
    let pages: Pages<Seen>;
    let seen: Seen;
    beforeAll(async () => {
      pages = pagesOf(isIsolated ? isolated : {});
      seen = await pages.open(browser, "--window-size=1280,800");
    });
    afterAll(() => pages?.close());

    test("nothing fails that should not", () => expect(seen["errors"]).toEqual([]));

    test("elements are allocated, drawn, and freed", () => {
      const { allocated, freed } = seen;
      expect(allocated.lines).toEqual(["> Allocate", "40 outstanding, 16 of 16 in reserve"]);
      expect([allocated.live, freed.live]).toEqual([40, 0]);
      expect(allocated.pixels).not.toBe(freed.pixels);
      expect(freed.lines).toEqual(["> Free", "0 outstanding, 16 of 16 in reserve"]);
    });

    test("the reserve serves when memory is hoarded, and a waiter waits for a free", () => {
      const { hoarded, waited } = seen;
      expect(hoarded.lines[1]).toMatch(/^\d{2,} elements of 4096 bytes are hoarded; memory is gone$/);
      expect(hoarded.lines[2]).toBe("8 of 16 in reserve");
      expect(waited.lines.slice(1)).toEqual(["nothing is left; waiting for a free ...", "here it is"]);
      expect(waited.queued).toBe(1);
    });

    test("resize and reshape", () => {
      expect(seen["resized"].lines).toEqual(["> Resize", "minNr is 32; the reserve is full"]);
      const [, size, old] = seen["reshaped"].lines;
      expect([size, old]).toEqual(["new elements have 640 bytes", expect.stringMatching(/^\d+ still has 256$/)]);
    });

    test("a double free is refused, in words", () => {
      expect(seen["doubleFree"].lines[1]).toMatch(/^ERR_DOUBLE_FREE: free: 0x[0-9a-f]+ is free already; pool "pool"$/);
      expect(seen["doubleFree"].isError).toBe(true);
      expect(seen["checked"].lines[1]).toBe("the heap is sound");
    });

    test("code of one's own, its errors, and a new heap", () => {
      expect(seen["own"].lines).toEqual(["> your code", "2"]);
      expect(seen["wrong"].lines[1]).toMatch(/nothing/);
      expect(seen["wrong"].isError).toBe(true);
      expect(seen["reset"]).toMatchObject({ live: 0, lines: [expect.stringMatching(/^a new heap/)] });
    });

    test("a killed worker's elements come home; without isolation the page says what is missing", () => {
      if (!isIsolated) {
        expect(seen["threaded"]).toEqual({ disabled: 2, needs: expect.stringContaining("Cross-Origin-Opener-Policy") });
        return;
      }
      const { threads, held, after, lines } = seen["threaded"];
      expect(threads).toEqual([1]);
      expect(held).toBeGreaterThan(0);
      expect(after).toBe(0);
      expect(lines.at(-1)).toMatch(/^a worker has ended; it held [1-9]\d* elements, which are free now$/);
    });
  });
}
