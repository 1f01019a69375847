/** The examples in real browsers, from the packed package: what they show, and what their users do to them. */
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleExample, examples, installExamples } from "../examples.ts";
import { root, run, type Installed } from "../packaging/install.ts";
import { browsers, type Browser, isolated, isSkipped, Pages } from "./browsers.ts";

type Seen = Record<string, any>;

const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const names = [...examples, "vite-template"];

/** What a user does with a page, and sees: runs in the page beside the example, which knows nothing of it. */
const probe = await readFile(new URL("examples-probe.mjs", import.meta.url), "utf8");

let installed: Installed;
let pages: Pages<Seen>;
let opened = "";
const files = new Map<string, Uint8Array>();
beforeAll(async () => {
  installed = await installExamples(names);
  for (const name of names) {
    const script = `<script>${probe}\nprobe(${JSON.stringify(name)});</script>`;
    for (const [path, bytes] of await bundleExample(installed, name, script)) files.set(path, bytes);
  }
  pages = new Pages((request, response) => {
    const path = (request.url ?? "/").split("?")[0]!;
    if (path === "/") return response.writeHead(302, { Location: `/${opened}/index.html` }).end();
    const file = files.get(path);
    response.writeHead(file ? 200 : 404, { "Content-Type": types[extname(path)] ?? "application/octet-stream" });
    response.end(file);
  }, isolated);
});
afterAll(async () => {
  pages?.close();
  await installed?.remove();
});

test.each([...examples, "service"])("%s has at most 80 lines", async (name) => {
  const folder = join(root, "examples", name);
  const scripts = (await readdir(folder)).filter((file) => /\.m?js$/.test(file));
  const texts = await Promise.all(scripts.map((file) => readFile(join(folder, file), "utf8")));
  expect(scripts.length).toBeGreaterThan(0);
  expect(texts.join("").split("\n").length - 1).toBeLessThanOrEqual(80);
});

test("the template's types are right for the package that is installed", async () => {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  expect(await run(join(installed.dir, "vite-template"), process.execPath, tsc)).toBe("");
});

function open(browser: Browser, name: string): Promise<Seen> {
  opened = name;
  return pages.open(browser, "--window-size=1100,800");
}

for (const browser of browsers) {
  describe.skipIf(isSkipped(browser))(`${browser.name}, ${browser.command}`, () => {
    test("fireworks: 50,000 particles in a pool, and as objects", async () => {
      const { errors, kinds } = await open(browser, "fireworks");
      expect(errors).toEqual([]);
      console.log(`${browser.name}, fireworks:\n  pool     ${kinds.pool.words}\n  objects  ${kinds.objects.words}`);
      for (const kind of ["pool", "objects"]) {
        expect(kinds[kind].words).toMatch(
          /^(49[789]\d\d|50000) particles, ms: frame [\d.]+, at worst [\d.]+; work [\d.]+, at worst [\d.]+$/,
        );
        // Not black, and not still.
        expect(kinds[kind].lit).toBeGreaterThan(5000);
        expect(kinds[kind].moved).toBeGreaterThan(1000);
      }
    });

    test("tiles: all are drawn, although workers are killed", async () => {
      // Chromium lets a worker that is terminated end what it is doing, for up to two seconds: so it may well have finished its
      // tile. On a page that stalls, each worker may be without one when it is killed: then the page is opened again.
      const least = browser.name === "Chromium" ? 0 : 1;
      let begunAgain = -1;
      for (let tries = 5; tries && begunAgain < least; tries--) {
        const { errors, words, wrong, inside } = await open(browser, "tiles");
        console.log(`${browser.name}, tiles: ${words}`);
        expect(errors).toEqual([]);
        expect(words).toMatch(/^160 of 160 tiles, [1-9]\d* killed, \d+ tiles begun again$/);
        expect(wrong).toBe(0);
        expect(inside).toBeGreaterThan(1000);
        begunAgain = Number(/(\d+) tiles begun/.exec(words)![1]);
      }
      expect(begunAgain).toBeGreaterThanOrEqual(least);
    });

    test("synth: keys sound, and their voices come back", async () => {
      const { errors, before, after, peaks, silent } = await open(browser, "synth");
      expect(errors).toEqual([]);
      expect(before).toMatch(/^3 of 32 voices sound/);
      expect(after).toMatch(/^0 of 32 voices sound/);
      // A, D and G: 220 Hz, four and seven halftones above.
      expect(peaks.map(Math.round)).toEqual([220, 277, 330]);
      expect(silent).toBeLessThan(0.01);
    });

    test("the Vite template starts, and its worker works", async () => {
      const { errors, words } = await open(browser, "vite-template");
      expect(errors).toEqual([]);
      expect(words).toMatch(/^\d{3,} moves; the last to [1-9]\d*, \d+$/);
    });
  });
}
