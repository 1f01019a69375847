/**
 * `trace` in the tools of Chromium: a recording of the performance panel has its entries, as its custom tracks want them. The
 * browser records as the panel does, by the DevTools protocol.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { browsers, isSkipped, Pages } from "./browsers.ts";

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly value?: readonly Recorded[] };
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** An event of a recording. */
interface Recorded {
  readonly cat: string;
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly id2?: { readonly local: string };
  readonly args: { readonly detail?: string };
}

/** The DevTools protocol over a pair of pipes: messages of JSON, each with a zero byte behind it. */
class Tools {
  readonly #out: Writable;
  readonly #calls = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  readonly #listeners = new Map<string, (params: Message["params"]) => void>();
  #last = 0;

  constructor(out: Writable, input: Readable) {
    this.#out = out;
    let text = "";
    input.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (text + chunk).split("\0");
      text = parts.pop()!;
      for (const part of parts) this.#take(JSON.parse(part) as Message);
    });
  }

  #take({ id, method, params, result, error }: Message): void {
    if (id === undefined) this.#listeners.get(method!)?.(params);
    else if (error) this.#calls.get(id)?.reject(new Error(error.message));
    else this.#calls.get(id)?.resolve(result);
  }

  on(method: string, listener: (params: Message["params"]) => void): void {
    this.#listeners.set(method, listener);
  }

  call(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#last;
    this.#out.write(`${JSON.stringify({ id, method, params })}\0`);
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
  }
}

const browser = browsers.find(({ name }) => name === "Chromium")!;

describe.skipIf(isSkipped(browser))("a recording of Chromium's performance panel", () => {
  const recorded: Recorded[] = [];
  let told: { events: string[]; left: number };

  beforeAll(async () => {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL("trace-page.mjs", import.meta.url))],
      bundle: true,
      format: "esm",
      target: "es2022",
      write: false,
    });
    const pages = new Pages<typeof told>((request, response) => {
      const isScript = request.url === "/page.js";
      response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" });
      response.end(isScript ? outputFiles[0]!.text : '<!doctype html><script type="module" src="/page.js"></script>');
    });
    const profile = await mkdtemp(join(tmpdir(), "wasm-mempool-browser-"));
    const child = spawn(browser.command, ["--remote-debugging-pipe", ...browser.args(profile), "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      detached: true,
    });
    try {
      const tools = new Tools(child.stdio[3] as Writable, child.stdio[4] as Readable);
      tools.on("Tracing.dataCollected", (params) => void recorded.push(...params!.value!));
      const complete = new Promise<void>((resolve) => tools.on("Tracing.tracingComplete", () => resolve()));
      const includedCategories = ["blink.user_timing", "devtools.timeline"];
      await tools.call("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories } });
      const reported = pages.received();
      await tools.call("Target.createTarget", { url: await pages.origin() });
      told = await reported;
      await tools.call("Tracing.end");
      await complete;
    } finally {
      const gone = once(child, "exit");
      process.kill(-child.pid!, "SIGKILL");
      await gone;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      pages.close();
    }
  });

  /** What the panel makes custom tracks of: the beginnings of measures with such a detail. */
  const entries = () =>
    recorded
      .filter(({ cat, ph, args }) => cat === "blink.user_timing" && ph === "b" && args.detail !== undefined)
      .map(({ name, ts, id2, args }) => {
        const { devtools, event } = JSON.parse(args.detail!) as {
          devtools: { track: string; color: string };
          event: { kind: string };
        };
        const end = recorded.find((each) => each.ph === "e" && each.id2?.local === id2?.local && each.name === name);
        return { name, devtools, kind: event.kind, ms: (end!.ts - ts) / 1000 };
      });

  test("has an entry for each event, on the track of its pool", () => {
    const found = entries().map(({ kind, devtools: { track } }) => `${kind} ${track === "heap" ? undefined : track}`);
    expect([...new Set(found)].toSorted()).toEqual([...new Set(told.events)].toSorted());
    for (const each of ["growth undefined", "slabs frames", "reserve jobs", "failure jobs", "wait jobs"]) {
      expect(found).toContain(each);
    }
  });

  test("has what a custom track needs of each entry", () => {
    const colors = ["primary", "secondary", "tertiary"].flatMap((each) => [each, `${each}-light`, `${each}-dark`]);
    for (const { name, devtools } of entries()) {
      expect(devtools).toMatchObject({ dataType: "track-entry", trackGroup: "wasm-mempool", tooltipText: name });
      expect([...colors, "error"]).toContain(devtools.color);
    }
  });

  test("has waits as long as they were, with their endings", () => {
    const waits = entries().filter(({ kind }) => kind === "wait");
    expect(waits.map(({ name }) => name)).toEqual(["wait: timeout", "wait: served"]);
    for (const { ms } of waits) expect(ms).toBeGreaterThan(10);
  });

  test("leaves nothing in the page's timeline", () => {
    expect(told.left).toBe(0);
  });
});
