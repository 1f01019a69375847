/** Programs in AssemblyScript that import the packed package: pools beside each runtime, the package's runtime, the README's. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layout } from "../layout/layout.ts";
import { packAndInstall, type Installed } from "../packaging/install.ts";
import { guests, outcome, root, run, samples, type Exports } from "./tools.ts";

const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
const README = "guests/assemblyscript/README.md";
const RUNTIME = "node_modules/wasm-mempool/assembly/runtime";

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
});
afterAll(() => installed?.remove());

/** Compiles a program in the project that has the package. */
async function compile(name: string, text: string, ...options: string[]): Promise<WebAssembly.Module> {
  writeFileSync(join(installed.dir, `${name}.ts`), text);
  const files = [`${name}.ts`, "-o", `${name}.wasm`];
  await run(installed.dir, {}, [process.execPath, asc, ...files, "--disableWarning", "201", ...options]);
  return new WebAssembly.Module(readFileSync(join(installed.dir, `${name}.wasm`)));
}

const abort = () => {
  throw new Error("abort");
};
const instantiate = (module: WebAssembly.Module): Exports =>
  new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as Exports;

// Each option once beside AssemblyScript's own allocator: to compile takes seconds.
describe.each([
  ["incremental", "-O"],
  ["minimal", "--debug"],
  ["stub", "-O"],
  [RUNTIME, "--debug"],
])("runtime %s, %s", (runtime, option) => {
  test("pools serve a program", async () => {
    const program = `
      import { alloc, create, exit, free, heap_error, init, outstanding, Pool, zalloc } from "wasm-mempool/assembly";
      @unmanaged class Point { x: f32; y: f32; next: Point | null; }
      const texts = new Array<string>();
      export function go(): i32 {
        for (let i = 0; i < 1000; i++) texts.push(i.toString());
        if (!init(1 << 20)) return 1;
        const pool = create(24, 4, 100);
        const a = alloc(pool);
        const b = zalloc(pool);
        if (!a || !b || load<u64>(b) || outstanding(pool) != 2) return 2;
        if (free(pool, a) != 0 || free(pool, a) != -2 || free(pool, b + 8) != -3) return 3;
        const points = new Pool<Point>(4);
        let last: Point | null = null;
        for (let i = 0; i < 2000; i++) {
          const point = points.alloc()!;
          point.x = <f32>i;
          point.next = last;
          last = point;
          texts.push((2 * i).toString());
        }
        for (let i = 1999; last != null; i--) {
          const point = last;
          if (point.x != <f32>i) return 4;
          last = point.next;
        }
        for (let i = 0; i < 2000; i++) if (texts[1000 + i] != (2 * i).toString()) return 5;
        return create(0) || heap_error() != -9 || exit(pool) != 1 || free(pool, b) != 1 ? 6 : 0;
      }`;
    expect(instantiate(await compile("pools", program, "--runtime", runtime, option))["go"]!()).toBe(0);
  });
});

describe("the package's runtime", () => {
  const checks = ["strings", "arrays", "renewed", "maps", "garbage", "pools", "full"];
  const inspector = new WebAssembly.Module(readFileSync(join(root, "build/inspect.imported.wasm")));
  /** The number of inconsistencies of the heap. */
  function problems({ memory, heapAddress }: Exports): number {
    const { heap_check } = new WebAssembly.Instance(inspector, { env: { memory } }).exports as Record<
      string,
      (...args: number[]) => number
    >;
    const heap = heapAddress!();
    return heap_check!(heap, heap + layout("HEAP_SCRATCH"));
  }

  describe.each([["-O"], ["--debug"]])("compiled with %s", (option) => {
    let module: WebAssembly.Module;
    beforeAll(async () => {
      const text = readFileSync(join(guests, "assembly/runtime.ts"), "utf8");
      // 96 MiB: garbage fills it, and a full heap is soon reached.
      module = await compile("runtime", text, "--runtime", RUNTIME, option, "--maximumMemory", "1536");
    });

    test.each(checks)("%s", (name) => {
      const program = instantiate(module);
      expect(program[name]!()).toBe(0);
      expect(problems(program)).toBe(0);
    });

    test("all of them in one instance, twice", () => {
      const program = instantiate(module);
      for (const name of [...checks, ...checks]) {
        expect([name, program[name]!(), problems(program)]).toEqual([name, 0, 0]);
      }
    });

    test("an object for which there is no memory, and a bad free, trap", () => {
      expect(() => instantiate(module)["tooMuch"]!()).toThrow(WebAssembly.RuntimeError);
      expect(() => instantiate(module)["badFree"]!()).toThrow(WebAssembly.RuntimeError);
    });
  });
});

describe("the README's programs", () => {
  const programs = samples(README, "ts");
  // The first are those that install.
  const [, ...commands] = samples(README, "sh");
  const outputs = samples(README, "text");
  const [runner] = samples(README, "js");
  const compiled = async (i: number): Promise<Exports> => {
    writeFileSync(join(installed.dir, "program.ts"), programs[i]!);
    writeFileSync(join(installed.dir, "run.mjs"), runner!);
    const command = commands[i]!.replace("npx asc", `'${process.execPath}' '${asc}'`);
    expect(await run(installed.dir, {}, ["sh", "-ec", command])).toBe(outputs[i]);
    return instantiate(new WebAssembly.Module(readFileSync(join(installed.dir, "program.wasm"))));
  };

  test("pools", async () => {
    const { take, give } = await compiled(0);
    const element = take!();
    expect([element > 0, give!(element), give!(element)]).toEqual([true, 0, -2]);
  });

  test("the runtime", async () => {
    const program = await compiled(1);
    const text = "to be or not to be";
    const address = program["__new"]!(2 * text.length, 2);
    new Uint16Array(program.memory.buffer).set(
      [...text].map((each) => each.charCodeAt(0)),
      address / 2,
    );
    expect(program["count"]!(program["__pin"]!(address))).toBe(4);
    program["__collect"]!();
    expect(program["count"]!(address)).toBe(4);
    program["__unpin"]!(address);
  });
});

test("asc finds the package by --path, too", async () => {
  const elsewhere = join(installed.dir, "elsewhere");
  const vendor = join(elsewhere, "vendor");
  mkdirSync(vendor, { recursive: true });
  cpSync(join(installed.dir, "node_modules/wasm-mempool"), join(vendor, "wasm-mempool"), { recursive: true });
  const program =
    'import { create, init } from "wasm-mempool/assembly"; export function go(): bool { return init(1 << 17) && create(9, 9) != 0; }';
  writeFileSync(join(elsewhere, "program.ts"), program);
  const options = ["--disableWarning", "201", "--path", "vendor", "-o", "program.wasm"];
  expect(await outcome(elsewhere, {}, [process.execPath, asc, "program.ts", ...options])).toMatchObject({ code: 0 });
  expect(instantiate(new WebAssembly.Module(readFileSync(join(elsewhere, "program.wasm"))))["go"]!()).toBe(1);
});
