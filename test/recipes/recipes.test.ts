/**
 * Each page of docs/recipes, as a reader follows it: its files in an empty folder beside the packed package, its commands in
 * their order, and what they print or the page shows. `npm run test:wider` installs the tools that the pages name.
 *
 * A block whose first line is a comment with a path is a file. The last commands of a page may be servers: a browser opens
 * what they serve, through a proxy that keeps their headers and has the page report its `<output>`.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browsers, isSkipped, Pages } from "../browser/browsers.ts";
import { blocksOf, pages, read, root } from "../docs/pages.ts";
import { packAndInstall, run, type Installed } from "../packaging/install.ts";

const here = join(root, "test/recipes");
const chromium = browsers[0]!;

/** Where the commands' tools are: the nearest first. */
const path = [
  join(here, "node_modules/.bin"),
  join(root, "node_modules/.bin"),
  join(root, "test/runtimes/node_modules/@oven/bun-linux-x64/bin"),
  join(root, "test/runtimes/node_modules/@deno/linux-x64-glibc"),
  dirname(process.execPath),
  process.env["PATH"],
].join(delimiter);
const env = {
  ...process.env,
  PATH: path,
  NEXT_TELEMETRY_DISABLED: "1",
  CI: "1",
  NODE_ENV: undefined,
  VITEST: undefined,
};

const isInstall = (line: string): boolean => /^(npm install|bun add|deno add) /.test(line);
const isServer = (line: string): boolean => / (preview|serve|start)$|^node (server|express)\.mjs$/.test(line);

interface Recipe {
  readonly page: string;
  readonly files: readonly { readonly name: string; readonly code: string }[];
  /** With what each prints, where the page says it. */
  readonly commands: readonly { readonly line: string; readonly prints?: string }[];
  /** What the page in the browser shows. */
  readonly shows: string | undefined;
}

const naming = /^(?:\/\/|<!--) ([\w./-]+\.\w+)(?: -->)?\n/;

function recipeOf(page: string): Recipe {
  const files: { name: string; code: string }[] = [];
  const commands: { line: string; prints?: string }[] = [];
  for (const { language, code } of blocksOf(page)) {
    const name = naming.exec(code)?.[1];
    if (name) files.push({ name, code: language === "html" ? code.replace(naming, "") : code });
    else if (language === "sh") {
      for (const line of code.trim().split("\n")) if (!isInstall(line)) commands.push({ line });
    } else if (language === "text" && commands.length > 0) commands.at(-1)!.prints ??= code;
  }
  return { page, files, commands, shows: /The page shows `([^`]+)`/.exec(read(page))?.[1] };
}

/** Those of pages that are no recipes, but have links to them. */
const recipes = pages.filter((page) => page.startsWith("docs/recipes/") && !page.endsWith("index.md")).map(recipeOf);

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
});
afterAll(() => installed?.remove());

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** The files in a folder that has the package, and nothing else. Its parents have the tools. */
async function folderOf({ page, files }: Recipe, port: number): Promise<string> {
  const folder = join(here, "build", page.replace(/.*\/(.*)\.md$/, "$1"));
  rmSync(folder, { recursive: true, force: true });
  const own = join(folder, "node_modules/wasm-mempool");
  mkdirSync(own, { recursive: true });
  await run(folder, "tar", "-xzf", installed.tarball, "-C", own, "--strip-components=1");
  const manifest = { name: "recipe", private: true, type: "module", dependencies: { "wasm-mempool": "*" } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  // Without one, tools would find the repository's.
  writeFileSync(join(folder, "vite.config.js"), "export default {};");
  for (const { name, code } of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), code.replace(/listen\(\d+\)/, `listen(${port})`));
  }
  return folder;
}

/** Reports the text of the page's `<output>`, once there is some. */
const reporter = `<script type="module">
  const timer = setInterval(() => {
    const text = document.querySelector("output")?.textContent;
    if (!text) return;
    clearInterval(timer);
    fetch("/", { method: "POST", body: JSON.stringify(text) });
  }, 50);
  const fails = (event) => fetch("/", { method: "POST", body: JSON.stringify(String(event.message ?? event.reason)) });
  addEventListener("error", fails);
  addEventListener("unhandledrejection", fails);
</script>`;

async function forward(port: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const answer = await fetch(`http://localhost:${port}${request.url}`);
    for (const name of ["content-type", "cross-origin-opener-policy", "cross-origin-embedder-policy"]) {
      const value = answer.headers.get(name);
      if (value) response.setHeader(name, value);
    }
    const isPage = answer.headers.get("content-type")?.startsWith("text/html");
    const body = Buffer.from(await answer.arrayBuffer());
    response.writeHead(answer.status).end(isPage ? Buffer.concat([body, Buffer.from(reporter)]) : body);
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
}

/** What the page of a server shows. */
async function shown(folder: string, line: string, port: number): Promise<string> {
  const isNode = line.startsWith("node ");
  const [command, ...args] = line.replace(/^npx /, "").split(" ");
  const more = isNode ? [] : ["--port", String(port)];
  const server: ChildProcess = spawn(command!, [...args, ...more], { cwd: folder, env, detached: true });
  let said = "";
  for (const stream of [server.stdout!, server.stderr!]) stream.on("data", (chunk) => (said += chunk));
  const proxy = new Pages<string>((request, response) => void forward(port, request, response));
  try {
    for (let ready = false, i = 0; !ready && i < 1200; i++) {
      if (server.exitCode !== null) throw new Error(`${line} ended with ${server.exitCode}:\n${said}`);
      ready = await fetch(`http://localhost:${port}/`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (!ready) await sleep(100);
    }
    return await proxy.open(chromium).catch((error: unknown) => {
      throw new Error(`${line}: ${String(error)}\n${said}`);
    });
  } finally {
    proxy.close();
    if (server.exitCode === null) process.kill(-server.pid!, "SIGKILL");
  }
}

const needs = (line: string): string => line.replace(/^npx /, "").split(" ")[0]!;
const isThere = (name: string): boolean => path.split(delimiter).some((folder) => existsSync(join(folder, name)));

test.each(recipes.map((recipe) => [recipe.page, recipe] as const))("%s", async (_page, recipe) => {
  const port = await freePort();
  const folder = await folderOf(recipe, port);
  expect(recipe.commands.length).toBeGreaterThan(0);
  for (const { line, prints } of recipe.commands) {
    // Without the tools of test/recipes, or a browser, a developer's run leaves these out; CI's fails.
    if (!isThere(needs(line)) && !process.env["CI"]) continue;
    if (isServer(line)) {
      if (!isSkipped(chromium)) expect(await shown(folder, line, port), line).toBe(recipe.shows);
      continue;
    }
    const [command, ...args] = line.replace(/^npx /, "").split(" ");
    const { status, stdout, stderr } = spawnSync(command!, args, {
      cwd: folder,
      env,
      encoding: "utf8",
      timeout: 400_000,
    });
    expect(status, `${line}\n${stdout}\n${stderr}`).toBe(0);
    if (prints !== undefined) expect(stdout).toBe(prints);
  }
});

test("each server of a recipe has a page to show", () => {
  for (const { page, commands, shows } of recipes) {
    expect([page, shows !== undefined]).toEqual([page, commands.some(({ line }) => isServer(line))]);
  }
});
