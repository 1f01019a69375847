/** Runs the samples of docs/memory-trouble.md: their text blocks are what they print. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
export const document: string = join(root, "docs/memory-trouble.md");

export interface Sample {
  /** The heading above it. */
  readonly title: string;
  readonly code: string;
  /** Run after the code, by a shell. */
  readonly command: string | undefined;
  /** What it prints, as the document says; undefined if the document does not show it. */
  readonly output: string | undefined;
}

export function samplesIn(text: string): Sample[] {
  const found: Sample[] = [];
  for (const section of text.split(/^## /m).slice(1)) {
    const block = /```js\n([^]*?)```\n(?:\n```sh\n([^]*?)```\n)?(?:\n```text\n([^]*?)```\n)?/g;
    for (const [, code, command, output] of section.matchAll(block)) {
      found.push({ title: section.slice(0, section.indexOf("\n")), code: code!, command, output });
    }
  }
  return found;
}

/** What the sample prints. Inside the project, so that the package finds itself by its name. */
export async function run({ code, command }: Sample): Promise<string> {
  const folder = mkdtempSync(join(root, "build", "trouble-"));
  try {
    writeFileSync(join(folder, "sample.mjs"), code);
    let output = await printed(folder, ["sample.mjs"]);
    if (command !== undefined) {
      const [npx, bin, ...args] = command.trim().split(" ");
      if (npx !== "npx" || bin !== "wasm-mempool") throw new Error(`cannot run ${command}`);
      output += await printed(folder, [join(root, "bin/wasm-mempool.mjs"), ...args]);
    }
    return settle(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As the document shows it: without blank lines at the end, on another day, and in another folder. */
const settle = (output: string): string =>
  `${output.trimEnd()}\n`
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "2030-01-02T03:04:05.678Z")
    .replaceAll(/file:\S*\/sample\.mjs/g, "file:///app/sample.mjs");

function printed(cwd: string, args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, args, { cwd, env: { ...process.env, NO_COLOR: "1" } });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => void (out += data));
  child.stderr.on("data", (data) => void (err += data));
  return new Promise((resolve, reject) => {
    child.on("close", (status) => (status === 0 && err === "" ? resolve(out) : reject(new Error(`${status}: ${err}`))));
  });
}

/** Writes what the samples print into the document: `npx tsx test/outside/trouble.ts`. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let text = readFileSync(document, "utf8");
  for (const sample of samplesIn(text)) {
    const { code, output } = sample;
    if (output === undefined) continue;
    const now = await run(sample);
    const at = text.indexOf("```text\n", text.indexOf(code)) + 8;
    text = text.slice(0, at) + now + text.slice(at + output.length);
  }
  writeFileSync(document, text);
}
