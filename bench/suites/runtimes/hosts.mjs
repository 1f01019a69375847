/** The runtimes, and how each runs a program. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const TIMEOUT_MS = 60_000;
const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const installed = (path) => here(`../../../test/runtimes/node_modules/${path}`);
const install = "not installed: npm ci --prefix test/runtimes";

const [major] = process.versions.node.split(".");
/** Hosts that run a file. */
const programs = [
  ...["20", "22", "24", "26"].map((number) =>
    number === major
      ? { name: `Node ${number}`, path: process.execPath }
      : { name: `Node ${number}`, path: installed(`node${number}/bin/node`) },
  ),
  ...(["20", "22", "24", "26"].includes(major) ? [] : [{ name: `Node ${major}`, path: process.execPath }]),
  { name: "Bun", path: installed("@oven/bun-linux-x64/bin/bun") },
  { name: "Deno", path: installed("@deno/linux-x64-glibc/deno"), args: ["run", "--no-prompt"] },
];

/** Hosts that open an address; the first of the paths that exists is used. */
const browsers = [
  {
    name: "Chromium",
    paths: [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
    args: (profile) => [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--user-data-dir=${profile}`,
    ],
  },
  {
    name: "Firefox",
    paths: [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"],
    args: (profile) => ["--headless", "--no-remote", "--profile", profile],
  },
];

/** The hosts there are, each with a function that runs the program and gives its report; and those not run. */
export function hosts() {
  const there = [];
  const notRun = [];
  const candidates = [
    ...programs.map(({ name, path, args = [] }) => ({
      name,
      path: existsSync(path) ? path : undefined,
      why: install,
      run: (file) => runProgram(path, [...args, file]),
    })),
    ...browsers.map(({ name, paths, args }) => {
      const path = paths.find((file) => file && existsSync(file));
      return { name, path, why: "no such browser on this machine", run: (file, text) => open(path, args, text) };
    }),
  ];
  for (const { name, path, why, run: start } of candidates) {
    if (!path) {
      notRun.push({ side: name, why });
      continue;
    }
    try {
      const [version] = execFileSync(path, ["--version"], {
        encoding: "utf8",
        timeout: 20_000,
        stdio: ["ignore", "pipe", "ignore"],
      }).split("\n");
      there.push({ name, version, run: start });
    } catch (error) {
      notRun.push({ side: name, why: `does not start: ${error.message.split("\n")[0]}` });
    }
  }
  return { there, notRun };
}

async function runProgram(path, args) {
  const { stdout } = await run(path, args, { timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout);
}

/** Hosts without JavaScript, for a module: those there are, as above, and those not run. `wait`: build what is missing. */
export function nativeHosts(module, { rounds, ms, wait }) {
  const there = [];
  const notRun = [];
  const args = [module, String(rounds), String(ms)];
  const attempt = (name, why, make) => {
    try {
      there.push({ name, run: make() });
    } catch (error) {
      notRun.push({ side: name, why: error.message.startsWith("not ") ? error.message : why });
    }
  };
  attempt("wasmtime", "no python3 with the package wasmtime (PYTHON names another)", () => {
    const python = process.env.PYTHON ?? "python3";
    execFileSync(python, ["-c", "import wasmtime"], { stdio: "ignore", timeout: 20_000 });
    return () => runProgram(python, [here("wasmtime_host.py"), ...args]);
  });
  attempt("wazero", "no go command, or it cannot build bench/suites/runtimes/wazero", () => {
    const program = here("../../../build/bench/wazero");
    if (!existsSync(program) && !wait) throw new Error("not built yet: a run that is not quick builds it");
    if (wait) {
      execFileSync("go", ["build", "-o", program, "."], { cwd: here("wazero"), stdio: "ignore", timeout: 120_000 });
    }
    return () => runProgram(program, args);
  });
  return { there, notRun };
}

/** Serves a page with the program, opens it, and waits for its report. */
async function open(command, args, text) {
  let received;
  const report = new Promise((resolve) => (received = resolve));
  const server = createServer((request, response) => {
    // Browsers give an isolated page a finer clock.
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (request.method === "POST") {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        response.end();
        received(JSON.parse(body));
      });
    } else if (request.url === "/program.mjs") response.setHeader("Content-Type", "text/javascript").end(text);
    else if (request.url === "/") {
      response.setHeader("Content-Type", "text/html");
      response.end('<!doctype html><script type="module" src="/program.mjs"></script>');
    } else response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const profile = await mkdtemp(join(tmpdir(), "wasm-mempool-bench-"));
  const address = `http://127.0.0.1:${server.address().port}/`;
  // In a process group of its own, so that its helpers go with it.
  const browser = spawn(command, [...args(profile), address], { stdio: "ignore", detached: true });
  const gone = once(browser, "exit");
  let timer;
  try {
    return await Promise.race([
      report,
      gone.then(([code]) => Promise.reject(new Error(`ended with exit code ${code} and did not report`))),
      new Promise((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`did not report in ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
      }),
    ]);
  } finally {
    clearTimeout(timer);
    if (browser.exitCode === null && browser.signalCode === null) {
      process.kill(-browser.pid, "SIGKILL");
      await gone;
    }
    server.close();
    server.closeAllConnections();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
