/** What the tests of guests share: compilers that may be missing, programs run in Node, and the READMEs' samples. */
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));
export const guests: string = fileURLToPath(new URL(".", import.meta.url));

/** A test that needs a tool is skipped without it, but not in CI. */
export const isSkipped = (available: boolean): boolean => !available && !process.env["CI"];
export const has = (tool: string, ...args: string[]): boolean => spawnSync(tool, args).status === 0;

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, whatever that is. */
export async function outcome(
  cwd: string,
  environment: NodeJS.ProcessEnv,
  [command, ...args]: readonly [string, ...string[]],
): Promise<Outcome> {
  try {
    const options = { cwd, env: { ...process.env, ...environment }, maxBuffer: 2 ** 26 };
    const { stdout, stderr } = await promisify(execFile)(command, args, options);
    return { code: 0, stdout, stderr };
  } catch (cause) {
    const { code, stdout, stderr, message } = cause as Error & Outcome;
    return { code: typeof code === "number" ? code : -1, stdout, stderr: stderr || message };
  }
}

/** The output of a command that must succeed. */
export async function run(
  cwd: string,
  environment: NodeJS.ProcessEnv,
  command: readonly [string, ...string[]],
): Promise<string> {
  const { code, stdout, stderr } = await outcome(cwd, environment, command);
  if (code !== 0) throw new Error(`${command.join(" ")} failed:\n${stdout}\n${stderr}`);
  return stdout;
}

/** Options of Node: some versions crash at the end of a program with a large memory, in a thread of the collector. */
export const nodeOptions = ["--no-warnings", "--single-threaded-gc"];

/** A program of WASI, in Node. */
export const wasi = (file: string, ...args: string[]): [string, ...string[]] => [
  process.execPath,
  ...nodeOptions,
  join(guests, "wasi.mjs"),
  file,
  ...args,
];

/** An empty folder under build/. */
export function emptyFolder(name: string): string {
  const folder = join(root, "build/guests", name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** The samples of a document in a language, in order. */
export const samples = (document: string, language: string): string[] =>
  [...readFileSync(join(root, document), "utf8").matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text!);

export type Exports = Readonly<Record<string, (...args: number[]) => number>> & { readonly memory: WebAssembly.Memory };

/** An instance without imports. */
export const instantiate = (file: string): Exports =>
  new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {}).exports as unknown as Exports;

/** The text that two words at an address describe: where it is, and its length. */
export function textAt({ memory }: Exports, at: number): string {
  const [address, length] = new Uint32Array(memory.buffer, at >>> 0, 2) as unknown as [number, number];
  return Buffer.from(memory.buffer, address, length).toString();
}
