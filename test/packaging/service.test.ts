/** The example of a Node service, from the packed package: under load, with rude clients, and at its end. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { afterEach, beforeAll, afterAll, expect, test } from "vitest";
import { installExamples } from "../examples.ts";
import type { Installed } from "./install.ts";

let installed: Installed;
beforeAll(async () => void (installed = await installExamples(["service"])));
afterAll(() => installed?.remove());

const BUFFERS = 16;
const WAITERS = 64;
const body = Buffer.from("a body");
const sha = (bytes: Buffer): string => `${createHash("sha256").update(bytes).digest("hex")}\n`;

class Service {
  readonly #process: ChildProcess;
  readonly exit: Promise<unknown[]>;
  port = 0;
  output = "";

  constructor() {
    this.#process = spawn(process.execPath, ["service/service.mjs"], {
      cwd: installed.dir,
      env: { ...process.env, PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.exit = once(this.#process, "exit");
    this.#process.stdout!.on("data", (text) => (this.output += text));
  }

  static async start(): Promise<Service> {
    const service = new Service();
    while (!service.output.includes("\n")) await once(service.#process.stdout!, "data");
    service.port = Number(/listening on (\d+)/.exec(service.output)![1]);
    running.push(service);
    return service;
  }

  /** A request whose body comes later. */
  open(path = "/"): { request: ClientRequest; answer: Promise<{ status: number; text: string }> } {
    const opened = request({ port: this.port, path, method: "POST", agent: false });
    const answer = (async () => {
      const [response] = (await once(opened, "response")) as [IncomingMessage];
      let text = "";
      for await (const chunk of response) text += chunk;
      return { status: response.statusCode!, text };
    })();
    answer.catch(() => {});
    opened.flushHeaders();
    return { request: opened, answer };
  }

  send(bytes: Buffer, path?: string): Promise<{ status: number; text: string }> {
    const { request: opened, answer } = this.open(path);
    opened.end(bytes);
    return answer;
  }

  /** Uploads, while all buffers are busy, of which all beyond the waiters are refused at once; returns the others. */
  async crowd(count: number): Promise<ReturnType<Service["open"]>[]> {
    const refused = new Set<number>();
    const all = Array.from({ length: count }, () => this.open());
    await new Promise<void>((resolve) => {
      for (const [i, { request: each, answer }] of all.entries()) {
        each.end(body);
        void answer.then(
          ({ status, text }) => {
            if (refused.size === count - WAITERS) return;
            expect([status, text]).toEqual([
              503,
              expect.stringContaining("64 calls wait already: that is its maxWaiters"),
            ]);
            if (refused.add(i).size === count - WAITERS) resolve();
          },
          () => {},
        );
      }
    });
    return all.filter((_, i) => !refused.has(i));
  }

  async metric(name: string): Promise<number> {
    const { text } = await this.send(Buffer.alloc(0), "/metrics");
    return Number(new RegExp(`^${name}\\{pool="buffers".*\\} (\\d+)$`, "m").exec(text)?.[1]);
  }

  async until(name: string, value: number): Promise<void> {
    while ((await this.metric(name)) !== value);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }
}
const running: Service[] = [];
afterEach(() => running.splice(0).forEach((service) => service.signal("SIGKILL")));

test("answers with the sum of a body, and refuses one that is too large", async () => {
  const service = await Service.start();
  expect(await service.send(body)).toEqual({ status: 200, text: sha(body) });
  const largest = Buffer.alloc(2 ** 18, 7);
  expect(await service.send(largest)).toEqual({ status: 200, text: sha(largest) });
  expect(await service.send(Buffer.alloc(2 ** 18 + 1))).toEqual({
    status: 413,
    text: "262145 bytes, of 262144 at most\n",
  });
  expect(await service.metric("wasm_mempool_pool_outstanding")).toBe(0);
});

test("uploads beyond the buffers wait, those beyond the waiters are refused, and all that were taken are answered", async () => {
  const service = await Service.start();
  const busy = Array.from({ length: BUFFERS }, () => service.open());
  await service.until("wasm_mempool_pool_outstanding", BUFFERS);
  const crowd = await service.crowd(WAITERS + 20);
  for (const { request: each } of busy) each.end(body);
  for (const { answer } of [...busy, ...crowd]) expect(await answer).toEqual({ status: 200, text: sha(body) });
  expect(await service.metric("wasm_mempool_pool_outstanding")).toBe(0);
});

test("a client that goes away gives its buffer back, and its place in line", async () => {
  const service = await Service.start();
  const rude = Array.from({ length: BUFFERS + 10 }, () => service.open());
  await service.until("wasm_mempool_pool_outstanding", BUFFERS);
  for (const { request: each } of rude) each.on("error", () => {}).destroy();
  await service.until("wasm_mempool_pool_outstanding", 0);
  expect(await service.send(body)).toEqual({ status: 200, text: sha(body) });
});

test("SIGTERM: those that have a buffer finish, those in line get 503, and the process ends with 0", async () => {
  const service = await Service.start();
  const busy = Array.from({ length: BUFFERS }, () => service.open());
  await service.until("wasm_mempool_pool_outstanding", BUFFERS);
  const crowd = await service.crowd(WAITERS + 1);
  service.signal("SIGTERM");
  for (const { answer } of crowd) {
    expect(await answer).toEqual({ status: 503, text: 'ERR_CLOSED: allocAsync: pool "buffers" is closed\n' });
  }
  for (const { request: each } of busy) each.end(body);
  for (const { answer } of busy) expect(await answer).toEqual({ status: 200, text: sha(body) });
  expect(await service.exit).toEqual([0, null]);
  expect(service.output).toContain("closed; 0 buffers outstanding");
});
