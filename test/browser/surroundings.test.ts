/** What real browsers forbid: shared memory in a page that is not isolated, wasm under a policy; and objects of iframes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

interface Report {
  readonly error?: string;
  readonly agent: string;
  readonly page: Record<string, unknown>;
  readonly policy: Record<string, string>;
}

const chromium = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const browsers: readonly { name: string; command: string; args: (profile: string) => string[]; clone: RegExp }[] = [
  {
    name: "Chromium",
    command: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: (profile) => [...chromium, `--user-data-dir=${profile}`],
    clone: /^DataCloneError: .*\[object Pool: post pool\.share\(\), and attach\(\) it there\] could not be cloned/,
  },
  {
    name: "Firefox",
    command: process.env["FIREFOX"] ?? "/usr/bin/firefox-esr",
    args: (profile) => ["--headless", "--no-remote", "--profile", profile],
    // Firefox does not say what could not be cloned.
    clone: /^DataCloneError: /,
  },
];

let server: Server;
let origin: string;
let received: (report: Report) => void;
beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("surroundings.mjs", import.meta.url))],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  server = createServer((request, response) => {
    if (request.method === "POST") {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        response.end();
        received(JSON.parse(body) as Report);
      });
    } else if (request.url === "/page.js") {
      response.writeHead(200, { "Content-Type": "text/javascript" }).end(outputFiles[0]!.text);
    } else {
      const policy = request.url === "/policy" ? { "Content-Security-Policy": "script-src 'self'" } : {};
      response.writeHead(200, { "Content-Type": "text/html", ...policy });
      response.end('<!doctype html><body><script type="module" src="/page.js"></script></body>');
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => server?.close());

for (const { name, command, args, clone } of browsers) {
  // On a developer's machine a browser may be missing; in CI that is a failure.
  describe.skipIf(!process.env["CI"] && !existsSync(command))(`${name}, ${command}`, () => {
    let report: Report;
    beforeAll(async () => {
      const profile = await mkdtemp(join(tmpdir(), "wasm-mempool-browser-"));
      const answer = new Promise<Report>((resolve) => (received = resolve));
      const browser = spawn(command, [...args(profile), origin], { stdio: "ignore", detached: true });
      const gone = once(browser, "exit");
      try {
        report = await Promise.race([
          answer,
          gone.then(([code]) => Promise.reject(new Error(`${command} ended with ${code}`))),
        ]);
      } finally {
        if (browser.exitCode === null) {
          process.kill(-browser.pid!, "SIGKILL");
          await gone;
        }
        await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      }
    }, 100_000);

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
      expect(report.page["clone"]).toMatch(clone);
    });
  });
}
