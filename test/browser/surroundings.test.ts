/** What real browsers forbid: shared memory in a page that is not isolated, wasm under a policy; and objects of iframes. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browsers, isSkipped, Pages } from "./browsers.ts";

interface Report {
  readonly error?: string;
  readonly agent: string;
  readonly page: Record<string, unknown>;
  readonly policy: Record<string, string>;
}

/** How each browser words the error of a structured clone. Firefox does not say what could not be cloned. */
const clones: Readonly<Record<string, RegExp>> = {
  Chromium: /^DataCloneError: .*\[object Pool: post pool\.share\(\), and attach\(\) it there\] could not be cloned/,
  Firefox: /^DataCloneError: /,
};

let pages: Pages<Report>;
beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("surroundings.mjs", import.meta.url))],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  pages = new Pages((request, response) => {
    if (request.url === "/page.js") {
      response.writeHead(200, { "Content-Type": "text/javascript" }).end(outputFiles[0]!.text);
    } else {
      const policy = request.url === "/policy" ? { "Content-Security-Policy": "script-src 'self'" } : {};
      response.writeHead(200, { "Content-Type": "text/html", ...policy });
      response.end('<!doctype html><body><script type="module" src="/page.js"></script></body>');
    }
  });
});
afterAll(() => pages?.close());

for (const browser of browsers) {
  describe.skipIf(isSkipped(browser))(`${browser.name}, ${browser.command}`, () => {
    let report: Report;
    beforeAll(async () => {
      report = await pages.open(browser);
    });

    test("the page is not isolated", () => {
      expect(report.error).toBe(undefined);
      expect(report.page).toMatchObject({
        isolated: false,
        constructor: "undefined",
        isShared: "[object SharedArrayBuffer]",
      });
    });

    test("share names the missing headers", () => {
      expect(report.page["given"]).toBe(1);
      expect(report.page["share"]).toMatch(
        /^ERR_NOT_ISOLATED: .*Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/,
      );
      expect(report.page["attach"]).toMatch(/^ERR_INVALID_ARGUMENT: /);
    });

    test("arrays, memory and signals of an iframe are accepted", () => {
      expect(report.page["iframe"]).toEqual({ isOurs: false, wasBulk: true, element: true });
      expect(report.page["signal"]).toEqual("theirs");
    });

    test("ERR_NO_WASM names a policy that forbids wasm", () => {
      for (const message of [report.policy["sync"], report.policy["async"]]) {
        expect(message).toMatch(/^ERR_NO_WASM: .*'wasm-unsafe-eval'/);
      }
    });

    test("the engine's error about a cloned pool names share", () => {
      expect(report.page["clone"]).toMatch(clones[browser.name]!);
    });
  });
}
