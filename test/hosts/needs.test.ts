/** What docs/hosts.md says that each module needs of its host, against the modules. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

// Its validator says on the console that it finds when it is loaded what is wrong with a module.
const { error } = console;
console.error = () => {};
const { default: binaryen } = await import("binaryen");
console.error = error;

const { Features } = binaryen;
/** The proposals, as the headings of the table call them. */
const proposals: Readonly<Record<string, number>> = {
  "bulk memory": Features.BulkMemory | Features.BulkMemoryOpt,
  "mutable globals": Features.MutableGlobals,
  "saturating truncation": Features.NontrappingFPToInt,
  threads: Features.Atomics,
  "multi-memory": Features.MultiMemory,
};
const all = Object.values(proposals).reduce((sum, each) => sum | each, 0);

/** The table, without its line of dashes. */
const [, table] = /<!-- needs:begin -->\n([^]*)<!-- needs:end -->/.exec(readFileSync("docs/hosts.md", "utf8"))!;
const [head, , ...rows] = table!
  .trim()
  .split("\n")
  .map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
const documented = Object.fromEntries(rows.map(([name, ...cells]) => [name!, cells]));

/** The cells of a module: it needs a proposal if it is not valid without it. */
function needsOf(file: string): string[] {
  const module = binaryen.readBinaryWithFeatures(readFileSync(file), Features.All);
  const isValid = (features: number): boolean => {
    module.setFeatures(features);
    return module.validate() === 1;
  };
  try {
    if (!isValid(all)) throw new Error(`${file} needs more than the table has`);
    const copies = module.emitText().includes("(memory.copy");
    return Object.entries(proposals).map(([name, features]) => {
      if (isValid(all & ~features)) return "";
      return name === "bulk memory" ? (copies ? "fill, copy" : "fill") : "yes";
    });
  } finally {
    module.dispose();
  }
}

/** The features that an archive's objects tell a linker: a byte "+" before each name's length. */
function featuresOf(archive: string): string[] {
  const bytes = readFileSync(archive);
  let at = bytes.indexOf("target_features") + "target_features".length;
  const features: string[] = [];
  for (let count = bytes[at++]!; count > 0; count--) {
    const [isUsed, length] = [bytes[at] === 0x2b, bytes[at + 1]!];
    if (isUsed) features.push(bytes.toString("latin1", at + 2, at + 2 + length));
    at += 2 + length;
  }
  return features;
}
const archiveNames: Readonly<Record<string, string>> = {
  "bulk-memory": "bulk memory",
  "mutable-globals": "mutable globals",
  "nontrapping-fptoint": "saturating truncation",
  atomics: "threads",
};

const { files } = JSON.parse(readFileSync("package.json", "utf8")) as { files: string[] };
const modules = files.filter((file) => /^build\/.*\.wasm$/.test(file)).map((file) => file.slice("build/".length));

test("the table has the proposals, and each module and archive of the package", () => {
  expect(head).toEqual(["", ...Object.keys(proposals)]);
  const archives = Object.keys(documented).filter((name) => name.endsWith(".a"));
  expect(Object.keys(documented)).toEqual([...modules, ...archives]);
  expect(archives.length).toBe(6);
});

test.each(modules)("%s needs what the table says", (name) => {
  expect(needsOf(`build/${name}`)).toEqual(documented[name]);
});

test.each(Object.keys(documented).filter((name) => name.endsWith(".a")))(
  "%s tells linkers what the table says",
  (name) => {
    const told = new Set(featuresOf(`build/${name}`).map((feature) => archiveNames[feature]));
    expect(told.has(undefined)).toBe(false);
    expect(Object.keys(proposals).filter((_proposal, i) => documented[name]![i] !== "")).toEqual(
      Object.keys(proposals).filter((proposal) => told.has(proposal)),
    );
  },
);
