/** `npx wasm-mempool structs`: each language's compiler checks the asserts, and its code writes where cursors read. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StructType } from "../../src/index.ts";
import { has, isSkipped, root } from "./tools.ts";

const definitions = `import { array, bool, f32, f64, flexible, i16, i32, i64, i8, pointer, struct, u16, u32, u64, u8 } from "wasm-mempool";
export const Vec = struct({ x: f32, y: f32 });
export const Node = struct({
  type: u8, next: pointer(() => Node), big: u64, raw: pointer(), fn: i16, at: Vec, trail: array(Vec, 3),
  hidden: struct({ value: f64, on: bool }), grid: array(array(i16, 4), 3), bytes: flexible(u16),
});
export const All = struct({ i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, bool, self: pointer(struct({ inner: u32 })) });
export const alias = Vec;
export const other = 7;
`;

/** The same in each language: writes some fields of a Node. */
const programs: Record<string, string> = {
  c: `#include "defs.h"
__attribute__((export_name("touch"))) void touch(Node *n) {
  n->type = 7; n->next = n; n->big = 1ull << 40; n->fn = -3; n->at.y = 2.5f; n->trail[2].y = 1.5f;
  n->hidden.value = 0.25; n->hidden.on = true; n->grid[2][1] = -9; n->bytes[3] = 65535;
}`,
  rust: `include!("defs.rs");
#[no_mangle] pub unsafe extern "C" fn touch(n: *mut Node) {
  (*n).r#type = 7; (*n).next = n; (*n).big = 1 << 40; (*n).r#fn = -3; (*n).at.y = 2.5; (*n).trail[2].y = 1.5;
  (*n).hidden.value = 0.25; (*n).hidden.on = true; (*n).grid[2][1] = -9;
  *(&raw mut (*n).bytes as *mut u16).add(3) = 65535;
}`,
  zig: `const defs = @import("defs.zig");
export fn touch(n: *defs.Node) void {
  n.type = 7; n.next = n; n.big = 1 << 40; n.@"fn" = -3; n.at.y = 2.5; n.trail[2].y = 1.5;
  n.hidden.value = 0.25; n.hidden.on = true; n.grid[2][1] = -9;
  @as([*]u16, @ptrCast(&n.bytes))[3] = 65535;
}`,
  assemblyscript: `import { Node } from "./defs.as";
export function touch(n: Node): void {
  n.type_ = 7; n.next = changetype<usize>(n); n.big = 1 << 40; n.fn = -3; n.at.y = 2.5; n.trail(2).y = 1.5;
  n.hidden.value = 0.25; n.hidden.on = true; n.set_grid(2, 1, -9); n.set_bytes(3, 65535);
}`,
};

/** A layout that is another: of Vec. */
const changes: Record<string, [from: string, to: string]> = {
  c: ["float x;", "double x;"],
  rust: ["pub x: f32", "pub x: f64"],
  zig: ["x: f32,", "x: f64,"],
  assemblyscript: ["SIZE: usize = 8;", "SIZE: usize = 4;"],
};

interface Language {
  readonly name: string;
  readonly file: string;
  readonly declarations: string;
  readonly available: boolean;
  readonly command: (file: string) => readonly [string, ...string[]];
}
const zig = join(root, "build/zig/ziglang/zig");
const languages: readonly Language[] = [
  {
    name: "c",
    file: "touch.c",
    declarations: "defs.h",
    available: has("clang-19", "--version"),
    command: (file) => [
      "clang-19",
      ..."--target=wasm32 -O1 -Wall -Wextra -Werror -nostdlib -Wl,--no-entry,--import-memory -o out.wasm".split(" "),
      file,
    ],
  },
  {
    name: "rust",
    file: "touch.rs",
    declarations: "defs.rs",
    available: has("rustc", "--version"),
    command: (file) => [
      "rustc",
      ..."--edition 2021 -D warnings --target wasm32-unknown-unknown -O -C panic=abort --crate-type cdylib -C link-arg=--import-memory -o out.wasm".split(
        " ",
      ),
      file,
    ],
  },
  {
    name: "zig",
    file: "touch.zig",
    declarations: "defs.zig",
    available: has(zig, "version"),
    command: (file) => [
      zig,
      ..."build-exe -target wasm32-freestanding -OReleaseSmall -fno-entry -rdynamic --import-memory -femit-bin=out.wasm".split(
        " ",
      ),
      file,
    ],
  },
  {
    name: "assemblyscript",
    file: "touch.ts",
    declarations: "defs.as.ts",
    available: true,
    command: (file) => [
      process.execPath,
      join(root, "node_modules/assemblyscript/bin/asc.js"),
      file,
      ..."--runtime stub --importMemory --disableWarning --outFile out.wasm".split(" "),
    ],
  },
];

const command = join(root, "bin/wasm-mempool.mjs");
const run = (...args: string[]): string => execFileSync(process.execPath, [command, ...args], { encoding: "utf8" });
let folder: string;
beforeAll(() => {
  // Inside the project, so that the package finds itself by its name.
  folder = mkdtempSync(join(root, "build", "structs-"));
  writeFileSync(join(folder, "defs.mjs"), definitions);
  run("structs", join(folder, "defs.mjs"));
  for (const { name, file } of languages) writeFileSync(join(folder, file), programs[name]!);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("writes a file for each language, or prints one", () => {
  const files = languages.map(({ declarations }) => join(folder, declarations));
  expect(run("structs", join(folder, "defs.mjs")).trim().split("\n")).toEqual(files);
  for (const { name, declarations } of languages) {
    const text = readFileSync(join(folder, declarations), "utf8");
    expect(text).toContain("Written by `wasm-mempool structs defs.mjs`");
    // Exported structs, and those within them, once each.
    for (const each of ["Vec", "Node", "Node_hidden", "All", "All_self"])
      expect(
        text.match(new RegExp(`(^(typedef )?struct|pub struct|pub const|class) ${each} (?!${each})`, "gm")),
      ).toHaveLength(1);
    expect(run("structs", join(folder, "defs.mjs"), "--language", name)).toBe(text);
  }
});

/** What the command says of a module that it refuses. */
function refused(text: string): string {
  const path = join(folder, "wrong.mjs");
  writeFileSync(path, `import { struct, u8 } from "wasm-mempool";\n${text}`);
  const { status, stderr } = spawnSync(process.execPath, [command, "structs", path], { encoding: "utf8" });
  expect(status).toBe(2);
  return stderr;
}

test("refuses what is no name in these languages, and a struct without one", () => {
  expect(refused('export const A = struct({ "a-b": u8 });')).toContain('A: field "a-b" is no name in these languages');
  expect(refused("export default struct({ a: u8 });")).toContain("export it by name");
});

describe.each(languages)("$name", ({ name, file, declarations, available, command: compile }) => {
  const compiles = (): { readonly status: number | null; readonly text: string } => {
    const [tool, ...args] = compile(file);
    const { status, stdout, stderr } = spawnSync(tool, args, { cwd: folder, encoding: "utf8" });
    return { status, text: `${stdout}${stderr}` };
  };

  test.skipIf(isSkipped(available))("compiles, and writes where a cursor reads", async () => {
    expect(compiles()).toEqual({ status: 0, text: expect.not.stringMatching(/error/i) });
    const { Node } = (await import(pathToFileURL(join(folder, "defs.mjs")).href)) as { Node: StructType };
    const module = new WebAssembly.Module(readFileSync(join(folder, "out.wasm")));
    const memory = new WebAssembly.Memory({ initial: 32 });
    const { touch } = new WebAssembly.Instance(module, { env: { memory, abort() {} } }).exports as {
      touch(at: number): void;
    };
    const at = 2 ** 20;
    const views = { views: { memory } };
    touch(at);
    const node = Node.at(views as never, at, 4) as Record<string, any>;
    expect(JSON.parse(JSON.stringify(node))).toEqual({
      type: 7,
      next: at,
      big: String(2 ** 40),
      raw: 0,
      fn: -3,
      at: { x: 0, y: 2.5 },
      trail: [
        { x: 0, y: 0 },
        { x: 0, y: 0 },
        { x: 0, y: 1.5 },
      ],
      hidden: { value: 0.25, on: true },
      grid: [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, -9, 0, 0],
      ],
      bytes: [0, 0, 0, 65535],
    });
  });

  test.skipIf(isSkipped(available))("does not compile where a layout is another", () => {
    const path = join(folder, declarations);
    const right = readFileSync(path, "utf8");
    const wrong = right.replace(...changes[name]!);
    expect(wrong).not.toBe(right);
    writeFileSync(path, wrong);
    const { status, text } = compiles();
    writeFileSync(path, right);
    expect(status).not.toBe(0);
    expect(text).toMatch(/static assertion failed|assertion failed|reached unreachable|Vec\.y is outside/);
  });
});
