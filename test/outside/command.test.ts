/** `npx wasm-mempool inspect FILE`, as a program of its own. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test, vi } from "vitest";
import { tag } from "../../src/debug.ts";
import { createHeap, createSharedHeap, type Heap } from "../../src/index.ts";
import { dump } from "../../src/inspect.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { bin, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  bin: Record<string, string>;
  version: string;
};
const program = join(root, bin["wasm-mempool"]!);
const folder = mkdtempSync(join(tmpdir(), "inspect-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(
  args: readonly string[],
  { input, ...env }: Record<string, string | Uint8Array> = {},
): [number, string, string] {
  const plain = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.endsWith("_COLOR")));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    env: { ...plain, ...(env as Record<string, string>) },
    ...(input !== undefined && { input }),
  });
  return [status!, stdout.toString(), stderr.toString()];
}

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

function filled(heap: Heap): Heap {
  const pool = heap.create({ size: 100, minNr: 16, name: "bios" });
  for (let i = 0; i < 700; i++) pool.alloc();
  heap.create({ size: 8, minNr: 2, name: "idle" });
  return heap;
}

test("a dump: the table, the map, what is outstanding, and that the heap is sound", () => {
  for (const heap of [filled(createHeap()), filled(createSharedHeap())]) {
    const path = file("heap.dump", dump(heap));
    const [status, out, err] = run(["inspect", path]);
    expect([status, err]).toEqual([0, ""]);
    expect(out).toContain(`${path}: a heap of ${heap.memory.buffer instanceof ArrayBuffer ? "one thread" : "several"}`);
    expect(out).toContain(heap.table());
    expect(out).toMatch(/\n {9}0x0 {2}\.*#+a+/);
    expect(out).toMatch(/outstanding: 700 elements, 70000 bytes\n.*\n {2}bios {4}700 {2}70000 {7}0 {2}0x/);
    expect(out).toMatch(/check: the heap is sound\n$/);
    expect(out).not.toContain("\x1b");
    // Also compressed, and from standard input.
    const body = out.slice(out.indexOf("\n"));
    expect(run(["inspect", file("heap.dump.gz", gzipSync(readFileSync(path)))])[1]).toContain(body);
    expect(run(["inspect", "-"], { input: readFileSync(path) })[1]).toContain(body);
    expect(run(["inspect", "--all", path])[1]).toContain(heap.table({ all: true }));
  }
});

test("a dump of a debug heap says where its elements were allocated, and for how long they had been held", () => {
  const heap = createHeap({ debug: { stacks: false } });
  const pool = heap.create({ size: 100, minNr: 2, name: "bios" });
  vi.useFakeTimers({ toFake: ["Date"], now: 1e12 });
  tag(heap, "level 1");
  pool.alloc();
  vi.setSystemTime(1e12 + 3200);
  const path = file("debug.dump", dump(heap));
  vi.useRealTimers();
  expect(run(["inspect", path])[1]).toMatch(
    /held for {2}since {2}allocated at {2}addresses\n {2}bios {6}1 {4}100 {7}0 {5}3\.2 s {6}1 {2}\[level 1\] {5}0x/,
  );
  expect(JSON.parse(run(["inspect", "--json", path])[1])).toMatchObject({
    outstanding: { groups: [{ site: "[level 1]", since: 1, heldMs: 3200 }] },
  });
});

test("colours on request, and not against NO_COLOR", () => {
  const path = file("colored.dump", dump(filled(createHeap())));
  expect(run(["inspect", path], { FORCE_COLOR: "1" })[1]).toContain("\x1b[32ma");
  expect(run(["inspect", path], { FORCE_COLOR: "1", NO_COLOR: "1" })[1]).not.toContain("\x1b");
});

test("--json has the same, with every figure", () => {
  const heap = filled(createHeap());
  const [status, out] = run(["inspect", "--json", file("heap.dump", dump(heap))]);
  expect(status).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    address: heap.address,
    isShared: false,
    problems: [],
    heap: heap.stats(),
    pools: [
      { name: "bios", outstanding: 700, maxNr: null, align: 4 },
      { name: "idle", outstanding: 0 },
    ],
    outstanding: { count: 700, bytes: 70_000, groups: [{ pool: "bios", thread: 0, count: 700 }] },
  });
});

test("a raw memory: the heap is found, or is where --address says", () => {
  const memory = new WebAssembly.Memory({ initial: 20 });
  const heap = filled(createHeap({ memory, region: { base: 655_360, bytes: 524_288 } }));
  const path = file("guest.mem", new Uint8Array(memory.buffer));
  expect(run(["inspect", path])[1]).toMatch(
    /at 0xa0000, in a memory of 1310720 bytes\n[^]*\n#1 +100 +700 [^]*is sound\n$/,
  );
  expect(run(["inspect", path, "--address", "0xa0000"])[0]).toBe(0);
  expect(run(["inspect", path, "--address", "655360"])[0]).toBe(0);
  const [status, , err] = run(["inspect", path, "--address", "0x400"]);
  expect([status, err]).toEqual([2, expect.stringContaining("guest.mem: no heap is at address 0x400\n")]);
  // A heap that is damaged.
  heap.u32[(heap.address >>> 2) + 1]! -= 1;
  const [code, out] = run(["inspect", file("damaged.mem", new Uint8Array(memory.buffer))]);
  expect([code, out]).toEqual([
    1,
    expect.stringContaining("check: the heap is damaged\n  the heap says it has 127 pages"),
  ]);
});

test("wrong arguments and files end with 2, a line that says what is wrong, and no stack", () => {
  const bytes = dump(filled(createHeap()));
  const changed = bytes.slice();
  changed[5000]! ^= 1;
  const wrong: [string[], string][] = [
    [[], "needs a command: inspect or structs"],
    [["look"], "there is no command look"],
    [["inspect"], "inspect needs one FILE, got 0"],
    [["inspect", "a", "b"], "inspect needs one FILE, got 2"],
    [["inspect", "--out", ".", "a"], "inspect takes no --out"],
    [["structs", "--json", "a"], "structs takes no --json"],
    [["structs"], "structs needs one FILE, got 0"],
    [["structs", "--language", "fortran", "a"], "--language must be one of c, rust, zig, assemblyscript, got fortran"],
    [["structs", "--language", "c", "--out", ".", "a"], "--language prints, and takes no --out"],
    [["structs", join(folder, "none.mjs")], "none.mjs cannot be imported: "],
    [["structs", file("wrong.mjs", "export const a = 1;")], "wrong.mjs: exports no struct()"],
    [["inspect", "--colour", "a"], "Unknown option '--colour'"],
    [["inspect", "--address", "0xzz", "a"], "--address must be an address such as 0x400, got 0xzz"],
    [["inspect", join(folder, "none")], `there is no file ${join(folder, "none")}`],
    [["inspect", folder], "EISDIR"],
    [["inspect", file("text", "nothing of the kind")], "text: no heap is in these 19 bytes"],
    [["inspect", file("empty", "")], "empty: no heap is in these 0 bytes"],
    [["inspect", file("cut.dump", bytes.slice(0, 3000))], "cut.dump: a truncated dump: 3000 bytes of at least"],
    [["inspect", file("changed.dump", changed)], "changed.dump: a damaged dump: the checksum is"],
    [["inspect", file("cut.gz", gzipSync(bytes).subarray(0, 500))], "is compressed by gzip, but damaged"],
    [["inspect", "--address", "0x400", file("ok.dump", bytes)], "--address is for a raw memory"],
  ];
  for (const [args, message] of wrong) {
    const [status, out, err] = run(args);
    expect([args, status, out]).toEqual([args, 2, ""]);
    expect(err).toContain(message);
    expect(err).toMatch(/\nSee wasm-mempool --help.\n$/);
    expect(err).not.toMatch(/^ {4}at /m);
  }
});

test("--help and --version", () => {
  expect(run(["--help"])).toEqual([
    0,
    expect.stringMatching(/^wasm-mempool inspect FILE: .*\nwasm-mempool structs FILE: /),
    "",
  ]);
  expect(run(["inspect", "-h"])[0]).toBe(0);
  expect(run(["--version"])).toEqual([0, `${version}\n`, ""]);
});
