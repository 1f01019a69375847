/** examples/hosts: what its documents say of it, and a run in Node alone. `.ci/run` runs it in every host. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const folder = "examples/hosts";
const read = (file: string) => readFileSync(file, "utf8");
const linesIn = (file: string) => read(file).trimEnd().split("\n").length;

type Step = [instance: string, call: string, ...rest: (string | number)[]];
type Scenario = Record<string, { modules: string[]; steps: Step[] }>;
const scenario: Scenario = {
  ...JSON.parse(read(`${folder}/scenario.json`)),
  ...JSON.parse(read(`${folder}/malloc.json`)),
};

async function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [`${folder}/run.mjs`, ...args], { env: { ...process.env, CI: "", ...env } });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (errors += chunk));
  const [code] = (await once(child, "close")) as [number];
  return { code, output, errors };
}

test("no file of a host's glue has more than 60 lines", () => {
  const glue = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (file) =>
      /main|[Cc]ore|call|host|table|Main/.test(file) && /\.(mjs|py|go|java|c|h|rs)$/.test(file) && file.includes("/"),
  );
  expect(glue.length).toBeGreaterThan(10);
  expect(glue.filter((file) => linesIn(`${folder}/${file}`) > 60)).toEqual([]);
});

test("every call of a scenario is in a header, or is the host's own", () => {
  const headers = read("include/wasm_mempool.h") + read("include/wasm_mempool_malloc.h");
  const own = new Set(["memory.load", "memory.store", "answer", "end"]);
  const calls = new Set(Object.values(scenario).flatMap(({ steps }) => steps.map(([, call]) => call)));
  expect([...calls].filter((call) => !own.has(call) && !new RegExp(`\\b${call}\\(`).test(headers))).toEqual([]);
});

test("the scenario meets every code of a bad free, and every reason of a refusal but that of a 64th thread", () => {
  const expected = new Set(Object.values(scenario).flatMap(({ steps }) => steps.map((step) => String(step.at(-1)))));
  for (const code of [0, 1, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10]) expect(expected).toContain(`= ${code}`);
});

test("the document names the versions that are installed", () => {
  const table = read("docs/hosts.md").split("<!-- hosts:end -->")[0]!;
  const pins = [
    ...read(`${folder}/hosts.mjs`).matchAll(/pip\("\w+", "([\d.]+)"/g),
    ...read(`${folder}/wazero/go.mod`).matchAll(/wazero v([\d.]+)/g),
    ...read(`${folder}/chicory/pom.xml`).matchAll(/<version>(\d+\.[\d.]+)</g),
    ...read(`${folder}/wasmi/Cargo.toml`).matchAll(/wasmi = .*"=([\d.]+)"/g),
  ].map(([, version]) => version!);
  expect(pins.length).toBe(5);
  // Those that its programs install.
  const commands = read("docs/hosts.md").match(/wazero@v[\d.]+|wasmtime==[\d.]+/g);
  expect(commands).toEqual([`wazero@v${pins[2]}`, `wasmtime==${pins[0]}`, `wasmtime==${pins[0]}`]);
  expect(pins.filter((version) => !table.includes(` ${version} `))).toEqual([]);
});

test("the scenarios hold in Node; a host that is missing is no failure, but in CI it is", async () => {
  const [here, ci] = await Promise.all([
    run(["wasm3", "--json"], { PYTHON: "/missing" }),
    run(["wasm3"], { PYTHON: "/missing", CI: "true" }),
  ]);
  expect([here.code, ci.code]).toEqual([0, 1]);
  const { hosts } = JSON.parse(here.output) as { hosts: { parts: Record<string, { state: string; lines: number }> }[] };
  expect(Object.values(hosts[0]!.parts).map(({ state }) => state)).toEqual(Array(5).fill("works"));
  expect(hosts[0]!.parts["plain"]!.lines).toBeGreaterThan(1000);
  expect(ci.output).toContain("not here");
  expect(here.errors).toContain("there is no /missing");
});

test("a word that is no host is refused with the usage", async () => {
  const { code, errors } = await run(["nobody"]);
  expect(code).toBe(2);
  expect(errors).toMatch(/no host "nobody"[^]*Usage/);
});
