// Takes pictures of pages by a headless Chromium.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Calls `take` with a function that writes the picture of an address to a file: of a window such as "1280,760". */
export async function withChromium(take) {
  const profile = mkdtempSync(join(tmpdir(), "wasm-mempool-pictures-"));
  const picture = (address, file, size, ...more) =>
    promisify(execFile)(process.env["CHROMIUM"] ?? "/usr/bin/chromium", [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      `--user-data-dir=${profile}`,
      `--window-size=${size}`,
      "--hide-scrollbars",
      `--screenshot=${file}`,
      ...more,
      address,
    ]);
  try {
    await take(picture);
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
