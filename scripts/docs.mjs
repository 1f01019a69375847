// Builds the site of docs/ into docs/.vitepress/dist, without a network: the API by TypeDoc, the ABI of include/, all tables of
// bench/results, then VitePress, which refuses dead links. --serve serves it, with the headers that the playground needs.
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { parseArgs } from "node:util";
import { Application } from "typedoc";
import { build } from "vitepress";
import { fullPage } from "../bench/report/full.mjs";
import { plotsOf } from "../bench/report/plotted.mjs";
import { load } from "../bench/report/report.mjs";
import { root } from "./compile.mjs";

const generated = join(root, "docs/generated");
export const site = join(root, "docs/.vitepress/dist");

/** Each entry point, and its page: TypeDoc would make folders of "wasm-mempool/inspect". */
const entries = {
  "src/index.ts": ["wasm-mempool", "Heaps, pools, arenas, structs, threads, waiting."],
  "src/inspect.ts": ["inspect", "Who holds memory, dumps, metrics; and what `stats`, `check` and `table` need."],
  "src/inspector.ts": ["inspector", "Shows a running program's heaps to the page that draws them."],
  "src/backend.ts": ["backend", "Pools over a backend of your own: import it for its effect."],
  "src/debug.ts": ["debug", "Debug heaps, which find writes past an element's end and after its free."],
  "src/testing/faults.ts": ["testing", "Memory that is refused on purpose."],
};

async function api() {
  const app = await Application.bootstrapWithPlugins({
    entryPoints: Object.keys(entries).map((path) => join(root, path)),
    tsconfig: join(root, "tsconfig.build.json"),
    plugin: ["typedoc-plugin-markdown", "typedoc-vitepress-theme"],
    out: join(root, "docs/api"),
    docsRoot: root,
    readme: "none",
    name: "API",
    excludeInternal: true,
    excludePrivate: true,
    disableSources: true,
    hideBreadcrumbs: true,
    hidePageHeader: true,
    logLevel: "Warn",
  });
  const project = await app.convert();
  if (!project) throw new Error("TypeDoc made no API");
  for (const module of project.children ?? []) {
    const entry = Object.entries(entries).find(([path]) => path.slice(4, -3) === module.name);
    if (entry) module.name = entry[1][0];
  }
  await app.generateOutputs(project);
  const rows = Object.values(entries).map(
    ([name, what]) =>
      `| [\`${name === "wasm-mempool" ? name : `wasm-mempool/${name}`}\`](${name}/index.md) | ${what} |`,
  );
  const index = ["# API", ["| import from | has |", "| --- | --- |", ...rows].join("\n")];
  writeFileSync(join(root, "docs/api/index.md"), `${index.join("\n\n")}\n`);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error("TypeDoc has warnings");
}

/** A page for each header: what its first comment says, and the header. */
function abi() {
  const folder = join(generated, "abi");
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(join(root, "include"))) {
    const text = readFileSync(join(root, "include", file), "utf8");
    const page = [
      `# ${file}`,
      "The header is the reference, for C, for C++, and for hosts of any language.",
      `\`\`\`c\n${text}\`\`\``,
    ];
    writeFileSync(join(folder, file.replace(/\.h$/, ".md")), `${page.join("\n\n")}\n`);
  }
}

function benchmarks() {
  const folder = join(generated, "benchmarks");
  mkdirSync(folder, { recursive: true });
  const results = load();
  const plots = new Map(results.map((result) => [result.suite, plotsOf(result)]));
  writeFileSync(join(folder, "tables.md"), `${fullPage(results, plots)}\n`);
  for (const { file, text } of [...plots.values()].flat()) writeFileSync(join(folder, file), text);
}

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

/** A server of the built site, as a static host would be. */
export function serve(port = 0) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = decodeURIComponent(pathname);
    const file = [path, `${path}.html`, join(path, "index.html")]
      .map((each) => join(site, each))
      .find((each) => each.startsWith(site) && existsSync(each) && statSync(each).isFile());
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, {
      "Content-Type": types[extname(file)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    createReadStream(file).pipe(response);
  }).listen(port, "127.0.0.1");
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { serve: { type: "boolean" } } });
  for (const folder of [generated, join(root, "docs/api"), site]) rmSync(folder, { recursive: true, force: true });
  await api();
  abi();
  benchmarks();
  await build(join(root, "docs"));
  // The head of the first page names them by address.
  cpSync(join(root, "docs/pictures"), join(site, "pictures"), { recursive: true });
  for (const name of ["index.html", "page.css", "page.js"])
    cpSync(join(root, "playground", name), join(site, "playground", name));
  if (values.serve) serve(8080).once("listening", () => console.log("http://127.0.0.1:8080/"));
}
