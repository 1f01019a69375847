// Writes docs/pictures: the demo of the page in inspector/, the playground, and the examples, by a headless Chromium.
import { createReadStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { build } from "vite";
import { withChromium } from "./chromium.mjs";
import { root } from "./compile.mjs";
import { shrink } from "./png.mjs";

const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** Milliseconds that an example has before its picture: real ones, since workers know of no virtual time. */
const HOLD_MS = 8000;

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/hold") return setTimeout(() => response.writeHead(204).end(), HOLD_MS);
  const file = join(root, path);
  if (!/^\/(inspector|playground|build\/examples)\/[\w./-]+$/.test(path) || !existsSync(file)) {
    return response.writeHead(404).end();
  }
  response.writeHead(200, {
    "Content-Type": types[extname(path)] ?? "text/plain",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  });
  createReadStream(file).pipe(response);
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

mkdirSync(join(root, "docs/pictures"), { recursive: true });
const themes = ["light", "dark"];
const doing = ["Allocate", "Reshape", "Allocate", "Hoard", "Double free"].map((title) => `do=${title}`).join("&");
const pictures = [
  ...[
    ["light", "theme=light"],
    ["dark", "theme=dark"],
    ["table", "theme=light&table"],
  ].map(([name, more]) => [
    `inspector-${name}`,
    `inspector/index.html?demo&steps=60&select=1&size=96&hold&${more}`,
    "1280,760",
  ]),
  ...themes.map((theme) => [`playground-${theme}`, `playground/index.html?${doing}&theme=${theme}`, "1280,760"]),
  ...["fireworks", "tiles", "synth"].map((name) => [
    `example-${name}`,
    `build/examples/${name}/index.html`,
    "1064,740",
  ]),
];
for (const name of ["fireworks", "tiles", "synth"]) {
  await build({
    root: join(root, "examples", name),
    base: `/build/examples/${name}/`,
    configFile: false,
    logLevel: "warn",
    build: { outDir: join(root, "build/examples", name), emptyOutDir: true },
    worker: { format: "es" },
  });
}
/** What a user does before the picture. */
const users = {
  fireworks: "",
  tiles: 'setTimeout(() => document.getElementById("kill").click(), 1000);',
  // In a context that needs no sound device.
  synth: `AudioContext = class extends OfflineAudioContext {
      constructor({ sampleRate }) { super(1, sampleRate / 4, sampleRate); }
      resume() { return this.startRendering(); }
    };
    for (const n of [0, 2, 4, 7]) document.getElementById("keys").children[n].click();`,
};
for (const [name, script] of Object.entries(users)) {
  const page = join(root, "build/examples", name, "index.html");
  // Chromium takes its picture once all images have come.
  const added = `<img src="/hold" hidden><script type="module">${script}</script></body>`;
  writeFileSync(page, readFileSync(page, "utf8").replace("</body>", added));
}
await withChromium(async (picture) => {
  for (const [name, path, size] of pictures) {
    const file = join(root, `docs/pictures/${name}.png`);
    const more = name.startsWith("example") ? [] : ["--virtual-time-budget=8000"];
    await picture(`http://127.0.0.1:${server.address().port}/${path}`, file, size, ...more);
    writeFileSync(file, shrink(readFileSync(file)));
  }
});
server.close();
