/** The package as users get it: packed, then installed into an empty project, without a network. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

/** Without what `npm test` tells its children, which would lead an npm in here back to this package. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

/** Runs a command to its end; returns its output. On failure, the error's message has the output. */
export async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd, env: environment, maxBuffer: 2 ** 26 });
    return stdout;
  } catch (cause) {
    const { stdout, stderr } = cause as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}\n${stderr}`, { cause });
  }
}

export interface Installed {
  /** A project with nothing but the package. */
  readonly dir: string;
  readonly tarball: string;
  /** Paths in the tarball. */
  readonly files: readonly string[];
  remove(): Promise<void>;
}

export async function packAndInstall(): Promise<Installed> {
  const dir = await mkdtemp(join(tmpdir(), "wasm-mempool-package-"));
  // npm test has built already; a script of the package's would build again under the other tests.
  const packed = await run(root, "npm", "pack", "--ignore-scripts", "--json", "--pack-destination", dir);
  const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
  const tarball = join(dir, filename);
  await writeFile(join(dir, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
  await run(dir, "npm", "install", "--offline", "--no-audit", "--no-fund", tarball);
  return {
    dir,
    tarball,
    files: files.map(({ path }) => path),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** Copies a file of the tests into the project. */
export async function place(installed: Installed, from: URL, to: string): Promise<string> {
  const path = join(installed.dir, to);
  await writeFile(path, await readFile(from));
  return path;
}
