/** The Rust crate, packed, in programs of Rust 1.63 and of the newest: for hosts, for WASI, with threads, and the README's. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { crate } from "../../scripts/crate.mjs";
import {
  emptyFolder,
  guests,
  has,
  instantiate,
  isSkipped,
  nodeOptions,
  outcome,
  root,
  run,
  samples,
  textAt,
  wasi,
  type Outcome,
} from "./tools.ts";

interface Toolchain {
  readonly name: string;
  readonly cargo: string;
  readonly environment: NodeJS.ProcessEnv;
  /** The target for WASI. */
  readonly wasi: string;
}

const HOST = "wasm32-unknown-unknown";
const toolchains: readonly Toolchain[] = [
  // Debian's, which is the oldest that the crate is for.
  { name: "1.63", cargo: "/usr/bin/cargo", environment: { RUSTC: "/usr/bin/rustc" }, wasi: "wasm32-wasi" },
  { name: "newest", cargo: "cargo", environment: {}, wasi: "wasm32-wasip1" },
];
const THREADS = "wasm32-wasip1-threads";

function hasTarget({ cargo, environment }: Toolchain, target: string): boolean {
  const rustc = environment["RUSTC"] ?? "rustc";
  return has(cargo, "--version") && has("sh", "-c", `test -d "$(${rustc} --print target-libdir --target ${target})"`);
}

/** A machine without rustup has no newer Rust than Debian's, and CI installs none. */
function isMissing(toolchain: Toolchain, ...targets: string[]): boolean {
  if (targets.every((target) => hasTarget(toolchain, target))) return false;
  return isSkipped(false) || (toolchain.name === "newest" && !has("rustup", "--version"));
}

/** The memory that a program may have: a full heap is soon reached. */
const limited = { RUSTFLAGS: `-C link-arg=--max-memory=${2 ** 27}` };

/** What each check of rust/src/lib.rs sees. */
const checks = {
  collections: "true 5050 108890 20001",
  large: "true [0, 1, 2] true",
  aligned: "true true true true",
  "small alignments": "0",
  zeroed: "true true true true",
  full: "true true (true, true) true true",
  reserve: "(2, true) (7, true, 0) (Err(BadArgument), Err(BadArgument), Err(Short))",
  pool: "text 3! 1000 1000 Pool { min_nr: 4, reserved: 4, outstanding: 1000 } ab b 2 11 9 3",
  "pool drops": "0 9 1 2 2 Err(3) 10 0",
  "pool full": "true 0 5 NoMemory",
  "pool late": "2 true",
  "pool arguments": "Err(BadArgument) Err(BadArgument) Err(BadArgument) true",
};

const anyCargo = toolchains.some((toolchain) => hasTarget(toolchain, HOST));

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
const name = `wasm-mempool-${version}`;
let packed: string;
beforeAll(async () => {
  const folder = await crate();
  packed = join(folder, "target/package", name);
  if (!anyCargo) return;
  const newest = has("cargo", "--version") ? "cargo" : "/usr/bin/cargo";
  const options = ["--offline", "--allow-dirty", "--no-verify", "--target-dir", join(folder, "target")];
  await run(folder, {}, [newest, "package", ...options]);
  emptyFolder(`../crate/target/package/${name}`);
  await run(join(folder, "target/package"), {}, ["tar", "xf", `${name}.crate`]);
});

describe.each(toolchains)("Rust $name", (toolchain) => {
  const missing = isMissing(toolchain, HOST, toolchain.wasi);
  const target = join(root, "build/guests/cargo", toolchain.name);
  const cargo = (cwd: string, environment: NodeJS.ProcessEnv, ...args: string[]): Promise<string> =>
    run(cwd, { CARGO_TARGET_DIR: target, ...toolchain.environment, ...environment }, [toolchain.cargo, ...args]);

  /** A project in an empty folder, with the packed crate. */
  function project(title: string, manifest: string): string {
    const folder = emptyFolder(`rust-${toolchain.name}-${title}`);
    expect(manifest).toMatch(/^wasm-mempool = /m);
    const dependency = /\bfeatures\b/.test(manifest) ? ', features = ["std"]' : "";
    writeFileSync(
      join(folder, "Cargo.toml"),
      manifest.replace(/^wasm-mempool = .*$/m, `wasm-mempool = { path = "${packed}"${dependency} }`),
    );
    return folder;
  }

  describe("checks", () => {
    let folder: string;
    beforeAll(async () => {
      if (missing) return;
      folder = project("checks", readFileSync(join(guests, "rust/Cargo.toml"), "utf8"));
      cpSync(join(guests, "rust/src"), join(folder, "src"), { recursive: true });
      const options = ["build", "--release", "--offline", "--target"];
      await cargo(folder, limited, ...options, HOST, "--lib");
      await cargo(folder, limited, ...options, toolchain.wasi, "--bin", "guest");
    });

    test.skipIf(missing).each(Object.entries(checks))("%s, in WASI", async (check, expected) => {
      expect(await run(folder, {}, wasi(`${target}/${toolchain.wasi}/release/guest.wasm`, check))).toBe(
        `${expected}\n`,
      );
    });

    const module = `${target}/${HOST}/release/checks.wasm`;
    test.skipIf(missing).each(Object.entries(checks).map(([check, expected], i) => [check, i, expected] as const))(
      "%s, without imports",
      (_check, i, expected) => {
        const program = instantiate(module);
        expect(textAt(program, program["check"]!(i))).toBe(expected);
      },
    );

    test.skipIf(missing)("all of them in one instance, twice", () => {
      const program = instantiate(module);
      for (const [i, expected] of [...Object.values(checks).entries(), ...Object.values(checks).entries()]) {
        expect(textAt(program, program["check"]!(i))).toBe(expected);
      }
    });

    test.skipIf(missing)("a bad free traps", () => {
      for (const twice of [0, 1]) {
        expect(() => instantiate(module)["bad_free"]!(twice)).toThrow(WebAssembly.RuntimeError);
      }
    });
  });

  const programs = samples("guests/rust/README.md", "rust").slice(0, 2);
  const outputs = ["[1, 4, 9, 16, 25]\n", "read 7, 1 outstanding\n0 outstanding\n"];
  test.skipIf(missing).each(programs.map((text, i) => [i, text, outputs[i]!] as const))(
    "the README's program %i runs",
    async (i, text, expected) => {
      const [dependencies] = samples("guests/rust/README.md", "toml");
      const sample = `sample-${i}`;
      const manifest = `[package]\nname = "${sample}"\nversion = "0.0.0"\nedition = "2021"\n${dependencies}`;
      const folder = project(sample, manifest);
      cpSync(join(packed, "LICENSE"), join(folder, "LICENSE"));
      writeFileSync(join(emptyFolder(`rust-${toolchain.name}-${sample}/src`), "main.rs"), text);
      await cargo(folder, {}, "build", "--offline", "--target", toolchain.wasi);
      expect(await run(folder, {}, wasi(`${target}/${toolchain.wasi}/debug/${sample}.wasm`))).toBe(expected);
    },
  );
});

const newest = toolchains[1]!;
const target = join(root, "build/guests/cargo", newest.name);

test.skipIf(isMissing(newest, newest.wasi))("the samples of the doc comments run", async () => {
  const runner = [process.execPath, ...nodeOptions, join(guests, "wasi.mjs")].join(" ");
  const environment = { CARGO_TARGET_WASM32_WASIP1_RUNNER: runner, CARGO_TARGET_DIR: target };
  const options = ["--offline", "--doc", "--features", "std", "--target", newest.wasi];
  expect(await run(packed, environment, ["cargo", "test", ...options])).toMatch(/test result: ok. 5 passed/);
});

test.skipIf(isMissing(newest, HOST))("the packed crate builds, and documents all that is public", async () => {
  const environment = { CARGO_TARGET_DIR: target, RUSTDOCFLAGS: "-D warnings", RUSTFLAGS: "-D warnings" };
  for (const to of [HOST, ...(hasTarget(newest, THREADS) ? [THREADS] : [])]) {
    await run(packed, environment, ["cargo", "build", "--offline", "--features", "std", "--target", to]);
    await run(packed, environment, ["cargo", "doc", "--offline", "--features", "std", "--target", to]);
  }
});

test.skipIf(isMissing(newest, HOST))("for other targets the crate is empty, and says so", async () => {
  const folder = emptyFolder("rust-elsewhere");
  const manifest = '[package]\nname = "elsewhere"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n';
  writeFileSync(join(folder, "Cargo.toml"), `${manifest}wasm-mempool = { path = "${packed}" }\n`);
  writeFileSync(join(emptyFolder("rust-elsewhere/src"), "lib.rs"), "pub use wasm_mempool as it;");
  const build = (): Promise<Outcome> => outcome(folder, { CARGO_TARGET_DIR: target }, ["cargo", "build", "--offline"]);
  const { code, stderr } = await build();
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/warning: .* is empty for .*--target wasm32-unknown-unknown/),
  ]);
  writeFileSync(join(folder, "src/lib.rs"), "pub use wasm_mempool::Mempool;");
  expect((await build()).stderr).toMatch(/configured out[^]*#\[cfg\(target_arch = "wasm32"\)\]/);
});

test.skipIf(isMissing(newest, HOST))("the crate of a clone that is not built says what builds it", async () => {
  const folder = emptyFolder("rust-unbuilt");
  cpSync(join(root, "guests/rust"), folder, { recursive: true });
  const { code, stderr } = await outcome(folder, {}, ["cargo", "build", "--offline", "--target", HOST]);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/libwasm_mempool_malloc\.a is neither in .*lib, .*`npm ci && npm run build` makes it/);
});

test("the README and the crate's page list each form that may fail", () => {
  const source = readFileSync(join(root, "guests/rust/src/pool.rs"), "utf8");
  const forms = [...source.matchAll(/pub fn (try_\w+)/g)].map(([, form]) => form!);
  expect(forms.length).toBe(5);
  for (const page of ["guests/rust/README.md", "guests/rust/src/lib.rs"]) {
    const text = readFileSync(join(root, page), "utf8");
    expect(forms.filter((form) => !text.includes(form))).toEqual([]);
  }
});

test.skipIf(isMissing(newest, THREADS))("120 threads, eight at once, share a heap", async () => {
  const folder = emptyFolder("rust-threads");
  const manifest = readFileSync(join(guests, "rust/Cargo.toml"), "utf8");
  writeFileSync(join(folder, "Cargo.toml"), manifest.replace(/path = "\.[^"]*"/, `path = "${packed}"`));
  cpSync(join(guests, "rust/src"), join(folder, "src"), { recursive: true });
  const options = ["--release", "--offline", "--target", THREADS, "--features", "threads", "--bin", "threads"];
  await run(folder, { CARGO_TARGET_DIR: target }, ["cargo", "build", ...options]);
  const program = [process.execPath, ...nodeOptions, join(root, "examples/guests/wasi-threads.mjs")] as const;
  expect(await run(folder, {}, [...program, `${target}/${THREADS}/release/threads.wasm`])).toBe("120 threads\n");
});

test.skipIf(isMissing(newest, THREADS))("the README's program with a thread runs", async () => {
  const folder = emptyFolder("rust-thread");
  const manifest = '[package]\nname = "thread"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n';
  writeFileSync(join(folder, "Cargo.toml"), `${manifest}wasm-mempool = { path = "${packed}" }\n`);
  const [, , program] = samples("guests/rust/README.md", "rust");
  writeFileSync(join(emptyFolder("rust-thread/src"), "main.rs"), program!);
  await run(folder, { CARGO_TARGET_DIR: target }, ["cargo", "build", "--offline", "--target", THREADS]);
  const host = [process.execPath, ...nodeOptions, join(root, "examples/guests/wasi-threads.mjs")] as const;
  expect(await run(folder, {}, [...host, `${target}/${THREADS}/debug/thread.wasm`])).toBe("[1, 2, 3]\n");
});

test.skipIf(isMissing(newest, HOST))("the crate builds where the npm package has it", async () => {
  await run(join(root, "guests/rust"), { CARGO_TARGET_DIR: target }, ["cargo", "build", "--offline", "--target", HOST]);
});
