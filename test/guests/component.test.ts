/**
 * A component whose cabi_realloc is the archive's, or an arena that is reset after each call; run by jco's transpiler and by
 * wasmtime. Needs clang, the packages of component/package.json, and wasmtime for Python in build/wasmtime.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sources = join(root, "test/guests/component");
const out = join(root, "build/guests/component");
const packages = join(sources, "node_modules/@bytecodealliance/jco-transpile/dist");
const wasmtime = join(root, "build/wasmtime");

const isHere =
  spawnSync("clang-19", ["--version"]).status === 0 && existsSync(packages) && existsSync(join(wasmtime, "wasmtime"));
const inCi = process.env["CI"] !== undefined;

interface Tools {
  componentEmbed(options: { binary: Uint8Array; witSource: string; stringEncoding: string }): Promise<Uint8Array>;
  componentNew(binary: Uint8Array, adapters: unknown[]): Promise<Uint8Array>;
}
interface Transpiler {
  transpileBytes(binary: Uint8Array, options: object): Promise<{ files: Record<string, Uint8Array> }>;
}
/** The component's exports as jco gives them: those of component/world.wit. */
interface Text {
  upper(text: string): string;
  words(text: string): string[];
  sum(numbers: Uint32Array): bigint;
  used(): number;
}

const load = <T>(path: string): Promise<T> => import(/* @vite-ignore */ pathToFileURL(path).href) as Promise<T>;

async function compile(kind: string): Promise<Uint8Array> {
  mkdirSync(out, { recursive: true });
  const core = join(out, `${kind}.core.wasm`);
  const flags = kind === "arena" ? ["-DARENA"] : [];
  const linking = ["-nostartfiles", "-Wl,--no-entry,--export=cabi_realloc", "-I", join(root, "include")];
  const archive = join(root, "build/libwasm_mempool_malloc.a");
  execFileSync("clang-19", [
    "--target=wasm32-wasi",
    "-O2",
    ...flags,
    ...linking,
    join(sources, "guest.c"),
    archive,
    "-o",
    core,
  ]);
  const { componentEmbed, componentNew } = await load<Tools>(join(packages, "wasm-tools.js"));
  const witSource = readFileSync(join(sources, "world.wit"), "utf8");
  const embedded = await componentEmbed({ binary: readFileSync(core), witSource, stringEncoding: "utf8" });
  const component = await componentNew(embedded, []);
  writeFileSync(join(out, `${kind}.wasm`), component);
  return component;
}

describe.skipIf(!isHere && !inCi).each(["malloc", "arena"])("a component on %s", (kind) => {
  let component: Uint8Array;
  beforeAll(async () => {
    component = await compile(kind);
  });

  test("runs in JavaScript by jco, and keeps no memory from call to call", { timeout: 600_000 }, async () => {
    const { transpileBytes } = await load<Transpiler>(join(packages, "index.js"));
    const folder = join(out, kind);
    const { files } = await transpileBytes(component, { name: "text", outDir: folder });
    for (const [file, bytes] of Object.entries(files)) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const { upper, words, sum, used } = await load<Text>(join(folder, "text.js"));
    expect(upper("hello wörld")).toBe("HELLO WöRLD");
    expect(words(" a bc  def")).toEqual(["a", "bc", "def"]);
    expect(sum(Uint32Array.of(1, 2, 4_000_000_000))).toBe(4_000_000_003n);
    const round = (): number => {
      for (let i = 0; i < 10_000; i++) {
        expect(upper("x".repeat(i % 3000)).length).toBe(i % 3000);
        expect(words("ab cd ef ".repeat(i % 50)).length).toBe(3 * (i % 50));
        expect(sum(new Uint32Array(i % 500).fill(2))).toBe(BigInt(2 * (i % 500)));
      }
      return used();
    };
    const before = round();
    expect(round()).toBe(before);
  });

  test("runs in wasmtime", { timeout: 600_000 }, () => {
    const program = `
import sys
sys.path.insert(0, ${JSON.stringify(wasmtime)})
from wasmtime import Engine, Store, component
engine = Engine()
store = Store(engine)
linker = component.Linker(engine)
instance = linker.instantiate(store, component.Component.from_file(engine, ${JSON.stringify(join(out, `${kind}.wasm`))}))
def call(name, *arguments):
    function = instance.get_func(store, name)
    result = function(store, *arguments)
    function.post_return(store)
    return result
print(call("upper", "hello w\\u00f6rld"), call("words", " a bc  def"), call("sum", [1, 2, 4000000000]))
def round():
    for i in range(2000):
        assert len(call("upper", "x" * (i % 3000))) == i % 3000
        assert len(call("words", "ab cd ef " * (i % 50))) == 3 * (i % 50)
    return call("used")
before = round()
print(round() == before)
`;
    const answer = execFileSync("python3", ["-c", program], {
      encoding: "utf8",
      env: { ...process.env, PYTHONUTF8: "1" },
    });
    expect(answer).toBe("HELLO WöRLD ['a', 'bc', 'def'] 4000000003\nTrue\n");
  });
});
