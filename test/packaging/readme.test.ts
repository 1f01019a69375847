/** The README's samples run as they stand. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = await readFile(join(root, "README.md"), "utf8");
const samples = [...readme.matchAll(/```(js|ts)\n([^]*?)```/g)].map(([, kind, code]) => ({ kind: kind!, code: code! }));

// Inside the project, so that the package finds itself by its name.
let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(root, "build", "readme-"))));
afterAll(() => rm(folder, { recursive: true }));

test("the README has samples", () => expect(samples.length).toBeGreaterThan(3));

test.each(
  samples.map((sample, i) => [sample.code.split("\n").find((line) => line.includes("const")), sample, i] as const),
)("%s", async (_title, { kind, code }, i) => {
  const file = join(folder, `sample-${i}.${kind}`);
  const names = ["createHeap", "createHeapAsync"];
  await writeFile(
    file,
    code.includes("import ") ? code : `import { ${names.join(", ")} } from "wasm-mempool";\n${code}`,
  );
  await promisify(execFile)(process.execPath, ["--import", "tsx", file], { cwd: root });
});

test("the TypeScript samples compile", async () => {
  const files: string[] = [];
  for (const [i, { kind, code }] of samples.entries()) {
    if (kind !== "ts") continue;
    files.push(join(folder, `typed-${i}.ts`));
    await writeFile(files.at(-1)!, code);
  }
  expect(files.length).toBeGreaterThan(1);
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  };
  const errors = ts.getPreEmitDiagnostics(ts.createProgram(files, options));
  expect(errors.map(({ messageText }) => messageText)).toEqual([]);
});
