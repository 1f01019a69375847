// Writes pictures of the built site's pages to build/docs-pictures, by a headless Chromium: in light and in dark, on a phone's
// and on a desk's width. To be looked at after a change of the site; PATHS as arguments, by default one page of each kind.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { withChromium } from "./chromium.mjs";
import { root } from "./compile.mjs";
import { serve } from "./docs.mjs";

const usual = [
  "/",
  "/docs/start",
  "/docs/playground",
  "/playground/",
  "/docs/guides/workers",
  "/docs/calls",
  "/docs/benchmarks",
  "/docs/for-kernel-people",
  "/docs/api/wasm-mempool/classes/Pool",
  "/docs/generated/abi/wasm_mempool",
];
const pages = process.argv.length > 2 ? process.argv.slice(2) : usual;
/** Chromium's numbers of colour schemes. */
const schemes = { dark: 0, light: 1 };
const widths = { phone: "390,844", desk: "1280,900" };

const folder = join(root, "build/docs-pictures");
mkdirSync(folder, { recursive: true });
const server = serve();
await new Promise((resolve) => server.once("listening", resolve));
await withChromium(async (picture) => {
  for (const page of pages) {
    const name = page.replaceAll(/^\/|\/$/g, "").replaceAll("/", "-") || "home";
    for (const [scheme, number] of Object.entries(schemes)) {
      for (const [width, size] of Object.entries(widths)) {
        const file = join(folder, `${name}-${width}-${scheme}.png`);
        const more = [`--blink-settings=preferredColorScheme=${number}`, "--virtual-time-budget=4000"];
        await picture(`http://127.0.0.1:${server.address().port}${page}`, file, size, ...more);
        console.log(file.slice(root.length));
      }
    }
  }
});
server.close();
