/**
 * Real browsers: a browser is a command that opens an address, and the page reports by a POST to the server it came from, so
 * that no driver stands between.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Browser {
  readonly name: string;
  readonly command: string;
  /** In the agent of its pages. */
  readonly agent: RegExp;
  readonly args: (profile: string) => string[];
}

const chromium =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

export const browsers: readonly Browser[] = [
  {
    name: "Chromium",
    command: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    agent: /Chrome\//,
    args: (profile) => [...chromium.split(" "), `--user-data-dir=${profile}`],
  },
  {
    name: "Firefox",
    command: process.env["FIREFOX"] ?? "/usr/bin/firefox-esr",
    agent: /Firefox\//,
    args: (profile) => ["--headless", "--no-remote", "--profile", profile],
  },
];

/** Milliseconds in which a page reports, also on a machine that is busy and stalls. */
const LATE = 400_000;

/** On a developer's machine a browser may be missing; in CI that is a failure. */
export const isSkipped = ({ command }: Browser): boolean => !process.env["CI"] && !existsSync(command);

/** A server whose pages report: `answer` answers every request but their POST. `headers` are those of all answers. */
export class Pages<Report> {
  readonly #server;
  #received: ((report: Report) => void) | undefined;

  constructor(
    answer: (request: IncomingMessage, response: ServerResponse) => void,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#server = createServer((request, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      if (request.method !== "POST") return answer(request, response);
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        response.end();
        this.#received?.(JSON.parse(body) as Report);
      });
    }).listen(0, "127.0.0.1");
  }

  async origin(): Promise<string> {
    if (!this.#server.listening) await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#server.close();
  }

  /** What a page reports next. */
  received(): Promise<Report> {
    return new Promise((resolve) => (this.#received = resolve));
  }

  /** Opens the first page in a browser, with a profile of its own, and returns what the page reports. */
  async open({ command, args }: Browser, ...more: string[]): Promise<Report> {
    const profile = await mkdtemp(join(tmpdir(), "wasm-mempool-browser-"));
    const report = this.received();
    // In a process group of its own, so that its helpers go with it.
    const browser: ChildProcess = spawn(command, [...more, ...args(profile), await this.origin()], {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
    });
    let words = "";
    browser.stderr!.on("data", (chunk) => (words += chunk));
    const gone = once(browser, "exit");
    let timer: NodeJS.Timeout | undefined;
    try {
      return await Promise.race([
        report,
        gone.then(([code]) => Promise.reject(new Error(`${command} ended with ${code}:\n${words}`))),
        new Promise<never>((_resolve, reject) => {
          const late = (): void => reject(new Error(`${command}: no report in ${LATE} ms:\n${words}`));
          timer = setTimeout(late, LATE);
        }),
      ]);
    } finally {
      clearTimeout(timer);
      if (browser.exitCode === null) {
        process.kill(-browser.pid!, "SIGKILL");
        await gone;
      }
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/** The headers of an isolated page, which may share memory. */
export const isolated: Readonly<Record<string, string>> = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
