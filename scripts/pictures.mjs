// Writes docs/pictures/inspector-*.png: the demo of the page in inspector/, in light and in dark, by a headless Chromium.
import { execFile } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { root } from "./compile.mjs";
import { shrink } from "./png.mjs";

const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const file = join(root, path);
  if (!/^\/inspector\/[\w.]+$/.test(path) || !existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, {
    "Content-Type": types[extname(path)] ?? "text/plain",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  });
  createReadStream(file).pipe(response);
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

mkdirSync(join(root, "docs/pictures"), { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "wasm-mempool-pictures-"));
for (const theme of ["light", "dark"]) {
  const query = `demo&steps=60&select=1&size=96&hold&theme=${theme}`;
  const file = join(root, `docs/pictures/inspector-${theme}.png`);
  await promisify(execFile)(process.env["CHROMIUM"] ?? "/usr/bin/chromium", [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    `--user-data-dir=${profile}`,
    "--window-size=1280,760",
    "--virtual-time-budget=8000",
    "--hide-scrollbars",
    `--screenshot=${file}`,
    `http://127.0.0.1:${server.address().port}/inspector/index.html?${query}`,
  ]);
  writeFileSync(file, shrink(readFileSync(file)));
}
rmSync(profile, { recursive: true, force: true });
server.close();
