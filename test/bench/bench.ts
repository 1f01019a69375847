/** Runs the benchmarks' command. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

export interface Row {
  readonly side: string;
  readonly samples: readonly number[];
  readonly stats: Readonly<Record<string, number>>;
  readonly ratio?: {
    readonly of: string;
    readonly ratio: number;
    readonly ci: [number, number];
    readonly verdict: string;
  };
}
export interface Table {
  readonly name: string;
  readonly noise: number;
  readonly rows: readonly Row[];
  readonly goals?: readonly { readonly text: string; readonly goal: number; readonly verdict: string }[];
  readonly notRun?: readonly { readonly side: string; readonly why: string }[];
}
export interface Result {
  readonly suite: string;
  readonly tables: readonly Table[];
}

export const bench = (...args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
  execute(process.execPath, ["bench/run.mjs", ...args], {
    maxBuffer: 2 ** 26,
    env: { ...process.env, NO_COLOR: "1" },
  });

/** The results of a quick run, from its JSON. */
export async function quickResults(...words: readonly string[]): Promise<readonly Result[]> {
  const { stdout } = await bench(...words, "--quick", "--seed", "7", "--json", "-");
  return (JSON.parse(stdout) as { suites: Result[] }).suites;
}
