/** The page that draws heaps, in real browsers: its pixels, keys and texts, files, and a heap of other threads. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ABI_VERSION } from "../../src/core/abi.ts";
import { createHeap } from "../../src/index.ts";
import "../../src/inspect.ts";
import { mapHeap } from "../../src/inspect.ts";

type Seen = Record<string, any>;

const browsers: readonly { name: string; command: string; args: (profile: string) => string[] }[] = [
  {
    name: "Chromium",
    command: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: (profile) => [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--window-size=1200,900",
      `--user-data-dir=${profile}`,
    ],
  },
  {
    name: "Firefox",
    command: process.env["FIREFOX"] ?? "/usr/bin/firefox-esr",
    args: (profile) => ["--headless", "--no-remote", "--window-size=1200,900", "--profile", profile],
  },
];

const root = fileURLToPath(new URL("../../", import.meta.url));
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** A heap as the files have it: its memory, and a dump of it. */
function files(): { memory: Uint8Array; dump: Uint8Array } {
  const heap = createHeap({ maximum: 2 ** 20 });
  const pool = heap.create({ name: "from a file", minNr: 3, size: 100 });
  for (let i = 0; i < 17; i++) pool.alloc();
  const memory = heap.views.refresh().u8.slice();
  const pools = mapHeap(heap).pools.map(({ serial, name }) => ({ serial, name }));
  const text = { abi: ABI_VERSION, date: "2026-01-01T00:00:00Z", address: heap.address, isShared: false, pools };
  return { memory, dump: dumpOf(memory, JSON.stringify(text)) };
}

/** A dump: | magic | version, bytes of text, pages, checksum | text | a bit for each page | pages that are not zero |. */
function dumpOf(memory: Uint8Array, json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const pages = memory.length / 4096;
  const bits = new Uint8Array(pages / 8);
  const stored: Uint8Array[] = [];
  for (let page = 0; page < pages; page++) {
    const bytes = memory.subarray(page * 4096, (page + 1) * 4096);
    if (bytes.every((byte) => byte === 0)) continue;
    bits[page >>> 3]! |= 1 << (page & 7);
    stored.push(bytes);
  }
  const head = Buffer.alloc(24);
  head.write("WMPDUMP\n", 0, "latin1");
  head.writeUInt32LE(1, 8);
  head.writeUInt32LE(text.length, 12);
  head.writeUInt32LE(pages, 16);
  const body = Buffer.concat([text, bits, ...stored]);
  let hash = 0x811c9dc5;
  for (const byte of body) hash = Math.imul(hash ^ byte, 0x01000193);
  head.writeUInt32LE(hash >>> 0, 20);
  return Buffer.concat([head, body]);
}

let server: Server;
let origin: string;
let received: (report: Seen) => void;
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
  const { memory, dump } = files();
  made.set("/heap.memory", memory).set("/heap.dump", dump);
  server = createServer((request, response) => {
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (request.method === "POST") {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        response.end();
        received(JSON.parse(body) as Seen);
      });
      return;
    }
    const path = (request.url ?? "").split("?")[0]!.replace(/\/$/, "/index.html");
    const own = path.startsWith("/inspector/") && existsSync(root + path) ? readFileSync(root + path) : undefined;
    const content = made.get(path) ?? own;
    response.writeHead(content ? 200 : 404, { "Content-Type": types[extname(path)] ?? "application/octet-stream" });
    response.end(content);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => server?.close());

/** Colours of the theme and of thread 0, as in inspector/src/states.ts. */
const paper = [255, 255, 255];
const thread0 = [0x00, 0x72, 0xb2];
const free = [0xb9, 0xbf, 0xca];
const ink = [0x16, 0x19, 0x1f];

for (const { name, command, args } of browsers) {
  // On a developer's machine a browser may be missing; in CI that is a failure.
  describe.skipIf(!process.env["CI"] && !existsSync(command))(`${name}, ${command}`, () => {
    let report: Seen;
    beforeAll(async () => {
      const profile = await mkdtemp(join(tmpdir(), "wasm-mempool-browser-"));
      const answer = new Promise<Seen>((resolve) => (received = resolve));
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
      const { slabs, ...rest } = report["frames"];
      console.log(`${name}: ${JSON.stringify(report["frames"])}`);
      expect(slabs).toBeGreaterThanOrEqual(10_000);
      expect(rest[128].slabs).toBeLessThan(100);
      expect(rest[48].slabs).toBeLessThan(500);
      for (const size of [16, 48, 128]) {
        expect(rest[size].slabs).toBeGreaterThan(0);
        expect(rest[size].calls).toBeLessThan(400);
      }
    });

    test("files: a dump, a memory, and what is wrong with others", () => {
      const { names, live, fromMemory, problems } = report["dump"];
      expect(names).toEqual([["from a file", 17, 3]]);
      expect(live).toBeGreaterThanOrEqual(17);
      expect(fromMemory).toEqual([["#1", 17]]);
      expect(problems).toEqual([
        "none: this is neither a dump of a heap nor a memory with one: 0 bytes, first none",
        "text: this is neither a dump of a heap nor a memory with one: 12 bytes, first 68 65 6c 6c 6f 2c 20 77",
        expect.stringMatching(/^short: the dump is truncated: it has 5000 bytes of at least \d+$/),
        expect.stringMatching(/^flipped: the dump is damaged: its checksum is \d+, and should be \d+$/),
        "newer: the dump is of version 9; this page reads version 1",
      ]);
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
