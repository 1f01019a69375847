#!/usr/bin/env node
// npx wasm-mempool inspect FILE: what is in a heap, by a dump of it or by the memory of any program.
// npx wasm-mempool structs FILE: structs in other languages.
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { declare, DeclarationError, languages } from "./structs.mjs";

const usage = `wasm-mempool inspect FILE: what is in a heap
wasm-mempool structs FILE: structs in C, Rust, Zig and AssemblyScript

inspect: FILE is what dump(heap) of "wasm-mempool/inspect" gave, or the raw memory of a program from address 0 on, of this or any
other host; either may be compressed by gzip. "-" is standard input.

  --address N   where the heap begins in a raw memory, e.g. 0x10000; without it, the first heap that is found
  --all         every column of the table of pools, however wide
  --json        the same as JSON, with every figure
  --help        this text
  --version     the version of the package

Prints the pools, a map of the memory, what is outstanding by the place that allocated it (in a debug heap, else by pool and
thread), and what is inconsistent. Colours the map on a terminal, unless NO_COLOR is set; FORCE_COLOR colours it anywhere.

Ends with 0 if the heap is sound, 1 if it is damaged, 2 if the arguments or the file are wrong.

structs: FILE is a module of JavaScript that exports struct()s; of TypeScript, where Node runs that. Writes NAME.h, NAME.rs,
NAME.zig and NAME.as.ts beside it, for wasm32. Each asserts sizes and offsets as it is compiled.

  --language L  prints one language instead: c, rust, zig or assemblyscript
  --out FOLDER  writes there

Ends with 0, or 2 if the arguments or the file are wrong.
`;

class UsageError extends Error {}

/** @returns {import("node:util").ParsedResults<any>} */
function parse() {
  const options = {
    address: { type: "string" },
    all: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    language: { type: "string" },
    out: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
    version: { type: "boolean", default: false },
  };
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function addressOf(text) {
  if (text === undefined) return undefined;
  const address = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : NaN;
  if (!(address > 0 && address < 2 ** 32))
    throw new UsageError(`--address must be an address such as 0x400, got ${text}`);
  return address;
}

function bytesOf(file) {
  let bytes;
  try {
    bytes = readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw new UsageError(error.code === "ENOENT" ? `there is no file ${file}` : error.message);
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw new UsageError(`${file} is compressed by gzip, but damaged: ${error.message}`);
  }
}

function read(lib, file, address) {
  const bytes = bytesOf(file);
  try {
    if (!lib.isDump(bytes)) return lib.readMemory(bytes, { ...(address !== undefined && { address }) });
    if (address !== undefined) throw new UsageError("--address is for a raw memory; a dump knows its heap's address");
    return lib.readDump(bytes);
  } catch (error) {
    if (!String(error.code).startsWith("ERR_")) throw error;
    const what = error.message.replace(/^ERR_\w+: \w+: /, "").replace(/^bytes are /, "");
    throw new UsageError(`${file}: ${what}`);
  }
}

/** A part of the output; of a heap that is too damaged for it, why there is none. */
function part(make) {
  try {
    return make();
  } catch (error) {
    if (error.code !== "ERR_INVALID_ARGUMENT") throw error;
    return `${error.message.replace("ERR_INVALID_ARGUMENT: ", "")}\n`;
  }
}

const isColored = () => {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  if (NO_COLOR) return false;
  return FORCE_COLOR ? FORCE_COLOR !== "0" : process.stdout.isTTY === true;
};

function textOf(image, file, all) {
  const kind = image.isShared ? "a heap of several threads" : "a heap of one thread";
  const when = image.date === undefined ? "" : `, dumped ${image.date}`;
  const problems = image.check();
  const columns = process.stdout.isTTY ? process.stdout.columns : 80;
  const width = Math.max(16, Math.min(128, (columns - 16) & ~15));
  return [
    `${file}: ${kind} at 0x${image.address.toString(16)}, in a memory of ${image.bytes} bytes${when}\n`,
    part(() => image.table({ all })),
    part(() => image.map({ width, color: isColored() })),
    part(() => `${image.leakReport()}`),
    problems.length === 0
      ? "check: the heap is sound\n"
      : `check: the heap is damaged\n${problems.map((each) => `  ${each}\n`).join("")}`,
  ].join("\n");
}

/** JSON has no Infinity: null is no limit. */
const finite = (_key, value) => (value === Infinity ? null : value);

function jsonOf(image, file) {
  const { date, address, isShared, bytes } = image;
  const problems = image.check();
  const found = {
    file,
    date,
    address,
    isShared,
    bytes,
    problems,
    heap: part(() => image.stats()),
    pools: part(() => image.pools()),
    outstanding: part(() => ({ ...image.leakReport() })),
  };
  return `${JSON.stringify(found, finite, 2)}\n`;
}

async function main() {
  const { values, positionals } = parse();
  if (values.help) return process.stdout.write(usage);
  if (values.version) {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    return process.stdout.write(`${version}\n`);
  }
  const [command, file, ...more] = positionals;
  if (!Object.hasOwn(commands, command ?? "")) {
    const known = Object.keys(commands).join(" or ");
    throw new UsageError(command ? `there is no command ${command}` : `needs a command: ${known}`);
  }
  if (file === undefined || more.length > 0)
    throw new UsageError(`${command} needs one FILE, got ${positionals.length - 1}`);
  for (const name of Object.keys(values)) {
    if (values[name] && !commands[command].options.includes(name))
      throw new UsageError(`${command} takes no --${name}`);
  }
  await commands[command].run(file, values);
}

async function inspect(file, values) {
  const address = addressOf(values.address);
  const image = read((await import("../dist/debug.js"), await import("../dist/inspect.js")), file, address);
  process.stdout.write(values.json ? jsonOf(image, file) : textOf(image, file, values.all));
  process.exitCode = image.check().length > 0 ? 1 : 0;
}

async function structs(file, { language, out }) {
  if (language !== undefined && !Object.hasOwn(languages, language)) {
    throw new UsageError(`--language must be one of ${Object.keys(languages).join(", ")}, got ${language}`);
  }
  if (language !== undefined && out !== undefined) throw new UsageError("--language prints, and takes no --out");
  let exported;
  try {
    exported = await import(pathToFileURL(resolve(file)).href);
  } catch (error) {
    throw new UsageError(`${file} cannot be imported: ${error.message}`);
  }
  try {
    if (language !== undefined) return void process.stdout.write(declare(language, exported, basename(file)));
    const stem = join(out ?? dirname(file), basename(file, extname(file)));
    const texts = Object.entries(languages).map(([name, { suffix }]) => [
      `${stem}${suffix}`,
      declare(name, exported, basename(file)),
    ]);
    for (const [path, text] of texts) writeFileSync(path, text);
    process.stdout.write(texts.map(([path]) => `${path}\n`).join(""));
  } catch (error) {
    if (!(error instanceof DeclarationError) && error.code !== "ENOENT") throw error;
    throw new UsageError(error.code ? error.message : `${file}: ${error.message}`);
  }
}

const commands = {
  inspect: { run: inspect, options: ["address", "all", "json"] },
  structs: { run: structs, options: ["language", "out"] },
};

// A reader such as `head` may stop reading.
process.stdout.on("error", (error) => {
  if (error.code !== "EPIPE") throw error;
});
try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`wasm-mempool: ${error.message}\nSee wasm-mempool --help.\n`);
  process.exitCode = 2;
}
